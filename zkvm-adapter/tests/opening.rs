//! Openings: the honest ones are in order, and of each that is not it is said what is false.

use std::collections::HashSet;

use trestle_zkvm_adapter::layout::{HALT_ACCEPT, HALT_REJECT, LEVELS, PC, TRACE_STEPS, register_address};
use trestle_zkvm_adapter::opening::{commitment, is_halted};
use trestle_zkvm_adapter::step::{Constants, ReadMemory};
use trestle_zkvm_adapter::{
    Access, Class, Commitment, Effect, Field, Halt, InputWords, Lie, MemoryTree, NodeOpening, Opening, PATH_LEVELS,
    Rules, Standing, judge_edges, judge_node, judge_rounds, judge_step, step,
};

use crate::samples::{CODE, Known, Random, after};

/// An honest opening with what it is judged by.
struct Honest {
    opening: Opening,
    memory: MemoryTree,
    known: Known,
    inputs: InputWords,
    effect: Effect,
}

impl Honest {
    /// A random step of a random class; `None` if it asks for what nobody knows.
    fn sample(random: &mut Random) -> Option<Self> {
        let (memory, known) = random.state();
        let inputs = random.inputs();
        let constants = Constants { code: &CODE, inputs: &inputs, preimages: &known };
        let step = step(&memory, &constants).ok()?;
        let opening = Opening::of_step(1 + random.below(TRACE_STEPS), &memory, &step);
        Some(Self { opening, memory, known, inputs, effect: step.effect })
    }

    fn rules(&self) -> Rules<'_> {
        Rules { code: &CODE, inputs: &self.inputs, preimage: Some(&self.known.0) }
    }

    fn class(&self) -> Class {
        Class::of(self.opening.step.words.pc, self.opening.step.words.instruction, &CODE)
    }

    fn halts(&self) -> bool {
        matches!(self.effect, Effect::Halt(_))
    }

    /// The lie that is found when the opening is changed.
    fn lie(&self, change: impl FnOnce(&mut Opening)) -> Option<Lie> {
        let mut opening = self.opening.clone();
        change(&mut opening);
        opening.verify(&self.rules()).err()
    }
}

/// Steps from the two halted states.
fn halted() -> Vec<Honest> {
    let of = |state, effect| {
        let (memory, known) = Random(1).state();
        let opening = Opening::of_halted(5, state, &CODE);
        Honest { opening, memory, known, inputs: [7; 38], effect }
    };
    let reject = trestle_zkvm_adapter::Trap::Ebreak;
    vec![of(HALT_ACCEPT, Effect::Halt(Halt::Accept)), of(HALT_REJECT, Effect::Halt(Halt::Reject(reject)))]
}

fn samples(seed: u64, count: usize) -> Vec<Honest> {
    let mut random = Random(seed);
    let mut samples: Vec<_> = std::iter::from_fn(|| Some(Honest::sample(&mut random))).flatten().take(count).collect();
    samples.extend(halted());
    samples
}

#[test]
fn an_honest_opening_is_in_order_whatever_the_step() {
    let mut classes = HashSet::new();
    for honest in samples(1, 4_000) {
        assert_eq!(honest.opening.verify(&honest.rules()), Ok(()), "{:x?}", honest.opening.step);
        // Also for those who know no preimage.
        let rules = Rules { preimage: None, ..honest.rules() };
        assert_eq!(honest.opening.verify(&rules), Ok(()));
        classes.insert((format!("{:?}", honest.class()), honest.halts()));
    }
    // 16 kinds, of which loads and the like are several; most that can trap are seen doing so, too.
    assert!(classes.len() >= 60, "{}: {classes:?}", classes.len());
    for class in ["Fetch", "Unknown", "Unhash", "Input", "Ecall", "Ebreak", "Store(Word)", "Load(Half, true)"] {
        assert!(classes.contains(&(class.into(), true)), "{class} halts");
    }
}

#[test]
fn an_opening_leads_from_the_state_to_the_next() {
    for honest in samples(2, 500).into_iter().filter(|honest| !is_halted(&honest.opening.step.roots.before)) {
        let roots = honest.opening.step.roots;
        assert_eq!(roots.before, honest.memory.root());
        match (after(&honest.memory, &honest.effect), honest.effect) {
            (Some(next), _) => assert_eq!(roots.after, next.root()),
            (None, Effect::Halt(halt)) => assert_eq!((roots.written, roots.after), (roots.before, halt.state())),
            (None, Effect::Write { .. }) => unreachable!("a write leads somewhere"),
        }
    }
}

