//! What each leaf shows about the digits that its signatures leave: the mirror in Script of `refute`.

use std::ops::Range;

use bitcoin::opcodes::all::*;
use trestle_rollup::Digest;
use trestle_zkvm_adapter::instruction::Condition;
use trestle_zkvm_adapter::layout::{HALT_ACCEPT, HALT_REJECT, KEY_ADDRESS};
use trestle_zkvm_adapter::opening::commitment;

use super::alu::Operand;
use super::class::{alu_bits, condition_bits, load_bits};
use super::judge::{ADDRESS, DIGITS, INSTRUCTION, Judge, NEXT_PC, PC, RS1, RS2, VALUE, Word};
use super::{Class, Semantics};
use crate::lane::LaneConstants;

impl Judge {
    /// Goes on if and only if the leaf refutes what the digits say; of UNHASH only if it goes on, and not to x0.
    pub fn verdict(&mut self, leaf: Semantics, constants: &LaneConstants) -> &mut Self {
        let code = &constants.code;
        match leaf {
            Semantics::AcceptsWrongly => {
                self.verify_halted(&HALT_ACCEPT);
                self.fetchable(code).is_ecall().op(OP_BOOLAND).op(OP_NOT)
            }
            Semantics::RejectsWrongly(class) => return self.verify_halted(&HALT_REJECT).verify_executes(class, code),
            Semantics::Fetch => self.fetchable(code).op(OP_NOT).verify().is_not_halted(&HALT_REJECT),
            Semantics::UnknownOpcode => {
                self.opcode();
                for class in Class::ALL {
                    self.op(OP_DUP).push(i64::from(class.opcode())).op(OP_NUMNOTEQUAL).verify();
                }
                self.op(OP_DROP).is_not_halted(&HALT_REJECT)
            }
            Semantics::Unknown(class) => {
                self.verify_opcode(class).completes(class).op(OP_NOT).verify().is_not_halted(&HALT_REJECT)
            }
            Semantics::Traps(class) => {
                self.verify_opcode(class).completes(class).verify();
                self.traps(class, code).verify().is_not_halted(&HALT_REJECT)
            }
            Semantics::Ecall => self.verify_executes(Class::System, code).is_not_halted(&HALT_ACCEPT),
            Semantics::Address(class) => {
                self.verify_fetchable(code).verify_opcode(class).completes(class).verify().address_differs(class)
            }
            Semantics::NoAddress => {
                self.digit_sum(ADDRESS, 0..DIGITS).verify();
                for class in [Class::Load, Class::Store, Class::Unhash] {
                    self.has(class).completes(class).op(OP_BOOLAND);
                }
                self.op(OP_BOOLOR).op(OP_BOOLOR).fetchable(code).op(OP_BOOLAND).op(OP_NOT)
            }
            Semantics::NextPc(class) => self.verify_executes(class, code).next_pc_differs(class),
            Semantics::Branch(condition) => {
                self.verify_fetchable(code).verify_opcode(Class::Branch).verify_funct3(condition_bits(condition));
                self.holds(condition).branch_differs()
            }
            Semantics::Zero => {
                self.opcode().op(OP_DUP).push(i64::from(Class::Store.opcode())).op(OP_NUMNOTEQUAL).verify();
                self.op(OP_DUP).is(i64::from(Class::Branch.opcode())).op(OP_SWAP).is(i64::from(Class::Fence.opcode()));
                self.op(OP_BOOLOR).rd().op(OP_NOT).op(OP_BOOLOR).verify().digit_sum(VALUE, 0..DIGITS)
            }
            Semantics::Value(Class::Lui) => self.verify_goes_on(Class::Lui, code).rd().verify().lui_differs(),
            Semantics::Value(Class::Auipc) => {
                self.verify_goes_on(Class::Auipc, code).rd().verify();
                self.digit(INSTRUCTION, 3).double(12).digits(INSTRUCTION, (4..DIGITS).rev());
                self.sum_differs(&[(1, PC), (-1, VALUE)])
            }
            // Jumps may go where they are.
            Semantics::Value(class) => self.verify_executes(class, code).rd().verify().differs_by(VALUE, PC, 4),
            Semantics::Load(width, signed) => {
                self.verify_accesses(Class::Load, load_bits(width, signed), code).rd().verify();
                self.loaded_differs(width, signed)
            }
            Semantics::Store(width) => {
                self.verify_accesses(Class::Store, load_bits(width, true), code).stored_differs(width)
            }
            Semantics::Keep(width) => {
                self.verify_opcode(Class::Store).verify_funct3(load_bits(width, true)).kept_differs(width)
            }
            Semantics::Input(source) => {
                self.verify_goes_on(Class::Input, code).rd().verify().input_differs(source, constants)
            }
            Semantics::Immediate(alu) => {
                let (funct3, funct7) = alu_bits(alu);
                self.verify_moves().verify_opcode(Class::Immediate).verify_funct3(funct3);
                if funct3 & 3 == 1 {
                    self.funct7_is(funct7).verify();
                }
                self.rd().verify().computed_differs(alu, Operand::Immediate)
            }
            Semantics::Register(alu) => {
                let (funct3, funct7) = alu_bits(alu);
                self.verify_moves().verify_opcode(Class::Register).verify_funct3(funct3);
                self.funct7_is(funct7).verify().rd().verify().computed_differs(alu, Operand::Register)
            }
            // The rest is `unhash`'s.
            Semantics::Unhash => self.verify_goes_on(Class::Unhash, code).rd(),
        }
        .verify()
    }

