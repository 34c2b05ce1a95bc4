//! From the wish for a run to its bond on Bitcoin.

use std::sync::Arc;

use bitcoin::{OutPoint, Transaction};
use trestle_bridge::job::{Job, RunJob};
use trestle_bridge::transactions::run_lane::MAX_LANES;
use trestle_bridge::transactions::slot_run::{MAX_SLOTS, bond_output};
use trestle_bridge::transactions::{
    ChallengerInRun, Checkpoint, FinalizeKind, RunGraph, RunTerms, SlotGraph, Vault, claim, reimburse, run_lane,
};
use trestle_rollup::SlotId;
use trestle_signer::consent;
use trestle_taptree_trace::ots::{self, CLAIM};

use super::store::{FundedRun, RunRecord};
use super::{Duty, Operator, Run};
use crate::Error;
use crate::view::View;

impl Operator {
    /// Takes serial numbers for a new run.
    pub(super) fn new_run(&mut self, denomination: u8, slots: u32) -> Result<Vec<Duty>, Error> {
        let (mut serial, mut in_the_making) = (0, None);
        for place in 0..self.runs.len() {
            let RunRecord { first, slots, abandoned, .. } = self.runs[place].record;
            if first.denomination == denomination {
                serial = serial.max(first.serial.saturating_add(slots));
                if !abandoned && !self.is_signed(place)? {
                    in_the_making = Some(first);
                }
            }
        }
        if let Some(first) = in_the_making {
            return Err(Error::Refused(format!("the run that begins with {first} is in the making")));
        }
        let first = SlotId { operator: self.index, denomination, serial };
        let possible = (1..=MAX_SLOTS).contains(&slots) && serial.checked_add(slots).is_some();
        if self.bridge.denomination(denomination).is_none() || !possible {
            let run = format!("{slots} slots of denomination {denomination} from {serial} on");
            return Err(Error::Refused(format!("there is no run of {run}")));
        }
        if slots as usize * self.bridge.parameters.challengers.len() > MAX_LANES {
            return Err(Error::Refused(format!("{slots} slots have more than {MAX_LANES} lanes")));
        }
        let lanes = self.make_lane_keys(first, slots)?;
        let record = RunRecord { first, slots, lanes, challengers: None, funded: None, abandoned: false };
        self.store.put_run(&record)?;
        self.runs.push(Run { record, graph: None, over: 0, late: None, signed: false });
        Ok(vec![Duty::InviteChallengers { run: first, slots }])
    }

    pub(super) fn joined(
        &mut self,
        view: &dyn View,
        first: SlotId,
        challengers: Vec<ChallengerInRun>,
    ) -> Result<Vec<Duty>, Error> {
        let run = self.run(first)?;
        let mut record = self.runs[run].record.clone();
        if record.challengers.is_some() || record.abandoned {
            return Ok(Vec::new());
        }
        // What others hand in is tried before it is relied on; bond and checkpoint are not theirs.
        let nowhere = Checkpoint { height: 0, entry: [0; 32] };
        let terms = self.terms(&record, challengers.clone(), OutPoint::null(), (nowhere, [0; 32]));
        terms
            .check(&self.bridge)
            .map_err(|wrong| Error::Refused(format!("the challengers' parts in {first}: {wrong}")))?;
        record.challengers = Some(challengers);
        self.store.put_run(&record)?;
        self.runs[run].record = record;
        let mut duties = Vec::new();
        self.prepare(view, run, &mut duties)?;
        Ok(duties)
    }

    pub(super) fn run_funded(
        &mut self,
        view: &dyn View,
        first: SlotId,
        funding: Transaction,
    ) -> Result<Vec<Duty>, Error> {
        let run = self.run(first)?;
        let mut record = self.runs[run].record.clone();
        if record.abandoned {
            return Ok(Vec::new());
        }
        if let Some(funded) = &record.funded {
            let other = || Error::Refused(format!("the run {first} is funded by another transaction"));
            return if funded.funding.compute_txid() == funding.compute_txid() { Ok(Vec::new()) } else { Err(other()) };
        }
        let (Some(challengers), Some(checkpoint)) = (record.challengers.clone(), self.checkpoint(view)?) else {
            return Err(Error::Refused(format!("the run {first} is not to be funded yet")));
        };
        let bond = bond_output(&self.bridge, &self.claim_key(first), record.slots)?;
        if funding.output.first() != Some(&bond) || funding.input.is_empty() {
            return Err(Error::Refused(format!("the transaction does not pay the bond of {first}")));
        }
        let terms = self.terms(&record, challengers, OutPoint::new(funding.compute_txid(), 0), checkpoint);
        let graph = RunGraph::build(&self.bridge, terms.clone())?;
        record.funded = Some(FundedRun { funding, terms });
        self.store.put_run(&record)?;
        self.runs[run].record = record;
        let duty = self.request(&graph.terms);
        self.runs[run].graph = Some(Arc::new(graph));
        Ok(vec![duty])
    }

    pub(super) fn abandon_run(&mut self, first: SlotId) -> Result<Vec<Duty>, Error> {
        let run = self.run(first)?;
        if self.is_signed(run)? {
            return Err(Error::Refused(format!("the run {first} is signed, and may be on Bitcoin")));
        }
        let record = RunRecord { abandoned: true, ..self.runs[run].record.clone() };
        self.store.put_run(&record)?;
        self.store.remove_lane_keys(record.lanes.iter().flatten())?;
        self.runs[run] = Run { record, graph: None, over: 0, late: None, signed: false };
        Ok(Vec::new())
    }

