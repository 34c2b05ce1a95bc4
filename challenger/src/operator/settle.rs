//! From a fulfilled slot to the operator's money: Claim, Finalize, Reimburse; and Retire.

use trestle_bridge::connector::sign_key_path;
use trestle_bridge::transactions::claim::{self, Statement};
use trestle_bridge::transactions::{FinalizeKind, Reveal, RunGraph, SlotGraph, Vault, reimburse, retire};
use trestle_rollup::SlotId;
use trestle_taptree_trace::ots::CLAIM;

use super::lie::Lie;
use super::{Alert, Duty, Operator, broadcast};
use crate::statement::{holds, statement_at};
use crate::view::View;
use crate::{Error, is_deep};

impl Operator {
    /// The slot that its run has come to: claim it if it is fulfilled, retire it if the run is over, else front.
    pub(super) fn open_slot(
        &mut self,
        view: &dyn View,
        graph: &RunGraph,
        slot: &SlotGraph,
        settled: bool,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        // Whoever fulfilled it. One whose key has signed is not used again, even if a deep reorganization has undone it.
        let used = view.ledger().state_at_tip().slot(slot.id)?.is_some() || self.store.statement(slot.id)?.is_some();
        let lie = self.lie.filter(|lie| lie.is_about(used));
        if (used || lie.is_some()) && self.claim(view, graph, slot, lie, duties)? {
            return Ok(());
        }
        let end = graph.terms.end()?.to_consensus_u32();
        if view.height() >= end {
            let fronting = self.store.front(slot.id)?.is_some_and(|front| front.outcome.is_none());
            if let Some(tx) = self.signatures.complete(&slot.retire, Reveal::Nothing)?.filter(|_| !fronting) {
                duties.push(broadcast(&slot.retire, tx));
            }
        } else if settled && !used {
            self.front(view, graph, slot, duties)?;
        }
        Ok(())
    }

    /// Claims a used slot once that is settled, or as the lie says. Returns whether there is, or may be, a claim to make.
    fn claim(
        &mut self,
        view: &dyn View,
        graph: &RunGraph,
        slot: &SlotGraph,
        lie: Option<Lie>,
        duties: &mut Vec<Duty>,
    ) -> Result<bool, Error> {
        if self.store.statement(slot.id)?.is_none() {
            let found = match lie {
                Some(lie) => self.false_statement(&lie, view, graph, slot.id)?,
                None => self.first_true_statement(view, graph, slot.id, duties)?,
            };
            match found {
                Found::Yes(statement) => self.store.fix_statement(slot.id, statement)?,
                Found::NotYet => return Ok(true),
                Found::Never => return Ok(false),
            };
        }
        let Some(statement) = self.check_statement(view, graph, slot.id, duties)? else { return Ok(false) };
        let id = claim::key_id(&self.bridge, slot.id);
        let signature = self.seed.sign(&CLAIM, &id, &statement.message())?;
        if let Some(tx) = self.signatures.complete(&slot.claim, Reveal::Claim(&signature))? {
            duties.push(broadcast(&slot.claim, tx));
        }
        Ok(true)
    }

    /// What can be said of a fulfilled slot: that it is, K blocks deep, at the first height at which that is so and which is K
    /// deep itself.
    fn first_true_statement(
        &self,
        view: &dyn View,
        graph: &RunGraph,
        slot: SlotId,
        duties: &mut Vec<Duty>,
    ) -> Result<Found, Error> {
        let confirmations = self.bridge.parameters.confirmations;
        let checkpoint = graph.terms.checkpoint.height;
        let Some(fulfilment) = view.ledger().state_at_tip().slot(slot)? else { return Ok(Found::NotYet) };
        // Anyone can fulfil anyone's slot, even before there is a run: N is at least 1.
        let height = fulfilment.height.saturating_add(u32::from(confirmations)).max(checkpoint + 1);
        if height >= checkpoint + retire::RUN_BLOCKS {
            duties.push(Duty::Alert(Alert::TooLate { slot }));
            return Ok(Found::Never);
        }
        if !is_deep(height, confirmations, view.height()) {
            return Ok(Found::NotYet);
        }
        match statement_at(view, checkpoint, height)? {
            Some(statement) if holds(view, slot, checkpoint, statement, confirmations)? => Ok(Found::Yes(statement)),
            _ => Ok(Found::NotYet),
        }
    }

