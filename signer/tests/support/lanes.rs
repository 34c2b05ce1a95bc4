//! Lanes that are no work, for tests in which none is entered: the challengers' too.

use bitcoin::hashes::{Hash, sha256};
use trestle_bridge::lane::LaneWork;
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::{LanePlace, RunGraph, RunLaneError, SignRequest, Tweak};
use trestle_rollup::tagged_hash;
use trestle_taptree_trace::lane::LaneId;
use trestle_taptree_trace::ots::{KeyId, SecretSeed};

/// Lanes with two sighashes each, and keys of 32 bytes: what has to be kept and checked of them is the same. Keys that begin with a zero
/// byte are no good.
#[derive(Clone, Copy)]
pub struct SmallLanes;

impl LaneWork for SmallLanes {
    fn operator_keys(&self, _: &Bridge, seed: &SecretSeed, lane: &LaneId) -> Vec<u8> {
        let LaneId { instance, slot, challenger } = *lane;
        let mut keys = seed.secret(&KeyId { instance, slot, lane: challenger, message: "lane" });
        keys[0] |= 1;
        keys.into()
    }

    fn requests(
        &self,
        _: &Bridge,
        run: &RunGraph,
        at: LanePlace,
        keys: &[u8],
    ) -> Result<Vec<SignRequest>, RunLaneError> {
        let (expected, got) = (run.terms.lane_digest(at).ok_or(RunLaneError::NoLane(at))?, sha256::Hash::hash(keys));
        if got != expected {
            return Err(RunLaneError::OtherKeys { expected, got });
        }
        if keys[0] == 0 {
            return Err(RunLaneError::ClaimKey);
        }
        let terms = run.terms.digest();
        let request = |(index, tweak): (u8, _)| SignRequest {
            what: format!("{index} of the lane of challenger {} in {}", at.challenger, run.terms.slot(at.slot)),
            message: tagged_hash("test lane", &[terms.as_byte_array(), &at.to_bytes(), keys, &[index]]),
            tweak,
        };
        Ok([(0, Tweak::None), (1, Tweak::KeyPath(None))].map(request).into())
    }
}
