//! Each way in which what is claimed of a step can be wrong: the guest says no where native code does.

use trestle_rollup::state::{Fulfilment, Key, ReadState as _, State, Withdrawal};
use trestle_rollup::{Entry, Sink as _, SlotId, WithdrawalId};
use trestle_zkvm_adapter::guest::{GuestError, run};
use trestle_zkvm_adapter::{AnswerError, Inputs, MachineError, UnknownDigest, answer};

use crate::support::memory::{Memory, Recorder};
use crate::support::world::World;
use crate::support::{account, destination};
use crate::{ask, question};

/// A world, and its next block, in which a withdrawal is requested.
fn world_and_block() -> (World, Vec<u8>) {
    let world = World::funded();
    let batch = world.bridge.batch(5, 0, &[world.bridge.transfer(0, 1, 500, 3, 0), world.bridge.withdraw(0, 0, 1, 1)]);
    let mint = world.bridge.mint(4, account(2), 1);
    let block = world.chain.clone().block(vec![mint, batch]);
    (world, block)
}

#[test]
fn a_block_step_is_right_for_the_entry_that_it_leads_to_alone() {
    type Change = fn(&mut Inputs);
    let (world, block) = world_and_block();
    let right = Inputs { index: 3, claimed: 7, ..question(&world.layer, &block) };
    let rows: &[(&str, bool, Change)] = &[
        ("as it is", true, |_| {}),
        ("the first step", true, |inputs| inputs.index = 1),
        ("the last step", true, |inputs| inputs.claimed = 3),
        ("the longest claim", true, |inputs| inputs.claimed = u32::MAX),
        // A block's step has nothing to do with these.
        ("another claim", true, |inputs| inputs.block_hash_prefix = [1; 4]),
        ("another slot", true, |inputs| inputs.slot.serial += 1),
        ("another K", true, |inputs| inputs.confirmations += 1),
        ("a bit of state_root_i", false, |inputs| inputs.next.state_root[0] ^= 0x80),
        ("another bit of state_root_i", false, |inputs| inputs.next.state_root[31] ^= 1),
        ("state_root_i as before", false, |inputs| inputs.next.state_root = inputs.previous.state_root),
        ("state_root_i empty", false, |inputs| inputs.next.state_root = [0; 32]),
        ("a bit of block_hash_{i-1}", false, |inputs| inputs.previous.block_hash[0] ^= 1),
        ("another bit of block_hash_{i-1}", false, |inputs| inputs.previous.block_hash[31] ^= 0x80),
        ("block_hash_{i-1} is block_hash_i", false, |inputs| inputs.previous.block_hash = inputs.next.block_hash),
        ("no state before", false, |inputs| inputs.previous.state_root = [0; 32]),
        ("no step 0", false, |inputs| inputs.index = 0),
        ("the claim's step", false, |inputs| inputs.claimed = 2),
        ("beyond the claim's step", false, |inputs| inputs.claimed = 1),
        ("no blocks at all", false, |inputs| inputs.claimed = 0),
        ("far beyond", false, |inputs| inputs.index = u32::MAX),
        ("step 0 of the longest claim", false, |inputs| (inputs.index, inputs.claimed) = (0, u32::MAX)),
    ];
    for (name, expected, change) in rows {
        let mut inputs = right;
        change(&mut inputs);
        assert_eq!(ask(name, &inputs, &block, &world.layer.nodes), *expected, "{name}");
    }
}

/// Entries that are right somewhere else in the history, or in another one.
#[test]
fn an_entry_of_another_step_is_wrong_here() {
    let (mut world, block) = world_and_block();
    let (mut before, nodes) = (world.layer.entry, world.layer.nodes.clone());
    let right = question(&world.layer, &block);
    // The state before another block, or after one with other transactions on the same parent.
    world.empty_blocks(1);
    let other = world.layer.entry;
    let mut all = nodes.clone();
    all.0.extend(world.layer.nodes.0.clone());
    let rows = [
        ("state after a sibling block", Inputs { next: Entry { state_root: other.state_root, ..right.next }, ..right }),
        ("state before", Inputs { previous: Entry { state_root: other.state_root, ..right.previous }, ..right }),
        ("sibling before", Inputs { previous: other, ..right }),
    ];
    for (name, inputs) in rows {
        assert!(!ask(name, &inputs, &block, &all), "{name}");
    }
    // Nor is another block's hash, whose entry a different block leads to.
    let sibling = Memory { entry: before, nodes: nodes.clone() };
    let empty = crate::support::chain::Chain { tip: before.block_hash, height: 101, branch: 9 }.block(vec![]);
    let inputs =
        Inputs { next: Entry { block_hash: question(&sibling, &empty).next.block_hash, ..right.next }, ..right };
    assert!(!ask("state of a sibling", &inputs, &empty, &nodes));
    // Which is not a question about the first block.
    let error = answer(&inputs, &block, &mut nodes.clone()).unwrap_err();
    assert!(matches!(error, AnswerError::OtherBlock { .. }), "{error}");
    before.block_hash[0] ^= 1;
    assert!(!ask("not its child", &Inputs { previous: before, ..right }, &block, &nodes));
}

const SLOT: SlotId = SlotId { operator: 1, denomination: 0, serial: 17 };