    /// What the slot's key signs, if that is fixed and true of this chain.
    pub(super) fn check_statement(
        &self,
        view: &dyn View,
        graph: &RunGraph,
        slot: SlotId,
        duties: &mut Vec<Duty>,
    ) -> Result<Option<Statement>, Error> {
        let Some(statement) = self.store.statement(slot)? else { return Ok(None) };
        if self.lie.is_some() {
            return Ok(Some(statement));
        }
        let (confirmations, checkpoint) = (self.bridge.parameters.confirmations, graph.terms.checkpoint.height);
        let height = checkpoint.saturating_add(u32::from(statement.n));
        if !is_deep(height, confirmations, view.height()) {
            return Ok(None); // in the middle of a reorganization, or behind
        }
        if !holds(view, slot, checkpoint, statement, confirmations)? {
            duties.push(Duty::Alert(Alert::ClaimFalse { slot, height }));
            return Ok(None);
        }
        Ok(Some(statement))
    }

    pub(super) fn finalize_fast(
        &self,
        view: &dyn View,
        slot: &SlotGraph,
        claimed: u32,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let delta1 = u32::from(self.bridge.parameters.delta1.value());
        self.finalize(view, slot, FinalizeKind::Fast, claimed + delta1, duties)
    }

    pub(super) fn finalize_contested(
        &self,
        view: &dyn View,
        slot: &SlotGraph,
        contested: u32,
        entered: bool,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let parameters = &self.bridge.parameters;
        let (kind, delay) = match entered {
            false => (FinalizeKind::Unentered, parameters.delta1),
            true => (FinalizeKind::Slow, parameters.delta2),
        };
        self.finalize(view, slot, kind, contested + u32::from(delay.value()), duties)
    }

    /// Finalizes from the block at height `from` on.
    fn finalize(
        &self,
        view: &dyn View,
        slot: &SlotGraph,
        kind: FinalizeKind,
        from: u32,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let presigned = slot.finalize(kind);
        if view.height() + 1 >= from
            && let Some(tx) = self.signatures.complete(presigned, Reveal::Nothing)?
        {
            duties.push(broadcast(presigned, tx));
        }
        Ok(())
    }

    /// Reimburses a finalized claim.
    pub(super) fn reimburse(
        &mut self,
        slot: &SlotGraph,
        kind: FinalizeKind,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let Some(vault) = self.choose_vault(slot, kind)? else {
            duties.push(Duty::Alert(Alert::NoVault { slot: slot.id }));
            return Ok(());
        };
        let presigned = reimburse(&self.bridge, &vault, slot, kind)?;
        let message = presigned.party_message().expect("Reimburse has an input of the operator's");
        let own = sign_key_path(&self.key, message);
        if let Some(tx) = self.signatures.complete(&presigned, Reveal::Party(&own))? {
            duties.push(broadcast(&presigned, tx));
        }
        Ok(())
    }

    /// The vault that this slot is reimbursed from: the one chosen before, as long as nobody else has taken it. Different
    /// slots begin at different vaults, so that operators rarely want the same one.
    fn choose_vault(&mut self, slot: &SlotGraph, kind: FinalizeKind) -> Result<Option<Vault>, Error> {
        let mut candidates = Vec::new();
        for (vault, _) in &self.vaults.stock(slot.id.denomination).unspent {
            if self.signatures.holds(&reimburse(&self.bridge, vault, slot, kind)?)? {
                candidates.push(*vault);
            }
        }
        let (own, others): (Vec<_>, Vec<_>) = self.store.vaults()?.into_iter().partition(|(id, _)| *id == slot.id);
        if let Some(vault) = candidates.iter().find(|vault| own.iter().any(|(_, chosen)| *chosen == vault.outpoint)) {
            return Ok(Some(*vault));
        }
        let is_others = |vault: &Vault| others.iter().any(|(_, chosen)| *chosen == vault.outpoint);
        if candidates.iter().any(|vault| !is_others(vault)) {
            candidates.retain(|vault| !is_others(vault));
        }
        let operators = self.bridge.parameters.operators.len().max(1);
        let start = slot.id.serial as usize * operators + usize::from(self.index);
        let vault = candidates.get(start % candidates.len().max(1)).copied();
        if let Some(vault) = vault {
            self.store.put_vault(slot.id, vault.outpoint)?;
        }
        Ok(vault)
    }
}

/// What can be said of a slot.
pub(super) enum Found {
    Yes(Statement),
    NotYet,
    Never,
}
