//! Whole disputes, each run from one seed: `TRESTLE_SEED=n` plays that one alone, `TRESTLE_SEEDS=n` the first n.
//!
//! Both sides' machines with their stores, in all lanes of a slot, over a network and a chain in memory. Messages are lost, late,
//! repeated and out of order; machines die at any write and before any duty; blocks give way to others, up to K of them;
//! fees rise above what waits, for a while. One side says the truth, and the other is any [adversary](super::adversaries). The
//! honest side never loses.
//!
//! Searches are as deep as they are in every lane; what is searched is small: a history of some hundred blocks, and
//! runs of a machine of some hundred steps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bitcoin::Amount;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_bridge::transactions::FinalizeKind;
use trestle_challenger::dispute::End;

use super::adversaries::{disputing, lying};
use super::hands::{Challenger, Frailty, Operator, Tower};
use super::network::Quality;
use super::table::{CHECKPOINT, Table};
use super::world::{Outcome, Weather, World};
use crate::honest;
use crate::liar::{Forgery, Side};
use crate::lies;
use crate::toy::CHALLENGERS;

/// Of so many games Core's code judges every transaction of one.
const JUDGED: u64 = 8;

fn weather(rng: &mut StdRng, seed: u64) -> Weather {
    let network = match rng.gen_range(0..4) {
        0 => Quality { lost: 0, repeated: 3, slow: rng.gen_range(0..30) },
        1 => Quality { lost: rng.gen_range(0..60), repeated: 2, slow: rng.gen_range(0..3) },
        _ => Quality::default(),
    };
    Weather {
        spikes: [0, 0, 3, 30][rng.gen_range(0..4)],
        reorgs: [0, 0, 10, 30][rng.gen_range(0..4)],
        deaths: [0, 0, 5][rng.gen_range(0..3)],
        contests: rng.gen_range(0..CHALLENGERS),
        network,
        judged: seed.is_multiple_of(JUDGED),
        ..Weather::fair()
    }
}

