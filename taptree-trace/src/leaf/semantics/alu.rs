//! Verdicts on what is computed of two operands: registers, or a register and the immediate.

use bitcoin::opcodes::all::*;
use trestle_zkvm_adapter::instruction::Alu;

use super::judge::{DIGITS, HALF, Half, INSTRUCTION, Judge, RS1, RS2, VALUE};

/// The second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// Register rs2.
    Register,
    /// The immediate, sign-extended; of a shift its lowest five bits.
    Immediate,
}

impl Judge {
    /// `→ flag`: whether the value is not what is computed of rs1 and the operand.
    pub fn computed_differs(&mut self, alu: Alu, operand: Operand) -> &mut Self {
        let register = operand == Operand::Register;
        match alu {
            Alu::Add if register => self.words_differ(&[(1, RS1), (1, RS2), (-1, VALUE)]),
            Alu::Add => self.imm_i().push(0).sum_differs(&[(1, RS1), (-1, VALUE)]),
            Alu::Sub => self.words_differ(&[(1, VALUE), (1, RS2), (-1, RS1)]),
            Alu::Slt | Alu::Sltu if register => self.is_less(RS1, RS2, alu == Alu::Slt).differs_from_digit(VALUE),
            Alu::Slt | Alu::Sltu => self.is_less_than_immediate(RS1, alu == Alu::Slt).differs_from_digit(VALUE),
            Alu::Xor => self.bits_differ(operand, |ones| ones == 1),
            Alu::Or => self.bits_differ(operand, |ones| ones > 0),
            Alu::And => self.bits_differ(operand, |ones| ones == 2),
            Alu::Sll => self.shift_amount(operand).left_shift_differs(),
            Alu::Srl => self.shift_amount(operand).right_shift_differs(false),
            Alu::Sra => self.shift_amount(operand).right_shift_differs(true),
            Alu::Mul | Alu::Mulh | Alu::Mulhsu | Alu::Mulhu => self.product_differs(alu),
            Alu::Div | Alu::Divu | Alu::Rem | Alu::Remu => self.division_differs(alu),
        }
    }

    /// `→ digit`: of the second operand, 0 the lowest.
    fn operand(&mut self, operand: Operand, digit: usize) -> &mut Self {
        match operand {
            Operand::Register => self.digit(RS2, digit),
            Operand::Immediate if digit < 3 => self.digit(INSTRUCTION, digit + 5),
            Operand::Immediate => self.sign(INSTRUCTION).when_set(15),
        }
    }

    /// `→ flag`: whether the value is not made of the bits that `bit` gives for the number of ones, 0 to 2, that the
    /// operands have there.
    ///
    /// The bits of a digit are spread to base 3, where two digits can be added without carries, and the sum of four base-3
    /// digits is looked up.
    fn bits_differ(&mut self, operand: Operand, bit: impl Fn(usize) -> bool) -> &mut Self {
        let joined = |sum: usize| (0..4).map(|place| i64::from(bit(sum / 3_usize.pow(place) % 3)) << place).sum();
        let spread = |digit: usize| (0..4).map(|place| (digit >> place & 1) as i64 * 3_i64.pow(place)).sum();
        let joined = self.table((0..81).map(joined));
        let spread = self.table((0..16).map(spread));
        for digit in 0..DIGITS {
            self.digit(RS1, digit).look_up(spread).operand(operand, digit).look_up(spread).op(OP_ADD).look_up(joined);
            self.digit(VALUE, digit).op(OP_NUMNOTEQUAL);
            if digit > 0 {
                self.op(OP_BOOLOR);
            }
        }
        self
    }

    /// `→ digits odd two`: by how much is shifted: 4·digits + 2·two + odd.
    fn shift_amount(&mut self, operand: Operand) -> &mut Self {
        // The lowest digit divided by 4, and bit 4.
        self.operand(operand, 0).push(4).op(OP_GREATERTHANOREQUAL);
        for bound in [8, 12] {
            self.operand(operand, 0).push(bound).op(OP_GREATERTHANOREQUAL).op(OP_ADD);
        }
        self.operand(operand, 1).parity().double(2).op(OP_ADD);
        self.operand(operand, 0).parity().operand(operand, 0).without_bit(3).without_bit(2).push(2);
        self.op(OP_GREATERTHANOREQUAL)
    }

