//! The lanes of claims that were contested.

use std::collections::BTreeMap;

use trestle_bridge::transactions::{LanePlace, RunGraph, SlotGraph};
use trestle_rollup::SlotId;

use super::lie::Lying;
use super::{Duty, Operator};
use crate::Error;
use crate::dispute::{self, LaneOperator};
use crate::lane::{Ask, LedgerTestimony, Testimony};
use crate::signatures::LaneName;
use crate::view::View;

/// A lane that is played, by slot and challenger.
pub(super) type Disputes = BTreeMap<(SlotId, u16), Dispute>;

/// The operator's side of a lane, and what it says.
pub(super) struct Dispute {
    player: LaneOperator<sled::Tree>,
    testimony: Box<dyn Testimony + Send>,
}

impl Operator {
    /// Plays every lane of a claim that was contested. One that cannot go on now is no reason for the others to stop.
    pub(super) fn defend(&mut self, view: &dyn View, graph: &RunGraph, slot: &SlotGraph, duties: &mut Vec<Duty>) {
        for challenger in (0u16..).take(graph.terms.challengers.len()) {
            let key = (slot.id, challenger);
            if !self.disputes.contains_key(&key) {
                match self.sit_down(view, graph, slot, challenger) {
                    Ok(Some(dispute)) => drop(self.disputes.insert(key, dispute)),
                    Ok(None) => {}
                    Err(error) => tracing::error!(slot = %slot.id, challenger, %error, "a lane cannot be played"),
                }
            }
            let Some(Dispute { player, testimony }) = self.disputes.get_mut(&key) else { continue };
            match player.tip(view, testimony.as_mut()) {
                Ok(mut due) => {
                    if let Some(lie) = &self.lie {
                        due.retain(|duty| lie.silence.carries_out(duty, player.board()));
                    }
                    duties.extend(due.into_iter().map(Duty::Dispute));
                }
                Err(error) => tracing::error!(slot = %slot.id, challenger, %error, "a lane does not go on"),
            }
        }
    }

    /// Whether nothing can come of any lane of a slot any more. Of one that cannot be played nothing comes.
    pub(super) fn are_lanes_settled(&self, view: &dyn View, slot: SlotId) -> Result<bool, Error> {
        let own = self.disputes.range((slot, 0)..=(slot, u16::MAX));
        let mut all = true;
        for (_, dispute) in own {
            all = all && dispute.player.is_settled(view).map_err(Box::new)?;
        }
        Ok(all)
    }

    /// Answers a challenger. What it asks wrongly it is told, and nothing has changed.
    pub(super) fn asked(&mut self, slot: SlotId, challenger: u16, ask: &Ask) -> Result<Vec<Duty>, Error> {
        let Some(Dispute { player, testimony }) = self.disputes.get_mut(&(slot, challenger)) else {
            return Err(Error::Refused(format!("no lane of challenger {challenger} about {slot} is played")));
        };
        if self.lie.is_some_and(|lie| !lie.silence.answers(ask.wanted)) {
            return Ok(Vec::new());
        }
        let answer = player.answer(ask, testimony.as_mut()).map_err(Box::new)?;
        Ok(vec![Duty::Answer(Box::new(answer))])
    }

    /// The side of a lane of which everything is signed.
    fn sit_down(
        &self,
        view: &dyn View,
        graph: &RunGraph,
        slot: &SlotGraph,
        challenger: u16,
    ) -> Result<Option<Dispute>, Error> {
        let at = LanePlace { slot: slot.id.serial - graph.terms.first_serial, challenger };
        let Some(statement) = self.store.statement(slot.id)? else { return Ok(None) };
        let Some(digest) = graph.terms.lane_digest(at) else { return Ok(None) };
        let Some(signatures) = self.signatures.lane(&LaneName(graph.terms.digest(), at))? else { return Ok(None) };
        let keys = self.store.lane_keys(&digest)?.ok_or(Error::Damaged("a run without the keys of its lanes"))?;
        let lane = graph.terms.lane(&self.bridge, at, &keys)?;
        let board = dispute::Board::new(&self.bridge, graph, slot.id, usize::from(challenger), lane, signatures);
        let store = self.db.open_tree(format!("operator/lane/{}/{challenger}", slot.id))?;
        let player = LaneOperator::new(board.map_err(Box::new)?.into(), self.seed.clone(), store);
        let (ledger, confirmations) = (view.ledger(), self.bridge.parameters.confirmations);
        let checkpoint = graph.terms.checkpoint.height;
        let said = (statement.n, statement.block_prefix);
        let truth = LedgerTestimony::new(ledger.clone(), view.blocks(), checkpoint, said, slot.id, confirmations)?;
        let testimony: Box<dyn Testimony + Send> = match self.lie {
            Some(lie) => Box::new(Lying::new(truth, lie, ledger, checkpoint, statement.n, confirmations)?),
            None => Box::new(truth),
        };
        Ok(Some(Dispute { player, testimony }))
    }
}
