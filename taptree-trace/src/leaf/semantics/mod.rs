//! The disproof leaves that judge one step by what was signed about it: whether the words that the operator says it read
//! give the words that it says it wrote, and the halt.
//!
//! Each leaf is one [`Semantics`], and states what the operator lied about if it can be satisfied
//! ([`Disproof::lie`](super::Disproof::lie)).
//! Three rules make the set of them sound and complete:
//!
//! - **A halt is judged by the last state alone**, the rest by a step that goes on. A step that halts writes what is
//!   there already (`trestle_zkvm_adapter::opening`), of which no more is said here than that x0 is zero and that what
//!   is not stored to stays ([`Semantics::Zero`], [`Semantics::Keep`]). Every other leaf that judges a value or a next
//!   pc shows first that the step *executes*: code is at pc, the whole word is one of the leaf's instructions, and none
//!   of its traps is there. Instead of the first, a leaf about a value shows that the next pc is another than pc
//!   ([`Class::goes_on`]), unless a jump may go where it is. Leaves that say "this must reject" need no such guard: where no code is at pc the step
//!   rejects anyway.
//! - **What a word says is read from the word.** No leaf takes the disprover's word for a class: opcode, funct3 and funct7
//!   are compared to constants, so a leaf of one instruction is refused for the words of every other.
//! - **A step from a halted state is judged like any other.** It is opened as the ECALL or EBREAK of a machine that has
//!   nothing else in memory (`trestle_zkvm_adapter::opening`), which halts as the state says. So no leaf has to read
//!   the state before.

mod alu;
mod arithmetic;
mod class;
mod guard;
mod judge;
mod leaf;
mod memory;
mod product;
mod refute;
mod unhash;
mod verdict;

use std::ops::Range;

use trestle_rollup::Digest;
use trestle_zkvm_adapter::InputWords;
use trestle_zkvm_adapter::instruction::{Alu, Condition, Width};
use trestle_zkvm_adapter::opening::{Commitment, Words};

pub use class::{Class, EBREAK, ECALL};

use crate::lane::LaneConstants;

/// How many words INPUT reads.
const INPUTS: u32 = trestle_zkvm_adapter::INPUT_WORDS as u32;

/// A leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Semantics {
    /// The machine has accepted, but not by an ECALL.
    AcceptsWrongly,
    /// The machine has rejected, but executes an instruction of the class.
    RejectsWrongly(Class),
    /// There is no code at pc, and the machine has not rejected.
    Fetch,
    /// The opcode is none, and the machine has not rejected.
    UnknownOpcode,
    /// The word has the opcode of the class and is no instruction, and the machine has not rejected.
    Unknown(Class),
    /// An instruction of the class cannot be executed, and the machine has not rejected. Of [`Class::System`]: EBREAK.
    Traps(Class),
    /// An ECALL, and the machine has not accepted.
    Ecall,
    /// The address is not what an instruction of the class gives.
    Address(Class),
    /// The address is not zero, and the step has none.
    NoAddress,
    /// The next pc is not pc + 4, with an instruction of the class.
    NextPc(Class),
    /// The next pc is not what a branch gives.
    Branch(Condition),
    /// What is written to x0 is not zero.
    Zero,
    /// The value is not that of an instruction of the class: [`Class::Lui`], [`Class::Auipc`], or the return address of
    /// [`Class::Jal`] and [`Class::Jalr`].
    Value(Class),
    /// The value is not what is loaded.
    Load(Width, /** Whether the sign is extended. */ bool),
    /// The part of the value that is stored is not what rs2 has.
    Store(Width),
    /// The part of the value that is not stored is not what was there. The width is not [`Width::Word`].
    Keep(Width),
    /// The value is not what is computed from a register and an immediate.
    Immediate(Alu),
    /// The value is not what is computed from two registers.
    Register(Alu),
    /// The value is not the word of the lane that INPUT reads.
    Input(Source),
    /// The value is not the word of the preimage that UNHASH reads.
    Unhash,
}

