//! Batches, forced transactions and what they carry: when they are executed, and every way in which they are not.

use bitcoin::Amount;
use trestle_rollup::envelope::Kind;
use trestle_rollup::state::ReadState as _;
use trestle_rollup::{
    Account, Batch, Event, Refusal, SignedTransaction, Skip, Tag, Transaction, WithdrawalId, schnorr,
};

use crate::support::world::World;
use crate::support::{Bridge, account, key, outpoint, x_only};

#[test]
fn a_transfer_moves_amount_and_fee_and_the_certifiers_share_the_fee() {
    let mut world = World::funded();
    let transfers = [world.bridge.transfer(0, 1, 500, 11, 0), world.bridge.transfer(1, 0, 100, 0, 0)];
    let batch = world.bridge.batch(3, 0, &transfers);
    let events = world.block(vec![batch]);
    assert!(matches!(events[2], Event::Batch { number: 0, applied: 2, skipped: 0, fees: 11, .. }), "{events:?}");
    assert_eq!(world.balance(0), 11_000_000 - 511 + 100);
    assert_eq!(world.balance(1), 400);
    // Three of four certified: 11 = 5 + 3 + 3.
    let credits = [5, 3, 3, 0];
    for (index, credit) in credits.into_iter().enumerate() {
        let sequencer = trestle_rollup::Account(x_only(&key("sequencer", index)));
        assert_eq!(world.layer.state().account(&sequencer).unwrap().balance, credit);
    }
    assert_eq!(world.supply(), 11_000_000);
}

#[test]
fn a_transfer_to_oneself_costs_the_fee_only() {
    let mut world = World::funded();
    let batch = world.bridge.batch(3, 0, &[world.bridge.transfer(0, 0, 11_000_000, 0, 0)]);
    world.block(vec![batch]);
    assert_eq!(world.balance(0), 11_000_000);
    let batch = world.bridge.batch(4, 1, &[world.bridge.transfer(0, 0, 1_000, 7, 1)]);
    world.block(vec![batch]);
    assert_eq!(world.balance(0), 11_000_000 - 7);
    assert_eq!(world.layer.state().account(&account(0)).unwrap().nonce, 2);
}

#[test]
fn a_layer_2_transaction_is_refused() {
    let world = World::funded();
    let bridge = &world.bridge;
    let sign = |transaction: Transaction, user| transaction.sign(&bridge.instance, &key("user", user));
    let withdraw = |denomination, nonce| bridge.withdraw(0, denomination, 0, nonce);
    let mut tampered = bridge.transfer(0, 1, 500, 0, 0);
    tampered.signature[63] ^= 1;
    let transfer = bridge.transfer(0, 1, 500, 0, 0).transaction;
    let rows = [
        ("a tampered signature", tampered, Refusal::Signature),
        ("another's signature", sign(transfer, 1), Refusal::Signature),
        ("another instance's", transfer.sign(&[7; 32], &key("user", 0)), Refusal::Signature),
        ("a nonce too high", bridge.transfer(0, 1, 500, 0, 1), Refusal::Nonce { expected: 0 }),
        ("nothing", bridge.transfer(0, 1, 0, 0, 0), Refusal::ZeroAmount),
        ("too much", bridge.transfer(0, 1, 11_000_001, 0, 0), Refusal::Balance { available: 11_000_000 }),
        ("far too much", bridge.transfer(0, 1, u64::MAX, 0, 0), Refusal::Balance { available: 11_000_000 }),
        ("from an empty account", bridge.transfer(1, 0, 1, 0, 0), Refusal::Balance { available: 0 }),
        ("no denomination", withdraw(3, 0), Refusal::UnknownDenomination),
        ("no denomination at all", withdraw(255, 0), Refusal::UnknownDenomination),
        ("a denomination too large", withdraw(2, 0), Refusal::Balance { available: 11_000_000 }),
        ("a withdrawal's nonce", withdraw(0, 7), Refusal::Nonce { expected: 0 }),
    ];
    for (name, transaction, refusal) in rows {
        let mut world = World::funded();
        let forced = world.bridge.forced(3, &transaction);
        assert_eq!(world.skip(forced), Some(Skip::Refused { refusal }), "{name}");
    }
}

#[test]
fn a_fee_counts_in_a_batch_and_not_when_forced() {
    let rows = [(1, true), (0, true), (u64::MAX, false), (11_000_000, false)];
    for (fee, _) in rows {
        let mut world = World::funded();
        let all = world.bridge.transfer(0, 1, 11_000_000, fee, 0);
        let batch = world.bridge.batch(3, 0, &[all]);
        let events = world.block(vec![batch]);
        let taken = fee == 0;
        assert_eq!(world.balance(1), if taken { 11_000_000 } else { 0 }, "{events:?}");
        let mut world = World::funded();
        let forced = world.bridge.forced(3, &all);
        assert_eq!(world.skip(forced), None);
        assert_eq!(world.balance(1), 11_000_000, "forced with fee {fee}");
    }
}

