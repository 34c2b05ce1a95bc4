//! What a block can cost the guest at most, and what costs it most for its weight.

use bitcoin::consensus::encode::deserialize;
use bitcoin::{Block, ScriptBuf, Transaction, Witness};
use trestle_rollup::envelope::Kind;
use trestle_rollup::state::{Key, State};
use trestle_rollup::tree::Tree;
use trestle_rollup::{Account, AdminOperation, Event, SignedTransaction, SlotId, WithdrawalId};
use trestle_zkvm_adapter::guest::workload::{FIXED_STEPS, STEPS_PER_WEIGHT_UNIT, steps_per_transfer, worst_block};
use trestle_zkvm_adapter::layout::TRACE_STEPS;

use crate::accepts;
use crate::support::memory::{Memory, Nodes};
use crate::support::world::World;
use crate::support::{Bridge, account, destination, outpoint, plain, revealing};

/// The whole worst block takes 1.9·10^11 steps. Its parts are all alike, so a hundredth of it shows what it costs;
/// `workload::worst_block(4_000_000)` runs all of it.
#[test]
fn the_worst_block_takes_less_than_a_quarter_of_a_trace() {
    const { assert!(FIXED_STEPS + 4_000_000 * STEPS_PER_WEIGHT_UNIT < TRACE_STEPS / 4) }
    let cost = worst_block(40_000).unwrap();
    assert_eq!((cost.signatures, cost.weight), (510, 34_550));
    let bound = FIXED_STEPS + cost.weight * STEPS_PER_WEIGHT_UNIT;
    assert!((bound * 4 / 5..bound).contains(&cost.steps), "{cost:?}, bound {bound}");
}

#[test]
fn a_transfer_takes_half_of_a_signature_in_a_large_batch_and_less_than_one_in_a_small_one() {
    let steps = [5, 60, 200].map(|count| steps_per_transfer(count).unwrap());
    assert!(steps[0] < 6_000_000 && steps[1] < 2_600_000 && (1_500_000..2_000_000).contains(&steps[2]), "{steps:?}");
}

/// Puts leaves beside those of the keys, so that their paths are 250 levels long. Nobody can find such keys: to share 60
/// bits with a given one takes 2^60 hashes, and among 2^40 keys some share 80.
fn deepen(layer: &mut Memory, keys: impl IntoIterator<Item = Key>) {
    let mut tree = Tree::new(layer.entry.state_root);
    for key in keys {
        let mut beside = key.digest();
        beside[31] ^= 0x20;
        tree.set(&mut layer.nodes, beside, [1; 32]).unwrap();
    }
    let mut new = Nodes::default();
    layer.entry.state_root = tree.commit(|digest, m, b| {
        new.0.insert(*digest, (*m, *b));
    });
    layer.nodes.0.extend(new.0);
}

/// Steps for each weight unit of the transactions, an empty block's left out.
fn rate(name: &str, world: &World, transactions: Vec<Transaction>) -> u64 {
    let cost = |transactions: Vec<Transaction>| {
        let raw = world.chain.clone().block(transactions);
        let weight = deserialize::<Block>(&raw).unwrap().weight().to_wu();
        let events = world.layer.clone().extend(&raw);
        let skipped =
            events.iter().find(|event| matches!(event, Event::Skipped { .. } | Event::Batch { skipped: 1.., .. }));
        assert!(skipped.is_none() || name == "a payload", "{name}: {skipped:?}");
        (accepts(name, &world.layer, &raw), weight)
    };
    let ((steps, weight), (empty_steps, empty_weight)) = (cost(transactions), cost(vec![]));
    (steps - empty_steps) / (weight - empty_weight)
}

/// A transaction with as little as there can be around its envelope.
fn small(mut transaction: Transaction) -> Transaction {
    transaction.output[0].script_pubkey = ScriptBuf::new();
    transaction
}

