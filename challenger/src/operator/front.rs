//! Fronting: paying a withdrawal in time, or not at all.
//!
//! A payout counts only while the withdrawal is the operator's (PROTOCOL §3). So none is begun that is unlikely to be mined
//! in the window, and one that is still not mined when the grace runs out is double-spent.
//!
//! Nor is one begun that no vault would pay back. Every fulfilled slot of any operator takes one vault, and so will every pending
//! withdrawal, the oldest first: one is fronted only if there is a vault left after those before it.

use bitcoin::{Transaction, Txid};
use trestle_bridge::transactions::{RunGraph, SlotGraph, payout, retire};
use trestle_rollup::native::View as State;
use trestle_rollup::{Assignment, Event as LedgerEvent, SlotId, WithdrawalId};

use super::{Duty, Front, Loss, Operator, Outcome};
use crate::view::View;
use crate::{Error, is_deep};

/// How long a payout may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Time {
    /// Last block of the operator's window; none in the grace.
    window: Option<u32>,
    /// Last block in which the payout counts.
    counts: u32,
}

impl Time {
    /// Blocks of the window that are left after the tip.
    fn window_left(&self, tip: u32) -> u32 {
        self.window.map_or(0, |last| last.saturating_sub(tip))
    }

    /// Blocks after the tip in which the payout counts.
    fn left(&self, tip: u32) -> u32 {
        self.counts.saturating_sub(tip)
    }
}

impl Operator {
    /// Begins to front a withdrawal in this slot, if one waits and all is well.
    pub(super) fn front(
        &mut self,
        view: &dyn View,
        graph: &RunGraph,
        slot: &SlotGraph,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let (confirmations, tip) = (self.bridge.parameters.confirmations, view.height());
        let fronts: Vec<_> = self.store.fronts()?.into_iter().filter(Front::is_live).collect();
        if fronts.iter().any(|front| front.slot == slot.id) {
            return Ok(());
        }
        let free = self.free_vaults(slot, &fronts, tip)?;
        let last_claim = graph.terms.checkpoint.height + retire::RUN_BLOCKS - 1;
        let state = view.ledger().state_at_tip();
        let pending = state.pending_withdrawals()?.into_iter();
        let of_denomination = pending.filter(|(_, withdrawal)| withdrawal.denomination == slot.id.denomination);
        for (id, withdrawal) in of_denomination.take(free) {
            let is_fronted = fronts.iter().any(|front| front.withdrawal == id);
            if is_fronted || !is_deep(withdrawal.requested_height, confirmations, tip) {
                continue;
            }
            let Some(time) = self.time(&state, id)? else { continue };
            // A reorganization can put the payout as far down as K − 1 blocks below the tip: it has to count there too.
            let began = (tip + 1).saturating_sub(u32::from(confirmations));
            if !self.is_own(&state, id, began)? {
                continue;
            }
            let unhurried = time.window_left(tip) >= self.policy.front;
            let claimable = time.counts.saturating_add(2 * u32::from(confirmations)) <= last_claim;
            if unhurried && claimable && time.left(tip) > self.policy.cancel {
                let front = Front { slot: slot.id, withdrawal: id, payout: None, cancelling: false, outcome: None };
                self.store.put_front(&front)?;
                return self.tend(view, front, duties);
            }
        }
        Ok(())
    }

    /// How many of the pending withdrawals can be paid back from the vaults that are deep; none if this slot, after what this
    /// operator has to be paid already, could not be.
    fn free_vaults(&mut self, slot: &SlotGraph, fronts: &[Front], tip: u32) -> Result<usize, Error> {
        let confirmations = self.bridge.parameters.confirmations;
        let stock = self.vaults.stock(slot.id.denomination).clone();
        let deep: Vec<_> = stock.unspent.iter().filter(|(_, height)| is_deep(*height, confirmations, tip)).collect();
        let mut signed = 0;
        for (vault, _) in &deep {
            signed += usize::from(self.is_reimbursable(vault, slot)?);
        }
        let of_denomination = fronts.iter().filter(|front| front.slot.denomination == slot.id.denomination);
        let own = of_denomination.filter(|front| !self.is_over(front.slot)).count();
        Ok(if signed > own { deep.len().saturating_sub(stock.owed) } else { 0 })
    }

