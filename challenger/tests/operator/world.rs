//! A bridge with known keys, and the hands of one operator: its wallet, its challengers, its committee.

use std::collections::HashMap;
use std::sync::Arc;

use bitcoin::hashes::{Hash as _, hash160};
use bitcoin::relative::Height;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Keypair, Message, Secp256k1, SecretKey};
use bitcoin::{BlockHash, OutPoint, ScriptBuf, Transaction, Witness};
use musig2::secp::Scalar;
use trestle_bridge::connector::Tweak;
use trestle_bridge::job::{DepositJob, Job, RunJob};
use trestle_bridge::lane::LaneWork;
use trestle_bridge::parameters::{Bridge, BridgeParameters, Genesis, Members};
use trestle_bridge::transactions::{
    ChallengerInRun, DepositTerms, Presigned, Reveal, RunGraph, RunTerms, SignRequest, Vault, contest,
};
use trestle_challenger::operator::{Alert, Duty, Event, Operator};
use trestle_challenger::{Error, View};
use trestle_rollup::envelope::Kind;
use trestle_rollup::{Account, Destination, Envelope, Ledger, SlotId, tagged_hash};
use trestle_signer::{Delivery, LaneSignatures, consent};
use trestle_taptree_trace::lane::{LaneId, challenger_keys};
use trestle_taptree_trace::ots::SecretSeed;

use crate::chain::{Chain, GENESIS, GENESIS_HASH, output, spend};
use crate::lanes::SmallLanes;

/// K.
pub const K: u32 = 3;
/// Δ1.
pub const DELTA1: u32 = 10;
/// T_turn.
pub const TURN: u32 = 6;
/// Δ2: a whole lane fits in it.
pub const DELTA2: u32 = 461;
/// Blocks in which a withdrawal is the committee's, an operator's, and then in its grace.
pub const COOPERATIVE: u32 = 2;
pub const WINDOW: u32 = 12;
pub const GRACE: u32 = 8;
/// Blocks before the end of the grace in which a payout is cancelled.
pub const CANCEL: u32 = (GRACE + K) / 2;
/// Blocks after a request of the operator's in which it is first fronted: a reorganization cannot put the payout before its turn.
pub const FIRST: u32 = COOPERATIVE + K - 1;
/// Where the user withdraws to.
pub const DESTINATION: Destination = Destination::P2wpkh([7; 20]);
/// Slots of a run.
pub const SLOTS: u32 = 2;

pub fn key(name: &str) -> Keypair {
    let secret = tagged_hash("test key", &[name.as_bytes()]);
    Keypair::from_secret_key(&Secp256k1::new(), &SecretKey::from_slice(&secret).unwrap())
}

pub fn bridge() -> Bridge {
    let x_only = |name| key(name).x_only_public_key().0;
    let members = Members {
        signers: vec![key("signer 0").public_key(), key("signer 1").public_key()],
        operators: vec![x_only("operator"), x_only("other operator")],
        challengers: vec![x_only("challenger 0"), x_only("challenger 1")],
        sequencers: vec![x_only("sequencer")],
    };
    let genesis = Genesis { height: GENESIS, hash: BlockHash::from_byte_array(GENESIS_HASH) };
    let blocks = |blocks: u32| u16::try_from(blocks).unwrap();
    Bridge::new(BridgeParameters {
        confirmations: blocks(K),
        delta1: Height::from(blocks(DELTA1)),
        delta2: Height::from(blocks(DELTA2)),
        turn: Height::from(blocks(TURN)),
        cooperative_window: blocks(COOPERATIVE),
        operator_window: blocks(WINDOW),
        grace: blocks(GRACE),
        ..BridgeParameters::regtest(members, genesis)
    })
    .unwrap()
}

/// The slot of operator 0 and denomination 0 with this serial number.
pub fn slot(serial: u32) -> SlotId {
    SlotId { operator: 0, denomination: 0, serial }
}

pub fn seed() -> SecretSeed {
    SecretSeed::new([1; 32])
}

fn challenger_seed(index: u16) -> SecretSeed {
    SecretSeed::new([2 + index as u8; 32])
}

/// The committee, with all its secrets.
pub struct Committee {
    bridge: Arc<Bridge>,
    keys: HashMap<Tweak, Keypair>,
}

