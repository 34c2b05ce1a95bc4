//! Compiled code against the step function, on random programs.

use std::cell::Cell;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use trestle_rollup::Digest;
use trestle_zkvm_adapter::step::ReadMemory;
use trestle_zkvm_adapter::{Halt, INPUT_WORDS, Image, Machine, MemoryTree, Preimages};

/// Where the programs are, on a page with data before and behind.
const CODE: u32 = 0x1040;
/// Two pages of data, and where they meet.
const DATA: u32 = 0x5000;
const TOP_PAGE: u32 = 0xffff_f000;
/// Registers that hold addresses of code, and addresses to load from and store to.
const LINKS: [u32; 3] = [1, 5, 6];
const POINTERS: [u32; 6] = [8, 9, 10, 11, 12, 13];

/// Whether there is a compiler for this processor.
const COMPILES: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// Knows something about every digest.
struct Oracle;

impl Preimages for Oracle {
    fn preimage(&self, digest: &Digest) -> Option<(Digest, [u8; 64])> {
        Some((digest.map(|byte| byte ^ 0x55), std::array::from_fn(|i| digest[i % 32].wrapping_mul(i as u8))))
    }
}

/// A random program: its words, and how its registers begin.
#[derive(Clone, Debug)]
struct Program {
    words: Vec<u32>,
    registers: [u32; 32],
}

impl Program {
    fn image(&self) -> Arc<Image> {
        let end = CODE + 4 * self.words.len() as u32;
        let mut code = (CODE..end).step_by(4).zip(&self.words).map(|(at, word)| (at, *word)).collect::<Vec<_>>();
        code.extend((TOP_PAGE..).step_by(4).zip(self.registers));
        code.push((TOP_PAGE + 0x80, CODE));
        image(&code, CODE..end)
    }
}

/// An image with these words in memory.
fn image(words: &[(u32, u32)], code: std::ops::Range<u32>) -> Arc<Image> {
    let mut pages = std::collections::BTreeMap::new();
    for (at, word) in words {
        let page = pages.entry(at / 4096).or_insert_with(|| Box::new([0; 4096]));
        page[(at % 4096) as usize..][..4].copy_from_slice(&word.to_le_bytes());
    }
    Arc::new(Image::new(code, MemoryTree::default().with_pages(pages.into_iter().collect())))
}

fn r_type(opcode: u32, funct3: u32, funct7: u32, rd: u32, rs1: u32, rs2: u32) -> u32 {
    opcode | rd << 7 | funct3 << 12 | rs1 << 15 | rs2 << 20 | funct7 << 25
}

fn i_type(opcode: u32, funct3: u32, rd: u32, rs1: u32, imm: i32) -> u32 {
    opcode | rd << 7 | funct3 << 12 | rs1 << 15 | (imm as u32) << 20
}

fn store(funct3: u32, rs1: u32, rs2: u32, imm: i32) -> u32 {
    let imm = imm as u32;
    0x23 | (imm & 31) << 7 | funct3 << 12 | rs1 << 15 | rs2 << 20 | (imm >> 5) << 25
}

fn branch(funct3: u32, rs1: u32, rs2: u32, offset: i32) -> u32 {
    let imm = offset as u32;
    let low = (imm >> 11 & 1) << 7 | (imm >> 1 & 15) << 8;
    0x63 | low | funct3 << 12 | rs1 << 15 | rs2 << 20 | (imm >> 5 & 63) << 25 | (imm >> 12 & 1) << 31
}

fn jal(rd: u32, offset: i32) -> u32 {
    let imm = offset as u32;
    let high = (imm >> 12 & 255) << 12 | (imm >> 11 & 1) << 20 | (imm >> 1 & 1023) << 21 | (imm >> 20 & 1) << 31;
    0x6f | rd << 7 | high
}

/// Registers that instructions write: seldom one that others need.
fn destination() -> impl Strategy<Value = u32> {
    prop_oneof![300 => 14u32..32, 10 => Just(0), 1 => 1u32..14]
}

fn source() -> impl Strategy<Value = u32> {
    prop_oneof![9 => 14u32..32, 1 => 0u32..32]
}

fn pointer() -> impl Strategy<Value = u32> {
    prop_oneof![
        200 => prop::sample::select(&POINTERS[..4]),
        4 => prop::sample::select(&POINTERS[..]),
        1 => 0u32..32
    ]
}

/// Offsets, most of them such that a width divides them.
fn offset(funct3: u32) -> impl Strategy<Value = i32> {
    let width = 1 << (funct3 & 3);
    prop_oneof![200 => (-64 / width..64 / width).prop_map(move |i| i * width), 1 => -2048..2048i32]
}