#[test]
fn a_transaction_is_executed_once_however_often_it_is_posted() {
    let mut world = World::funded();
    let transfer = world.bridge.transfer(0, 1, 500, 0, 0);
    let forced = world.bridge.forced(3, &transfer);
    let (again, batch) = (world.bridge.forced(4, &transfer), world.bridge.batch(5, 0, &[transfer, transfer]));
    let events = world.block(vec![forced, again, batch]);
    assert!(matches!(events.last(), Some(Event::Batch { applied: 0, skipped: 2, .. })), "{events:?}");
    assert_eq!(world.balance(1), 500);
}

#[test]
fn an_invalid_transaction_in_a_batch_is_skipped_alone() {
    let mut world = World::funded();
    let good = [world.bridge.transfer(0, 1, 1, 0, 0), world.bridge.transfer(0, 1, 1, 0, 1)];
    let bad = world.bridge.transfer(1, 0, 1000, 0, 0);
    let batch = world.bridge.batch(3, 0, &[good[0], bad, good[1]]);
    let events = world.block(vec![batch]);
    assert!(matches!(events.last(), Some(Event::Batch { applied: 2, skipped: 1, .. })), "{events:?}");
}

#[test]
fn a_batch_is_refused_whole() {
    let world = World::funded();
    let bridge = &world.bridge;
    let transfers = [bridge.transfer(0, 1, 1, 0, 0)];
    let certified = |number, by: &[u8]| bridge.certified(number, &transfers, by);
    let good = || certified(0, &[0, 1, 2]);
    let payload = |batch: &Batch| bridge.payload(batch);
    let changed = |change: &dyn Fn(&mut Batch)| {
        let mut batch = certified(0, &[0, 1, 2, 3]);
        change(&mut batch);
        payload(&batch)
    };
    let mut other_instance = certified(0, &[]);
    (0..3).for_each(|index| {
        let signature = schnorr::sign(&other_instance.digest(&[1; 32]), &key("sequencer", index.into()));
        other_instance.certify(index, signature);
    });
    let unsigned = SignedTransaction { signature: bridge.transfer(0, 1, 2, 0, 0).signature, ..transfers[0] };
    let (others, indices) = (bridge.transfer(0, 1, 2, 0, 0), |_: &Account| Ok::<_, ()>(Some(7)));
    let rows = [
        ("a number too high", payload(&certified(1, &[0, 1, 2])), Skip::BatchNumber),
        ("the last number", payload(&certified(u64::MAX, &[0, 1, 2])), Skip::BatchNumber),
        ("no certificate", payload(&certified(0, &[])), Skip::Certificate),
        ("one too few", payload(&certified(0, &[1, 3])), Skip::Certificate),
        ("one who is none", payload(&certified(0, &[0, 1, 4])), Skip::Certificate),
        ("one bad signature besides a quorum", changed(&|batch| batch.certificate[3].1[0] ^= 1), Skip::Certificate),
        ("another's signature", changed(&|batch| batch.certificate[3].0 = 4), Skip::Certificate),
        ("another instance's", payload(&other_instance), Skip::Certificate),
        ("another number", changed(&|batch| batch.number = 1), Skip::BatchNumber),
        ("a certificate for another number", renumbered(bridge, &transfers), Skip::Certificate),
        ("other transactions", changed(&|batch| batch.transactions[0] = others), Skip::Certificate),
        ("one more", changed(&|batch| batch.transactions.push(others)), Skip::Certificate),
        ("none", changed(&|batch| batch.transactions.clear()), Skip::Certificate),
        ("a signature that is not valid", payload(&bridge.certified(0, &[unsigned], &[0, 1, 2])), Skip::Aggregate),
        ("an index that nobody has", good().compact(&bridge.instance, indices).unwrap(), Skip::AccountIndex),
        ("nothing", vec![], Skip::Malformed),
        ("a bitmap that ends with nothing", [&[0, 1, 0], &payload(&good())[3..]].concat(), Skip::Malformed),
        ("half a certificate", payload(&good())[..100].to_vec(), Skip::Malformed),
        ("something after it", [&payload(&good())[..], &[0]].concat(), Skip::Malformed),
    ];
    for (name, payload, why) in rows {
        let mut world = World::funded();
        let envelope = world.bridge.envelope(3, Kind::Batch, payload);
        assert_eq!(world.skip(envelope), Some(why), "{name}");
    }
}

