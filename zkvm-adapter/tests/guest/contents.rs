//! Every kind of Layer 2 content, good and malformed: the guest makes of it what native code does.

use std::collections::HashSet;

use bitcoin::{ScriptBuf, Witness};
use proptest::prelude::*;
use trestle_rollup::envelope::Kind;
use trestle_rollup::{Account, AdminOperation, Event, SignedTransaction, Skip, SlotId, Transaction};

use crate::accepts;
use crate::support::world::World;
use crate::support::{Bridge, account, destination, key, mainnet, outpoint, plain, x_only};

/// The next block of a world, accepted by the guest; what happened in it.
fn block(world: &mut World, transactions: Vec<bitcoin::Transaction>) -> Vec<Event> {
    let raw = world.chain.block(transactions);
    accepts("a block", &world.layer, &raw);
    world.layer.extend(&raw)
}

fn slot(operator: u8, denomination: u8, serial: u32) -> Option<SlotId> {
    Some(SlotId { operator, denomination, serial })
}

/// A transaction with a change.
fn but(mut transaction: bitcoin::Transaction, change: impl FnOnce(&mut bitcoin::Transaction)) -> bitcoin::Transaction {
    change(&mut transaction);
    transaction
}

/// An output's script with one byte changed, counted from the end.
fn script_byte(transaction: bitcoin::Transaction, output: usize, from_end: usize) -> bitcoin::Transaction {
    but(transaction, |transaction| {
        let script = &mut transaction.output[output].script_pubkey;
        let mut bytes = script.to_bytes();
        let at = bytes.len() - 1 - from_end;
        bytes[at] ^= 1;
        *script = ScriptBuf::from_bytes(bytes);
    })
}

/// A batch with bytes after its transactions that are none.
fn trailing(bridge: &Bridge) -> bitcoin::Transaction {
    let batch = bridge.certified(1, &[bridge.transfer(1, 0, 1, 0, 0)], &[0, 1, 2]);
    bridge.envelope(41, Kind::Batch, [&bridge.payload(&batch)[..], &[9; 20]].concat())
}

