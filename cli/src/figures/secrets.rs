//! A bridge of which the measurement holds every secret. Nothing of it is on any chain.

use bitcoin::hashes::{Hash, sha256};
use bitcoin::key::{Keypair, Secp256k1};
use bitcoin::secp256k1::SecretKey;
use bitcoin::{BlockHash, OutPoint, Txid, XOnlyPublicKey};
use trestle_bridge::parameters::{Bridge, BridgeParameters, Genesis, Members};
use trestle_bridge::transactions::{ChallengerInRun, Checkpoint, RunTerms, claim, contest};
use trestle_rollup::SlotId;
use trestle_taptree_trace::lane::{LaneId, OperatorKeys, challenger_keys};
use trestle_taptree_trace::ots::{CLAIM, PublicKey, SecretSeed, Signature};

use super::FiguresError;

/// The anchors are for committees of ten; in BitVM bridges every signer may challenge.
pub const SIGNERS: usize = 10;
/// As many challengers as signers.
pub const CHALLENGERS: usize = 10;

/// The bridge and its secrets.
pub struct Secrets {
    pub bridge: Bridge,
    pub signers: Vec<Keypair>,
    pub operator: Keypair,
}

impl Secrets {
    /// A bridge of [`SIGNERS`], [`CHALLENGERS`], one operator and one sequencer.
    pub fn new() -> Result<Self, FiguresError> {
        Self::with(BridgeParameters::regtest)
    }

    /// The same with the delays of another preset.
    pub fn with(preset: fn(Members, Genesis) -> BridgeParameters) -> Result<Self, FiguresError> {
        let signers: Vec<_> = (0..SIGNERS).map(|index| key(&format!("signer {index}"))).collect();
        let operator = key("operator");
        let members = Members {
            signers: signers.iter().map(Keypair::public_key).collect(),
            operators: vec![x_only(&operator)],
            challengers: (0..CHALLENGERS).map(|index| x_only(&key(&format!("challenger {index}")))).collect(),
            sequencers: vec![x_only(&key("sequencer"))],
        };
        let genesis = Genesis { height: 0, hash: BlockHash::all_zeros() };
        let bridge = Bridge::new(preset(members, genesis))?;
        Ok(Self { bridge, signers, operator })
    }

    /// The operator's run of so many slots of the first denomination.
    pub fn run(&self, slots: u32) -> RunTerms {
        let seed = |index| seed(&format!("challenger {index}"));
        let hash = |index, serial| contest::secret(&self.bridge, &seed(index), index, slot(serial)).1;
        let challenger = |index| ChallengerInRun {
            bond: outpoint(&format!("bond of challenger {index}")),
            contest_hashes: (0..slots).map(|serial| hash(index, serial)).collect(),
            choice_keys: (0..slots).map(|serial| challenger_keys(&seed(index), &self.lane(serial, index))).collect(),
        };
        let digest = |serial, index| match (serial, index) {
            (0, 0) => sha256::Hash::hash(&self.lane_keys(0, 0)),
            _ => sha256::Hash::hash(format!("keys of lane {index} in slot {serial}").as_bytes()),
        };
        RunTerms {
            operator: 0,
            denomination: 0,
            first_serial: 0,
            slots,
            bond: outpoint("bond"),
            checkpoint: Checkpoint { height: 100, entry: [9; 32] },
            target: [0xff; 32],
            claim_keys: (0..slots).map(|serial| self.claim_key(slot(serial))).collect(),
            challengers: (0..CHALLENGERS as u16).map(challenger).collect(),
            lanes: (0..slots)
                .map(|serial| (0..CHALLENGERS as u16).map(|index| digest(serial, index)).collect())
                .collect(),
        }
    }

    /// The operator's keys of a lane, as bytes. A run names these of its first lane only; nobody has those of the others.
    pub fn lane_keys(&self, serial: u32, challenger: u16) -> Vec<u8> {
        let confirmations = self.bridge.parameters.confirmations;
        OperatorKeys::derive(&seed("operator"), &self.lane(serial, challenger), confirmations).to_bytes()
    }

    fn lane(&self, serial: u32, challenger: u16) -> LaneId {
        LaneId { instance: self.bridge.instance, slot: slot(serial).to_bytes(), challenger }
    }

    /// The operator's one-time signature of a claim.
    pub fn claim(&self, slot: SlotId, statement: claim::Statement) -> Result<Signature, FiguresError> {
        let signature = seed("operator").sign(&CLAIM, &claim::key_id(&self.bridge, slot), &statement.message());
        signature.map_err(|error| FiguresError::Unexpected(error.to_string()))
    }

    fn claim_key(&self, slot: SlotId) -> PublicKey {
        seed("operator").public_key(&CLAIM, &claim::key_id(&self.bridge, slot))
    }
}

/// The slot of this number in the operator's run.
pub fn slot(serial: u32) -> SlotId {
    SlotId { operator: 0, denomination: 0, serial }
}

/// A key that follows from its name.
pub fn key(name: &str) -> Keypair {
    let secret =
        SecretKey::from_slice(sha256::Hash::hash(name.as_bytes()).as_ref()).expect("a hash is below the order");
    Keypair::from_secret_key(&Secp256k1::new(), &secret)
}

/// The x coordinate of a public key.
pub fn x_only(key: &Keypair) -> XOnlyPublicKey {
    key.x_only_public_key().0
}

/// An outpoint that does not exist.
pub fn outpoint(name: &str) -> OutPoint {
    OutPoint::new(Txid::hash(name.as_bytes()), 0)
}

fn seed(name: &str) -> SecretSeed {
    SecretSeed::new(sha256::Hash::hash(name.as_bytes()).to_byte_array())
}
