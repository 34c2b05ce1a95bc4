//! An operator that says the truth loses to nobody.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_taptree_trace::lane::{MessageId, Transcript};
use trestle_taptree_trace::leaf::{Said, Tree};
use trestle_taptree_trace::turn::{Player, Turn};

use crate::games::{Honest, Operator, Watched, play, truth};
use crate::liar::Side;
use crate::referee::{Witnessed, referee};
use crate::toy::{CONFIRMATIONS, claim, entry, fulfilled, lane, unhash};
use crate::wild::{Cell, Way, Wild};

/// An N at which the slot is fulfilled.
pub fn claimed(rng: &mut StdRng) -> u32 {
    loop {
        let n = rng.gen_range(1..400);
        if fulfilled(&entry(n)) {
            return n;
        }
    }
}

/// Nothing of what an operator has signed, its claim among it, satisfies a leaf.
pub fn assert_safe(transcript: &Transcript) {
    let statements = transcript.statements();
    let mut said = Said { statements: &statements, constants: &lane().constants, preimage: None };
    let preimage = said.digest(MessageId::StepLeaf).and_then(|digest| unhash(&digest));
    said.preimage = preimage.as_ref();
    for leaf in Tree::ALL.into_iter().flat_map(|tree| tree.leaves(CONFIRMATIONS)) {
        assert!(leaf.refutes(&said).is_none(), "{}", leaf.name());
    }
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
                wild.way = Way::Straight;
                let hand = &mut Watched { hand: &mut operator, witnessed: &mut witnessed };
                let verdict = referee(hand, &mut wild, false);
                assert!(matches!(verdict.turns.last(), Some(Turn::NodeOpened(_))), "{verdict:?}");
                assert_eq!(verdict.winner, Player::Operator);
                assert!(witnessed.messages.values().all(|held| held.len() == 1));
                witnessed.message(MessageId::Claim, &claim(n as u16, &entry(n).block_hash));
                assert_safe(&witnessed.transcript());
            }
        }
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
