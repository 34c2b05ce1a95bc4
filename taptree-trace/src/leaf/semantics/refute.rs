//! When each leaf can be satisfied.

use trestle_rollup::compress;
use trestle_zkvm_adapter::layout::{HALT_ACCEPT, HALT_REJECT, KEY_ADDRESS};
use trestle_zkvm_adapter::opening::{Words, commitment};
use trestle_zkvm_adapter::step::word_of;

use super::class::{alu_bits, condition_bits, fetchable, funct3, funct7, load_bits, rd};
use super::{Class, EBREAK, Preimage, Semantics, Signed};
use crate::lane::LaneConstants;

impl Semantics {
    /// Whether the leaf can be satisfied by somebody who holds the operator's signatures, and who knows a preimage, or
    /// none.
    #[must_use]
    pub fn is_refuted(self, signed: &Signed, constants: &LaneConstants, preimage: Option<&Preimage>) -> bool {
        let Signed { words, leaf, after, inputs } = signed;
        let Words { pc, instruction: word, rs1, rs2, address, value, next_pc } = *words;
        let code = &constants.code;
        let executes = |class: Class| class.executes(words, code);
        let goes_on = |class: Class| class.goes_on(words, code);
        let writes = |class| goes_on(class) && rd(word) != 0;
        let accepted = *after == commitment(&HALT_ACCEPT);
        let rejected = *after == commitment(&HALT_REJECT);
        match self {
            Self::AcceptsWrongly => accepted && !executes(Class::System),
            Self::RejectsWrongly(class) => rejected && executes(class),
            Self::Fetch => !rejected && !fetchable(pc, code),
            Self::UnknownOpcode => !rejected && !Class::ALL.into_iter().any(|class| class.has(word)),
            Self::Unknown(class) => !rejected && class.has(word) && !class.completes(word),
            Self::Traps(Class::System) => !rejected && word == EBREAK,
            Self::Traps(class) => !rejected && class.has(word) && class.completes(word) && class.traps(words, code),
            Self::Ecall => !accepted && executes(Class::System),
            Self::Address(class) => {
                fetchable(pc, code) && class.has(word) && class.completes(word) && address != address_of(class, words)
            }
            Self::NoAddress => {
                let has = |class: Class| class.has(word) && class.completes(word);
                address != 0
                    && !(fetchable(pc, code) && [Class::Load, Class::Store, Class::Unhash].into_iter().any(has))
            }
            Self::NextPc(class) => executes(class) && next_pc != next_pc_of(class, words),
            Self::Branch(condition) => {
                let taken =
                    if condition.holds(rs1, rs2) { pc.wrapping_add(branch_offset(word)) } else { pc.wrapping_add(4) };
                executes(Class::Branch) && funct3(word) == condition_bits(condition) && next_pc != taken
            }
            Self::Zero => {
                let to_zero = rd(word) == 0 || Class::Branch.has(word) || Class::Fence.has(word);
                value != 0 && !Class::Store.has(word) && to_zero
            }
            Self::Value(Class::Lui) => writes(Class::Lui) && value != word & 0xffff_f000,
            Self::Value(Class::Auipc) => writes(Class::Auipc) && value != pc.wrapping_add(word & 0xffff_f000),
            Self::Value(class) => executes(class) && rd(word) != 0 && value != pc.wrapping_add(4),
            Self::Load(width, signed) => {
                writes(Class::Load)
                    && funct3(word) == load_bits(width, signed)
                    && value != width.extract(word_of(leaf, address), address, signed)
            }
            Self::Store(width) => {
                goes_on(Class::Store)
                    && funct3(word) == load_bits(width, true)
                    && value != width.merge(value, address, rs2)
            }
            Self::Keep(width) => {
                let kept = |word: u32| {
                    if address.is_multiple_of(width.bytes()) { width.merge(word, address, 0) } else { word }
                };
                Class::Store.has(word)
                    && funct3(word) == load_bits(width, true)
                    && kept(value) != kept(word_of(leaf, address))
            }
            Self::Immediate(alu) => {
                let (bits3, bits7) = alu_bits(alu);
                let is_shift = bits3 & 3 == 1;
                let is_it = funct3(word) == bits3 && (!is_shift || funct7(word) == bits7);
                let operand = (word as i32 >> 20) as u32;
                writes(Class::Immediate) && is_it && value != alu.compute(rs1, operand)
            }
            Self::Register(alu) => {
                writes(Class::Register)
                    && (funct3(word), funct7(word)) == alu_bits(alu)
                    && value != alu.compute(rs1, rs2)
            }
            Self::Input(source) => {
                let said = inputs.get((word >> 20) as usize);
                writes(Class::Input)
                    && source.words().contains(&(word >> 20))
                    && said.is_some_and(|said| value != *said)
            }
            Self::Unhash => {
                let right = preimage.filter(|(m, b)| compress(m, b) == *leaf);
                let said = right.and_then(|(m, b)| m.as_chunks().0.iter().chain(b.as_chunks().0).nth(rs1 as usize));
                writes(Class::Unhash) && said.is_some_and(|said| value != u32::from_le_bytes(*said))
            }
        }
    }
}

/// What a load or a store says it accesses; the key's address.
const fn address_of(class: Class, words: &Words) -> u32 {
    let word = words.instruction as i32;
    match class {
        Class::Store => words.rs1.wrapping_add((word >> 25 << 5) as u32 | rd(words.instruction)),
        Class::Unhash => KEY_ADDRESS,
        _ => words.rs1.wrapping_add((word >> 20) as u32),
    }
}

/// Where an instruction that is no branch goes on.
const fn next_pc_of(class: Class, words: &Words) -> u32 {
    let word = words.instruction;
    match class {
        Class::Jal => {
            let high = (word as i32 >> 31 << 20) as u32 | word & 0xf_f000;
            words.pc.wrapping_add(high | word >> 9 & 0x800 | word >> 20 & 0x7fe)
        }
        Class::Jalr => words.rs1.wrapping_add((word as i32 >> 20) as u32) & !1,
        _ => words.pc.wrapping_add(4),
    }
}

/// How far a branch goes.
const fn branch_offset(word: u32) -> u32 {
    (word as i32 >> 31 << 12) as u32 | (word & 0x80) << 4 | word >> 20 & 0x7e0 | word >> 7 & 0x1e
}
