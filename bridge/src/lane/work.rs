//! What the lanes of a run take before it is signed: the operator's keys, and what the committee signs.

use trestle_taptree_trace::lane::{Lane, LaneId, OperatorKeys};
use trestle_taptree_trace::ots::SecretSeed;

use super::LaneGraph;
use crate::parameters::Bridge;
use crate::transactions::{LanePlace, RunGraph, RunLaneError, SignRequest};

/// Makes the keys of lanes, and what is signed in them. [`Lanes`] does. A simulation of those who sign, to whom a
/// lane is a list of hashes, may do with less; roles that run in one process may share the work.
pub trait LaneWork: Send + Sync {
    /// The operator's public keys of a lane, as bytes ([`OperatorKeys::to_bytes`]).
    fn operator_keys(&self, bridge: &Bridge, seed: &SecretSeed, lane: &LaneId) -> Vec<u8>;

    /// What the committee signs for a lane of `run`, made with these bytes as the operator's keys: [`LaneGraph::requests`].
    ///
    /// # Errors
    /// If they are not the keys that the run's terms name, or make no lane.
    fn requests(
        &self,
        bridge: &Bridge,
        run: &RunGraph,
        at: LanePlace,
        operator_keys: &[u8],
    ) -> Result<Vec<SignRequest>, RunLaneError>;
}

/// Lanes as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lanes;

impl LaneWork for Lanes {
    fn operator_keys(&self, bridge: &Bridge, seed: &SecretSeed, lane: &LaneId) -> Vec<u8> {
        OperatorKeys::derive(seed, lane, bridge.parameters.confirmations).to_bytes()
    }

    fn requests(
        &self,
        bridge: &Bridge,
        run: &RunGraph,
        at: LanePlace,
        operator_keys: &[u8],
    ) -> Result<Vec<SignRequest>, RunLaneError> {
        Ok(run.lane(bridge, at, operator_keys)?.1.requests())
    }
}

impl RunGraph {
    /// A lane of the run and its graph, made with these bytes as the operator's keys.
    ///
    /// # Errors
    /// If they are not the keys that the run's terms name, or make no lane.
    pub fn lane(
        &self,
        bridge: &Bridge,
        at: LanePlace,
        operator_keys: &[u8],
    ) -> Result<(Lane, LaneGraph), RunLaneError> {
        let lane = self.terms.lane(bridge, at, operator_keys)?;
        let challenger = usize::from(at.challenger);
        let (slot, bond) = (self.slots.get(at.slot as usize), self.terms.challengers.get(challenger));
        let (slot, bond) = slot.zip(bond).ok_or(RunLaneError::NoLane(at))?;
        let graph = LaneGraph::build(bridge, slot, challenger, bond.bond, &lane)?;
        Ok((lane, graph))
    }
}
