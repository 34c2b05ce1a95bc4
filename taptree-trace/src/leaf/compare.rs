//! The small parts that bodies are made of: equality and order of digits, and where in a search a value was signed.
//!
//! That two rows of digits differ is shown at one place, which whoever spends the leaf names in an unsigned item: any
//! place at which they differ will do, and at no other can it be shown.

use std::ops::Range;

use bitcoin::opcodes::all::*;

use trestle_zkvm_adapter::layout::{HALT_ACCEPT, HALT_REJECT};

use super::body::Writer;
use crate::lane::{Place, Search};
use crate::ots::DIGIT_BITS;

/// Which end of the opened interval [k, k + 1] a value stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edge {
    /// At k.
    Left,
    /// At k + 1.
    Right,
}

/// Base-4 digits in one digit.
const HALVES: usize = DIGIT_BITS / 2;

impl Writer {
    /// `→`: fails unless the rows, of which the first is no longer than the second, differ at the place that the item at
    /// `hint` names.
    pub fn differ(&mut self, first: &Range<usize>, second: &Range<usize>, hint: usize) -> &mut Self {
        self.copy(hint).below(first.len() as i64).op(OP_DUP, 1, 2).copy_at(first.start);
        self.op(OP_SWAP, 2, 2).copy_at(second.start).op(OP_NUMNOTEQUAL, 2, 1).op(OP_VERIFY, 1, 0)
    }

    /// `→`: fails unless the row differs from the constant at the place that the item at `hint` names.
    pub fn differs_from(&mut self, row: &Range<usize>, constant: &[u8], hint: usize) -> &mut Self {
        let start = self.height();
        let constant = constant.get(..row.len()).unwrap_or(constant);
        for digit in constant {
            self.push(i64::from(*digit));
        }
        self.differ(&(start..start + constant.len()), row, hint).drop_many(constant.len())
    }

    /// `→`: fails unless the row is no halted state: the items at `hints` name where it differs from each.
    pub fn is_not_halted(&mut self, state: &Range<usize>, hints: [usize; 2]) -> &mut Self {
        let [accept, reject] = [HALT_ACCEPT, HALT_REJECT].map(|halted| digits_of(&halted));
        self.differs_from(state, &accept, hints[0]).differs_from(state, &reject, hints[1])
    }

    /// `row →`: fails unless the row on top is the constant.
    pub fn is_row(&mut self, constant: &[u8]) -> &mut Self {
        constant.iter().rev().fold(self, |writer, digit| writer.is(i64::from(*digit)))
    }

    /// `→ number`, of the digits there, the highest first; at most seven of them.
    pub fn number(&mut self, digits: &Range<usize>) -> &mut Self {
        self.copy(digits.start);
        digits.clone().skip(1).fold(self, |writer, digit| writer.double(DIGIT_BITS).copy(digit).add())
    }

    /// `count items →`
    pub fn drop_many(&mut self, count: usize) -> &mut Self {
        let writer = (0..count / 2).fold(self, |writer, _| writer.op(OP_2DROP, 2, 0));
        if count % 2 == 1 { writer.op(OP_DROP, 1, 0) } else { writer }
    }

    /// `→`: fails unless the value at this edge of the interval was signed in the search at this place, `index` being k.
    ///
    /// Base-4 digits of the index above the search's are not looked at.
    pub fn at_place(&mut self, search: Search, place: Place, edge: Edge, index: &Range<usize>) -> &mut Self {
        let unused = HALVES * index.len() - usize::from(search.rounds());
        let at = unused + usize::from(place.round);
        let (quarter, rest) = match edge {
            Edge::Left => (i64::from(place.place), 0),
            Edge::Right => (i64::from(place.place) - 1, 3),
        };
        let digit = index.start + at / HALVES;
        match at % HALVES {
            0 => self.copy(digit).is(4 * quarter + rest),
            _ => self.copy(digit).lower_bits(2).is(quarter),
        };
        (digit + 1..index.end).fold(self, |writer, later| writer.copy(later).is(5 * rest))
    }
}

/// The native mirror of [`Writer::at_place`].
#[must_use]
pub fn is_at_place(search: Search, place: Place, edge: Edge, index: u64) -> bool {
    let index = index & ((1 << (2 * u32::from(search.rounds()))) - 1);
    let index = match edge {
        Edge::Left => index,
        Edge::Right => index + 1,
    };
    search.place_of(index) == Some(place)
}

/// The native mirror of [`Writer::differ`]: the unsigned item that names the first difference.
#[must_use]
pub fn difference(first: &[u8], second: &[u8]) -> Option<Vec<u8>> {
    let place = first.iter().zip(second).position(|(first, second)| first != second)?;
    Some(item(place as u64))
}

/// The native mirror of [`Writer::is_not_halted`].
#[must_use]
pub fn not_halted(state: &[u8]) -> Option<[Vec<u8>; 2]> {
    let [accept, reject] = [HALT_ACCEPT, HALT_REJECT].map(|halted| difference(&digits_of(&halted), state));
    Some([accept?, reject?])
}

/// A number as a minimal item.
#[must_use]
pub fn item(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    if bytes.last().is_some_and(|last| last & 0x80 != 0) {
        bytes.push(0);
    }
    bytes
}

/// The digits of bytes, each byte's upper half first.
#[must_use]
pub fn digits_of(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect()
}
