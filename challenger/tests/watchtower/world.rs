//! A bridge with known keys, a chain that can be reorganized, an operator that claims what it likes, and the watchtower's
//! hands.

use std::sync::Arc;

use bitcoin::hashes::{Hash as _, hash160, sha256};
use bitcoin::relative::Height;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Keypair, Message, Secp256k1, SecretKey};
use bitcoin::{Amount, BlockHash, OutPoint, Transaction, TxOut, Witness};
use musig2::secp::Scalar;
use trestle_bridge::job::{Job, RunJob};
use trestle_bridge::lane::LaneWork;
use trestle_bridge::parameters::{Bridge, BridgeParameters, Genesis, Members};
use trestle_bridge::transactions::claim::{self, Statement};
use trestle_bridge::transactions::slot_run::bond_output;
use trestle_bridge::transactions::{
    ChallengerInRun, Checkpoint, LanePlace, Presigned, Reveal, RunGraph, RunTerms, SignRequest, contest, payout,
};
use trestle_challenger::watchtower::{Duty, Event, Purpose, Watchtower};
use trestle_challenger::{Error, View};
use trestle_rollup::envelope::Kind;
use trestle_rollup::tag::mint_message;
use trestle_rollup::{Account, Destination, Envelope, Ledger, SlotId, Tag, WithdrawalId, tagged_hash};
use trestle_signer::{Delivery, LaneSignatures};
use trestle_taptree_trace::lane::{LaneId, challenger_keys};
use trestle_taptree_trace::ots::{CLAIM, SecretSeed};

use crate::chain::{Chain, GENESIS, GENESIS_HASH, output, spend};
use crate::lanes::SmallLanes;

/// K.
pub const CONFIRMATIONS: u16 = 3;
/// Δ1.
pub const DELTA1: u16 = 10;
/// Blocks in which a withdrawal is the committee's.
pub const COOPERATIVE: u32 = 2;

pub fn key(name: &str) -> Keypair {
    let secret = tagged_hash("test key", &[name.as_bytes()]);
    Keypair::from_secret_key(&Secp256k1::new(), &SecretKey::from_slice(&secret).unwrap())
}

fn x_only(key: &Keypair) -> [u8; 32] {
    key.x_only_public_key().0.serialize()
}

pub fn bridge() -> Bridge {
    let x_only = |name| key(name).x_only_public_key().0;
    let members = Members {
        signers: vec![key("signer").public_key()],
        operators: vec![x_only("operator")],
        challengers: vec![x_only("other challenger"), x_only("challenger")],
        sequencers: vec![x_only("sequencer")],
    };
    let genesis = Genesis { height: GENESIS, hash: BlockHash::from_byte_array(GENESIS_HASH) };
    Bridge::new(BridgeParameters {
        confirmations: CONFIRMATIONS,
        delta1: Height::from(DELTA1),
        cooperative_window: u16::try_from(COOPERATIVE).unwrap(),
        operator_window: 60,
        ..BridgeParameters::regtest(members, genesis)
    })
    .unwrap()
}

/// The committee's signature.
pub fn sign(bridge: &Bridge, request: &SignRequest) -> Signature {
    let scalar = Scalar::from_slice(&key("signer").secret_bytes()).unwrap();
    let secret: [u8; 32] = bridge.committee.key_agg_context(request.tweak).aggregated_seckey([scalar]).unwrap();
    let secp = Secp256k1::new();
    let key = Keypair::from_seckey_slice(&secp, &secret).unwrap();
    secp.sign_schnorr_no_aux_rand(&Message::from_digest(request.message), &key)
}

/// The world around one watchtower, that of challenger 1.
pub struct World {
    pub bridge: Bridge,
    pub chain: Chain,
    pub tower: Watchtower,
    pub graph: RunGraph,
    /// The watchtower's bond, not broadcast.
    pub bond: Transaction,
    /// The operator's bond, not broadcast.
    pub funding: Transaction,
    /// What waits for a block.
    pub pool: Vec<Transaction>,
    db: sled::Db,
    nonce: u64,
}

