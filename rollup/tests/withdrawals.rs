//! Withdrawals, their payouts and claims: when they count, and every way in which they do not.

use bitcoin::Amount;
use trestle_rollup::state::ReadState as _;
use trestle_rollup::{Destination, Skip, SlotId, Tag, WithdrawalId};

use crate::support::world::World;
use crate::support::{Bridge, destination};

fn slot(operator: u8, denomination: u8, serial: u32) -> SlotId {
    SlotId { operator, denomination, serial }
}

#[test]
fn a_withdrawal_leaves_the_supply_at_once_and_is_pending() {
    let mut world = World::owing();
    assert_eq!((world.balance(0), world.supply()), (10_000_000, 10_000_000));
    let withdrawal = world.layer.state().withdrawal(WithdrawalId(0)).unwrap().unwrap();
    assert_eq!((withdrawal.denomination, withdrawal.requested_height, withdrawal.paid), (0, 102, false));
    assert_eq!(withdrawal.destination, destination(0));
}

/// Requested at 102: the committee's until 103, operator 0's 104 to 106 and, in grace, 107 and 108, operator 1's
/// 109 to 111, in grace 112 and 113, then operator 0's again.
#[test]
fn a_payout_counts_in_its_payers_time_only() {
    let rows = [
        (103, None, true),
        (103, Some(0), false),
        (104, None, false),
        (104, Some(0), true),
        (104, Some(1), false),
        (106, Some(0), true),
        (107, Some(0), true),
        (108, Some(0), true),
        (108, Some(1), false),
        (109, Some(0), false),
        (109, Some(1), true),
        (113, Some(1), true),
        (114, Some(0), true),
        (114, Some(1), false),
        (114, None, false),
    ];
    for (height, operator, counts) in rows {
        let mut world = World::owing();
        world.empty_blocks(height - 103);
        let slot = operator.map(|operator| slot(operator, 0, 5));
        let payout = world.bridge.payout(4, 0, destination(0), 0, slot);
        let skipped = world.skip(payout);
        assert_eq!(skipped, if counts { None } else { Some(Skip::NotAssigned) }, "{operator:?} at {height}");
        assert_eq!(world.layer.state().withdrawal(WithdrawalId(0)).unwrap().unwrap().paid, counts);
        if let (Some(slot), true) = (slot, counts) {
            let fulfilment = world.layer.state().slot(slot).unwrap().unwrap();
            assert_eq!((fulfilment.height, fulfilment.withdrawal), (height, WithdrawalId(0)));
        }
    }
}

#[test]
fn a_payout_is_refused() {
    type Change = fn(&Bridge, &mut bitcoin::Transaction);
    fn retag(bridge: &Bridge, tx: &mut bitcoin::Transaction, withdrawal: u32, slot: SlotId) {
        let tag = Tag::Payout { withdrawal: WithdrawalId(withdrawal), slot };
        tx.output[1].script_pubkey = tag.script_pubkey(bridge.tag);
    }
    let rows: &[(&str, Skip, Change)] = &[
        ("a satoshi too little", Skip::TooLittle, |_, tx| tx.output[0].value -= Amount::ONE_SAT),
        ("another script", Skip::WrongScript, |_, tx| tx.output[0].script_pubkey = destination(1).script_pubkey()),
        ("the same hash in another kind of script", Skip::WrongScript, |_, tx| {
            let Destination::P2tr(key) = destination(0) else { panic!("user 0 is paid to Taproot") };
            tx.output[0].script_pubkey = Destination::P2wsh(key).script_pubkey();
        }),
        ("no such withdrawal", Skip::UnknownWithdrawal, |bridge, tx| retag(bridge, tx, 1, slot(0, 0, 5))),
        ("a slot of another denomination", Skip::SlotDenomination, |bridge, tx| retag(bridge, tx, 0, slot(0, 1, 5))),
        ("another operator's slot", Skip::NotAssigned, |bridge, tx| retag(bridge, tx, 0, slot(1, 0, 5))),
        ("no operator's slot", Skip::NotAssigned, |bridge, tx| retag(bridge, tx, 0, slot(200, 0, 5))),
        ("the payment second", Skip::WrongScript, |_, tx| {
            let payment = tx.output[0].clone();
            tx.output[0].script_pubkey = destination(1).script_pubkey();
            tx.output.push(payment);
        }),
    ];
    for (name, why, change) in rows {
        let mut world = World::owing();
        world.empty_blocks(2);
        let mut payout = world.bridge.payout(4, 0, destination(0), 0, Some(slot(0, 0, 5)));
        change(&world.bridge, &mut payout);
        assert_eq!(world.skip(payout), Some(*why), "{name}");
    }
}

#[test]
fn a_payout_may_be_too_much() {
    let mut world = World::owing();
    world.empty_blocks(2);
    let mut payout = world.bridge.payout(4, 0, destination(0), 0, Some(slot(0, 0, 5)));
    payout.output[0].value += Amount::ONE_BTC;
    assert_eq!(world.skip(payout), None);
}

#[test]
fn a_withdrawal_is_paid_once_and_a_slot_used_once() {
    let mut world = World::funded();
    let requests =
        [world.bridge.withdraw(0, 0, 0, 0), world.bridge.withdraw(0, 0, 0, 1), world.bridge.withdraw(0, 0, 0, 2)];
    let batch = world.bridge.batch(3, 0, &requests);
    world.block(vec![batch]);
    world.empty_blocks(1);
    // Operator 0 has withdrawals 0 and 2 now, operator 1 withdrawal 1.
    let pay = |world: &World, input, id, slot| world.bridge.payout(input, id, destination(0), 0, Some(slot));
    let first = pay(&world, 4, 0, slot(0, 0, 5));
    assert_eq!(world.skip(first), None);
    let again = pay(&world, 5, 0, slot(0, 0, 6));
    assert_eq!(world.skip(again), Some(Skip::AlreadyPaid));
    let cooperatively = world.bridge.payout(6, 0, destination(0), 0, None);
    assert_eq!(world.skip(cooperatively), Some(Skip::AlreadyPaid));
    let reused = pay(&world, 7, 2, slot(0, 0, 5));
    assert_eq!(world.skip(reused), Some(Skip::SlotUsed));
    let another = pay(&world, 8, 2, slot(0, 0, 6));
    assert_eq!(world.skip(another), None);
}

#[test]
fn a_claim_holds_only_deep_enough_in_the_right_block_for_a_used_slot() {
    let mut world = World::owing();
    world.empty_blocks(1);
    let used = slot(0, 0, 5);
    let payout = world.bridge.payout(4, 0, destination(0), 0, Some(used));
    assert_eq!(world.skip(payout), None); // at 104
    world.empty_blocks(6);
    let entry = world.layer.entry;
    let prefix = *entry.block_hash.first_chunk().unwrap();
    let mut wrong = prefix;
    wrong[3] ^= 1;
    let rows = [
        (used, 6, prefix, true),
        (used, 7, prefix, false),
        (used, 6, wrong, false),
        (slot(0, 0, 6), 6, prefix, false),
        (slot(0, 1, 5), 6, prefix, false),
        (used, u32::MAX, prefix, false),
    ];
    for (slot, confirmations, prefix, holds) in rows {
        let found = trestle_rollup::claim_holds(&mut world.layer.state(), &entry, slot, confirmations, prefix).unwrap();
        assert_eq!(found, holds, "{slot} {confirmations}");
    }
}
