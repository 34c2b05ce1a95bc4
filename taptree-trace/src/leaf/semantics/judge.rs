//! The writer of a leaf's body: digits of signed words lie on the stack, and the script shows that they are not so.
//!
//! Digits are copied where they are needed, never moved; what a gadget computes lies on top of them and is consumed. So
//! a digit's depth is known everywhere, and a gadget's stack effect is what it adds on top.

use bitcoin::opcodes::Opcode;
use bitcoin::opcodes::all::*;

use crate::lane::MessageId;
use crate::leaf::body::Writer;
use crate::leaf::{Body, Frame};

/// Digits of one word.
pub(super) const DIGITS: usize = 8;
/// One more than the greatest half of a word.
pub(super) const HALF: i64 = 1 << 16;

/// A word of message step.log: where its most significant digit stands among the message's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(usize);

pub(super) const PC: Word = Word(0);
pub(super) const INSTRUCTION: Word = Word(8);
pub(super) const RS1: Word = Word(16);
pub(super) const RS2: Word = Word(24);
pub(super) const ADDRESS: Word = Word(32);
pub(super) const VALUE: Word = Word(40);
pub(super) const NEXT_PC: Word = Word(48);

/// A table on the stack: where its entry 0 is. The others are below it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    first: usize,
}

/// Half of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Low,
    High,
}

/// A script that knows how many items lie on the stack.
#[derive(Debug)]
pub(super) struct Judge {
    writer: Writer,
    /// Where the first digit of step.log lies.
    log: usize,
    /// Where that of the other message lies that the leaf reads, if it does.
    other: usize,
}

impl Judge {
    /// A script that begins in a leaf's frame.
    pub fn new(frame: &Frame) -> Self {
        let log = frame.message(MessageId::StepLog);
        let other = [0, 1].into_iter().map(|n| frame.nth(n)).find(|place| *place != log);
        Self { writer: Writer::new(frame), log: log.start, other: other.unwrap_or_default().start }
    }

    /// The script, and how many items it leaves.
    pub fn body(self) -> Body {
        self.writer.finish()
    }

    /// How many items there are.
    pub const fn height(&self) -> usize {
        self.writer.height()
    }

    /// `→ number`.
    pub fn push(&mut self, number: i64) -> &mut Self {
        self.writer.push(number);
        self
    }

    /// `→ item`: copies the item at the place, counted from the deepest.
    pub fn copy(&mut self, place: usize) -> &mut Self {
        self.writer.copy(place);
        self
    }

    /// One of the opcodes that [`effect`] knows.
    pub fn op(&mut self, opcode: Opcode) -> &mut Self {
        let (takes, leaves) = effect(opcode);
        self.writer.op(opcode, takes, leaves);
        self
    }

    /// `condition → …`: one of two scripts, which have the same effect.
    pub fn either(&mut self, then: impl FnOnce(&mut Self), otherwise: impl FnOnce(&mut Self)) -> &mut Self {
        self.op(OP_IF);
        let before = self.height();
        then(self);
        let after = self.height();
        // The other branch begins where this one began.
        self.writer.op(OP_ELSE, after, before);
        otherwise(self);
        debug_assert_eq!(self.height(), after, "two branches with different effects");
        self.op(OP_ENDIF)
    }

    /// `condition → …`: a script that leaves as many items as there were, if the condition holds.
    pub fn when(&mut self, then: impl FnOnce(&mut Self)) -> &mut Self {
        self.op(OP_IF);
        let before = self.height();
        then(self);
        debug_assert_eq!(self.height(), before, "a branch with an effect");
        self.op(OP_ENDIF)
    }

    /// Where a digit of the other message lies, 0 the first.
    pub const fn place_of_other(&self, digit: usize) -> usize {
        self.other + digit
    }

    /// `→ …`: a table, of which the number of the entry that is asked for is to be known.
    pub fn table(&mut self, entries: impl DoubleEndedIterator<Item = i64>) -> Table {
        entries.rev().for_each(|entry| {
            self.push(entry);
        });
        Table { first: self.height() - 1 }
    }

    /// `number → …`: the table of its multiples, 0 to 15 times it.
    pub fn multiples(&mut self) -> Table {
        let number = self.height() - 1;
        self.op(OP_DUP).double(4).copy(number).op(OP_SUB);
        for _ in 1..15 {
            self.op(OP_DUP).copy(number).op(OP_SUB);
        }
        self.push(0);
        Table { first: self.height() - 1 }
    }

