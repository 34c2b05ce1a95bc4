//! Whole disputes about one step: an operator that lies in any way, a challenger that knows the truth, and at the end a
//! leaf that is satisfied.

use std::sync::Arc;

use rand::Rng;
use rand::rngs::StdRng;
use trestle_taptree_trace::lane::MessageId;
use trestle_taptree_trace::lane::{Search, Side, Statements, disputed_access, holds, quarter};
use trestle_taptree_trace::leaf::{Said, Tree};
use trestle_zkvm_adapter::layout::LEVELS;
use trestle_zkvm_adapter::memory::node;
use trestle_zkvm_adapter::opening::{Access, Opening, PathNode, StepOpening, commitment, is_halted};

use crate::bodies::{Compiled, compiled, satisfied};
use crate::world::{History, Step, corrupt, rng, say, say_step};

/// An operator's lie: what it says of the step, and of every level of the path that it is asked for.
pub struct Liar {
    /// What stands at levels 0 to 64.
    standing: Vec<([u8; 32], Option<[u8; 32]>)>,
    siblings: Vec<[u8; 32]>,
    right: Vec<bool>,
}

impl Liar {
    /// A path that is wrong in some way, but says at the bottom what the step opening says: without that no path is
    /// needed.
    pub fn path(rng: &mut StdRng, truth: &Opening, said: &Opening, access: Access) -> Self {
        let mut standing: Vec<_> = (0..=64).map(|level| truth.standing(access, level)).collect();
        let nodes: Vec<PathNode> = (0..64).map(|level| truth.node(access, level).node).collect();
        let mut siblings: Vec<_> = nodes.iter().map(|node| node.sibling).collect();
        let mut right: Vec<_> = nodes.iter().map(|node| node.right).collect();
        // The bottom as the operator needs it.
        standing[0] = said.standing(access, 0);
        standing[64] = said.standing(access, 64);
        let from = rng.gen_range(0..=64);
        match rng.gen_range(0..5) {
            // Up from the bottom by C, to some level; above it the truth.
            0 | 1 => {
                for level in 0..from.min(LEVELS) {
                    let (old, new) = standing[level];
                    let up = |child| {
                        if right[level] { node(&siblings[level], &child) } else { node(&child, &siblings[level]) }
                    };
                    standing[level + 1] = (up(old), new.map(up));
                }
                if from > LEVELS {
                    let root = standing[LEVELS];
                    standing[LEVELS..from].fill(root);
                }
            }
            // Other siblings, too.
            2 => {
                for level in 0..from.min(LEVELS) {
                    siblings[level] = corrupt(rng, &siblings[level]).try_into().unwrap();
                    let (old, new) = standing[level];
                    let up = |child| {
                        if right[level] { node(&siblings[level], &child) } else { node(&child, &siblings[level]) }
                    };
                    standing[level + 1] = (up(old), new.map(up));
                }
            }
            // Another direction somewhere.
            3 => {
                let level = from.min(LEVELS - 1);
                right[level] = !right[level];
                for level in level..LEVELS {
                    let (old, new) = standing[level];
                    let up = |child| {
                        if right[level] { node(&siblings[level], &child) } else { node(&child, &siblings[level]) }
                    };
                    standing[level + 1] = (up(old), new.map(up));
                }
            }
            // Anything anywhere, also in the bytes that are cut.
            _ => {
                for value in &mut standing[1..64] {
                    if rng.gen_ratio(1, 3) {
                        value.0 = corrupt(rng, &value.0).try_into().unwrap();
                    }
                    if rng.gen_ratio(1, 3) {
                        value.1 = value.1.map(|new| corrupt(rng, &new).try_into().unwrap());
                    }
                    if rng.gen_ratio(1, 4) {
                        value.1 = value.1.map(|mut new| {
                            new[24..].fill(rng.r#gen());
                            new
                        });
                    }
                }
            }
        }
        // What a step says of the roots is said.
        standing[64] = said.standing(access, 64);
        Self { standing, siblings, right }
    }

    /// Plays the rounds against a challenger, and opens.
    pub fn play(&self, said: &mut Statements, truth: &Opening, access: Access) -> usize {
        let written = matches!(access, Access::Write | Access::WritePc);
        let search = if written { Search::Write } else { Search::Read };
        let mut level = 0;
        for (round, below) in [4u32, 2, 0].into_iter().enumerate() {
            let mut as_it_should = [false; 3];
            for place in 1..=3u8 {
                let at = level + (usize::from(place) << below);
                let (old, new) = self.standing[at];
                let at_place = trestle_taptree_trace::lane::Place { round: round as u8, place };
                match new {
                    None => say(said, MessageId::Read(at_place), &[&old[..24]]),
                    Some(new) => {
                        say(said, MessageId::Write(at_place, Side::Old), &[&old[..24]]);
                        say(said, MessageId::Write(at_place, Side::New), &[&new]);
                    }
                }
                let new = new.as_ref().map(|new| &new[..]);
                as_it_should[usize::from(place) - 1] = holds(truth, access, at, &old[..24], new);
            }
            level += usize::from(quarter(search, as_it_should)) << below;
        }
        let (child, new) = self.standing[level];
        let position: [&[u8]; 3] = [&[access as u8], &[level as u8], &[u8::from(self.right[level])]];
        match new {
            None => {
                say(said, MessageId::ReadPosition, &position);
                say(said, MessageId::ReadChild, &[&child]);
                say(said, MessageId::ReadSibling, &[&self.siblings[level]]);
            }
            Some(new) => {
                say(said, MessageId::WritePosition, &position);
                say(said, MessageId::WriteChild(Side::Old), &[&child]);
                say(said, MessageId::WriteChild(Side::New), &[&new]);
                say(said, MessageId::WriteSibling, &[&self.siblings[level]]);
            }
        }
        level
    }
}

/// A step that is not what it is said to be, somewhere.
fn lie(rng: &mut StdRng, truth: &Opening) -> Opening {
    let mut said = truth.clone();
    let step = &mut said.step;
    let digest = |rng: &mut StdRng, was: &[u8; 32]| corrupt(rng, was).try_into().unwrap();
    let word = |rng: &mut StdRng, was: u32| u32::from_le_bytes(corrupt(rng, &was.to_le_bytes()).try_into().unwrap());
    match rng.gen_range(0..8) {
        0 => step.words.pc = word(rng, step.words.pc),
        1 => step.words.instruction = word(rng, step.words.instruction),
        2 => step.words.rs1 = word(rng, step.words.rs1),
        3 => step.words.rs2 = word(rng, step.words.rs2),
        4 => step.leaf = digest(rng, &step.leaf),
        5 => step.words.address = word(rng, step.words.address),
        6 => step.words.value = word(rng, step.words.value),
        _ => {}
    }
    let root = |rng: &mut StdRng, was: &mut [u8; 32]| {
        let other = corrupt(rng, &was[..24]);
        was[..24].copy_from_slice(&other);
    };
    if rng.r#gen() {
        root(rng, &mut step.roots.written);
    }
    // Without another state after the step there is nothing to dispute.
    root(rng, &mut step.roots.after);
    said
}

