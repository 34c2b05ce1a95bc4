//! Verdicts that read a second message: what is loaded, what a store leaves, and what INPUT reads. Each is a word of it,
//! or a part of one.
//!
//! Words are little-endian, and of each byte the higher digit is signed first: digit n of a word, 0 the lowest, is the
//! (n xor 1)st of the eight that are signed, the first being the 0th.

use std::ops::Range;

use bitcoin::opcodes::all::*;
use trestle_zkvm_adapter::instruction::Width;

use super::Source;
use super::judge::{ADDRESS, DIGITS, INSTRUCTION, Judge, RS2, VALUE};
use crate::lane::LaneConstants;

impl Judge {
    /// `→ flag`: whether the value is not what a load finds.
    pub fn loaded_differs(&mut self, width: Width, signed: bool) -> &mut Self {
        let digits = 2 * width.bytes() as usize;
        // Where the first of them is: two for each byte of the address, of which 32 are in the leaf.
        self.digit(ADDRESS, 1).parity().double(4).digit(ADDRESS, 0).op(OP_ADD).double(1).op(OP_NEGATE);
        self.said_differs(0..digits).op(OP_NIP);
        let rest = DIGITS - digits;
        if rest > 0 {
            // The other digits are all zero, or all 15 if the highest bit that is loaded is set.
            self.digit_sum(VALUE, digits..DIGITS);
            if signed {
                self.digit(VALUE, digits - 1).push(8).op(OP_GREATERTHANOREQUAL).when_set(15 * rest as i64).op(OP_SUB);
            }
            self.op(OP_BOOLOR);
        }
        self
    }

    /// `→ flag`: whether the part of the value that a store replaces is not what is stored.
    pub fn stored_differs(&mut self, width: Width) -> &mut Self {
        // How far before the value's lowest digit the lowest of them is: two digits for each byte of the address mod 4.
        if width != Width::Word {
            self.digit(ADDRESS, 0).without_bit(3).without_bit(2).double(1);
        }
        let first = self.height() - 1;
        let digits = 2 * width.bytes() as usize;
        for digit in 0..digits {
            match width {
                Width::Word => self.digit(VALUE, digit),
                _ => {
                    let lowest = self.place_of(VALUE, digit);
                    self.copy(first).copy_below(lowest)
                }
            };
            self.digit(RS2, digit).op(OP_NUMNOTEQUAL);
            if digit > 0 {
                self.op(OP_BOOLOR);
            }
        }
        if width == Width::Word { self } else { self.op(OP_NIP) }
    }

    /// `→ flag`: whether the part of the value that a store of this width, not a word, leaves is not what was there.
    pub fn kept_differs(&mut self, width: Width) -> &mut Self {
        // The first byte that is stored, and how far before step.leaf's first digit (it is after it) the word begins.
        self.digit(ADDRESS, 0).without_bit(3).without_bit(2);
        self.op(OP_DUP).digit(ADDRESS, 0).op(OP_SUB).digit(ADDRESS, 1).parity().double(4).op(OP_SUB).double(1);
        let (byte, word) = (self.height() - 2, self.height() - 1);
        let digits = 2 * width.bytes() as usize;
        for first in (0..DIGITS).step_by(digits) {
            self.copy(byte).push(first as i64 / 2).op(OP_NUMNOTEQUAL);
            self.copy(word).said_differs(first..first + digits).op(OP_NIP).op(OP_BOOLAND);
            if first > 0 {
                self.op(OP_BOOLOR);
            }
        }
        self.op(OP_NIP).op(OP_NIP)
    }

    /// `→ flag`: whether INPUT's index is one of the source's, and the value is not the word.
    pub fn input_differs(&mut self, source: Source, constants: &LaneConstants) -> &mut Self {
        let words = source.words();
        self.digits(INSTRUCTION, [7, 6, 5]);
        match source {
            Source::PreviousHash | Source::PreviousRoot | Source::NextHash | Source::NextRoot => {
                self.op(OP_DUP).is_in(i64::from(words.start)..i64::from(words.end)).verify();
                self.push(i64::from(words.start)).op(OP_SUB).double(3).op(OP_NEGATE).said_differs(0..DIGITS).op(OP_NIP)
            }
            Source::Index => {
                self.is(i64::from(words.start)).verify();
                self.first_half().op(OP_1ADD).push(0).sum_differs(&[(-1, VALUE)])
            }
            Source::Claimed => {
                self.is(i64::from(words.start)).verify();
                self.first_half().push(0).sum_differs(&[(-1, VALUE)])
            }
            Source::BlockHashPrefix => {
                self.is(i64::from(words.start)).verify().push(-4).said_differs(0..DIGITS).op(OP_NIP)
            }
            Source::Lane => {
                for (index, constant) in words.zip(super::lane_words(constants)) {
                    self.op(OP_DUP).is(i64::from(index)).differs_from(VALUE, constant).op(OP_BOOLAND).op(OP_SWAP);
                }
                self.op(OP_DROP).op(OP_BOOLOR).op(OP_BOOLOR)
            }
        }
    }

    /// `→ number`: of the first four digits of the second message.
    fn first_half(&mut self) -> &mut Self {
        let first = self.place_of_other(0);
        self.fold(&[first + 3, first + 2, first + 1, first])
    }

    /// `below → below flag`: whether some of the value's digits are not those of a word of the second message, the first of
    /// which lies so far below that message's first digit (a number that is not positive).
    fn said_differs(&mut self, digits: Range<usize>) -> &mut Self {
        self.differs_from_word(self.place_of_other(0), digits)
    }

    /// The same, so far below any place.
    pub fn differs_from_word(&mut self, place: usize, digits: Range<usize>) -> &mut Self {
        let below = self.height() - 1;
        for digit in digits.clone() {
            self.copy(below).copy_below(place + (digit ^ 1)).digit(VALUE, digit).op(OP_NUMNOTEQUAL);
            if digit > digits.start {
                self.op(OP_BOOLOR);
            }
        }
        self
    }
}
