//! What a leaf takes of a transaction and of Bitcoin's limits.

use bitcoin::blockdata::opcodes::all::*;
use bitcoin::script::Instruction;
use bitcoin::{Opcode, Script, VarInt};

use super::{Disproof, LeafError, script};
use crate::lane::Lane;

/// The size of a leaf, and of what spends it at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes of the script.
    pub script: usize,
    /// Weight units of the witness, at most: items, script and control block with their lengths. The rest of the input, and
    /// of its transaction, is not counted.
    pub witness: usize,
    /// Items of the witness, script and control block excluded.
    pub items: usize,
    /// The most items on both stacks together. Bitcoin allows 1,000.
    pub peak: usize,
}

/// Bytes of a signature that commits to everything, without a byte for that.
const SIGNATURE: usize = 64;
/// Bytes of a link.
const LINK: usize = 20;
/// Bytes of a digit.
const DIGIT: usize = 1;
/// Bytes of an unsigned item at most: a place or a digit has one, an index of UNHASH's preimage, which is below
/// 16 + 192, has two from 128 on.
const HINT: usize = 2;

impl Size {
    /// The greater of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            script: self.script.max(other.script),
            witness: self.witness.max(other.witness),
            items: self.items.max(other.items),
            peak: self.peak.max(other.peak),
        }
    }

    /// The size of a leaf so many levels below the root of its tree.
    ///
    /// # Errors
    /// If the lane has no key for something that the leaf reads.
    pub fn of(leaf: &dyn Disproof, lane: &Lane, depth: usize) -> Result<Self, LeafError> {
        let script = script(leaf, lane)?;
        let digits: usize = leaf.reads().iter().map(|id| id.layout().signed_digits()).sum();
        let items = leaf.hint_count() + 2 * digits + 1;
        let with_length = |bytes: usize| VarInt::from(bytes).size() + bytes;
        let witness = VarInt::from(items + 2).size()
            + leaf.hint_count() * with_length(HINT)
            + digits * (with_length(LINK) + with_length(DIGIT))
            + with_length(SIGNATURE)
            + with_length(script.len())
            + with_length(33 + 32 * depth);
        Ok(Self { script: script.len(), witness, items, peak: peak(&script, items) })
    }
}

/// The most items on both stacks while a script runs, whose conditionals leave stacks of the same height whichever branch
/// is taken.
fn peak(script: &Script, items: usize) -> usize {
    let (mut height, mut peak) = (items, items);
    let mut branches = Vec::new();
    for instruction in script.instructions().filter_map(Result::ok) {
        match instruction {
            Instruction::PushBytes(_) => height += 1,
            Instruction::Op(opcode) => {
                let (takes, gives) = effect(opcode);
                height = (height + gives).saturating_sub(takes);
                match opcode {
                    OP_IF | OP_NOTIF => branches.push(height),
                    OP_ELSE => height = branches.last().copied().unwrap_or(height),
                    OP_ENDIF => drop(branches.pop()),
                    _ => {}
                }
            }
        }
        peak = peak.max(height);
    }
    peak
}

/// How many items an opcode takes from both stacks together, and how many it gives.
const fn effect(opcode: Opcode) -> (usize, usize) {
    match opcode {
        OP_DUP | OP_OVER | OP_TUCK | OP_SIZE | OP_DEPTH | OP_PUSHNUM_NEG1 => (0, 1),
        OP_2DUP | OP_2OVER => (0, 2),
        OP_3DUP => (0, 3),
        OP_DROP | OP_NIP | OP_ROLL | OP_VERIFY | OP_IF | OP_NOTIF | OP_CHECKSIG | OP_EQUAL => (1, 0),
        OP_ADD
        | OP_SUB
        | OP_MIN
        | OP_MAX
        | OP_BOOLAND
        | OP_BOOLOR
        | OP_NUMEQUAL
        | OP_NUMNOTEQUAL
        | OP_LESSTHAN
        | OP_GREATERTHAN
        | OP_LESSTHANOREQUAL
        | OP_GREATERTHANOREQUAL => (1, 0),
        OP_2DROP | OP_EQUALVERIFY | OP_NUMEQUALVERIFY | OP_CHECKSIGVERIFY | OP_WITHIN => (2, 0),
        _ if opcode.to_u8() >= 0x51 && opcode.to_u8() <= 0x60 => (0, 1),
        _ => (0, 0),
    }
}
