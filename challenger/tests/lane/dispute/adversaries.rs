//! Liars of every kind, and challengers that do anything: decided by a seed.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use trestle_challenger::dispute::{self, Hostile, Twice};
use trestle_challenger::operator::lie::PathLie;
use trestle_zkvm_adapter::{Access, Fault, Kind, Place};

use super::hands::{Challenger, Operator, Opponent, Tower};
use super::table::DELTA1;
use crate::liar::{Forgery, Side};
use crate::toy::lane_id;
use crate::wild::{Cell, Way, Wild};

/// One that says of a claim that does not hold that it does.
pub fn liar(rng: &mut StdRng, n: u32) -> Side {
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
    match rng.gen_range(0..10) {
        0 | 1 => side.with_path(PathLie::Bottom(level)),
        2 => side.with_path(PathLie::Sibling(level)),
        3 => side.with_path(PathLie::Direction(level)),
        4 => side.with_path(PathLie::Node(level)),
        5 => side.with_path(PathLie::Others),
        6 if forgery == Forgery::Entries(from) => {
            Side::liar(n, forgery, None).borrowing(rng.gen_range(1..40), Access::Code)
        }
        7 if forgery == Forgery::None => Side::liar(n, forgery, None).starting_elsewhere(),
        _ => side,
    }
}

/// One that lies, and is silent from some turn on, or says something else on chain.
pub fn lying(rng: &mut StdRng, n: u32) -> Operator {
    let mut operator = Operator::new(liar(rng, n));
    match rng.gen_range(0..6) {
        0 => operator.answers = rng.gen_range(0..40),
        1 => operator.moves = rng.gen_range(0..4),
        2 => (operator.answers, operator.moves) = (rng.gen_range(0..35), rng.gen_range(0..40)),
        3 => {
            // The same claim, and another story.
            let other = liar(rng, n);
            if other.block_hash() == operator.said.block_hash() {
                operator.other = Some(other);
            }
        }
        _ => {}
    }
    operator
}

/// Somewhere in the table of docs/protocol.md.
fn cell(rng: &mut StdRng, n: u32) -> Cell {
    let n = u64::from(n);
    let any = rng.gen_range(0..65536);
    let j = *[0, 1, n / 2, n - 1, n, n + 1, n + 2, 65534, 65535, any].choose(rng).unwrap();
    // A run over a block has some 170 steps, one over a claim 15, one beyond 4.
    let any = rng.gen_range(0..200);
    let k = *[0, 1, 2, 3, 4, 5, 14, 15, 16, any, any, any, 4096, (1 << 44) - 2, (1 << 44) - 1].choose(rng).unwrap();
    Cell { j, k, access: rng.gen_range(0..7), level: rng.gen_range(0..64) }
}

/// One that enters when it likes, or never, and then goes where it likes.
fn wild(rng: &mut StdRng, n: u32, lane: u16, late: u32) -> Challenger {
    let (fickle, stalls) = *[(0, 0), (5, 0), (5, 20), (50, 0), (50, 50), (100, 2)].choose(rng).unwrap();
    let mut wild = Wild::new(rng.r#gen(), cell(rng, n), fickle, stalls);
    wild.lane = lane_id(lane);
    wild.way = *[Way::Any, Way::Any, Way::Straight, Way::Fork, Way::Rounds].choose(rng).unwrap();
    let patience = if rng.r#gen() { 0 } else { rng.gen_range(0..DELTA1 + late) };
    Challenger::Wild(Box::new(wild), patience)
}

/// One that deviates in ways of its own, and makes nothing that no script accepts.
fn hostile(rng: &mut StdRng, n: u32, lane: u16) -> Challenger {
    let how = Hostile {
        seed: rng.r#gen(),
        cell: rng.r#gen::<bool>().then(|| dispute::Cell::new(rng.r#gen())),
        asks: *[0, 8, 31, 35, usize::MAX].choose(rng).unwrap(),
        twice: *[Twice::Nothing, Twice::Access, Twice::Everything].choose(rng).unwrap(),
        way: *[dispute::Way::Forward, dispute::Way::Openings, dispute::Way::Fork, dispute::Way::Anyhow]
            .choose(rng)
            .unwrap(),
        moves: if rng.r#gen() { usize::MAX } else { rng.gen_range(0..5) },
        late: rng.gen_ratio(1, 4),
    };
    Challenger::Hostile(Box::new(Opponent::new(Side::honest(n), how, lane)))
}

/// Whoever disputes the truth in a lane.
pub fn disputing(rng: &mut StdRng, n: u32, lane: u16, late: u32) -> Challenger {
    match rng.gen_range(0..8) {
        0 => Challenger::Absent,
        6 | 7 => hostile(rng, n, lane),
        1 => Challenger::Tower(Box::new(Tower::new(Side::doubting(n), rng.gen_range(0..4)).of(lane))),
        _ => wild(rng, n, lane, late),
    }
}