#[test]
fn every_dispute_about_a_step_ends_in_a_leaf() {
    let mut rng = rng(20);
    let history = History { claimed: 300 };
    let constants = history.constants();
    let steps = compiled(&[Tree::Step], &constants);
    let nodes = compiled(&[Tree::ReadNode, Tree::WriteNode], &constants);
    let mut decided = [0; 2];
    for number in 0..600 {
        let truth = if number % 10 == 0 { Step::halted(&mut rng) } else { Step::random(&mut rng, &history.inputs(7)) };
        let opened = lie(&mut rng, &truth.opening);
        let mut said = history.statements(7);
        say_step(&mut said, 12345, &opened.step);
        if !find(&steps, &said, &truth).is_empty() {
            decided[0] += 1;
            continue;
        }
        let access = disputed_access(&truth.opening.step, &opened.step).unwrap();
        let full = with_bottom(&truth.opening, &opened, access);
        let liar = Liar::path(&mut rng, &truth.opening, &full, access);
        let level = liar.play(&mut said, &truth.opening, access);
        decided[1] += 1;
        assert!(!find(&nodes, &said, &truth).is_empty(), "{access:?} at level {level}: {opened:x?}");
    }
    assert!(decided.iter().all(|count| *count > 100), "{decided:?}");
}

