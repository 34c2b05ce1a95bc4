//! Verdicts on products, quotients and remainders.
//!
//! Numbers are eight digits that lie somewhere on the stack, signed or computed. A product is made of tables: the sixteen
//! multiples of each byte of one factor are computed, and each digit of the other looks its own up in all four.

use bitcoin::opcodes::all::*;
use trestle_zkvm_adapter::instruction::Alu;

use super::judge::{DIGITS, HALF, Judge, RS1, RS2, VALUE, Word};

/// Where the digits of a number lie, the lowest first.
type Number = [usize; DIGITS];

/// The unsigned items of a leaf that judges a quotient or a remainder: the digits of the quotient's magnitude, the lowest
/// deepest.
const QUOTIENT: Number = [0, 1, 2, 3, 4, 5, 6, 7];

/// Which halves of a product are computed, each of 16 bits.
const LOWER: usize = 2;
const ALL: usize = 4;

impl Judge {
    /// `→ … flag`: whether the value is not the product of rs1 and rs2, or its upper half.
    pub fn product_differs(&mut self, alu: Alu) -> &mut Self {
        let (a_signed, b_signed) = match alu {
            Alu::Mulh => (true, true),
            Alu::Mulhsu => (true, false),
            _ => (false, false),
        };
        let (a, b, value) = (self.magnitude(RS1, a_signed), self.magnitude(RS2, b_signed), self.place(VALUE));
        if alu == Alu::Mul {
            let low = self.product(a, b, LOWER);
            return self.half_differs(low, value, 0).half_differs(low + 1, value, 4).op(OP_BOOLOR);
        }
        let low = self.product(a, b, ALL);
        let differs = |judge: &mut Self| {
            judge.half_differs(low + 2, value, 0).half_differs(low + 3, value, 4).op(OP_BOOLOR);
        };
        if !a_signed {
            differs(self);
            return self;
        }
        // The product of the magnitudes is to be negated: with it, and with a carry if its lower half is not zero, the
        // value is 2^32.
        let negated_differs = |judge: &mut Self| {
            judge.copy(low).copy(low + 1).op(OP_BOOLOR).copy(low + 2).op(OP_ADD).fold(&value[..4]).op(OP_ADD);
            judge.op(OP_DUP).push(HALF).op(OP_GREATERTHANOREQUAL).op(OP_TUCK);
            judge.when_set(HALF).op(OP_NUMNOTEQUAL).op(OP_SWAP);
            judge.copy(low + 3).op(OP_ADD).fold(&value[4..]).op(OP_ADD);
            judge.op(OP_DUP).is(HALF).op(OP_SWAP).op(OP_NOT).op(OP_BOOLOR).op(OP_NOT).op(OP_BOOLOR);
        };
        self.sign(RS1);
        if b_signed {
            self.sign(RS2).op(OP_NUMNOTEQUAL);
        }
        self.either(negated_differs, differs)
    }

    /// `→ … flag`: whether the value is not the quotient of rs1 by rs2, or what remains. The quotient is that of the unsigned
    /// items: what remains with it is less than rs2. So there is no other.
    pub fn division_differs(&mut self, alu: Alu) -> &mut Self {
        let quotient = matches!(alu, Alu::Div | Alu::Divu);
        let by_zero = |judge: &mut Self| {
            if quotient {
                judge.digit_sum(VALUE, 0..DIGITS).push(15 * DIGITS as i64).op(OP_NUMNOTEQUAL);
            } else {
                judge.is_equal(VALUE, RS1).op(OP_NOT);
            }
        };
        let below = self.height();
        self.digit_sum(RS2, 0..DIGITS).op(OP_NOT).either(by_zero, |judge| {
            judge.divided_differs(alu, quotient).drop_down_to(below);
        })
    }

