//! The operator: fronts withdrawals on Bitcoin, claims them, and is paid back from a vault (PROTOCOL §4, §6).
//!
//! ```text
//!  a run:   NewRun ─▶ InviteChallengers ─▶ Joined ─▶ FundRun ─▶ RunFunded ─▶ RequestRun ─▶ Delivered ─▶ its funding
//!  a slot:  FundPayout ─▶ PayoutFunded ─▶ payout ─▶ Claim ─▶ Finalize ─▶ Reimburse
//!                                           └─▶ Cancel
//! ```
//!
//! Everything is worked out afresh at every tip from the chain and a few records that are on disk before the duty that
//! rests on them leaves: which serial numbers are taken; which slot fronts which withdrawal, and by which transaction; and
//! the one statement that a slot's key signs. So an operator may be stopped anywhere, and a duty be done again; a
//! reorganization needs no code of its own. The store must never be rolled back to an older copy: it would forget what the
//! one-time keys have signed.

mod delivery;
mod disputes;
mod event;
mod front;
mod lanes;
pub mod lie;
mod policy;
mod run;
mod settle;
mod status;
mod store;
mod vaults;

use std::collections::HashSet;
use std::sync::Arc;

use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::secp256k1::Keypair;
use trestle_bridge::lane::{LaneWork, Lanes};
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::{FinalizeKind, Presigned, RunGraph, SlotGraph, TxKind};
use trestle_rollup::SlotId;
use trestle_taptree_trace::ots::{CLAIM_LANE, KeyId, SecretSeed};

use crate::phase::Phase;
use crate::signatures::Signatures;
use crate::view::View;
use crate::{Error, is_deep};
use disputes::Disputes;
use lie::Lie;
use policy::Policy;
use store::{RunRecord, Store};
use vaults::Vaults;

pub use event::{Alert, Child, Duty, Event};
pub use status::{RunStage, RunStatus, SlotStage, SlotStatus, Status};
pub use store::{Front, Loss, Outcome};

/// A run as far as it has come.
struct Run {
    record: RunRecord,
    /// None until it is funded.
    graph: Option<Arc<RunGraph>>,
    /// Slots at the front that are over, and deep.
    over: usize,
    /// The contested slot that the run ended with, as long as something can come of its lanes.
    late: Option<usize>,
    /// Whether every signature of the graph is held; they are never lost.
    signed: bool,
}

/// One operator. See the [module](self).
pub struct Operator {
    bridge: Arc<Bridge>,
    index: u8,
    key: Keypair,
    seed: SecretSeed,
    lanes: Arc<dyn LaneWork>,
    policy: Policy,
    store: Store,
    signatures: Signatures,
    runs: Vec<Run>,
    vaults: Vaults,
    /// From which vaults which slots can be reimbursed, in every variant.
    reimbursable: HashSet<(OutPoint, SlotId)>,
    db: sled::Db,
    disputes: Disputes,
    lie: Option<Lie>,
}

impl Operator {
    /// Opens operator `index`, whose key this is, with what it stored in `db`. All its one-time keys come from `seed`; with the
    /// seed the store must be kept, or a key might sign twice.
    ///
    /// # Errors
    /// If the key is not that operator's, or the store is another operator's, damaged, or fails.
    pub fn open(db: &sled::Db, index: u8, key: Keypair, seed: SecretSeed, bridge: Arc<Bridge>) -> Result<Self, Error> {
        let own = key.x_only_public_key().0;
        if bridge.operator(index).is_none_or(|operator| operator.0 != own) {
            return Err(Error::Stranger { role: "operator", key: own });
        }
        let store = Store::open(db, identity(&bridge, &key, &seed))?;
        let signatures = Signatures::open(db, "operator/signatures", bridge.committee.clone())?;
        let mut runs = Vec::new();
        for record in store.runs()? {
            let terms = record.funded.as_ref().filter(|_| !record.abandoned).map(|funded| funded.terms.clone());
            let graph = terms.map(|terms| RunGraph::build(&bridge, terms)).transpose()?.map(Arc::new);
            runs.push(Run { record, graph, over: 0, late: None, signed: false });
        }
        let policy = Policy::new(&bridge.parameters);
        let (vaults, reimbursable, lanes) = (Vaults::default(), HashSet::new(), Arc::new(Lanes));
        let (db, disputes, lie) = (db.clone(), Disputes::new(), None);
        let mut operator = Self {
            bridge,
            index,
            key,
            seed,
            lanes,
            policy,
            store,
            signatures,
            runs,
            vaults,
            reimbursable,
            db,
            disputes,
            lie,
        };
        for run in 0..operator.runs.len() {
            operator.is_signed(run)?;
        }
        Ok(operator)
    }