impl Committee {
    pub fn sign(&mut self, request: &SignRequest) -> Signature {
        let key = self.keys.entry(request.tweak).or_insert_with(|| {
            let scalar = |name| Scalar::from_slice(&key(name).secret_bytes()).unwrap();
            let context = self.bridge.committee.key_agg_context(request.tweak);
            let secret: [u8; 32] = context.aggregated_seckey([scalar("signer 0"), scalar("signer 1")]).unwrap();
            Keypair::from_seckey_slice(&Secp256k1::new(), &secret).unwrap()
        });
        Secp256k1::new().sign_schnorr_no_aux_rand(&Message::from_digest(request.message), key)
    }

    pub fn complete(&mut self, presigned: &Presigned, reveal: Reveal) -> Transaction {
        let signatures: Vec<_> = presigned.requests().iter().map(|request| self.sign(request)).collect();
        presigned.complete(&signatures, reveal).unwrap()
    }

    pub fn deliver(&mut self, job: Job, runs: &[RunGraph]) -> Delivery {
        let mut signatures: Vec<Vec<_>> = Vec::new();
        for stage in 0..job.stages() {
            let requests = job.stage(&self.bridge, runs, stage, &signatures).unwrap();
            signatures.push(requests.iter().map(|request| self.sign(request)).collect());
        }
        let lanes = match &job {
            Job::Run(run) => self.sign_lanes(&run.terms),
            _ => Vec::new(),
        };
        Delivery { job, signatures, lanes }
    }

    fn sign_lanes(&mut self, terms: &RunTerms) -> Vec<LaneSignatures> {
        let graph = RunGraph::build(&self.bridge, terms.clone()).unwrap();
        let mut lanes = Vec::new();
        for at in terms.lane_places() {
            let keys = SmallLanes.operator_keys(&self.bridge, &seed(), &terms.lane_id(&self.bridge, at));
            let requests = SmallLanes.requests(&self.bridge, &graph, at, &keys).unwrap();
            lanes.push(LaneSignatures { at, signatures: requests.iter().map(|request| self.sign(request)).collect() });
        }
        lanes
    }
}

/// The world around operator 0.
pub struct World {
    pub bridge: Arc<Bridge>,
    pub chain: Chain,
    pub committee: Committee,
    pub operator: Operator,
    /// What waits for a block.
    pub pool: Vec<Transaction>,
    /// The runs that the committee has signed.
    pub runs: Vec<RunGraph>,
    /// Every vault, spent or not.
    pub vaults: Vec<Vault>,
    /// Every transaction that the operator had broadcast.
    pub sent: Vec<(String, Transaction)>,
    pub alerts: Vec<Alert>,
    db: sled::Db,
}

impl World {
    /// A world with a few blocks.
    pub fn new() -> Self {
        let bridge = Arc::new(bridge());
        let db = sled::Config::new().temporary(true).open().unwrap();
        let mut chain = Chain::new(Ledger::open(&db, &bridge.rollup).unwrap());
        (0..K + 1).for_each(|_| drop(chain.mine(Vec::new())));
        let committee = Committee { bridge: Arc::clone(&bridge), keys: HashMap::new() };
        let operator = Operator::open(&db, 0, key("operator"), seed(), Arc::clone(&bridge)).unwrap();
        let operator = operator.with_lanes(Arc::new(SmallLanes));
        let (pool, runs, vaults, sent, alerts) = Default::default();
        Self { bridge, chain, committee, operator, pool, runs, vaults, sent, alerts, db }
    }

    /// Opens an operator with what is in the store.
    pub fn open(&self, index: u8, key: Keypair, seed: SecretSeed) -> Result<Operator, Error> {
        let operator = Operator::open(&self.db, index, key, seed, Arc::clone(&self.bridge))?;
        Ok(operator.with_lanes(Arc::new(SmallLanes)))
    }

    /// Puts what is no record at a key of this kind.
    pub fn damage(&self, kind: u8) {
        let tree = self.db.open_tree("operator").unwrap();
        let key = tree.scan_prefix([kind]).keys().next().map_or(vec![kind, 0, 0, 0, 0, 0, 0].into(), Result::unwrap);
        tree.insert(key, b"{").unwrap();
    }

    /// Stops the operator and starts it again.
    pub fn restart(&mut self) {
        self.operator = self.open(0, key("operator"), seed()).unwrap();
    }

    pub fn process(&mut self, event: Event) -> Result<Vec<Duty>, Error> {
        self.operator.process(event, &self.chain)
    }

    /// Gives an event and does what follows, and what follows from that.
    pub fn give(&mut self, event: Event) {
        let mut duties = self.process(event).unwrap();
        while let Some(duty) = (!duties.is_empty()).then(|| duties.remove(0)) {
            if let Some(event) = self.carry_out(&duty) {
                duties.extend(self.process(event).unwrap());
            }
        }
    }

