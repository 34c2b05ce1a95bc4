//! Sums and comparisons of signed words, for a verdict: whether one of them is not what the others give.

use bitcoin::opcodes::all::*;

use super::judge::{DIGITS, HALF, Half, INSTRUCTION, Judge, Word};

impl Judge {
    /// `low high → flag`: whether `low + 2^16·high + Σ ±word` is not 0 mod 2^32. What is added is small: with it each half's
    /// sum is between −2·2^16 and 2·2^16.
    pub fn sum_differs(&mut self, words: &[(i8, Word)]) -> &mut Self {
        self.op(OP_SWAP).half_sum(Half::Low, words).op(OP_ADD);
        // The carry is what the low half is a multiple of 2^16 by, if it is one.
        self.op(OP_DUP).is(HALF).op(OP_OVER).is(-HALF);
        self.op(OP_2DUP).op(OP_BOOLOR).push(3).op(OP_PICK).op(OP_NOT).op(OP_BOOLOR).op(OP_NOT).op(OP_TOALTSTACK);
        self.op(OP_SUB).op(OP_NIP).op(OP_ADD).half_sum(Half::High, words).op(OP_ADD);
        self.op(OP_DUP).op(OP_NOT).op(OP_SWAP).op(OP_ABS).is(HALF).op(OP_BOOLOR).op(OP_NOT);
        self.op(OP_FROMALTSTACK).op(OP_BOOLOR)
    }

    /// `→ flag`: whether the words' sum is not 0 mod 2^32.
    pub fn words_differ(&mut self, words: &[(i8, Word)]) -> &mut Self {
        self.push(0).push(0).sum_differs(words)
    }

    /// `→ flag`: whether a word is not another one plus a constant.
    pub fn differs_by(&mut self, word: Word, other: Word, constant: i64) -> &mut Self {
        self.push(constant).push(0).sum_differs(&[(1, other), (-1, word)])
    }

    /// `→ flag`: whether bit 31 of the word is set.
    pub fn sign(&mut self, word: Word) -> &mut Self {
        self.digit(word, DIGITS - 1).push(8).op(OP_GREATERTHANOREQUAL)
    }

    /// `→ number`: the immediate of a load, of JALR or of arithmetic, −2^11 to 2^11 − 1.
    pub fn imm_i(&mut self) -> &mut Self {
        self.digits(INSTRUCTION, [7, 6, 5]).minus_sign(1 << 12)
    }

    /// `→ number`: the immediate of a store, −2^11 to 2^11 − 1.
    pub fn imm_s(&mut self) -> &mut Self {
        // Bits 31..25, which the top byte doubles, and rd: bits 11..8 and bit 7.
        self.digits(INSTRUCTION, [7, 6]).digit(INSTRUCTION, 6).parity().op(OP_SUB).double(4);
        self.digit(INSTRUCTION, 2).double(1).op(OP_ADD).digit(INSTRUCTION, 1).push(8);
        self.op(OP_GREATERTHANOREQUAL).op(OP_ADD).minus_sign(1 << 12)
    }

    /// `→ number`: the immediate of a branch, −2^12 to 2^12 − 2.
    pub fn imm_b(&mut self) -> &mut Self {
        // Bits 30..25 are 10..5 of it, bits 11..8 are 4..1, bit 7 is 11; bit 31, the sign, is 12.
        self.digit(INSTRUCTION, 7).without_bit(3).double(4).digit(INSTRUCTION, 6).op(OP_ADD);
        self.digit(INSTRUCTION, 6).parity().op(OP_SUB).double(4).digit(INSTRUCTION, 2).double(1).op(OP_ADD);
        self.digit(INSTRUCTION, 1).push(8).op(OP_GREATERTHANOREQUAL).when_set(1 << 11).op(OP_ADD).minus_sign(1 << 12)
    }

    /// `→ low high`: the immediate of JAL, `low + 2^16·high`.
    pub fn imm_j(&mut self) -> &mut Self {
        // Bits 15..12 stay; bit 20 is 11 of it, bits 30..21 are 10..1.
        self.digit(INSTRUCTION, 3).double(4).digit(INSTRUCTION, 7).without_bit(3).op(OP_ADD).double(4);
        self.digit(INSTRUCTION, 6).op(OP_ADD).double(4).digit(INSTRUCTION, 5).op(OP_ADD);
        self.digit(INSTRUCTION, 5).parity().when_set((1 << 11) - 1).op(OP_ADD);
        // Bits 19..16 stay, and the sign is bit 20.
        self.digit(INSTRUCTION, 4).minus_sign(1 << 4)
    }

    /// `number → number`: less a constant if the instruction's bit 31 is set.
    pub fn minus_sign(&mut self, constant: i64) -> &mut Self {
        self.sign(INSTRUCTION).when(|body| {
            body.push(constant).op(OP_SUB);
        })
    }

    /// `flag → number`: the constant, or 0.
    pub fn when_set(&mut self, constant: i64) -> &mut Self {
        self.either(
            |body| {
                body.push(constant);
            },
            |body| {
                body.push(0);
            },
        )
    }

    /// `digit → bit`: its lowest.
    pub fn parity(&mut self) -> &mut Self {
        self.without_bit(3).without_bit(2).without_bit(1)
    }

    /// `high low → flag`: of the difference of two numbers of two halves, whether it is negative.
    pub fn is_negative(&mut self) -> &mut Self {
        self.push(0).op(OP_LESSTHAN).op(OP_OVER).op(OP_NOT).op(OP_BOOLAND);
        self.op(OP_SWAP).push(0).op(OP_LESSTHAN).op(OP_BOOLOR)
    }

    /// `→ flag`: whether a is less than b.
    pub fn is_less(&mut self, a: Word, b: Word, signed: bool) -> &mut Self {
        let difference = [(1, a), (-1, b)];
        self.half_sum(Half::High, &difference);
        if signed {
            // A negative number is 2^32 less than its digits say.
            self.sign(b).when_set(HALF).op(OP_ADD).sign(a).when_set(HALF).op(OP_SUB);
        }
        self.half_sum(Half::Low, &difference).is_negative()
    }

    /// `→ flag`: whether a is less than the immediate, sign-extended.
    pub fn is_less_than_immediate(&mut self, a: Word, signed: bool) -> &mut Self {
        // The halves of a negative immediate: 2^16 more in the low one, and in the high one −1, or 2^16 − 1 if unsigned.
        self.half_sum(Half::High, &[(1, a)]).sign(INSTRUCTION);
        if signed {
            self.op(OP_ADD).sign(a).when_set(HALF).op(OP_SUB);
        } else {
            self.when_set(HALF - 1).op(OP_SUB);
        }
        self.half_sum(Half::Low, &[(1, a)]).imm_i().op(OP_SUB).minus_sign(HALF).is_negative()
    }

    /// `→ flag`: whether two words are equal.
    pub fn is_equal(&mut self, a: Word, b: Word) -> &mut Self {
        for digit in 0..DIGITS {
            self.digit(a, digit).digit(b, digit).op(OP_NUMEQUAL);
            if digit > 0 {
                self.op(OP_BOOLAND);
            }
        }
        self
    }

    /// `digit → flag`: whether a word is not this one digit.
    pub fn differs_from_digit(&mut self, word: Word) -> &mut Self {
        self.digit(word, 0).op(OP_NUMNOTEQUAL).digit_sum(word, 1..DIGITS).op(OP_BOOLOR)
    }
}
