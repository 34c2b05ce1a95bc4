//! Where an access is, as Script reads it off what was signed.

use bitcoin::opcodes::all::*;
use trestle_zkvm_adapter::layout::{LEAF_BYTES, LEVELS, PC, register_address};
use trestle_zkvm_adapter::opening::{Access, Words};

use super::body::Writer;
use super::{Frame, Said};
use crate::lane::MessageId;
use crate::ots::DIGIT_BITS;

/// An access, and for the write of a step to which kind of place: by the opcode alone, so that steps that halt have a
/// place, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// pc is read.
    Pc,
    /// The word at pc is read.
    Code,
    /// A register is read.
    Rs1,
    /// A register is read.
    Rs2,
    /// A leaf is read.
    Memory,
    /// A store (opcode 0x23) writes where its address is.
    Store,
    /// A branch or FENCE (opcodes 0x63 and 0x0f) writes to x0.
    Zero,
    /// Any other word writes to the register in its bits 11..7.
    Register,
    /// pc is written.
    WritePc,
}

/// Digits of a word.
const DIGITS: usize = 8;
/// The lowest bit of an address that tells leaves apart.
const LEAF_BIT: usize = LEAF_BYTES.trailing_zeros() as usize;
/// The bits that tell the words of a leaf apart.
const WORD_BITS: std::ops::Range<usize> = 2..LEAF_BIT;

impl Target {
    /// Those that are read.
    pub const READ: [Self; 5] = [Self::Pc, Self::Code, Self::Rs1, Self::Rs2, Self::Memory];
    /// Those that are written.
    pub const WRITTEN: [Self; 4] = [Self::Store, Self::Zero, Self::Register, Self::WritePc];

    /// What its leaves are called after.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pc => "pc",
            Self::Code => "code",
            Self::Rs1 => "rs1",
            Self::Rs2 => "rs2",
            Self::Memory => "memory",
            Self::Store => "store",
            Self::Zero => "x0",
            Self::Register => "rd",
            Self::WritePc => "next_pc",
        }
    }

    /// The access that it is.
    #[must_use]
    pub const fn access(self) -> Access {
        match self {
            Self::Pc => Access::Pc,
            Self::Code => Access::Code,
            Self::Rs1 => Access::Rs1,
            Self::Rs2 => Access::Rs2,
            Self::Memory => Access::Memory,
            Self::Store | Self::Zero | Self::Register => Access::Write,
            Self::WritePc => Access::WritePc,
        }
    }

    /// The position that was signed with its path.
    #[must_use]
    pub const fn position(self) -> MessageId {
        match self {
            Self::Pc | Self::Code | Self::Rs1 | Self::Rs2 | Self::Memory => MessageId::ReadPosition,
            Self::Store | Self::Zero | Self::Register | Self::WritePc => MessageId::WritePosition,
        }
    }

    /// Whether what was signed is about it.
    #[must_use]
    pub fn is_signed(self, said: &Said<'_>) -> Option<bool> {
        let access = said.position(self.position())?.access == self.access() as u8;
        let opcode = said.words()?.instruction & 0x7f;
        Some(access && (self.access() != Access::Write || self == Self::of_write(opcode)))
    }

    /// Where a step writes, by its opcode.
    const fn of_write(opcode: u32) -> Self {
        match opcode {
            0x23 => Self::Store,
            0x63 | 0x0f => Self::Zero,
            _ => Self::Register,
        }
    }

    /// The address, by the words that were signed.
    #[must_use]
    pub const fn address(self, words: &Words) -> u32 {
        match self {
            Self::Pc | Self::WritePc => PC,
            Self::Code => words.pc & !3,
            Self::Rs1 => register_of(words, 15),
            Self::Rs2 => register_of(words, 20),
            Self::Memory | Self::Store => words.address,
            Self::Zero => register_address(0),
            Self::Register => register_of(words, 7),
        }
    }

    /// Where each bit of the address is found.
    fn bit(self, bit: usize) -> Bit {
        let constant = |address: u32| Bit::Constant(address >> bit & 1 == 1);
        let register = |low: usize| match bit {
            2..7 => Bit::Of("instruction", low + bit - 2),
            _ => constant(register_address(0)),
        };
        match self {
            Self::Pc | Self::WritePc => constant(PC),
            Self::Code => Bit::Of("pc", bit),
            Self::Memory | Self::Store => Bit::Of("address", bit),
            Self::Zero => constant(register_address(0)),
            Self::Rs1 => register(15),
            Self::Rs2 => register(20),
            Self::Register => register(7),
        }
    }
}

