//! The watchtower: judges every claim by its own ledger, and contests the false ones (PROTOCOL §4, §6).
//!
//! ```text
//! a run:    Invited ─▶ FundBond ─▶ BondFunded ─▶ Join ─▶ Proposed ─▶ Consent ─▶ Delivered ─▶ bond broadcast ┈▶ bond retired
//! a claim:  judged ─▶ Report, and if it is false Contest, and its lane ([`crate::dispute`])
//! ```
//!
//! A claim is judged once the block that it speaks of is K deep; that is long before Δ1 is over, for a claim about a block
//! that was not there when it was made is false at once. The verdict is on disk before anything is done about it.

mod disputes;
mod end;
mod event;
mod judge;
mod lanes;
mod store;

pub use crate::dispute::Settlement;
pub use event::{Duty, Event, Purpose, Reason, Report, Verdict};

use std::collections::HashSet;
use std::sync::Arc;

use bitcoin::hashes::{hash160, sha256};
use bitcoin::secp256k1::Keypair;
use bitcoin::{Amount, OutPoint, Transaction};
use trestle_bridge::connector::Entry;
use trestle_bridge::job::{Job, RunJob};
use trestle_bridge::lane::{LaneWork, Lanes};
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::slot_run::MAX_SLOTS;
use trestle_bridge::transactions::{
    ChallengerInRun, Presigned, Reveal, RunGraph, RunTerms, challenger_bond, contest, run_lane,
};
use trestle_rollup::SlotId;
use trestle_signer::{Delivery, consent};
use trestle_taptree_trace::ots::SecretSeed;

use crate::dispute::Hostile;
use crate::phase::Phase;
use crate::signatures::Signatures;
use crate::view::View;
use crate::{Error, is_deep};
use disputes::Disputes;
use end::value;
use store::{RunRecord, Store};

/// A run as far as it is known.
struct Run {
    record: RunRecord,
    /// None until its terms are known.
    graph: Option<Arc<RunGraph>>,
    /// Slots at the front that are finalized, and deep.
    over: usize,
    /// Whether the signatures of the challenger's part are held; they are never lost.
    signed: bool,
    /// Whether the graph is made with this challenger's secrets and keys.
    own: bool,
}

impl Run {
    /// Whether the run was made with the bond, the secrets and the keys of the challenger with this index.
    fn has_part(&self, index: u16) -> bool {
        let part = self.graph.as_ref().and_then(|graph| graph.terms.challengers.get(usize::from(index)));
        let bond = self.record.bond.as_ref().map(|tx| OutPoint::new(tx.compute_txid(), 0));
        self.own && part.is_some_and(|part| bond == Some(part.bond))
    }
}

/// One watchtower. See the [module](self).
pub struct Watchtower {
    bridge: Bridge,
    index: u16,
    key: Keypair,
    seed: SecretSeed,
    lanes: Arc<dyn LaneWork>,
    /// Digests of keys that make no lane.
    bad_keys: HashSet<sha256::Hash>,
    patience: u32,
    store: Store,
    signatures: Signatures,
    runs: Vec<Run>,
    db: sled::Db,
    disputes: Disputes,
    /// Disputes whose end was told.
    settled: HashSet<SlotId>,
    /// How it disputes what is true, if it does.
    hostile: Option<Hostile>,
}

impl Watchtower {
    /// Opens the watchtower of the challenger with this key, with what it stored in `db`. Its secrets come from `seed`.
    /// Transactions without a deadline are bumped when they are unconfirmed for `patience` blocks.
    ///
    /// # Errors
    /// [`Error::Refused`] if the key is no challenger's; if the store fails or is damaged.
    pub fn open(db: &sled::Db, bridge: Bridge, key: Keypair, seed: SecretSeed, patience: u32) -> Result<Self, Error> {
        let own = key.x_only_public_key().0;
        let index = bridge.parameters.challengers.iter().position(|challenger| *challenger == own);
        let index = index
            .and_then(|index| u16::try_from(index).ok())
            .ok_or_else(|| Error::Refused(format!("{own} is no challenger of this bridge")))?;
        let store = Store::open(db)?;
        let signatures = Signatures::open(db, "watchtower/signatures", bridge.committee.clone())?;
        let records = store.runs()?;
        let (lanes, bad_keys, runs) = (Arc::new(Lanes), HashSet::new(), Vec::new());
        let (db, disputes, settled, hostile) = (db.clone(), Disputes::new(), HashSet::new(), None);
        let mut tower = Self {
            bridge,
            index,
            key,
            seed,
            lanes,
            bad_keys,
            patience,
            store,
            signatures,
            runs,
            db,
            disputes,
            settled,
            hostile,
        };
        for record in records {
            let terms = record.terms.clone();
            let graph = terms.map(|terms| RunGraph::build(&tower.bridge, terms)).transpose()?.map(Arc::new);
            let own = graph.as_ref().is_some_and(|graph| tower.is_own(graph));
            tower.runs.push(Run { record, graph, over: 0, signed: false, own });
        }
        Ok(tower)
    }