/// How far a jump goes: to another instruction of so many, when this one is the `at`th; seldom elsewhere.
fn distance(at: usize, count: usize) -> impl Strategy<Value = i32> {
    let (at, count) = (at as i32, count as i32);
    prop_oneof![
        300 => (0..count).prop_map(move |to| 4 * (to - at)),
        300 => (1..9i32).prop_map(move |ahead| 4 * ahead.min(count - 1 - at).max(1 - at)),
        1 => (-2000..2000i32).prop_map(|half| 2 * half)
    ]
}

fn instruction(at: usize, count: usize) -> impl Strategy<Value = u32> {
    let register = (0..8u32, prop::sample::select(&[0, 1, 1, 0x20][..]), destination(), source(), source()).prop_map(
        |(funct3, funct7, rd, rs1, rs2)| {
            let funct7 = if funct7 == 0x20 && !matches!(funct3, 0 | 5) { 0 } else { funct7 };
            r_type(0x33, funct3, funct7, rd, rs1, rs2)
        },
    );
    let immediate = (0..8u32, destination(), source(), -2048..2048i32).prop_map(|(funct3, rd, rs1, imm)| {
        let imm = match funct3 {
            1 => imm & 31,
            5 => imm & 0x41f,
            _ => imm,
        };
        i_type(0x13, funct3, rd, rs1, imm)
    });
    let upper = (any::<bool>(), destination(), any::<u32>())
        .prop_map(|(pc, rd, imm)| if pc { 0x17 } else { 0x37 } | rd << 7 | imm & 0xffff_f000);
    let loads = prop::sample::select(&[0u32, 1, 2, 4, 5][..])
        .prop_flat_map(|funct3| (Just(funct3), destination(), pointer(), offset(funct3)))
        .prop_map(|(funct3, rd, rs1, imm)| i_type(0x03, funct3, rd, rs1, imm));
    let stores = (0..3u32)
        .prop_flat_map(|funct3| (Just(funct3), pointer(), source(), offset(funct3)))
        .prop_map(|(funct3, rs1, rs2, imm)| store(funct3, rs1, rs2, imm));
    let branches = (prop::sample::select(&[0u32, 1, 4, 5, 6, 7][..]), source(), source(), distance(at, count))
        .prop_map(|(funct3, rs1, rs2, offset)| branch(funct3, rs1, rs2, offset));
    let calls = (prop::sample::select(&[0, 1, 5][..]), distance(at, count)).prop_map(|(rd, to)| jal(rd, to));
    let returns = (prop::sample::select(&LINKS[..]), prop::sample::select(&[0, 0, 0, 6, 20][..]))
        .prop_map(|(rs1, rd)| i_type(0x67, 0, rd, rs1, 0));
    let custom = (destination(), 0..INPUT_WORDS as i32).prop_map(|(rd, index)| i_type(0x2b, 0, rd, 0, index));
    let unhash = destination().prop_map(|rd| r_type(0x0b, 0, 0, rd, 7, 0));
    let rare = prop_oneof![
        20 => Just(0x0000_000f),
        1 => Just(0x0000_0073),
        1 => Just(0x0010_0073),
        1 => any::<u32>(),
        1 => source().prop_map(|rs1| r_type(0x0b, 0, 0, 20, rs1, 0)),
        1 => (0..4096i32).prop_map(|index| i_type(0x2b, 0, 20, 0, index)),
    ];
    prop_oneof![
        400 => register,
        200 => immediate,
        40 => upper,
        160 => loads,
        160 => stores,
        120 => branches,
        30 => calls,
        25 => returns,
        6 => custom,
        6 => unhash,
        2 => rare,
    ]
}

fn value() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), 0..40u32, prop::sample::select(&[0x8000_0000, 0x7fff_ffff, u32::MAX, 0, 1][..])]
}

fn program() -> impl Strategy<Value = Program> {
    (4..120usize).prop_flat_map(|count| {
        let words = (0..count).map(|at| instruction(at, count).boxed()).collect::<Vec<_>>();
        let links = [0; 3].map(|_| (0..count as u32).prop_map(|index| CODE + 4 * index));
        let starts = prop::array::uniform32(value());
        (words, starts, links).prop_map(|(words, mut registers, links)| {
            // Not zero only before the first step: whatever writes no register writes it.
            registers[0] = if registers[0] % 16 == 8 { registers[0] } else { 0 };
            LINKS.iter().zip(links).for_each(|(register, address)| registers[*register as usize] = address);
            registers[7] %= 24;
            let end = CODE + 4 * words.len() as u32;
            // Data, the seam of two pages, data beside code, more data; the code's ends; the register page.
            let addresses = [DATA + 0x200, DATA + 0x1000, (end & !31) + 0x100, 0x40, CODE - 8, TOP_PAGE - 40];
            POINTERS.iter().zip(addresses).for_each(|(register, at)| registers[*register as usize] = at);
            Program { words, registers }
        })
    })
}

