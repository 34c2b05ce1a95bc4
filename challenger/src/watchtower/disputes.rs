//! This challenger's lanes of claims that are false.

use std::collections::BTreeMap;

use bitcoin::{Amount, OutPoint};
use trestle_bridge::transactions::claim::Statement;
use trestle_bridge::transactions::{LanePlace, RunGraph, SlotGraph};
use trestle_rollup::SlotId;
use trestle_taptree_trace::lane::Move;

use super::{Duty, Watchtower};
use crate::Error;
use crate::dispute::{self, Hostile, HostileLane, LaneWatchtower, Settlement};
use crate::lane::{Answer, Ask, LedgerTestimony};
use crate::signatures::LaneName;
use crate::view::{Blocks, View};

/// A lane that is played, by slot.
pub(super) type Disputes = BTreeMap<SlotId, Dispute>;

/// This challenger's side of a lane, and what it knows.
pub(super) struct Dispute {
    /// What the claim says.
    statement: Statement,
    player: Player,
    truth: LedgerTestimony<Blocks>,
    /// What came of it, before it is known what the wallet paid.
    ended: Option<Settlement>,
}

/// Who plays it.
enum Player {
    Honest(LaneWatchtower<sled::Tree>),
    Hostile(HostileLane<sled::Tree>),
}

impl Player {
    fn tip(
        &mut self,
        view: &dyn View,
        truth: &mut LedgerTestimony<Blocks>,
    ) -> Result<Vec<dispute::Duty>, dispute::Error> {
        match self {
            Self::Honest(player) => player.tip(view, truth),
            Self::Hostile(player) => player.tip(view, truth),
        }
    }

    fn receive(
        &mut self,
        wanted: Move,
        answer: &Answer,
        truth: &mut LedgerTestimony<Blocks>,
    ) -> Result<Option<Ask>, dispute::Error> {
        match self {
            Self::Honest(player) => player.receive(wanted, answer, truth),
            Self::Hostile(player) => player.receive(wanted, answer),
        }
    }

    /// A hostile one has nobody to tell.
    fn settlement(&self, view: &dyn View) -> Result<Option<Settlement>, dispute::Error> {
        match self {
            Self::Honest(player) => player.settlement(view),
            Self::Hostile(_) => Ok(None),
        }
    }
}

impl Watchtower {
    /// Contests every claim from now on, true or not, and plays its lanes like this: for demonstrations, with bonds that may be lost.
    pub fn oppose(&mut self, hostile: Hostile) {
        self.hostile = Some(hostile);
    }

    /// Plays the lane of a claim that it disputes. If it cannot go on now, that is no reason for others to stop.
    pub(super) fn dispute(
        &mut self,
        view: &dyn View,
        graph: &RunGraph,
        slot: &SlotGraph,
        statement: Statement,
        duties: &mut Vec<Duty>,
    ) {
        if self.settled.contains(&slot.id) {
            return;
        }
        match self.store.settlement(slot.id) {
            Ok(None) => {}
            Ok(Some(settlement)) => {
                self.disputes.remove(&slot.id);
                self.settled.insert(slot.id);
                return duties.push(Duty::Settled(settlement));
            }
            Err(error) => {
                return tracing::error!(slot = %slot.id, %error, "it is not known whether the dispute is over");
            }
        }
        if self.disputes.get(&slot.id).is_none_or(|dispute| dispute.statement != statement) {
            // A reorganization can put another claim in a claim's place.
            self.disputes.remove(&slot.id);
            match self.sit_down(view, graph, slot, statement) {
                Ok(Some(dispute)) => drop(self.disputes.insert(slot.id, dispute)),
                Ok(None) => {}
                Err(error) => tracing::error!(slot = %slot.id, %error, "the lane cannot be played"),
            }
        }
        let Some(Dispute { player, truth, ended, .. }) = self.disputes.get_mut(&slot.id) else { return };
        let due = player.tip(view, truth).and_then(|due| Ok((due, player.settlement(view)?)));
        match due {
            Ok((due, over)) => {
                duties.extend(due.into_iter().map(|duty| Duty::Dispute { slot: slot.id, duty }));
                if let Some(settlement) = over {
                    let outputs = settlement.transactions.iter().map(|played| played.handle).collect();
                    duties.push(Duty::AskFees { slot: slot.id, outputs });
                    *ended = Some(settlement);
                }
            }
            Err(error) => tracing::error!(slot = %slot.id, %error, "the lane does not go on"),
        }
    }

    /// Takes an answer in; returns what to ask next.
    pub(super) fn answered(&mut self, slot: SlotId, wanted: Move, answer: &Answer) -> Result<Vec<Duty>, Error> {
        let Some(Dispute { player, truth, .. }) = self.disputes.get_mut(&slot) else {
            return Err(Error::Refused(format!("no lane about {slot} is played")));
        };
        let next = player.receive(wanted, answer, truth).map_err(Box::new)?;
        Ok(next.into_iter().map(|ask| Duty::Dispute { slot, duty: dispute::Duty::Ask(ask) }).collect())
    }

    /// Writes down what came of a dispute. Nothing that the chain can still take back is asked about, so it is never changed.
    pub(super) fn paid(&mut self, slot: SlotId, fees: &[(OutPoint, Amount)]) -> Result<(), Error> {
        let ended = self.disputes.get_mut(&slot).and_then(|dispute| dispute.ended.take());
        ended.map_or(Ok(()), |settlement| self.store.put_settlement(&settlement.with_children(fees)))
    }

    /// Its side of a lane of which everything is signed.
    fn sit_down(
        &self,
        view: &dyn View,
        graph: &RunGraph,
        slot: &SlotGraph,
        statement: Statement,
    ) -> Result<Option<Dispute>, Error> {
        let at = LanePlace { slot: slot.id.serial - graph.terms.first_serial, challenger: self.index };
        let Some(digest) = graph.terms.lane_digest(at) else { return Ok(None) };
        let signatures = self.signatures.lane(&LaneName(graph.terms.digest(), at))?;
        let (Some(keys), Some(signatures)) = (self.store.lane_keys(&digest)?, signatures) else { return Ok(None) };
        let lane = graph.terms.lane(&self.bridge, at, &keys)?;
        let board = dispute::Board::new(&self.bridge, graph, slot.id, usize::from(self.index), lane, signatures);
        let store = self.db.open_tree(format!("watchtower/lane/{}", slot.id))?;
        let (board, key, seed) = (board.map_err(Box::new)?.into(), self.key, self.seed.clone());
        let player = match self.hostile {
            None => Player::Honest(LaneWatchtower::new(board, key, seed, store, self.patience)),
            Some(how) => Player::Hostile(HostileLane::new(board, key, seed, store, how)),
        };
        let truth = LedgerTestimony::new(
            view.ledger().clone(),
            view.blocks(),
            graph.terms.checkpoint.height,
            (statement.n, statement.block_prefix),
            slot.id,
            self.bridge.parameters.confirmations,
        )?;
        Ok(Some(Dispute { statement, player, truth, ended: None }))
    }
}