    /// `number → entry`, of a table.
    pub fn look_up(&mut self, table: Table) -> &mut Self {
        // The number itself is above the first entry.
        match self.height() - 2 - table.first {
            0 => self.op(OP_PICK),
            depth => self.push(depth as i64).op(OP_ADD).op(OP_PICK),
        }
    }

    /// `… item → item`: drops what is between the item and so many items at the bottom.
    pub fn drop_down_to(&mut self, height: usize) -> &mut Self {
        self.op(OP_TOALTSTACK);
        while self.height() > height + 1 {
            self.op(OP_2DROP);
        }
        if self.height() > height {
            self.op(OP_DROP);
        }
        self.op(OP_FROMALTSTACK)
    }

    /// Where a word's digit lies, 0 the lowest.
    pub const fn place_of(&self, word: Word, digit: usize) -> usize {
        self.log + word.0 + DIGITS - 1 - digit
    }

    /// `→ digit`: copies a word's digit, 0 the lowest.
    pub fn digit(&mut self, word: Word, digit: usize) -> &mut Self {
        self.copy(self.place_of(word, digit))
    }

    /// `a → a·2^times`.
    pub fn double(&mut self, times: usize) -> &mut Self {
        self.writer.double(times);
        self
    }

    /// `→ number`: some digits of a word, at most seven, the highest first.
    pub fn digits(&mut self, word: Word, digits: impl IntoIterator<Item = usize>) -> &mut Self {
        for (place, digit) in digits.into_iter().enumerate() {
            if place > 0 {
                self.double(4);
            }
            self.digit(word, digit);
            if place > 0 {
                self.op(OP_ADD);
            }
        }
        self
    }

    /// `→ number`: of the halves of words, each below 2^16, the sum with their signs.
    pub fn half_sum(&mut self, half: Half, words: &[(i8, Word)]) -> &mut Self {
        let first = match half {
            Half::Low => 0,
            Half::High => 4,
        };
        for digit in (first..first + 4).rev() {
            let mut started = digit < first + 3;
            if started {
                self.double(4);
            }
            for (sign, word) in words {
                self.digit(*word, digit);
                match (started, *sign < 0) {
                    (true, true) => self.op(OP_SUB),
                    (true, false) => self.op(OP_ADD),
                    (false, true) => self.op(OP_NEGATE),
                    (false, false) => self,
                };
                started = true;
            }
        }
        self
    }

    /// `number → flag`: whether it is `constant`.
    pub fn is(&mut self, constant: i64) -> &mut Self {
        match constant {
            0 => self.op(OP_NOT),
            _ => self.push(constant).op(OP_NUMEQUAL),
        }
    }

    /// `number → flag`: whether it is in the range.
    pub fn is_in(&mut self, range: std::ops::Range<i64>) -> &mut Self {
        match range.start {
            0 => self.push(range.end).op(OP_LESSTHAN),
            start => self.push(start).push(range.end).op(OP_WITHIN),
        }
    }

    /// `flag →`: goes on if it is set.
    pub fn verify(&mut self) -> &mut Self {
        self.op(OP_VERIFY)
    }

    /// `number → item`: copies the item that lies so far below a place.
    pub fn copy_below(&mut self, place: usize) -> &mut Self {
        // The item replaces what lies on top, so the first that can be copied is at height − 2.
        let depth = self.height() - 2 - place;
        self.push(depth as i64).op(OP_ADD).op(OP_PICK)
    }

    /// `number → number mod 2^bits`, for a number below 2^(bits + 1).
    pub fn without_bit(&mut self, bits: usize) -> &mut Self {
        let bit = 1 << bits;
        self.op(OP_DUP).push(bit).op(OP_GREATERTHANOREQUAL).when(|body| {
            body.push(bit).op(OP_SUB);
        })
    }
}

/// How many items an opcode takes, and how many it leaves.
fn effect(opcode: Opcode) -> (usize, usize) {
    match opcode {
        OP_DUP => (1, 2),
        OP_OVER => (2, 3),
        OP_2DUP => (2, 4),
        OP_TUCK => (2, 3),
        OP_SWAP => (2, 2),
        OP_ROT => (3, 3),
        OP_NIP => (2, 1),
        OP_2DROP | OP_NUMEQUALVERIFY => (2, 0),
        OP_WITHIN => (3, 1),
        OP_NOT | OP_0NOTEQUAL | OP_1ADD | OP_NEGATE | OP_ABS | OP_PICK => (1, 1),
        OP_DROP | OP_VERIFY | OP_TOALTSTACK | OP_IF => (1, 0),
        OP_FROMALTSTACK => (0, 1),
        OP_ENDIF => (0, 0),
        // ADD, SUB, BOOLAND, BOOLOR, and comparisons.
        _ => (2, 1),
    }
}
