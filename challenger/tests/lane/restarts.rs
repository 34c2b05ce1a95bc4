//! Machines that die at any write, on either side: nothing is signed twice, and everything ends as it would have.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_taptree_trace::turn::Player;
use trestle_zkvm_adapter::{Fault, Kind, Place};

use crate::games::{Honest, Operator, Played, Restarts, Silence, play, truth};
use crate::liar::{Forgery, Side};
use crate::toy::{entry, fulfilled};

fn game(n: u32, silence: Silence, fault: Fault, percent: u32, seed: u64) -> (Played, u32) {
    let side = match fulfilled(&entry(n)) {
        true => Side::honest(n),
        false => Side::liar(n, Forgery::Entries(n / 2 + 1), Some(fault)),
    };
    let mut operator = Operator::new(side).silent(silence).restarting(Restarts::at(seed, percent));
    let mut challenger = Honest::new(truth(&operator), &operator).restarting(Restarts::at(!seed, percent));
    let played = play(&mut operator, &mut challenger, false);
    (played, operator.deaths() + challenger.deaths())
}

#[test]
fn what_dies_anywhere_signs_the_same_again() {
    let mut rng = StdRng::seed_from_u64(30);
    let mut deaths = 0;
    for number in 0..16 {
        let n = rng.gen_range(3..400);
        let silence = [Silence::Never, Silence::OffChain(0), Silence::OffChain(20), Silence::OffChain(33)][number % 4];
        let fault = Fault { kind: Kind::ALL[number % Kind::ALL.len()], place: Place::Random(rng.r#gen()) };
        let (whole, _) = game(n, silence, fault, 0, 0);
        let (broken, died) = game(n, silence, fault, 30, rng.r#gen());
        deaths += died;
        assert_eq!(broken.verdict, whole.verdict);
        assert_eq!(broken.found, whole.found);
        assert_eq!(broken.witnessed.messages, whole.witnessed.messages);
        assert_eq!(broken.witnessed.choices, whole.witnessed.choices);
        broken.witnessed.assert_once();
        let winner = if fulfilled(&entry(n)) { Player::Operator } else { Player::Challenger };
        assert_eq!(whole.verdict.winner, winner);
    }
    assert!(deaths > 100, "{deaths}");
}