    /// The same, with lanes that are made otherwise: less of them in a simulation, or once for several roles.
    pub fn with_lanes(self, lanes: Arc<dyn LaneWork>) -> Self {
        Self { lanes, ..self }
    }

    /// Takes an event in and returns what is to be done, once everything that it rests on is on disk.
    ///
    /// # Errors
    /// See [`Error`]. An event that is refused has changed nothing; neither has one for which the chain could not be read, but
    /// [`Event::Tip`], which goes on from where it stopped when it is given again.
    pub fn process(&mut self, event: Event, view: &dyn View) -> Result<Vec<Duty>, Error> {
        match event {
            Event::Tip => self.tip(view),
            Event::NewRun { denomination, slots } => self.new_run(denomination, slots),
            Event::Joined { run, challengers } => self.joined(view, run, challengers),
            Event::RunFunded { run, tx } => self.run_funded(view, run, tx),
            Event::AbandonRun { run } => self.abandon_run(run),
            Event::Delivered(delivery) => self.delivered(&delivery),
            Event::PayoutFunded { slot, tx } => self.payout_funded(view, slot, tx),
            Event::Asked { slot, challenger, ask } => self.asked(slot, challenger, &ask),
        }
    }

    /// Index of the operator in the parameters.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// The runs whose terms are complete.
    pub fn runs(&self) -> impl Iterator<Item = &Arc<RunGraph>> {
        self.runs.iter().filter_map(|run| run.graph.as_ref())
    }

    /// The withdrawal that each slot fronts, or fronted last.
    ///
    /// # Errors
    /// If the store fails.
    pub fn fronts(&self) -> Result<Vec<Front>, Error> {
        self.store.fronts()
    }

    /// All that is to be done at this tip.
    fn tip(&mut self, view: &dyn View) -> Result<Vec<Duty>, Error> {
        self.vaults.sync(&self.bridge, view)?;
        let mut duties = Vec::new();
        for front in self.store.fronts()? {
            self.tend(view, front, &mut duties)?;
        }
        for run in 0..self.runs.len() {
            match self.runs[run].graph.clone() {
                None => self.prepare(view, run, &mut duties)?,
                Some(graph) => self.advance(view, run, &graph, &mut duties)?,
            }
        }
        let lost = |Loss { slot, withdrawal, payout }| Duty::Alert(Alert::Lost { slot, withdrawal, payout });
        duties.extend(self.store.losses()?.into_iter().map(lost));
        Ok(duties)
    }

    /// What a run whose terms are complete needs.
    fn advance(&mut self, view: &dyn View, run: usize, graph: &RunGraph, duties: &mut Vec<Duty>) -> Result<(), Error> {
        if let Some(slot) = self.runs[run].late.and_then(|place| graph.slots.get(place)) {
            return self.watch_late(view, run, graph, slot, duties);
        }
        if self.runs[run].over == graph.slots.len() {
            return Ok(());
        }
        if self.publish(view, run, graph, duties)? {
            self.walk(view, run, graph, duties)?;
        }
        self.request_signatures(run, graph, duties)
    }

