//! **The step function.** It is the reference: whatever else executes the machine must agree with it on every step.
//!
//! A step reads, in this order: pc, the code word at pc, x\[rs1\], x\[rs2\], and one 32-byte leaf of memory; it writes one
//! word, then pc. Every instruction does all of that, needed or not, so that whoever judges a step has one form to
//! judge: rs1 and rs2 are the fields of the word even where an instruction has none, the leaf is the one at address 0
//! where nothing is loaded, stored or unhashed, and what writes no register writes zero to x0. [`Step`], the log of
//! these accesses, is the only output. The function is total: each state has a next one, or halts.

use std::ops::Range;

use trestle_rollup::Digest;

use crate::inputs::InputWords;
use crate::instruction::{Instruction, Width, rs1, rs2};
use crate::layout::{KEY_ADDRESS, LEAF_BYTES, PC, TOP_PAGE, register_address};

/// One leaf of the memory tree.
pub type Leaf = [u8; LEAF_BYTES];

/// A state to be read.
pub trait ReadMemory {
    /// The leaf in which the address lies.
    fn leaf(&self, address: u32) -> Leaf;

    /// The word in which the address lies.
    fn word(&self, address: u32) -> u32 {
        word_of(&self.leaf(address), address)
    }
}

/// Whoever knows preimages of C.
pub trait Preimages {
    /// `m` and `b` with `C(m, b) = digest`.
    fn preimage(&self, digest: &Digest) -> Option<(Digest, [u8; 64])>;
}

/// Nobody who knows any.
impl Preimages for () {
    fn preimage(&self, _: &Digest) -> Option<(Digest, [u8; 64])> {
        None
    }
}

/// The guest asked for a preimage that nobody knows. Such a step has a next state, but it cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("UNHASH at pc {pc:#010x}: nobody knows what {} is the compression of", hex(digest))]
pub struct UnknownDigest {
    /// Where the instruction is.
    pub pc: u32,
    /// What it asked for.
    pub digest: Digest,
}

/// What a run does not change.
#[derive(Clone, Copy)]
pub struct Constants<'a> {
    /// The addresses at which code is: fetched from there alone, never stored to.
    pub code: &'a Range<u32>,
    /// What INPUT reads.
    pub inputs: &'a InputWords,
    /// What UNHASH reads.
    pub preimages: &'a dyn Preimages,
}

/// The log of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The program counter.
    pub pc: u32,
    /// The word at pc, its lowest two bits cleared; instruction or not, code or not.
    pub instruction: u32,
    /// Register `instruction[19:15]`.
    pub rs1: u32,
    /// Register `instruction[24:20]`.
    pub rs2: u32,
    /// What was loaded from, stored to, or the key's address; 0 where the instruction has none, or is none.
    pub address: u32,
    /// The memory leaf in which `address` lies.
    pub leaf: Leaf,
    /// What came of it.
    pub effect: Effect,
}

/// What a step does to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It writes one word, then pc.
    Write {
        /// Where the word is: a register's address or an ordinary one; 4 divides it.
        address: u32,
        /// The whole word, also where a store changes only a part of it.
        value: u32,
        /// The next pc.
        next_pc: u32,
    },
    /// It writes nothing; the next state is [`HALT_ACCEPT`](crate::layout::HALT_ACCEPT) or
    /// [`HALT_REJECT`](crate::layout::HALT_REJECT).
    Halt(Halt),
}

/// How a machine halts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// ECALL.
    #[error("accept")]
    Accept,
    /// EBREAK, or something that the machine does not do.
    #[error("reject: {0}")]
    Reject(Trap),
}

/// Why a machine rejects. Only ever shown: the state is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trap {
    /// The program says so.
    #[error("EBREAK")]
    Ebreak,
    /// pc is not a multiple of 4, or not in the code.
    #[error("there is no code at pc {0:#010x}")]
    Fetch(u32),
    /// The word is no instruction of this machine.
    #[error("unknown instruction {0:#010x}")]
    Unknown(u32),
    /// A load or store at an address that its width does not divide.
    #[error("misaligned access at {0:#010x}")]
    Misaligned(u32),
    /// A load or store in the top page.
    #[error("access to the register page at {0:#010x}")]
    TopPage(u32),
    /// A store to the code.
    #[error("store to the code at {0:#010x}")]
    StoreToCode(u32),
    /// UNHASH of a word that a preimage does not have.
    #[error("UNHASH of word {0}")]
    UnhashIndex(u32),
    /// INPUT of a word that there is not.
    #[error("INPUT of word {0}")]
    InputIndex(u32),
}