#[test]
fn all_kinds_of_content_are_made_of_what_native_code_makes_of_them() {
    let mut world = World::new();
    let bridge = world.bridge.clone();
    let mut events = Vec::new();

    // Mints.
    let mint = |input| bridge.mint(input, account(0), 1);
    events.extend(block(
        &mut world,
        vec![
            mint(1),
            bridge.mint(2, account(0), 2),
            bridge.mint(3, account(1), 0),
            script_byte(mint(4), 0, 0),
            but(mint(5), |transaction| transaction.output[0].value += bitcoin::Amount::ONE_SAT),
            but(mint(6), |transaction| transaction.input[0].sequence = bitcoin::Sequence(5)),
            script_byte(mint(7), 1, 0),
            but(mint(8), |transaction| {
                transaction.output[1].script_pubkey =
                    ScriptBuf::from_bytes([&[0x6a, 5][..], &bridge.tag, &[77]].concat())
            }),
            plain(outpoint(9), vec![(1, destination(0).script_pubkey())]),
        ],
    ));

    // Batches, and what is in them.
    let transfers = [
        bridge.transfer(0, 1, 500, 3, 0),
        bridge.transfer(0, 0, 500, 3, 1),
        bridge.transfer(0, 2, 0, 0, 2),
        bridge.transfer(0, 2, 1, 0, 9),
        bridge.transfer(2, 3, u64::MAX, 0, 0),
        bridge.transfer(2, 3, 1, u64::MAX, 0),
        bridge.withdraw(0, 0, 1, 2),
        bridge.withdraw(0, 1, 1, 3),
        bridge.withdraw(0, 9, 1, 4),
    ];
    let batch = bridge.certified(1, &[], &[0, 1, 2]);
    let bad = |input, change: fn(&mut trestle_rollup::Batch)| {
        let mut batch = batch.clone();
        change(&mut batch);
        bridge.posted(input, &batch)
    };
    // By indices that accounts have, and have not, and those of others.
    let named = |input, indices: [u32; 2]| {
        let transfers = [bridge.transfer(0, 1, 1, 1, 50), bridge.transfer(0, 1, 2_000, 3, 51)];
        let batch = bridge.certified(1, &transfers, &[0, 1, 2]);
        let index =
            |named: &Account| Ok::<_, ()>((0..2).find(|user| account(*user) == *named).map(|user| indices[user]));
        bridge.envelope(input, Kind::Batch, batch.compact(&bridge.instance, index).unwrap())
    };
    let forged = {
        let mut forged = bridge.transfer(0, 1, 1, 0, 4);
        forged.signature[3] ^= 1;
        forged
    };
    events.extend(block(
        &mut world,
        vec![
            bridge.batch(20, 5, &[]),
            bridge.batch(21, 0, &transfers),
            bridge.batch(22, 0, &[]),
            bridge.posted(23, &bridge.certified(1, &[], &[0, 1])),
            bridge.posted(24, &bridge.certified(1, &[], &[0, 1, 2, 9])),
            bad(30, |batch| batch.certificate[2].1[40] ^= 1),
            bad(31, |batch| batch.certificate[0].1 = [0xff; 64]),
            named(32, [0, 99]),
            named(33, [1, 0]),
            bridge.posted(34, &bridge.certified(1, &[forged], &[0, 1, 2])),
            named(35, [0, 1]),
            bridge.envelope(25, Kind::Batch, vec![1, 2, 3]),
            bridge.envelope(26, Kind::Batch, vec![]),
            trailing(&bridge),
        ],
    ));

    let pay = |input, id, denomination, slot| bridge.payout(input, id, destination(0), denomination, slot);
    // Forced transactions, with an annex, too, and with what is none.
    // An account that is no point of the curve.
    let nobody = SignedTransaction {
        transaction: Transaction::Transfer { from: Account([0xff; 32]), to: account(0), amount: 1, fee: 0, nonce: 0 },
        signature: [1; 64],
    };
    events.extend(block(
        &mut world,
        vec![
            bridge.forced(50, &bridge.transfer(0, 1, 7, 100, 4)),
            but(bridge.forced(51, &bridge.withdraw(0, 1, 0, 5)), |transaction| {
                transaction.input[0].witness.push([0x50, 1])
            }),
            bridge.forced(52, &forged),
            bridge.forced(53, &nobody),
            bridge.forced(54, &bridge.withdraw(0, 1, 0, 6)),
            bridge.envelope(55, Kind::Forced, vec![0; 152]),
            but(bridge.forced(56, &bridge.transfer(0, 1, 7, 0, 7)), |transaction| {
                let items: Vec<_> = transaction.input[0].witness.iter().map(<[u8]>::to_vec).collect();
                transaction.input[0].witness = Witness::from_slice(&[&items[1], &items[2][..20]]);
            }),
            // In the same block still the committee's time for the batch's withdrawals.
            pay(60, 0, 0, None),
            pay(61, 0, 0, None),
            pay(62, 77, 0, None),
            pay(63, 1, 1, slot(1, 1, 0)),
            script_byte(pay(64, 1, 1, None), 0, 3),
            but(pay(65, 1, 1, None), |transaction| transaction.output[0].value -= bitcoin::Amount::ONE_SAT),
            script_byte(pay(66, 1, 1, None), 1, 4),
        ],
    ));
    block(&mut world, vec![]);
    // Withdrawals 1 and 3 are operator 1's now, and 2 is operator 0's.
    events.extend(block(
        &mut world,
        vec![
            pay(70, 1, 1, None),
            pay(71, 1, 1, slot(0, 1, 0)),
            pay(72, 1, 1, slot(1, 0, 0)),
            pay(73, 1, 1, slot(1, 1, 0)),
            pay(74, 2, 1, slot(1, 1, 0)),
            pay(75, 2, 1, slot(0, 1, 0)),
            pay(76, 2, 1, slot(0, 1, 0)),
            pay(77, 3, 1, slot(1, 1, 0)),
        ],
    ));

    // Administration.
    let new = x_only(&key("new", 0));
    events.extend(block(
        &mut world,
        vec![
            bridge.admin(80, AdminOperation::SetOperator { index: 2, key: new }),
            bridge.admin(81, AdminOperation::SetOperator { index: 1, key: new }),
            bridge.admin(82, AdminOperation::SetOperator { index: 9, key: new }),
            bridge.admin(83, AdminOperation::RetireOperator { index: 0 }),
            bridge.admin(84, AdminOperation::RetireOperator { index: 0 }),
            script_byte(bridge.admin(88, AdminOperation::RetireOperator { index: 1 }), 1, 0),
            script_byte(bridge.admin(89, AdminOperation::RetireOperator { index: 1 }), 1, 64),
        ],
    ));

    // Other sequencers.
    let change =
        |set, new: &[(&str, usize)], by: &[u8], agreed: &[u8]| bridge.membership(set, new, by, agreed).encode();
    let others = [("new", 1), ("new", 2)];
    let changes = [
        change(2, &others, &[0, 1, 2], &[0, 1, 2]),
        change(1, &[], &[0, 1, 2], &[0, 1, 2]),
        change(1, &others, &[0, 1], &[0, 1, 2]),
        change(1, &others, &[0, 1, 2], &[0, 1]),
        change(1, &others, &[0, 1, 2], &[0, 1, 2]),
        change(1, &others, &[0, 1, 2], &[0, 1, 2]),
    ];
    let changes = (90..).zip(changes).map(|(input, change)| bridge.envelope(input, Kind::Membership, change));
    events.extend(block(&mut world, changes.collect()));
    for input in 100..100 + u32::from(bridge.parameters.membership_delay) {
        let late = bridge.posted(input, &bridge.certified(2 + u64::from(input - 100), &[], &[0, 1, 2]));
        events.extend(block(&mut world, vec![late]));
    }

    // All of that did happen, each kind and each reason not to.
    let name = |event: &Event| {
        let text = format!("{event:?}");
        let name = |text: &str| text.split([' ', '{']).next().unwrap().to_owned();
        match event {
            Event::Skipped { why: Skip::Refused { refusal }, .. } => {
                format!("Refused {}", name(&format!("{refusal:?}")))
            }
            Event::Skipped { why, .. } => format!("Skipped {}", name(&format!("{why:?}"))),
            Event::Forced { applied, .. } => format!("Forced {applied}"),
            _ => name(&text),
        }
    };
    let seen: HashSet<String> = events.iter().map(name).collect();
    let expected = [
        "Minted",
        "Batch",
        "Forced true",
        "Forced false",
        "Transferred",
        "WithdrawalRequested",
        "Paid",
        "PaidCooperatively",
        "Administered",
        "Skipped Malformed",
        "Skipped NotAVault",
        "Skipped NotADenomination",
        "Skipped MaybeRefund",
        "Skipped CommitteeSignature",
        "Skipped UnknownWithdrawal",
        "Skipped AlreadyPaid",
        "Skipped WrongScript",
        "Skipped TooLittle",
        "Skipped SlotDenomination",
        "Skipped NotAssigned",
        "Skipped SlotUsed",
        "Skipped BatchNumber",
        "Skipped Certificate",
        "Skipped AccountIndex",
        "Skipped Aggregate",
        "SequencersChanged",
        "Skipped SetNumber",
        "Skipped Members",
        "Skipped Majority",
        "Skipped Administration",
        "Refused Signature",
    ];
    for name in expected {
        assert!(seen.contains(name), "no block had {name}: {seen:?}");
    }
}

