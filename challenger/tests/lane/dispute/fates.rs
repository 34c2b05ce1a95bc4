//! Whole disputes on the chain, each run from one seed: the honest side never loses.

use bitcoin::Amount;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_bridge::transactions::FinalizeKind;
use trestle_challenger::dispute::End;
use trestle_zkvm_adapter::{Fault, Kind, Place};

use super::hands::{Challenger, Frailty, Operator, Tower};
use super::table::Table;
use super::world::{Outcome, Weather, World};
use crate::honest;
use crate::liar::{Forgery, Side};
use crate::lies;
use crate::wild::{Cell, Wild};

/// How many games there are of each kind.
const CAUGHT: u64 = 24;
const ACCUSED: u64 = 20;

fn weather(rng: &mut StdRng) -> Weather {
    Weather {
        dear: rng.gen_ratio(1, 4),
        reorgs: *[0, 0, 10, 30].get(rng.gen_range(0..4)).unwrap(),
        contests: rng.gen_ratio(3, 4),
        ..Weather::fair()
    }
}

fn frailty(rng: &mut StdRng) -> Frailty {
    let percent = *[0, 0, 20].get(rng.gen_range(0..3)).unwrap();
    Frailty::at(rng.r#gen(), percent)
}

fn liar(rng: &mut StdRng, n: u32) -> Side {
    let fault = Fault { kind: Kind::ALL[rng.gen_range(0..Kind::ALL.len())], place: Place::Random(rng.r#gen()) };
    let from = rng.gen_range(1..=n);
    let forgery = match rng.gen_range(0..5) {
        0 => Forgery::None,
        1 => Forgery::Blocks(from, rng.gen_range(0..=2)),
        _ => Forgery::Entries(from),
    };
    Side::liar(n, forgery, Some(fault))
}

/// An honest challenger and an operator that lies.
fn caught(seed: u64) -> (Outcome, Weather) {
    let mut rng = StdRng::seed_from_u64(seed);
    let n = lies::claimed(&mut rng);
    let mut operator = Operator::new(liar(&mut rng, n));
    match rng.gen_range(0..6) {
        0 => operator.answers = rng.gen_range(0..40),
        1 => operator.moves = rng.gen_range(0..4),
        2 => (operator.answers, operator.moves) = (rng.gen_range(0..35), rng.gen_range(0..40)),
        3 => {
            // The same claim, and another story.
            let other = liar(&mut rng, n);
            if other.block_hash() == operator.said.block_hash() {
                operator.other = Some(other);
            }
        }
        _ => {}
    }
    operator.frailty = frailty(&mut rng);
    let mut tower = Tower::new(Side::honest(n), rng.gen_range(0..4));
    tower.frailty = frailty(&mut rng);
    let mut weather = weather(&mut rng);
    weather.stake_gone = rng.gen_ratio(1, 5).then(|| rng.gen_range(1..60));
    let challenger = Challenger::Tower(Box::new(tower));
    (World::new(operator, challenger, weather, rng.r#gen()).play(), weather)
}

/// An honest operator, and a challenger that does what it likes.
fn accused(seed: u64) -> (Outcome, Weather) {
    let mut rng = StdRng::seed_from_u64(seed);
    let n = honest::claimed(&mut rng);
    let mut operator = Operator::new(Side::honest(n));
    operator.frailty = frailty(&mut rng);
    let mut weather = weather(&mut rng);
    let challenger = match rng.gen_range(0..6) {
        0 => Challenger::Absent,
        1 => {
            let mut tower = Tower::new(Side::doubting(n), rng.gen_range(0..4));
            tower.frailty = frailty(&mut rng);
            Challenger::Tower(Box::new(tower))
        }
        kind => {
            let (last, any) = (u64::from(n), rng.gen_range(0..65536));
            let cell = Cell {
                j: [0, 1, last - 1, last, last + 1, 65535, any][rng.gen_range(0..7)],
                k: [0, 3, 14, 170, (1 << 44) - 1][rng.gen_range(0..5)],
                access: rng.gen_range(0..7),
                level: rng.gen_range(0..64),
            };
            let fickle = [0, 5, 50][rng.gen_range(0..3)];
            let stalls = [0, 20, 50][rng.gen_range(0..3)];
            let mut wild = Wild::new(rng.r#gen(), cell, fickle, stalls);
            wild.straight = kind == 2;
            weather.late = if rng.r#gen() { rng.gen_range(0..30) } else { 0 };
            Challenger::Wild(Box::new(wild))
        }
    };
    (World::new(operator, challenger, weather, rng.r#gen()).play(), weather)
}

#[test]
fn a_false_claim_is_slashed() {
    let parameters = &Table::get().bridge.parameters;
    for seed in 0..CAUGHT {
        let (outcome, weather) = caught(seed);
        println!("{seed}: {outcome:?}");
        let [_, paid] = outcome.paid;
        match (outcome.end, weather.stake_gone) {
            (Some(End::Slashed), _) => assert!(paid > parameters.bond / 2, "seed {seed}: {outcome:?}"),
            (Some(End::Taken), Some(_)) => assert!(paid > Amount::ZERO, "seed {seed}: {outcome:?}"),
            // Before the lane was entered there was nothing to win any more.
            (None, Some(_)) => assert_eq!(outcome.steps, 0, "seed {seed}: {outcome:?}"),
            _ => panic!("seed {seed}: {outcome:?}"),
        }
        assert_eq!(outcome.finalized, None, "seed {seed}: {outcome:?}");
    }
}

#[test]
fn a_true_claim_stands() {
    for seed in 1_000..1_000 + ACCUSED {
        let (outcome, weather) = accused(seed);
        println!("{seed}: {outcome:?}");
        assert_stands(&outcome, weather, &format!("seed {seed}"));
    }
}

/// The operator has its bond, and the challenger's if that played.
pub fn assert_stands(outcome: &Outcome, weather: Weather, name: &str) {
    let bond = Table::get().bridge.parameters.bond;
    let end = match outcome.finalized {
        Some(FinalizeKind::Unentered) => weather.contests.then_some(End::NoShow),
        Some(FinalizeKind::Slow) => Some(End::OperatorWon),
        _ => panic!("{name}: {outcome:?}"),
    };
    assert_eq!(outcome.end, end, "{name}: {outcome:?}");
    // Contest's fee and connectors are the operator's loss, if nobody plays.
    let least = if end.is_some() { bond } else { bond - Amount::from_sat(10_000) };
    assert!(outcome.paid[0] > least, "{name}: {outcome:?}");
    assert_eq!(outcome.paid[1], Amount::ZERO, "{name}: {outcome:?}");
}

#[test]
fn a_seed_replays() {
    for seed in [3, 4] {
        assert_eq!(caught(seed).0, caught(seed).0);
        assert_eq!(accused(seed).0, accused(seed).0);
    }
}
