//! A bridge and the secrets of everyone in it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Keypair, PublicKey, Secp256k1, XOnlyPublicKey};
use bitcoin::{BlockHash, OutPoint, Txid};
use trestle_bridge::job::{DepositJob, Job, RunJob};
use trestle_bridge::lane::LaneWork;
use trestle_bridge::parameters::{Bridge, BridgeParameters, Genesis, Members};
use trestle_bridge::transactions::{ChallengerInRun, Checkpoint, DepositTerms, RunTerms, claim, contest};
use trestle_rollup::{Account, SlotId};
use trestle_signer::consent;
use trestle_taptree_trace::lane::{LaneId, challenger_keys};
use trestle_taptree_trace::ots::{CLAIM, SecretSeed};

use super::lanes::SmallLanes;
use super::world::TARGET;

/// `count` keys that are the same in every run.
pub fn keypairs(count: usize) -> Vec<Keypair> {
    (0..count).map(|i| key(&format!("signer {i}"))).collect()
}

/// The committee of `keypairs`.
pub fn public_keys(keypairs: &[Keypair]) -> Vec<PublicKey> {
    keypairs.iter().map(Keypair::public_key).collect()
}

/// A key that follows from its name.
pub fn key(name: &str) -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), digest(name).as_ref()).unwrap()
}

fn digest(name: &str) -> sha256::Hash {
    sha256::Hash::hash(name.as_bytes())
}

fn x_only(key: &Keypair) -> XOnlyPublicKey {
    key.x_only_public_key().0
}

/// An outpoint that follows from its name.
pub fn outpoint(name: &str) -> OutPoint {
    OutPoint::new(Txid::from_byte_array(digest(name).to_byte_array()), 0)
}

/// A bridge with two operators.
pub struct Everyone {
    pub bridge: Bridge,
    pub signers: Vec<Keypair>,
    pub operators: Vec<Keypair>,
    pub challengers: Vec<Keypair>,
    /// How lanes are made.
    pub lanes: Arc<dyn LaneWork>,
    /// The operators' keys of the lanes of every run that was made, by digest.
    pub lane_keys: RefCell<HashMap<sha256::Hash, Vec<u8>>>,
}

impl Everyone {
    pub fn new(signers: usize, challengers: usize, change: impl FnOnce(&mut BridgeParameters)) -> Self {
        let signers = keypairs(signers);
        let operators: Vec<_> = (0..2).map(|i| key(&format!("operator {i}"))).collect();
        let challengers: Vec<_> = (0..challengers).map(|i| key(&format!("challenger {i}"))).collect();
        let members = Members {
            signers: public_keys(&signers),
            operators: operators.iter().map(x_only).collect(),
            challengers: challengers.iter().map(x_only).collect(),
            sequencers: vec![x_only(&key("sequencer"))],
        };
        let mut parameters = BridgeParameters::regtest(members, Genesis { height: 0, hash: BlockHash::all_zeros() });
        change(&mut parameters);
        let (bridge, lane_keys) = (Bridge::new(parameters).unwrap(), RefCell::default());
        Self { bridge, signers, operators, challengers, lanes: Arc::new(SmallLanes), lane_keys }
    }

    fn lane(&self, slot: SlotId, challenger: usize) -> LaneId {
        LaneId { instance: self.bridge.instance, slot: slot.to_bytes(), challenger: challenger as u16 }
    }

    /// A deposit of the smallest denomination that does not exist yet, with its user's consent.
    pub fn deposit(&self, name: &str) -> (Job, Vec<Signature>) {
        let user = key(name);
        let terms = DepositTerms {
            outpoint: outpoint(name),
            denomination: 0,
            account: Account::from(x_only(&user)),
            refund_key: x_only(&user),
        };
        let job = Job::Deposit(DepositJob { terms, slots: Vec::new() });
        let consent = consent::sign(&self.bridge, &job, &user);
        (job, vec![consent])
    }

    /// A run of the smallest denomination, with everybody's consent.
    pub fn run(&self, operator: u8, first_serial: u32, slots: u32, checkpoint: Checkpoint) -> (Job, Vec<Signature>) {
        let name = format!("run {operator} {first_serial}");
        let seed = |who: String| SecretSeed::new(digest(&who).to_byte_array());
        let slot = |place| SlotId { operator, denomination: 0, serial: first_serial + place };
        let own = seed(format!("operator {operator}"));
        let lane = |challenger: usize, place| self.lane(slot(place), challenger);
        let challenger = |index: usize| ChallengerInRun {
            bond: outpoint(&format!("{name} bond of challenger {index}")),
            contest_hashes: (0..slots)
                .map(|place| {
                    contest::secret(&self.bridge, &seed(format!("challenger {index}")), index as u16, slot(place)).1
                })
                .collect(),
            choice_keys: (0..slots)
                .map(|place| challenger_keys(&seed(format!("challenger {index}")), &lane(index, place)))
                .collect(),
        };
        let digest = |challenger, place| {
            let keys = self.lanes.operator_keys(&self.bridge, &own, &lane(challenger, place));
            let digest = sha256::Hash::hash(&keys);
            self.lane_keys.borrow_mut().insert(digest, keys);
            digest
        };
        let terms = RunTerms {
            operator,
            denomination: 0,
            first_serial,
            slots,
            bond: outpoint(&format!("{name} bond")),
            checkpoint,
            target: TARGET,
            claim_keys: (0..slots)
                .map(|place| own.public_key(&CLAIM, &claim::key_id(&self.bridge, slot(place))))
                .collect(),
            challengers: (0..self.challengers.len()).map(challenger).collect(),
            lanes: (0..slots)
                .map(|place| (0..self.challengers.len()).map(|challenger| digest(challenger, place)).collect())
                .collect(),
        };
        self.consented(Job::Run(RunJob { terms, vaults: Vec::new() }))
    }

    /// A run with the signatures that it needs.
    pub fn consented(&self, job: Job) -> (Job, Vec<Signature>) {
        let Job::Run(run) = &job else { panic!("not a run") };
        let operator = &self.operators[usize::from(run.terms.operator)];
        let consents = [operator].into_iter().chain(&self.challengers);
        let consents = consents.map(|key| consent::sign(&self.bridge, &job, key)).collect();
        (job, consents)
    }
}
