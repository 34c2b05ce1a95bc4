//! The opcodes of the machine, and which words each completes to an instruction.
//!
//! Nothing here calls the decoder of the machine: a leaf of Script reads bits, so its mirror does, and the tests compare
//! both with the machine.

use std::ops::Range;

use trestle_zkvm_adapter::instruction::{Alu, Condition, Width};
use trestle_zkvm_adapter::layout::TOP_PAGE;
use trestle_zkvm_adapter::opening::Words;

use super::INPUTS;

/// The instructions of one opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the ISA manual's, or the machine's own")]
pub enum Class {
    Lui,
    Auipc,
    Jal,
    Jalr,
    Branch,
    Load,
    Store,
    Immediate,
    Register,
    Fence,
    System,
    Unhash,
    Input,
}

/// ECALL's word.
pub const ECALL: u32 = 0x0000_0073;
/// EBREAK's word.
pub const EBREAK: u32 = 0x0010_0073;

/// Bits 14..12 of a word.
pub(super) const fn funct3(word: u32) -> u32 {
    word >> 12 & 7
}

/// Bits 31..25 of a word.
pub(super) const fn funct7(word: u32) -> u32 {
    word >> 25
}

/// Bits 11..7 of a word.
pub(super) const fn rd(word: u32) -> u32 {
    word >> 7 & 31
}

/// Whether code is at pc.
pub(super) fn fetchable(pc: u32, code: &Range<u32>) -> bool {
    pc.is_multiple_of(4) && code.contains(&pc)
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Lui,
        Self::Auipc,
        Self::Jal,
        Self::Jalr,
        Self::Branch,
        Self::Load,
        Self::Store,
        Self::Immediate,
        Self::Register,
        Self::Fence,
        Self::System,
        Self::Unhash,
        Self::Input,
    ];

    /// Bits 6..0 of its words.
    #[must_use]
    pub const fn opcode(self) -> u32 {
        match self {
            Self::Lui => 0x37,
            Self::Auipc => 0x17,
            Self::Jal => 0x6f,
            Self::Jalr => 0x67,
            Self::Branch => 0x63,
            Self::Load => 0x03,
            Self::Store => 0x23,
            Self::Immediate => 0x13,
            Self::Register => 0x33,
            Self::Fence => 0x0f,
            Self::System => 0x73,
            Self::Unhash => 0x0b,
            Self::Input => 0x2b,
        }
    }

    /// Whether a word has its opcode, instruction or not.
    #[must_use]
    pub const fn has(self, word: u32) -> bool {
        word & 0x7f == self.opcode()
    }

    /// Whether a word of its opcode is an instruction, by the other bits.
    #[must_use]
    pub const fn completes(self, word: u32) -> bool {
        let (funct3, funct7) = (funct3(word), funct7(word));
        match self {
            Self::Lui | Self::Auipc | Self::Jal => true,
            Self::Jalr | Self::Fence => funct3 == 0,
            Self::Branch => funct3 != 2 && funct3 != 3,
            Self::Load => funct3 != 3 && funct3 < 6,
            Self::Store => funct3 < 3,
            Self::Immediate => match funct3 {
                1 => funct7 == 0,
                5 => funct7 == 0 || funct7 == 0x20,
                _ => true,
            },
            Self::Register => funct7 < 2 || funct7 == 0x20 && (funct3 == 0 || funct3 == 5),
            Self::System => word == ECALL || word == EBREAK,
            Self::Unhash => funct3 == 0 && word >> 20 == 0,
            Self::Input => funct3 == 0 && word >> 15 & 31 == 0,
        }
    }

    /// Whether an instruction of the class, which the words are to have, cannot be executed with these words. The address
    /// is taken as signed.
    #[must_use]
    pub fn traps(self, words: &Words, code: &Range<u32>) -> bool {
        let Words { instruction, rs1, address, .. } = *words;
        match self {
            Self::Load | Self::Store => {
                let width = 1 << (funct3(instruction) & 3);
                let forbidden = !address.is_multiple_of(width) || address >= TOP_PAGE;
                forbidden || self == Self::Store && code.contains(&address)
            }
            Self::Unhash => rs1 >= 24,
            Self::Input => instruction >> 20 >= INPUTS,
            Self::System => instruction != ECALL,
            _ => false,
        }
    }

    /// Whether the words are those of a step that executes an instruction of the class; of [`Class::System`], ECALL.
    #[must_use]
    pub fn executes(self, words: &Words, code: &Range<u32>) -> bool {
        fetchable(words.pc, code) && self.could_execute(words, code)
    }

    /// Whether the words are those of a step that executes an instruction of the class, which is no jump, by where they say
    /// that it goes on.
    #[must_use]
    pub fn goes_on(self, words: &Words, code: &Range<u32>) -> bool {
        words.next_pc & 15 != words.pc & 15 && self.could_execute(words, code)
    }

    /// Whether the words are those of a step that executes an instruction of the class if there is code at pc.
    fn could_execute(self, words: &Words, code: &Range<u32>) -> bool {
        let word = words.instruction;
        self.has(word) && self.completes(word) && !self.traps(words, code)
    }
}

/// The bits that tell what is computed from what is not: funct3, and funct7 where it counts.
pub(super) const fn alu_bits(alu: Alu) -> (u32, u32) {
    match alu {
        Alu::Add => (0, 0),
        Alu::Sub => (0, 0x20),
        Alu::Sll => (1, 0),
        Alu::Slt => (2, 0),
        Alu::Sltu => (3, 0),
        Alu::Xor => (4, 0),
        Alu::Srl => (5, 0),
        Alu::Sra => (5, 0x20),
        Alu::Or => (6, 0),
        Alu::And => (7, 0),
        Alu::Mul => (0, 1),
        Alu::Mulh => (1, 1),
        Alu::Mulhsu => (2, 1),
        Alu::Mulhu => (3, 1),
        Alu::Div => (4, 1),
        Alu::Divu => (5, 1),
        Alu::Rem => (6, 1),
        Alu::Remu => (7, 1),
    }
}

/// funct3 of a branch.
pub(super) const fn condition_bits(condition: Condition) -> u32 {
    match condition {
        Condition::Eq => 0,
        Condition::Ne => 1,
        Condition::Lt => 4,
        Condition::Ge => 5,
        Condition::Ltu => 6,
        Condition::Geu => 7,
    }
}

/// funct3 of a load; of a store, as if the sign were extended.
pub(super) const fn load_bits(width: Width, signed: bool) -> u32 {
    match (width, signed) {
        (Width::Byte, true) => 0,
        (Width::Half, true) => 1,
        (Width::Word, _) => 2,
        (Width::Byte, false) => 4,
        (Width::Half, false) => 5,
    }
}