impl World {
    /// A world with a few blocks, in which a run of `slots` slots could be made.
    pub fn new(slots: u32) -> Self {
        let bridge = bridge();
        let db = sled::Config::new().temporary(true).open().unwrap();
        let ledger = Ledger::open(&db, &bridge.rollup).unwrap();
        let mut chain = Chain::new(ledger);
        for _ in 0..4 {
            chain.add(Vec::new());
        }
        let bond = spend(
            chain.coin(),
            vec![trestle_bridge::transactions::challenger_bond::output(&bridge, &bridge.entries[1])],
        );
        let first_key = operator_seed().public_key(&CLAIM, &claim::key_id(&bridge, slot(0)));
        let funding = spend(chain.coin(), vec![bond_output(&bridge, &first_key, slots).unwrap()]);
        let terms = terms(&bridge, &mut chain, GENESIS + 1, slots, &bond, &funding);
        let graph = RunGraph::build(&bridge, terms).unwrap();
        let tower = open(&db, &bridge);
        Self { bridge, chain, tower, graph, bond, funding, pool: Vec::new(), db, nonce: 0 }
    }

    /// The run, of which nobody knows yet, starts from the tip.
    pub fn start_here(&mut self) {
        let (height, slots) = (self.height(), self.graph.terms.slots);
        let terms = terms(&self.bridge, &mut self.chain, height, slots, &self.bond, &self.funding);
        self.graph = RunGraph::build(&self.bridge, terms).unwrap();
        self.mine_empty(CONFIRMATIONS.into());
    }

    /// Stops the watchtower and starts it again.
    pub fn restart(&mut self) {
        self.tower = open(&self.db, &self.bridge);
    }

    pub fn process(&mut self, event: Event) -> Result<Vec<Duty>, Error> {
        self.tower.process(event, &self.chain)
    }

    /// Does what a caller does about duties, but for the answers that the operator and the committee give.
    pub fn carry_out(&mut self, duties: &[Duty]) {
        for duty in duties {
            if let Duty::Broadcast { tx, .. } = duty {
                self.broadcast(tx.clone());
            }
        }
    }

    pub fn broadcast(&mut self, tx: Transaction) {
        let txid = tx.compute_txid();
        if !self.pool.iter().any(|other| other.compute_txid() == txid) && self.chain.confirmed(&txid).unwrap().is_none()
        {
            self.pool.push(tx);
        }
    }

    /// The next block, with everything that waits and spends what is unspent.
    pub fn mine(&mut self) {
        let mut spent = Vec::new();
        let mut block = Vec::new();
        for tx in std::mem::take(&mut self.pool) {
            let inputs: Vec<_> = tx.input.iter().map(|input| input.previous_output).collect();
            let free = |input: &OutPoint| !spent.contains(input) && self.chain.spender(input).unwrap().is_none();
            if inputs.iter().all(free) {
                spent.extend(inputs);
                block.push(tx);
            }
        }
        self.chain.add(block);
    }

    pub fn mine_empty(&mut self, blocks: u32) {
        (0..blocks).for_each(|_| self.chain.add(Vec::new()));
    }

    /// The committee's delivery of the run's signatures.
    pub fn delivery(&self) -> Delivery {
        let job = Job::Run(RunJob { terms: self.graph.terms.clone(), vaults: Vec::new() });
        let requests = job.stage(&self.bridge, &[], 0, &[]).unwrap();
        let sign_all = |requests: &[SignRequest]| requests.iter().map(|request| sign(&self.bridge, request)).collect();
        let lane = |at| {
            let requests = SmallLanes.requests(&self.bridge, &self.graph, at, &self.lane_keys(at)).unwrap();
            LaneSignatures { at, signatures: sign_all(&requests) }
        };
        let lanes = self.graph.terms.lane_places().filter(|at| at.challenger == 1).map(lane).collect();
        Delivery { job, signatures: vec![sign_all(&requests)], lanes }
    }