#[test]
fn a_wrong_root_is_found() {
    let mut random = Random(3);
    for honest in samples(3, 600) {
        let byte = random.below(32) as usize;
        let (class, moved) = (honest.class(), is_halted(&honest.opening.step.roots.before));
        let node = |access| Lie::Node { access, level: LEVELS - 1 };
        let before = honest.lie(|opening| opening.step.roots.before[byte] ^= 1);
        let written = honest.lie(|opening| opening.step.roots.written[byte] ^= 1);
        let after = honest.lie(|opening| opening.step.roots.after[byte] ^= 1);
        let expected = match (moved, honest.halts()) {
            (true, _) => [Lie::RootMoved(class), Lie::RootMoved(class), Lie::HaltedMoved],
            (false, true) => [Lie::RootMoved(class), Lie::RootMoved(class), Lie::NotHalted(class)],
            (false, false) => [node(Access::Pc), node(Access::Write), node(Access::WritePc)],
        };
        assert_eq!([before, written, after], expected.map(Some), "{:?}", honest.class());
        if !honest.halts() {
            for state in [HALT_ACCEPT, HALT_REJECT] {
                assert_eq!(honest.lie(|opening| opening.step.roots.after = state), Some(Lie::Halted(class)));
            }
        }
    }
}

#[test]
fn a_wrong_result_is_found_in_the_step_alone() {
    let mut random = Random(4);
    for honest in samples(4, 1_500) {
        let (words, class) = (honest.opening.step.words, honest.class());
        let flip = 1 << random.below(32);
        let value = honest.lie(|opening| opening.step.words.value ^= flip);
        let next_pc = honest.lie(|opening| opening.step.words.next_pc ^= flip);
        let address = honest.lie(|opening| opening.step.words.address ^= flip);
        assert_eq!(address, Some(Lie::Semantics(class, Field::Address)));
        if honest.halts() {
            // Nothing says what is written but what is there.
            assert_eq!(value, Some(Lie::Written(Access::Write)));
            assert_eq!(next_pc, Some(Lie::Written(Access::WritePc)));
            continue;
        }
        assert_eq!(next_pc, Some(Lie::Semantics(class, Field::NextPc)));
        let expected = match class {
            Class::Unhash => Lie::Unhash(words.rs1),
            Class::Input => Lie::Input(words.instruction >> 20),
            _ => Lie::Semantics(class, Field::Value),
        };
        assert_eq!(value, Some(expected));
        let mut wrong = honest.opening.step;
        wrong.words.value ^= flip;
        assert_eq!(judge_step(&wrong, &honest.rules()), Err(expected), "no path is needed");
    }
}

