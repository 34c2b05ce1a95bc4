//! What a liar opens.

use trestle_rollup::Digest;
use trestle_taptree_trace::lane::Search;
use trestle_zkvm_adapter::layout::LEVELS;
use trestle_zkvm_adapter::{Disputable, FaultyTrace, Halt, Opening, TraceError};

use super::PathLie;

/// What is false in a liar's openings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// Nothing in the block opening, of which the rounds of the history have said something else.
    TrueBlock,
    /// Nothing in the step opening, of which the rounds of the trace have said something else.
    TrueStep,
    /// Nothing in the node opening, of which the rounds of the path have said something else.
    TrueNode,
    /// The paths of the false step.
    Path(PathLie),
}

/// How often the false step is looked at before its node is opened: for its own opening, and in each round of the path.
const BEFORE_NODE: u32 = 1 + Search::Read.rounds() as u32;

/// A wrong trace whose openings have a lie of their own.
pub struct Misled {
    faulty: FaultyTrace,
    opened: Opened,
    /// How often the false step was looked at.
    looks: u32,
}

impl Misled {
    /// Opens the false step of a trace so.
    #[must_use]
    pub const fn new(faulty: FaultyTrace, opened: Opened) -> Self {
        Self { faulty, opened, looks: 0 }
    }
}

impl Disputable for Misled {
    fn steps(&self) -> u64 {
        self.faulty.steps()
    }

    fn halt(&self) -> Option<Halt> {
        self.faulty.halt()
    }

    fn root(&mut self, k: u64) -> Result<Digest, TraceError> {
        self.faulty.root(k)
    }

    fn opening(&mut self, t: u64) -> Result<Opening, TraceError> {
        if t != self.faulty.step() {
            return self.faulty.opening(t);
        }
        self.looks += 1;
        let lie = match self.opened {
            Opened::TrueBlock => return self.faulty.opening(t),
            Opened::TrueStep => return self.faulty.truth(),
            Opened::TrueNode if self.looks > BEFORE_NODE => return self.faulty.truth(),
            // All of the path is false, so that any node of it is, too.
            Opened::TrueNode => PathLie::Bottom(LEVELS),
            Opened::Path(lie) => lie,
        };
        let mut opening = self.faulty.opening(t)?;
        lie.tell(&mut opening);
        Ok(opening)
    }
}
