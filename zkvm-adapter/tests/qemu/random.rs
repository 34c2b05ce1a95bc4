//! Random sequences of instructions: after each, all registers and the memory that it could write must be the same.
//!
//! A case is a prologue that loads all registers, a sequence, and an epilogue that stores all registers. One register,
//! another one in each case, is never written in between and says where the case's data are. Hundreds of cases make
//! one program. Other programs execute a few again and again, each time on what the last left, so that code that is only
//! compiled when it is executed often is.

use std::collections::BTreeMap;

use proptest::strategy::{Strategy as _, ValueTree};
use trestle_zkvm_adapter::instruction::Instruction;

use super::assembler::{Form, Format, ISA, branch, immediate, jal, load_constant, store, write_and_exit};
use super::elf::Program;
use super::sequences::{Case, SLOT, bytes, case};
use super::*;

/// How many cases a test has, how many of them make one program, and how often each is executed.
const ONCE: (usize, usize, u32) = (2000, 250, 1);
const AGAIN: (usize, usize, u32) = (100, 50, 30);

/// A program that executes the cases one after the other, so many times.
fn program(cases: &[Case], rounds: u32, code_at: u32, data_at: u32) -> Program {
    let places = (data_at..).step_by(SLOT as usize);
    let mut code: Vec<u32> = cases.iter().zip(places).flat_map(|(case, at)| case.emit(at)).collect();
    let length = SLOT * cases.len() as u32;
    code.extend(load_constant(5, data_at + length));
    code.extend([immediate("lw", 6, 5, 0), immediate("addi", 6, 6, -1), store("sw", 6, 5, 0), branch("beq", 6, 0, 8)]);
    code.push(jal(0, -bytes(code.len())));
    code.extend(write_and_exit(data_at, length));
    let data = cases.iter().flat_map(Case::data).chain([rounds]).flat_map(u32::to_le_bytes).collect();
    Program { code_at, code, data_at, data }
}

type Run<'a> = &'a dyn Fn(&[Case]) -> Result<(), String>;

/// As few and as small cases as are found on which the machines still differ.
fn shrink(trees: &mut [impl ValueTree<Value = Case>], run: Run<'_>) -> Vec<Case> {
    let mut cases: Vec<(usize, Case)> = trees.iter().map(ValueTree::current).enumerate().collect();
    let differ = |cases: &[(usize, Case)]| {
        let cases: Vec<Case> = cases.iter().map(|(_, case)| case.clone()).collect();
        run(&cases).is_err()
    };
    let mut size = cases.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < cases.len() {
            let mut fewer = cases.clone();
            fewer.drain(at..cases.len().min(at + size));
            match differ(&fewer) {
                true => cases = fewer,
                false => at += size,
            }
        }
        size /= 2;
    }
    for at in 0..cases.len() {
        let tree = &mut trees[cases[at].0];
        let mut moved = tree.simplify();
        for _ in 0..2000 {
            if !moved {
                break;
            }
            let before = std::mem::replace(&mut cases[at].1, tree.current());
            moved = if differ(&cases) {
                tree.simplify()
            } else {
                cases[at].1 = before;
                tree.complicate()
            };
        }
    }
    cases.into_iter().map(|(_, case)| case).collect()
}

/// How often each instruction was executed; branches by whether they were taken, loads and stores by the place in the
/// word as well.
type Counts = BTreeMap<String, usize>;

fn count(counts: &mut Counts, step: &Step) {
    let Some(form) = Form::of(step.instruction) else { return };
    *counts.entry(form.name.to_owned()).or_default() += 1;
    let detail = match (form.format, step.effect) {
        (Format::Branch, Effect::Write { next_pc, .. }) if next_pc == step.pc.wrapping_add(4) => "not taken".to_owned(),
        (Format::Branch, _) if step.instruction >> 31 == 1 => "taken back".to_owned(),
        (Format::Branch, _) => "taken ahead".to_owned(),
        _ if step.address != 0 => format!("at {}", step.address & 3),
        _ => return,
    };
    *counts.entry(format!("{} {detail}", form.name)).or_default() += 1;
}