    pub fn tip(&mut self) {
        self.give(Event::Tip);
    }

    /// Does what a caller does about a duty, and returns the answer.
    pub fn carry_out(&mut self, duty: &Duty) -> Option<Event> {
        match duty {
            Duty::InviteChallengers { run, slots } => Some(self.joined(*run, *slots)),
            Duty::FundRun { run, output } => {
                Some(Event::RunFunded { run: *run, tx: spend(self.chain.coin(), vec![output.clone()]) })
            }
            Duty::RequestRun { terms, consent } => {
                let job = Job::Run(RunJob { terms: (**terms).clone(), vaults: self.vaults.clone() });
                let challengers =
                    (0..2).map(|index| consent::sign(&self.bridge, &job, &key(&format!("challenger {index}"))));
                let consents: Vec<_> = [*consent].into_iter().chain(challengers).collect();
                consent::check(&self.bridge, &job, &consents).unwrap();
                let graph = RunGraph::build(&self.bridge, (**terms).clone()).unwrap();
                if !self.runs.contains(&graph) {
                    self.runs.push(graph);
                }
                Some(Event::Delivered(Box::new(self.committee.deliver(job, &[]))))
            }
            Duty::FundPayout { slot, outputs, .. } => {
                Some(Event::PayoutFunded { slot: *slot, tx: spend(self.chain.coin(), outputs.to_vec()) })
            }
            Duty::Broadcast { name, tx, .. } => {
                self.sent.push((name.clone(), tx.clone()));
                self.broadcast(tx.clone());
                None
            }
            Duty::Cancel { tx, .. } => {
                self.pool.retain(|other| other.compute_txid() != tx.compute_txid());
                self.broadcast(spend(tx.input[0].previous_output, vec![output(1_000, ScriptBuf::new())]));
                None
            }
            Duty::Bump { .. } => None,
            Duty::Dispute(_) | Duty::Answer(_) => unreachable!("no lane is entered here"),
            Duty::Alert(alert) => {
                self.alerts.push(*alert);
                None
            }
        }
    }

    pub fn joined(&mut self, run: SlotId, slots: u32) -> Event {
        let part = |index: u16| {
            let slot = |place| SlotId { serial: run.serial + place, ..run };
            let hash = |place| contest::secret(&self.bridge, &challenger_seed(index), index, slot(place)).1;
            let contest_hashes: Vec<hash160::Hash> = (0..slots).map(hash).collect();
            let lane =
                |place| LaneId { instance: self.bridge.instance, slot: slot(place).to_bytes(), challenger: index };
            let choice_keys = (0..slots).map(|place| challenger_keys(&challenger_seed(index), &lane(place))).collect();
            ChallengerInRun { bond: self.chain.coin(), contest_hashes, choice_keys }
        };
        Event::Joined { run, challengers: [0, 1].map(part).into() }
    }

    /// A transaction that conflicts with what waits already is not taken.
    pub fn broadcast(&mut self, tx: Transaction) {
        let txid = tx.compute_txid();
        let inputs = |tx: &Transaction| tx.input.iter().map(|input| input.previous_output).collect::<Vec<_>>();
        let own = inputs(&tx);
        let conflicts = self.pool.iter().any(|other| inputs(other).iter().any(|input| own.contains(input)));
        if !conflicts && self.chain.confirmed(&txid).unwrap().is_none() {
            self.pool.push(tx);
        }
    }

    /// The next block, with everything that waits and can be mined.
    pub fn mine(&mut self) {
        let pool = std::mem::take(&mut self.pool);
        self.pool = self.chain.mine(pool);
    }

    /// Blocks without anything in them.
    pub fn mine_empty(&mut self, blocks: u32) {
        (0..blocks).for_each(|_| drop(self.chain.mine(Vec::new())));
    }

    /// Tips and blocks.
    pub fn live(&mut self, blocks: u32) {
        for _ in 0..blocks {
            self.tip();
            self.mine();
        }
    }

    /// Everything up to a run on Bitcoin, deep.
    pub fn make_run(&mut self, slots: u32) {
        self.give(Event::NewRun { denomination: 0, slots });
        self.live(1);
        self.mine_empty(K);
    }

    /// A deposit of denomination 0 is confirmed, in a block of its own. The job has the slots of `runs`.
    pub fn deposit(&mut self) -> Delivery {
        let slots = self.runs.iter().flat_map(|run| run.slots.iter().map(|slot| slot.id)).collect();
        self.deposit_of(0, slots)
    }