fn machine(image: &Arc<Image>) -> Machine {
    Machine::new(Arc::clone(image), std::array::from_fn(|i| 0x0101_0101 * i as u32), 100).unwrap()
}

/// What there is to know about a machine.
fn state(machine: &mut Machine) -> (u64, Option<Halt>, Digest, Digest) {
    let snapshot = machine.snapshot();
    (snapshot.steps, snapshot.halt, snapshot.root(), snapshot.memory.root())
}

/// Compares `run` and `step` at each of these numbers of steps, in any order; adds up the steps.
fn compare(image: &Arc<Image>, stops: &[u64], total: &Cell<(u64, u64)>) -> TestCaseResult {
    let (mut fast, mut slow) = (machine(image), machine(image));
    let mut sorted = stops.to_vec();
    sorted.sort_unstable();
    let mut snapshots = Vec::new();
    for stop in sorted {
        fast.run(stop, &Oracle).unwrap();
        while slow.halt().is_none() && slow.steps() < stop {
            slow.step(&Oracle).unwrap();
        }
        prop_assert_eq!(state(&mut fast), state(&mut slow), "at step {}", stop);
        snapshots.push(fast.snapshot());
    }
    let (steps, compiled) = total.get();
    total.set((steps + slow.steps(), compiled + fast.compiled_steps()));
    // Back and forth between them, with other runs in between.
    for (from, to) in stops.iter().zip(&snapshots) {
        if let Some(from) = snapshots.iter().find(|snapshot| snapshot.steps == *from && *from <= to.steps) {
            fast.restore(from);
            fast.run(to.steps, &Oracle).unwrap();
            prop_assert_eq!(state(&mut fast), (to.steps, to.halt, to.root(), to.memory.root()));
        }
    }
    Ok(())
}

#[test]
fn a_run_is_the_step_function_repeated_on_a_million_random_steps() {
    let total = Cell::new((0, 0));
    while total.get().0 < 1_000_000 {
        TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() })
            .run(&(program(), vec(0..12_000u64, 1..6)), |(program, stops)| compare(&program.image(), &stops, &total))
            .unwrap();
    }
    let (steps, compiled) = total.get();
    if COMPILES {
        assert!(compiled > steps / 2, "compiled code made {compiled} of {steps} steps");
    }
}

/// A program of these words that runs until ECALL, with other words in memory, and registers as given.
fn assembled(words: &[u32], memory: &[(u32, u32)], registers: &[(u32, u32)]) -> Arc<Image> {
    let end = CODE + 4 * words.len() as u32;
    let mut all: Vec<(u32, u32)> = (CODE..end).step_by(4).zip(words.iter().copied()).collect();
    all.extend(memory);
    all.extend(registers.iter().map(|(register, value)| (TOP_PAGE + 4 * register, *value)));
    all.push((TOP_PAGE + 0x80, CODE));
    image(&all, CODE..end)
}

fn addi(rd: u32, rs1: u32, imm: i32) -> u32 {
    i_type(0x13, 0, rd, rs1, imm)
}

fn lw(rd: u32, rs1: u32, imm: i32) -> u32 {
    i_type(0x03, 2, rd, rs1, imm)
}

