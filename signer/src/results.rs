//! What comes of signatures: what is broadcast, what is handed out, and what those who lag behind are told.

use std::collections::BTreeSet;

use bitcoin::OutPoint;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Message as Digest, Secp256k1};
use trestle_bridge::job::Job;
use trestle_bridge::transactions::{Burn, Vault};

use crate::book::{Known, Progress};
use crate::event::{Delivery, Duty, Receiver};
use crate::machine::{Error, LEADER, Signer, blame};
use crate::message::{JobId, Message};
use crate::plan::{self, JobPlan, outcome, vault};
use crate::policy::Knowledge;
use crate::session::{Session, SessionError};
use crate::store::{Batch, Store};
use crate::view::View;

/// How many finished jobs are kept at hand for signers that lag behind.
const ARCHIVE: usize = 8;

impl<S: Store + Clone> Signer<S> {
    /// The final signatures that concern the run with this bond: its own, and those of every deposit that covers one of its slots.
    /// Only jobs that are complete are in it.
    pub fn signatures_for(&mut self, bond: &OutPoint) -> Result<Vec<Delivery>, Error> {
        let mut ids = BTreeSet::new();
        for (id, run, known) in self.book.runs().filter(|(_, run, _)| run.bond == *bond) {
            if known.progress == Progress::Complete {
                ids.insert(*id);
            }
            let covers = |known: &Known| match &known.job {
                Job::Deposit(deposit) => deposit.slots.iter().any(|slot| {
                    slot.operator == run.operator
                        && slot.denomination == run.denomination
                        && (run.first_serial..run.first_serial.saturating_add(run.slots)).contains(&slot.serial)
                }),
                _ => false,
            };
            let complete = self.book.jobs().filter(|(_, known)| known.progress == Progress::Complete);
            ids.extend(complete.filter(|(_, known)| covers(known)).map(|(id, _)| *id));
        }
        let mut deliveries = Vec::with_capacity(ids.len());
        for id in ids {
            deliveries.extend(self.delivery(&id)?);
        }
        Ok(deliveries)
    }

    /// Writes down what follows from the signatures that the session holds. If they are all there, says what to do with them.
    pub(crate) fn finish_if_done(&mut self, id: JobId, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let (Some(session), Some(known)) = (self.sessions.get(&id), self.book.get(&id)) else { return Ok(()) };
        let mut next = known.clone();
        next.vault = vault(&self.bridge, &known.job, session.signatures());
        next.slots_held = match &known.job {
            Job::Run(run) => session.signatures().len() >= plan::stages_of_slots(&run.terms),
            _ => false,
        };
        let done = session.done();
        if done && next.progress != Progress::Ended {
            next.progress = Progress::Complete;
        }
        if next != *known {
            self.musig.store().commit(self.book.staged(&id, |known| *known = next.clone()))?;
            if next.vault != known.vault {
                out.push(Duty::Watch { outpoints: self.book.outpoints(&next) });
            }
            self.book.apply(&id, |known| *known = next);
        }
        if done && let Some(session) = self.sessions.remove(&id) {
            self.since.remove(&id);
            self.keep(id, session);
            self.broadcast(&id, view, out)?;
            self.deliver(&id, out)?;
        }
        Ok(())
    }

    pub(crate) fn broadcast(&mut self, id: &JobId, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let Some(known) = self.book.get(id) else { return Ok(()) };
        let what = match &known.job {
            Job::Deposit(deposit) if view.spender(&deposit.terms.outpoint)?.is_none() => "Confirm",
            Job::Cooperative(terms) if view.spender(&terms.vault.outpoint)?.is_none() => {
                // A payout that is mined in somebody else's time costs a vault and pays nothing off.
                let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
                if !knowledge.in_time(terms.withdrawal)? || view.spender(&terms.vault.ticket())?.is_some() {
                    return Ok(());
                }
                "cooperative payout"
            }
            _ => return Ok(()),
        };
        let Some(delivery) = self.delivery(id)? else { return Ok(()) };
        if let Some(transaction) = outcome(&self.bridge, &delivery.job, &delivery.signatures) {
            out.push(Duty::Broadcast { what: what.into(), transaction });
        }
        Ok(())
    }

    /// Burn of a vault's ticket, by this signer alone. The same bytes every time.
    pub(crate) fn burn(&self, vault: &Vault) -> Option<Duty> {
        let burn = Burn::new(&self.bridge, vault, self.index()).ok()?;
        let message = Digest::from_digest(burn.message());
        let signature = Secp256k1::signing_only().sign_schnorr_no_aux_rand(&message, &self.keypair);
        Some(Duty::Broadcast { what: "Burn".into(), transaction: burn.complete(&signature) })
    }

