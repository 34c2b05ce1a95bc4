//! What a liar opens.

use trestle_zkvm_adapter::{Disputable, FaultyTrace, Halt, Opening, TraceError};

use super::PathLie;
use trestle_rollup::Digest;

/// What is false in a liar's openings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// Nothing in the block opening, of which the rounds of the history have said something else.
    TrueBlock,
    /// Nothing in the step opening, of which the rounds of the trace have said something else.
    TrueStep,
    /// The paths of the false step.
    Path(PathLie),
}

/// A wrong trace whose openings have a lie of their own.
pub struct Misled {
    faulty: FaultyTrace,
    opened: Opened,
}

impl Misled {
    /// Opens the false step of a trace so.
    #[must_use]
    pub const fn new(faulty: FaultyTrace, opened: Opened) -> Self {
        Self { faulty, opened }
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
        match self.opened {
            Opened::TrueBlock => self.faulty.opening(t),
            Opened::TrueStep => self.faulty.truth(),
            Opened::Path(lie) => {
                let mut opening = self.faulty.opening(t)?;
                lie.tell(&mut opening);
                Ok(opening)
            }
        }
    }
}
