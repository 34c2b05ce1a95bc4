//! Whatever an honest operator is made to open, no leaf can be satisfied.

use std::sync::Arc;

use rand::Rng;
use trestle_taptree_trace::lane::{LaneConstants, Statements};
use trestle_taptree_trace::leaf::{Said, Tree};
use trestle_zkvm_adapter::layout::HALT_ACCEPT;
use trestle_zkvm_adapter::opening::Access;

use crate::bodies::{Compiled, compiled, satisfied};
use crate::world::{History, STEPS, Step, rng, say_node, say_step};

fn none(leaves: &[Arc<Compiled>], statements: &Statements, constants: &LaneConstants, hard: bool) {
    let said = Said { statements, constants, preimage: None };
    assert_eq!(satisfied(leaves, &said, hard), [""; 0], "{statements:?}");
}

/// N, and steps of the history all around it.
fn openings() -> impl Iterator<Item = (History, u64)> {
    let mut rng = rng(1);
    let claims = [0u64, 1, 2, 255, 4096, 65534, 65535, rng.gen_range(2..65534)];
    claims.into_iter().flat_map(move |claimed| {
        let mut indices = vec![0, 1, claimed.saturating_sub(1), claimed, claimed + 1, claimed + 2, 4095, 65535];
        indices.extend((0..6).map(|_| rng.gen_range(0..65536)));
        indices.into_iter().filter(|j| *j < 65536).map(move |j| (History { claimed }, j))
    })
}

#[test]
fn no_leaf_is_satisfied_by_the_opening_of_any_block() {
    for (history, j) in openings() {
        let constants = history.constants();
        let leaves = compiled(&[Tree::Block, Tree::Fork], &constants);
        let mut said = history.statements(j);
        history.say_headers(&mut said, j);
        none(&leaves, &said, &constants, true);
    }
}

/// The steps at which an honest operator can be made to open a trace, with what is constant in the lane.
fn steps(seed: u64, count: usize) -> impl Iterator<Item = (LaneConstants, Statements, Step)> {
    let mut rng = rng(seed);
    (0..count).map(move |number| {
        let history = History { claimed: 1000 };
        let j = [0, 7, 999, 1000, 1001, 65535][number % 6];
        let step = if number % 5 == 4 { Step::halted(&mut rng) } else { Step::random(&mut rng, &history.inputs(j)) };
        let roots = step.opening.step.roots;
        let k = match number % 4 {
            // A trace that ends in another state is an honest operator's only beyond the claim.
            0 if roots.after == HALT_ACCEPT || j > 1000 => STEPS - 1,
            1 => 0,
            2 => 4u64.pow(rng.gen_range(0..22)) * rng.gen_range(1..4),
            _ => rng.gen_range(1..STEPS - 1),
        };
        let mut constants = history.constants();
        if k == 0 {
            constants.first_state = roots.before;
        }
        let mut said = history.statements(j);
        say_step(&mut said, k, &step.opening.step);
        (constants, said, step)
    })
}

#[test]
fn no_leaf_is_satisfied_by_the_opening_of_any_step() {
    for (number, (constants, said, step)) in steps(2, 1200).enumerate() {
        let leaves = compiled(&[Tree::Step], &constants);
        let said = Said { statements: &said, constants: &constants, preimage: Some(&step.preimage) };
        assert_eq!(satisfied(&leaves, &said, number % 10 == 0), [""; 0], "{step:x?}");
    }
}

#[test]
fn no_leaf_is_satisfied_by_the_opening_of_any_node() {
    let mut rng = rng(3);
    for (number, (constants, said, step)) in steps(4, 40).enumerate() {
        let leaves = compiled(&[Tree::ReadNode, Tree::WriteNode], &constants);
        for access in Access::ALL {
            for level in 0..64 {
                // The edges are cells of their own (cells.rs).
                if rng.gen_ratio(5, 6) {
                    continue;
                }
                let mut said = said.clone();
                say_node(&mut said, &step.opening, access, level);
                none(&leaves, &said, &constants, number % 8 == 0);
            }
        }
    }
}