/// What can be changed in a transaction that stays one.
#[derive(Clone, Debug)]
enum Change {
    Output(prop::sample::Index, prop::sample::Index, u8),
    Witness(prop::sample::Index, prop::sample::Index, u8),
    WitnessLength(prop::sample::Index, prop::sample::Index),
    Item(prop::sample::Index, Vec<u8>),
    Value(u64),
    Outputs(usize),
}

fn changes() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    let byte = prop_oneof![any::<u8>(), Just(0), Just(0xff), Just(0x4c), Just(0x68)];
    prop_oneof![
        3 => (index(), index(), byte.clone()).prop_map(|(output, at, byte)| Change::Output(output, at, byte)),
        3 => (index(), index(), byte).prop_map(|(item, at, byte)| Change::Witness(item, at, byte)),
        1 => (index(), index()).prop_map(|(item, length)| Change::WitnessLength(item, length)),
        1 => (index(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(at, item)| Change::Item(at, item)),
        1 => any::<u64>().prop_map(Change::Value),
        1 => (0..3usize).prop_map(Change::Outputs),
    ]
}

fn apply(transaction: &mut bitcoin::Transaction, change: &Change) {
    let set = |bytes: &mut Vec<u8>, at: &prop::sample::Index, byte: u8| {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
    };
    let mut items: Vec<Vec<u8>> = transaction.input[0].witness.iter().map(<[u8]>::to_vec).collect();
    let count = items.len();
    match change {
        Change::Output(output, at, byte) => {
            let count = transaction.output.len();
            let script = &mut transaction.output[output.index(count)].script_pubkey;
            let mut bytes = script.to_bytes();
            set(&mut bytes, at, *byte);
            *script = ScriptBuf::from_bytes(bytes);
        }
        Change::Witness(item, at, byte) if count > 0 => set(&mut items[item.index(count)], at, *byte),
        Change::WitnessLength(item, length) if count > 0 => {
            let item = &mut items[item.index(count)];
            item.truncate(length.index(item.len() + 1));
        }
        Change::Witness(..) | Change::WitnessLength(..) => {}
        Change::Item(at, item) => items.insert(at.index(count + 1), item.clone()),
        Change::Value(value) => transaction.output[0].value = bitcoin::Amount::from_sat(*value),
        Change::Outputs(count) => transaction.output.truncate((*count).max(1)),
    }
    transaction.input[0].witness = Witness::from_slice(&items);
}

