//! A bridge of which the test holds every secret. The committee's keys are aggregated by MuSig2 as everywhere; its
//! signatures are made with the sum of the secrets, which gives the same kind of signature as a session does.

#![allow(dead_code)] // each test file uses a part

use bitcoin::hashes::{Hash, sha256};
use bitcoin::key::{Keypair, Secp256k1, XOnlyPublicKey};
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Message, SecretKey};
use bitcoin::{BlockHash, OutPoint, Txid};
use trestle_bridge::parameters::{Bridge, BridgeParameters, Genesis, Members};
use trestle_bridge::transactions::{ChallengerInRun, Checkpoint, RunTerms, SignRequest, claim, contest};
use trestle_rollup::SlotId;
use trestle_taptree_trace::lane::{LaneId, challenger_keys};
use trestle_taptree_trace::ots::{self, CLAIM, SecretSeed};

/// The bridge and its secrets.
pub struct Secrets {
    pub bridge: Bridge,
    pub signers: Vec<Keypair>,
    pub operators: Vec<Keypair>,
    pub challengers: Vec<Keypair>,
    pub user: Keypair,
}

/// A key that follows from its name.
pub fn key(name: &str) -> Keypair {
    let secret = SecretKey::from_slice(sha256::Hash::hash(name.as_bytes()).as_ref()).unwrap();
    Keypair::from_secret_key(&Secp256k1::new(), &secret)
}

/// A seed that follows from its name.
pub fn seed(name: &str) -> SecretSeed {
    SecretSeed::new(sha256::Hash::hash(name.as_bytes()).to_byte_array())
}

/// An outpoint that does not exist.
pub fn outpoint(name: &str) -> OutPoint {
    OutPoint::new(Txid::from_byte_array(sha256::Hash::hash(name.as_bytes()).to_byte_array()), 0)
}

/// Of no keys: no transaction of a run depends on the operator's keys of its lanes.
fn made_up_digest(serial: u32, challenger: usize) -> sha256::Hash {
    sha256::Hash::hash(format!("lane of slot {serial}, challenger {challenger}").as_bytes())
}

fn keys(what: &str, count: usize) -> Vec<Keypair> {
    (0..count).map(|index| key(&format!("{what} {index}"))).collect()
}

fn x_only(keys: &[Keypair]) -> Vec<XOnlyPublicKey> {
    keys.iter().map(|key| key.x_only_public_key().0).collect()
}

impl Secrets {
    /// A bridge on regtest with so many signers and challengers and two operators, after `change` was made to its parameters.
    pub fn new(signers: usize, challengers: usize, change: impl FnOnce(&mut BridgeParameters)) -> Self {
        let (signers, operators, challengers) =
            (keys("signer", signers), keys("operator", 2), keys("challenger", challengers));
        let members = Members {
            signers: signers.iter().map(Keypair::public_key).collect(),
            operators: x_only(&operators),
            challengers: x_only(&challengers),
            sequencers: x_only(&keys("sequencer", 4)),
        };
        let mut parameters = BridgeParameters::regtest(members, Genesis { height: 0, hash: BlockHash::all_zeros() });
        change(&mut parameters);
        Secrets { bridge: Bridge::new(parameters).unwrap(), signers, operators, challengers, user: key("user") }
    }

    /// What the committee answers to a request.
    pub fn sign(&self, request: &SignRequest) -> Signature {
        let context = self.bridge.committee.key_agg_context(request.tweak);
        let scalars = self.signers.iter().map(|key| key.secret_bytes()[..].try_into().unwrap());
        let secret: [u8; 32] = context.aggregated_seckey(scalars).unwrap();
        sign(&Keypair::from_seckey_slice(&Secp256k1::new(), &secret).unwrap(), request.message)
    }

    /// What the committee answers to requests.
    pub fn sign_all(&self, requests: &[SignRequest]) -> Vec<Signature> {
        requests.iter().map(|request| self.sign(request)).collect()
    }

    /// The seed of an operator's or challenger's one-time keys.
    pub fn operator_seed(&self, index: u8) -> SecretSeed {
        seed(&format!("operator {index}"))
    }

    pub fn challenger_seed(&self, index: usize) -> SecretSeed {
        seed(&format!("challenger {index}"))
    }

    /// The one-time key of a slot.
    pub fn claim_key(&self, slot: SlotId) -> ots::PublicKey {
        self.operator_seed(slot.operator).public_key(&CLAIM, &claim::key_id(&self.bridge, slot))
    }

    /// What the operator signs for a slot.
    pub fn claim(&self, slot: SlotId, statement: claim::Statement) -> ots::Signature {
        let id = claim::key_id(&self.bridge, slot);
        self.operator_seed(slot.operator).sign(&CLAIM, &id, &statement.message()).unwrap()
    }

    /// Terms of a run of operator 0, the denomination of index 0, from serial 0.
    pub fn run(&self, slots: u32, checkpoint: u32, bond: OutPoint, challenger_bonds: &[OutPoint]) -> RunTerms {
        let slot = |serial| SlotId { operator: 0, denomination: 0, serial };
        let challenger = |(index, bond): (usize, &OutPoint)| {
            let own = self.challenger_seed(index);
            let hash = |serial| contest::secret(&self.bridge, &own, index as u16, slot(serial)).1;
            let choices = |serial| challenger_keys(&own, &self.lane(slot(serial), index));
            ChallengerInRun {
                bond: *bond,
                contest_hashes: (0..slots).map(hash).collect(),
                choice_keys: (0..slots).map(choices).collect(),
            }
        };
        RunTerms {
            operator: 0,
            denomination: 0,
            first_serial: 0,
            slots,
            bond,
            checkpoint: Checkpoint { height: checkpoint, entry: [9; 32] },
            target: [0xff; 32],
            claim_keys: (0..slots).map(|serial| self.claim_key(slot(serial))).collect(),
            challengers: challenger_bonds.iter().enumerate().map(challenger).collect(),
            lanes: (0..slots)
                .map(|serial| (0..challenger_bonds.len()).map(|index| made_up_digest(serial, index)).collect())
                .collect(),
        }
    }

    /// The lane of a slot and a challenger.
    pub fn lane(&self, slot: SlotId, challenger: usize) -> LaneId {
        LaneId { instance: self.bridge.instance, slot: slot.to_bytes(), challenger: challenger as u16 }
    }

    /// Terms of a run whose bonds do not exist.
    pub fn made_up_run(&self, slots: u32) -> RunTerms {
        let bonds: Vec<_> =
            (0..self.challengers.len()).map(|index| outpoint(&format!("challenger bond {index}"))).collect();
        self.run(slots, 100, outpoint("bond"), &bonds)
    }
}

/// A BIP 340 signature with a key as it is.
pub fn sign(key: &Keypair, message: [u8; 32]) -> Signature {
    Secp256k1::new().sign_schnorr(&Message::from_digest(message), key)
}

/// The request's key, for a check of the signature by itself.
pub fn verifies(bridge: &Bridge, request: &SignRequest, signature: &Signature) -> bool {
    let key = bridge.committee.verifying_key(request.tweak);
    Secp256k1::verification_only().verify_schnorr(signature, &Message::from_digest(request.message), &key).is_ok()
}