    /// The place of the run that begins with this slot.
    fn run(&self, first: SlotId) -> Result<usize, Error> {
        let run = self.runs.iter().position(|run| run.record.first == first);
        run.ok_or_else(|| Error::Refused(format!("{first} begins no run of this operator")))
    }

    /// What a run needs until its terms are complete.
    pub(super) fn prepare(&mut self, view: &dyn View, run: usize, duties: &mut Vec<Duty>) -> Result<(), Error> {
        let RunRecord { first, slots, ref challengers, abandoned, .. } = self.runs[run].record;
        if abandoned {
            return Ok(());
        }
        if challengers.is_none() {
            duties.push(Duty::InviteChallengers { run: first, slots });
        } else if self.checkpoint(view)?.is_some() {
            duties
                .push(Duty::FundRun { run: first, output: bond_output(&self.bridge, &self.claim_key(first), slots)? });
        }
        Ok(())
    }

    /// Asks for the signatures that are missing: of the run, or of the Reimburse of those slots of it that are next.
    pub(super) fn request_signatures(
        &mut self,
        run: usize,
        graph: &RunGraph,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let unspent = &self.vaults.stock(graph.terms.denomination).unspent;
        let vaults: Vec<Vault> = unspent.iter().map(|(vault, _)| *vault).collect();
        let mut complete = self.is_signed(run)?;
        for slot in graph.slots.iter().skip(self.runs[run].over).take(2) {
            for vault in &vaults {
                complete = complete && self.is_reimbursable(vault, slot)?;
            }
        }
        if !complete {
            duties.push(self.request(&graph.terms));
        }
        Ok(())
    }

    fn request(&self, terms: &RunTerms) -> Duty {
        let job = Job::Run(RunJob { terms: terms.clone(), vaults: Vec::new() });
        Duty::RequestRun { terms: Box::new(terms.clone()), consent: consent::sign(&self.bridge, &job, &self.key) }
    }

    /// Whether every signature of the run's own transactions, and of its lanes, is held.
    pub(super) fn is_signed(&mut self, run: usize) -> Result<bool, Error> {
        if self.runs[run].signed {
            return Ok(true);
        }
        let Some(graph) = self.runs[run].graph.clone() else { return Ok(false) };
        for presigned in graph.presigned() {
            if !self.signatures.holds(presigned)? {
                return Ok(false);
            }
        }
        self.runs[run].signed = self.holds_lanes(&graph)?;
        Ok(self.runs[run].signed)
    }

    /// Whether the slot can be reimbursed from the vault, however its claim ends.
    pub(super) fn is_reimbursable(&mut self, vault: &Vault, slot: &SlotGraph) -> Result<bool, Error> {
        if self.reimbursable.contains(&(vault.outpoint, slot.id)) {
            return Ok(true);
        }
        for kind in FinalizeKind::ALL {
            if !self.signatures.holds(&reimburse(&self.bridge, vault, slot, kind)?)? {
                return Ok(false);
            }
        }
        self.reimbursable.insert((vault.outpoint, slot.id));
        Ok(true)
    }

    /// Broadcasts the funding of a run all of whose signatures are held. Returns whether it is in a block.
    pub(super) fn publish(
        &mut self,
        view: &dyn View,
        run: usize,
        graph: &RunGraph,
        duties: &mut Vec<Duty>,
    ) -> Result<bool, Error> {
        if view.confirmed(&graph.terms.bond.txid)?.is_some() {
            return Ok(true);
        }
        duties.extend(self.funding(run)?);
        Ok(false)
    }

    /// Broadcasts the funding of a run, if all its signatures are held.
    pub(super) fn funding(&mut self, run: usize) -> Result<Option<Duty>, Error> {
        let is_signed = self.is_signed(run)?;
        let RunRecord { first, funded, .. } = &self.runs[run].record;
        let funded = funded.as_ref().filter(|_| is_signed);
        Ok(funded.map(|funded| Duty::Broadcast {
            name: format!("Run {first}"),
            tx: funded.funding.clone(),
            child: None,
        }))
    }

    /// The one-time key of the slot's claim.
    fn claim_key(&self, slot: SlotId) -> ots::PublicKey {
        self.seed.public_key(&CLAIM, &claim::key_id(&self.bridge, slot))
    }

    fn terms(
        &self,
        run: &RunRecord,
        challengers: Vec<ChallengerInRun>,
        bond: OutPoint,
        (checkpoint, target): (Checkpoint, [u8; 32]),
    ) -> RunTerms {
        let slots = (0..run.slots).map(|place| SlotId { serial: run.first.serial + place, ..run.first });
        RunTerms {
            operator: run.first.operator,
            denomination: run.first.denomination,
            first_serial: run.first.serial,
            slots: run.slots,
            bond,
            checkpoint,
            target,
            claim_keys: slots.map(|slot| self.claim_key(slot)).collect(),
            challengers,
            lanes: run.lanes.clone(),
        }
    }

    /// The last block that is deep, and the target that a run from there has; none while the Layer 2 has no such block.
    fn checkpoint(&self, view: &dyn View) -> Result<Option<(Checkpoint, [u8; 32])>, Error> {
        let height = view.height().saturating_sub(u32::from(self.bridge.parameters.confirmations));
        let (Some(entry), Some(header)) = (view.ledger().entry(height)?, view.header(height)?) else { return Ok(None) };
        Ok(Some((Checkpoint { height, entry: entry.digest() }, run_lane::target(&header))))
    }
}