    /// A deposit is confirmed, in a block of its own.
    pub fn deposit_of(&mut self, denomination: u8, slots: Vec<SlotId>) -> Delivery {
        let account = Account(key("user").x_only_public_key().0.serialize());
        let refund_key = key("user").x_only_public_key().0;
        let terms = DepositTerms { outpoint: self.chain.coin(), denomination, account, refund_key };
        let delivery = self.committee.deliver(Job::Deposit(DepositJob { terms, slots }), &self.runs);
        let mint = delivery.signatures[0][0];
        let confirm =
            terms.confirm(&self.bridge, &mint).unwrap().complete(&delivery.signatures[2], Reveal::Nothing).unwrap();
        self.vaults.push(terms.vault(&self.bridge, &mint).unwrap());
        self.chain.mine(vec![confirm]);
        delivery
    }

    /// A deposit of which the operator hears.
    pub fn deposit_and_deliver(&mut self) {
        let delivery = self.deposit();
        self.give(Event::Delivered(Box::new(delivery)));
    }

    /// What the user has on the Layer 2, in sat.
    pub fn balance(&self) -> u64 {
        let account = Account(key("user").x_only_public_key().0.serialize());
        self.chain.ledger.state_at_tip().account(&account).unwrap().balance
    }

    /// The user requests a withdrawal of denomination 0 by a forced transaction, in a block of its own.
    pub fn withdraw(&mut self) {
        let tx = self.withdrawal();
        self.chain.mine(vec![tx]);
    }

    fn withdrawal(&mut self) -> Transaction {
        let account = Account(key("user").x_only_public_key().0.serialize());
        let nonce = self.chain.ledger.state_at_tip().account(&account).unwrap().nonce;
        let withdraw = trestle_rollup::Transaction::Withdraw {
            from: account,
            destination: DESTINATION,
            denomination: 0,
            fee: 0,
            nonce,
        };
        let payload = withdraw.sign(&self.bridge.instance, &key("user")).encode();
        let poster = key("poster").x_only_public_key().0.serialize();
        let script = Envelope { kind: Kind::Forced, payload }.script(self.bridge.tag, &poster);
        let mut forced = spend(self.chain.coin(), vec![output(500, DESTINATION.script_pubkey())]);
        forced.input[0].witness = Witness::from_slice(&[vec![1; 64], script, [&[0xc0][..], &poster].concat()]);
        forced
    }

    /// Somebody else takes the vault at this place, in a block of its own.
    pub fn take_vault(&mut self, place: usize) {
        let tx = spend(self.vaults[place].outpoint, vec![output(1_000, ScriptBuf::new())]);
        self.chain.mine(vec![tx]);
    }

    /// Contest of the slot by challenger 1.
    pub fn contest(&mut self, serial: u32) -> Transaction {
        let slot = self.graph(serial).slot(slot(serial)).unwrap().clone();
        let (secret, _) = contest::secret(&self.bridge, &challenger_seed(1), 1, slot.id);
        self.committee.complete(&slot.contest, Reveal::Contest(1, &secret))
    }

    pub fn graph(&self, serial: u32) -> &RunGraph {
        self.runs.iter().find(|run| run.slot(slot(serial)).is_some()).unwrap()
    }

    /// Outputs at which the operator's money arrives that are in blocks: of Reimburse.
    pub fn reimbursements(&self) -> usize {
        let vaults: Vec<OutPoint> = self.vaults.iter().map(|vault| vault.outpoint).collect();
        let spends_vault = |tx: &&Transaction| vaults.contains(&tx.input[0].previous_output);
        self.chain.blocks.iter().flatten().filter(|tx| tx.input.len() == 2).filter(spends_vault).count()
    }

    pub fn height(&self) -> u32 {
        self.chain.ledger.tip().0
    }
}

/// Duties as the tables write them.
pub fn shown(duties: &[Duty]) -> Vec<String> {
    let show = |duty: &Duty| match duty {
        Duty::InviteChallengers { run, slots } => format!("invite {run} {slots}"),
        Duty::FundRun { run, .. } => format!("fund run {run}"),
        Duty::RequestRun { terms, .. } => format!("request {}", terms.slot(0)),
        Duty::FundPayout { slot, withdrawal, .. } => format!("fund payout of {withdrawal} by {slot}"),
        Duty::Broadcast { name, .. } => name.clone(),
        Duty::Bump { slot, .. } => format!("bump {slot}"),
        Duty::Cancel { slot, .. } => format!("cancel {slot}"),
        Duty::Dispute(duty) => format!("{duty:?}"),
        Duty::Answer(answer) => format!("{answer:?}"),
        Duty::Alert(alert) => format!("! {alert}"),
    };
    duties.iter().map(show).collect()
}
