//! The operator's one-time keys of the lanes of its runs, and what the committee signs for them.
//!
//! The keys are made when the run's serial numbers are taken, and kept as bytes by their digest for those who ask for them: signers,
//! and each challenger for its own lanes.

use bitcoin::hashes::{Hash, sha256};
use trestle_bridge::transactions::{LanePlace, RunGraph};
use trestle_rollup::SlotId;
use trestle_signer::LaneSignatures;
use trestle_taptree_trace::lane::LaneId;

use super::Operator;
use crate::Error;
use crate::signatures::{LaneName, Signed, tree_bytes};

impl Operator {
    /// The public keys of a lane, as bytes, by their SHA-256; none if they are not this operator's.
    ///
    /// # Errors
    /// If the store fails.
    pub fn lane_keys(&self, digest: &sha256::Hash) -> Result<Option<Vec<u8>>, Error> {
        self.store.lane_keys(digest)
    }

    /// Makes and keeps the keys of every lane of a run; returns their digests, by slot and challenger.
    pub(super) fn make_lane_keys(&self, first: SlotId, slots: u32) -> Result<Vec<Vec<sha256::Hash>>, Error> {
        let challengers = (0u16..).take(self.bridge.parameters.challengers.len());
        let one = |slot: SlotId, challenger| {
            let lane = LaneId { instance: self.bridge.instance, slot: slot.to_bytes(), challenger };
            let keys = self.lanes.operator_keys(&self.bridge, &self.seed, &lane);
            let digest = sha256::Hash::hash(&keys);
            self.store.put_lane_keys(&digest, &keys)?;
            Ok(digest)
        };
        let slots = (0..slots).map(|place| SlotId { serial: first.serial + place, ..first });
        slots.map(|slot| challengers.clone().map(|challenger| one(slot, challenger)).collect()).collect()
    }

    /// What is new of a delivery's lanes: which lane, and what the committee signed for it.
    pub(super) fn read_lanes(
        &self,
        graph: &RunGraph,
        lanes: &[LaneSignatures],
    ) -> Result<Vec<(LaneName, Vec<Signed>)>, Error> {
        let terms = graph.terms.digest();
        let mut read = Vec::new();
        for LaneSignatures { at, signatures } in lanes {
            let name = LaneName(terms, *at);
            let digest = graph.terms.lane_digest(*at).ok_or_else(|| Error::Refused(format!("no lane is {at:?}")))?;
            if self.signatures.holds_lane(&name)? {
                continue;
            }
            let keys = self.store.lane_keys(&digest)?.ok_or(Error::Damaged("a run without the keys of its lanes"))?;
            let requests = self.lanes.requests(&self.bridge, graph, *at, &keys)?;
            read.push((name, super::delivery::pair(requests, signatures)?));
        }
        Ok(read)
    }

    /// Whether every signature of every lane of a run is held.
    pub(super) fn holds_lanes(&self, graph: &RunGraph) -> Result<bool, Error> {
        let terms = graph.terms.digest();
        let lacks = |at: LanePlace| Ok(!self.signatures.holds_lane(&LaneName(terms, at))?);
        let missing =
            graph.terms.lane_places().map(lacks).find(|lacks: &Result<bool, Error>| !matches!(lacks, Ok(false)));
        missing.unwrap_or(Ok(false)).map(|lacks| !lacks)
    }

    /// Bytes of all that is kept of a lane: the operator's keys, the committee's signatures, and what was signed in it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn lane_bytes(&self, slot: SlotId, challenger: u16) -> Result<usize, Error> {
        let mut bytes = tree_bytes(&self.db.open_tree(format!("operator/lane/{slot}/{challenger}"))?)?;
        for graph in self.runs().filter(|graph| graph.slot(slot).is_some()) {
            let at = LanePlace { slot: slot.serial - graph.terms.first_serial, challenger };
            bytes += self.signatures.lane_bytes(&LaneName(graph.terms.digest(), at))?;
            if let Some(digest) = graph.terms.lane_digest(at) {
                bytes += self.store.lane_keys(&digest)?.map_or(0, |keys| digest.as_byte_array().len() + keys.len());
            }
        }
        Ok(bytes)
    }
}