/// Where INPUT's words come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Words 0–7, `block.previous.hash`.
    PreviousHash,
    /// Words 8–15, `block.previous.root`.
    PreviousRoot,
    /// Words 16–23, `block.next.hash`.
    NextHash,
    /// Words 24–31, `block.next.root`.
    NextRoot,
    /// Word 32, one more than `block.index`.
    Index,
    /// Word 33, N of the claim.
    Claimed,
    /// Word 34, the claim's 32 bits.
    BlockHashPrefix,
    /// Words 35–37: the slot and K, constants of a lane.
    Lane,
}

/// What an operator has signed that these leaves read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Message step.log.
    pub words: Words,
    /// Message step.leaf.
    pub leaf: Digest,
    /// Message step.after.
    pub after: Commitment,
    /// INPUT's words: the messages of the block opening, the claim, and constants of the lane.
    pub inputs: InputWords,
}

/// A preimage of C: m and b.
pub type Preimage = (Digest, [u8; 64]);

impl Source {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::PreviousHash,
        Self::PreviousRoot,
        Self::NextHash,
        Self::NextRoot,
        Self::Index,
        Self::Claimed,
        Self::BlockHashPrefix,
        Self::Lane,
    ];

    /// Which of INPUT's words.
    #[must_use]
    pub const fn words(self) -> Range<u32> {
        match self {
            Self::PreviousHash => 0..8,
            Self::PreviousRoot => 8..16,
            Self::NextHash => 16..24,
            Self::NextRoot => 24..32,
            Self::Index => 32..33,
            Self::Claimed => 33..34,
            Self::BlockHashPrefix => 34..35,
            Self::Lane => 35..38,
        }
    }
}

impl Semantics {
    /// All of them, in the order in which they stand in a tree.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let computed = [Alu::Add, Alu::Slt, Alu::Sltu, Alu::Xor, Alu::Or, Alu::And, Alu::Sll, Alu::Srl, Alu::Sra];
        let registers =
            [Alu::Sub, Alu::Mul, Alu::Mulh, Alu::Mulhsu, Alu::Mulhu, Alu::Div, Alu::Divu, Alu::Rem, Alu::Remu];
        let always = [Class::Lui, Class::Auipc, Class::Jal];
        let conditions = [Condition::Eq, Condition::Ne, Condition::Lt, Condition::Ge, Condition::Ltu, Condition::Geu];
        let branch_or_ecall = [Class::Branch, Class::System];
        let loads = [
            (Width::Byte, true),
            (Width::Half, true),
            (Width::Word, false),
            (Width::Byte, false),
            (Width::Half, false),
        ];
        let classes = || Class::ALL.into_iter();
        let mut all = vec![Self::AcceptsWrongly];
        // An ECALL that has rejected has not accepted.
        all.extend(classes().filter(|class| *class != Class::System).map(Self::RejectsWrongly));
        all.extend([Self::Fetch, Self::UnknownOpcode]);
        all.extend(classes().filter(|class| !always.contains(class)).map(Self::Unknown));
        all.extend([Class::Load, Class::Store, Class::System, Class::Unhash, Class::Input].map(Self::Traps));
        all.push(Self::Ecall);
        all.extend([Class::Load, Class::Store, Class::Unhash].map(Self::Address));
        all.push(Self::NoAddress);
        all.extend(classes().filter(|class| !branch_or_ecall.contains(class)).map(Self::NextPc));
        all.extend(conditions.map(Self::Branch));
        all.push(Self::Zero);
        all.extend([Class::Lui, Class::Auipc, Class::Jal, Class::Jalr].map(Self::Value));
        all.extend(loads.map(|(width, signed)| Self::Load(width, signed)));
        all.extend([Width::Byte, Width::Half, Width::Word].map(Self::Store));
        all.extend([Width::Byte, Width::Half].map(Self::Keep));
        all.extend(computed.map(Self::Immediate));
        all.extend(computed.map(Self::Register));
        all.extend(registers.map(Self::Register));
        all.extend(Source::ALL.map(Self::Input));
        all.push(Self::Unhash);
        all
    }
}

/// INPUT's words 35–37: the slot's six bytes and two zeros, and K.
fn lane_words(constants: &LaneConstants) -> [u32; 3] {
    let [a, b, c, d, e, f] = constants.slot;
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, 0, 0]), u32::from(constants.confirmations)]
}
