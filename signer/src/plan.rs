//! What a job has the committee sign, in which order, and what becomes of it: the bridge's [`Job`] as the session's [`Plan`].

use bitcoin::Transaction;
use bitcoin::secp256k1::schnorr::Signature;
use trestle_bridge::job::Job;
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::{Reveal, RunGraph, SignRequest, Vault};

use crate::session::Plan;

/// A job of one bridge, with the runs whose slots it may name. Everything that is signed is built from these.
///
/// A run is signed in two stages: first everything of its slots, then Reimburse. Were it one, a leader could keep the
/// signatures of Contest to itself and share those of Reimburse with an operator, whose false claims nobody could then
/// contest. This way every signer holds Contest, and hands it to the challengers, before a vault depends on it.
#[derive(Clone, Copy)]
pub struct JobPlan<'a> {
    /// The bridge.
    pub bridge: &'a Bridge,
    /// Every run that this signer knows.
    pub runs: &'a [RunGraph],
    /// The job.
    pub job: &'a Job,
}

impl Plan for JobPlan<'_> {
    fn stages(&self) -> usize {
        match self.job {
            Job::Run(run) if run.vaults.is_empty() => 1,
            Job::Run(_) => 2,
            job => job.stages(),
        }
    }

    fn stage(&self, index: usize, before: &[Vec<Signature>]) -> Result<Vec<SignRequest>, String> {
        let requests =
            |index, before| self.job.stage(self.bridge, self.runs, index, before).map_err(|error| error.to_string());
        match self.job {
            Job::Run(run) => {
                let all = requests(0, &[])?;
                let slots = match self.runs.iter().find(|graph| graph.terms == run.terms) {
                    Some(graph) => graph.requests().len(),
                    None => RunGraph::build(self.bridge, run.terms.clone())
                        .map_err(|error| error.to_string())?
                        .requests()
                        .len(),
                };
                let (slots, reimburse) = all.split_at_checked(slots).ok_or("the job lacks a slot")?;
                Ok(if index == 0 { slots } else { reimburse }.to_vec())
            }
            _ => requests(index, before),
        }
    }
}

/// The signatures of a job in the stages of [`Job::stage`], where a run has one.
pub fn by_job_stage(job: &Job, signatures: &[Vec<Signature>]) -> Vec<Vec<Signature>> {
    match job {
        Job::Run(_) => vec![signatures.concat()],
        _ => signatures.to_vec(),
    }
}

/// The transaction that a complete job leaves to broadcast: Confirm, or a cooperative payout. The others are for whoever asked.
pub fn outcome(bridge: &Bridge, job: &Job, signatures: &[Vec<Signature>]) -> Option<Transaction> {
    let last = signatures.last()?;
    let presigned = match job {
        Job::Deposit(deposit) => deposit.terms.confirm(bridge, signatures.first()?.first()?).ok()?,
        Job::Cooperative(terms) => terms.build(bridge).ok()?,
        Job::Run(_) | Job::Admin(_) => return None,
    };
    presigned.complete(last, Reveal::Nothing).ok()
}

/// The vault that a deposit makes, once its mint signature is held.
pub fn vault(bridge: &Bridge, job: &Job, signatures: &[Vec<Signature>]) -> Option<Vault> {
    match job {
        Job::Deposit(deposit) => deposit.terms.vault(bridge, signatures.first()?.first()?).ok(),
        _ => None,
    }
}