const fn register_of(words: &Words, low: u32) -> u32 {
    register_address(words.instruction >> low)
}

/// A bit of an address.
#[derive(Clone, Copy)]
enum Bit {
    Constant(bool),
    /// Of a word of the log, counted from the lowest.
    Of(&'static str, usize),
}

impl Writer {
    /// `→`: fails unless what was signed is about the target.
    pub fn is_about(&mut self, target: Target, frame: &Frame) -> &mut Self {
        self.copy(frame.field(target.position(), "access").start).is(target.access() as i64);
        if target.access() != Access::Write {
            return self;
        }
        // The opcode is the lowest digit and the three lower bits of the next.
        let word = frame.field(MessageId::StepLog, "instruction");
        let opcodes: &[i64] = match target {
            Target::Store => &[0x23],
            Target::Zero => &[0x63, 0x0f],
            _ => &[0x23, 0x63, 0x0f],
        };
        self.copy(word.start + DIGITS - 2).lower_bits(3).double(4).copy(word.start + DIGITS - 1).add();
        let opcode = self.height() - 1;
        for opcode_is in opcodes {
            self.copy(opcode).push(*opcode_is).op(OP_NUMEQUAL, 2, 1);
        }
        for _ in opcodes.iter().skip(1) {
            self.op(OP_BOOLOR, 2, 1);
        }
        if target == Target::Register {
            self.op(OP_NOT, 1, 1);
        }
        self.op(OP_VERIFY, 1, 0).op(OP_DROP, 1, 0)
    }

    /// `digit → digit mod 2^bits`
    pub fn lower_bits(&mut self, bits: usize) -> &mut Self {
        (bits..DIGIT_BITS).rev().fold(self, |writer, bit| {
            writer.op(OP_DUP, 1, 2).push(1 << bit).op(OP_GREATERTHANOREQUAL, 2, 1).op(OP_IF, 1, 0);
            writer.push(1 << bit).op(OP_SUB, 2, 1).op(OP_ENDIF, 0, 0)
        })
    }

    /// `→ bit`, of the target's address.
    fn address_bit(&mut self, target: Target, bit: usize, frame: &Frame) -> &mut Self {
        match target.bit(bit) {
            Bit::Constant(value) => self.push(i64::from(value)),
            Bit::Of(word, at) => {
                let digit = frame.field(MessageId::StepLog, word).end - 1 - at / DIGIT_BITS;
                let at = at % DIGIT_BITS;
                self.copy(digit).lower_bits(at + 1).push(1 << at).op(OP_GREATERTHANOREQUAL, 2, 1)
            }
        }
    }

    /// `level → bit`: whether the node at this level, below 27, on the way to the target's address is a right child.
    pub fn is_right(&mut self, target: Target, frame: &Frame) -> &mut Self {
        self.below(LEVELS as i64).op(OP_TOALTSTACK, 1, 0);
        for level in (0..LEVELS).rev() {
            self.address_bit(target, LEAF_BIT + level, frame);
        }
        self.op(OP_FROMALTSTACK, 0, 1).op(OP_PICK, 1, 1).op(OP_TOALTSTACK, 1, 0);
        self.drop_many(LEVELS).op(OP_FROMALTSTACK, 0, 1)
    }

    /// `→ number`: which of the eight words of its leaf the target's address is.
    pub fn word_index(&mut self, target: Target, frame: &Frame) -> &mut Self {
        let (first, last) = (WORD_BITS.start, WORD_BITS.end - 1);
        self.address_bit(target, last, frame);
        (first..last).rev().fold(self, |writer, bit| writer.double(1).address_bit(target, bit, frame).add())
    }
}