/// A world in which the slot was fulfilled four blocks ago, and the block before that.
fn fulfilled() -> (World, Memory) {
    let mut world = World::owing();
    world.empty_blocks(2);
    let before = world.layer.clone();
    // Withdrawal 0 belongs to operator 0 first, then to 1.
    world.empty_blocks(5);
    let payout = world.bridge.payout(9, 0, destination(0), 0, Some(SLOT));
    world.block(vec![payout]);
    assert!(world.layer.state().slot(SLOT).unwrap().is_some());
    world.empty_blocks(4);
    (world, before)
}

fn claim(layer: &Memory) -> Inputs {
    Inputs {
        previous: layer.entry,
        next: Entry { block_hash: [0xaa; 32], state_root: [0xbb; 32] },
        index: 8,
        claimed: 7,
        block_hash_prefix: *layer.entry.block_hash.first_chunk().unwrap(),
        slot: SLOT,
        confirmations: 4,
    }
}

#[test]
fn a_claim_step_is_right_for_a_fulfilled_slot_deep_enough() {
    let (world, before) = fulfilled();
    type Change = fn(&mut Inputs);
    let rows: &[(&str, bool, Change)] = &[
        ("as it is", true, |_| {}),
        ("deeper than K", true, |inputs| inputs.confirmations = 0),
        ("after no block at all", true, |inputs| (inputs.index, inputs.claimed) = (1, 0)),
        ("after the most blocks", true, |inputs| (inputs.index, inputs.claimed) = (u32::MAX, u32::MAX - 1)),
        // What entry i is said to be has nothing to do with it.
        ("another entry after", true, |inputs| inputs.next.state_root = [0; 32]),
        ("not yet deep enough", false, |inputs| inputs.confirmations = 5),
        ("never deep enough", false, |inputs| inputs.confirmations = u32::MAX),
        ("a bit of the 32", false, |inputs| inputs.block_hash_prefix[0] ^= 1),
        ("another bit of the 32", false, |inputs| inputs.block_hash_prefix[3] ^= 0x80),
        ("the 32 bits of the usual display", false, |inputs| inputs.block_hash_prefix = [0; 4]),
        ("another operator's slot", false, |inputs| inputs.slot.operator = 0),
        ("another denomination's", false, |inputs| inputs.slot.denomination = 1),
        ("another serial", false, |inputs| inputs.slot.serial = 18),
        ("a serial of other bytes", false, |inputs| inputs.slot.serial = 17 << 24),
        ("another block", false, |inputs| inputs.previous.block_hash[3] ^= 1),
        ("no state", false, |inputs| inputs.previous.state_root = [0; 32]),
        ("beyond", false, |inputs| inputs.index = 9),
        ("no step 0", false, |inputs| (inputs.index, inputs.claimed) = (0, u32::MAX)),
    ];
    for (name, expected, change) in rows {
        let mut inputs = claim(&world.layer);
        change(&mut inputs);
        assert_eq!(ask(name, &inputs, &[], &world.layer.nodes), *expected, "{name}");
    }
    assert!(!ask("not fulfilled yet", &Inputs { confirmations: 0, ..claim(&before) }, &[], &before.nodes));
}

/// No block makes such a state; the claim would not hold in it.
#[test]
fn a_slot_that_is_fulfilled_by_a_withdrawal_of_another_denomination_is_not() {
    let (world, _) = fulfilled();
    let of = |denomination: u8| {
        let mut layer = world.layer.clone();
        let mut nodes = layer.nodes.clone();
        let mut state = State::new(&mut nodes, layer.entry.state_root);
        let id = WithdrawalId(0);
        let withdrawal = state.withdrawal(id).unwrap().unwrap();
        state.set_withdrawal(id, &Withdrawal { denomination, ..withdrawal }).unwrap();
        // And to see that it is this that counts, the same fulfilment again.
        let fulfilment = state.slot(SLOT).unwrap().unwrap();
        state.set(Key::Slot(SLOT), Fulfilment { ..fulfilment }.encode()).unwrap();
        let mut new = Recorder::default();
        layer.entry.state_root = state.commit(|digest, m, b| new.node(digest, m, b));
        layer.nodes.0.extend(new.nodes);
        ask("of a denomination", &claim(&layer), &[], &layer.nodes)
    };
    assert!(of(0));
    assert!(!of(1));
}

/// Forgetting what the guest asks for, one by one: it is always named, and never taken for a verdict.
#[test]
fn a_digest_that_nobody_knows_is_named() {
    let world = World::new();
    let block = world.chain.clone().block(vec![
        world.bridge.payout(1, 7, destination(0), 0, None),
        world.bridge.forced(2, &world.bridge.transfer(0, 1, 1, 0, 0)),
    ]);
    let inputs = question(&world.layer, &block);
    let all = answer(&inputs, &block, &mut world.layer.nodes.clone()).unwrap().oracle;
    let steps = run(&inputs, &all).unwrap().steps;
    let mut missed = 0;
    for forgotten in all.digests() {
        let mut some = all.clone();
        assert!(some.forget(forgotten));
        match run(&inputs, &some) {
            Ok(verdict) => assert_eq!(verdict.steps, steps),
            Err(GuestError::Machine(MachineError::Unknown(UnknownDigest { digest, .. }))) => {
                assert_eq!(digest, *forgotten);
                missed += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(missed > 30, "{missed}");
}