    /// Goes on if the step does, with a load or store with this funct3.
    fn verify_accesses(&mut self, class: Class, funct3: u32, code: &Range<u32>) -> &mut Self {
        self.verify_moves().verify_opcode(class).verify_funct3(funct3);
        self.traps_with(class, funct3 & 3, code).op(OP_NOT).verify()
    }

    /// `→ flag`: whether the instruction is ECALL.
    fn is_ecall(&mut self) -> &mut Self {
        self.digit_sum(INSTRUCTION, 2..DIGITS).op(OP_NOT).digits(INSTRUCTION, [1, 0]).is(0x73).op(OP_BOOLAND)
    }

    /// Goes on if the state after is a halted one.
    fn verify_halted(&mut self, state: &Digest) -> &mut Self {
        for (place, digit) in digits(&commitment(state)).enumerate() {
            self.copy(self.place_of_other(place)).push(digit).op(OP_NUMEQUALVERIFY);
        }
        self
    }

    /// `→ flag`: whether the state after is another than a halted one.
    fn is_not_halted(&mut self, state: &Digest) -> &mut Self {
        for (place, digit) in digits(&commitment(state)).enumerate() {
            self.copy(self.place_of_other(place)).push(digit).op(OP_NUMNOTEQUAL);
            if place > 0 {
                self.op(OP_BOOLOR);
            }
        }
        self
    }

    /// `→ flag`: whether the address is not what the instruction gives.
    fn address_differs(&mut self, class: Class) -> &mut Self {
        match class {
            Class::Store => self.imm_s().push(0).sum_differs(&[(1, RS1), (-1, ADDRESS)]),
            Class::Unhash => self.differs_from(ADDRESS, KEY_ADDRESS),
            _ => self.imm_i().push(0).sum_differs(&[(1, RS1), (-1, ADDRESS)]),
        }
    }

    /// `→ flag`: whether the next pc is not what an instruction of the class, no branch, gives.
    fn next_pc_differs(&mut self, class: Class) -> &mut Self {
        match class {
            Class::Jal => self.imm_j().sum_differs(&[(1, PC), (-1, NEXT_PC)]),
            Class::Jalr => {
                // The sum's lowest bit is cleared: it is that of rs1 and of the immediate, together.
                self.digit(RS1, 0).parity().digit(INSTRUCTION, 5).parity().op(OP_NUMNOTEQUAL);
                self.imm_i().op(OP_SWAP).op(OP_SUB).push(0).sum_differs(&[(1, RS1), (-1, NEXT_PC)])
            }
            _ => self.differs_by(NEXT_PC, PC, 4),
        }
    }

    /// `→ flag`: whether a branch with this condition is taken.
    fn holds(&mut self, condition: Condition) -> &mut Self {
        match condition {
            Condition::Eq => self.is_equal(RS1, RS2),
            Condition::Ne => self.is_equal(RS1, RS2).op(OP_NOT),
            Condition::Lt => self.is_less(RS1, RS2, true),
            Condition::Ge => self.is_less(RS1, RS2, true).op(OP_NOT),
            Condition::Ltu => self.is_less(RS1, RS2, false),
            Condition::Geu => self.is_less(RS1, RS2, false).op(OP_NOT),
        }
    }

    /// `taken → flag`: whether the next pc is not where the branch goes.
    fn branch_differs(&mut self) -> &mut Self {
        let offset = |body: &mut Self| {
            body.imm_b();
        };
        let four = |body: &mut Self| {
            body.push(4);
        };
        self.either(offset, four).push(0).sum_differs(&[(1, PC), (-1, NEXT_PC)])
    }

    /// `→ flag`: whether the value is not LUI's: the instruction's upper five digits, and zeros.
    fn lui_differs(&mut self) -> &mut Self {
        self.digit_sum(VALUE, 0..3).op(OP_0NOTEQUAL);
        for digit in 3..DIGITS {
            self.digit(VALUE, digit).digit(INSTRUCTION, digit).op(OP_NUMNOTEQUAL).op(OP_BOOLOR);
        }
        self
    }

    /// `→ flag`: whether a word is not the constant.
    pub fn differs_from(&mut self, word: Word, constant: u32) -> &mut Self {
        for digit in 0..DIGITS {
            self.digit(word, digit).push(i64::from(constant >> (4 * digit) & 15)).op(OP_NUMNOTEQUAL);
            if digit > 0 {
                self.op(OP_BOOLOR);
            }
        }
        self
    }
}

/// The digits of bytes, as they are signed.
fn digits(bytes: &[u8]) -> impl Iterator<Item = i64> + '_ {
    bytes.iter().flat_map(|byte| [i64::from(byte >> 4), i64::from(byte & 15)])
}
