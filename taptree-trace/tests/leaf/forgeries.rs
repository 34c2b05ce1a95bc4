//! Bitcoin Core refuses what the operator has not signed with the key of that message, in that lane, of that slot. Of
//! the leaves that judge a step semantics_core.rs asks the same.

use std::collections::BTreeSet;

use bitcoin::hashes::{Hash, hash160};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use trestle_taptree_trace::lane::{LaneId, MessageId};
use trestle_taptree_trace::leaf::semantics::Semantics;
use trestle_taptree_trace::leaf::{Disproof, Tree, script, witness};
use trestle_taptree_trace::ots::{KeyId, Layout, MAX_DIGIT, Message, SecretSeed};

use crate::cases::satisfying;
use crate::core::{is_valid, spend};
use crate::table::{LANE, lane, signed};
use crate::world::{CONFIRMATIONS, rng};

/// One leaf of each family but those of [`Semantics`].
fn leaves() -> Vec<Box<dyn Disproof>> {
    let judged: BTreeSet<String> = Semantics::all().iter().map(Disproof::name).collect();
    let mut families = judged;
    let all = Tree::ALL.into_iter().flat_map(|tree| tree.leaves(CONFIRMATIONS));
    all.filter(|leaf| families.insert(leaf.family())).collect()
}

/// The operator's signature of a message, with a key that is for something else.
fn signed_with(key: &KeyId<'_>, message: &Message) -> Vec<Vec<u8>> {
    SecretSeed::new([7; 32]).sign(message.layout(), key, message).unwrap().pairs()
}

/// The same message signed with the operator's keys of other messages, of other lanes, of other slots, of another bridge.
fn reused(id: MessageId, message: &Message) -> Vec<(String, Vec<Vec<u8>>)> {
    let name = id.to_string();
    let lanes = [
        LaneId { slot: [1, 2, 3, 4, 5, 7], ..LANE },
        LaneId { challenger: 4, ..LANE },
        LaneId { instance: [2; 32], ..LANE },
    ];
    // A slot has one claim for all its lanes.
    let lanes = lanes.into_iter().filter(|other| other.key_id(id, &name) != LANE.key_id(id, &name));
    let of_lanes = lanes.map(|other| (format!("{other:?}"), signed_with(&other.key_id(id, &name), message)));
    let alike = |other: &MessageId| *other != id && other.layout().signed_digits() == id.layout().signed_digits();
    let others: Vec<_> = MessageId::all(CONFIRMATIONS).into_iter().filter(alike).collect();
    // The next one of its kind, and the first.
    let next = others.iter().find(|other| **other > id).into_iter().chain(others.first());
    let of_messages = next.map(|other| {
        let name = other.to_string();
        (name.clone(), signed_with(&LANE.key_id(*other, &name), message))
    });
    of_lanes.chain(of_messages).collect()
}

fn number(item: &[u8]) -> u8 {
    item.first().copied().unwrap_or(0)
}

fn minimal(digit: u8) -> Vec<u8> {
    if digit == 0 { Vec::new() } else { vec![digit] }
}

