//! What a challenger that knows the truth chooses.

use trestle_zkvm_adapter::opening::{Access, Opening, StepOpening, commitment};

use super::Search;

/// Which quarter to enter, by which of the round's three values, in their order, are as they should be.
///
/// Over history and trace the interval's first value is true and its last is not: the quarter is the one before the first
/// value that is false. Over a path it is the last, the root's, that is "as it should be" (for a read: true, for a
/// write: the old node true and the new one false), and the quarter is the one after the last value that is not.
#[must_use]
pub fn quarter(search: Search, as_it_should: [bool; 3]) -> u8 {
    let held = match search {
        Search::History | Search::Trace => as_it_should.iter().take_while(|held| **held).count(),
        Search::Read | Search::Write => 3 - as_it_should.iter().rev().take_while(|held| **held).count(),
    };
    held as u8
}

/// The access whose path leads to a leaf that can be satisfied, when a step is opened from a state that both sides agree
/// on, to one that they do not agree on, and no leaf of the step's own can be satisfied.
#[must_use]
pub fn disputed_access(truth: &StepOpening, opened: &StepOpening) -> Option<Access> {
    let (right, said) = (&truth.words, &opened.words);
    // A read is where those before it say, so the first that is false is false at its own address.
    let reads = [
        (Access::Pc, right.pc != said.pc),
        (Access::Code, right.instruction != said.instruction),
        (Access::Rs1, right.rs1 != said.rs1),
        (Access::Rs2, right.rs2 != said.rs2),
        (Access::Memory, truth.leaf != opened.leaf),
        (Access::Write, commitment(&truth.roots.written) != commitment(&opened.roots.written)),
        (Access::WritePc, commitment(&truth.roots.after) != commitment(&opened.roots.after)),
    ];
    reads.into_iter().find(|(_, differs)| *differs).map(|(access, _)| access)
}

/// Whether what an operator signed at a level of a path is as it should be, in the sense of [`quarter`].
#[must_use]
pub fn holds(truth: &Opening, access: Access, level: usize, old: &[u8], new: Option<&[u8]>) -> bool {
    let (right, written) = truth.standing(access, level);
    let old_is_right = right.starts_with(old);
    let new_is_right = new.zip(written).is_some_and(|(said, right)| right.starts_with(said));
    old_is_right && (written.is_none() || !new_is_right)
}
