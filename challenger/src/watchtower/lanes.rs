//! This challenger's lanes: its own one-time keys, the operator's, and what the committee signs for them.
//!
//! The terms of a run name the operator's keys by their digest. The watchtower consents to no run before it has them, and
//! has seen that they make a lane; they are kept, for without them it could not play.

use bitcoin::hashes::{Hash, sha256};
use trestle_bridge::transactions::{LanePlace, RunGraph};
use trestle_rollup::SlotId;
use trestle_signer::LaneSignatures;
use trestle_taptree_trace::lane::{ChoiceKey, LaneId, challenger_keys};

use super::{Duty, Watchtower};
use crate::Error;
use crate::signatures::{LaneName, Signed, tree_bytes};

impl Watchtower {
    /// Its keys for the choices of its lane in every slot of a run.
    pub(super) fn choice_keys(&self, first: SlotId, slots: u32) -> Vec<Vec<ChoiceKey>> {
        let lane =
            |slot: SlotId| LaneId { instance: self.bridge.instance, slot: slot.to_bytes(), challenger: self.index };
        let slots = (0..slots).map(|place| SlotId { serial: first.serial + place, ..first });
        slots.map(|slot| challenger_keys(&self.seed, &lane(slot))).collect()
    }

    /// Its lanes in a run, with the digests of the operator's keys.
    fn own_lanes(&self, graph: &RunGraph) -> Vec<(LanePlace, sha256::Hash)> {
        let own = graph.terms.lane_places().filter(|at| at.challenger == self.index);
        own.filter_map(|at| Some((at, graph.terms.lane_digest(at)?))).collect()
    }

    /// The operator's keys of its lanes that are not held.
    fn missing_keys(&self, graph: &RunGraph) -> Result<Vec<(LanePlace, sha256::Hash)>, Error> {
        let mut missing = Vec::new();
        for (at, digest) in self.own_lanes(graph) {
            if self.store.lane_keys(&digest)?.is_none() {
                missing.push((at, digest));
            }
        }
        Ok(missing)
    }

    /// Asks for the operator's keys of its lanes; returns whether all are held. Those that were no good are not asked for again.
    pub(super) fn fetch_keys(&self, graph: &RunGraph, duties: &mut Vec<Duty>) -> Result<bool, Error> {
        let missing = self.missing_keys(graph)?;
        let wanted = missing.iter().filter(|(_, digest)| !self.bad_keys.contains(digest));
        duties
            .extend(wanted.map(|(_, digest)| Duty::FetchLaneKeys { operator: graph.terms.operator, digest: *digest }));
        Ok(missing.is_empty())
    }

    /// Bytes came that may be keys. Those that were not asked for are nothing.
    pub(super) fn keys_came(&mut self, keys: &[u8]) -> Result<(), Error> {
        let digest = sha256::Hash::hash(keys);
        let graphs: Vec<_> =
            self.runs.iter().filter(|run| run.has_part(self.index)).filter_map(|run| run.graph.clone()).collect();
        for graph in graphs {
            for (at, _) in self.missing_keys(&graph)?.into_iter().filter(|(_, wanted)| *wanted == digest) {
                match self.lanes.requests(&self.bridge, &graph, at, keys) {
                    Ok(_) => self.store.put_lane_keys(&digest, keys)?,
                    Err(error) => {
                        tracing::error!(slot = %graph.terms.slot(at.slot), %error, "the operator's keys are no good: no consent");
                        self.bad_keys.insert(digest);
                    }
                }
            }
        }
        Ok(())
    }

    /// What is new of a delivery's lanes and this challenger's: which lane, and what the committee signed for it.
    pub(super) fn read_lanes(
        &self,
        graph: &RunGraph,
        lanes: &[LaneSignatures],
    ) -> Result<Vec<(LaneName, Vec<Signed>)>, Error> {
        let terms = graph.terms.digest();
        let mut read = Vec::new();
        for (at, digest) in self.own_lanes(graph) {
            let (name, delivered) = (LaneName(terms, at), lanes.iter().find(|lane| lane.at == at));
            let (Some(delivered), Some(keys)) = (delivered, self.store.lane_keys(&digest)?) else { continue };
            if self.signatures.holds_lane(&name)? {
                continue;
            }
            let requests = self.lanes.requests(&self.bridge, graph, at, &keys)?;
            let (got, wanted) = (delivered.signatures.len(), requests.len());
            if got != wanted {
                return Err(Error::Refused(format!("{got} signatures of {wanted} of a lane")));
            }
            read.push((name, requests.into_iter().zip(delivered.signatures.iter().copied()).collect()));
        }
        Ok(read)
    }

    /// Whether every signature of its lanes is held, from the slot at this place on.
    pub(super) fn holds_lanes(&self, graph: &RunGraph, from: usize) -> Result<bool, Error> {
        let terms = graph.terms.digest();
        for (at, _) in self.own_lanes(graph) {
            if at.slot as usize >= from && !self.signatures.holds_lane(&LaneName(terms, at))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Bytes of all that is kept of a lane: the operator's keys, the committee's signatures, and what was signed in it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn lane_bytes(&self, slot: SlotId) -> Result<usize, Error> {
        let mut bytes = tree_bytes(&self.db.open_tree(format!("watchtower/lane/{slot}"))?)?;
        for graph in self.runs.iter().filter_map(|run| run.graph.as_ref()).filter(|graph| graph.slot(slot).is_some()) {
            let at = LanePlace { slot: slot.serial - graph.terms.first_serial, challenger: self.index };
            bytes += self.signatures.lane_bytes(&LaneName(graph.terms.digest(), at))?;
            if let Some(digest) = graph.terms.lane_digest(at) {
                bytes += self.store.lane_keys(&digest)?.map_or(0, |keys| digest.as_byte_array().len() + keys.len());
            }
        }
        Ok(bytes)
    }
}
