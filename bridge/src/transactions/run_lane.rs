//! The lanes of a run: one for each of its slots and each challenger. What the terms say about them, and what that makes them.
//!
//! The challengers' one-time keys are in the terms; the operator's are too large for that, so the terms have their digest
//! ([`OperatorKeys::digest`]). Both are public, and whoever lacks keys may take them from anybody.

use std::collections::HashSet;

use bitcoin::block::Header;
use bitcoin::hashes::{Hash, sha256};
use serde::{Deserialize, Serialize};
use trestle_taptree_trace::lane::{
    ChoiceId, KeyBytesError, Lane, LaneConstants, LaneId, LaneKeys, LaneKeysError, OperatorKeys,
};
use trestle_taptree_trace::ots::Link;
use trestle_zkvm_adapter::guest;

use super::RunError;
use super::slot_run::RunTerms;
use crate::lane::LaneGraphError;
use crate::parameters::Bridge;

/// The most lanes that a run can have: the terms, in which each takes about 6 kB, have to fit a signer's message.
pub const MAX_LANES: usize = 2_000;

/// What the hash of a header of a fork must not be above in a run whose checkpoint has this header: four times its target, as
/// SHA-256 writes a hash (the last byte is the highest).
pub fn target(checkpoint: &Header) -> [u8; 32] {
    let words = checkpoint.target().to_le_bytes();
    if words[31] >> 6 != 0 {
        return [0xff; 32];
    }
    let mut target = [0; 32];
    let mut carry = 0;
    for (to, byte) in target.iter_mut().zip(words) {
        *to = byte << 2 | carry;
        carry = byte >> 6;
    }
    target
}

/// Which lane of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LanePlace {
    /// The slot's place in the run.
    pub slot: u32,
    /// The challenger's index in the parameters.
    pub challenger: u16,
}