    /// The operator's keys of a lane.
    pub fn lane_keys(&self, at: LanePlace) -> Vec<u8> {
        SmallLanes.operator_keys(&self.bridge, &operator_seed(), &self.graph.terms.lane_id(&self.bridge, at))
    }

    /// A transaction of the graph, signed by the committee.
    pub fn complete(&self, presigned: &Presigned, reveal: Reveal) -> Transaction {
        let signatures: Vec<_> = presigned.requests().iter().map(|request| sign(&self.bridge, request)).collect();
        presigned.complete(&signatures, reveal).unwrap()
    }

    /// Blocks in which a withdrawal is requested and, in the operator's time, paid for the slot at `place`.
    pub fn fulfil(&mut self, place: usize) {
        self.pay(place, COOPERATIVE, |_| ());
        let slot = self.graph.slots[place].id;
        assert!(self.chain.ledger.state_at_tip().slot(slot).unwrap().is_some(), "the payout counts");
    }

    /// The same, if it is so many blocks after the request and with this change of what is paid.
    pub fn pay(&mut self, place: usize, after: u32, change: impl FnOnce(&mut TxOut)) {
        let account = Account(x_only(&key("user")));
        let value = self.bridge.denomination(0).unwrap();
        let fee = 1_000_000;
        let mints: Vec<_> = (0..2).map(|_| self.mint(account, value)).collect();
        let destination = Destination::P2wpkh([7; 20]);
        let withdraw = trestle_rollup::Transaction::Withdraw {
            from: account,
            destination,
            denomination: 0,
            fee,
            nonce: self.nonce,
        };
        self.nonce += 1;
        let payload = withdraw.sign(&self.bridge.instance, &key("user")).encode();
        let poster = x_only(&key("poster"));
        let script = Envelope { kind: Kind::Forced, payload }.script(self.bridge.tag, &poster);
        let mut forced = spend(self.chain.coin(), vec![output(500, destination.script_pubkey())]);
        forced.input[0].witness = Witness::from_slice(&[vec![1; 64], script, [&[0xc0][..], &poster].concat()]);
        let id = WithdrawalId(self.chain.ledger.state_at_tip().meta().unwrap().withdrawals);
        self.chain.add(mints.into_iter().chain([forced]).collect());
        self.mine_empty(after);
        let slot = self.graph.slots[place].id;
        let mut outputs = payout::outputs(&self.bridge, id, destination.script_pubkey(), slot).unwrap();
        change(&mut outputs[0]);
        let paid = spend(self.chain.coin(), outputs.to_vec());
        self.chain.add(vec![paid]);
    }

    fn mint(&mut self, account: Account, value: Amount) -> Transaction {
        let input = self.chain.coin();
        let message = mint_message(&self.bridge.instance, &input.into(), &account, value.to_sat());
        let untweaked = trestle_bridge::connector::Tweak::None;
        let request = SignRequest { what: "mint".into(), message, tweak: untweaked };
        let tag = Tag::Mint { account, signature: sign(&self.bridge, &request).serialize() };
        let vault = TxOut { value, script_pubkey: self.bridge.vault_script().clone() };
        spend(input, vec![vault, output(0, tag.script_pubkey(self.bridge.tag))])
    }

    /// The operator's Claim of the slot at `place` with this statement.
    pub fn claim(&self, place: usize, statement: Statement) -> Transaction {
        let slot = &self.graph.slots[place];
        let id = claim::key_id(&self.bridge, slot.id);
        let signature = operator_seed().sign(&CLAIM, &id, &statement.message()).unwrap();
        self.complete(&slot.claim, Reveal::Claim(&signature))
    }

    /// A statement about a block as the ledger has it.
    pub fn statement(&self, height: u32) -> Statement {
        let entry = self.chain.ledger.entry(height).unwrap().unwrap();
        let n = u16::try_from(height - self.graph.terms.checkpoint.height).unwrap();
        Statement::new(n, &BlockHash::from_byte_array(entry.block_hash))
    }

    /// Contest by the other challenger.
    pub fn other_contest(&self, place: usize) -> Transaction {
        let slot = &self.graph.slots[place];
        let (secret, _) = contest::secret(&self.bridge, &other_seed(), 0, slot.id);
        self.complete(&slot.contest, Reveal::Contest(0, &secret))
    }

