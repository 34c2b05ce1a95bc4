//! What the sides say: the truth, or a lie of some kind.

use trestle_challenger::lane::{Preimage, Testimony, TestimonyError};
use trestle_challenger::operator::lie::{Misled, Opened, PathLie};
use trestle_rollup::{Digest, Entry};
use trestle_zkvm_adapter::layout::{HALT_ACCEPT, HALT_REJECT};
use trestle_zkvm_adapter::{Access, Disputable, Fault, FaultyTrace, Inputs, Kind, Opening, Place, TraceError};

use crate::borrowed::Borrowed;
use crate::toy::{self, ENTRIES, Known, child, fulfilled, hashed, next, unhash};

/// What is wrong with the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// Nothing, up to the claim's block.
    None,
    /// From this entry on the state is another.
    Entries(u32),
    /// The same, but an opened entry has the parts of the true one.
    Parts(u32),
    /// The claim is said to fail until this entry, which is beyond N + 1, or for ever.
    Late(u32),
    /// There is another checkpoint.
    Checkpoint,
    /// From this entry on blocks are made up: as many as are asked for have enough work.
    Blocks(u32, u16),
}

/// What a side says.
pub struct Side {
    pub claimed: u32,
    /// Whether the claim is said to hold.
    holds: bool,
    forgery: Forgery,
    /// The headers and entries from the forged one on.
    forged: Vec<([u8; 80], Entry)>,
    fault: Option<Fault>,
    path: Option<PathLie>,
    /// Whether the trace begins elsewhere.
    elsewhere: bool,
    /// From which step on a register is read on the path of another access.
    borrowed: Option<(u64, Access)>,
    trace: Option<(Inputs, Box<dyn Disputable>)>,
}

impl Side {
    /// Who says the truth about a claim.
    pub fn honest(claimed: u32) -> Self {
        Self::new(claimed, fulfilled(&toy::entry(claimed)), Forgery::None, None)
    }

    /// Who says that a claim does not hold, of which all else is true.
    pub fn doubting(claimed: u32) -> Self {
        Self::new(claimed, false, Forgery::None, None)
    }

    /// Who says that the claim holds.
    pub fn liar(claimed: u32, forgery: Forgery, fault: Option<Fault>) -> Self {
        Self::new(claimed, true, forgery, fault)
    }

    fn new(claimed: u32, holds: bool, forgery: Forgery, fault: Option<Fault>) -> Self {
        let mut side = Self {
            claimed,
            holds,
            forgery,
            forged: vec![],
            fault,
            path: None,
            elsewhere: false,
            borrowed: None,
            trace: None,
        };
        side.forge();
        side
    }

    pub fn with_path(mut self, lie: PathLie) -> Self {
        self.path = Some(lie);
        self
    }

    pub fn starting_elsewhere(mut self) -> Self {
        self.elsewhere = true;
        self
    }

    pub fn borrowing(mut self, from: u64, of: Access) -> Self {
        self.borrowed = Some((from, of));
        self
    }

    /// Whether nothing that it says is false.
    pub fn is_true(&self) -> bool {
        let Self { claimed, holds, forgery, fault, path, elsewhere, borrowed, .. } = self;
        let lies = fault.is_some() || path.is_some() || *elsewhere || borrowed.is_some();
        *forgery == Forgery::None && !lies && *holds == fulfilled(&toy::entry(*claimed))
    }

    fn forge(&mut self) {
        let (from, work) = match self.forgery {
            Forgery::Entries(from) | Forgery::Parts(from) => (from, None),
            Forgery::Blocks(from, worked) => (from, Some(worked)),
            _ => return,
        };
        let mut before = toy::entry(from - 1);
        for index in from..=self.claimed + 1 + u32::from(toy::CONFIRMATIONS) {
            let header = match work {
                Some(worked) => child(&before.block_hash, 1_000_000 + index, index - from < u32::from(worked)),
                None => toy::header(index),
            };
            before = next(&before, &header);
            if index == from && work.is_none() {
                before.state_root[17] ^= 4;
            }
            self.forged.push((header, before));
        }
    }

