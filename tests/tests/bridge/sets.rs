//! The sequencers change while everything goes on: real processes, a real bitcoind, the commands that people type.

use std::net::TcpListener;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use trestle_cli::rpc::types::{Hex32, Receipt};
use trestle_rollup::Event;

use super::play::{Play, TENTH, TENTH_SAT};
use super::sequencers::{PATIENCE, PAUSE, pay, receipt, until_final};

/// Who is in the second set, in its order: sequencer 0 leaves, sequencer 4 joins.
const NEXT: [usize; 4] = [4, 1, 2, 3];

fn set(play: &Play, words: &[&str], directory: Option<&Path>) -> Value {
    let directory = directory.map(|directory| directory.display().to_string());
    let mut all = vec!["set"];
    all.extend(words);
    all.extend(directory.iter().flat_map(|directory| ["--dir", directory]));
    play.user("alice", &all)
}

/// Waits until a payment is final, without any block of Bitcoin; by which set.
fn set_of(play: &Play, id: Hex32) -> u32 {
    let start = Instant::now();
    loop {
        match receipt(play, id) {
            Receipt::Batched { certificate: Some(block), .. } => return block.set,
            // A sequencer that did not see it yet was asked.
            other => assert!(start.elapsed() < PATIENCE, "it is final: {other:?}"),
        }
        std::thread::sleep(PAUSE);
    }
}

#[test]
fn one_sequencer_takes_the_place_of_another_and_nothing_stops_or_is_lost() {
    let mut play = Play::new(2, &["alice", "bob"]);
    play.user("alice", &["deposit", TENTH]);
    play.until_balance("alice", TENTH_SAT);
    let bob = play.seen().layer2_address("bob").unwrap();

    let home = play.seen().world().directory().to_owned();
    let role = |name: &str, index: usize| home.join("roles").join(format!("{name}-{index}"));
    let file = home.join("change.json").display().to_string();
    let keys: Vec<_> = NEXT
        .map(|index| {
            let shown = set(&play, &["key"], Some(&role("sequencer", index)));
            shown["key"].as_str().unwrap().to_owned()
        })
        .into();
    let mut words = vec!["propose", "--file", &file];
    words.extend(keys.iter().map(String::as_str));
    assert_eq!(set(&play, &words, None)["missing"]["sequencers"], 3);
    play.refused(
        "alice",
        &["set", "post", "--file", &file],
        "needs 3 more of the sequencers and 2 more of the signers",
    );
    let stranger = role("operator", 0).display().to_string();
    play.refused("alice", &["set", "sign", "--file", &file, "--dir", &stranger], "neither a sequencer");
    let signers = [("sequencer", 1), ("sequencer", 2), ("sequencer", 3), ("signer", 0), ("signer", 2)];
    for (name, index) in signers {
        set(&play, &["sign", "--file", &file], Some(&role(name, index)));
    }
    assert_eq!(set(&play, &["post", "--file", &file], None)["set"], 1);
    let lines = home.join("sequencers.json").display().to_string();
    for index in NEXT {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let words = ["line", "--set", "1", "--address", &address, "--file", &lines];
        set(&play, &words, Some(&role("sequencer", index)));
    }

    let before = pay(&play, &bob, "0.001BTC");
    assert_eq!(set_of(&play, before), 0);
    let delay = u32::from(play.seen().world().runtime.bridge().rollup.membership_delay);
    play.mine();
    let announced = play.height();
    let goes_on = |play: &Play| {
        let statuses = play.seen().world().sequencers.sync(0);
        statuses.iter().flatten().map(|status| status.set).max().unwrap()
    };
    while goes_on(&play) == 0 {
        assert!(play.height() < announced + delay, "the first set has closed before the second one counts");
        play.mine();
    }
    // All who were there follow; then the new one joins. What is ordered now waits until its set counts on Bitcoin.
    let joined = play.seen().world().sequencers.join(role("sequencer", 4)).unwrap();
    let between = pay(&play, &bob, "0.002BTC");
    assert_eq!(set_of(&play, between), 1);
    assert!(play.height() < announced + delay);
    // Without sequencer 2 the new one is needed, and without the one that left it is not.
    play.seen().world().sequencers.kill(2);
    let needed = pay(&play, &bob, "0.003BTC");
    until_final(&play, needed);
    play.seen().world().sequencers.kill(0);
    let without = pay(&play, &bob, "0.004BTC");
    until_final(&play, without);
    let mut world = play.seen().world();
    [0, 2].into_iter().for_each(|index| world.sequencers.restart(index).unwrap());
    drop(world);

    play.until_balance("bob", 1_000_000);
    assert!(play.height() >= announced + delay, "the second set's batches count only then");
    let height = play.height();
    let status = play.seen().world().sequencers.sync(height)[joined].clone().unwrap();
    assert_eq!((status.set, status.index), (1, Some(0)));
    // Nothing of the first set is needed once the second one has done something of its own in a deep block: who is in no
    // other ends by itself.
    let confirmations = u32::from(play.seen().world().runtime.bridge().parameters.confirmations);
    (0..confirmations).for_each(|_| play.mine());
    let start = Instant::now();
    while play.seen().world().sequencers.is_running(0) {
        assert!(start.elapsed() < PATIENCE, "sequencer 0 has left");
        std::thread::sleep(PAUSE);
    }
    play.seen().world().sequencers.kill(1);
    play.seen().world().sequencers.restart(1).unwrap();
    let last = pay(&play, &bob, "0.005BTC");
    until_final(&play, last);
    play.until_balance("bob", 1_500_000);

    let world = play.seen().world();
    let ledger = world.runtime.ledger();
    let events =
        (ledger.parameters().genesis_height..=ledger.tip().0).flat_map(|height| ledger.events(height).unwrap());
    let (mut next, mut changes) = (0, 0);
    for event in events {
        match event {
            Event::Batch { number, skipped, .. } => {
                assert_eq!((number, skipped), (next, 0));
                next += 1;
            }
            Event::SequencersChanged { set, from, .. } => {
                assert_eq!((set, from), (1, announced + delay));
                changes += 1;
            }
            _ => {}
        }
    }
    assert!(next >= 3 && changes == 1, "{next} batches, {changes} changes");
}
