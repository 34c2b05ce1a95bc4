//! A bridge, a run of one slot with all its lanes and a vault, signed by a committee whose keys are known.

use std::sync::{Arc, Mutex, OnceLock};

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Keypair, Message, Secp256k1, SecretKey};
use bitcoin::{BlockHash, OutPoint, Transaction, TxOut, Txid};
use musig2::secp::Scalar;
use trestle_bridge::connector::{Tweak, sign_key_path};
use trestle_bridge::lane::{LaneGraph, LaneTx};
use trestle_bridge::parameters::{Bridge, BridgeParameters, Genesis, Members};
use trestle_bridge::transactions::{
    ChallengerInRun, Checkpoint, FinalizeKind, Presigned, Reveal, RunGraph, RunTerms, SignRequest, SlotGraph, Vault,
    challenger_bond, contest, reimburse,
};
use trestle_challenger::dispute::Board;
use trestle_rollup::{SlotId, tagged_hash};
use trestle_taptree_trace::lane::{MessageId, challenger_keys};
use trestle_taptree_trace::ots::SecretSeed;

use crate::toy::{CHALLENGERS, CONFIRMATIONS, LANE, challenger_key, challenger_seed, entry, lane, lane_id, lane_of};

/// T_turn. Half of it a side waits until it pays more; then there is time for a reorganization and two blocks that are lost.
pub const TURN: u32 = 14;
pub const DELTA1: u32 = 30;
pub const DELTA2: u32 = 1_100;
/// h0.
pub const CHECKPOINT: u32 = 1_000;

/// What all games are played on.
pub struct Table {
    pub bridge: Bridge,
    pub run: RunGraph,
    pub vault: Vault,
    /// The bonds and the vault: outputs that nobody had to make.
    pub coins: Vec<(OutPoint, TxOut)>,
    /// With what the committee has signed of the lane.
    boards: [OnceLock<(Arc<Board>, Vec<Signature>)>; CHALLENGERS as usize],
    /// What is published whatever is played.
    finals: OnceLock<[[Transaction; 2]; 3]>,
}

fn key(name: &str) -> Keypair {
    let secret = tagged_hash("test key", &[name.as_bytes()]);
    Keypair::from_secret_key(&Secp256k1::new(), &SecretKey::from_slice(&secret).unwrap())
}

pub fn operator_key() -> Keypair {
    static KEY: OnceLock<Keypair> = OnceLock::new();
    *KEY.get_or_init(|| key("operator"))
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
            choice_keys: vec![challenger_keys(&challenger_seed(), &lane_id(index))],
        };
        let terms = RunTerms {
            operator: id.operator,
            denomination: id.denomination,
            first_serial: id.serial,
            slots: 1,
            bond: outpoint(1),
            checkpoint: Checkpoint { height: CHECKPOINT, entry: entry(0).digest() },
            claim_keys: vec![lane().keys.message(MessageId::Claim).unwrap().clone()],
            challengers: (0..CHALLENGERS).map(part).collect(),
            target: lane().constants.target,
            // Keys are handed over elsewhere.
            lanes: vec![(0..CHALLENGERS).map(|index| sha256::Hash::hash(&index.to_be_bytes())).collect()],
        };
        let mut coins = vec![(terms.bond, terms.bond_output(&bridge).unwrap())];
        let bonds = terms.challengers.iter().zip(&bridge.entries);
        coins.extend(bonds.map(|(part, entry)| (part.bond, challenger_bond::output(&bridge, entry))));
        let vault = Vault { outpoint: outpoint(2), denomination: id.denomination };
        let value = bridge.denomination(id.denomination).unwrap();
        coins.push((vault.outpoint, TxOut { value, script_pubkey: bridge.vault_script().clone() }));
        let run = RunGraph::build(&bridge, terms).unwrap();
        Self { bridge, run, vault, coins, boards: Default::default(), finals: OnceLock::new() }
    }

    /// The lane of a challenger.
    pub fn board(&self, challenger: u16) -> &Arc<Board> {
        &self.signed(challenger).0
    }

    /// What the committee has signed of a transaction of a lane.
    pub fn part(&self, challenger: u16, what: LaneTx) -> &[Signature] {
        let (board, signatures) = self.signed(challenger);
        board.graph.part(what, signatures).unwrap()
    }

    fn signed(&self, challenger: u16) -> &(Arc<Board>, Vec<Signature>) {
        self.boards[usize::from(challenger)].get_or_init(|| {
            let (index, lane) = (usize::from(challenger), lane_of(challenger));
            let bond = self.run.terms.challengers[index].bond;
            let graph = LaneGraph::build(&self.bridge, self.slot(), index, bond, lane).unwrap();
            let signatures: Vec<_> = graph.requests().iter().map(|request| sign(&self.bridge, request)).collect();
            let board = Board::new(&self.bridge, &self.run, self.slot().id, index, lane.clone(), signatures.clone());
            (Arc::new(board.unwrap()), signatures)
        })
    }

    pub fn slot(&self) -> &SlotGraph {
        &self.run.slots[0]
    }

    pub fn complete(&self, presigned: &Presigned, reveal: Reveal) -> Transaction {
        let signatures: Vec<_> = presigned.requests().iter().map(|request| sign(&self.bridge, request)).collect();
        presigned.complete(&signatures, reveal).unwrap()
    }

    /// Contest by a challenger.
    pub fn contest(&self, by: u16) -> Transaction {
        let (secret, _) = contest::secret(&self.bridge, &secrets(by), by, self.slot().id);
        self.complete(&self.slot().contest, Reveal::Contest(by.into(), &secret))
    }

    /// A Finalize of the slot, and Reimburse from the vault after it.
    pub fn finals(&self, kind: FinalizeKind) -> &[Transaction; 2] {
        let finals = self.finals.get_or_init(|| {
            FinalizeKind::ALL.map(|kind| {
                let finalize = self.complete(self.slot().finalize(kind), Reveal::Nothing);
                let presigned = reimburse(&self.bridge, &self.vault, self.slot(), kind).unwrap();
                let signature = sign_key_path(&operator_key(), presigned.party_message().unwrap());
                [finalize, self.complete(&presigned, Reveal::Party(&signature))]
            })
        });
        &finals[kind as usize]
    }
}

fn secrets(index: u16) -> SecretSeed {
    SecretSeed::new([20 + index as u8; 32])
}

/// A bridge of which the lanes of all games are some.
fn bridge() -> Bridge {
    let x_only = |name: &str| key(name).x_only_public_key().0;
    let members = Members {
        signers: vec![key("signer").public_key()],
        operators: vec![x_only("other operator"), operator_key().x_only_public_key().0],
        challengers: (0..CHALLENGERS).map(|index| challenger_key(index).x_only_public_key().0).collect(),
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
    static KEYS: Mutex<Vec<(Tweak, Keypair)>> = Mutex::new(Vec::new());
    let mut keys = KEYS.lock().unwrap();
    let secp = Secp256k1::new();
    if keys.iter().all(|(tweak, _)| *tweak != request.tweak) {
        let scalar = Scalar::from_slice(&key("signer").secret_bytes()).unwrap();
        let secret: [u8; 32] = bridge.committee.key_agg_context(request.tweak).aggregated_seckey([scalar]).unwrap();
        keys.push((request.tweak, Keypair::from_seckey_slice(&secp, &secret).unwrap()));
    }
    let (_, key) = keys.iter().find(|(tweak, _)| *tweak == request.tweak).unwrap();
    secp.sign_schnorr_no_aux_rand(&Message::from_digest(request.message), key)
}
