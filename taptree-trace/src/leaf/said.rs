//! What was signed, as a leaf's native mirror reads it.

use trestle_rollup::Digest;
use trestle_zkvm_adapter::opening::Words;

use crate::lane::{LaneConstants, MessageId, Statements};
use crate::ots::Message;

/// What there is to judge by.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// What the operator has signed.
    pub statements: &'a Statements,
    /// What nobody has to sign.
    pub constants: &'a LaneConstants,
    /// m and b with C(m, b) = the opened memory leaf, if whoever disputes knows them: what UNHASH reads.
    pub preimage: Option<&'a (Digest, [u8; 64])>,
}

/// Which node an operator has opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Whose path, as its number in `trestle_zkvm_adapter::opening::Access`.
    pub access: u8,
    /// The node's level.
    pub level: u64,
    /// 1 if it is its parent's right child.
    pub direction: u8,
}

impl Said<'_> {
    /// What the operator has signed.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<Message> {
        self.statements.message(id).cloned()
    }

    /// The digits of a message, checksum excluded.
    #[must_use]
    pub fn digits(&self, id: MessageId) -> Option<Vec<u8>> {
        Some(self.message(id)?.digits().to_vec())
    }

    /// The bytes of a message's first field; a cut digest has 24, a digest 32.
    #[must_use]
    pub fn bytes(&self, id: MessageId) -> Option<Vec<u8>> {
        Some(self.message(id)?.field(0))
    }

    /// The first field of a message, as a number: an index, or N of the claim.
    #[must_use]
    pub fn number(&self, id: MessageId) -> Option<u64> {
        Some(self.bytes(id)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A message that is a whole digest.
    #[must_use]
    pub fn digest(&self, id: MessageId) -> Option<Digest> {
        self.bytes(id)?.try_into().ok()
    }

    /// Which node was opened.
    #[must_use]
    pub fn position(&self, id: MessageId) -> Option<Position> {
        match *self.message(id)?.digits() {
            [access, high, low, direction] => {
                Some(Position { access, level: u64::from(high) << 4 | u64::from(low), direction })
            }
            _ => None,
        }
    }

    /// The words of the opened step.
    #[must_use]
    pub fn words(&self) -> Option<Words> {
        let log = self.message(MessageId::StepLog)?;
        let word = |field| Some(u32::from_be_bytes(log.field(field).try_into().ok()?));
        Some(Words {
            pc: word(0)?,
            instruction: word(1)?,
            rs1: word(2)?,
            rs2: word(3)?,
            address: word(4)?,
            value: word(5)?,
            next_pc: word(6)?,
        })
    }
}
