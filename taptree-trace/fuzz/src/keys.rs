//! The operator's keys as they travel.

use std::sync::OnceLock;

use bitcoin::hashes::{Hash, sha256};
use trestle_taptree_trace::lane::{ChoiceKey, LaneId, LaneKeys, MessageId, OperatorKeys, challenger_keys};
use trestle_taptree_trace::ots::SecretSeed;

use super::input::Input;

fn challengers() -> Vec<ChoiceKey> {
    static KEYS: OnceLock<Vec<ChoiceKey>> = OnceLock::new();
    let lane = LaneId { instance: [1; 32], slot: [2; 6], challenger: 3 };
    KEYS.get_or_init(|| challenger_keys(&SecretSeed::new([8; 32]), &lane)).clone()
}

/// Any bytes are read as the keys of a lane if and only if they are as many as its keys have; and then they are written as they were
/// read, each key has its message's digits, and whether they are good keys can be asked.
pub fn operator_keys(bytes: &[u8]) {
    let mut input = Input(bytes);
    let confirmations = u16::from(input.byte() % 16);
    let length = OperatorKeys::length(confirmations);
    let given = match input.byte() % 4 {
        0 | 1 => length,
        2 => (length + input.below(64)).saturating_sub(input.below(64)),
        _ => input.below(usize::from(u16::MAX)),
    };
    // Too many to be given one by one: what there is is repeated.
    let bytes: Vec<u8> = input.0.iter().chain([&0]).cycle().take(given).copied().collect();
    match OperatorKeys::from_bytes(confirmations, &bytes) {
        Ok(keys) => {
            assert_eq!(given, length);
            assert!(keys.to_bytes() == bytes, "other bytes than were read");
            assert_eq!(keys.digest(), sha256::Hash::hash(&bytes));
            let digits = MessageId::all(confirmations).into_iter().map(|id| id.layout().signed_digits());
            assert!(keys.0.iter().map(|key| key.0.len()).eq(digits));
            assert!(
                LaneKeys::new(confirmations, keys.0, challengers()).is_err(),
                "links that are repeated are related"
            );
        }
        Err(why) => {
            assert_ne!(given, length);
            assert_eq!((why.confirmations, why.expected, why.got), (confirmations, length, given));
        }
    }
}
