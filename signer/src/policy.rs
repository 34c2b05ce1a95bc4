//! What a signer agrees to sign: every job against its own node, its own Layer 2 and what it signed before (PROTOCOL §4).
//!
//! A job is judged when it is taken up, and again before the partial signatures of its last stage are released. A refusal
//! is not for ever: the job may be offered again when the chain has moved.
//!
//! "K deep" means that K blocks are on top: `tip ≥ height + K`.

use bitcoin::OutPoint;
use trestle_bridge::job::{AdminTerms, DepositJob, Job, OpenSlots, RunJob, runway};
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::{CooperativeTerms, DepositTerms, RunGraph, RunTerms, Vault, cooperative, run_lane};
use trestle_rollup::{Assignment, SlotId, WithdrawalId};

use crate::book::{Book, Known, Progress};
use crate::message::JobId;
use crate::slots;
use crate::view::{View, ViewError};

/// Runs of one operator and denomination that are signed before earlier ones are over.
pub const MAX_RUNS: usize = 16;

/// Why a job is not signed now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("{0}")]
    Malformed(String),
    #[error("{0} is not on the chain as the job says")]
    NoSuchOutput(OutPoint),
    #[error("{outpoint} is at height {height}, not {confirmations} deep at {tip}")]
    TooYoung { outpoint: OutPoint, height: u32, confirmations: u32, tip: u32 },
    #[error("the refund of {0} is too near for Confirm to be mined safely")]
    RefundTooNear(OutPoint),
    #[error("{0} is spent")]
    Spent(OutPoint),
    #[error("{0} was taken up with other terms")]
    OtherTerms(OutPoint),
    #[error("the runway of denomination {0} does not allow another vault")]
    Runway(u8),
    #[error("slot {0} is open and not covered")]
    SlotNotCovered(SlotId),
    #[error("slot {0} is of no run whose signatures are held")]
    UnknownSlot(SlotId),
    #[error("slot {0} was used, or signed in another run")]
    SlotUsed(SlotId),
    #[error("{0} is the bond of another run")]
    BondUsed(OutPoint),
    #[error("vault {0} is not covered")]
    VaultNotCovered(OutPoint),
    #[error("{0} is no vault of this denomination that is known here")]
    UnknownVault(OutPoint),
    #[error("the checkpoint is not {confirmations} deep, or not R at height {height}")]
    Checkpoint { height: u32, confirmations: u32 },
    #[error("the target is not four times that of the block at height {0}")]
    Target(u32),
    #[error("the lane of challenger {challenger} in slot {slot}: {why}")]
    Lane { slot: SlotId, challenger: u16, why: String },
    #[error("operator {0} has too many runs of this denomination")]
    TooManyRuns(u8),
    #[error("withdrawal {0} is not pending, or not of this script and denomination")]
    NotOwed(WithdrawalId),
    #[error("withdrawal {0} was requested too recently")]
    RequestTooYoung(WithdrawalId),
    #[error("withdrawal {0} may not be the committee's any more when the payout is mined")]
    WindowCloses(WithdrawalId),
    #[error("vault {0} is promised to another withdrawal, or the withdrawal to another vault")]
    Promised(OutPoint),
    #[error("the fee does not get the payout of withdrawal {0} mined in time")]
    Fee(WithdrawalId),
    #[error("nobody here approved this change")]
    NotApproved,
}

/// A job was not found good.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The view could not answer.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// What a job is judged by.
#[derive(Clone, Copy)]
pub struct Knowledge<'a> {
    /// The bridge.
    pub bridge: &'a Bridge,
    /// What was taken up and signed before.
    pub book: &'a Book,
    /// Chain and state.
    pub view: &'a dyn View,
}