#[test]
fn compiled_multiplications_and_divisions_are_those_of_the_manual_on_edge_operands() {
    let edges = [0, 1, 2, 3, 7, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_fffe, u32::MAX];
    let results = DATA + 0x1000;
    // For each a (x14, from x11 on) and each b (x15, from x12 on): the eight operations, and their results to x9 on.
    let mut words = vec![lw(14, 11, 0), addi(12, 8, 0), lw(15, 12, 0)];
    words.extend((0..8).map(|funct3| r_type(0x33, funct3, 1, 16 + funct3, 14, 15)));
    words.extend((0..8).map(|k| store(2, 9, 16 + k, 4 * k as i32)));
    words.extend([addi(9, 9, 32), addi(12, 12, 4), branch(1, 12, 10, -4 * 19)]);
    words.extend([addi(11, 11, 4), branch(1, 11, 10, -4 * 23), 0x0000_0073]);
    let memory: Vec<(u32, u32)> = (DATA..).step_by(4).zip(edges).collect();
    let image = assembled(&words, &memory, &[(8, DATA), (9, results), (10, DATA + 4 * edges.len() as u32), (11, DATA)]);

    // What the first run compiles, the second runs.
    machine(&image).run(u64::MAX, &()).unwrap();
    let mut second = machine(&image);
    assert_eq!(second.run(u64::MAX, &()).unwrap(), Some(Halt::Accept));
    assert!(!COMPILES || second.compiled_steps() > second.steps() * 9 / 10, "{}", second.compiled_steps());
    let after = second.snapshot().memory;
    for (i, (a, b)) in edges.iter().flat_map(|a| edges.iter().map(move |b| (*a, *b))).enumerate() {
        let (sa, sb, ua, ub) = (i64::from(a as i32), i64::from(b as i32), i64::from(a), i64::from(b));
        let upper = |product: i128| (product >> 32) as u32;
        let expected = [
            (ua as u64).wrapping_mul(ub as u64) as u32,
            upper(i128::from(sa) * i128::from(sb)),
            upper(i128::from(sa) * i128::from(ub)),
            upper(i128::from(ua) * i128::from(ub)),
            sa.checked_div(sb).unwrap_or(-1) as u32,
            ua.checked_div(ub).unwrap_or(-1) as u32,
            sa.checked_rem(sb).unwrap_or(sa) as u32,
            ua.checked_rem(ub).unwrap_or(ua) as u32,
        ];
        let got: [u32; 8] = std::array::from_fn(|k| after.word(results + 32 * i as u32 + 4 * k as u32));
        assert_eq!(got, expected, "{a:#x}, {b:#x}");
    }
}

/// Two loops, one in the other, and a function that the inner one calls; about 5,500 steps.
fn loops() -> Arc<Image> {
    let words = [
        addi(16, 0, 30),
        // Outer loop.
        addi(17, 0, 20),
        // Inner loop: calls the function seven words on.
        jal(1, 4 * 7),
        addi(17, 17, -1),
        branch(1, 17, 0, -4 * 2),
        store(2, 8, 18, 4),
        addi(16, 16, -1),
        branch(1, 16, 0, -4 * 6),
        0x0000_0073,
        // The function.
        lw(18, 8, 0),
        r_type(0x33, 0, 0, 18, 18, 17),
        r_type(0x33, 4, 0, 19, 18, 16),
        store(2, 8, 18, 0),
        store(1, 8, 19, 0x7fe),
        i_type(0x67, 0, 0, 1, 0),
    ];
    assembled(&words, &[], &[(8, DATA)])
}

#[test]
fn a_run_stops_at_exactly_every_step() {
    let image = loops();
    let (mut fast, mut slow) = (machine(&image), machine(&image));
    // All of it is compiled when it matters.
    fast.run(u64::MAX, &()).unwrap();
    let end = fast.snapshot();
    let start = machine(&image).snapshot();
    while slow.halt().is_none() {
        slow.step(&()).unwrap();
        fast.restore(&start);
        fast.run(slow.steps(), &()).unwrap();
        let (now, expected) = (fast.snapshot(), slow.snapshot());
        assert_eq!((now.steps, now.halt), (expected.steps, expected.halt));
        if slow.steps() % 7 == 0 {
            assert_eq!(now.root(), expected.root(), "step {}", now.steps);
        }
        fast.run(u64::MAX, &()).unwrap();
        assert_eq!((fast.steps(), fast.halt()), (end.steps, end.halt));
    }
    assert_eq!((end.halt, end.root()), (Some(Halt::Accept), slow.snapshot().root()));
}

#[test]
fn machines_that_run_one_image_at_once_do_not_disturb_each_other() {
    let image = loops();
    let mut alone = machine(&image);
    while alone.step(&()).unwrap().is_some() {}
    let expected = state(&mut alone);
    // They compile it together.
    let image = loops();
    std::thread::scope(|scope| {
        let runs = [(); 4].map(|()| {
            scope.spawn(|| {
                let mut machine = machine(&image);
                machine.run(u64::MAX, &()).unwrap();
                state(&mut machine)
            })
        });
        for run in runs {
            assert_eq!(run.join().unwrap(), expected);
        }
    });
}

#[test]
fn a_run_ends_with_the_page_limit_where_steps_do() {
    // x9 goes from page to page.
    let words = [store(2, 9, 9, 0), r_type(0x33, 0, 0, 9, 9, 10), addi(11, 11, 1), jal(0, -4 * 3)];
    let image = assembled(&words, &[], &[(9, DATA), (10, 0x1000)]);
    let (mut fast, mut slow) = (machine(&image), machine(&image));
    let error = fast.run(u64::MAX, &()).unwrap_err();
    let expected = loop {
        if let Err(error) = slow.step(&()) {
            break error;
        }
    };
    assert_eq!(error.to_string(), expected.to_string());
    assert_eq!(state(&mut fast), state(&mut slow));
}