/// Runs so many cases with code and data at those addresses.
fn compare(stream: u64, code_at: u32, data_at: u32) {
    let mut runner = runner(stream);
    let mut counts = Counts::new();
    for (cases, batch, rounds) in [ONCE, AGAIN] {
        for first in (0..times(cases)).step_by(batch) {
            let mut trees: Vec<_> = (0..batch).map(|_| case().new_tree(&mut runner).unwrap()).collect();
            let run = |cases: &[Case], counts: &mut Counts| {
                let file = program(cases, rounds, code_at, data_at).to_elf();
                agree(&file, &mut |step| count(counts, step)).map(drop)
            };
            let all: Vec<Case> = trees.iter().map(ValueTree::current).collect();
            if let Err(why) = run(&all, &mut counts) {
                let run = |cases: &[Case]| run(cases, &mut Counts::new());
                let (seed, least) = (number("TRESTLE_QEMU_SEED", 0), shrink(&mut trees, &run));
                let (last, again) = (first + batch, run(&least).err().unwrap_or_default());
                let least: String = least.iter().map(|case| shown(case, data_at)).collect();
                panic!(
                    "TRESTLE_QEMU_SEED={seed}, code at {code_at:#x}, cases {first} to {last}, each {rounds} times: {why}\n\
                     cut down: {again}\n{least}"
                );
            }
        }
    }
    let instructions: usize = ISA.iter().filter_map(|form| counts.get(form.name)).sum();
    eprintln!("{} and {} cases, {instructions} instructions", times(ONCE.0), times(AGAIN.0));
    executed(&counts, times(ONCE.0));
}

/// A case to be read. The first 32 of its 128 words are the registers.
fn shown(case: &Case, data_at: u32) -> String {
    let code = case.emit(data_at);
    let sequence = code.get(32..code.len() - 31).unwrap_or_default().iter().map(|word| {
        let name = Form::of(*word).map_or("?", |form| form.name);
        format!("  {word:08x} {name:<6} {:?}\n", Instruction::decode(*word))
    });
    format!("{case:?}\n{}", sequence.collect::<String>())
}

/// Every instruction was, often; every branch both ways and back, every load and store wherever it may be.
fn executed(counts: &Counts, cases: usize) {
    let mut wanted: Vec<(String, usize)> = Vec::new();
    for form in &ISA {
        let often = if form.format == Format::Fence { cases / 10 } else { cases / 5 };
        let details: &[&str] = match (form.format, form.name) {
            (Format::System, _) => continue,
            (Format::Branch, "beq") => &["taken ahead", "not taken"],
            (Format::Branch, _) => &["taken ahead", "taken back", "not taken"],
            (_, "lb" | "lbu" | "sb") => &["at 0", "at 1", "at 2", "at 3"],
            (_, "lh" | "lhu" | "sh") => &["at 0", "at 2"],
            (_, "lw" | "sw") => &["at 0"],
            _ => &[],
        };
        wanted.push((form.name.to_owned(), often));
        wanted.extend(details.iter().map(|detail| (format!("{} {detail}", form.name), cases / 20)));
    }
    let seldom: Vec<_> = wanted
        .iter()
        .map(|(what, often)| (what, counts.get(what).copied().unwrap_or_default(), often))
        .filter(|(_, times, often)| times < often)
        .collect();
    assert!(seldom.is_empty(), "executed less often than wanted: {seldom:?} of {counts:?}");
}

#[test]
fn sequences_do_the_same_at_ordinary_addresses() {
    compare(1, 0x0001_0000, 0x0020_0000);
}

#[test]
fn sequences_do_the_same_on_data_where_addresses_change_their_sign() {
    compare(2, 0xc000_0000, 0x7fff_0000);
}

#[test]
fn sequences_do_the_same_in_code_where_addresses_change_their_sign_on_data_near_zero() {
    // Less than an immediate away from zero, so that addresses wrap around.
    compare(3, 0x7fff_0000, 0x200);
}

#[test]
fn sequences_do_the_same_on_data_high_up() {
    // Somewhere above, qemu has the stack.
    compare(4, 0x0001_0000, 0xf000_0000);
}