/// What is given as a lane's keys makes no lane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunLaneError {
    /// The run has no such slot, or the bridge no such challenger.
    #[error("there is no lane of challenger {} in slot {} of the run", .0.challenger, .0.slot)]
    NoLane(LanePlace),
    /// The operator's keys are not those that the terms name.
    #[error("the operator's keys are {got}, and the terms say {expected}")]
    OtherKeys {
        /// The digest in the terms.
        expected: sha256::Hash,
        /// That of the keys.
        got: sha256::Hash,
    },
    /// They are too long or too short.
    #[error(transparent)]
    Length(#[from] KeyBytesError),
    /// They, or the challenger's, are unusable.
    #[error(transparent)]
    Keys(#[from] LaneKeysError),
    /// The key of the claim among them is not the one in the terms.
    #[error("the key of the claim is not the slot's")]
    ClaimKey,
    /// What they make is no lane of the slot.
    #[error(transparent)]
    Graph(#[from] LaneGraphError),
    /// The committed guest is no program.
    #[error("the guest cannot be read: {0}")]
    Guest(String),
}

impl LanePlace {
    /// The place as bytes, big-endian: the slot's, then the challenger's.
    pub fn to_bytes(self) -> [u8; 6] {
        let ([a, b, c, d], [e, f]) = (self.slot.to_be_bytes(), self.challenger.to_be_bytes());
        [a, b, c, d, e, f]
    }
}

impl RunTerms {
    /// What names the terms: SHA-256 of them as JSON.
    pub fn digest(&self) -> sha256::Hash {
        sha256::Hash::hash(&serde_json::to_vec(self).expect("terms are plain data"))
    }

    /// The run's lanes, slot by slot and challenger by challenger: the order in which the committee signs them.
    pub fn lane_places(&self) -> impl Iterator<Item = LanePlace> + use<> {
        let challengers = u16::try_from(self.challengers.len()).unwrap_or(u16::MAX);
        (0..self.slots).flat_map(move |slot| (0..challengers).map(move |challenger| LanePlace { slot, challenger }))
    }

    /// What the operator's keys of a lane are named by.
    pub fn lane_digest(&self, at: LanePlace) -> Option<sha256::Hash> {
        self.lanes.get(at.slot as usize)?.get(usize::from(at.challenger)).copied()
    }

    /// What the one-time keys of a lane are derived from, on both sides.
    pub fn lane_id(&self, bridge: &Bridge, at: LanePlace) -> LaneId {
        LaneId { instance: bridge.instance, slot: self.slot(at.slot).to_bytes(), challenger: at.challenger }
    }

    /// A lane, made with these bytes as the operator's keys ([`OperatorKeys::to_bytes`]).
    ///
    /// # Errors
    /// If they are not the keys that the terms name, or are no good.
    pub fn lane(&self, bridge: &Bridge, at: LanePlace, operator_keys: &[u8]) -> Result<Lane, RunLaneError> {
        let expected = self.lane_digest(at).ok_or(RunLaneError::NoLane(at))?;
        let got = sha256::Hash::hash(operator_keys);
        if got != expected {
            return Err(RunLaneError::OtherKeys { expected, got });
        }
        let challenger = usize::from(at.challenger);
        let choices = self.challengers.get(challenger).and_then(|part| part.choice_keys.get(at.slot as usize));
        let key = bridge.parameters.challengers.get(challenger);
        let (choices, key) = choices.zip(key).ok_or(RunLaneError::NoLane(at))?;
        let confirmations = bridge.parameters.confirmations;
        let operator = OperatorKeys::from_bytes(confirmations, operator_keys)?.0;
        if operator.first() != self.claim_keys.get(at.slot as usize) {
            return Err(RunLaneError::ClaimKey);
        }
        let image = guest::image().map_err(|error| RunLaneError::Guest(error.to_string()))?;
        Ok(Lane {
            keys: LaneKeys::new(confirmations, operator, choices.clone())?,
            constants: LaneConstants {
                checkpoint: self.checkpoint.entry,
                first_state: guest::ROOT,
                code: image.code.clone(),
                slot: self.slot(at.slot).to_bytes(),
                confirmations,
                target: self.target,
                challenger: *key,
            },
        })
    }

    /// Checks what the terms say about lanes. No link of the challengers may be used twice, nor be one of `links`.
    pub(super) fn check_lanes(&self, links: &mut HashSet<Link>) -> Result<(), RunError> {
        let count = |list, got: usize, expected: usize| match got == expected {
            true => Ok(()),
            false => Err(RunError::Count { list, expected, got }),
        };
        let lanes = (self.slots as usize).saturating_mul(self.challengers.len());
        if lanes > MAX_LANES {
            return Err(RunError::Lanes(lanes));
        }
        count("rows of lanes", self.lanes.len(), self.slots as usize)?;
        let mut digests = HashSet::new();
        for (slot, row) in self.lanes.iter().enumerate() {
            count("lanes of a slot", row.len(), self.challengers.len())?;
            if !row.iter().all(|digest| digests.insert(*digest)) {
                return Err(RunError::Reuse { slot });
            }
        }
        let choices = ChoiceId::all();
        for challenger in &self.challengers {
            count("slots of choice keys", challenger.choice_keys.len(), self.slots as usize)?;
            for (slot, keys) in challenger.choice_keys.iter().enumerate() {
                count("choice keys of a lane", keys.len(), choices.len())?;
                for (id, key) in choices.iter().zip(keys) {
                    count("options of a choice", key.0.len(), usize::from(id.options()))?;
                    if !key.0.iter().all(|link| links.insert(*link)) {
                        return Err(RunError::Reuse { slot });
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::block::Version;
    use bitcoin::hashes::Hash;
    use bitcoin::{BlockHash, CompactTarget, TxMerkleNode};

    use super::*;

    fn header(bits: u32) -> Header {
        Header {
            version: Version::TWO,
            prev_blockhash: BlockHash::all_zeros(),
            merkle_root: TxMerkleNode::all_zeros(),
            time: 0,
            bits: CompactTarget::from_consensus(bits),
            nonce: 0,
        }
    }

    #[test]
    fn the_target_is_four_times_the_checkpoints_or_everything() {
        // 0x1703_4219: 0x034219 · 2^(8·20); four times that is 0x0d0864 · 2^160.
        let mut expected = [0; 32];
        expected[20..23].copy_from_slice(&[0x64, 0x08, 0x0d]);
        assert_eq!(target(&header(0x1703_4219)), expected);
        // Regtest: four times 0x7fffff · 2^232 is more than 2^256.
        assert_eq!(target(&header(0x207f_ffff)), [0xff; 32]);
    }
}