#[test]
fn no_block_takes_half_of_that_even_on_paths_of_250_levels() {
    const COUNT: usize = 30;
    let withdrawal = |number: usize| WithdrawalId(number as u32);
    let slot = |number: usize| SlotId { operator: number as u8, denomination: 0, serial: 0 };
    let mut world = World::of(Bridge::new(255, 1));
    // User 0 has coins, and COUNT withdrawals are owed, each by another operator.
    let bridge = world.bridge.clone();
    world.block((0..3).map(|input| bridge.mint(input, account(0), 2)).collect());
    let withdrawals: Vec<_> = (0..COUNT).map(|number| bridge.withdraw(0, 0, 0, number as u64)).collect();
    world.block(vec![bridge.batch(9, 0, &withdrawals)]);

    let deep = |keys: Vec<Key>| {
        let mut world = world.clone();
        deepen(&mut world.layer, keys);
        world
    };
    let batch = |transactions: &[SignedTransaction]| vec![small(bridge.batch(10, 1, transactions))];
    let nonce = COUNT as u64;
    let transfers: Vec<_> = (0..COUNT).map(|to| bridge.transfer(0, to + 1, 1, 1, nonce + to as u64)).collect();
    let payees = deep((0..=COUNT).map(|user| Key::Account(account(user))).collect());
    let withdrawals: Vec<_> = (0..COUNT).map(|number| bridge.withdraw(1, 0, 0, number as u64)).collect();
    let records = (COUNT..2 * COUNT).map(withdrawal).flat_map(|id| [Key::Withdrawal(id), Key::Destination(id)]);
    let records = {
        // Paid to a public key hash, which is shortest.
        let mut world = deep(records.chain([Key::Account(account(1))]).collect());
        let mut state = State::new(&mut world.layer.nodes, world.layer.entry.state_root);
        let rich = trestle_rollup::AccountState { balance: 1_000_000_000, nonce: 0, index: Some(1) };
        state.set(Key::Account(account(1)), rich.encode()).unwrap();
        let mut new = Nodes::default();
        world.layer.entry.state_root = state.commit(|digest, m, b| {
            new.0.insert(*digest, (*m, *b));
        });
        world.layer.nodes.0.extend(new.0);
        world
    };
    // Accounts that all have coins, each paid once and paying once, by their indices.
    let by_index = {
        let mut world = World::of(Bridge::new(1, 1));
        let mints = (0..COUNT).map(|user| world.bridge.mint(user as u32, account(user), 0)).collect();
        world.block(mints);
        deepen(&mut world.layer, (0..COUNT).flat_map(|user| [Key::Account(account(user)), Key::Index(user as u32)]));
        world
    };
    let compact = {
        let bridge = by_index.bridge.clone();
        let transfers: Vec<_> = (0..COUNT).map(|user| bridge.transfer(user, (user + 1) % COUNT, 1, 1, 0)).collect();
        let index = |of: &Account| Ok::<_, ()>((0..COUNT).find(|user| account(*user) == *of).map(|user| user as u32));
        let payload = bridge.certified(0, &transfers, &[0]).compact(&bridge.instance, index).unwrap();
        vec![small(bridge.envelope(10, Kind::Batch, payload))]
    };
    let forced = |number: usize| small(bridge.forced(20 + number as u32, &transfers[number]));
    let payout =
        |number: usize| bridge.payout(20 + number as u32, number as u32, destination(0), 0, Some(slot(number)));
    let owed = {
        let mut world = world.clone();
        world.empty_blocks(1);
        let keys = (0..COUNT).flat_map(|number| {
            let id = withdrawal(number);
            [Key::Withdrawal(id), Key::Destination(id), Key::Slot(slot(number))]
        });
        deepen(&mut world.layer, keys);
        world
    };
    let mints = (0..COUNT).map(|user| bridge.mint(20 + user as u32, account(user), 0)).collect();
    let admins = (0..5).map(|number| {
        let key = crate::support::x_only(&crate::support::key("new", usize::from(number)));
        bridge.admin(20 + u32::from(number), AdminOperation::SetOperator { index: number, key })
    });
    let operators = deep((0..=255).map(Key::Operator).collect());
    let tiny = (0..1000).map(|number| plain(outpoint(number), vec![(0, ScriptBuf::new())])).collect();
    let mut inputs = plain(outpoint(0), vec![(0, ScriptBuf::new())]);
    inputs.input = (0..1000).map(|number| plain(outpoint(number), vec![]).input.remove(0)).collect();
    let outputs = plain(outpoint(0), vec![(0, ScriptBuf::new()); 4000]);
    let mut items = plain(outpoint(0), vec![(0, ScriptBuf::new())]);
    items.input[0].witness = Witness::from_slice(&vec![&[][..]; 50_000]);
    let mut bytes = items.clone();
    bytes.input[0].witness = Witness::from_slice(&[vec![1; 100_000]]);
    let payload = vec![small(bridge.envelope(1, Kind::Forced, vec![0; 100_000]))];
    // Pushes of one byte make no envelope, but are read as long as they may.
    let pushes = [&[32; 33][..], &[0xac, 0, 0x63, 5], &bridge.tag, &[0x10], &[1, 7]].concat();
    let pushes = (0..500).map(|number| small(revealing(outpoint(number), pushes.clone()))).collect();

    let rows = [
        ("transfers by index", rate("transfers by index", &by_index, compact)),
        ("transfers", rate("transfers", &payees, batch(&transfers))),
        ("withdrawals", rate("withdrawals", &records, batch(&withdrawals))),
        ("forced transactions", rate("forced", &payees, (0..COUNT).map(forced).collect())),
        ("payouts", rate("payouts", &owed, (0..COUNT).map(payout).collect())),
        ("mints", rate("mints", &payees, mints)),
        ("administration", rate("administration", &operators, admins.collect())),
        ("small transactions", rate("small transactions", &world, tiny)),
        ("inputs", rate("inputs", &world, vec![inputs])),
        ("outputs", rate("outputs", &world, vec![outputs])),
        ("witness items", rate("witness items", &world, vec![items])),
        ("bytes", rate("bytes", &world, vec![bytes])),
        ("a payload", rate("a payload", &world, payload)),
        ("pushes", rate("pushes", &world, pushes)),
    ];
    for (name, rate) in rows {
        eprintln!("{name}: {rate} steps for each weight unit");
    }
    assert!(rows.iter().all(|(_, rate)| *rate > 0 && 4_000_000 * *rate < TRACE_STEPS / 8), "{rows:?}");
}
