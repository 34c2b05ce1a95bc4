//! Asking for the operator's keys of a run's lanes, and making of them what is signed.
//!
//! No run is signed before all its lanes are known ([`crate::lanes`]). The leader proposes none before that either: the vaults that a
//! run has to cover are listed when it is proposed, and deposits would go on meanwhile. Keys that are no good end the run.

use bitcoin::hashes::{Hash, sha256};
use trestle_bridge::job::{Job, RunJob};
use trestle_bridge::transactions::{LanePlace, RunGraph, RunLaneError, RunTerms};

use crate::book::{Known, Progress};
use crate::event::Duty;
use crate::machine::{Error, LEADER, Signer, blame};
use crate::message::JobId;
use crate::policy::Refusal;
use crate::store::{Batch, Store, StoreError};
use crate::view::View;

impl<S: Store + Clone> Signer<S> {
    /// Every run that waits for keys, by the id of its job.
    fn in_need(&self) -> Vec<(JobId, RunTerms)> {
        let terms = |job: &Job| match job {
            Job::Run(run) => Some(run.terms.clone()),
            _ => None,
        };
        let taken_up = self.awaiting.iter().filter_map(|id| Some((*id, terms(&self.book.get(id)?.job)?)));
        let queued = self.queue.iter().filter(|queued| !queued.ready);
        let queued = queued.filter_map(|queued| Some((JobId::of(&self.bridge, &queued.job), terms(&queued.job)?)));
        taken_up.chain(queued).collect()
    }

    /// Says which keys are missing.
    pub(crate) fn fetch_keys(&self, out: &mut Vec<Duty>) -> Result<(), Error> {
        for (_, terms) in self.in_need() {
            for (_, digest) in self.lanes.missing(&terms)? {
                let duty = Duty::FetchLaneKeys { operator: terms.operator, digest };
                if !out.contains(&duty) {
                    out.push(duty);
                }
            }
        }
        Ok(())
    }

    /// Bytes came that may be keys. Those that were not asked for are nothing.
    pub(crate) fn keys_came(&mut self, keys: &[u8], view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let digest = sha256::Hash::hash(keys);
        for (id, terms) in self.in_need() {
            let missing = self.lanes.missing(&terms)?;
            let named: Vec<LanePlace> = missing.iter().filter(|(_, of)| *of == digest).map(|(at, _)| *at).collect();
            for at in &named {
                if let Err(wrong) = self.learn(&terms, *at, keys)? {
                    let slot = terms.slot(at.slot);
                    let refusal = Refusal::Lane { slot, challenger: at.challenger, why: wrong.to_string() };
                    self.give_up(id, &terms, &refusal.to_string(), out)?;
                }
            }
            if !named.is_empty() && named.len() == missing.len() {
                self.keys_are_here(id, view, out)?;
            }
        }
        Ok(())
    }

    fn learn(&self, terms: &RunTerms, at: LanePlace, keys: &[u8]) -> Result<Result<(), RunLaneError>, StoreError> {
        let built;
        let graph = match self.book.graph(terms) {
            Some(graph) => graph,
            None => match RunGraph::build(&self.bridge, terms.clone()) {
                Ok(graph) => {
                    built = graph;
                    &built
                }
                Err(_) => return Ok(Err(RunLaneError::NoLane(at))),
            },
        };
        self.lanes.learn(&self.bridge, graph, at, keys)
    }

    /// Forgets a run whose keys are no good.
    fn give_up(&mut self, id: JobId, terms: &RunTerms, reason: &str, out: &mut Vec<Duty>) -> Result<(), Error> {
        let queued = self.queue.len();
        self.queue.retain(|queued| run_terms(&queued.job) != Some(terms));
        if self.queue.len() < queued {
            out.push(Duty::Refused { job: id, by: self.index(), reason: reason.into() });
            self.forget_lanes(terms)?;
        }
        self.drop_job(id, reason, out)
    }

    /// Goes on with a run of which nothing is missing any more.
    fn keys_are_here(&mut self, id: JobId, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        for queued in self.queue.iter_mut().filter(|queued| !queued.ready) {
            let Some(terms) = run_terms(&queued.job) else { continue };
            queued.ready = self.lanes.missing(terms)?.is_empty();
        }
        if self.awaiting.contains(&id) && !self.begin(id, view, out)? {
            return self.drop_job(id, "there is nothing to sign", out);
        }
        if self.index() == LEADER { self.lead_all(view, out) } else { self.send_nonces(id, out) }
    }

    /// Begins to sign a run that waited for its keys. False if it says nothing that can be signed.
    fn begin(&mut self, id: JobId, view: &dyn View, out: &mut Vec<Duty>) -> Result<bool, Error> {
        self.awaiting.remove(&id);
        if !self.take_session(id)? {
            return Ok(false);
        }
        let nonces = self.sessions.get(&id).map(|session| session.nonces(&mut self.musig, Batch::default()));
        if let Some(Err(error)) = nonces {
            tracing::warn!(job = %id, error = %blame(error)?, "the job cannot be signed");
            return Ok(false);
        }
        self.finish_if_done(id, view, out)?;
        Ok(true)
    }

    /// Forgets the lanes of a run that no job, and nothing in the queue, is about.
    pub(crate) fn forget_lanes(&self, terms: &RunTerms) -> Result<(), StoreError> {
        let current = |(_, of, known): (_, &RunTerms, &Known)| of == terms && known.progress != Progress::Ended;
        let queued = self.queue.iter().any(|queued| run_terms(&queued.job) == Some(terms));
        if queued || self.book.runs().any(current) {
            return Ok(());
        }
        self.lanes.forget(terms)
    }
}

fn run_terms(job: &Job) -> Option<&RunTerms> {
    match job {
        Job::Run(RunJob { terms, .. }) => Some(terms),
        _ => None,
    }
}