    fn at(&self, index: u32) -> ([u8; 80], Entry) {
        match self.forgery {
            Forgery::Entries(from) | Forgery::Parts(from) | Forgery::Blocks(from, _) if index >= from => {
                self.forged[(index - from) as usize]
            }
            _ => (toy::header(index), toy::entry(index)),
        }
    }

    /// The hash that the claim names.
    pub fn block_hash(&self) -> Digest {
        self.at(self.claimed).1.block_hash
    }

    /// The blocks that only this side knows.
    fn known(&self) -> Known {
        Known(self.forged.iter().map(|(header, _)| hashed(header)).collect())
    }
}

impl Testimony for Side {
    fn entry(&mut self, index: u32) -> Result<Option<Digest>, TestimonyError> {
        assert!(index <= 1 << 16);
        let entry = match self.forgery {
            Forgery::Checkpoint if index == 0 => [3; 32],
            _ if index <= self.claimed && index < ENTRIES => self.at(index).1.digest(),
            _ if index <= self.claimed => return Ok(None),
            Forgery::Late(from) if index < from => HALT_REJECT,
            _ if self.holds => HALT_ACCEPT,
            _ => HALT_REJECT,
        };
        Ok(Some(entry))
    }

    fn parts(&mut self, index: u32) -> Result<Entry, TestimonyError> {
        Ok(match self.forgery {
            _ if index > self.claimed => Entry { block_hash: [0; 32], state_root: [0; 32] },
            Forgery::Parts(_) => toy::entry(index),
            _ => self.at(index).1,
        })
    }

    fn header(&mut self, index: u32) -> Result<[u8; 80], TestimonyError> {
        Ok(self.at(index).0)
    }

    fn knows_block(&mut self, index: u32, hash: &Digest) -> Result<bool, TestimonyError> {
        Ok(self.at(index).1.block_hash == *hash)
    }

    fn trace(&mut self, inputs: &Inputs) -> Result<&mut dyn Disputable, TestimonyError> {
        if self.trace.as_ref().is_none_or(|(of, _)| of != inputs) {
            let honest = toy::run(inputs, self.known());
            let mut trace: Box<dyn Disputable> = match self.fault {
                None if self.borrowed.is_some() => {
                    let (from, of) = self.borrowed.unwrap();
                    Box::new(Borrowed::new(honest, from, of).ok_or("no step fits")?)
                }
                None => Box::new(honest),
                Some(Fault { kind: Kind::Halt, place: Place::From(0) }) => {
                    let place = Place::From(honest.steps() + 5);
                    Box::new(FaultyTrace::new(honest, Fault { kind: Kind::Halt, place })?)
                }
                Some(fault) => {
                    let faulty = FaultyTrace::new(honest, fault)?;
                    let lie = self.path;
                    match lie {
                        Some(lie) => Box::new(Misled::new(faulty, Opened::Path(lie))),
                        None => Box::new(faulty),
                    }
                }
            };
            if self.elsewhere {
                trace = Box::new(Elsewhere(trace));
            }
            self.trace = Some((*inputs, trace));
        }
        Ok(self.trace.as_mut().unwrap().1.as_mut())
    }

    fn preimage(&mut self, _: &Inputs, digest: &Digest) -> Result<Option<Preimage>, TestimonyError> {
        Ok(unhash(digest))
    }
}

/// A trace that accepts from the first step on, and does not begin where it should.
struct Elsewhere(Box<dyn Disputable>);

impl Disputable for Elsewhere {
    fn steps(&self) -> u64 {
        self.0.steps()
    }

    fn halt(&self) -> Option<trestle_zkvm_adapter::Halt> {
        self.0.halt()
    }

    fn root(&mut self, _: u64) -> Result<Digest, TraceError> {
        Ok(HALT_ACCEPT)
    }

    fn opening(&mut self, t: u64) -> Result<Opening, TraceError> {
        Ok(Opening::of_halted(t, HALT_ACCEPT, &toy::lane().constants.code))
    }
}
