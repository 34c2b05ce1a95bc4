//! The writer of a leaf's body: digits of signed words lie on the stack, and the script shows that they are not so.
//!
//! Digits are copied where they are needed, never moved; what a gadget computes lies on top of them and is consumed. So
//! a digit's depth is known everywhere, and a gadget's stack effect is what it adds on top.

use bitcoin::opcodes::Opcode;
use bitcoin::opcodes::all::*;
use bitcoin::script::Builder;

use crate::leaf::{Body, Frame};

/// Digits of one word.
pub(super) const DIGITS: usize = 8;
/// One more than the greatest half of a word.
pub(super) const HALF: i64 = 1 << 16;

/// A signed word: where its most significant digit stands among all digits of the messages that the leaf reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(pub usize);

/// The words of message step.log, which is the first that is read.
pub(super) const PC: Word = Word(0);
pub(super) const INSTRUCTION: Word = Word(8);
pub(super) const RS1: Word = Word(16);
pub(super) const RS2: Word = Word(24);
pub(super) const ADDRESS: Word = Word(32);
pub(super) const VALUE: Word = Word(40);
pub(super) const NEXT_PC: Word = Word(48);

/// Where the digits of the second message begin.
pub(super) const SECOND: usize = 56;

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
#[derive(Clone, Debug, Default)]
pub(super) struct Judge {
    script: Builder,
    /// How many unsigned items lie below the signed digits.
    hints: usize,
    height: usize,
}

impl Judge {
    /// A script that begins in a leaf's frame.
    pub fn new(frame: &Frame) -> Self {
        Self { script: Builder::new(), hints: frame.hints().len(), height: frame.height() }
    }

    /// The script, and how many items it leaves.
    pub fn body(self) -> Body {
        Body { script: self.script.into_script(), left: self.height }
    }

    /// How many items there are.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Pushes a number.
    pub fn push(&mut self, number: i64) -> &mut Self {
        self.script = std::mem::take(&mut self.script).push_int(number);
        self.height += 1;
        self
    }

    /// One opcode of those below.
    pub fn op(&mut self, opcode: Opcode) -> &mut Self {
        let (takes, leaves) = effect(opcode);
        debug_assert!(self.height >= takes, "{opcode} on {} items", self.height);
        self.height = self.height - takes + leaves;
        self.script = std::mem::take(&mut self.script).push_opcode(opcode);
        self
    }

    /// `condition → …`: one of two scripts, which have the same effect.
    pub fn either(&mut self, then: impl FnOnce(&mut Self), otherwise: impl FnOnce(&mut Self)) -> &mut Self {
        self.op(OP_IF);
        let height = self.height;
        then(self);
        let left = std::mem::replace(&mut self.height, height);
        let before = self.script.as_bytes().len();
        self.op(OP_ELSE);
        otherwise(self);
        if self.script.as_bytes().len() == before + 1 {
            // An empty ELSE is left out.
            let mut bytes = std::mem::take(&mut self.script).into_bytes();
            bytes.truncate(before);
            self.script = Builder::from(bytes);
        }
        debug_assert_eq!(self.height, left, "two branches with different effects");
        self.op(OP_ENDIF)
    }

    /// `condition → …`: a script that leaves as many items as there were, if the condition holds.
    pub fn when(&mut self, then: impl FnOnce(&mut Self)) -> &mut Self {
        self.either(then, |_| {})
    }

    /// `→ digit`: copies a signed digit.
    pub fn signed(&mut self, digit: usize) -> &mut Self {
        self.copy(self.hints + digit)
    }

    /// `→ …`: a table, of which the number of the entry that is asked for is to be known.
    pub fn table(&mut self, entries: impl DoubleEndedIterator<Item = i64>) -> Table {
        entries.rev().for_each(|entry| {
            self.push(entry);
        });
        Table { first: self.height - 1 }
    }

    /// `number → …`: the table of its multiples, 0 to 15 times it.
    pub fn multiples(&mut self) -> Table {
        let number = self.height - 1;
        self.op(OP_DUP).double(4).copy(number).op(OP_SUB);
        for _ in 1..15 {
            self.op(OP_DUP).copy(number).op(OP_SUB);
        }
        self.push(0);
        Table { first: self.height - 1 }
    }

    /// `number → entry`, of a table.
    pub fn look_up(&mut self, table: Table) -> &mut Self {
        // The number itself is above the first entry.
        match self.height - 2 - table.first {
            0 => self.op(OP_PICK),
            depth => self.push(depth as i64).op(OP_ADD).op(OP_PICK),
        }
    }

    /// `… item → item`: drops what is between the item and so many items at the bottom.
    pub fn drop_down_to(&mut self, height: usize) -> &mut Self {
        self.op(OP_TOALTSTACK);
        while self.height > height + 1 {
            self.op(OP_2DROP);
        }
        if self.height > height {
            self.op(OP_DROP);
        }
        self.op(OP_FROMALTSTACK)
    }

    /// `→ item`: copies the item at the place, counted from the deepest.
    pub fn copy(&mut self, place: usize) -> &mut Self {
        match self.height - 1 - place {
            0 => self.op(OP_DUP),
            1 => self.op(OP_OVER),
            depth => self.push(depth as i64).op(OP_PICK),
        }
    }

    /// Where a word's digit lies, 0 the lowest.
    pub fn place_of(&self, word: Word, digit: usize) -> usize {
        self.hints + word.0 + DIGITS - 1 - digit
    }

    /// `→ digit`: copies a word's digit, 0 the lowest.
    pub fn digit(&mut self, word: Word, digit: usize) -> &mut Self {
        self.copy(self.place_of(word, digit))
    }

    /// `a → a·2^times`.
    pub fn double(&mut self, times: usize) -> &mut Self {
        (0..times).fold(self, |body, _| body.op(OP_DUP).op(OP_ADD))
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

    /// `→ number`: half of the sum of words with their signs, −15·16^3·n to 15·16^3·n for n of them.
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

    /// `number → digit`: copies the signed digit that stands so far before another one.
    pub fn signed_before(&mut self, digit: usize) -> &mut Self {
        // The digit replaces what lies on top, so the first that can be copied is at height − 2.
        let depth = self.height - 2 - (self.hints + digit);
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
        OP_3DUP => (3, 6),
        OP_TUCK => (2, 3),
        OP_SWAP => (2, 2),
        OP_ROT => (3, 3),
        OP_NIP => (2, 1),
        OP_2SWAP => (4, 4),
        OP_2DROP => (2, 0),
        OP_WITHIN => (3, 1),
        OP_NUMEQUALVERIFY => (2, 0),
        OP_NOT | OP_0NOTEQUAL | OP_1ADD | OP_1SUB | OP_NEGATE | OP_ABS | OP_PICK => (1, 1),
        OP_DROP | OP_VERIFY | OP_TOALTSTACK | OP_IF | OP_NOTIF => (1, 0),
        OP_FROMALTSTACK | OP_DEPTH => (0, 1),
        OP_ELSE | OP_ENDIF => (0, 0),
        // ADD, SUB, comparisons, BOOLAND, BOOLOR, MIN, MAX.
        _ => (2, 1),
    }
}
