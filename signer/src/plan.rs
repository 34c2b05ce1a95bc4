//! What a job has the committee sign, in which order, and what becomes of it: the bridge's [`Job`] as the session's [`Plan`].

use bitcoin::Transaction;
use bitcoin::secp256k1::schnorr::Signature;
use trestle_bridge::job::Job;
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::{LanePlace, Reveal, RunGraph, RunTerms, SignRequest, Vault};

use crate::event::{Delivery, LaneSignatures};
use crate::session::Plan;

/// What is signed for the lanes of runs.
pub trait LaneRequests {
    /// What is signed for one lane, in order; why not, if that cannot be said.
    fn requests(&self, terms: &RunTerms, at: LanePlace) -> Result<Vec<SignRequest>, String>;
}

/// A job of one bridge, with the runs whose slots it may name. Everything that is signed is built from these.
///
/// A run is signed in stages: everything of its slots; then its lanes, slot by slot and challenger by challenger; and last
/// Reimburse. Were it one, a leader could keep the signatures of Contest, or of a lane, to itself and share those of Reimburse with
/// an operator, whose false claims nobody could then contest. This way every signer holds what the challengers need, and
/// hands it to them, before a vault depends on it.
#[derive(Clone, Copy)]
pub struct JobPlan<'a> {
    /// The bridge.
    pub bridge: &'a Bridge,
    /// Every run that this signer knows.
    pub runs: &'a [RunGraph],
    /// The job.
    pub job: &'a Job,
    /// The lanes of the run that it is about.
    pub lanes: &'a dyn LaneRequests,
}

/// How many stages of a run come before Reimburse.
pub(crate) fn stages_of_slots(terms: &RunTerms) -> usize {
    1 + terms.lane_places().count()
}

impl Plan for JobPlan<'_> {
    fn stages(&self) -> usize {
        match self.job {
            Job::Run(run) => stages_of_slots(&run.terms) + usize::from(!run.vaults.is_empty()),
            job => job.stages(),
        }
    }

    fn stage(&self, index: usize, before: &[Vec<Signature>]) -> Result<Vec<SignRequest>, String> {
        let requests =
            |index, before| self.job.stage(self.bridge, self.runs, index, before).map_err(|error| error.to_string());
        match self.job {
            Job::Run(run) if (1..stages_of_slots(&run.terms)).contains(&index) => {
                let at = run.terms.lane_places().nth(index - 1).ok_or("the run has no such lane")?;
                self.lanes.requests(&run.terms, at)
            }
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

/// What is handed out of a job whose stages are signed.
pub fn delivery(job: Job, stages: &[Vec<Signature>]) -> Delivery {
    let Job::Run(run) = &job else { return Delivery { job, signatures: stages.to_vec(), lanes: Vec::new() } };
    let (slots, rest) = stages.split_at(1.min(stages.len()));
    let places: Vec<LanePlace> = run.terms.lane_places().collect();
    let (lanes, reimburse) = rest.split_at(places.len().min(rest.len()));
    let lanes =
        places.into_iter().zip(lanes).map(|(at, signatures)| LaneSignatures { at, signatures: signatures.clone() });
    Delivery { signatures: vec![[slots, reimburse].concat().concat()], lanes: lanes.collect(), job }
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
