//! The challengers of `trestle demo --dispute hostile-…`, here at every turn and in every cell.
//!
//! A few of the many games are played unless `TRESTLE_SEEDS` says how many.

use rand::SeedableRng;
use rand::rngs::StdRng;
use trestle_challenger::dispute::{Cell, Hostile, Twice, Way};
use trestle_taptree_trace::turn::Turn;

use super::hands::{Challenger, Operator, Opponent};
use super::simulation::assert_stands;
use super::world::{Outcome, Weather, World};
use crate::honest;
use crate::liar::Side;
use crate::toy::CHALLENGERS;

/// One that goes all the way, and does nothing else.
const PLAIN: Hostile = Hostile {
    seed: 1,
    cell: None,
    asks: usize::MAX,
    twice: Twice::Nothing,
    way: Way::Forward,
    moves: usize::MAX,
    late: false,
};

/// Plays it out in the lane of whoever contests; the operator keeps all that it has.
fn played(how: Hostile, weather: Weather) -> Outcome {
    let n = honest::claimed(&mut StdRng::seed_from_u64(how.seed));
    let opponent = Opponent::new(Side::honest(n), how, CHALLENGERS - 1);
    let challenger = Challenger::Hostile(Box::new(opponent));
    let outcome = World::of_one(Operator::new(Side::honest(n)), challenger, weather, how.seed).play();
    assert_stands(&outcome, weather.contests);
    outcome
}

/// The last turn of its lane.
fn turn(outcome: &Outcome) -> Option<Turn> {
    *outcome.turns.last().unwrap()
}

/// How many games there are: `TRESTLE_SEEDS`, or a few.
fn count(few: u64) -> u64 {
    std::env::var("TRESTLE_SEEDS").ok().and_then(|games| games.parse().ok()).unwrap_or(few)
}

/// So many of the numbers below `all`, spread evenly.
fn spread(all: u64, few: u64) -> impl Iterator<Item = u64> {
    let some = count(few).min(all);
    (0..some).map(move |number| number * all / some)
}

#[test]
fn whoever_stalls_loses_its_bond_whichever_turn_it_lets_pass() {
    let (asked, forward) = (PLAIN, Hostile { asks: 0, ..PLAIN });
    let rounds = Hostile { way: Way::Rounds, ..forward };
    // Every choice is a transaction of its own, and there are four others.
    for (how, all) in [(asked, 3), (forward, 3), (rounds, 38)] {
        for moves in spread(all, 3) {
            let outcome = played(Hostile { moves: moves as usize, ..how }, Weather::fair());
            // Each has an answer, but Challenge.
            assert_eq!(outcome.steps as u64, if moves == 0 { 1 } else { 2 * moves }, "{how:?}: {outcome:?}");
        }
    }
}

#[test]
fn there_is_nothing_to_disprove_in_any_cell() {
    for number in spread(Cell::COUNT, 12) {
        let way = if number % 2 == 0 { Way::Openings } else { Way::Forward };
        let how = Hostile { cell: Some(Cell::new(number)), way, asks: number as usize % 50, ..PLAIN };
        let outcome = played(how, Weather::fair());
        assert!(matches!(turn(&outcome), Some(Turn::NodeOpened(_))), "{how:?}: {outcome:?}");
    }
}

#[test]
fn who_signs_two_choices_with_one_key_wins_nothing() {
    // Up to each opening, which the operator then signs on chain, and to the end.
    for (asks, way) in [(8, Way::Openings), (31, Way::Forward), (35, Way::Forward), (usize::MAX, Way::Rounds)] {
        for seed in 0..count(2) {
            let twice = if seed % 2 == 0 { Twice::Everything } else { Twice::Access };
            // Near the beginning of the history and of the trace, where entries and states differ from those far on.
            let cell = Some(Cell::new(3 * seed % 7));
            played(Hostile { seed, twice, way, asks, cell, ..PLAIN }, Weather::fair());
        }
    }
}

#[test]
fn headers_of_a_block_that_is_there_are_shown() {
    for seed in 0..count(2) {
        // In the first third of them the block is there.
        let how = Hostile { seed, way: Way::Fork, cell: Some(Cell::new(seed * 29 % (Cell::COUNT / 3))), ..PLAIN };
        for asks in [0, usize::MAX] {
            let outcome = played(Hostile { asks, ..how }, Weather::fair());
            assert_eq!(turn(&outcome), Some(Turn::Forked), "{outcome:?}");
        }
    }
}

#[test]
fn who_waits_for_the_last_block_wins_nothing() {
    for seed in 0..count(3) {
        let weather = Weather { late: 3, reorgs: 10 * (seed as u32 % 3), ..Weather::fair() };
        let way = [Way::Anyhow, Way::Openings][seed as usize % 2];
        played(Hostile { seed, late: true, way, ..PLAIN }, weather);
    }
}
