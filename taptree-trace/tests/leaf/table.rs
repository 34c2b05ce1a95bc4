//! A lane with keys, and both sides' hands.

use std::sync::OnceLock;

use bitcoin::hashes::Hash;
use bitcoin::key::{Keypair, Secp256k1};
use bitcoin::secp256k1::{Message, SecretKey};
use bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use bitcoin::taproot::{self, LeafVersion, TapLeafHash};
use bitcoin::{Script, Transaction, TxOut};
use trestle_taptree_trace::lane::{
    ChoiceId, Lane, LaneConstants, LaneId, LaneKeys, MessageId, SignedChoice, Statements, Transcript, challenger_keys,
    choose, operator_keys,
};
use trestle_taptree_trace::ots::{KeyId, SecretSeed, Signature};

use crate::world::CONFIRMATIONS;

pub const LANE: LaneId = LaneId { instance: [1; 32], slot: [1, 2, 3, 4, 5, 6], challenger: 3 };

fn operator() -> SecretSeed {
    SecretSeed::new([7; 32])
}

fn challenger() -> SecretSeed {
    SecretSeed::new([8; 32])
}

/// The keys of both.
pub fn keys() -> &'static LaneKeys {
    static KEYS: OnceLock<LaneKeys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let operator = operator_keys(&operator(), &LANE, CONFIRMATIONS);
        LaneKeys::new(CONFIRMATIONS, operator, challenger_keys(&challenger(), &LANE)).unwrap()
    })
}

pub fn lane(constants: LaneConstants) -> Lane {
    Lane { keys: keys().clone(), constants }
}

/// Signs what an operator says, of these messages.
pub fn signed(said: &Statements, ids: impl IntoIterator<Item = MessageId>) -> Transcript {
    let mut transcript = Transcript::default();
    for id in ids {
        for message in said.twice(id).map_or(said.message(id).into_iter().collect(), |two| two.to_vec()) {
            transcript.add(keys(), id, sign(id, message)).unwrap();
        }
    }
    transcript
}

pub fn sign(id: MessageId, message: &trestle_taptree_trace::ots::Message) -> Signature {
    let name = id.to_string();
    let key: KeyId<'_> = LANE.key_id(id, &name);
    operator().sign(&id.layout(), &key, message).unwrap()
}

pub fn chosen(id: ChoiceId, option: u8) -> SignedChoice {
    choose(&challenger(), &LANE, id, option).unwrap()
}

/// The challenger's key in these tests: 1, whose point is the generator.
fn challenger_key() -> Keypair {
    let mut one = [0; 32];
    one[31] = 1;
    Keypair::from_secret_key(&Secp256k1::new(), &SecretKey::from_slice(&one).unwrap())
}

/// The challenger's signature of a transaction that spends `script`.
pub fn sign_transaction(transaction: &Transaction, spent: &TxOut, script: &Script) -> taproot::Signature {
    let leaf = TapLeafHash::from_script(script, LeafVersion::TapScript);
    let sighash_type = TapSighashType::Default;
    let spent = [spent];
    let hash = SighashCache::new(transaction)
        .taproot_script_spend_signature_hash(0, &Prevouts::All(&spent), leaf, sighash_type)
        .unwrap();
    let message = Message::from_digest(hash.to_byte_array());
    taproot::Signature {
        signature: Secp256k1::new().sign_schnorr_no_aux_rand(&message, &challenger_key()),
        sighash_type,
    }
}
