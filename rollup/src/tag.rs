//! Tags: the `OP_RETURN` output, at index 1, that says what a Bitcoin transaction does on the Layer 2.
//!
//! ```text
//! RETURN <bridge_tag[4] ‖ kind ‖ body>        one push, in the shortest form
//! 0 mint         account[32] ‖ signature[64]                      committee's, over `mint_message`
//! 1 payout       withdrawal u32 ‖ slot[6]
//! 2 cooperative  withdrawal u32
//! 3 admin        operation ‖ index ‖ key[32] ‖ signature[64]      committee's, over `admin_message`
//! ```
//!
//! The bridge tag only finds tags; what moves coins is signed over the whole instance, or pays a real output. Two
//! bridges whose tags collide (2^-32, or made on purpose by whoever chose the second one's parameters) could count
//! one payout twice only for a user who withdrew on both to one script: use fresh addresses.

use alloc::vec::Vec;

use crate::compress::{Digest, tagged_hash};
use crate::identifiers::{Account, OutPoint, SlotId, WithdrawalId};
use crate::wire::Reader;

/// The longest script of a tag, in bytes: an admin's.
pub const MAX_SCRIPT: usize = 3 + 4 + 1 + 98;

/// What a transaction's output 1 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Output 0 is a new vault, whose denomination goes to the account.
    Mint {
        /// Who is credited.
        account: Account,
        /// The committee's signature over [`mint_message`].
        signature: [u8; 64],
    },
    /// Output 0 pays a withdrawal on behalf of the slot's operator.
    Payout {
        /// Which withdrawal.
        withdrawal: WithdrawalId,
        /// Which slot is thereby fulfilled.
        slot: SlotId,
    },
    /// Output 0 pays a withdrawal on behalf of the committee.
    Cooperative {
        /// Which withdrawal.
        withdrawal: WithdrawalId,
    },
    /// The committee changes the operators.
    Admin {
        /// The change.
        operation: AdminOperation,
        /// The committee's signature over [`admin_message`].
        signature: [u8; 64],
    },
}

/// A change of the operators. Sequencers change by a [`Membership`](crate::Membership).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum AdminOperation {
    /// Adds an operator at the next index, or gives one another key; it is active afterwards.
    SetOperator {
        /// At most the number of operators so far.
        index: u8,
        /// Its x-only key, which no other operator has.
        key: [u8; 32],
    },
    /// Assigns an operator no more withdrawals. Its used slots stay claimable.
    RetireOperator {
        /// An active operator.
        index: u8,
    },
}

impl AdminOperation {
    /// The 34 bytes that are signed and tagged: operation ‖ index ‖ key, the key zero where there is none.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (operation, index, key) = match self {
            Self::SetOperator { index, key } => (0, *index, *key),
            Self::RetireOperator { index } => (1, *index, [0; 32]),
        };
        [&[operation, index], &key[..]].concat()
    }

    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let (operation, index, key): (_, _, [u8; 32]) = (from.u8()?, from.u8()?, from.array()?);
        match (operation, key == [0; 32]) {
            (0, false) => Some(Self::SetOperator { index, key }),
            (1, true) => Some(Self::RetireOperator { index }),
            _ => None,
        }
    }
}

/// What the committee signs for a mint: BIP 340's tagged hash, with the tag `Trestle/mint`, of instance ‖ outpoint of
/// input 0 ‖ account ‖ satoshis (`u64`, little-endian). An outpoint is spent once, so a signature mints once.
#[must_use]
pub fn mint_message(instance: &Digest, input: &OutPoint, account: &Account, denomination: u64) -> Digest {
    tagged_hash("Trestle/mint", &[instance, &input.to_bytes(), &account.0, &denomination.to_le_bytes()])
}

/// What the committee signs for an administrative change: BIP 340's tagged hash, with the tag `Trestle/admin`, of
/// instance ‖ outpoint of input 0 ‖ operation.
#[must_use]
pub fn admin_message(instance: &Digest, input: &OutPoint, operation: &AdminOperation) -> Digest {
    tagged_hash("Trestle/admin", &[instance, &input.to_bytes(), &operation.encode()])
}

impl Tag {
    /// The output script.
    #[must_use]
    pub fn script(&self, bridge_tag: [u8; 4]) -> Vec<u8> {
        let mut payload = bridge_tag.to_vec();
        match self {
            Self::Mint { account, signature } => {
                payload.push(0);
                payload.extend_from_slice(&account.0);
                payload.extend_from_slice(signature);
            }
            Self::Payout { withdrawal, slot } => {
                payload.push(1);
                payload.extend_from_slice(&withdrawal.0.to_le_bytes());
                payload.extend_from_slice(&slot.to_bytes());
            }
            Self::Cooperative { withdrawal } => {
                payload.push(2);
                payload.extend_from_slice(&withdrawal.0.to_le_bytes());
            }
            Self::Admin { operation, signature } => {
                payload.push(3);
                payload.extend_from_slice(&operation.encode());
                payload.extend_from_slice(signature);
            }
        }
        let length = u8::try_from(payload.len()).unwrap_or(u8::MAX); // at most 103
        let push: &[u8] = if length <= 75 { &[RETURN, length] } else { &[RETURN, PUSHDATA1, length] };
        [push, &payload].concat()
    }

    /// What follows the bridge tag in an output script, if the script is a tag of this bridge, well formed or not.
    #[must_use]
    pub fn payload(script: &[u8], bridge_tag: [u8; 4]) -> Option<&[u8]> {
        let (length, pushed) = match script {
            [RETURN, PUSHDATA1, length @ 76..=255, pushed @ ..] => (length, pushed),
            [RETURN, length @ 1..=75, pushed @ ..] => (length, pushed),
            _ => return None,
        };
        if pushed.len() != usize::from(*length) {
            return None;
        }
        pushed.strip_prefix(&bridge_tag)
    }

    /// Reads what [`Self::payload`] found. `None`: it is malformed, and the transaction does nothing.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut from = Reader::new(payload);
        let tag = match from.u8()? {
            0 => Self::Mint { account: Account(from.array()?), signature: from.array()? },
            1 => Self::Payout { withdrawal: WithdrawalId(from.u32()?), slot: SlotId::from_bytes(from.array()?) },
            2 => Self::Cooperative { withdrawal: WithdrawalId(from.u32()?) },
            3 => Self::Admin { operation: AdminOperation::decode(&mut from)?, signature: from.array()? },
            _ => return None,
        };
        from.end(tag)
    }
}

#[cfg(feature = "std")]
impl Tag {
    /// The output script, in rust-bitcoin's type.
    #[must_use]
    pub fn script_pubkey(&self, bridge_tag: [u8; 4]) -> bitcoin::ScriptBuf {
        bitcoin::ScriptBuf::from_bytes(self.script(bridge_tag))
    }
}

const RETURN: u8 = 0x6a;
const PUSHDATA1: u8 = 0x4c;