#[test]
fn a_word_of_a_preimage_is_judged_by_whoever_has_that_preimage() {
    let mut seen = 0;
    for honest in samples(5, 3_000) {
        if honest.class() != Class::Unhash || honest.halts() || honest.opening.step.words.instruction & 0xf80 == 0 {
            continue;
        }
        seen += 1;
        let mut wrong = honest.opening.step;
        wrong.words.value ^= 1;
        let mut other = honest.known.0;
        other.1[0] ^= 1;
        for preimage in [None, Some(&other)] {
            assert_eq!(judge_step(&wrong, &Rules { preimage, ..honest.rules() }), Ok(()));
            // What is no word of it needs none.
            let mut wrong = honest.opening.step;
            wrong.words.next_pc ^= 4;
            let rules = Rules { preimage, ..honest.rules() };
            assert_eq!(judge_step(&wrong, &rules), Err(Lie::Semantics(Class::Unhash, Field::NextPc)));
        }
        assert_eq!(judge_step(&wrong, &honest.rules()), Err(Lie::Unhash(wrong.words.rs1)));
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn a_word_or_leaf_that_memory_does_not_have_is_found() {
    let mut random = Random(6);
    for honest in samples(6, 1_500) {
        let flip = 1 << random.below(32);
        let class = honest.class();
        // Either the step does not follow from it, or it is not what is at the bottom of its path.
        let check = |access, class: Class, change: &dyn Fn(&mut Opening)| {
            let mut wrong = honest.opening.clone();
            change(&mut wrong);
            let found = wrong.verify(&honest.rules()).expect_err("found");
            match judge_step(&wrong.step, &honest.rules()) {
                Ok(()) => assert_eq!(found, Lie::Word(access)),
                Err(lie) => {
                    assert_eq!(found, lie);
                    let of = match lie {
                        Lie::Semantics(of, _) | Lie::NotHalted(of) | Lie::Halted(of) => of,
                        Lie::Unhash(_) => Class::Unhash,
                        Lie::Input(_) => Class::Input,
                        other => panic!("{other:?}"),
                    };
                    assert_eq!(of, class);
                }
            }
        };
        let words = honest.opening.step.words;
        check(Access::Pc, Class::of(words.pc ^ flip, words.instruction, &CODE), &|opening| {
            opening.step.words.pc ^= flip;
        });
        check(Access::Code, Class::of(words.pc, words.instruction ^ flip, &CODE), &|opening| {
            opening.step.words.instruction ^= flip;
        });
        check(Access::Rs1, class, &|opening| opening.step.words.rs1 ^= flip);
        check(Access::Rs2, class, &|opening| opening.step.words.rs2 ^= flip);
        let byte = flip as usize % 32;
        check(Access::Memory, class, &|opening| opening.step.leaf[byte] ^= 1);
    }
}

#[test]
fn a_wrong_node_is_found_at_its_level() {
    let mut random = Random(7);
    for honest in samples(7, 1_500) {
        let access = random.of(&Access::ALL);
        let level = random.below(LEVELS as u64) as usize;
        let byte = random.below(32) as usize;
        let bit = 1 << random.below(8);
        let lie = |change: fn(&mut trestle_zkvm_adapter::PathNode, usize, u8)| {
            honest.lie(|opening| change(&mut opening.paths[access as usize][level], byte, bit))
        };
        let direction = lie(|node, _, _| node.right = !node.right);
        assert_eq!(direction, Some(Lie::Direction { access, level }));

        // No path leads to a halted state, so nothing is said of what it leads to.
        let halted = is_halted(&honest.opening.step.roots.before);
        let top = level == LEVELS - 1;
        let sibling = lie(|node, byte, bit| node.sibling[byte] ^= bit);
        assert_eq!(sibling, (!top || !halted).then_some(Lie::Node { access, level }));

        // A round has the first 24 bytes; the rest of a node shows only in what the node makes.
        let wrong_from = if byte < 24 { level.checked_sub(1) } else { Some(level) };
        let node = |level: Option<usize>| level.map(|level| Lie::Node { access, level });
        let in_word = honest.in_word(access, byte);
        let writes = matches!(access, Access::Write | Access::WritePc);
        let child = lie(|node, byte, bit| node.child[byte] ^= bit);
        let expected = match level {
            0 if access == Access::Memory || !writes && in_word => Some(Lie::Word(access)),
            0 if writes && !in_word => Some(Lie::OtherWords(access)),
            0 => node(Some(0)),
            _ if top && halted && byte >= 24 => None,
            _ => node(wrong_from),
        };
        assert_eq!(child, expected, "{access:?} {level} {byte}");
        if writes {
            let new = lie(|node, byte, bit| node.new_child.as_mut().expect("a write")[byte] ^= bit);
            let unjudged = top && byte >= 24 && (halted || access == Access::WritePc && honest.halts());
            let expected = match level {
                0 if in_word => Some(Lie::Written(access)),
                0 => Some(Lie::OtherWords(access)),
                _ if unjudged => None,
                _ => node(wrong_from),
            };
            assert_eq!(new, expected, "{access:?} {level} {byte}");
        }
    }
}

impl Honest {
    /// Whether a byte of an access's leaf belongs to its word.
    fn in_word(&self, access: Access, byte: usize) -> bool {
        let address = access.address(&self.opening.step.words);
        byte / 4 == address as usize % 32 / 4
    }

    fn committed(&self, access: Access, level: usize) -> Standing<Commitment> {
        let (old, new) = self.opening.standing(access, level);
        (commitment(&old), new.as_ref().map(commitment))
    }
}

#[test]
fn node_openings_are_judged_by_the_rounds_above_and_below_them() {
    let mut random = Random(8);
    for honest in samples(8, 200) {
        let access = random.of(&Access::ALL);
        let halted = is_halted(&honest.opening.step.roots.before);
        let into_halt = access == Access::WritePc && honest.halts();
        for level in 0..PATH_LEVELS {
            let node = honest.opening.node(access, level);
            let signed = |level: usize| (level > 0 && level < PATH_LEVELS).then(|| honest.committed(access, level));
            let (below, above) = (signed(level), signed(level + 1));
            let judge = |node: &NodeOpening, below: Option<_>, above: Option<_>| {
                judge_node(&honest.opening.step, node, below.as_ref(), above.as_ref()).err()
            };
            assert_eq!(judge(&node, below, above), None, "{access:?} {level}");
            // The rounds do not bind an operator to a level that is not signed.
            assert_eq!(judge(&node, None, above), None);

            let wrong = |mut standing: Standing<Commitment>| {
                standing.0[0] ^= 1;
                standing
            };
            if let Some(below) = below {
                assert_eq!(judge(&node, Some(wrong(below)), above), Some(Lie::Child { access, level }));
            }
            let broken = if level < LEVELS { Lie::Node { access, level } } else { Lie::Padding { access, level } };
            match above {
                Some(above) => assert_eq!(judge(&node, below, Some(wrong(above))), Some(broken)),
                None => {
                    let mut node = node;
                    node.node.child[0] ^= 1;
                    assert_eq!(judge(&node, None, None), (!halted).then_some(broken));
                }
            }
            if let (None, Some(_)) = (above, node.node.new_child) {
                let mut node = node;
                node.node.new_child.as_mut().expect("a write")[0] ^= 1;
                assert_eq!(judge(&node, None, None), (!halted && !into_halt).then_some(broken));
            }
        }
    }
}

#[test]
fn a_path_may_be_cut_at_the_root_or_above_it() {
    for honest in samples(9, 100) {
        for access in Access::ALL {
            let node = honest.opening.node(access, LEVELS - 1);
            assert_eq!(judge_node(&honest.opening.step, &node, None, None), Ok(()));
        }
    }
}

#[test]
fn the_ends_and_the_rounds_bind_the_states() {
    let honest = samples(10, 1).remove(0);
    let mut roots = honest.opening.step.roots;
    let first = roots.before;
    roots.index = 1;
    assert_eq!(judge_edges(&roots, &first), Ok(()));
    assert_eq!(judge_edges(&roots, &[1; 32]), Err(Lie::FirstState));
    roots.index = 2;
    assert_eq!(judge_edges(&roots, &[1; 32]), Ok(()));
    roots.index = TRACE_STEPS;
    assert_eq!(judge_edges(&roots, &[1; 32]), Err(Lie::LastState));
    roots.after = HALT_REJECT;
    assert_eq!(judge_edges(&roots, &[1; 32]), Err(Lie::LastState));
    roots.after = HALT_ACCEPT;
    assert_eq!(judge_edges(&roots, &[1; 32]), Ok(()));

    let (before, after) = (commitment(&roots.before), commitment(&roots.after));
    assert_eq!(judge_rounds(&roots, Some(&before), Some(&after)), Ok(()));
    assert_eq!(judge_rounds(&roots, None, None), Ok(()));
    assert_eq!(judge_rounds(&roots, Some(&after), Some(&after)), Err(Lie::Before));
    assert_eq!(judge_rounds(&roots, Some(&before), Some(&before)), Err(Lie::After));
}

#[test]
fn what_is_said_of_the_write_is_where_the_step_writes() {
    for honest in samples(11, 2_000) {
        let words = honest.opening.step.words;
        match honest.effect {
            Effect::Write { address, .. } => assert_eq!(words.write_address(), address),
            Effect::Halt(_) if !is_halted(&honest.opening.step.roots.before) => {
                assert_eq!(words.value, honest.memory.word(words.write_address()));
                assert_eq!(words.next_pc, honest.memory.word(PC));
            }
            Effect::Halt(_) => assert_eq!(words.write_address(), register_address(0)),
        }
    }
}
