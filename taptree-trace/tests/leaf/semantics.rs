//! The leaves that judge one step, by their native mirrors and by their bodies alone: no honest step satisfies any, every
//! wrong one some, and mirrors and scripts agree.

use bitcoin::ScriptBuf;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use trestle_taptree_trace::interpreter::{Failure, Rules, run};
use trestle_taptree_trace::lane::{LaneConstants, MessageId};
use trestle_taptree_trace::leaf::semantics::{Class, Semantics, Signed};
use trestle_taptree_trace::leaf::{Disproof, Frame};
use trestle_zkvm_adapter::instruction::{Alu, Condition, Instruction};

use crate::semantics_steps::{
    EDGES, Honest, constants, digits, halts, honest, instructions, item, other, pc, random, value,
};

/// Steps of every class, instructions or not, and of words of no class.
pub fn steps(seed: u64, each: usize) -> impl Iterator<Item = Honest> {
    let mut rng = StdRng::seed_from_u64(seed);
    let kinds = Class::ALL.len() + 1;
    (0..each * kinds).map(move |number| match Class::ALL.get(number % kinds) {
        Some(class) => random(&mut rng, *class),
        None => {
            let (pc, word, a, b) = (pc(&mut rng), rng.next_u32(), value(&mut rng), value(&mut rng));
            honest(&mut rng, pc, word, a, b)
        }
    })
}

/// The same with one or more of what the leaves judge changed.
pub fn corrupt(rng: &mut StdRng, step: &Honest) -> Signed {
    let mut wrong = step.signed.clone();
    let mut lies = 0;
    while lies == 0 {
        let words = &mut wrong.words;
        if rng.gen_range(0..4) == 0 {
            words.address = other(rng, words.address);
            lies += 1;
        }
        // Of a step that halts value and next pc are nobody's business.
        if !step.halts && rng.gen_range(0..4) == 0 {
            words.value = other(rng, words.value);
            lies += 1;
        }
        if !step.halts && rng.gen_range(0..4) == 0 {
            words.next_pc = other(rng, words.next_pc);
            lies += 1;
        }
        if rng.gen_range(0..4) == 0 {
            let after = match halts().get(rng.gen_range(0..3)) {
                Some(halt) => *halt,
                None if step.halts => rng.r#gen(),
                None => continue,
            };
            lies += usize::from(after != step.signed.after);
            wrong.after = after;
        }
    }
    wrong
}

/// The digits of messages, as their signatures leave them.
pub fn items(signed: &Signed, ids: &[MessageId]) -> Vec<Vec<u8>> {
    ids.iter().flat_map(|id| digits(signed, *id)).map(item).collect()
}

/// A leaf's body.
pub struct Compiled {
    pub leaf: Semantics,
    pub reads: Vec<MessageId>,
    script: ScriptBuf,
    left: usize,
}

impl Compiled {
    pub fn new(leaf: Semantics, constants: &LaneConstants) -> Self {
        let reads = leaf.reads();
        let body = leaf.body(&Frame::new(leaf.hint_count(), &reads), constants);
        Self { leaf, reads, script: body.script, left: body.left }
    }

    pub fn all(constants: &LaneConstants) -> Vec<Self> {
        Semantics::all().into_iter().map(|leaf| Self::new(leaf, constants)).collect()
    }

    /// Whether it accepts what was signed, with these unsigned items.
    pub fn accepts(&self, signed: &Signed, hints: &[Vec<u8>]) -> bool {
        let signed = self.reads.iter().flat_map(|id| digits(signed, *id)).map(item);
        let items: Vec<_> = hints.iter().cloned().chain(signed).collect();
        match run(&self.script, &items, Rules::Consensus) {
            Ok(outcome) => {
                assert_eq!((outcome.stack.len(), outcome.alt.len()), (self.left, 0), "{:?}", self.leaf);
                true
            }
            // An unsigned digit of a preimage is an index.
            Err(Failure::Verify | Failure::NotANumber | Failure::TooFewItems) => false,
            Err(failure) => panic!("{:?}: {failure}", self.leaf),
        }
    }

    /// Whether it refuses what was signed before it has looked at any unsigned item: without them below, an opcode that
    /// reaches for one has too few.
    pub fn refuses_whatever_the_hints(&self, signed: &Signed) -> bool {
        self.refuses_without_hints(&items(signed, &self.reads))
    }

