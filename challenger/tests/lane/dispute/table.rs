//! A bridge, a run of one slot and a lane of it, signed by a committee whose keys are known.

use std::sync::{Arc, OnceLock};

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Keypair, Message, Secp256k1, SecretKey};
use bitcoin::{BlockHash, OutPoint, Transaction, TxOut, Txid};
use musig2::secp::Scalar;
use trestle_bridge::lane::LaneGraph;
use trestle_bridge::parameters::{Bridge, BridgeParameters, Genesis, Members};
use trestle_bridge::transactions::{
    ChallengerInRun, Checkpoint, Presigned, Reveal, RunGraph, RunTerms, SignRequest, SlotGraph, challenger_bond,
    contest,
};
use trestle_challenger::dispute::Board;
use trestle_rollup::{SlotId, tagged_hash};
use trestle_taptree_trace::lane::{LaneId, MessageId, challenger_keys};
use trestle_taptree_trace::ots::SecretSeed;

use crate::toy::{CONFIRMATIONS, LANE, entry, lane};

/// T_turn.
pub const TURN: u32 = 10;
pub const DELTA1: u32 = 20;
pub const DELTA2: u32 = 800;
/// h0.
pub const CHECKPOINT: u32 = 1_000;

/// What all games are played on.
pub struct Table {
    pub bridge: Bridge,
    pub run: RunGraph,
    pub board: Arc<Board>,
    pub signatures: Vec<Signature>,
    /// The bonds: outputs that nobody had to make.
    pub coins: Vec<(OutPoint, TxOut)>,
}

/// The challenger of the lane.
pub fn challenger_key() -> Keypair {
    let mut one = [0; 32];
    one[31] = 1;
    Keypair::from_seckey_slice(&Secp256k1::new(), &one).unwrap()
}

fn key(name: &str) -> Keypair {
    let secret = tagged_hash("test key", &[name.as_bytes()]);
    Keypair::from_secret_key(&Secp256k1::new(), &SecretKey::from_slice(&secret).unwrap())
}

pub fn challenger() -> usize {
    LANE.challenger.into()
}

impl Table {
    pub fn get() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(Self::new)
    }

    fn new() -> Self {
        let bridge = bridge();
        let id = SlotId::from_bytes(LANE.slot);
        let outpoint = |name: u8| OutPoint::new(Txid::from_byte_array([name; 32]), 0);
        let part = |index: u16| ChallengerInRun {
            bond: outpoint(10 + index as u8),
            contest_hashes: vec![contest::secret(&bridge, &secrets(index), index, id).1],
            choice_keys: vec![challenger_keys(&secrets(index), &LaneId { challenger: index, ..LANE })],
        };
        let terms = RunTerms {
            operator: id.operator,
            denomination: id.denomination,
            first_serial: id.serial,
            slots: 1,
            bond: outpoint(1),
            checkpoint: Checkpoint { height: CHECKPOINT, entry: entry(0).digest() },
            claim_keys: vec![lane().keys.message(MessageId::Claim).unwrap().clone()],
            challengers: (0..=LANE.challenger).map(part).collect(),
            target: lane().constants.target,
            // Keys are handed over elsewhere.
            lanes: vec![(0..=LANE.challenger).map(|index| sha256::Hash::hash(&index.to_be_bytes())).collect()],
        };
        let mut coins = vec![(terms.bond, terms.bond_output(&bridge).unwrap())];
        let bonds = terms.challengers.iter().zip(&bridge.entries);
        coins.extend(bonds.map(|(part, entry)| (part.bond, challenger_bond::output(&bridge, entry))));
        let run = RunGraph::build(&bridge, terms).unwrap();
        let bond = run.terms.challengers[challenger()].bond;
        let graph = LaneGraph::build(&bridge, &run.slots[0], challenger(), bond, lane()).unwrap();
        let signatures: Vec<_> = graph.requests().iter().map(|request| sign(&bridge, request)).collect();
        let board = Board::new(&bridge, &run, id, challenger(), lane().clone(), signatures.clone()).unwrap();
        Self { board: Arc::new(board), bridge, run, coins, signatures }
    }

    pub fn slot(&self) -> &SlotGraph {
        &self.run.slots[0]
    }

    pub fn complete(&self, presigned: &Presigned, reveal: Reveal) -> Transaction {
        let signatures: Vec<_> = presigned.requests().iter().map(|request| sign(&self.bridge, request)).collect();
        presigned.complete(&signatures, reveal).unwrap()
    }

    /// Contest by a challenger.
    pub fn contest(&self, by: usize) -> Transaction {
        let index = by as u16;
        let (secret, _) = contest::secret(&self.bridge, &secrets(index), index, self.slot().id);
        self.complete(&self.slot().contest, Reveal::Contest(by, &secret))
    }
}

fn secrets(index: u16) -> SecretSeed {
    SecretSeed::new([20 + index as u8; 32])
}

/// A bridge of which the lane of all games is one.
fn bridge() -> Bridge {
    let x_only = |name: &str| key(name).x_only_public_key().0;
    let mut challengers: Vec<_> = (0..LANE.challenger).map(|index| x_only(&format!("challenger {index}"))).collect();
    challengers.push(challenger_key().x_only_public_key().0);
    let members = Members {
        signers: vec![key("signer").public_key()],
        operators: vec![x_only("other operator"), x_only("operator")],
        challengers,
        sequencers: vec![x_only("sequencer")],
    };
    let genesis = Genesis { height: 100, hash: BlockHash::from_byte_array([0x11; 32]) };
    let blocks = |blocks: u32| u16::try_from(blocks).unwrap().into();
    let bridge = Bridge::new(BridgeParameters {
        confirmations: CONFIRMATIONS,
        turn: blocks(TURN),
        delta1: blocks(DELTA1),
        delta2: blocks(DELTA2),
        ..BridgeParameters::regtest(members, genesis)
    });
    Bridge { instance: LANE.instance, ..bridge.unwrap() }
}

/// The committee's signature.
pub fn sign(bridge: &Bridge, request: &SignRequest) -> Signature {
    let scalar = Scalar::from_slice(&key("signer").secret_bytes()).unwrap();
    let secret: [u8; 32] = bridge.committee.key_agg_context(request.tweak).aggregated_seckey([scalar]).unwrap();
    let secp = Secp256k1::new();
    let key = Keypair::from_seckey_slice(&secp, &secret).unwrap();
    secp.sign_schnorr_no_aux_rand(&Message::from_digest(request.message), &key)
}