    /// The same, with lanes that are made otherwise: less of them in a simulation, or once for several roles.
    pub fn with_lanes(self, lanes: Arc<dyn LaneWork>) -> Self {
        Self { lanes, ..self }
    }

    /// Takes an event in and returns what is to be done, once everything that it rests on is on disk.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn process(&mut self, event: Event, view: &dyn View) -> Result<Vec<Duty>, Error> {
        match event {
            Event::Tip => {}
            Event::Invited { run, slots } => self.invited(run, slots)?,
            Event::BondFunded { run, tx } => self.bond_funded(run, tx)?,
            Event::Proposed(terms) => self.proposed(*terms)?,
            Event::Delivered(delivery) => self.delivered(*delivery)?,
            Event::LaneKeys(keys) => self.keys_came(&keys)?,
            Event::Paid { slot, fees } => self.paid(slot, &fees)?,
            Event::Answered { slot, wanted, answer } => return self.answered(slot, wanted, &answer),
        }
        let mut duties = Vec::new();
        for run in 0..self.runs.len() {
            match self.runs[run].graph.clone() {
                None => self.prepare(run, &mut duties),
                Some(graph) => self.watch(view, run, &graph, &mut duties)?,
            }
        }
        Ok(duties)
    }

    /// Index of the challenger in the parameters.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// The transactions that pay its bonds, whether they were sent or not.
    pub fn bonds(&self) -> impl Iterator<Item = &Transaction> {
        self.runs.iter().filter_map(|run| run.record.bond.as_ref())
    }

    /// What came of every dispute that is over.
    ///
    /// # Errors
    /// If the store fails.
    pub fn settlements(&self) -> Result<Vec<Settlement>, Error> {
        self.store.settlements()
    }

    /// Every verdict so far.
    ///
    /// # Errors
    /// If the store fails.
    pub fn reports(&self) -> Result<Vec<Report>, Error> {
        self.store.reports()
    }

    fn invited(&mut self, first: SlotId, slots: u32) -> Result<(), Error> {
        let exists =
            self.bridge.operator(first.operator).is_some() && self.bridge.denomination(first.denomination).is_some();
        if !exists || slots == 0 || slots > MAX_SLOTS || first.serial.checked_add(slots).is_none() {
            return Err(Error::Refused(format!("no run of {slots} slots can begin with {first}")));
        }
        let overlaps = |run: &RunRecord| {
            (run.first.operator, run.first.denomination) == (first.operator, first.denomination)
                && run.first.serial < first.serial + slots
                && first.serial < run.first.serial + run.slots
        };
        if self.runs.iter().any(|run| (run.record.first, run.record.slots) == (first, slots)) {
            return Ok(());
        }
        if let Some(run) = self.runs.iter().find(|run| overlaps(&run.record)) {
            return Err(Error::Refused(format!("slots of this run are in the run of {} too", run.record.first)));
        }
        let record = RunRecord { first, slots, bond: None, terms: None };
        self.store.put_run(&record)?;
        self.runs.push(Run { record, graph: None, over: 0, signed: false, own: false });
        Ok(())
    }

    fn bond_funded(&mut self, first: SlotId, tx: Transaction) -> Result<(), Error> {
        if tx.output.first() != Some(&challenger_bond::output(&self.bridge, self.entry())) {
            return Err(Error::Refused("output 0 is not the bond".into()));
        }
        let Some(run) = self.runs.iter_mut().find(|run| run.record.first == first) else {
            return Err(Error::Refused(format!("nobody has invited this challenger to a run of {first}")));
        };
        match &run.record.bond {
            Some(known) if *known == tx => Ok(()),
            Some(_) => Err(Error::Refused("the run has another bond".into())),
            None => {
                let record = RunRecord { bond: Some(tx), ..run.record.clone() };
                self.store.put_run(&record)?;
                run.record = record;
                Ok(())
            }
        }
    }

    /// Takes the terms of a run, to consent to: the first that are right are the only ones.
    fn proposed(&mut self, terms: RunTerms) -> Result<(), Error> {
        let first = terms.slot(0);
        let Some(at) = self.runs.iter().position(|run| run.record.first == first) else {
            return Err(Error::Refused(format!("nobody has invited this challenger to a run of {first}")));
        };
        match &self.runs[at].record.terms {
            Some(known) if *known == terms => return Ok(()),
            Some(_) => return Err(Error::Refused(format!("the run of {first} has other terms"))),
            None => {}
        }
        let graph = Arc::new(RunGraph::build(&self.bridge, terms)?);
        let record = self.runs[at].record.clone();
        let own = self.is_own(&graph);
        if !(Run { record, graph: Some(Arc::clone(&graph)), over: 0, signed: false, own }).has_part(self.index) {
            return Err(Error::Refused(format!("this challenger's part in the run of {first} is another one")));
        }
        self.learn(Some(at), graph)
    }

    /// Begins to watch a run.
    fn learn(&mut self, known: Option<usize>, graph: Arc<RunGraph>) -> Result<(), Error> {
        let first = graph.terms.slot(0);
        let bond = known.and_then(|run| self.runs[run].record.bond.clone());
        let record = RunRecord { first, slots: graph.terms.slots, bond, terms: Some(graph.terms.clone()) };
        self.store.put_run(&record)?;
        let own = self.is_own(&graph);
        let run = Run { record, graph: Some(graph), over: 0, signed: false, own };
        if !run.has_part(self.index) {
            tracing::error!(%first, "this challenger has no part in the run: it can watch and not contest");
        }
        match known {
            Some(at) => self.runs[at] = run,
            None => self.runs.push(run),
        }
        Ok(())
    }

    /// Takes over the signatures of a run, which may be the first that is heard of it.
    fn delivered(&mut self, delivery: Delivery) -> Result<(), Error> {
        let Job::Run(RunJob { terms, .. }) = &delivery.job else {
            return Err(Error::Refused("a challenger has no use for the signatures of a deposit".into()));
        };
        let requests = delivery.job.stage(&self.bridge, &[], 0, &[])?;
        let signatures = delivery.signatures.first().map(Vec::as_slice).unwrap_or_default();
        if requests.len() != signatures.len() {
            return Err(Error::Refused(format!("{} signatures of {}", signatures.len(), requests.len())));
        }
        let signed: Vec<_> = requests.into_iter().zip(signatures.iter().copied()).collect();
        let known = self.runs.iter().position(|run| run.record.first == terms.slot(0));
        let same = known.filter(|run| self.runs[*run].record.terms.as_ref() == Some(terms));
        let graph = match same.and_then(|run| self.runs[run].graph.clone()) {
            Some(graph) => graph,
            None => Arc::new(RunGraph::build(&self.bridge, terms.clone())?),
        };
        let lanes = self.read_lanes(&graph, &delivery.lanes)?;
        self.signatures.deliver(&signed, &lanes)?;
        // Terms that the committee has signed count more than any that were merely proposed.
        if same.is_none() {
            self.learn(known, graph)?;
        }
        Ok(())
    }

    /// What a run needs until its terms are known.
    fn prepare(&self, run: usize, duties: &mut Vec<Duty>) {
        let RunRecord { first, slots, ref bond, .. } = self.runs[run].record;
        duties.push(match bond {
            None => Duty::FundBond { run: first, output: challenger_bond::output(&self.bridge, self.entry()) },
            Some(bond) => {
                let bond = OutPoint::new(bond.compute_txid(), 0);
                Duty::Join {
                    run: first,
                    part: ChallengerInRun {
                        bond,
                        contest_hashes: self.contest_hashes(first, slots),
                        choice_keys: self.choice_keys(first, slots),
                    },
                }
            }
        });
    }

    /// What its bonds and its entries into lanes are.
    fn entry(&self) -> &Entry {
        &self.bridge.entries[usize::from(self.index)]
    }

    fn contest_hashes(&self, first: SlotId, slots: u32) -> Vec<hash160::Hash> {
        let slots = (0..slots).map(|place| SlotId { serial: first.serial + place, ..first });
        slots.map(|slot| contest::secret(&self.bridge, &self.seed, self.index, slot).1).collect()
    }

    /// Whether the run was made with this challenger's secrets and keys.
    fn is_own(&self, graph: &RunGraph) -> bool {
        let (first, slots) = (graph.terms.slot(0), graph.terms.slots);
        let part = graph.terms.challengers.get(usize::from(self.index));
        part.is_some_and(|part| {
            part.contest_hashes == self.contest_hashes(first, slots)
                && part.choice_keys == self.choice_keys(first, slots)
        })
    }

    /// What a known run needs.
    fn watch(&mut self, view: &dyn View, run: usize, graph: &RunGraph, duties: &mut Vec<Duty>) -> Result<(), Error> {
        self.tend_bond(view, run, graph, duties)?;
        let (confirmations, tip) = (self.bridge.parameters.confirmations, view.height());
        for (place, slot) in graph.slots.iter().enumerate().skip(self.runs[run].over) {
            let phase = Phase::of(slot, view)?;
            if let Some(claim) = view.spender(&slot.claim.tx.input[0].previous_output)?
                && claim.tx.compute_txid() == slot.claim.txid()
            {
                self.look_at(view, run, graph, slot, &claim, phase, duties)?;
            }
            let (Phase::Finalized { since, .. } | Phase::Reimbursed { since, .. }) = phase else { return Ok(()) };
            // A lane goes on where its claim is finalized: what the challenger has won there it still has to take.
            let is_over = is_deep(since, confirmations, tip) && !self.disputes.contains_key(&slot.id);
            if place == self.runs[run].over && is_over {
                self.runs[run].over += 1;
            }
        }
        Ok(())
    }

    /// Consents to a run; brings the challenger's own bond out when its way back is signed and the run exists; and back when
    /// the run is over.
    fn tend_bond(
        &mut self,
        view: &dyn View,
        run: usize,
        graph: &RunGraph,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let Run { record, over, signed, .. } = &self.runs[run];
        let (first, over, mut signed) = (record.first, *over, *signed);
        let funding = record.bond.clone().filter(|_| self.runs[run].has_part(self.index));
        let Some(funding) = funding else { return Ok(()) };
        let retire = &graph.challenger_retires[usize::from(self.index)];
        if !signed {
            signed = self.signatures.holds(retire)?;
            for slot in graph.slots.iter().skip(over) {
                signed = signed && self.contest(slot)?.is_some();
            }
            signed = signed && self.holds_lanes(graph, over)?;
            self.runs[run].signed = signed;
        }
        if !signed {
            if self.fetch_keys(graph, duties)? && self.knows(view, &graph.terms)? {
                let job = Job::Run(RunJob { terms: graph.terms.clone(), vaults: Vec::new() });
                duties.push(Duty::Consent { run: first, consent: consent::sign(&self.bridge, &job, &self.key) });
                duties.push(Duty::RequestSignatures { run: first, bond: graph.terms.bond });
            }
            return Ok(());
        }
        let bond = OutPoint::new(funding.compute_txid(), 0);
        if view.confirmed(&bond.txid)?.is_none() {
            if view.confirmed(&graph.terms.bond.txid)?.is_some() {
                duties.push(Duty::Broadcast { purpose: Purpose::Bond(first), tx: funding });
            }
        } else if view.spender(&bond)?.is_none()
            && let Some(waited) = view.height().checked_sub(graph.terms.end()?.to_consensus_u32())
            && self.has_ended(view, graph, waited, duties)?
            && let own = challenger_bond::sign_retire(retire, self.entry(), &self.key)
            && let reveal = Reveal::Leaf(0, self.entry().challenger_leaf(), [&[], &[own]])
            && let Some(tx) = self.signatures.complete(retire, reveal)?
        {
            self.broadcast(Purpose::Retire(first), retire, tx, (waited >= self.patience, None, value(retire)), duties);
        }
        Ok(())
    }

    /// Whether a run starts where this node's Layer 2 has been, deep.
    fn knows(&self, view: &dyn View, terms: &RunTerms) -> Result<bool, Error> {
        let Some(entry) = view.ledger().entry(terms.checkpoint.height)? else { return Ok(false) };
        let deep = is_deep(terms.checkpoint.height, self.bridge.parameters.confirmations, view.height());
        let target = view.header(terms.checkpoint.height)?.map(|header| run_lane::target(&header));
        Ok(deep && entry.digest() == terms.checkpoint.entry && target == Some(terms.target))
    }

    fn broadcast(
        &self,
        purpose: Purpose,
        of: &Presigned,
        tx: Transaction,
        (hurry, deadline, stake): (bool, Option<u32>, Amount),
        duties: &mut Vec<Duty>,
    ) {
        duties.push(Duty::Broadcast { purpose, tx: tx.clone() });
        if hurry {
            duties.push(Duty::Bump { purpose, tx, fee: of.fee(), anchor: of.anchor(), deadline, stake });
        }
    }
}
