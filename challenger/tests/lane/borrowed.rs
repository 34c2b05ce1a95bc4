//! A register is read where something else is: on a path that is true, and leads elsewhere.

use trestle_rollup::Digest;
use trestle_zkvm_adapter::layout::HALT_ACCEPT;
use trestle_zkvm_adapter::{Access, Disputable, Halt, Opening, Trace, TraceError};

use crate::toy::lane;

/// A trace with such a step, which accepts from there on.
pub struct Borrowed {
    honest: Trace,
    lie: Opening,
}

impl Borrowed {
    /// At the first addition from a step on, with the path of another access. There may be none.
    pub fn new(mut honest: Trace, from: u64, of: Access) -> Option<Self> {
        let lie = (from..honest.steps()).find_map(|t| {
            let mut opening = honest.opening(t).unwrap();
            let words = &mut opening.step.words;
            let at = Access::Rs1.address(words) as usize & 28;
            let leaf = opening.paths[of as usize][0].child;
            let read = u32::from_le_bytes(leaf[at..at + 4].try_into().unwrap());
            let fits = words.instruction & 0xfe00_707f == 0x33 && read != words.rs1;
            words.rs1 = read;
            words.value = read.wrapping_add(words.rs2);
            opening.step.roots.after = [t as u8; 32];
            opening.paths[Access::Rs1 as usize] = opening.paths[of as usize];
            fits.then_some(opening)
        });
        lie.map(|lie| Self { honest, lie })
    }

    const fn at(&self) -> u64 {
        self.lie.step.roots.index
    }
}

impl Disputable for Borrowed {
    fn steps(&self) -> u64 {
        self.honest.steps()
    }

    fn halt(&self) -> Option<Halt> {
        self.honest.halt()
    }

    fn root(&mut self, k: u64) -> Result<Digest, TraceError> {
        match k.cmp(&self.at()) {
            std::cmp::Ordering::Less => self.honest.root(k),
            std::cmp::Ordering::Equal => Ok(self.lie.step.roots.after),
            std::cmp::Ordering::Greater => Ok(HALT_ACCEPT),
        }
    }

    fn opening(&mut self, t: u64) -> Result<Opening, TraceError> {
        match t.cmp(&self.at()) {
            std::cmp::Ordering::Less => self.honest.opening(t),
            std::cmp::Ordering::Equal => Ok(self.lie.clone()),
            std::cmp::Ordering::Greater => Ok(Opening::of_halted(t, HALT_ACCEPT, &lane().constants.code)),
        }
    }
}