    pub fn height(&self) -> u32 {
        self.chain.ledger.tip().0
    }
}

/// The slot at a place in the run.
pub fn slot(place: u32) -> SlotId {
    SlotId { operator: 0, denomination: 0, serial: 4 + place }
}

/// The challengers' parts are as the watchtower will make its own.
fn terms(
    bridge: &Bridge,
    chain: &mut Chain,
    height: u32,
    slots: u32,
    bond: &Transaction,
    funding: &Transaction,
) -> RunTerms {
    let lane = |place, challenger| LaneId { instance: bridge.instance, slot: slot(place).to_bytes(), challenger };
    let part = |bond, seed: &SecretSeed, index| {
        let hashes: Vec<hash160::Hash> =
            (0..slots).map(|place| contest::secret(bridge, seed, index, slot(place)).1).collect();
        let choice_keys = (0..slots).map(|place| challenger_keys(seed, &lane(place, index))).collect();
        ChallengerInRun { bond, contest_hashes: hashes, choice_keys }
    };
    let digest =
        |place, index| sha256::Hash::hash(&SmallLanes.operator_keys(bridge, &operator_seed(), &lane(place, index)));
    let keys = (0..slots).map(|place| operator_seed().public_key(&CLAIM, &claim::key_id(bridge, slot(place))));
    RunTerms {
        operator: 0,
        denomination: 0,
        first_serial: slot(0).serial,
        slots,
        bond: OutPoint::new(funding.compute_txid(), 0),
        checkpoint: Checkpoint { height, entry: chain.ledger.entry(height).unwrap().unwrap().digest() },
        target: [0xff; 32],
        claim_keys: keys.collect(),
        challengers: vec![
            part(chain.coin(), &other_seed(), 0),
            part(OutPoint::new(bond.compute_txid(), 0), &tower_seed(), 1),
        ],
        lanes: (0..slots).map(|place| vec![digest(place, 0), digest(place, 1)]).collect(),
    }
}

fn operator_seed() -> SecretSeed {
    SecretSeed::new([1; 32])
}

fn other_seed() -> SecretSeed {
    SecretSeed::new([2; 32])
}

fn tower_seed() -> SecretSeed {
    SecretSeed::new([3; 32])
}

fn open(db: &sled::Db, bridge: &Bridge) -> Watchtower {
    let tower = Watchtower::open(db, bridge.clone(), key("challenger"), tower_seed(), 3).unwrap();
    tower.with_lanes(Arc::new(SmallLanes))
}

/// Duties as the tables write them.
pub fn shown(duties: &[Duty]) -> Vec<String> {
    let purpose = |purpose: &Purpose| match purpose {
        Purpose::Bond(_) => "bond".to_string(),
        Purpose::Contest(slot) => format!("contest {}", slot.serial),
        Purpose::Retire(_) => "retire".to_string(),
        Purpose::End(slot) => format!("end {}", slot.serial),
    };
    let show = |duty: &Duty| match duty {
        Duty::FundBond { .. } => "fund bond".to_string(),
        Duty::Join { .. } => "join".to_string(),
        Duty::FetchLaneKeys { .. } => "fetch keys".to_string(),
        Duty::Consent { .. } => "consent".to_string(),
        Duty::RequestSignatures { .. } => "request".to_string(),
        Duty::Report(report) => format!("{} is {:?}", report.slot.serial, report.verdict),
        Duty::Broadcast { purpose: of, .. } => format!("broadcast {}", purpose(of)),
        Duty::Bump { purpose: of, .. } => format!("bump {}", purpose(of)),
        Duty::AskFees { slot, .. } => format!("ask fees of {}", slot.serial),
        Duty::Settled(settlement) => format!("{} is over: {:?}", settlement.slot.serial, settlement.end),
        Duty::Dispute { slot, duty } => format!("{slot}: {duty:?}"),
    };
    duties.iter().map(show).collect()
}
