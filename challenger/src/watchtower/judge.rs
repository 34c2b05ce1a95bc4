//! Judging claims, and contesting those that are false.

use bitcoin::{Amount, Transaction};
use trestle_bridge::transactions::claim::Statement;
use trestle_bridge::transactions::{Reveal, RunGraph, SlotGraph, contest};
use trestle_rollup::SlotId;

use super::{Duty, Purpose, Reason, Report, Verdict, Watchtower};
use crate::phase::Phase;
use crate::statement::{holds, statement_at};
use crate::view::{Mined, View};
use crate::{Error, is_deep};

impl Watchtower {
    /// Judges a claim, reports it, and contests it if it is false and still can be.
    #[expect(clippy::too_many_arguments, reason = "what it looks at is just that much")]
    pub(super) fn look_at(
        &mut self,
        view: &dyn View,
        run: usize,
        graph: &RunGraph,
        slot: &SlotGraph,
        claim: &Mined,
        phase: Phase,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let Some(report) = self.judge(view, graph, slot, claim)? else { return Ok(()) };
        let verdict = report.verdict;
        duties.push(Duty::Report(report));
        let is_disputed = verdict != Verdict::True || self.hostile.is_some();
        if !is_disputed || !self.runs[run].has_part(self.index) {
            return Ok(());
        }
        if !matches!(phase, Phase::Claimed { .. }) {
            let place = (slot.id.serial - graph.terms.first_serial) as usize;
            if let Ok(statement) = Statement::read(&graph.terms.claim_keys[place], &claim.tx) {
                self.dispute(view, graph, slot, statement, duties);
            }
            return Ok(());
        }
        let deadline = claim.height + u32::from(self.bridge.parameters.delta1.value());
        let waits = self.hostile.is_some_and(|hostile| !hostile.is_due(view.height(), deadline));
        if let Some(tx) = self.contest(slot)?.filter(|_| !waits) {
            let hurry = view.height() > claim.height + u32::from(self.bridge.parameters.confirmations);
            let reward = slot.contest.tx.output.first().map_or(Amount::ZERO, |bond| bond.value / 2);
            let time = (hurry, Some(deadline), reward);
            self.broadcast(Purpose::Contest(slot.id), &slot.contest, tx, time, duties);
        }
        Ok(())
    }

    /// This challenger's Contest; none while its signature is missing.
    pub(super) fn contest(&self, slot: &SlotGraph) -> Result<Option<Transaction>, Error> {
        let (secret, _) = contest::secret(&self.bridge, &self.seed, self.index, slot.id);
        self.signatures.complete(&slot.contest, Reveal::Contest(usize::from(self.index), &secret))
    }

    /// The verdict on a claim, which is fixed on disk once it is given; none while it is too early.
    fn judge(
        &self,
        view: &dyn View,
        graph: &RunGraph,
        slot: &SlotGraph,
        claim: &Mined,
    ) -> Result<Option<Report>, Error> {
        let place = (slot.id.serial - graph.terms.first_serial) as usize;
        let statement = Statement::read(&graph.terms.claim_keys[place], &claim.tx).ok();
        if let Some(known) = self.store.report(slot.id, statement, claim.height)? {
            return Ok(Some(known));
        }
        let checkpoint = graph.terms.checkpoint.height;
        let height = statement.map(|statement| checkpoint.saturating_add(u32::from(statement.n)));
        let verdict = match (statement, height) {
            (Some(statement), Some(height)) => {
                match self.verdict(view, slot.id, checkpoint, statement, height, claim.height)? {
                    Some(verdict) => verdict,
                    None => return Ok(None),
                }
            }
            _ => Verdict::False(Reason::Unreadable),
        };
        let report = Report { slot: slot.id, claimed: claim.height, height, verdict };
        self.store.put_report(statement, &report)?;
        Ok(Some(report))
    }

    fn verdict(
        &self,
        view: &dyn View,
        slot: SlotId,
        checkpoint: u32,
        statement: Statement,
        height: u32,
        claimed: u32,
    ) -> Result<Option<Verdict>, Error> {
        let confirmations = self.bridge.parameters.confirmations;
        // The checkpoint's own block is one like any other: its state may have the payout, and then nobody wins the lane.
        if height >= claimed {
            return Ok(Some(Verdict::False(Reason::NoSuchBlock)));
        }
        if !is_deep(height, confirmations, view.height()) {
            return Ok(None);
        }
        Ok(Some(if statement_at(view, checkpoint, height)? != Some(statement) {
            Verdict::False(Reason::OtherBlock)
        } else if holds(view, slot, checkpoint, statement, confirmations)? {
            Verdict::True
        } else {
            Verdict::False(Reason::NotFulfilled)
        }))
    }
}