/// What somebody who has seen a signature may make of it: pairs of a link and a digit.
fn tampered(rng: &mut StdRng, layout: &Layout, pairs: &[Vec<u8>]) -> Vec<(String, Vec<Vec<u8>>)> {
    let digits = layout.message_digits();
    let low: Vec<_> = (0..digits).filter(|place| number(&pairs[2 * place + 1]) < MAX_DIGIT).collect();
    let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut pairs = pairs.to_vec();
        change(&mut pairs);
        pairs
    };
    let mut forged = Vec::new();
    if let Some(place) = low.choose(rng) {
        let (link, digit) = (2 * place, 2 * place + 1);
        // Anybody can hash a link on.
        let raise = |pairs: &mut Vec<Vec<u8>>| {
            pairs[link] = hash160::Hash::hash(&pairs[link]).to_byte_array().to_vec();
            pairs[digit] = minimal(number(&pairs[digit]) + 1);
        };
        forged.push(("a digit raised".to_string(), with(&raise)));
        let lowered = |pairs: &mut Vec<Vec<u8>>| {
            raise(pairs);
            // The checksum's lowest digit is first: one less, borrowing.
            for at in digits..layout.signed_digits() {
                let was = number(&pairs[2 * at + 1]);
                pairs[2 * at + 1] = minimal(was.checked_sub(1).unwrap_or(MAX_DIGIT));
                if was > 0 {
                    break;
                }
            }
        };
        forged.push(("a digit raised and the checksum lowered".to_string(), with(&lowered)));
        for odd in [vec![16], vec![31], vec![0x81], vec![0xff, 0x80], vec![0; 5], vec![7; 20]] {
            forged.push((format!("a digit that is {odd:?}"), with(&|pairs| pairs[digit] = odd.clone())));
        }
    }
    let high: Vec<_> = (0..digits).filter(|place| number(&pairs[2 * place + 1]) > 0).collect();
    if let Some(place) = high.choose(rng) {
        let digit = 2 * place + 1;
        let lower = |pairs: &mut Vec<Vec<u8>>| pairs[digit] = minimal(number(&pairs[digit]) - 1);
        forged.push(("a digit lowered".to_string(), with(&lower)));
        let raised = |pairs: &mut Vec<Vec<u8>>| {
            lower(pairs);
            let at = 2 * digits;
            pairs[at] = hash160::Hash::hash(&pairs[at]).to_byte_array().to_vec();
            pairs[at + 1] = minimal((number(&pairs[at + 1]) + 1) & MAX_DIGIT);
        };
        forged.push(("a digit lowered and the checksum raised".to_string(), with(&raised)));
    }
    let (a, b) = (2 * rng.gen_range(0..digits), 2 * rng.gen_range(0..digits));
    if pairs[a + 1] != pairs[b + 1] {
        let swap = |pairs: &mut Vec<Vec<u8>>| [0, 1].iter().for_each(|item| pairs.swap(a + item, b + item));
        forged.push(("two digits swapped".to_string(), with(&swap)));
    }
    forged
}

#[test]
fn bitcoin_core_refuses_every_leaf_for_signatures_that_are_not_of_its_messages() {
    let mut rng = rng(80);
    let mut kinds = BTreeSet::new();
    for leaf in leaves() {
        let (leaf, name) = (leaf.as_ref(), leaf.name());
        let case = &satisfying()[&name];
        let script = script(leaf, &lane(case.constants.clone())).unwrap();
        let hints = leaf.refutes(&case.said()).unwrap();
        let transcript = signed(&case.said, leaf.reads());
        let (transaction, spent) = spend(&script, |mine| witness(leaf, hints, &transcript, &mine).unwrap());
        assert!(is_valid(&transaction, &spent), "{name}");
        let items: Vec<Vec<u8>> = transaction.input[0].witness.iter().map(<[u8]>::to_vec).collect();
        let mut place = leaf.hint_count();
        let reads = leaf.reads();
        for (at, id) in reads.iter().enumerate() {
            let layout = id.layout();
            let range = place..place + 2 * layout.signed_digits();
            place = range.end;
            let message = match reads[..at].contains(id) {
                true => case.said.twice(*id).unwrap()[1],
                false => case.said.message(*id).unwrap(),
            };
            for (what, pairs) in [reused(*id, message), tampered(&mut rng, &layout, &items[range.clone()])].concat() {
                let mut forged = items.clone();
                forged.splice(range.clone(), pairs);
                let mut other = transaction.clone();
                other.input[0].witness = bitcoin::Witness::from_slice(&forged);
                assert!(!is_valid(&other, &spent), "{name}: {id}: {what}");
                kinds.insert(what);
            }
        }
    }
    assert!(kinds.len() > 20, "{kinds:?}");
}