    /// The same of the [`items`] of what it reads.
    pub fn refuses_without_hints(&self, items: &[Vec<u8>]) -> bool {
        run(&self.script, items, Rules::Consensus).is_err_and(|failure| failure != Failure::TooFewItems)
    }

    /// Asserts that it accepts if its mirror says so, and says whether it does.
    fn agrees(&self, signed: &Signed, step: &Honest, constants: &LaneConstants) -> bool {
        let hints = self.leaf.hints(signed, constants, Some(&step.preimage));
        let none = vec![Vec::new(); self.leaf.hint_count()];
        assert_eq!(
            self.accepts(signed, hints.as_ref().unwrap_or(&none)),
            hints.is_some(),
            "{:?} {signed:x?}",
            self.leaf
        );
        hints.is_some()
    }
}

fn refuting(signed: &Signed, honest: &Honest) -> Vec<Semantics> {
    let constants = constants();
    let refutes = |leaf: &Semantics| leaf.hints(signed, &constants, Some(&honest.preimage)).is_some();
    Semantics::all().into_iter().filter(refutes).collect()
}

#[test]
fn no_leaf_refutes_an_honest_step() {
    for step in steps(1, 20_000) {
        assert_eq!(refuting(&step.signed, &step), [], "{step:x?}");
    }
}

#[test]
fn some_leaf_refutes_every_wrong_step() {
    let mut rng = StdRng::seed_from_u64(2);
    for step in steps(3, 20_000) {
        let wrong = corrupt(&mut rng, &step);
        assert_ne!(refuting(&wrong, &step), [], "{step:x?} {wrong:x?}");
    }
}

