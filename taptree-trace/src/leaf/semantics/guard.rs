//! What a leaf shows before it judges: that the step executes an instruction of its class. None of these gadgets leaves
//! anything but what it says.
//!
//! That there is code at pc takes 120 bytes to show. A leaf about the value of an instruction that is no jump reads it off the
//! next pc instead: an honest operator signs pc there if the step halts (`trestle_zkvm_adapter::opening`), and else
//! pc + 4. One that signs pc for a step that goes on does not escape: leaves about the next pc look at the code range.

use std::ops::Range;

use bitcoin::opcodes::all::*;

use super::Class;
use super::judge::{ADDRESS, DIGITS, INSTRUCTION, Judge, NEXT_PC, PC, RS1, Word};

impl Judge {
    /// `→ low quarter`: a word's lowest digit and the word, both divided by 4.
    fn quarter(&mut self, word: Word) -> &mut Self {
        self.digits(word, (1..DIGITS).rev()).double(2).digit(word, 0);
        self.push(4).op(OP_GREATERTHANOREQUAL);
        for bound in [8, 12] {
            self.digit(word, 0).push(bound).op(OP_GREATERTHANOREQUAL).op(OP_ADD);
        }
        self.op(OP_TUCK).op(OP_ADD)
    }

    /// `→ flag`: whether the word, rounded down to a multiple of 4, is in the code.
    pub fn in_code(&mut self, word: Word, code: &Range<u32>) -> &mut Self {
        self.quarter(word).op(OP_NIP).within_code(code)
    }

    /// `quarter → flag`.
    fn within_code(&mut self, code: &Range<u32>) -> &mut Self {
        self.push(i64::from(code.start.div_ceil(4))).push(i64::from(code.end.div_ceil(4))).op(OP_WITHIN)
    }

    /// `→ flag`: whether there is code at pc.
    pub fn fetchable(&mut self, code: &Range<u32>) -> &mut Self {
        self.quarter(PC).within_code(code).op(OP_SWAP).double(2).digit(PC, 0).op(OP_NUMEQUAL).op(OP_BOOLAND)
    }

    /// Goes on if there is code at pc.
    pub fn verify_fetchable(&mut self, code: &Range<u32>) -> &mut Self {
        self.quarter(PC).within_code(code).verify().double(2).digit(PC, 0).op(OP_NUMEQUALVERIFY)
    }

    /// Goes on if the next pc is not pc. Shown by the lowest digit, in which pc + 4 always differs from pc.
    pub fn verify_moves(&mut self) -> &mut Self {
        self.digit(PC, 0).digit(NEXT_PC, 0).op(OP_NUMNOTEQUAL).verify()
    }

    /// `→ number`: bits 6..0 of the instruction.
    pub fn opcode(&mut self) -> &mut Self {
        self.digit(INSTRUCTION, 1).without_bit(3).double(4).digit(INSTRUCTION, 0).op(OP_ADD)
    }

    /// `→ number`: funct3.
    pub fn funct3(&mut self) -> &mut Self {
        self.digit(INSTRUCTION, 3).without_bit(3)
    }

    /// `→ number`: bits 31..24 of the instruction: funct7, doubled, and a bit of rs2.
    fn top_byte(&mut self) -> &mut Self {
        self.digits(INSTRUCTION, [7, 6])
    }

    /// `→ flag`: whether funct7 is the constant.
    pub fn funct7_is(&mut self, funct7: u32) -> &mut Self {
        self.top_byte().is_in(i64::from(2 * funct7)..i64::from(2 * funct7 + 2))
    }

    /// `→ flag`: whether the instruction has the opcode of the class.
    pub fn has(&mut self, class: Class) -> &mut Self {
        self.opcode().is(i64::from(class.opcode()))
    }

    /// Goes on if the instruction has the opcode of the class.
    pub fn verify_opcode(&mut self, class: Class) -> &mut Self {
        let (low, high) = (i64::from(class.opcode() & 15), i64::from(class.opcode() >> 4));
        self.digit(INSTRUCTION, 0).push(low).op(OP_NUMEQUALVERIFY);
        self.digit(INSTRUCTION, 1).op(OP_DUP).push(high).op(OP_NUMEQUAL).op(OP_SWAP).push(high + 8).op(OP_NUMEQUAL);
        self.op(OP_BOOLOR).verify()
    }

    /// Goes on if funct3 is the constant.
    pub fn verify_funct3(&mut self, funct3: u32) -> &mut Self {
        let low = i64::from(funct3);
        self.digit(INSTRUCTION, 3).op(OP_DUP).is(low).op(OP_SWAP).is(low + 8).op(OP_BOOLOR).verify()
    }

    /// `→ sum`: of digits, at least one of them.
    pub fn digit_sum(&mut self, word: Word, digits: impl IntoIterator<Item = usize>) -> &mut Self {
        for (place, digit) in digits.into_iter().enumerate() {
            self.digit(word, digit);
            if place > 0 {
                self.op(OP_ADD);
            }
        }
        self
    }

