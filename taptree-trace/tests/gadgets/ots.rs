//! What Script takes for a signature is what the parser of witnesses takes for one, whatever is in the witness.

use bitcoin::opcodes::all::OP_PUSHNUM_1;
use bitcoin::script::ScriptBuf;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use trestle_taptree_trace::interpreter::{Rules, Value, run};
use trestle_taptree_trace::ots::{
    CLAIM, CLAIM_LANE, KeyId, Message, PublicKey, SecretSeed, Signature, parse_witness, script_commit,
    script_commit_and_read, script_commit_pairs, script_read, script_verify,
};

use crate::judge;

const ID: KeyId = KeyId { instance: [1; 32], slot: [2; 6], lane: CLAIM_LANE, message: "claim" };

fn key() -> PublicKey {
    SecretSeed::new([9; 32]).public_key(&CLAIM, &ID)
}

fn sign(random: &mut StdRng) -> (Message, Signature) {
    let (n, prefix): ([u8; 2], [u8; 4]) = random.r#gen();
    let message = CLAIM.encode(&[&n, &prefix]).unwrap();
    let signature = SecretSeed::new([9; 32]).sign(&CLAIM, &ID, &message).unwrap();
    (message, signature)
}

/// Changes some items: to others of the witness or of the key, hashed ones, numbers in and out of range, and in long forms.
fn corrupt(random: &mut StdRng, items: &mut [Vec<u8>]) {
    use bitcoin::hashes::{Hash, hash160};
    for _ in 0..random.gen_range(0..4) {
        let place = random.gen_range(0..items.len());
        items[place] = match random.gen_range(0..8) {
            0 => items.choose(random).unwrap().clone(),
            1 => key().0.choose(random).unwrap().to_vec(),
            2 => hash160::Hash::hash(&items[place]).to_byte_array().to_vec(),
            3 => vec![random.gen_range(0..24)],
            4 => [items[place].clone(), vec![0]].concat(),
            5 => vec![0x80 | random.gen_range(0..3)],
            6 => (0..random.gen_range(0..6)).map(|_| random.r#gen()).collect(),
            _ => Value::Number(random.gen_range(-20..40)).to_bytes(),
        };
    }
}

/// The script and a 1.
fn ends(script: &ScriptBuf) -> ScriptBuf {
    ScriptBuf::from_bytes([script.as_bytes(), &[OP_PUSHNUM_1.to_u8()]].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn script_and_parser_agree_on_every_witness(seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let (message, signature) = sign(&mut random);
        let key = key();
        let mut items = signature.witness();
        corrupt(&mut random, &mut items);
        let read = parse_witness(&CLAIM, &key, &items);
        for script in [script_verify(&CLAIM, &key), script_commit(&CLAIM, &key)] {
            let outcome = run(&ends(&script), &items, Rules::Consensus);
            prop_assert_eq!(outcome.is_ok_and(|outcome| outcome.accepts()), read.is_ok());
        }
        // Nobody who saw one signature makes another message of it.
        prop_assert!(read.is_err() || read == Ok(message));
        if seed.is_multiple_of(16) {
            prop_assert_eq!(judge::accepts(&ends(&script_verify(&CLAIM, &key)), &items), read.is_ok());
        }
    }

    #[test]
    fn script_and_parser_agree_on_every_witness_of_pairs(seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let (message, signature) = sign(&mut random);
        let key = key();
        let mut items = signature.pairs();
        corrupt(&mut random, &mut items);
        let read = Signature::from_pairs(&CLAIM, &key, &items);
        let outcome = run(&ends(&script_commit_pairs(&CLAIM, &key)), &items, Rules::Consensus);
        prop_assert_eq!(outcome.is_ok_and(|outcome| outcome.accepts()), read.is_ok());
        for script in [script_read(&[(CLAIM, &key)]), script_commit_and_read(&CLAIM, &key)] {
            let left = run(&script, &items, Rules::Consensus).map(|outcome| outcome.stack).ok();
            let digits = |message: &Message| message.digits().iter().map(|digit| Value::Number(i64::from(*digit))).collect();
            prop_assert_eq!(left, read.is_ok().then(|| digits(&message)));
        }
        prop_assert!(read.is_err() || read == Ok(signature));
        if seed.is_multiple_of(16) {
            let accepts = judge::accepts(&ends(&script_commit_pairs(&CLAIM, &key)), &items);
            prop_assert_eq!(accepts, Signature::from_pairs(&CLAIM, &key, &items).is_ok());
        }
    }

    #[test]
    fn the_parser_takes_anything(items in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..60)) {
        prop_assert!(parse_witness(&CLAIM, &key(), &items).is_err());
        prop_assert!(Signature::from_pairs(&CLAIM, &key(), &items).is_err());
    }
}
