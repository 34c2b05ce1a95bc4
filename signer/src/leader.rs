//! What only the leader does: proposes the jobs that are due, and adds up what the others send.
//!
//! The leader is trusted with nothing but progress: every signer judges every job for itself.

use std::collections::BTreeMap;

use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{OutPoint, XOnlyPublicKey};
use musig2::{PartialSignature, PubNonce};
use serde::{Deserialize, Serialize};
use trestle_bridge::job::{DepositJob, Job, RunJob};
use trestle_bridge::transactions::{CooperativeTerms, DepositTerms, Vault, cooperative};
use trestle_rollup::WithdrawalId;

use crate::book::{Known, Progress};
use crate::event::Duty;
use crate::machine::{Error, LEADER, MAX_SESSIONS, Signer, blame, refusal};
use crate::message::{JobId, Message};
use crate::musig::MusigError;
use crate::policy::{Knowledge, Refusal};
use crate::session::{Missing, Offer, SessionError};
use crate::store::{Batch, Store, StoreError};
use crate::view::View;

/// The most deposits that wait for their turn.
pub const MAX_WAITING: usize = 10_000;

/// The most runs that wait for their turn.
pub const MAX_QUEUE: usize = 64;

/// A deposit that waits until it is deep enough; on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Waiting {
    terms: DepositTerms,
    consents: Vec<Signature>,
    /// Height at which it was asked for.
    since: u32,
}

/// A run that waits; the operator asks again.
pub(crate) struct Queued {
    /// The run, without vaults.
    pub job: Job,
    pub consents: Vec<Signature>,
    /// Height at which it was asked for.
    pub since: u32,
    /// Whether all its lanes are known.
    pub ready: bool,
}

/// A deposit output, and who says that it is theirs. Only for the one who is right can it come to anything, and no one else keeps
/// them from asking.
pub(crate) type Claimed = (OutPoint, XOnlyPublicKey);

impl Waiting {
    pub(crate) fn load(store: &impl Store) -> Result<BTreeMap<Claimed, Self>, StoreError> {
        let entries = store.scan(b"d")?;
        let read = |(key, value): (Vec<u8>, Vec<u8>)| {
            let waiting: Self = serde_json::from_slice(&value).map_err(|_| StoreError::corrupt(&key))?;
            Ok((Self::claimed(&waiting.terms), waiting))
        };
        entries.into_iter().map(read).collect()
    }

    fn claimed(terms: &DepositTerms) -> Claimed {
        (terms.outpoint, terms.refund_key)
    }

    fn key((outpoint, refund_key): &Claimed) -> Vec<u8> {
        [&b"d"[..], &bitcoin::consensus::serialize(outpoint), &refund_key.serialize()].concat()
    }
}

impl<S: Store + Clone> Signer<S> {
    /// A deposit was asked for. It waits on disk until it is deep.
    pub(crate) fn await_deposit(
        &mut self,
        id: JobId,
        job: Job,
        consents: Vec<Signature>,
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let Job::Deposit(DepositJob { terms, .. }) = job else { return Ok(()) };
        let outpoint = terms.outpoint;
        let claimed = Waiting::claimed(&terms);
        if self.waiting.contains_key(&claimed) || self.book.deposits().any(|(_, known, _)| known.outpoint == outpoint) {
            return Ok(());
        }
        if self.waiting.len() >= MAX_WAITING {
            out.push(Duty::Refused { job: id, by: LEADER, reason: "too many deposits are waiting".into() });
            return Ok(());
        }
        let waiting = Waiting { terms, consents, since: view.tip()? };
        let mut batch = Batch::default();
        batch.insert(Waiting::key(&claimed), serde_json::to_vec(&waiting).expect("terms are plain data"));
        self.musig.store().commit(batch)?;
        self.waiting.insert(claimed, waiting);
        out.push(Duty::Watch { outpoints: vec![outpoint] });
        Ok(())
    }

    /// A run was asked for. It waits in memory; the operator asks again.
    pub(crate) fn await_run(
        &mut self,
        id: JobId,
        job: Job,
        consents: Vec<Signature>,
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let Job::Run(RunJob { terms, .. }) = job else { return Ok(()) };
        let known = self.book.runs().find(|(_, run, known)| **run == terms && known.progress != Progress::Ended);
        if let Some((&known, ..)) = known {
            return self.deliver(&known, out);
        }
        let job = Job::Run(RunJob { terms: terms.clone(), vaults: Vec::new() });
        if self.queue.iter().any(|queued| queued.job == job) {
            return Ok(());
        }
        // Keys are asked for only where nothing else is wrong.
        let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
        let vaults = knowledge.unspent_vaults(terms.denomination)?;
        let ready = self.lanes.missing(&terms)?.is_empty();
        if let Some(refusal) = refusal(knowledge.check(&id, &Job::Run(RunJob { terms, vaults })))? {
            out.push(Duty::Refused { job: id, by: LEADER, reason: refusal.to_string() });
            return Ok(());
        }
        if self.queue.len() >= MAX_QUEUE {
            out.push(Duty::Refused { job: id, by: LEADER, reason: "too many runs are waiting".into() });
            return Ok(());
        }
        self.queue.push_back(Queued { job, consents, since: view.tip()?, ready });
        Ok(())
    }