    /// `digits odd two → flag`: whether the value is not rs1 shifted to the left.
    ///
    /// Each half of rs1, digits moved, times 2^(2·two + odd), is the value's half and a carry of at most 7·2^16.
    fn left_shift_differs(&mut self) -> &mut Self {
        let below = self.height() - 3;
        let amount = Amount { digits: below, odd: below + 1, two: below + 2 };
        let first = self.height();
        (0..DIGITS).for_each(|_| {
            self.push(0);
        });
        (0..DIGITS).for_each(|digit| {
            self.digit(RS1, digit);
        });
        let moved = |judge: &mut Self, half: usize| {
            for digit in (half..half + 4).rev() {
                // With `digits` below it in the stack, so much deeper.
                let depth = judge.height() - 1 - (first + DIGITS + digit);
                judge.push(depth as i64).copy(amount.digits).op(OP_ADD).op(OP_PICK);
                judge.join(digit < half + 3);
            }
            judge.scale(amount);
        };
        moved(self, 0);
        self.half_sum(Half::Low, &[(-1, VALUE)]).op(OP_ADD).divide_by_half(3);
        // rest carry
        moved(self, 4);
        self.op(OP_ADD).half_sum(Half::High, &[(-1, VALUE)]).op(OP_ADD).divide_by_half(3);
        self.op(OP_DROP).op(OP_BOOLOR)
    }

    /// `digits odd two → flag`: whether the value is not rs1 shifted to the right.
    ///
    /// rs1, digits moved, is the value times 2^(2·two + odd), and a rest below that.
    fn right_shift_differs(&mut self, signed: bool) -> &mut Self {
        let below = self.height() - 3;
        let amount = Amount { digits: below, odd: below + 1, two: below + 2 };
        let first = self.height();
        (0..DIGITS).for_each(|digit| {
            self.digit(RS1, digit);
        });
        if signed {
            self.sign(RS1).when_set(15);
        } else {
            self.push(0);
        }
        (1..DIGITS).for_each(|_| {
            self.op(OP_DUP);
        });
        // What half is more than the value's, scaled.
        let rest = |judge: &mut Self, half: Half| {
            let start = if half == Half::Low { 0 } else { 4 };
            for digit in (start..start + 4).rev() {
                // With `digits` above it in the stack, so much less deep.
                let depth = judge.height() - 1 - (first + digit);
                judge.push(depth as i64).copy(amount.digits).op(OP_SUB).op(OP_PICK);
                judge.join(digit < start + 3);
            }
            judge.half_sum(half, &[(1, VALUE)]);
            if signed && half == Half::High {
                // As signed numbers: less 2^16 if negative.
                judge.sign(VALUE).when_set(HALF).op(OP_SUB).scale(amount).op(OP_SUB);
                judge.sign(RS1).when_set(HALF).op(OP_SUB);
            } else {
                judge.scale(amount).op(OP_SUB);
            }
        };
        let is_rest = |judge: &mut Self| {
            judge.push(0).push(1).scale(amount).op(OP_WITHIN);
        };
        rest(self, Half::High);
        self.op(OP_DUP);
        is_rest(self);
        self.either(
            |judge| {
                judge.double(16);
                rest(judge, Half::Low);
                judge.op(OP_ADD);
                is_rest(judge);
                judge.op(OP_NOT);
            },
            |judge| {
                judge.op(OP_DROP).push(1);
            },
        );
        self
    }

    /// `number → number·2^(2·two + odd)`.
    fn scale(&mut self, amount: Amount) -> &mut Self {
        self.copy(amount.two).when(|judge| {
            judge.double(2);
        });
        self.copy(amount.odd).when(|judge| {
            judge.double(1);
        })
    }

    /// `number → rest quotient`: divided by 2^16, for a number below 2^(16 + bits). The rest is 0 if and only if it is a
    /// multiple of 2^16 that is not negative.
    pub fn divide_by_half(&mut self, bits: usize) -> &mut Self {
        self.push(0).op(OP_SWAP);
        for bit in (0..bits).rev().map(|bit| 1 << bit) {
            self.op(OP_DUP).push(bit * HALF).op(OP_GREATERTHANOREQUAL).when(|judge| {
                judge.push(bit * HALF).op(OP_SUB).op(OP_SWAP).push(bit).op(OP_ADD).op(OP_SWAP);
            });
        }
        self.op(OP_SWAP)
    }

    /// `a b → 16a + b`, if there is an a.
    fn join(&mut self, more: bool) -> &mut Self {
        if more { self.op(OP_SWAP).double(4).op(OP_ADD) } else { self }
    }
}

/// Where on the stack it is by how much is shifted: 4·digits + 2·two + odd.
#[derive(Clone, Copy)]
struct Amount {
    digits: usize,
    odd: usize,
    two: usize,
}