    /// `→ flag`: whether the instruction, if its opcode is that of the class, is one.
    pub fn completes(&mut self, class: Class) -> &mut Self {
        match class {
            Class::Lui | Class::Auipc | Class::Jal => self.push(1),
            Class::Jalr | Class::Fence => self.funct3().is(0),
            Class::Branch => self.funct3().is_in(2..4).op(OP_NOT),
            Class::Load => self.funct3().op(OP_DUP).is_in(0..6).op(OP_SWAP).push(3).op(OP_NUMNOTEQUAL).op(OP_BOOLAND),
            Class::Store => self.funct3().is_in(0..3),
            Class::Immediate => {
                // No shift, or one whose other seven bits are zero, or SRAI.
                self.funct3().op(OP_DUP).is(5).op(OP_SWAP).op(OP_OVER).op(OP_SWAP).is(1).op(OP_BOOLOR).op(OP_NOT);
                self.funct7_is(0).op(OP_BOOLOR).op(OP_SWAP).funct7_is(0x20).op(OP_BOOLAND).op(OP_BOOLOR)
            }
            Class::Register => {
                self.funct3().op(OP_DUP).is(0).op(OP_SWAP).is(5).op(OP_BOOLOR).funct7_is(0x20).op(OP_BOOLAND);
                self.top_byte().is_in(0..4).op(OP_BOOLOR)
            }
            Class::System => {
                // The opcode's upper digit is 7, or 15 with a bit of rd.
                self.digit_sum(INSTRUCTION, [7, 6, 4, 3, 2, 1]).is(7).digit(INSTRUCTION, 5).is_in(0..2).op(OP_BOOLAND)
            }
            Class::Unhash => self.funct3().digit_sum(INSTRUCTION, [7, 6, 5]).op(OP_ADD).is(0),
            Class::Input => self.digit_sum(INSTRUCTION, [4, 3]).is(0),
        }
    }

    /// `→ flag`: whether an instruction of the class cannot be executed; of [`Class::System`], whether it is not ECALL.
    pub fn traps(&mut self, class: Class, code: &Range<u32>) -> &mut Self {
        match class {
            Class::Load | Class::Store => {
                // The width is 1, or 2 and the address odd, or 4 and the address no multiple of 4.
                self.traps_with(class, 0, code).digit(ADDRESS, 0).without_bit(3).without_bit(2);
                self.funct3().without_bit(2).op(OP_DUP).is(2).op(OP_SWAP).is(1).digit(ADDRESS, 0).parity();
                self.op(OP_BOOLAND).op(OP_BOOLOR).op(OP_BOOLAND).op(OP_BOOLOR)
            }
            Class::Unhash => {
                self.digit_sum(RS1, 2..DIGITS).op(OP_0NOTEQUAL).digits(RS1, [1, 0]).push(24);
                self.op(OP_GREATERTHANOREQUAL).op(OP_BOOLOR)
            }
            Class::Input => {
                let words = i64::from(super::INPUTS);
                self.digits(INSTRUCTION, [7, 6, 5]).push(words).op(OP_GREATERTHANOREQUAL)
            }
            Class::System => self.digit(INSTRUCTION, 5),
            _ => self.push(0),
        }
    }

    /// `→ flag`: whether a load or store of this width, 2^log bytes, cannot be executed.
    pub fn traps_with(&mut self, class: Class, log: u32, code: &Range<u32>) -> &mut Self {
        self.digit_sum(ADDRESS, 3..DIGITS).is(15 * 5);
        match log {
            0 => {}
            1 => {
                self.digit(ADDRESS, 0).parity().op(OP_BOOLOR);
            }
            _ => {
                self.digit(ADDRESS, 0).without_bit(3).without_bit(2).op(OP_BOOLOR);
            }
        }
        match class {
            Class::Store => self.in_code(ADDRESS, code).op(OP_BOOLOR),
            _ => self,
        }
    }

    /// Goes on if the step executes an instruction of the class; of [`Class::System`], ECALL.
    pub fn verify_executes(&mut self, class: Class, code: &Range<u32>) -> &mut Self {
        self.verify_fetchable(code).verify_could_execute(class, code)
    }

    /// Goes on if the step does, with an instruction of the class, which is no jump.
    pub fn verify_goes_on(&mut self, class: Class, code: &Range<u32>) -> &mut Self {
        self.verify_moves().verify_could_execute(class, code)
    }

    /// Goes on if the step executes an instruction of the class if there is code at pc; of [`Class::System`], ECALL.
    fn verify_could_execute(&mut self, class: Class, code: &Range<u32>) -> &mut Self {
        self.verify_opcode(class);
        if !matches!(class, Class::Lui | Class::Auipc | Class::Jal) {
            self.completes(class).verify();
        }
        if matches!(class, Class::Load | Class::Store | Class::Unhash | Class::Input | Class::System) {
            self.traps(class, code).op(OP_NOT).verify();
        }
        self
    }

    /// `→ number`: zero if and only if rd is x0.
    pub fn rd(&mut self) -> &mut Self {
        self.digit(INSTRUCTION, 1).push(8).op(OP_GREATERTHANOREQUAL).digit(INSTRUCTION, 2).op(OP_ADD)
    }
}
