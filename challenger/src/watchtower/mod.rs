//! The watchtower: judges every claim by its own ledger, and contests the false ones (PROTOCOL §4, §6).
//!
//! ```text
//! a run:    Invited ─▶ FundBond ─▶ BondFunded ─▶ Join ─▶ Proposed ─▶ Consent ─▶ Delivered ─▶ bond broadcast ┈▶ bond retired
//! a claim:  judged ─▶ Report, and if it is false Contest
//! ```
//!
//! A claim is judged once the block that it speaks of is K deep; that is long before Δ1 is over, for a claim about a block
//! that was not there when it was made is false at once. The verdict is on disk before anything is done about it.

mod event;
mod store;

pub use event::{Duty, Event, Purpose, Reason, Report, Verdict};

use std::sync::Arc;

use bitcoin::hashes::hash160;
use bitcoin::secp256k1::Keypair;
use bitcoin::{OutPoint, Transaction};
use trestle_bridge::connector::Entry;
use trestle_bridge::job::{Job, RunJob};
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::claim::Statement;
use trestle_bridge::transactions::slot_run::MAX_SLOTS;
use trestle_bridge::transactions::{
    ChallengerInRun, Presigned, Reveal, RunGraph, RunTerms, SlotGraph, challenger_bond, contest,
};
use trestle_rollup::SlotId;
use trestle_signer::{Delivery, consent};
use trestle_taptree_trace::ots::SecretSeed;

use crate::phase::Phase;
use crate::signatures::Signatures;
use crate::statement::{holds, statement_at};
use crate::view::{Mined, View};
use crate::{Error, is_deep};
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
}