    /// Proposes what is due, and reminds those who have not answered.
    pub(crate) fn lead_all(&mut self, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        self.give_up_stale(view, out)?;
        self.propose_administration(view, out)?;
        self.propose_runs(view, out)?;
        self.propose_deposits(view, out)?;
        self.propose_payouts(view, out)?;
        let ids: Vec<JobId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.lead(id, view, out)?;
            self.remind(&id, out);
        }
        self.fetch_keys(out)
    }

    /// Puts in the leader's own nonces for the batch that it is at.
    pub(crate) fn lead(&mut self, id: JobId, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        if session.missing(LEADER) != Missing::Nonces {
            return Ok(());
        }
        let at = session.position();
        match session.nonces(&mut self.musig, Batch::default()) {
            Ok(nonces) => self.nonces_from(id, LEADER, at, nonces, view, out),
            Err(error) => {
                tracing::warn!(job = %id, error = %blame(error)?, "no nonces");
                Ok(())
            }
        }
    }

    /// A signer sent its nonces, or says where it stands.
    pub(crate) fn nonces_from(
        &mut self,
        id: JobId,
        from: usize,
        at: u32,
        nonces: Vec<Offer<PubNonce>>,
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let (Some(session), Some(known)) = (self.sessions.get_mut(&id), self.book.get(&id)) else {
            if !self.catch_up(id, from, at, out)? && self.book.get(&id).is_none() {
                let reason = "not a job of mine".into();
                out.push(Duty::Send { to: from, message: Message::Refuse { job: id, reason } });
            }
            return Ok(());
        };
        if session.position() != at {
            self.catch_up(id, from, at, out)?;
            return Ok(());
        }
        let binding = |known: &mut Known| known.progress = Progress::Binding;
        let first = session.announced().is_none();
        let binds = first && session.in_last_stage() && known.progress == Progress::Open;
        let mut also = Batch::default();
        if binds {
            let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
            if let Some(refusal) = refusal(knowledge.check_again(&id, &known.job))? {
                return self.drop_job(id, &refusal.to_string(), out);
            }
            also = self.book.staged(&id, binding);
        }
        match session.nonces_from(&mut self.musig, from, nonces, also) {
            Ok(None) => Ok(()),
            Ok(Some(offers)) => {
                if binds {
                    self.book.apply(&id, binding);
                }
                let to = if first { 1..self.musig.signers() } else { from..from + 1 };
                for to in to.filter(|to| *to != LEADER) {
                    out.push(Duty::Send {
                        to,
                        message: Message::AggregateNonces { job: id, at, nonces: offers.clone() },
                    });
                }
                if self.musig.signers() > 1 {
                    return Ok(());
                }
                // A committee of one has nobody to wait for.
                let partials =
                    self.sessions.get_mut(&id).map(|session| session.sign(&mut self.musig, &offers, Batch::default()));
                match partials {
                    Some(Ok(partials)) => self.partials_from(id, LEADER, at, partials, view, out),
                    _ => Ok(()),
                }
            }
            Err(error) => {
                let why = blame(error)?.to_string();
                out.push(Duty::Suspect { signer: from, why });
                Ok(())
            }
        }
    }

    /// A signer sent its partial signatures.
    pub(crate) fn partials_from(
        &mut self,
        id: JobId,
        from: usize,
        at: u32,
        partials: Vec<PartialSignature>,
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.position() == at) else {
            self.catch_up(id, from, at, out)?;
            return Ok(());
        };
        match session.partials_from(&mut self.musig, from, partials) {
            Ok(None) => Ok(()),
            Ok(Some(signatures)) => {
                if let Err(error) = self.complete_batch(id, &signatures, view, out)? {
                    tracing::error!(job = %id, %error, "signatures that were found good were not kept");
                    return Ok(());
                }
                for to in 1..self.musig.signers() {
                    let message = Message::Signatures { job: id, at, signatures: signatures.clone() };
                    out.push(Duty::Send { to, message });
                }
                self.lead(id, view, out)
            }
            Err(error) => {
                let error = blame(error)?;
                let signer = match &error {
                    SessionError::Musig(MusigError::BadPartial { signer, .. }) => *signer,
                    _ => from,
                };
                out.push(Duty::Suspect { signer, why: error.to_string() });
                Ok(())
            }
        }
    }

    /// Asks every signer that owes something. A proposal does for all: it is answered with nonces, and nonces with what comes next,
    /// even by a signer that forgot the job meanwhile.
    fn remind(&self, id: &JobId, out: &mut Vec<Duty>) {
        let (Some(session), Some(known)) = (self.sessions.get(id), self.book.get(id)) else { return };
        for to in (1..self.musig.signers()).filter(|to| session.missing(*to) != Missing::Nothing) {
            let (job, at) = (Box::new(known.job.clone()), session.position());
            out.push(Duty::Send { to, message: Message::Propose { job, at, consents: known.consents.clone() } });
        }
    }

    /// Blocks for which a job may keep others of its denomination waiting.
    fn patience(&self) -> u32 {
        2 * u32::from(self.bridge.parameters.confirmations)
    }

    /// Gives up runs that some signer does not sign, so that deposits can go on.
    fn give_up_stale(&mut self, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let tip = view.tip()?;
        let patience = self.patience();
        let ids: Vec<JobId> = self.sessions.keys().chain(&self.awaiting).copied().collect();
        for id in ids {
            let since = *self.since.entry(id).or_insert(tip);
            let run = matches!(self.book.get(&id), Some(Known { job: Job::Run(_), .. }));
            if run && since.saturating_add(patience) < tip {
                self.drop_job(id, "not every signer signs it", out)?;
            }
        }
        Ok(())
    }

    /// True while a job of the other kind, about the same denomination, is being signed: a deposit has to cover every slot and a run
    /// every vault, so that they go one after the other. For a while only: a job that gets stuck does not block for ever.
    fn blocked(&self, denomination: u8, by: fn(&Job) -> Option<u8>, tip: u32) -> bool {
        self.sessions.keys().any(|id| {
            let young = self.since.get(id).is_none_or(|since| since.saturating_add(self.patience()) >= tip);
            young && self.book.get(id).is_some_and(|known| by(&known.job) == Some(denomination))
        })
    }

    fn propose_administration(&mut self, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let idle = |(id, known): (&JobId, &Known)| {
            let admin = matches!(known.job, Job::Admin(_)) && known.progress == Progress::Open;
            (admin && !self.sessions.contains_key(id)).then(|| known.job.clone())
        };
        let jobs: Vec<Job> = self.book.jobs().filter_map(idle).collect();
        for job in jobs {
            self.propose(job, Vec::new(), view, out)?;
        }
        Ok(())
    }

    fn propose_runs(&mut self, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let tip = view.tip()?;
        for queued in std::mem::take(&mut self.queue) {
            let Job::Run(RunJob { terms, .. }) = &queued.job else { continue };
            if !queued.ready && queued.since.saturating_add(self.patience()) < tip {
                let reason = "the keys of its lanes do not come".into();
                out.push(Duty::Refused { job: JobId::of(&self.bridge, &queued.job), by: LEADER, reason });
                self.forget_lanes(terms)?;
                continue;
            }
            if !queued.ready || self.blocked(terms.denomination, deposit_denomination, tip) {
                self.queue.push_back(queued);
                continue;
            }
            let consents = queued.consents;
            let vaults =
                Knowledge { bridge: &self.bridge, book: &self.book, view }.unspent_vaults(terms.denomination)?;
            let job = Job::Run(RunJob { terms: terms.clone(), vaults });
            let id = JobId::of(&self.bridge, &job);
            if let Some(reason) = self.propose(job, consents, view, out)? {
                out.push(Duty::Refused { job: id, by: LEADER, reason });
                self.forget_lanes(terms)?;
            }
        }
        Ok(())
    }

    fn propose_deposits(&mut self, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let tip = view.tip()?;
        let waiting: Vec<Waiting> = self.waiting.values().cloned().collect();
        for Waiting { terms, consents, since } in waiting {
            let complete = self.book.deposits().any(|(_, other, known)| {
                other.outpoint == terms.outpoint && matches!(known.progress, Progress::Complete | Progress::Ended)
            });
            let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
            let gone = knowledge.settled(&terms.outpoint)?
                || since.saturating_add(u32::from(self.bridge.parameters.refund_delay.value())) < tip
                    && view.output(&terms.outpoint)?.is_none();
            if complete || gone {
                let mut batch = Batch::default();
                let claimed = Waiting::claimed(&terms);
                batch.remove(Waiting::key(&claimed));
                self.musig.store().commit(batch)?;
                self.waiting.remove(&claimed);
                continue;
            }
            let queued = |queued: &Queued| queued.ready && run_denomination(&queued.job) == Some(terms.denomination);
            if self.blocked(terms.denomination, run_denomination, tip) || self.queue.iter().any(queued) {
                continue;
            }
            let slots = knowledge.open_slots(terms.denomination)?;
            let covered = self.sessions.keys().any(|id| match self.book.get(id) {
                Some(Known { job: Job::Deposit(other), .. }) => {
                    other.terms.outpoint == terms.outpoint && slots.iter().all(|slot| other.slots.contains(slot))
                }
                _ => false,
            });
            if covered {
                continue;
            }
            if let Some(reason) = self.propose(Job::Deposit(DepositJob { terms, slots }), consents, view, out)? {
                // As it was asked for: without slots.
                let asked = Job::Deposit(DepositJob { terms, slots: Vec::new() });
                out.push(Duty::Refused { job: JobId::of(&self.bridge, &asked), by: LEADER, reason });
            }
        }
        Ok(())
    }

    fn propose_payouts(&mut self, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        for withdrawal in view.pending_withdrawals()? {
            let Some(owed) = view.withdrawal(withdrawal)?.filter(|owed| !owed.paid) else { continue };
            let destination = owed.destination.script_pubkey();
            let rate = view.fee_rate()?.max(self.bridge.parameters.presigned_fee_rate);
            let fee = cooperative::fee(&self.bridge, &destination, rate).min(self.bridge.parameters.withdrawal_fee);
            let same = |terms: &CooperativeTerms| terms.withdrawal == withdrawal;
            if self
                .sessions
                .keys()
                .any(|id| matches!(self.book.get(id), Some(Known { job: Job::Cooperative(terms), .. }) if same(terms)))
            {
                continue;
            }
            let promised = self.book.promises().filter(|(_, terms)| same(terms)).max_by_key(|(_, terms)| terms.fee);
            let vaults = match promised {
                // A replacement pays a quarter more, or is not worth relaying.
                Some((_, terms)) if terms.fee + terms.fee / 4 >= fee => continue,
                Some((_, terms)) => vec![terms.vault],
                None => self.free_vaults(owed.denomination, view)?,
            };
            for vault in vaults {
                let terms = CooperativeTerms { withdrawal, vault, destination: destination.clone(), fee };
                match self.propose(Job::Cooperative(terms), Vec::new(), view, out)? {
                    Some(_) if self.may_pay(withdrawal, view)? => {}
                    _ => break,
                }
            }
        }
        Ok(())
    }

    /// True if a payout of this withdrawal by the committee could still be mined in time, whatever the vault.
    fn may_pay(&self, withdrawal: WithdrawalId, view: &dyn View) -> Result<bool, Error> {
        let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
        Ok(knowledge.committees_turn(withdrawal, 0)?)
    }

    /// Vaults that no payout was begun from, with an unspent ticket.
    fn free_vaults(&self, denomination: u8, view: &dyn View) -> Result<Vec<Vault>, Error> {
        let begun = |vault: &Vault| {
            self.book.jobs().any(|(_, known)| {
                let this = matches!(&known.job, Job::Cooperative(terms) if terms.vault == *vault);
                this && known.progress != Progress::Ended
            })
        };
        let mut free = Vec::new();
        for vault in self.book.vaults().filter(|vault| vault.denomination == denomination && !begun(vault)) {
            if view.spender(&vault.ticket())?.is_none() {
                free.push(vault);
            }
        }
        Ok(free)
    }

    /// Begins a job, if the leader itself finds it good. Otherwise says why not.
    fn propose(
        &mut self,
        job: Job,
        consents: Vec<Signature>,
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<Option<String>, Error> {
        let id = JobId::of(&self.bridge, &job);
        if self.sessions.contains_key(&id) || self.book.get(&id).is_some_and(|known| known.progress != Progress::Open) {
            return Ok(None);
        }
        if self.busy_with() >= MAX_SESSIONS {
            return Ok(Some("busy".into()));
        }
        let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
        if let Some(refusal) = refusal(knowledge.check(&id, &job))? {
            tracing::debug!(job = %id, %refusal, "not proposed");
            if let Refusal::Malformed(reason) = &refusal {
                out.push(Duty::Refused { job: id, by: LEADER, reason: reason.clone() });
            }
            return Ok(Some(refusal.to_string()));
        }
        if !self.take_up(id, job, consents, view, out)? {
            return Ok(Some("there is nothing to sign".into()));
        }
        Ok(None)
    }
}

fn deposit_denomination(job: &Job) -> Option<u8> {
    match job {
        Job::Deposit(deposit) => Some(deposit.terms.denomination),
        _ => None,
    }
}

fn run_denomination(job: &Job) -> Option<u8> {
    match job {
        Job::Run(run) => Some(run.terms.denomination),
        _ => None,
    }
}
