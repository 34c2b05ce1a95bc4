//! A lane with keys, and both sides' hands.

use std::sync::OnceLock;

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
