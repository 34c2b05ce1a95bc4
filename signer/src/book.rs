//! The jobs that a signer has taken up, and what follows from them: runs, vaults, promises. On disk and in memory.
//!
//! What binds a signer is kept for ever: it never signs two runs with one slot, nor pays two withdrawals from one vault.

use std::collections::BTreeMap;

use bitcoin::OutPoint;
use bitcoin::secp256k1::schnorr::Signature;
use serde::{Deserialize, Serialize};
use trestle_bridge::job::Job;
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::{CooperativeTerms, DepositTerms, RunGraph, RunTerms, Vault};

use crate::message::JobId;
use crate::store::{Batch, Store, StoreError};

/// How far this signer is bound by a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Taken up; no partial signature of its last stage was released, so that it cannot have come true.
    Open,
    /// A partial signature of its last stage may have been released: it must be reckoned with.
    Binding,
    /// Every signature is held.
    Complete,
    /// Nothing can come of it any more, or everything has; settled on the chain.
    Ended,
}

impl Progress {
    /// True while the job may come true and has consequences.
    pub fn binds(self) -> bool {
        matches!(self, Self::Binding | Self::Complete)
    }
}

/// A job as it is on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// The job.
    pub job: Job,
    /// The signatures of those whom it binds.
    pub consents: Vec<Signature>,
    /// How far it is.
    pub progress: Progress,
    /// Deposit: the vault, once the mint signature is held.
    pub vault: Option<Vault>,
    /// Run: true once every signature of its slots is held, Contest's among them, and of all their lanes.
    pub slots_held: bool,
}

/// All jobs that a signer has taken up.
#[derive(Default)]
pub struct Book {
    jobs: BTreeMap<JobId, Known>,
    graphs: Vec<RunGraph>,
}

fn key(id: &JobId) -> Vec<u8> {
    [&b"j"[..], &id.0].concat()
}

impl Book {
    /// Reads the book from the store.
    pub fn load(store: &impl Store, bridge: &Bridge) -> Result<Self, StoreError> {
        let mut book = Self::default();
        for (key, value) in store.scan(b"j")? {
            let id = key[1..].try_into().map(JobId).map_err(|_| StoreError::corrupt(&key))?;
            let known = serde_json::from_slice(&value).map_err(|_| StoreError::corrupt(&key))?;
            book.put(bridge, id, known);
        }
        Ok(book)
    }

    /// Notes a job in memory, and in `batch` for the disk.
    pub fn insert(&mut self, bridge: &Bridge, id: JobId, known: Known, batch: &mut Batch) {
        batch.insert(key(&id), serde_json::to_vec(&known).expect("a job is plain data"));
        self.put(bridge, id, known);
    }

    fn put(&mut self, bridge: &Bridge, id: JobId, known: Known) {
        if let Job::Run(run) = &known.job
            && known.progress != Progress::Ended
            && !self.graphs.iter().any(|graph| graph.terms == run.terms)
            && let Ok(graph) = RunGraph::build(bridge, run.terms.clone())
        {
            self.graphs.push(graph);
        }
        self.jobs.insert(id, known);
    }

    /// What `change` would make of a job, for the disk; nothing changes in memory yet.
    pub fn staged(&self, id: &JobId, change: impl FnOnce(&mut Known)) -> Batch {
        let mut batch = Batch::default();
        if let Some(mut known) = self.jobs.get(id).cloned() {
            change(&mut known);
            batch.insert(key(id), serde_json::to_vec(&known).expect("a job is plain data"));
        }
        batch
    }

    /// Changes a job in memory.
    pub fn apply(&mut self, id: &JobId, change: impl FnOnce(&mut Known)) {
        let Some(known) = self.jobs.get_mut(id) else { return };
        change(known);
        if known.progress == Progress::Ended {
            self.forget_graph(id);
        }
    }

    /// Forgets a job that binds nobody.
    pub fn remove(&mut self, id: &JobId, batch: &mut Batch) {
        batch.remove(key(id));
        self.forget_graph(id);
        self.jobs.remove(id);
    }

    fn forget_graph(&mut self, id: &JobId) {
        let Some(Known { job: Job::Run(run), .. }) = self.jobs.get(id) else { return };
        let other = |(other, known): (&JobId, &Known)| {
            let same = matches!(&known.job, Job::Run(other) if other.terms == run.terms);
            same && other != id && known.progress != Progress::Ended
        };
        if !self.jobs.iter().any(other) {
            self.graphs.retain(|graph| graph.terms != run.terms);
        }
    }

    /// A job by its id.
    pub fn get(&self, id: &JobId) -> Option<&Known> {
        self.jobs.get(id)
    }

    /// Every job, in the order of ids.
    pub fn jobs(&self) -> impl Iterator<Item = (&JobId, &Known)> {
        self.jobs.iter()
    }

    /// The ids of the jobs that are not over.
    pub fn current(&self) -> Vec<JobId> {
        self.jobs.iter().filter(|(_, known)| known.progress != Progress::Ended).map(|(id, _)| *id).collect()
    }

    /// The graphs of all runs that are not over.
    pub fn graphs(&self) -> &[RunGraph] {
        &self.graphs
    }

    /// The graph of one run.
    pub fn graph(&self, terms: &RunTerms) -> Option<&RunGraph> {
        self.graphs.iter().find(|graph| graph.terms == *terms)
    }

    /// Every run.
    pub fn runs(&self) -> impl Iterator<Item = (&JobId, &RunTerms, &Known)> {
        self.jobs.iter().filter_map(|(id, known)| match &known.job {
            Job::Run(run) => Some((id, &run.terms, known)),
            _ => None,
        })
    }

    /// Every deposit.
    pub fn deposits(&self) -> impl Iterator<Item = (&JobId, &DepositTerms, &Known)> {
        self.jobs.iter().filter_map(|(id, known)| match &known.job {
            Job::Deposit(deposit) => Some((id, &deposit.terms, known)),
            _ => None,
        })
    }

    /// Every cooperative payout that binds and is not over: a promise of a vault to a withdrawal.
    pub fn promises(&self) -> impl Iterator<Item = (&JobId, &CooperativeTerms)> {
        self.jobs.iter().filter(|(_, known)| known.progress.binds()).filter_map(|(id, known)| match &known.job {
            Job::Cooperative(terms) => Some((id, terms)),
            _ => None,
        })
    }

    /// The vaults that the committee may hold, and have to be reckoned with: of deposits that bind and are not over.
    pub fn vaults(&self) -> impl Iterator<Item = Vault> {
        let binding = self.jobs.values().filter(|known| known.progress.binds());
        let mut vaults: Vec<Vault> = binding.filter_map(|known| known.vault).collect();
        vaults.sort();
        vaults.dedup();
        vaults.into_iter()
    }

    /// The outputs of a job that a view has to watch.
    pub fn outpoints(&self, known: &Known) -> Vec<OutPoint> {
        match &known.job {
            Job::Deposit(deposit) => known.vault.iter().flat_map(outpoints).chain([deposit.terms.outpoint]).collect(),
            Job::Cooperative(terms) => outpoints(&terms.vault).into(),
            Job::Admin(terms) => vec![terms.outpoint],
            Job::Run(run) => {
                let Some(graph) = self.graph(&run.terms) else { return Vec::new() };
                crate::slots::outpoints(graph)
            }
        }
    }
}

/// What a vault consists of: itself and its ticket.
fn outpoints(vault: &Vault) -> [OutPoint; 2] {
    [vault.outpoint, vault.ticket()]
}
