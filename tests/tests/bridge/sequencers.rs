//! The sequencers as processes beside a real bitcoind: killed, stopped for want of a quorum, started again.

use std::time::{Duration, Instant};

use trestle_cli::devnet::CAST;
use trestle_cli::rpc::Backend as _;
use trestle_cli::rpc::types::{Hex32, Receipt, ReceiptQuery};
use trestle_cli::runtime::Cast;
use trestle_rollup::Event;

use super::play::{Play, TENTH, TENTH_SAT};

/// Longest that anything may take that waits for no block, on a machine with other work to do.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const PAUSE: Duration = Duration::from_millis(20);

/// Alice pays Bob; returns the payment's id.
pub fn pay(play: &Play, bob: &str, amount: &str) -> Hex32 {
    play.user("alice", &["send", bob, amount])["id"].as_str().unwrap().parse().unwrap()
}

pub fn receipt(play: &Play, id: Hex32) -> Receipt {
    play.seen().backend().receipt(ReceiptQuery::Submitted(id)).unwrap()
}

/// Without any block of Bitcoin.
pub fn until_final(play: &Play, id: Hex32) {
    let start = Instant::now();
    while !matches!(receipt(play, id), Receipt::Batched { .. }) {
        assert!(start.elapsed() < PATIENCE, "it is final: {:?}", receipt(play, id));
        std::thread::sleep(PAUSE);
    }
}

/// How many batches Bitcoin has executed: everything certified was applied, whole, and each batch once.
fn batches(play: &Play) -> u64 {
    let world = play.seen().world();
    let ledger = world.runtime.ledger();
    let mut next = 0;
    for height in ledger.parameters().genesis_height..=ledger.tip().0 {
        for event in ledger.events(height).unwrap() {
            if let Event::Batch { number, skipped, .. } = event {
                assert_eq!((number, skipped), (next, 0));
                next += 1;
            }
        }
    }
    next
}

#[test]
fn a_sequencer_that_is_alone_orders_certifies_and_posts_and_loses_nothing_when_it_is_killed() {
    let mut play = Play::with_cast(Cast { sequencers: 1, ..CAST }, 2, &["alice", "bob"]);
    play.user("alice", &["deposit", TENTH]);
    play.until_balance("alice", TENTH_SAT);
    let bob = play.seen().layer2_address("bob").unwrap();
    for _ in 0..2 {
        let final_before = pay(&play, &bob, "0.001BTC");
        until_final(&play, final_before);
        let taken_before = pay(&play, &bob, "0.002BTC");
        play.restart();
        until_final(&play, taken_before);
        play.mine();
    }
    play.until_balance("bob", 2 * 300_000);
    assert_eq!(play.balance("alice"), TENTH_SAT - 2 * 300_000 - 4 * play.fee());
    assert!(batches(&play) > 1);
    play.settled_deposits();
}

#[test]
fn sequencers_go_on_without_one_stop_without_two_and_nothing_is_lost_or_done_twice() {
    let mut play = Play::new(2, &["alice", "bob"]);
    play.user("alice", &["deposit", TENTH]);
    play.until_balance("alice", TENTH_SAT);
    let bob = play.seen().layer2_address("bob").unwrap();
    let first = pay(&play, &bob, "0.001BTC");
    until_final(&play, first);

    for index in 0..4 {
        // It may be the only one that has the payment: it says it again when it is back.
        let payment = pay(&play, &bob, "0.002BTC");
        play.seen().world().sequencers.kill(index);
        play.seen().world().sequencers.restart(index).unwrap();
        until_final(&play, payment);
        // The others go on without it.
        play.seen().world().sequencers.kill(index);
        let payment = pay(&play, &bob, "0.003BTC");
        until_final(&play, payment);
        play.mine();
        play.seen().world().sequencers.restart(index).unwrap();
    }

    // Two are dead: nothing becomes final, and what was taken waits.
    (1..3).for_each(|index| play.seen().world().sequencers.kill(index));
    let waiting = pay(&play, &bob, "0.004BTC");
    let height = |play: &Play| play.seen().world().sequencers.sync(0)[0].as_ref().unwrap().height;
    let start = (height(&play), Instant::now());
    // Longer than a view and the time to skip one.
    while start.1.elapsed() < Duration::from_secs(5) {
        let receipt = receipt(&play, waiting);
        assert!(matches!(receipt, Receipt::Unknown | Receipt::Pending), "two of four are no quorum: {receipt:?}");
        std::thread::sleep(PAUSE);
    }
    assert!(height(&play) <= start.0 + 1, "at most what was on its way is final");
    play.seen().world().sequencers.restart(2).unwrap();
    until_final(&play, waiting);
    play.seen().world().sequencers.restart(1).unwrap();

    let total = 100_000 + 4 * 500_000 + 400_000;
    play.until_balance("bob", total);
    assert_eq!(play.balance("alice"), TENTH_SAT - total - 10 * play.fee());
    assert!(matches!(receipt(&play, waiting), Receipt::Executed { .. }));

    assert!(batches(&play) > 2);
    play.settled_deposits();
}