/// Batch 0 with what a quorum certified as batch 1.
fn renumbered(bridge: &Bridge, transfers: &[SignedTransaction]) -> Vec<u8> {
    bridge.payload(&Batch { number: 0, ..bridge.certified(1, transfers, &[0, 1, 2]) })
}

#[test]
fn of_two_batches_with_one_number_the_first_counts_and_gaps_wait() {
    let mut world = World::funded();
    let first = world.bridge.batch(3, 0, &[world.bridge.transfer(0, 1, 1, 0, 0)]);
    let second = world.bridge.batch(4, 0, &[world.bridge.transfer(0, 1, 100, 0, 0)]);
    world.block(vec![first, second]);
    assert_eq!(world.balance(1), 1);
    assert_eq!(world.layer.state().meta().unwrap().batches, 1);
}

#[test]
fn without_sequencers_there_is_no_valid_batch_and_forced_transactions_go_on() {
    let mut world = World::of(Bridge::new(1, 0));
    let mint = world.bridge.mint(1, account(0), 0);
    world.block(vec![mint]);
    let batch = world.bridge.certified(0, &[world.bridge.transfer(0, 1, 1, 0, 0)], &[]);
    let envelope = world.bridge.posted(2, &batch);
    assert_eq!(world.skip(envelope), Some(Skip::Certificate));
    let forced = world.bridge.forced(3, &world.bridge.transfer(0, 1, 1, 0, 0));
    assert_eq!(world.skip(forced), None);
    assert_eq!(world.balance(1), 1);
}

#[test]
fn an_envelope_counts_only_in_its_one_form_and_place() {
    type Change = fn(&Bridge, &mut bitcoin::Transaction);
    fn rewrite(tx: &mut bitcoin::Transaction, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let mut items = tx.input[0].witness.to_vec();
        change(&mut items);
        tx.input[0].witness = bitcoin::Witness::from_slice(&items);
    }
    let rows: &[(&str, bool, Change)] = &[
        ("as made", true, |_, _| ()),
        ("with an annex", true, |_, tx| rewrite(tx, |items| items.push(vec![0x50, 1, 2]))),
        ("without the signature", true, |_, tx| rewrite(tx, |items| drop(items.remove(0)))),
        ("a control block with a path", true, |_, tx| rewrite(tx, |items| items[2].extend([9; 64]))),
        ("output 1 something else", true, |_, tx| tx.output.push(tx.output[0].clone())),
        ("the script as annex's neighbour", false, |_, tx| rewrite(tx, |items| items[2] = vec![0x50])),
        ("in the second input", false, |_, tx| {
            tx.input.insert(0, crate::support::plain(outpoint(77), vec![]).input[0].clone());
        }),
        ("another leaf version", false, |_, tx| rewrite(tx, |items| items[2][0] = 0xc2)),
        ("no control block", false, |_, tx| rewrite(tx, |items| drop(items.pop()))),
        ("a control block too short", false, |_, tx| rewrite(tx, |items| items[2].truncate(32))),
        ("something after ENDIF", false, |_, tx| rewrite(tx, |items| items[1].push(0x51))),
        ("no ENDIF", false, |_, tx| {
            rewrite(tx, |items| {
                items[1].pop();
            })
        }),
        ("another bridge's", false, |_, tx| rewrite(tx, |items| items[1][37] ^= 1)),
        ("an unknown kind", false, |_, tx| rewrite(tx, |items| items[1][41] = 0x13)),
        ("no CHECKSIG", false, |_, tx| rewrite(tx, |items| items[1][33] = 0xad)),
        ("output 1 a tag of this bridge", false, |bridge, tx| {
            let tag = Tag::Cooperative { withdrawal: WithdrawalId(9) };
            tx.output.push(bitcoin::TxOut { value: Amount::ZERO, script_pubkey: tag.script_pubkey(bridge.tag) });
        }),
    ];
    for (name, counts, change) in rows {
        let mut world = World::funded();
        let mut forced = world.bridge.forced(3, &world.bridge.transfer(0, 1, 500, 0, 0));
        change(&world.bridge, &mut forced);
        world.skip(forced);
        assert_eq!(world.balance(1), if *counts { 500 } else { 0 }, "{name}");
    }
}

#[test]
fn a_forced_transaction_with_anything_after_it_is_malformed() {
    let mut world = World::funded();
    let mut payload = world.bridge.transfer(0, 1, 500, 0, 0).encode();
    payload.push(0);
    let envelope = world.bridge.envelope(3, Kind::Forced, payload);
    assert_eq!(world.skip(envelope), Some(Skip::Malformed));
}
