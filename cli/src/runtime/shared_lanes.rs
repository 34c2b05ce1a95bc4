//! Lanes that are worked out once for all the roles of this process.
//!
//! A lane follows from its run's terms and the operator's keys alone, and takes a few tenths of a second. Roles that run by
//! themselves each do that for themselves; here, where they share a machine, they share the result.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bitcoin::hashes::{Hash, sha256};
use trestle_bridge::lane::{LaneWork, Lanes};
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::{LanePlace, RunGraph, RunLaneError, SignRequest};
use trestle_taptree_trace::lane::LaneId;
use trestle_taptree_trace::ots::SecretSeed;

/// Lanes that are remembered, at about 100 kB each.
const REMEMBERED: usize = 256;

/// What a lane follows from: the terms' digest, its place, the digest of the operator's keys.
type Origin = (sha256::Hash, LanePlace, sha256::Hash);

/// [`Lanes`] with a memory.
#[derive(Default)]
pub struct SharedLanes(Mutex<HashMap<Origin, Vec<SignRequest>>>);

impl LaneWork for SharedLanes {
    fn operator_keys(&self, bridge: &Bridge, seed: &SecretSeed, lane: &LaneId) -> Vec<u8> {
        Lanes.operator_keys(bridge, seed, lane)
    }

    fn requests(
        &self,
        bridge: &Bridge,
        run: &RunGraph,
        at: LanePlace,
        operator_keys: &[u8],
    ) -> Result<Vec<SignRequest>, RunLaneError> {
        let origin = (run.terms.digest(), at, sha256::Hash::hash(operator_keys));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(requests) = known.get(&origin) {
            return Ok(requests.clone());
        }
        let requests = Lanes.requests(bridge, run, at, operator_keys)?;
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(origin, requests.clone());
        Ok(requests)
    }
}
