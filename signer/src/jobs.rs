//! Taking jobs up, and letting go of them.

use bitcoin::secp256k1::schnorr::Signature;
use trestle_bridge::job::{Job, RunJob};
use trestle_bridge::transactions::RunTerms;

use crate::book::{Known, Progress};
use crate::event::Duty;
use crate::machine::{Error, LEADER, Signer, blame, refusal};
use crate::message::{JobId, Message};
use crate::plan::JobPlan;
use crate::policy::Knowledge;
use crate::session::Session;
use crate::store::{Batch, Store, StoreError};
use crate::view::View;

impl<S: Store + Clone> Signer<S> {
    /// Looks at one job again: whether it is over, or can be dropped, or has something to broadcast.
    pub(crate) fn settle(&mut self, id: JobId, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        // Another job may have brought the signatures that this one still lacked.
        if self.sessions.contains_key(&id) {
            self.take_session(id)?;
            self.finish_if_done(id, view, out)?;
        }
        let Some(known) = self.book.get(&id) else { return Ok(()) };
        let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
        if knowledge.over(known)? {
            let change = |known: &mut Known| known.progress = Progress::Ended;
            self.musig.store().commit(self.book.staged(&id, change))?;
            let run = run_of(known);
            self.book.apply(&id, change);
            self.sessions.remove(&id);
            self.awaiting.remove(&id);
            if let Some(terms) = run {
                self.forget_lanes(&terms)?;
            }
            return Ok(());
        }
        if let Job::Cooperative(terms) = &known.job
            && knowledge.must_burn(known)?
        {
            // A payout and its replacements have one ticket.
            let duty = self.burn(&terms.vault);
            let duty = duty.filter(|duty| !out.contains(duty));
            out.extend(duty);
            return Ok(());
        }
        match known.progress {
            Progress::Open if self.sessions.contains_key(&id) || self.awaiting.contains(&id) => {
                let again = knowledge.check(&id, &known.job);
                if let Some(refusal) = refusal(again)? {
                    self.drop_job(id, &refusal.to_string(), out)?;
                }
            }
            Progress::Complete => self.broadcast(&id, view, out)?,
            _ => {}
        }
        Ok(())
    }

    /// Forgets a job that binds nobody here, and tells those who may care.
    pub(crate) fn drop_job(&mut self, id: JobId, reason: &str, out: &mut Vec<Duty>) -> Result<(), Error> {
        if !self.forget(&id)? {
            return Ok(());
        }
        let to = if self.index() == LEADER { 1..self.musig.signers() } else { LEADER..LEADER + 1 };
        for to in to {
            out.push(Duty::Send { to, message: Message::Refuse { job: id, reason: reason.into() } });
        }
        out.push(Duty::Refused { job: id, by: self.index(), reason: reason.into() });
        Ok(())
    }

    /// Forgets a job unless this signer is bound by it. What its own person approved stays approved.
    pub(crate) fn forget(&mut self, id: &JobId) -> Result<bool, Error> {
        let Some(known) = self.book.get(id).filter(|known| known.progress == Progress::Open) else { return Ok(false) };
        let run = run_of(known);
        if !matches!(known.job, Job::Admin(_)) {
            let mut batch = Batch::default();
            self.book.remove(id, &mut batch);
            self.musig.store().commit(batch)?;
        }
        self.sessions.remove(id);
        self.awaiting.remove(id);
        self.since.remove(id);
        if let Some(terms) = run {
            self.forget_lanes(&terms)?;
        }
        Ok(true)
    }

    /// Writes a job down, with the nonces of its first batch, and begins to sign it. False if it says nothing that can be signed.
    pub(crate) fn take_up(
        &mut self,
        id: JobId,
        job: Job,
        consents: Vec<Signature>,
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<bool, Error> {
        let mut batch = Batch::default();
        if self.book.get(&id).is_none() {
            let known = Known { job, consents, progress: Progress::Open, vault: None, slots_held: false };
            self.book.insert(&self.bridge, id, known, &mut batch);
        }
        let lacks_keys = self.book.get(&id).map_or(Ok(false), |known| self.lacks_keys(&known.job))?;
        if lacks_keys {
            self.musig.store().commit(batch)?;
            self.awaiting.insert(id);
            self.since.insert(id, view.tip()?);
            if let Some(known) = self.book.get(&id) {
                out.push(Duty::Watch { outpoints: self.book.outpoints(known) });
            }
            return self.fetch_keys(out).map(|()| true);
        }
        if !self.take_session(id)? {
            self.book.remove(&id, &mut Batch::default());
            return Ok(false);
        }
        // The job goes to the disk with the nonces of its first batch.
        let nonces = self.sessions.get(&id).map(|session| session.nonces(&mut self.musig, batch));
        if let Some(Err(error)) = nonces {
            tracing::warn!(job = %id, error = %blame(error)?, "the job cannot be signed");
            self.sessions.remove(&id);
            self.book.remove(&id, &mut Batch::default());
            return Ok(false);
        }
        self.since.insert(id, view.tip()?);
        if let Some(known) = self.book.get(&id) {
            out.push(Duty::Watch { outpoints: self.book.outpoints(known) });
        }
        self.finish_if_done(id, view, out)?;
        Ok(true)
    }

    /// Whether it is a run of which not every lane is known.
    pub(crate) fn lacks_keys(&self, job: &Job) -> Result<bool, StoreError> {
        let Job::Run(RunJob { terms, .. }) = job else { return Ok(false) };
        Ok(!self.lanes.missing(terms)?.is_empty())
    }

    /// How many jobs are being signed, or are about to be.
    pub(crate) fn busy_with(&self) -> usize {
        self.sessions.len() + self.awaiting.len()
    }

    /// (Re)builds the session of a job from what is on disk. False if the job cannot be worked out.
    pub(crate) fn take_session(&mut self, id: JobId) -> Result<bool, Error> {
        let Some(known) = self.book.get(&id) else { return Ok(false) };
        let plan = JobPlan { bridge: &self.bridge, runs: self.book.graphs(), job: &known.job, lanes: &self.lanes };
        if let Some(session) = self.sessions.get_mut(&id) {
            return Ok(session.refresh(&plan, &self.musig).is_ok());
        }
        match Session::open(&plan, &self.musig) {
            Ok(session) => {
                self.sessions.insert(id, session);
                Ok(true)
            }
            Err(error) => {
                tracing::warn!(job = %id, error = %blame(error)?, "the job cannot be signed");
                Ok(false)
            }
        }
    }
}

fn run_of(known: &Known) -> Option<RunTerms> {
    match &known.job {
        Job::Run(run) => Some(run.terms.clone()),
        _ => None,
    }
}