    /// Whether the slot is reimbursed, and deep.
    fn is_over(&self, slot: SlotId) -> bool {
        let of = |run: &&super::Run| run.graph.as_ref().is_some_and(|graph| graph.slot(slot).is_some());
        let run = self.runs.iter().find(of);
        run.is_none_or(|run| slot.serial - run.record.first.serial < run.over as u32)
    }

    /// Takes the wallet's payout over, if it is what was asked for and still asked for.
    pub(super) fn payout_funded(&mut self, view: &dyn View, slot: SlotId, tx: Transaction) -> Result<Vec<Duty>, Error> {
        let nothing = Ok(Vec::new());
        let Some(mut front) = self.store.front(slot)?.filter(|front| front.outcome.is_none()) else { return nothing };
        if let Some(payout) = &front.payout {
            let other = || Error::Refused(format!("{slot} fronts by another transaction"));
            return if payout.compute_txid() == tx.compute_txid() { nothing } else { Err(other()) };
        }
        let state = view.ledger().state_at_tip();
        let Some(withdrawal) = state.withdrawal(front.withdrawal)? else { return nothing };
        let outputs = payout::outputs(&self.bridge, front.withdrawal, withdrawal.destination.script_pubkey(), slot)?;
        if tx.output.get(..2) != Some(&outputs[..]) || tx.input.is_empty() {
            return Err(Error::Refused(format!("the transaction is not the payout that {slot} asked for")));
        }
        if !self.is_wanted(&state, &front)? {
            return nothing;
        }
        front.payout = Some(tx.clone());
        self.store.put_front(&front)?;
        Ok(vec![publish(&front, tx)])
    }

    /// What a withdrawal that is being fronted needs.
    pub(super) fn tend(&self, view: &dyn View, mut front: Front, duties: &mut Vec<Duty>) -> Result<(), Error> {
        if front.outcome.is_some() {
            return Ok(());
        }
        let (confirmations, tip) = (self.bridge.parameters.confirmations, view.height());
        let state = view.ledger().state_at_tip();
        let (slot, withdrawal) = (front.slot, front.withdrawal);
        let Some(payout) = front.payout.clone() else {
            let asked = state.withdrawal(withdrawal)?;
            let (Some(asked), true) = (asked, self.is_wanted(&state, &front)?) else {
                return self.store.remove_front(slot);
            };
            let outputs = payout::outputs(&self.bridge, withdrawal, asked.destination.script_pubkey(), slot)?;
            duties.push(Duty::FundPayout { slot, withdrawal, outputs });
            return Ok(());
        };
        let txid = payout.compute_txid();
        if let Some(mined) = view.confirmed(&txid)? {
            if is_deep(mined, confirmations, tip) {
                let counted = counts(view, mined, txid)?;
                if !counted {
                    tracing::error!(%slot, %withdrawal, %txid, "a payout was mined and does not count");
                    self.store.put_loss(&Loss { slot, withdrawal, payout: txid })?;
                }
                front.outcome = Some(if counted { Outcome::Fulfilled } else { Outcome::Lost });
                self.store.put_front(&front)?;
            }
            return Ok(());
        }
        if let Some(since) = replaced_at(view, &payout)? {
            if is_deep(since, confirmations, tip) {
                front.outcome = Some(Outcome::Cancelled);
                self.store.put_front(&front)?;
            }
            return Ok(());
        }
        let time = match state.slot(slot)? {
            None => self.time(&state, withdrawal)?.filter(|time| time.left(tip) > self.policy.cancel),
            // By this payout: who tells of blocks is behind the ledger, as a node in the middle of a reorganization can be.
            Some(fulfilment) if counts(view, fulfilment.height, txid)? => return Ok(()),
            Some(_) => None,
        };
        let Some(time) = time.filter(|_| !front.cancelling) else {
            if !front.cancelling {
                front.cancelling = true;
                self.store.put_front(&front)?;
            }
            duties.push(Duty::Cancel { slot, tx: payout });
            return Ok(());
        };
        duties.push(publish(&front, payout.clone()));
        if time.window_left(tip) <= self.policy.bump {
            duties.push(Duty::Bump { slot, tx: payout });
        }
        Ok(())
    }

