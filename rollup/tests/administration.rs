//! Changes of the operators.

use trestle_rollup::state::ReadState as _;
use trestle_rollup::tag::admin_message;
use trestle_rollup::{AdminOperation, Skip, SlotId, Tag, schnorr};

use crate::support::world::World;
use crate::support::{Bridge, destination, key, outpoint, x_only};

fn slot(operator: u8, denomination: u8, serial: u32) -> SlotId {
    SlotId { operator, denomination, serial }
}

#[test]
fn administration_changes_who_takes_part() {
    use AdminOperation::{RetireOperator, SetOperator};
    let new = x_only(&key("new", 0));
    let operator_1 = x_only(&key("operator", 1));
    // Two operators to begin with.
    let rows = [
        (SetOperator { index: 2, key: new }, true),
        (SetOperator { index: 0, key: new }, true),
        (SetOperator { index: 1, key: operator_1 }, true),
        (SetOperator { index: 3, key: new }, false),
        (SetOperator { index: 255, key: new }, false),
        (SetOperator { index: 0, key: operator_1 }, false),
        (RetireOperator { index: 1 }, true),
        (RetireOperator { index: 2 }, false),
    ];
    for (operation, done) in rows {
        let mut world = World::new();
        let admin = world.bridge.admin(1, operation);
        assert_eq!(world.skip(admin), if done { None } else { Some(Skip::Administration) }, "{operation:?}");
        let mut state = world.layer.state();
        match operation {
            _ if !done => {}
            SetOperator { index, key } => {
                let operator = state.operator(index).unwrap().unwrap();
                assert!(operator.key == key && operator.active);
            }
            RetireOperator { index } => assert!(!state.operator(index).unwrap().unwrap().active),
        }
    }
}

#[test]
fn administration_needs_the_committee_for_this_outpoint_and_instance() {
    let operation = AdminOperation::RetireOperator { index: 0 };
    let bridge = Bridge::default();
    let sign = |instance: &[u8; 32], input, signer: &str| {
        schnorr::sign(&admin_message(instance, &outpoint(input), &operation), &key(signer, 0))
    };
    let rows = [
        ("good", sign(&bridge.instance, 1, "committee"), None),
        ("another key", sign(&bridge.instance, 1, "operator"), Some(Skip::CommitteeSignature)),
        ("another outpoint", sign(&bridge.instance, 2, "committee"), Some(Skip::CommitteeSignature)),
        ("another instance", sign(&[0; 32], 1, "committee"), Some(Skip::CommitteeSignature)),
    ];
    for (name, signature, why) in rows {
        let mut world = World::new();
        let tag = Tag::Admin { operation, signature };
        let admin = world.bridge.tagged(outpoint(1), 546, destination(0).script_pubkey(), tag);
        assert_eq!(world.skip(admin), why, "{name}");
    }
}

#[test]
fn a_retired_operators_turn_goes_to_the_next_and_a_new_operator_moves_no_old_turn() {
    let mut world = World::owing();
    let retire = world.bridge.admin(4, AdminOperation::RetireOperator { index: 0 });
    let add = world.bridge.admin(5, AdminOperation::SetOperator { index: 2, key: x_only(&key("new", 0)) });
    world.block(vec![retire, add]);
    world.empty_blocks(1);
    let by_the_new = world.bridge.payout(6, 0, destination(0), 0, Some(slot(2, 0, 0)));
    assert_eq!(world.skip(by_the_new), Some(Skip::NotAssigned));
    let by_the_next = world.bridge.payout(7, 0, destination(0), 0, Some(slot(1, 0, 0)));
    assert_eq!(world.skip(by_the_next), None);
}

#[test]
fn when_all_operators_of_its_time_are_retired_a_new_one_takes_the_withdrawal_and_without_any_the_committee() {
    let mut world = World::owing();
    let retire = [0, 1].map(|index| world.bridge.admin(4 + u32::from(index), AdminOperation::RetireOperator { index }));
    world.block(retire.to_vec());
    world.empty_blocks(3);
    let mut cooperative = world.clone();
    let payout = cooperative.bridge.payout(6, 0, destination(0), 0, None);
    assert_eq!(cooperative.skip(payout), None);
    let add = world.bridge.admin(7, AdminOperation::SetOperator { index: 2, key: x_only(&key("new", 0)) });
    world.block(vec![add]);
    let payout = world.bridge.payout(8, 0, destination(0), 0, Some(slot(2, 0, 0)));
    assert_eq!(world.skip(payout), None);
}
