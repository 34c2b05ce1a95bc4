//! Liars of any kind, decided by a seed: they lie about anything, stall anywhere, tell another story on chain, and die
//! at any write. So does the challenger, which wins.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use trestle_challenger::operator::lie::PathLie;
use trestle_taptree_trace::turn::Player;
use trestle_zkvm_adapter::{Access, Fault, Kind, Place};

use crate::games::{Honest, Operator, Played, Restarts, Silence, play, truth};
use crate::liar::{Forgery, Side};
use crate::lies::claimed;

fn liar(rng: &mut StdRng, n: u32) -> Side {
    let from = rng.gen_range(1..=n);
    let forgery = match rng.gen_range(0..10) {
        0 | 1 => Forgery::None,
        2 => Forgery::Parts(from),
        3 => Forgery::Late(rng.gen_range(n + 2..65538)),
        4 => Forgery::Checkpoint,
        5 => Forgery::Blocks(from, rng.gen_range(0..=2)),
        _ => Forgery::Entries(from),
    };
    let fault = Fault { kind: *Kind::ALL.choose(rng).unwrap(), place: Place::Random(rng.r#gen()) };
    let side = Side::liar(n, forgery, rng.gen_ratio(5, 6).then_some(fault));
    let level = rng.gen_range(0..27);
    match rng.gen_range(0..8) {
        0 | 1 => side.with_path(PathLie::Bottom(level)),
        2 => side.with_path(PathLie::Sibling(level)),
        3 => side.with_path(PathLie::Direction(level)),
        4 => side.with_path(PathLie::Node(level)),
        5 => side.with_path(PathLie::Others),
        6 if forgery == Forgery::Entries(from) => {
            Side::liar(n, forgery, None).borrowing(rng.gen_range(1..40), Access::Code)
        }
        _ => side,
    }
}

fn game(seed: u64) -> Played {
    let mut rng = StdRng::seed_from_u64(seed);
    let n = claimed(&mut rng);
    let first = liar(&mut rng, n);
    let silence = match rng.gen_range(0..6) {
        0 => Silence::OffChain(0),
        1 => Silence::OffChain(rng.gen_range(0..40)),
        2 => Silence::OnChain(rng.gen_range(0..40)),
        3 => Silence::Late(rng.gen_range(0..3)),
        _ => Silence::Never,
    };
    let deaths = |rng: &mut StdRng| {
        let percent = if rng.r#gen() { 0 } else { 10 };
        Restarts::at(rng.r#gen(), percent)
    };
    let mut operator = Operator::new(first).silent(silence).restarting(deaths(&mut rng));
    // A claim says which block it is about: another story has the same one.
    let other = liar(&mut rng, n);
    if rng.gen_ratio(1, 3) && other.block_hash() == operator.said.block_hash() {
        operator = operator.then(other);
    }
    let mut challenger = Honest::new(truth(&operator), &operator).restarting(deaths(&mut rng));
    let played = play(&mut operator, &mut challenger, seed.is_multiple_of(16));
    assert_eq!(played.verdict.winner, Player::Challenger, "seed {seed}: {:?} {:?}", played.found, played.verdict);
    assert!(played.witnessed.choices.values().all(|options| options.len() == 1), "seed {seed}");
    played
}

#[test]
fn any_liar_loses() {
    let (games, start) = (crate::games::count(60), Instant::now());
    let turns: usize = (0..games).map(|seed| game(seed).verdict.turns.len()).sum();
    println!("liars: {:.1} games a second, {turns} turns", games as f64 / start.elapsed().as_secs_f64());
}

#[test]
fn a_liars_seed_replays() {
    for seed in 1000..1004 {
        let (one, other) = (game(seed), game(seed));
        assert_eq!((one.verdict, one.found), (other.verdict, other.found));
        assert_eq!(one.witnessed.messages, other.witnessed.messages);
    }
}
