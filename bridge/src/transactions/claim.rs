//! Claim: the operator's statement that a slot is fulfilled in the Layer 2 at height h0 + N.
//!
//! | | |
//! | --- | --- |
//! | spends | the slot's bond, by its leaf: the operator's one-time signature of N and 32 bits of that block's hash, and the committee's |
//! | pays | 0: K, the bond again; 1: an anchor |
//! | published by | the operator, when the payout is K blocks deep at h0 + N and block h0 + N itself is K deep |

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, OutPoint, TxOut};
use trestle_rollup::SlotId;
use trestle_taptree_trace::ots::{self, CLAIM, CLAIM_LANE, KeyId, OtsError};

use super::draft::Draft;
use super::{BuildError, Presigned, TxKind};
use crate::connector::{Bond, Kill};
use crate::parameters::Bridge;

/// What a claim says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// N: blocks after the run's checkpoint.
    pub n: u16,
    /// The first four bytes of the hash of block h0 + N, in the order in which it is hashed.
    pub block_prefix: [u8; 4],
}

impl Statement {
    /// The statement about the block with this hash, `n` blocks after the checkpoint.
    pub fn new(n: u16, block: &BlockHash) -> Self {
        let [a, b, c, d, ..] = block.to_byte_array();
        Statement { n, block_prefix: [a, b, c, d] }
    }

    /// The message that is one-time-signed.
    pub fn message(&self) -> ots::Message {
        CLAIM.encode(&[&self.n.to_be_bytes(), &self.block_prefix]).expect("the fields are as long as the layout's")
    }

    /// Reads a Claim's witness (of its input 0) under the slot's claim key.
    ///
    /// # Errors
    /// If it is no claim by this key; Bitcoin would not have accepted that.
    pub fn read(claim_key: &ots::PublicKey, claim: &bitcoin::Transaction) -> Result<Self, OtsError> {
        let input = claim.input.first().ok_or(OtsError::Witness("the transaction has no input"))?;
        let message = Bond::read_claim(claim_key, &input.witness)?;
        let [high, low] = message.field(0)[..] else { return Err(OtsError::Witness("N is not two bytes")) };
        let block_prefix =
            message.field(1).try_into().map_err(|_| OtsError::Witness("the prefix is not four bytes"))?;
        Ok(Statement { n: u16::from_be_bytes([high, low]), block_prefix })
    }
}

/// The one-time key of a slot's claim. One bridge, one slot, one claim: the operator signs once.
pub fn key_id(bridge: &Bridge, slot: SlotId) -> KeyId<'static> {
    KeyId { instance: bridge.instance, slot: slot.to_bytes(), lane: CLAIM_LANE, message: "claim" }
}

/// Claim of the slot `id`, whose bond is `bond` at `outpoint`.
pub(super) fn build(
    bridge: &Bridge,
    id: SlotId,
    outpoint: OutPoint,
    bond: TxOut,
    own: &Bond,
    kill: &Kill,
) -> Result<Presigned, BuildError> {
    let rate = bridge.parameters.presigned_fee_rate;
    let value = bond.value;
    Draft::new(TxKind::Claim, id)
        .leaves(outpoint, bond, vec![own.claim_leaf().clone()], &Bond::longest_claim_items())
        .output(kill.script_pubkey(), value)
        .anchor()
        .change(0, rate)?
        .finish(&bridge.committee, rate)
}
