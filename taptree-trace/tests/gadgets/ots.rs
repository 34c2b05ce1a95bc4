//! What Script takes for a signature is what the parser of witnesses takes for one, whatever is in the witness.

use bitcoin::hashes::{Hash, hash160};
use bitcoin::opcodes::all::{OP_2DROP, OP_DROP, OP_PUSHNUM_1};
use bitcoin::script::{ScriptBuf, read_scriptint_non_minimal};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use trestle_taptree_trace::interpreter::{Rules, Value, run};
use trestle_taptree_trace::ots::{
    CLAIM, CLAIM_LANE, KeyId, Message, PublicKey, SecretSeed, Signature, parse_witness, script_commit,
    script_commit_and_read, script_commit_pairs, script_read,
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

/// What arithmetic takes an item for, which may be not minimally encoded.
fn number(item: &Value) -> i64 {
    read_scriptint_non_minimal(&item.to_bytes()).unwrap_or(i64::MAX)
}

/// The script and a 1.
fn ends(script: &ScriptBuf) -> ScriptBuf {
    ScriptBuf::from_bytes([script.as_bytes(), &[OP_PUSHNUM_1.to_u8()]].concat())
}

/// The items of a signature, of which the first digit reaches for an end that lies below them all.
fn reaching(mut items: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    // Below the eight values of the chain, which 8 to 15 copy.
    items[1] = vec![16];
    [vec![key().0[0].to_vec()], items].concat()
}

/// Both judges of a witness of [`script_read`], with one item more below: what is left of the message.
fn read_above_one(items: &[Vec<u8>]) -> Option<Vec<i64>> {
    let script = script_read(&[(CLAIM, &key())]);
    let left = run(&script, items, Rules::Consensus).map(|outcome| outcome.stack).ok();
    let drops = [OP_2DROP.to_u8()].repeat(CLAIM.message_digits() / 2);
    let whole = ScriptBuf::from_bytes([script.as_bytes(), &drops, &[OP_DROP.to_u8()]].concat());
    assert_eq!(judge::accepts(&ends(&whole), items), left.is_some());
    left.map(|stack| stack[1..].iter().map(number).collect())
}

#[test]
fn a_digit_that_reaches_for_an_end_elsewhere_is_one_that_the_owner_must_have_signed() {
    let owner = SecretSeed::new([9; 32]);
    let sign = |n: u16, rest: u32| {
        let message = CLAIM.encode(&[&n.to_be_bytes(), &rest.to_be_bytes()]).unwrap();
        owner.sign(&CLAIM, &ID, &message).unwrap().pairs()
    };
    // An owner can: he lowers the checksum, 164 = 4 + 16·10, and harms nobody but himself.
    let (low, high) = (sign(0, 0), sign(0xffff, 0xffff_ffff));
    let mut items = [&low[..24], &high[24..]].concat();
    for (place, digit) in [(12, 4), (13, 10)] {
        for _ in 0..digit {
            items[2 * place] = hash160::Hash::hash(&items[2 * place]).to_byte_array().to_vec();
        }
        items[2 * place + 1] = vec![digit];
    }
    assert_eq!(read_above_one(&reaching(items)).map(|digits| digits[0]), Some(16));
    // Who has one signature cannot, whatever was signed.
    let mut random = StdRng::seed_from_u64(1);
    for (n, rest) in [(0, 0), (0xffff, 0xffff_ffff)].into_iter().chain((0..50).map(|_| random.r#gen())) {
        let items = [vec![Vec::new()], sign(n, rest)].concat();
        assert!(read_above_one(&items).is_some());
        assert_eq!(read_above_one(&reaching(items[1..].to_vec())), None);
    }
    // Nor can who has none, and knows all ends.
    let nothing: Vec<Vec<u8>> = key().0.iter().flat_map(|end| [end.to_vec(), vec![15]]).collect();
    assert_eq!(read_above_one(&[vec![Vec::new()], nothing.clone()].concat()), None);
    assert_eq!(read_above_one(&reaching(nothing)), None);
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
        let script = ends(&script_commit(&CLAIM, &key));
        let outcome = run(&script, &items, Rules::Consensus);
        prop_assert_eq!(outcome.is_ok_and(|outcome| outcome.accepts()), read.is_ok());
        // Nobody who saw one signature makes another message of it.
        prop_assert!(read.is_err() || read == Ok(message));
        if seed.is_multiple_of(16) {
            prop_assert_eq!(judge::accepts(&script, &items), read.is_ok());
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
        let digits: Vec<i64> = message.digits().iter().map(|digit| i64::from(*digit)).collect();
        let left = run(&script_commit_and_read(&CLAIM, &key), &items, Rules::Consensus).map(|outcome| outcome.stack).ok();
        let minimal = digits.iter().map(|digit| Value::Number(*digit)).collect();
        prop_assert_eq!(left, read.is_ok().then_some(minimal));
        // What is read by somebody else is the same numbers, as they are in the witness, where none is above 15.
        let left = run(&script_read(&[(CLAIM, &key)]), &items, Rules::Consensus).map(|outcome| outcome.stack).ok();
        let numbers: Option<Vec<i64>> = left.map(|stack| stack.iter().map(number).collect());
        let in_range = items.iter().skip(1).step_by(2).all(|item| number(&Value::from_bytes(item)) <= 15);
        prop_assert_eq!(numbers, (read.is_ok() && in_range).then_some(digits));
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