fn frailty(rng: &mut StdRng) -> Frailty {
    let percent = [0, 0, 0, 2][rng.gen_range(0..4)];
    Frailty::at(rng.r#gen(), percent)
}

/// The operator lies. In one lane or more somebody knows the truth.
fn caught(rng: &mut StdRng, seed: u64) -> Outcome {
    let n = lies::claimed(rng);
    let mut weather = weather(rng, seed);
    let mut operator = lying(rng, n);
    let ahead = rng.gen_ratio(1, 16).then(|| rng.gen_range(1..40.min(n)));
    if let Some(ahead) = ahead {
        // Blocks up to N are still to come.
        weather.above = -(ahead as i32);
        operator = Operator::new(Side::liar(n, Forgery::Blocks(n - ahead + 1, 0), None));
    }
    operator.frailty = frailty(rng);
    let knows = rng.gen_range(0..CHALLENGERS);
    let challenger = |lane| {
        if lane != knows && rng.gen_ratio(2, 3) {
            return Challenger::Absent;
        }
        let mut tower = Tower::new(Side::honest(n), rng.gen_range(0..4)).of(lane);
        tower.frailty = frailty(rng);
        Challenger::Tower(Box::new(tower))
    };
    let challengers: Vec<Challenger> = (0..CHALLENGERS).map(challenger).collect();
    let honest: Vec<bool> = challengers.iter().map(|who| matches!(who, Challenger::Tower(_))).collect();
    let mut world = World::new(operator, challengers, weather, rng.r#gen());
    if ahead.is_some() && rng.r#gen() {
        // It says of every block what is so once it is there.
        world.follow = Some(|tip, n| Side::liar(n, Forgery::Blocks((tip + 1 - CHECKPOINT).min(n + 1), 0), None));
    }
    let outcome = world.play();
    assert_caught(&outcome, &honest);
    outcome
}

fn assert_caught(outcome: &Outcome, honest: &[bool]) {
    let p = &Table::get().bridge.parameters;
    assert_eq!(outcome.finalized, None, "{outcome:?}");
    assert_eq!(outcome.operator, Amount::ZERO, "{outcome:?}");
    assert_eq!(outcome.ends.iter().filter(|end| **end == Some(End::Slashed)).count(), 1, "{outcome:?}");
    for ((end, (has, cost)), honest) in outcome.ends.iter().zip(&outcome.challengers).zip(honest) {
        let bond = p.challenger_bond.checked_sub(*cost).unwrap();
        match end {
            // Its bond, what it has cost it to be right, and half of the operator's.
            Some(End::Slashed) => assert!(*honest && *has + SMALL >= bond + p.bond / 2, "{outcome:?}"),
            Some(End::Taken) => assert!(*honest && *has + SMALL >= bond, "{outcome:?}"),
            // Another lane was faster. Its bond is where it was.
            None => assert_eq!((*has, *cost), (Amount::ZERO, Amount::ZERO), "{outcome:?}"),
            Some(End::NoShow | End::OperatorWon) => panic!("{outcome:?}"),
        }
    }
}

/// Connectors, and the fees of what a lane does not count as its own: WinOnly's, and Contest's.
const SMALL: Amount = Amount::from_sat(20_000);

/// The operator says the truth.
fn accused(rng: &mut StdRng, seed: u64) -> Outcome {
    let n = honest::claimed(rng);
    let mut operator = Operator::new(Side::honest(n));
    operator.frailty = frailty(rng);
    let mut weather = weather(rng, seed);
    weather.late = if rng.r#gen() { rng.gen_range(0..30) } else { 0 };
    let late = weather.late;
    // One challenger mostly, and from all lanes at once.
    let all = rng.gen_ratio(1, 4);
    let one = rng.gen_range(0..CHALLENGERS);
    let challenger = |lane| if all || lane == one { disputing(rng, n, lane, late) } else { Challenger::Absent };
    let challengers = (0..CHALLENGERS).map(challenger).collect();
    let outcome = World::new(operator, challengers, weather, rng.r#gen()).play();
    assert_stands(&outcome, weather.contests);
    outcome
}

/// The operator has its bond, what it has fronted, and the bonds of those that were wrong.
pub fn assert_stands(outcome: &Outcome, contested: u16) {
    let table = Table::get();
    let p = &table.bridge.parameters;
    let mut due = p.bond + table.bridge.denomination(table.vault.denomination).unwrap();
    for (lane, (end, (has, cost))) in (0..).zip(outcome.ends.iter().zip(&outcome.challengers)) {
        assert_eq!(*has, Amount::ZERO, "{outcome:?}");
        match (end, outcome.finalized) {
            (Some(End::NoShow), Some(FinalizeKind::Unentered)) if lane == contested => due += p.challenger_bond,
            (Some(End::OperatorWon), Some(FinalizeKind::Slow)) => due += p.challenger_bond - *cost,
            (None, Some(FinalizeKind::Slow)) => {}
            (None, Some(FinalizeKind::Unentered)) if lane != contested => {}
            _ => panic!("{outcome:?}"),
        }
    }
    // Its bond, what it has fronted, and the bonds of those that were wrong.
    assert!(outcome.operator + SMALL >= due, "{outcome:?}: {due}");
}

/// Plays a game; what it returns is the same every time.
fn game(seed: u64) -> Outcome {
    let rng = &mut StdRng::seed_from_u64(seed);
    if rng.r#gen() { caught(rng, seed) } else { accused(rng, seed) }
}

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What all games are played on is made once.
pub fn prepare() {
    (0..CHALLENGERS).for_each(|lane| drop(Table::get().board(lane).clone()));
}

/// Plays games from the first seed on, two at a time, until there are as many or the time is over. How many there were.
pub fn play(first: u64, games: u64, time: Duration) -> u64 {
    let (next, start) = (AtomicU64::new(first), Instant::now());
    let player = || {
        while start.elapsed() < time {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed - first >= games {
                break;
            }
            let played = std::panic::catch_unwind(|| game(seed));
            assert!(played.is_ok(), "seed {seed} failed: TRESTLE_SEED={seed} replays it");
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(player);
        scope.spawn(player);
    });
    (next.load(Ordering::Relaxed) - first).min(games)
}

#[test]
fn the_honest_side_never_loses() {
    let (first, games) = match number_from("TRESTLE_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number_from("TRESTLE_SEEDS").unwrap_or(150)),
    };
    prepare();
    let start = Instant::now();
    assert_eq!(play(first, games, Duration::MAX), games);
    println!("{games} games, {:.1} a second", games as f64 / start.elapsed().as_secs_f64());
}

#[test]
fn a_seed_replays() {
    for seed in 3..6 {
        assert_eq!(game(seed), game(seed), "seed {seed}");
    }
}