#[test]
fn every_leaf_is_the_only_one_for_some_lie() {
    let mut rng = StdRng::seed_from_u64(4);
    let all = Semantics::all();
    let mut alone = vec![0; all.len()];
    for step in steps(5, 2_000) {
        for field in 0..4 {
            let mut wrong = step.signed.clone();
            match field {
                0 => wrong.words.address = other(&mut rng, wrong.words.address),
                1 => wrong.words.value = other(&mut rng, wrong.words.value),
                2 => wrong.words.next_pc = other(&mut rng, wrong.words.next_pc),
                _ => wrong.after = halts().get(rng.gen_range(0..3)).copied().unwrap_or_else(|| rng.r#gen()),
            }
            if let [leaf] = refuting(&wrong, &step)[..] {
                alone[all.iter().position(|other| *other == leaf).unwrap()] += 1;
            }
        }
    }
    for (leaf, times) in all.iter().zip(alone) {
        assert!(times > 0, "{leaf:?}");
    }
}

#[test]
fn scripts_agree_with_their_mirrors_on_any_step() {
    let constants = constants();
    let leaves = Compiled::all(&constants);
    let mut rng = StdRng::seed_from_u64(6);
    for step in steps(7, 150) {
        let wrong = corrupt(&mut rng, &step);
        for leaf in &leaves {
            assert!(!leaf.agrees(&step.signed, &step, &constants));
            leaf.agrees(&wrong, &step, &constants);
        }
    }
}

/// Whether the leaf judges the value of this instruction, which writes a register or memory.
fn judges(leaf: Semantics, instruction: Instruction) -> bool {
    match (leaf, instruction) {
        (Semantics::Value(Class::Lui), Instruction::Lui { .. })
        | (Semantics::Value(Class::Auipc), Instruction::Auipc { .. })
        | (Semantics::Value(Class::Jal), Instruction::Jal { .. })
        | (Semantics::Value(Class::Jalr), Instruction::Jalr { .. }) => true,
        (Semantics::Load(width, signed), Instruction::Load { width: w, signed: s, .. }) => (width, signed) == (w, s),
        (Semantics::Store(width) | Semantics::Keep(width), Instruction::Store { width: w, .. }) => width == w,
        (Semantics::Immediate(alu), Instruction::Immediate { alu: a, .. })
        | (Semantics::Register(alu), Instruction::Register { alu: a, .. }) => alu == a,
        (Semantics::Input(_), Instruction::Input { .. }) => true,
        (Semantics::Unhash, Instruction::Unhash { .. }) => true,
        _ => false,
    }
}

/// The class of the words that a leaf is about; `None` if of many.
pub fn class(leaf: Semantics) -> Option<Class> {
    match leaf {
        Semantics::RejectsWrongly(class)
        | Semantics::Unknown(class)
        | Semantics::Traps(class)
        | Semantics::Address(class)
        | Semantics::NextPc(class)
        | Semantics::Value(class) => Some(class),
        Semantics::Branch(_) => Some(Class::Branch),
        Semantics::Load(..) => Some(Class::Load),
        Semantics::Store(_) | Semantics::Keep(_) => Some(Class::Store),
        Semantics::Immediate(_) => Some(Class::Immediate),
        Semantics::Register(_) => Some(Class::Register),
        Semantics::Input(_) => Some(Class::Input),
        Semantics::Unhash => Some(Class::Unhash),
        Semantics::Ecall => Some(Class::System),
        _ => None,
    }
}

#[test]
fn a_leaf_is_refused_for_the_words_of_every_other_instruction() {
    let constants = constants();
    let leaves = Compiled::all(&constants);
    let mut rng = StdRng::seed_from_u64(8);
    for word in instructions(&mut rng) {
        let instruction = Instruction::decode(word).unwrap();
        for leaf in &leaves {
            let of_class = class(leaf.leaf).is_none_or(|class| class.has(word));
            let of_value = matches!(
                leaf.leaf,
                Semantics::Load(..)
                    | Semantics::Store(_)
                    | Semantics::Keep(_)
                    | Semantics::Immediate(_)
                    | Semantics::Register(_)
            );
            let condition = |condition: Condition| match instruction {
                Instruction::Branch { condition: other, .. } => condition == other,
                _ => false,
            };
            let of_condition = match leaf.leaf {
                Semantics::Branch(other) => condition(other),
                _ => true,
            };
            if of_class && of_condition && (!of_value || judges(leaf.leaf, instruction)) {
                continue;
            }
            for _ in 0..4 {
                // Everything is as wrong as can be, but the word is another's.
                let pc = 0x0001_0000 + 4 * rng.gen_range(0..100);
                let (a, b) = (rng.r#gen(), rng.gen_range(1..9));
                let mut step = honest(&mut rng, pc, word, a, b);
                let words = &mut step.signed.words;
                for field in [&mut words.address, &mut words.value, &mut words.next_pc] {
                    *field = rng.gen_range(0x2000..0x8000) * 4;
                }
                step.signed.after = halts().get(rng.gen_range(0..3)).copied().unwrap_or_else(|| rng.r#gen());
                let quotient = |digit: usize| item(u64::from(a / b) >> (4 * digit).min(32) & 15);
                let hints: Vec<_> = (0..leaf.leaf.hint_count()).map(quotient).collect();
                assert!(!leaf.accepts(&step.signed, &hints), "{:?} {word:#x}", leaf.leaf);
            }
        }
    }
}

#[test]
fn values_of_all_edge_operands_are_judged_right() {
    let constants = constants();
    let leaves = Compiled::all(&constants);
    let mut rng = StdRng::seed_from_u64(9);
    for word in instructions(&mut rng) {
        // To a register that is not x0, of two different ones.
        let decoded = Instruction::decode(word).unwrap();
        let operands: &[u32] = match decoded {
            Instruction::Register { .. } | Instruction::Immediate { .. } | Instruction::Branch { .. } => &EDGES,
            _ => &EDGES[..4],
        };
        for a in EDGES {
            for b in operands {
                let step = honest(&mut rng, 0x0001_0000, word, a, *b);
                if step.halts {
                    continue;
                }
                let mut wrong = step.signed.clone();
                let branch = matches!(decoded, Instruction::Branch { .. });
                match branch {
                    true => wrong.words.next_pc = other(&mut rng, wrong.words.next_pc),
                    false => wrong.words.value = other(&mut rng, wrong.words.value),
                }
                let judging = leaves.iter().filter(|leaf| match (leaf.leaf, decoded) {
                    (Semantics::Branch(condition), Instruction::Branch { condition: other, .. }) => condition == other,
                    _ => judges(leaf.leaf, decoded),
                });
                let mut found = 0;
                for leaf in judging {
                    assert!(!leaf.agrees(&step.signed, &step, &constants));
                    found += usize::from(leaf.agrees(&wrong, &step, &constants));
                }
                assert!(found > 0 || matches!(decoded, Instruction::Fence), "{step:x?} {wrong:x?}");
            }
        }
    }
}

/// Items that somebody may hope are taken for a digit.
fn odd_items(rng: &mut StdRng) -> Vec<u8> {
    match rng.gen_range(0..10) {
        0 => vec![rng.gen_range(16..0x80)],
        1 => vec![rng.gen_range(0x80..=0xff)],
        2 => vec![rng.gen_range(0..16), 0],
        3 => vec![rng.gen_range(0..16), 0, 0, 0],
        4 => vec![rng.r#gen(), rng.r#gen()],
        5 => vec![rng.r#gen(), rng.r#gen(), rng.r#gen(), rng.r#gen()],
        6 => vec![0; 5],
        7 => vec![7; 20],
        8 => vec![0x80],
        _ => item(rng.gen_range(0..16)),
    }
}

#[test]
fn no_unsigned_items_refute_an_honest_quotient_or_remainder() {
    let constants = constants();
    let divisions = [Alu::Div, Alu::Divu, Alu::Rem, Alu::Remu];
    let leaves: Vec<_> = divisions.iter().map(|alu| Compiled::new(Semantics::Register(*alu), &constants)).collect();
    let mut rng = StdRng::seed_from_u64(10);
    for _ in 0..2_000 {
        for (leaf, funct3) in leaves.iter().zip(4..) {
            let word = 0x02b5_0633 | funct3 << 12;
            let (a, b) = (value(&mut rng), value(&mut rng));
            let step = honest(&mut rng, 0x0001_0000, word, a, b);
            let wrong = Signed {
                words: trestle_zkvm_adapter::opening::Words {
                    value: other(&mut rng, step.signed.words.value),
                    ..step.signed.words
                },
                ..step.signed.clone()
            };
            let right = leaf.leaf.hints(&wrong, &constants, None).unwrap();
            assert!(leaf.accepts(&wrong, &right));
            let mut hints = right;
            match rng.gen_range(0..4) {
                0 => hints.iter_mut().for_each(|hint| *hint = odd_items(&mut rng)),
                1 => hints[rng.gen_range(0..8)] = odd_items(&mut rng),
                2 => hints.swap(0, rng.gen_range(0..8)),
                _ => {
                    // The quotient and a few more or less.
                    let number = hints
                        .iter()
                        .rev()
                        .fold(0u32, |number, digit| number << 4 | u32::from(digit.first().copied().unwrap_or(0)));
                    let near = number.wrapping_add(rng.gen_range(0..7)).wrapping_sub(3);
                    hints = (0..8).map(|digit| item(u64::from(near >> (4 * digit) & 15))).collect();
                }
            }
            assert!(!leaf.accepts(&step.signed, &hints), "{:?} {step:x?} {hints:x?}", leaf.leaf);
        }
    }
    for step in steps(11, 100) {
        for leaf in &leaves {
            let hints: Vec<_> = (0..8).map(|_| odd_items(&mut rng)).collect();
            assert!(!leaf.accepts(&step.signed, &hints), "{:?} {step:x?} {hints:x?}", leaf.leaf);
        }
    }
}

#[test]
fn no_unsigned_items_refute_an_honest_unhash() {
    let constants = constants();
    let leaf = Compiled::new(Semantics::Unhash, &constants);
    let mut rng = StdRng::seed_from_u64(12);
    for number in 0..240 {
        let step = honest(&mut rng, 0x0001_0000, 0x0005_060b, number % 24, 0);
        let mut wrong = step.signed.clone();
        wrong.words.value = other(&mut rng, wrong.words.value);
        let right = leaf.leaf.hints(&wrong, &constants, Some(&step.preimage)).unwrap();
        assert!(leaf.accepts(&wrong, &right));
        assert!(leaf.leaf.hints(&wrong, &constants, None).is_none());
        let mut hints = right;
        assert!(!leaf.accepts(&step.signed, &hints));
        match number % 3 {
            0 => hints.iter_mut().for_each(|hint| *hint = odd_items(&mut rng)),
            1 => hints[rng.gen_range(0..192)] = odd_items(&mut rng),
            // The right digits of another place.
            _ => hints.rotate_left(rng.gen_range(1..192)),
        }
        assert!(!leaf.accepts(&step.signed, &hints), "{step:x?} {hints:x?}");
    }
}
