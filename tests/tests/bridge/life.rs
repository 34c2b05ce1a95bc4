//! A whole life: deposits, a payment, a withdrawal that an operator fronts and is paid back for, whatever happens meanwhile.

use super::play::{Mishaps, Play, TENTH, TENTH_SAT};

/// Alice deposits twice, pays Bob, and he withdraws while a signer is down.
fn lives(mishaps: Mishaps, seed: u64) -> Play {
    let mut play = Play::new(3, &["alice", "bob"]);
    let fee = play.fee();
    play.suffer(mishaps, seed);
    for _ in 0..2 {
        play.user("alice", &["deposit", TENTH]);
    }
    play.until_balance("alice", 2 * TENTH_SAT);
    let bob = play.seen().layer2_address("bob").unwrap();
    play.user("alice", &["send", &bob, "0.15BTC"]);
    play.until_balance("bob", 15_000_000);
    play.take_down(Some(2));
    let withdrawn = play.user("bob", &["withdraw", TENTH]);
    play.until_reimbursed(&withdrawn);
    play.take_down(None);
    play.turn();

    let (paid, back) = play.fronted(&withdrawn);
    assert!(back > paid, "the operator earned something: {back} for {paid}");
    assert_eq!(play.balance("alice"), 2 * TENTH_SAT - 15_000_000 - fee);
    assert_eq!(play.balance("bob"), 15_000_000 - TENTH_SAT - fee);
    play.settled(&[&withdrawn]);
    println!("{} restarts, {} reorganisations, height {}", play.restarts, play.reorganisations, play.height());
    play
}

#[test]
fn a_life_goes_on_through_restarts_after_every_block() {
    let play = lives(Mishaps { restart: 1, reorganisation: 0 }, 1);
    assert!(play.restarts > 40);
}

#[test]
fn a_life_goes_on_through_reorganisations() {
    let play = lives(Mishaps { restart: 0, reorganisation: 4 }, 2);
    assert!(play.reorganisations > 5);
}

#[test]
fn a_life_goes_on_through_reorganisations_and_restarts_together() {
    let play = lives(Mishaps { restart: 5, reorganisation: 5 }, 3);
    assert!(play.reorganisations > 3 && play.restarts > 3);
}