    /// Whether a payout that was not sent yet should be.
    fn is_wanted(&self, state: &State, front: &Front) -> Result<bool, Error> {
        let time = self.time(state, front.withdrawal)?.filter(|time| time.window.is_some());
        let in_time = time.is_some_and(|time| time.left(state.height()) > self.policy.cancel);
        Ok(in_time && state.slot(front.slot)?.is_none())
    }

    /// Whether a payout of this operator in the block at `height` counts.
    fn is_own(&self, state: &State, id: WithdrawalId, height: u32) -> Result<bool, Error> {
        let assignment = state.assignment_at(id, height)?;
        Ok(matches!(assignment, Some(Assignment::Operator { index, .. }) if index == self.index))
    }

    /// How long a withdrawal is this operator's from the next block on; none if it is not. No height in it is before the next.
    fn time(&self, state: &State, id: WithdrawalId) -> Result<Option<Time>, Error> {
        let next = state.height().saturating_add(1);
        let Some(withdrawal) = state.withdrawal(id)?.filter(|withdrawal| !withdrawal.paid) else { return Ok(None) };
        if !self.is_own(state, id, next)? {
            return Ok(None);
        }
        let windows = self.bridge.rollup.windows();
        let (operator, grace) = (u32::from(windows.operator), u32::from(windows.grace));
        let first = withdrawal.requested_height.saturating_add(u32::from(windows.cooperative));
        let Some(age) = next.checked_sub(first) else { return Ok(None) };
        let begin = first + age / (operator + grace) * (operator + grace);
        let window = begin.saturating_add(operator) - 1;
        let turn = window.saturating_add(grace);
        // Without another active operator the next turn is its own as well.
        let goes_on = self.is_own(state, id, turn.saturating_add(1))?;
        let counts = if goes_on { turn.saturating_add(operator + grace) } else { turn };
        Ok(Some(Time { window: Some(window).filter(|last| next <= *last), counts }))
    }
}

impl Front {
    /// Whether slot and withdrawal are taken by it: it is under way, or the slot is fulfilled.
    fn is_live(&self) -> bool {
        matches!(self.outcome, None | Some(Outcome::Fulfilled))
    }
}

/// Broadcasts a payout.
fn publish(front: &Front, payout: Transaction) -> Duty {
    let name = format!("Payout of withdrawal {} by {}", front.withdrawal, front.slot);
    Duty::Broadcast { name, tx: payout, child: None }
}

/// Whether a payout in the block at this height counts.
fn counts(view: &dyn View, height: u32, payout: Txid) -> Result<bool, Error> {
    let is_by = |event: &LedgerEvent| matches!(event, LedgerEvent::Paid { txid, .. } if *txid == payout.into());
    Ok(view.ledger().events(height)?.iter().any(is_by))
}

/// The height at which another transaction spent what the payout spends.
fn replaced_at(view: &dyn View, payout: &Transaction) -> Result<Option<u32>, Error> {
    let txid = payout.compute_txid();
    let mut first = None;
    for input in &payout.input {
        let spender = view.spender(&input.previous_output)?.filter(|spender| spender.tx.compute_txid() != txid);
        if let Some(spender) = spender {
            first = Some(first.map_or(spender.height, |first: u32| first.min(spender.height)));
        }
    }
    Ok(first)
}