/// One step of the machine.
///
/// # Errors
/// If UNHASH asks for what nobody knows.
pub fn step(memory: &impl ReadMemory, constants: &Constants<'_>) -> Result<Step, UnknownDigest> {
    let pc = memory.word(PC);
    let word = memory.word(pc & !3);
    let (a, b) = (memory.word(register_address(rs1(word))), memory.word(register_address(rs2(word))));
    let code = constants.code;
    let fetched = pc.is_multiple_of(4) && code.contains(&pc);
    let instruction = if fetched { Instruction::decode(word) } else { None };

    let address = match instruction {
        Some(Instruction::Load { imm, .. } | Instruction::Store { imm, .. }) => a.wrapping_add(imm),
        Some(Instruction::Unhash { .. }) => KEY_ADDRESS,
        _ => 0,
    };
    let leaf = memory.leaf(address);
    let old = word_of(&leaf, address);

    let next = pc.wrapping_add(4);
    let register = |rd, value| write(rd, value, next);
    let effect = match instruction {
        None if !fetched => trap(Trap::Fetch(pc)),
        None => trap(Trap::Unknown(word)),
        Some(Instruction::Lui { rd, imm }) => register(rd, imm),
        Some(Instruction::Auipc { rd, imm }) => register(rd, pc.wrapping_add(imm)),
        Some(Instruction::Jal { rd, imm }) => write(rd, next, pc.wrapping_add(imm)),
        Some(Instruction::Jalr { rd, imm }) => write(rd, next, a.wrapping_add(imm) & !1),
        Some(Instruction::Branch { condition, imm }) => {
            write(0, 0, if condition.holds(a, b) { pc.wrapping_add(imm) } else { next })
        }
        Some(Instruction::Load { width, signed, rd, .. }) => match forbidden(width, address) {
            Some(why) => trap(why),
            None => register(rd, width.extract(old, address, signed)),
        },
        Some(Instruction::Store { width, .. }) => match forbidden(width, address) {
            Some(why) => trap(why),
            None if code.contains(&address) => trap(Trap::StoreToCode(address)),
            None => Effect::Write { address: address & !3, value: width.merge(old, address, b), next_pc: next },
        },
        Some(Instruction::Immediate { alu, rd, imm }) => register(rd, alu.compute(a, imm)),
        Some(Instruction::Register { alu, rd }) => register(rd, alu.compute(a, b)),
        Some(Instruction::Fence) => register(0, 0),
        Some(Instruction::Ecall) => Effect::Halt(Halt::Accept),
        Some(Instruction::Ebreak) => trap(Trap::Ebreak),
        Some(Instruction::Unhash { rd }) => match a {
            0..24 => {
                let preimage = constants.preimages.preimage(&leaf);
                let (m, block) = preimage.ok_or(UnknownDigest { pc, digest: leaf })?;
                let words = m.as_chunks().0.iter().chain(block.as_chunks().0).nth(a as usize);
                register(rd, words.map_or(0, |word| u32::from_le_bytes(*word)))
            }
            _ => trap(Trap::UnhashIndex(a)),
        },
        Some(Instruction::Input { rd, index }) => match constants.inputs.get(index as usize) {
            Some(value) => register(rd, *value),
            None => trap(Trap::InputIndex(index)),
        },
    };
    Ok(Step { pc, instruction: word, rs1: a, rs2: b, address, leaf, effect })
}

/// A register's write; to x0 always zero.
const fn write(rd: u32, value: u32, next_pc: u32) -> Effect {
    Effect::Write { address: register_address(rd), value: if rd == 0 { 0 } else { value }, next_pc }
}

const fn trap(why: Trap) -> Effect {
    Effect::Halt(Halt::Reject(why))
}

/// Why nothing may be loaded or stored there.
const fn forbidden(width: Width, address: u32) -> Option<Trap> {
    if !address.is_multiple_of(width.bytes()) {
        Some(Trap::Misaligned(address))
    } else if address >= TOP_PAGE {
        Some(Trap::TopPage(address))
    } else {
        None
    }
}

/// The word of a leaf in which the address lies, little-endian.
#[must_use]
pub fn word_of(leaf: &Leaf, address: u32) -> u32 {
    leaf.as_chunks().0.get(address as usize % LEAF_BYTES / 4).map_or(0, |word| u32::from_le_bytes(*word))
}

impl Halt {
    /// The constant that stands for the halted state.
    #[must_use]
    pub const fn state(self) -> Digest {
        match self {
            Self::Accept => crate::layout::HALT_ACCEPT,
            Self::Reject(_) => crate::layout::HALT_REJECT,
        }
    }
}

/// Hex digits, lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