/// One of each kind that concerns the bridge, and some of a real block.
fn seeds(bridge: &Bridge) -> Vec<bitcoin::Transaction> {
    let ours = [
        bridge.mint(1, account(0), 1),
        bridge.batch(2, 0, &[bridge.transfer(0, 1, 500, 3, 0), bridge.withdraw(0, 0, 1, 1)]),
        bridge.forced(3, &bridge.withdraw(0, 0, 0, 0)),
        bridge.payout(4, 0, destination(0), 0, None),
        bridge.payout(5, 0, destination(0), 0, slot(0, 0, 1)),
        bridge.admin(6, AdminOperation::SetOperator { index: 2, key: x_only(&key("new", 0)) }),
        bridge.envelope(7, Kind::Membership, bridge.membership(1, &[("new", 0)], &[0, 1, 2], &[0, 1, 2]).encode()),
    ];
    ours.into_iter().chain(mainnet::block().txdata.into_iter().skip(1).step_by(97).take(12)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn mutated_transactions_are_made_of_what_native_code_makes_of_them(
        chosen in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(changes(), 0..3)), 1..5),
    ) {
        let world = World::owing();
        let seeds = seeds(&world.bridge);
        let transactions = chosen.iter().enumerate().map(|(number, (seed, changes))| {
            let mut transaction = seeds[seed.index(seeds.len())].clone();
            transaction.input[0].previous_output.vout ^= number as u32; // no two alike
            changes.iter().for_each(|change| apply(&mut transaction, change));
            transaction
        });
        let raw = world.chain.clone().block(transactions.collect());
        accepts("mutated", &world.layer, &raw);
    }
}