    /// The same for an rs2 that is not zero.
    fn divided_differs(&mut self, alu: Alu, quotient: bool) -> &mut Self {
        let signed = matches!(alu, Alu::Div | Alu::Rem);
        for digit in QUOTIENT {
            self.copy(digit).push(0).push(16).op(OP_WITHIN).verify();
        }
        let (a, b) = (self.magnitude(RS1, signed), self.magnitude(RS2, signed));
        // A remainder has the sign of rs1, and a quotient is negative if those of rs1 and rs2 differ.
        let value = if signed {
            self.sign(RS1);
            if quotient {
                self.sign(RS2).op(OP_NUMNOTEQUAL);
            }
            self.negated_if(VALUE)
        } else {
            self.place(VALUE)
        };
        let low = self.product(b, QUOTIENT, ALL);
        self.op(OP_ADD).op(OP_NOT).verify();
        // What remains: rs1 less the product, with what the lower half borrows.
        self.op(OP_SWAP).fold(&a[..4]).op(OP_SWAP).op(OP_SUB);
        self.op(OP_DUP).push(0).op(OP_LESSTHAN).op(OP_TUCK).when_set(HALF).op(OP_ADD).op(OP_TOALTSTACK);
        self.op(OP_ADD).fold(&a[4..]).op(OP_SWAP).op(OP_SUB).op(OP_FROMALTSTACK);
        let (rest_high, rest_low) = (low, low + 1);
        // It is not negative, and less than the divisor.
        self.copy(rest_high).push(0).op(OP_GREATERTHANOREQUAL).verify();
        self.copy(rest_high).fold(&b[4..]).op(OP_SUB).copy(rest_low).fold(&b[..4]).op(OP_SUB).is_negative().verify();
        if quotient {
            for (place, (right, said)) in QUOTIENT.into_iter().zip(value).enumerate() {
                self.copy(right).copy(said).op(OP_NUMNOTEQUAL);
                if place > 0 {
                    self.op(OP_BOOLOR);
                }
            }
            self
        } else {
            self.half_differs(rest_low, value, 0).half_differs(rest_high, value, 4).op(OP_BOOLOR)
        }
    }

    /// Where the digits of a signed word are.
    fn place(&self, word: Word) -> Number {
        std::array::from_fn(|digit| self.place_of(word, digit))
    }

    /// `→ flag`: whether the 16-bit number at a place is not that of four digits, from `first` on.
    fn half_differs(&mut self, place: usize, number: Number, first: usize) -> &mut Self {
        let [a, b, c, d, e, f, g, h] = number;
        let digits = if first == 0 { [a, b, c, d] } else { [e, f, g, h] };
        self.copy(place).fold(&digits).op(OP_NUMNOTEQUAL)
    }

    /// `→ number`: made of digits, the lowest first.
    pub fn fold(&mut self, digits: &[usize]) -> &mut Self {
        for (place, digit) in digits.iter().rev().enumerate() {
            if place > 0 {
                self.double(4);
            }
            self.copy(*digit);
            if place > 0 {
                self.op(OP_ADD);
            }
        }
        self
    }

    /// `→ …`: a word, or if it is a signed number its magnitude.
    fn magnitude(&mut self, word: Word, signed: bool) -> Number {
        if !signed {
            return self.place(word);
        }
        self.sign(word).negated_if(word)
    }

    /// `negate → digits carry`: a word, or 2^32 less it.
    fn negated_if(&mut self, word: Word) -> Number {
        let first = self.height() - 1;
        let negated = |judge: &mut Self| {
            // Each digit's complement, and one more for the whole.
            judge.push(1);
            for digit in 0..DIGITS {
                judge.push(15).digit(word, digit).op(OP_SUB).op(OP_ADD).op(OP_DUP).is(16);
                judge.either(
                    |judge| {
                        judge.op(OP_DROP).push(0).push(1);
                    },
                    |judge| {
                        judge.push(0);
                    },
                );
            }
        };
        let as_it_is = |judge: &mut Self| {
            for digit in 0..DIGITS {
                judge.digit(word, digit);
            }
            judge.push(0);
        };
        self.either(negated, as_it_is);
        std::array::from_fn(|digit| first + digit)
    }

    /// `→ … halves`: the lowest halves, of 16 bits each, of a product, the lowest first; and where that is.
    fn product(&mut self, a: Number, b: Number, halves: usize) -> usize {
        let tables: Vec<_> = a.chunks(2).map(|byte| self.fold(byte).multiples()).collect();
        let low = self.height();
        for half in 0..halves {
            // Digit i of b times byte j of a counts 16^(i + 2j). There is nothing above 16^13.
            let columns = 4 * half..(4 * half + 4).min(14);
            for (place, column) in columns.clone().rev().enumerate() {
                let mut started = place > 0;
                if started {
                    self.double(4);
                }
                for (byte, table) in tables.iter().enumerate() {
                    let Some(digit) = column.checked_sub(2 * byte).and_then(|digit| b.get(digit)) else { continue };
                    self.copy(*digit).look_up(*table);
                    if started {
                        self.op(OP_ADD);
                    }
                    started = true;
                }
            }
            if half > 0 {
                self.op(OP_ADD);
            }
            // In each column at most four multiples, 15·255 each: less than 2^26 in all.
            if half + 1 < ALL {
                self.divide_by_half(10);
            }
            if half + 1 == halves && halves < ALL {
                self.op(OP_DROP);
            }
        }
        low
    }
}