/// One watchtower. See the [module](self).
pub struct Watchtower {
    bridge: Bridge,
    index: u16,
    key: Keypair,
    seed: SecretSeed,
    patience: u32,
    store: Store,
    signatures: Signatures,
    runs: Vec<Run>,
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
        let mut runs = Vec::new();
        for record in store.runs()? {
            let graph = record.terms.clone().map(|terms| RunGraph::build(&bridge, terms)).transpose()?.map(Arc::new);
            runs.push(Run { record, graph, over: 0, signed: false });
        }
        Ok(Self { bridge, index, key, seed, patience, store, signatures, runs })
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
        self.runs.push(Run { record, graph: None, over: 0, signed: false });
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
        let graph = RunGraph::build(&self.bridge, terms)?;
        if !self.has_part(&self.runs[at].record, &graph) {
            return Err(Error::Refused(format!("this challenger's part in the run of {first} is another one")));
        }
        self.learn(Some(at), graph)
    }

    /// Begins to watch a run.
    fn learn(&mut self, known: Option<usize>, graph: RunGraph) -> Result<(), Error> {
        let first = graph.terms.slot(0);
        let bond = known.and_then(|run| self.runs[run].record.bond.clone());
        let record = RunRecord { first, slots: graph.terms.slots, bond, terms: Some(graph.terms.clone()) };
        self.store.put_run(&record)?;
        if !self.has_part(&record, &graph) {
            tracing::error!(%first, "this challenger has no part in the run: it can watch and not contest");
        }
        let run = Run { record, graph: Some(Arc::new(graph)), over: 0, signed: false };
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
        self.signatures.deliver(&signed)?;
        // Terms that the committee has signed count more than any that were merely proposed.
        let known = self.runs.iter().position(|run| run.record.first == terms.slot(0));
        if known.is_none_or(|run| self.runs[run].record.terms.as_ref() != Some(terms)) {
            self.learn(known, RunGraph::build(&self.bridge, terms.clone())?)?;
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
                    part: ChallengerInRun { bond, contest_hashes: self.contest_hashes(first, slots) },
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

    /// Whether the run was made with this challenger's bond and secrets.
    fn has_part(&self, record: &RunRecord, graph: &RunGraph) -> bool {
        let Some(part) = graph.terms.challengers.get(usize::from(self.index)) else { return false };
        let bond = record.bond.as_ref().map(|tx| OutPoint::new(tx.compute_txid(), 0));
        bond == Some(part.bond) && part.contest_hashes == self.contest_hashes(record.first, record.slots)
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
            if place == self.runs[run].over && is_deep(since, confirmations, tip) {
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
        let Some(funding) = record.bond.clone().filter(|_| self.has_part(record, graph)) else { return Ok(()) };
        let retire = &graph.challenger_retires[usize::from(self.index)];
        if !signed {
            signed = self.signatures.holds(retire)?;
            for slot in graph.slots.iter().skip(over) {
                signed = signed && self.contest(slot)?.is_some();
            }
            self.runs[run].signed = signed;
        }
        if !signed {
            if self.knows(view, &graph.terms)? {
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
            && let own = challenger_bond::sign_retire(retire, self.entry(), &self.key)
            && let reveal = Reveal::Leaf(0, self.entry().challenger_leaf(), [&[], &[own]])
            && let Some(tx) = self.signatures.complete(retire, reveal)?
        {
            self.broadcast(Purpose::Retire(first), retire, tx, waited >= self.patience, None, duties);
        }
        Ok(())
    }

    /// Whether a run starts where this node's Layer 2 has been, deep.
    fn knows(&self, view: &dyn View, terms: &RunTerms) -> Result<bool, Error> {
        let Some(entry) = view.ledger().entry(terms.checkpoint.height)? else { return Ok(false) };
        let deep = is_deep(terms.checkpoint.height, self.bridge.parameters.confirmations, view.height());
        Ok(deep && entry.digest() == terms.checkpoint.entry)
    }

    /// Judges a claim, reports it, and contests it if it is false and still can be.
    #[expect(clippy::too_many_arguments, reason = "what it looks at is just that much")]
    fn look_at(
        &self,
        view: &dyn View,
        run: usize,
        graph: &RunGraph,
        slot: &SlotGraph,
        claim: &Mined,
        phase: Phase,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let Some(report) = self.judge(view, graph, slot, claim)? else { return Ok(()) };
        let verdict = report.verdict;
        duties.push(Duty::Report(report));
        let may_contest = matches!(phase, Phase::Claimed { .. }) && self.has_part(&self.runs[run].record, graph);
        if !may_contest || verdict == Verdict::True {
            return Ok(());
        }
        if let Some(tx) = self.contest(slot)? {
            let deadline = claim.height + u32::from(self.bridge.parameters.delta1.value());
            let hurry = view.height() > claim.height + u32::from(self.bridge.parameters.confirmations);
            self.broadcast(Purpose::Contest(slot.id), &slot.contest, tx, hurry, Some(deadline), duties);
        }
        Ok(())
    }

    /// This challenger's Contest; none while its signature is missing.
    fn contest(&self, slot: &SlotGraph) -> Result<Option<Transaction>, Error> {
        let (secret, _) = contest::secret(&self.bridge, &self.seed, self.index, slot.id);
        self.signatures.complete(&slot.contest, Reveal::Contest(usize::from(self.index), &secret))
    }

    /// The verdict on a claim, which is fixed on disk once it is given; none while it is too early.
    fn judge(
        &self,
        view: &dyn View,
        graph: &RunGraph,
        slot: &SlotGraph,
        claim: &Mined,
    ) -> Result<Option<Report>, Error> {
        let place = (slot.id.serial - graph.terms.first_serial) as usize;
        let statement = Statement::read(&graph.terms.claim_keys[place], &claim.tx).ok();
        if let Some(known) = self.store.report(slot.id, statement, claim.height)? {
            return Ok(Some(known));
        }
        let checkpoint = graph.terms.checkpoint.height;
        let height = statement.map(|statement| checkpoint.saturating_add(u32::from(statement.n)));
        let verdict = match (statement, height) {
            (Some(statement), Some(height)) => {
                match self.verdict(view, slot.id, checkpoint, statement, height, claim.height)? {
                    Some(verdict) => verdict,
                    None => return Ok(None),
                }
            }
            _ => Verdict::False(Reason::Unreadable),
        };
        let report = Report { slot: slot.id, claimed: claim.height, height, verdict };
        self.store.put_report(statement, &report)?;
        Ok(Some(report))
    }

    fn verdict(
        &self,
        view: &dyn View,
        slot: SlotId,
        checkpoint: u32,
        statement: Statement,
        height: u32,
        claimed: u32,
    ) -> Result<Option<Verdict>, Error> {
        let confirmations = self.bridge.parameters.confirmations;
        if statement.n == 0 || height >= claimed {
            return Ok(Some(Verdict::False(Reason::NoSuchBlock)));
        }
        if !is_deep(height, confirmations, view.height()) {
            return Ok(None);
        }
        Ok(Some(if statement_at(view, checkpoint, height)? != Some(statement) {
            Verdict::False(Reason::OtherBlock)
        } else if holds(view, slot, checkpoint, statement, confirmations)? {
            Verdict::True
        } else {
            Verdict::False(Reason::NotFulfilled)
        }))
    }

    fn broadcast(
        &self,
        purpose: Purpose,
        of: &Presigned,
        tx: Transaction,
        hurry: bool,
        deadline: Option<u32>,
        duties: &mut Vec<Duty>,
    ) {
        duties.push(Duty::Broadcast { purpose, tx: tx.clone() });
        if hurry {
            duties.push(Duty::Bump { purpose, tx, fee: of.fee(), anchor: of.anchor(), deadline });
        }
    }
}
