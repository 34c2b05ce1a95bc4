//! What only the leader does: proposes the jobs that are due, and adds up what the others send.
//!
//! The leader is trusted with nothing but progress: every signer judges every job for itself.

use std::collections::BTreeMap;

use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{OutPoint, XOnlyPublicKey};
use musig2::{PartialSignature, PubNonce};
use serde::{Deserialize, Serialize};
use trestle_bridge::job::{DepositJob, Job, RunJob};
use trestle_bridge::transactions::DepositTerms;

use crate::book::{Known, Progress};
use crate::event::Duty;
use crate::machine::{Error, LEADER, Signer, blame, refusal};
use crate::message::{JobId, Message};
use crate::musig::MusigError;
use crate::policy::Knowledge;
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
    pub terms: DepositTerms,
    pub consents: Vec<Signature>,
    /// Height at which it was asked for.
    pub since: u32,
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

    pub fn claimed(terms: &DepositTerms) -> Claimed {
        (terms.outpoint, terms.refund_key)
    }

    pub fn key((outpoint, refund_key): &Claimed) -> Vec<u8> {
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
    pub(crate) fn patience(&self) -> u32 {
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
}