/// The write that a step makes leads to a root that is forged: from some level on the new nodes are hashed from one
/// that is not so, be it in the bytes alone that a cut digest does not have.
#[test]
fn a_forged_root_is_found_wherever_it_was_forged() {
    let mut rng = rng(21);
    let history = History { claimed: 300 };
    let nodes = compiled(&[Tree::WriteNode], &history.constants());
    let mut played = 0;
    while played < 400 {
        let truth = Step::random(&mut rng, &history.inputs(7));
        if is_halted(&truth.opening.step.roots.after) {
            continue;
        }
        let access = [Access::Write, Access::WritePc][played % 2];
        let forged = rng.gen_range(0..=LEVELS);
        let mut standing: Vec<_> = (0..=64).map(|level| truth.opening.standing(access, level)).collect();
        let path: Vec<PathNode> = (0..64).map(|level| truth.opening.node(access, level).node).collect();
        let mut siblings: Vec<_> = path.iter().map(|node| node.sibling).collect();
        let right: Vec<_> = path.iter().map(|node| node.right).collect();
        let new = standing[forged].1.as_mut().unwrap();
        match rng.gen_range(0..3) {
            0 => {
                let other = corrupt(&mut rng, &new[..24]);
                new[..24].copy_from_slice(&other);
            }
            1 => {
                let other = corrupt(&mut rng, &new[24..]);
                new[24..].copy_from_slice(&other);
            }
            _ => {
                let sibling = &mut siblings[forged];
                *sibling = corrupt(&mut rng, sibling).try_into().unwrap();
            }
        }
        for level in forged..LEVELS {
            let new = standing[level].1.unwrap();
            let parent = if right[level] { node(&siblings[level], &new) } else { node(&new, &siblings[level]) };
            standing[level + 1].1 = Some(parent);
        }
        let root = standing[LEVELS].1;
        standing[LEVELS..].iter_mut().for_each(|value| value.1 = root);
        let mut opened = truth.opening.step;
        let roots = &mut opened.roots;
        match access {
            Access::Write => roots.written = root.unwrap(),
            _ => roots.after = root.unwrap(),
        }
        let cut = |opening: &StepOpening| [opening.roots.written, opening.roots.after].map(|root| commitment(&root));
        if cut(&opened) == cut(&truth.opening.step) {
            continue;
        }
        let mut said = history.statements(7);
        say_step(&mut said, 12345, &opened);
        assert_eq!(disputed_access(&truth.opening.step, &opened), Some(access));
        let level = Liar { standing, siblings, right }.play(&mut said, &truth.opening, access);
        assert!(!find(&nodes, &said, &truth).is_empty(), "{access:?} forged at {forged}, opened at {level}");
        played += 1;
    }
}

fn find(leaves: &[Arc<Compiled>], said: &Statements, truth: &Step) -> Vec<String> {
    let constants = History { claimed: 300 }.constants();
    satisfied(leaves, &Said { statements: said, constants: &constants, preimage: Some(&truth.preimage) }, false)
}

/// The path of a false step: at the bottom what the operator says that it read or wrote.
pub fn with_bottom(truth: &Opening, said: &Opening, access: Access) -> Opening {
    let mut full = said.clone();
    let bottom = &mut full.paths[access as usize][0];
    let at = access.address(&truth.step.words) as usize % 32 / 4 * 4;
    let words = &said.step.words;
    let put = |leaf: &mut [u8; 32], word: u32| leaf[at..at + 4].copy_from_slice(&word.to_le_bytes());
    match access {
        Access::Pc => put(&mut bottom.child, words.pc),
        Access::Code => put(&mut bottom.child, words.instruction),
        Access::Rs1 => put(&mut bottom.child, words.rs1),
        Access::Rs2 => put(&mut bottom.child, words.rs2),
        Access::Memory => bottom.child = said.step.leaf,
        Access::Write => bottom.new_child.iter_mut().for_each(|leaf| put(leaf, words.value)),
        Access::WritePc => bottom.new_child.iter_mut().for_each(|leaf| put(leaf, words.next_pc)),
    }
    full
}
