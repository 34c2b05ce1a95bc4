//! An operator that says the truth loses to nobody.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::time::Instant;
use trestle_taptree_trace::lane::MessageId;
use trestle_taptree_trace::leaf::Tree;
use trestle_taptree_trace::turn::{Player, Turn};

use crate::games::{Honest, Operator, Restarts, Watched, play, truth};
use crate::liar::Side;
use crate::referee::{Verdict, Witnessed, referee, satisfied};
use crate::toy::{CONFIRMATIONS, claim, entry, fulfilled};
use crate::wild::{Cell, Wild};

/// An N at which the slot is fulfilled.
pub fn claimed(rng: &mut StdRng) -> u32 {
    loop {
        let n = rng.gen_range(1..400);
        if fulfilled(&entry(n)) {
            return n;
        }
    }
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

/// Plays a game; all that was signed satisfies no leaf.
fn game(seed: u64, scripts: bool) -> (Verdict, Witnessed) {
    let mut rng = StdRng::seed_from_u64(seed);
    let n = claimed(&mut rng);
    let (fickle, stalls) = *[(0, 0), (5, 0), (5, 3), (50, 0), (100, 2)].choose(&mut rng).unwrap();
    let at = cell(&mut rng, n);
    played(&mut rng, n, at, (fickle, stalls), scripts)
}

/// A game in which the challenger wants to be in a cell.
fn played(rng: &mut StdRng, n: u32, at: Cell, (fickle, stalls): (u32, u32), scripts: bool) -> (Verdict, Witnessed) {
    let mut wild = Wild::new(rng.r#gen(), at, fickle, stalls);
    let mut operator = Operator::new(Side::honest(n));
    if rng.gen_ratio(1, 4) {
        operator = operator.restarting(Restarts::at(rng.r#gen(), 10));
    }
    let mut witnessed = Witnessed::default();
    let asked = *[0, 4, 12, 20, 45].choose(rng).unwrap();
    wild.ask(|ask| operator.answer(ask).unwrap(), asked, &mut witnessed);
    let verdict = referee(&mut Watched { hand: &mut operator, witnessed: &mut witnessed }, &mut wild, scripts);
    assert_eq!(verdict.winner, Player::Operator, "{at:?}: {verdict:?}");
    assert_safe(&mut witnessed, n);
    (verdict, witnessed)
}

/// Nothing of what an operator has signed, its claim among it, satisfies a leaf.
fn assert_safe(witnessed: &mut Witnessed, n: u32) {
    assert!(witnessed.messages.values().all(|held| held.len() == 1));
    witnessed.message(MessageId::Claim, &claim(n as u16, &entry(n).block_hash));
    let transcript = witnessed.transcript();
    for leaf in Tree::ALL.into_iter().flat_map(|tree| tree.leaves(CONFIRMATIONS)) {
        assert!(satisfied(leaf.as_ref(), &transcript).is_none(), "{}", leaf.name());
    }
}

#[test]
fn an_honest_operator_loses_to_no_challenger() {
    let (games, start) = (crate::games::count(80), Instant::now());
    let mut turns = 0;
    for seed in 0..games {
        turns += game(seed, seed % 40 == 0).0.turns.len();
    }
    let rate = games as f64 / start.elapsed().as_secs_f64();
    println!("sim.games_per_second {rate:.1}, {turns} turns");
}

/// Every opening × index × access of docs/protocol.md's table.
#[test]
fn an_honest_operator_is_safe_in_every_cell() {
    let mut rng = StdRng::seed_from_u64(12);
    let n = claimed(&mut rng);
    let (last, edges) = (u64::from(n), [0, 1, 25, 26, 27, 28, 62, 63]);
    let mut number = 0;
    for j in [0, last - 1, last, last + 1, last + 7, 65535] {
        // A step that goes on, one that halts, and halted ones.
        let halts = match j.cmp(&last) {
            std::cmp::Ordering::Less => 168,
            std::cmp::Ordering::Equal => 14,
            std::cmp::Ordering::Greater => 5,
        };
        for k in [0, 3, halts, (1 << 44) - 1] {
            for access in 0..7 {
                number += 1;
                let at = Cell { j, k, access, level: edges[number % edges.len()] };
                let mut wild = Wild::new(rng.r#gen(), at, 0, 0);
                let mut operator = Operator::new(Side::honest(n));
                let mut witnessed = Witnessed::default();
                wild.straight = true;
                let hand = &mut Watched { hand: &mut operator, witnessed: &mut witnessed };
                let verdict = referee(hand, &mut wild, false);
                assert!(matches!(verdict.turns.last(), Some(Turn::NodeOpened(_))), "{verdict:?}");
                assert_eq!(verdict.winner, Player::Operator);
                assert_safe(&mut witnessed, n);
            }
        }
    }
}

#[test]
fn a_seed_replays() {
    for seed in [1000, 1001, 1002] {
        let (one, other) = (game(seed, false), game(seed, false));
        assert_eq!(one.0, other.0);
        assert_eq!(one.1.messages, other.1.messages);
        assert_eq!(one.1.choices, other.1.choices);
    }
}

#[test]
fn who_disputes_the_truth_finds_nothing() {
    let mut rng = StdRng::seed_from_u64(11);
    let n = claimed(&mut rng);
    // One who knows that it is the truth, and one who thinks that the slot was not fulfilled.
    let operator = || Operator::new(Side::honest(n));
    for thinks in [truth(&operator()), Side::doubting(n)] {
        let mut operator = operator();
        let mut challenger = Honest::new(thinks, &operator);
        let played = play(&mut operator, &mut challenger, false);
        assert_eq!((played.verdict.winner, played.found), (Player::Operator, None));
        played.witnessed.assert_once();
    }
}
