//! Hundreds of honest steps of every instruction and of every trap: no leaf that judges a step accepts one, whatever the
//! unsigned items.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rand::Rng;
use rand::rngs::StdRng;
use trestle_taptree_trace::lane::MessageId;
use trestle_taptree_trace::leaf::Disproof;
use trestle_taptree_trace::leaf::semantics::Class;
use trestle_zkvm_adapter::instruction::{Instruction, Width};
use trestle_zkvm_adapter::layout::TOP_PAGE;

use crate::bodies::tries;
use crate::semantics::{Compiled, items, steps};
use crate::semantics_steps::{CODE, EDGES, Honest, constants, honest, instructions};
use crate::world::rng;

/// Honest steps of each kind.
const EACH: usize = 200;

/// What a step does: the instruction that it executes, by its name, or why it does not.
fn kind(step: &Honest) -> String {
    let words = &step.signed.words;
    if !words.pc.is_multiple_of(4) {
        return "misaligned pc".into();
    }
    if !CODE.contains(&words.pc) {
        return "no code at pc".into();
    }
    let Some(instruction) = Instruction::decode(words.instruction) else {
        let class = Class::ALL.into_iter().find(|class| class.has(words.instruction));
        return class.map_or("unknown opcode".into(), |class| format!("unknown {class:?}"));
    };
    let trapped = |width: Width| match words.address {
        address if !address.is_multiple_of(width.bytes()) => " misaligned",
        TOP_PAGE.. => " in the top page",
        _ if step.halts => " in the code",
        _ => "",
    };
    match instruction {
        Instruction::Branch { condition, .. } => format!("{condition:?}"),
        Instruction::Load { width, signed, .. } => format!("load {width:?} {signed}{}", trapped(width)),
        Instruction::Store { width, .. } => format!("store {width:?}{}", trapped(width)),
        Instruction::Immediate { alu, .. } => format!("{alu:?} immediate"),
        Instruction::Register { alu, .. } => format!("{alu:?}"),
        Instruction::Unhash { .. } if step.halts => "unhash beyond the preimage".into(),
        Instruction::Input { .. } if step.halts => "input that there is not".into(),
        other => format!("{other:?}").split(' ').next().unwrap_or_default().into(),
    }
}

/// Every kind: 47 instructions, and the ways to halt.
fn kinds() -> usize {
    let instructions = instructions(&mut rng(0)).len();
    // ECALL and EBREAK are among them. Of loads and stores the traps of each width: a byte is never misaligned.
    let loads = 5 + 3;
    let stores = 3 + 3 + 2;
    let unknown = 1 + Class::ALL.len() - [Class::Lui, Class::Auipc, Class::Jal].len();
    let others = ["misaligned pc", "no code at pc", "unhash", "input"].len();
    instructions + loads + stores + unknown + others
}

fn refused(leaves: &[Compiled], step: &Honest, rng: &mut StdRng) {
    static NUMBERS: OnceLock<Vec<Vec<Vec<u8>>>> = OnceLock::new();
    let numbers = NUMBERS.get_or_init(|| tries(1));
    let mut read: BTreeMap<&[MessageId], Vec<Vec<u8>>> = BTreeMap::new();
    for leaf in leaves {
        let items = read.entry(&leaf.reads).or_insert_with(|| items(&step.signed, &leaf.reads));
        if leaf.refuses_without_hints(items) {
            continue;
        }
        let count = leaf.leaf.hint_count();
        assert_ne!(count, 0, "{:?} {step:x?}", leaf.leaf);
        // One number in all places, and any in each; of quotients and preimages semantics.rs tries more.
        let mut any = || numbers[rng.gen_range(0..numbers.len())][0].clone();
        for hints in [vec![any(); count], (0..count).map(|_| any()).collect()] {
            assert!(!leaf.accepts(&step.signed, &hints), "{:?} {step:x?} {hints:x?}", leaf.leaf);
        }
    }
}

#[test]
fn no_leaf_is_satisfied_by_hundreds_of_honest_steps_of_every_instruction_and_trap() {
    let constants = constants();
    let leaves = Compiled::all(&constants);
    let mut rng = rng(90);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for step in steps(91, 1_000_000) {
        let times = seen.entry(kind(&step)).or_default();
        if *times == EACH {
            if seen.len() == kinds() && seen.values().all(|times| *times == EACH) {
                break;
            }
            continue;
        }
        *times += 1;
        refused(&leaves, &step, &mut rng);
    }
    assert!(seen.values().all(|times| *times == EACH), "{seen:?}");
    assert_eq!(seen.len(), kinds(), "{seen:?}");
}

/// Of all pairs of edges semantics.rs asks the leaves of their own instruction.
#[test]
fn no_leaf_is_satisfied_by_an_instruction_on_edge_operands() {
    let constants = constants();
    let leaves = Compiled::all(&constants);
    let mut rng = rng(92);
    for word in instructions(&mut rng) {
        for a in EDGES {
            let b = EDGES[rng.gen_range(0..EDGES.len())];
            let pc = [CODE.start, CODE.end - 4][rng.gen_range(0..2)];
            let step = honest(&mut rng, pc, word, a, b);
            refused(&leaves, &step, &mut rng);
        }
    }
}