    /// Goes through the slots of a run to the one that it has come to.
    fn walk(&mut self, view: &dyn View, run: usize, graph: &RunGraph, duties: &mut Vec<Duty>) -> Result<(), Error> {
        let (confirmations, tip) = (self.bridge.parameters.confirmations, view.height());
        for (place, slot) in graph.slots.iter().enumerate().skip(self.runs[run].over) {
            let (kind, since, over) = match Phase::of(slot, view)? {
                Phase::Waiting => return Ok(()),
                Phase::Open { since } => {
                    // Until it is deep, the FinalizeFast that pays this bond might still give way to a Contest.
                    return self.open_slot(view, graph, slot, is_deep(since, confirmations, tip), duties);
                }
                Phase::Claimed { since } => {
                    self.check_statement(view, graph, slot.id, duties)?;
                    return self.finalize_fast(view, slot, since, duties);
                }
                Phase::Contested { since, entered } => {
                    duties.push(Duty::Alert(Alert::Contested { slot: slot.id, since }));
                    self.defend(view, graph, slot, duties);
                    return self.finalize_contested(view, slot, since, entered, duties);
                }
                Phase::Finalized { kind, since } => {
                    self.reimburse(slot, kind, duties)?;
                    (Some(kind), since, false)
                }
                Phase::Reimbursed { kind, since } => (Some(kind), since, true),
                Phase::Retired { since } => (None, since, true),
                Phase::Taken { since } => {
                    duties.push(Duty::Alert(Alert::Taken { slot: slot.id }));
                    (None, since, true)
                }
            };
            let goes_on = kind == Some(FinalizeKind::Fast);
            // A lane goes on when its claim is over, and a challenger that entered none can be made to pay.
            if !goes_on {
                self.defend(view, graph, slot, duties);
            }
            if over && place == self.runs[run].over && is_deep(since, confirmations, tip) {
                self.runs[run].over = if goes_on { place + 1 } else { graph.slots.len() };
                if !goes_on {
                    self.runs[run].late = Some(place);
                    return self.forget_lanes(view, run, graph, slot);
                }
                if self.runs[run].over == graph.slots.len() {
                    // Nobody will make a lane of them any more.
                    self.store.remove_lane_keys(graph.terms.lanes.iter().flatten())?;
                }
            }
            if !goes_on {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Operator {
    /// A claim is settled, and its lanes may not be: an entry has no end, so a challenger can come as long as it has its bond, to
    /// get it back by WinOnly if nobody plays.
    fn watch_late(
        &mut self,
        view: &dyn View,
        run: usize,
        graph: &RunGraph,
        slot: &SlotGraph,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        self.defend(view, graph, slot, duties);
        self.forget_lanes(view, run, graph, slot)
    }

    /// Lets go of the lanes of a run that is over, once nothing can come of them.
    fn forget_lanes(&mut self, view: &dyn View, run: usize, graph: &RunGraph, slot: &SlotGraph) -> Result<(), Error> {
        if self.are_lanes_settled(view, slot.id)? {
            self.store.remove_lane_keys(graph.terms.lanes.iter().flatten())?;
            self.disputes.retain(|(of, _), _| *of != slot.id);
            self.runs[run].late = None;
        }
        Ok(())
    }
}

/// Broadcasts a pre-signed transaction, which a child can bump by its anchor, or by output 0, the operator's own.
fn broadcast(of: &Presigned, tx: Transaction) -> Duty {
    let child = Child { vout: of.anchor().map_or(0, |anchor| anchor.vout), fee: of.fee() };
    let name = match of.kind {
        // The name has the vault too, which is more than people want to read.
        TxKind::Reimburse => of.name.split(" from ").next().unwrap_or(&of.name).into(),
        _ => of.name.clone(),
    };
    Duty::Broadcast { name, tx, child: Some(child) }
}

/// What tells whose store it is: a hash of bridge, key and seed.
fn identity(bridge: &Bridge, key: &Keypair, seed: &SecretSeed) -> [u8; 32] {
    let id = KeyId { instance: bridge.instance, slot: [0; 6], lane: CLAIM_LANE, message: "store" };
    let mut engine = sha256::Hash::engine();
    engine.input(&bridge.instance);
    engine.input(&key.x_only_public_key().0.serialize());
    engine.input(&seed.secret(&id));
    sha256::Hash::from_engine(engine).to_byte_array()
}