impl Knowledge<'_> {
    fn confirmations(&self) -> u32 {
        u32::from(self.bridge.parameters.confirmations)
    }

    /// The last blocks of the committee's window, a quarter of it: in them no payout is signed or broadcast any more, and the ticket of
    /// one that was signed is burned.
    fn margin(&self) -> u32 {
        u32::from(self.bridge.parameters.cooperative_window / 4).max(2)
    }

    fn deep(&self, height: u32) -> Result<bool, ViewError> {
        Ok(height.saturating_add(self.confirmations()) <= self.view.tip()?)
    }

    /// True if a block K deep spends `outpoint`.
    pub fn settled(&self, outpoint: &OutPoint) -> Result<bool, ViewError> {
        match self.view.spender(outpoint)? {
            Some(spend) => self.deep(spend.height),
            None => Ok(false),
        }
    }

    /// True if nothing can come of a job any more, or everything has, K blocks deep.
    pub fn over(&self, known: &Known) -> Result<bool, ViewError> {
        Ok(match &known.job {
            Job::Deposit(deposit) => {
                let gone = match self.view.spender(&deposit.terms.outpoint)? {
                    Some(spend) => {
                        self.deep(spend.height)? && known.vault.is_none_or(|vault| vault.outpoint.txid != spend.txid)
                    }
                    None => false,
                };
                gone || match known.vault {
                    Some(vault) => self.settled(&vault.outpoint)?,
                    None => false,
                }
            }
            Job::Run(run) => match self.book.graph(&run.terms) {
                Some(graph) => slots::open(graph, self.view, self.confirmations())?.is_empty(),
                None => true,
            },
            Job::Cooperative(terms) => self.settled(&terms.vault.outpoint)? || self.settled(&terms.vault.ticket())?,
            Job::Admin(terms) => self.settled(&terms.outpoint)?,
        })
    }

    /// Judges `job`, which is known as `id` if it was taken up before.
    pub fn check(&self, id: &JobId, job: &Job) -> Result<(), CheckError> {
        match job {
            Job::Deposit(deposit) => self.deposit(deposit),
            Job::Run(run) => self.run(run),
            Job::Cooperative(terms) => self.cooperative(terms),
            Job::Admin(terms) => self.admin(id, terms),
        }
    }

    /// Judges a job again that was found good before, right before the signatures are released that can make it come true.
    ///
    /// Of a run only the vaults are looked at again. The rest is the operator's to change (it could use a slot's number, say),
    /// and a run that half of the signers are bound by and the others refuse would be in the way of every deposit.
    pub fn check_again(&self, id: &JobId, job: &Job) -> Result<(), CheckError> {
        match job {
            Job::Run(run) => self.covers_vaults(run),
            job => self.check(id, job),
        }
    }

    /// The slots that a deposit of this denomination has to cover: open, of runs that bind.
    pub fn open_slots(&self, denomination: u8) -> Result<Vec<SlotId>, ViewError> {
        let mut open = Vec::new();
        for graph in self.binding_runs(denomination) {
            open.extend(slots::open(graph, self.view, self.confirmations())?);
        }
        open.sort();
        open.dedup();
        Ok(open)
    }

    /// The vaults that a run of this denomination has to cover: not spent K deep.
    pub fn unspent_vaults(&self, denomination: u8) -> Result<Vec<Vault>, ViewError> {
        let mut unspent = Vec::new();
        for vault in self.book.vaults().filter(|vault| vault.denomination == denomination) {
            if !self.settled(&vault.outpoint)? {
                unspent.push(vault);
            }
        }
        Ok(unspent)
    }

    fn binding_runs(&self, denomination: u8) -> impl Iterator<Item = &RunGraph> {
        self.book.graphs().iter().filter(move |graph| {
            let binds = |(_, terms, known): (_, &RunTerms, &Known)| *terms == graph.terms && known.progress.binds();
            graph.terms.denomination == denomination && self.book.runs().any(binds)
        })
    }

    /// The deposit output is there, exactly, and unspent.
    fn deposit_output(&self, terms: &DepositTerms) -> Result<u32, CheckError> {
        let wanted = terms.deposit_output(self.bridge).map_err(|error| Refusal::Malformed(error.to_string()))?;
        let found = self.view.output(&terms.outpoint)?.filter(|(output, _)| *output == wanted);
        let (_, height) = found.ok_or(Refusal::NoSuchOutput(terms.outpoint))?;
        if self.view.spender(&terms.outpoint)?.is_some() {
            return Err(Refusal::Spent(terms.outpoint).into());
        }
        Ok(height)
    }

    fn deposit(&self, job: &DepositJob) -> Result<(), CheckError> {
        let outpoint = job.terms.outpoint;
        let height = self.deposit_output(&job.terms)?;
        let (tip, confirmations) = (self.view.tip()?, self.confirmations());
        if !self.deep(height)? {
            return Err(Refusal::TooYoung { outpoint, height, confirmations, tip }.into());
        }
        let refund = height.saturating_add(u32::from(self.bridge.parameters.refund_delay.value()));
        if tip.saturating_add(confirmations) >= refund {
            return Err(Refusal::RefundTooNear(outpoint).into());
        }
        if self.book.deposits().any(|(_, other, _)| other.outpoint == outpoint && *other != job.terms) {
            return Err(Refusal::OtherTerms(outpoint).into());
        }
        self.runway(job)?;
        self.covers_slots(job)
    }

    fn covers_slots(&self, job: &DepositJob) -> Result<(), CheckError> {
        let mut named = job.slots.clone();
        named.sort();
        if named.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refusal::Malformed("a slot is named twice".into()).into());
        }
        for slot in &job.slots {
            // Reimburse is signed only where this signer holds Contest and every lane, and for a run that it will never forget.
            let held = |(_, terms, known): (_, &RunTerms, &Known)| {
                let graph = self.book.graph(terms).filter(|_| known.slots_held && known.progress.binds());
                graph.is_some_and(|graph| graph.slot(*slot).is_some())
            };
            if slot.denomination != job.terms.denomination || !self.book.runs().any(held) {
                return Err(Refusal::UnknownSlot(*slot).into());
            }
        }
        for slot in self.open_slots(job.terms.denomination)? {
            if named.binary_search(&slot).is_err() {
                return Err(Refusal::SlotNotCovered(slot).into());
            }
        }
        Ok(())
    }

    /// The open slots of every run of this denomination that binds and whose bond is on the chain.
    pub fn funded_runs(&self, denomination: u8) -> Result<Vec<OpenSlots>, CheckError> {
        let mut runs = Vec::new();
        for graph in self.binding_runs(denomination) {
            let bond = graph.slots.first().and_then(|slot| slot.claim.prevouts.first());
            let funded = self.view.output(&graph.terms.bond)?.is_some_and(|(output, _)| Some(&output) == bond);
            if funded {
                let slots = slots::open(graph, self.view, self.confirmations())?.len() as u32;
                runs.push(OpenSlots { operator: graph.terms.operator, slots });
            }
        }
        Ok(runs)
    }

    /// The committee makes no vault that the open slots could not pay out without it.
    fn runway(&self, job: &DepositJob) -> Result<(), CheckError> {
        let denomination = job.terms.denomination;
        let runs = self.funded_runs(denomination)?;
        // The vault of this very deposit may be among the vaults already, if it was signed before.
        let mine: Vec<OutPoint> = self
            .book
            .deposits()
            .filter(|(_, terms, _)| terms.outpoint == job.terms.outpoint)
            .filter_map(|(_, _, known)| known.vault.map(|vault| vault.outpoint))
            .collect();
        let vaults =
            self.unspent_vaults(denomination)?.iter().filter(|vault| !mine.contains(&vault.outpoint)).count() as u32;
        let challengers = self.bridge.parameters.challengers.len() as u32;
        if runway(&runs, challengers, vaults) == 0 {
            return Err(Refusal::Runway(denomination).into());
        }
        Ok(())
    }

    fn run(&self, job: &RunJob) -> Result<(), CheckError> {
        let terms = &job.terms;
        terms.check(self.bridge).map_err(|error| Refusal::Malformed(error.to_string()))?;
        let (confirmations, checkpoint) = (self.confirmations(), terms.checkpoint);
        let entry = self.view.entry(checkpoint.height)?;
        // A run whose life is half over before it begins is a mistake.
        let stale = checkpoint.height.saturating_add(1 << 15) < self.view.tip()?;
        if entry != Some(checkpoint.entry) || !self.deep(checkpoint.height)? || stale {
            return Err(Refusal::Checkpoint { height: checkpoint.height, confirmations }.into());
        }
        // The price of an invented block, in every lane of the run.
        if self.view.header(checkpoint.height)?.map(|header| run_lane::target(&header)) != Some(terms.target) {
            return Err(Refusal::Target(checkpoint.height).into());
        }
        let mut bonds = terms.challengers.iter().map(|challenger| challenger.bond).chain([terms.bond]);
        let mut alike = 0;
        for (_, other, known) in self.book.runs().filter(|(_, other, _)| *other != terms) {
            let overlap = other.operator == terms.operator
                && other.denomination == terms.denomination
                && other.first_serial < terms.first_serial.saturating_add(terms.slots)
                && terms.first_serial < other.first_serial.saturating_add(other.slots);
            if overlap {
                return Err(Refusal::SlotUsed(terms.slot(0)).into());
            }
            let taken = |bond: &OutPoint| {
                other.bond == *bond || other.challengers.iter().any(|challenger| challenger.bond == *bond)
            };
            if let Some(bond) = bonds.clone().find(taken) {
                return Err(Refusal::BondUsed(bond).into());
            }
            let same_row = other.operator == terms.operator && other.denomination == terms.denomination;
            alike += usize::from(same_row && known.progress != Progress::Ended);
        }
        if alike >= MAX_RUNS {
            return Err(Refusal::TooManyRuns(terms.operator).into());
        }
        for place in 0..terms.slots {
            // A slot that was used before would make a claim true for which nothing was paid now.
            if self.view.slot(terms.slot(place))?.is_some() {
                return Err(Refusal::SlotUsed(terms.slot(place)).into());
            }
        }
        for bond in &mut bonds {
            if self.view.spender(&bond)?.is_some() {
                return Err(Refusal::Spent(bond).into());
            }
        }
        self.covers_vaults(job)
    }

    fn covers_vaults(&self, job: &RunJob) -> Result<(), CheckError> {
        let mut named: Vec<OutPoint> = job.vaults.iter().map(|vault| vault.outpoint).collect();
        named.sort();
        if named.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refusal::Malformed("a vault is named twice".into()).into());
        }
        for vault in &job.vaults {
            let known = vault.denomination == job.terms.denomination
                && self.book.deposits().any(|(_, _, known)| known.vault == Some(*vault));
            if !known {
                return Err(Refusal::UnknownVault(vault.outpoint).into());
            }
        }
        for vault in self.unspent_vaults(job.terms.denomination)? {
            if named.binary_search(&vault.outpoint).is_err() {
                return Err(Refusal::VaultNotCovered(vault.outpoint).into());
            }
        }
        Ok(())
    }

    fn cooperative(&self, terms: &CooperativeTerms) -> Result<(), CheckError> {
        terms.build(self.bridge).map_err(|error| Refusal::Malformed(error.to_string()))?;
        let owed = self.view.withdrawal(terms.withdrawal)?.filter(|withdrawal| {
            let script = withdrawal.destination.script_pubkey() == terms.destination;
            !withdrawal.paid && script && withdrawal.denomination == terms.vault.denomination
        });
        let owed = owed.ok_or(Refusal::NotOwed(terms.withdrawal))?;
        if !self.deep(owed.requested_height)? {
            return Err(Refusal::RequestTooYoung(terms.withdrawal).into());
        }
        if !self.in_time(terms.withdrawal)? {
            return Err(Refusal::WindowCloses(terms.withdrawal).into());
        }
        let vault = terms.vault;
        let complete = |known: &Known| known.vault == Some(vault) && known.progress == Progress::Complete;
        let known = self.book.deposits().any(|(_, _, known)| complete(known));
        if !known || self.view.output(&vault.outpoint)?.is_none() {
            return Err(Refusal::UnknownVault(vault.outpoint).into());
        }
        for outpoint in [vault.outpoint, vault.ticket()] {
            if self.view.spender(&outpoint)?.is_some() {
                return Err(Refusal::Spent(outpoint).into());
            }
        }
        // One withdrawal, one vault: two payouts of it can then never both be mined. A promise ends with the vault or its ticket.
        for (_, other) in self.book.promises() {
            if (other.vault == vault) != (other.withdrawal == terms.withdrawal) {
                return Err(Refusal::Promised(vault.outpoint).into());
            }
        }
        // Nodes estimate differently: half of one's own estimate is good enough.
        let mined = cooperative::fee(self.bridge, &terms.destination, self.view.fee_rate()?) / 2;
        if terms.fee < mined.min(self.bridge.parameters.withdrawal_fee) {
            return Err(Refusal::Fee(terms.withdrawal).into());
        }
        Ok(())
    }

    /// True if the withdrawal is the committee's to pay in the next block, and for `margin` blocks more.
    pub fn committees_turn(&self, withdrawal: WithdrawalId, margin: u32) -> Result<bool, ViewError> {
        let next = self.view.tip()?.saturating_add(1);
        for height in [next, next.saturating_add(margin)] {
            if self.view.assignment(withdrawal, height)? != Some(Assignment::Committee) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// True while a payout of the withdrawal may be signed and broadcast: the next block is before the last ones of the committee's window.
    pub fn in_time(&self, withdrawal: WithdrawalId) -> Result<bool, ViewError> {
        self.committees_turn(withdrawal, self.margin())
    }

    /// True if the ticket has to be burned: a payout that this signer may have signed its part of is in no block, and it is late. Whoever
    /// holds it could otherwise have it mined when an operator has paid. As the tip says: a reorganization can make it true again.
    pub fn must_burn(&self, known: &Known) -> Result<bool, ViewError> {
        let Job::Cooperative(terms) = &known.job else { return Ok(false) };
        Ok(known.progress.binds()
            && self.view.spender(&terms.vault.outpoint)?.is_none()
            && self.view.spender(&terms.vault.ticket())?.is_none()
            && !self.in_time(terms.withdrawal)?)
    }

    fn admin(&self, id: &JobId, _: &AdminTerms) -> Result<(), CheckError> {
        match self.book.get(id) {
            Some(_) => Ok(()),
            None => Err(Refusal::NotApproved.into()),
        }
    }
}