    pub(crate) fn deliver(&mut self, id: &JobId, out: &mut Vec<Duty>) -> Result<(), Error> {
        let Some(delivery) = self.delivery(id)? else { return Ok(()) };
        let mut receivers: Vec<Receiver> = match &delivery.job {
            Job::Deposit(deposit) => deposit.slots.iter().map(|slot| Receiver::Operator(slot.operator)).collect(),
            Job::Run(run) => {
                let challengers = (0..self.bridge.parameters.challengers.len()).map(Receiver::Challenger);
                challengers.chain([Receiver::Operator(run.terms.operator)]).collect()
            }
            Job::Admin(_) => vec![Receiver::Administrator],
            Job::Cooperative(_) => Vec::new(),
        };
        receivers.sort();
        receivers.dedup();
        out.extend(receivers.into_iter().map(|to| Duty::Deliver { to, delivery: delivery.for_receiver(to) }));
        Ok(())
    }

    fn delivery(&mut self, id: &JobId) -> Result<Option<Delivery>, Error> {
        let Some(job) = self.book.get(id).map(|known| known.job.clone()) else { return Ok(None) };
        let Some(session) = self.archived(id)?.filter(|session| session.done()) else { return Ok(None) };
        Ok(Some(plan::delivery(job, session.signatures())))
    }

    /// The session of a job that is not being signed any more.
    fn archived(&mut self, id: &JobId) -> Result<Option<&Session>, Error> {
        if !self.archive.iter().any(|(archived, _)| archived == id) {
            let Some(known) = self.book.get(id) else { return Ok(None) };
            let plan = JobPlan { bridge: &self.bridge, runs: self.book.graphs(), job: &known.job, lanes: &self.lanes };
            match Session::open(&plan, &self.musig) {
                Ok(session) => self.keep(*id, session),
                Err(error) => {
                    blame(error)?;
                    return Ok(None);
                }
            }
        }
        Ok(self.archive.iter().find(|(archived, _)| archived == id).map(|(_, session)| session))
    }

    fn keep(&mut self, id: JobId, session: Session) {
        self.archive.retain(|(archived, _)| *archived != id);
        self.archive.push_front((id, session));
        self.archive.truncate(ARCHIVE);
    }

    /// Answers a signer that is behind with the final signatures that it lacks. False if they are not held here.
    pub(crate) fn catch_up(&mut self, id: JobId, to: usize, at: u32, out: &mut Vec<Duty>) -> Result<bool, Error> {
        let batch = match self.sessions.get(&id) {
            Some(session) => session.batch_at(at).map(<[Signature]>::to_vec),
            None => self.archived(&id)?.and_then(|session| session.batch_at(at).map(<[Signature]>::to_vec)),
        };
        let Some(signatures) = batch else { return Ok(false) };
        out.push(Duty::Send { to, message: Message::Signatures { job: id, at, signatures } });
        Ok(true)
    }

    /// Keeps the final signatures of the current batch and goes on.
    pub(crate) fn complete_batch(
        &mut self,
        id: JobId,
        signatures: &[Signature],
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<Result<(), SessionError>, Error> {
        let (Some(session), Some(known)) = (self.sessions.get_mut(&id), self.book.get(&id)) else { return Ok(Ok(())) };
        let plan = JobPlan { bridge: &self.bridge, runs: self.book.graphs(), job: &known.job, lanes: &self.lanes };
        if let Err(error) = session.complete(&plan, &mut self.musig, signatures, Batch::default()) {
            return Ok(Err(blame(error)?));
        }
        self.finish_if_done(id, view, out)?;
        Ok(Ok(()))
    }

    pub(crate) fn signatures_from(
        &mut self,
        id: JobId,
        from: usize,
        at: u32,
        signatures: Vec<Signature>,
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        if self.sessions.get(&id).is_none_or(|session| session.position() != at) {
            return Ok(());
        }
        match self.complete_batch(id, &signatures, view, out)? {
            Err(error) => out.push(Duty::Suspect { signer: from, why: error.to_string() }),
            Ok(()) if self.index() == LEADER => self.lead(id, view, out)?,
            Ok(()) => self.send_nonces(id, out)?,
        }
        Ok(())
    }
}
