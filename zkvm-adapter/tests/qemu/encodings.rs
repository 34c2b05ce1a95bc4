//! Which words are instructions, and what one instruction does: hundreds of thousands of words, each executed once.
//!
//! `one_step.c` executes them on qemu, with the same registers for each. Every field that tells instructions apart has
//! every value. A word that is an instruction here must be one there (not raise SIGILL), with the same registers and
//! the same pc after it, and with the same memory when all are done.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use trestle_rollup::Digest;
use trestle_zkvm_adapter::layout::{PC, TOP_PAGE};
use trestle_zkvm_adapter::step::{Constants, Leaf, ReadMemory, step};
use trestle_zkvm_adapter::{Preimages, Trap};

use super::assembler::Form;
use super::gcc::gcc;
use super::*;

const SLOT: u32 = 0x1000_0000;
/// There are EBREAKs around the slot, from here on.
const AROUND: std::ops::Range<u32> = SLOT - 0x1000..SLOT + 0x2000;
const SCRATCH: u32 = 0x1800_0000;
const SCRATCH_LENGTH: u32 = 0x2000;

const SIGILL: u32 = 4;
const SIGTRAP: u32 = 5;
const SIGSEGV: u32 = 11;

/// What `one_step.c` knows of one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcome {
    signal: u32,
    /// Where it came from: the slot, if the word itself was at fault.
    pc: u32,
    /// The register that changed, and its value.
    changed: Option<(u32, u32)>,
}

fn register_value(register: u32) -> u32 {
    if register == 0 { 0 } else { SCRATCH + 0x1000 + 4 * register }
}

/// The state that each word meets: the one that `one_step.c` makes.
struct State {
    word: u32,
    scratch: Vec<u32>,
}

impl State {
    fn new() -> Self {
        let content = |address: u32| address.wrapping_mul(0x9e37_79b1) ^ 0xa5c3_0f69;
        Self { word: 0, scratch: (SCRATCH..).step_by(4).take(SCRATCH_LENGTH as usize / 4).map(content).collect() }
    }

    fn scratch(&mut self, address: u32) -> Option<&mut u32> {
        self.scratch.get_mut(address.wrapping_sub(SCRATCH) as usize / 4)
    }
}

impl ReadMemory for State {
    fn leaf(&self, address: u32) -> Leaf {
        let mut leaf = [0; 32];
        let first = address & !31;
        for (at, to) in (first..=first + 28).step_by(4).zip(leaf.chunks_mut(4)) {
            let word = match at {
                SLOT => self.word,
                PC => SLOT,
                TOP_PAGE.. => register_value((at - TOP_PAGE) / 4 % 32),
                _ => self.scratch.get(at.wrapping_sub(SCRATCH) as usize / 4).copied().unwrap_or_default(),
            };
            to.copy_from_slice(&word.to_le_bytes());
        }
        leaf
    }
}

/// Knows a preimage of everything: what UNHASH gives is not asked here.
struct Any;

impl Preimages for Any {
    fn preimage(&self, _: &Digest) -> Option<(Digest, [u8; 64])> {
        Some(([0; 32], [0; 64]))
    }
}

fn ours(state: &State) -> Step {
    let constants = Constants { code: &(SLOT..SLOT + 4), inputs: &[0; INPUT_WORDS], preimages: &Any };
    step(state, &constants).unwrap()
}

/// Runs all words, in turn, on qemu.
fn theirs(words: &[u32]) -> (Vec<Outcome>, Vec<u8>) {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    // Not relaxed: in the handler, gp is a register like others.
    let program = PROGRAM.get_or_init(|| gcc(&["qemu/one_step.c"], &["-O2", "-Wl,--no-relax"]));
    let input: Vec<u8> = [words.len() as u32].iter().chain(words).flat_map(|word| word.to_le_bytes()).collect();
    let output = qemu(program, rv32im(), &input);
    let expected = 16 * words.len() + SCRATCH_LENGTH as usize;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout.len() == expected, "{}: {errors}", output.status);
    let (outcomes, scratch) = output.stdout.split_at(16 * words.len());
    let outcomes = outcomes.chunks(16).map(|outcome| {
        let word = |index: usize| u32::from_le_bytes(outcome[4 * index..][..4].try_into().unwrap());
        let (pc, value, changed, which) = (word(0), word(1), word(2), word(3));
        assert!(changed <= 1, "{changed} registers changed");
        Outcome { signal: which >> 8, pc, changed: (changed == 1).then_some((which & 0xff, value)) }
    });
    (outcomes.collect(), scratch.to_vec())
}

/// What a step of ours is, seen as `one_step.c` sees one; none where the two machines differ by their rules.
fn expected(made: &Step) -> Option<Outcome> {
    let stays = |signal| Outcome { signal, pc: SLOT, changed: None };
    let reached = matches!(made.address, SCRATCH..0x1800_2000);
    Some(match made.effect {
        Effect::Halt(Halt::Reject(Trap::Unknown(_))) => stays(SIGILL),
        // This memory is not mapped there, and all zeros here.
        _ if matches!(made.instruction & 0x7f, 0x03 | 0x23) && !reached => stays(SIGSEGV),
        Effect::Halt(Halt::Reject(Trap::Ebreak)) => stays(SIGTRAP),
        // No such system call: ENOSYS.
        Effect::Halt(Halt::Accept) => Outcome { signal: SIGTRAP, pc: SLOT + 4, changed: Some((10, -38i32 as u32)) },
        // A jump to itself would never end.
        Effect::Write { next_pc, .. } if next_pc % 4 != 0 || next_pc == SLOT => return None,
        Effect::Write { address, value, next_pc } => {
            let register = address.wrapping_sub(TOP_PAGE) / 4;
            let changed = address >= TOP_PAGE && register_value(register) != value;
            Outcome {
                signal: if AROUND.contains(&next_pc) { SIGTRAP } else { SIGSEGV },
                pc: next_pc,
                changed: changed.then_some((register, value)),
            }
        }
        Effect::Halt(Halt::Reject(_)) => return None,
    })
}

/// The words that qemu's verdict is not asked about.
fn not_asked(word: u32) -> bool {
    let field = |low: u32, bits: u32| word >> low & ((1 << bits) - 1);
    match field(0, 7) {
        // UNHASH and INPUT.
        0x0b | 0x2b => true,
        // qemu 7.2 executes vector loads, stores and moves of whole registers even where it has no vectors.
        0x07 | 0x27 => matches!(field(12, 3), 0 | 5..) && field(25, 4) == 1 && field(20, 5) == 8,
        0x57 => field(12, 3) == 3 && field(25, 7) == 0x4f,
        _ => false,
    }
}

/// Executes each word on both machines, and says how many were compared and how many of them are instructions.
fn compare(words: impl IntoIterator<Item = u32>) -> (usize, usize) {
    let words: Vec<u32> = words.into_iter().collect();
    // Each run has room for so many.
    let counts: Vec<_> = words.chunks(1 << 18).map(compare_in_one_run).collect();
    let (compared, instructions) = counts.into_iter().fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1));
    eprintln!("{compared} words, {instructions} of them instructions");
    (compared, instructions)
}

fn compare_in_one_run(words: &[u32]) -> (usize, usize) {
    let mut state = State::new();
    let mut asked = Vec::new();
    for &word in words {
        state.word = word;
        let made = ours(&state);
        let unknown = matches!(made.effect, Effect::Halt(Halt::Reject(Trap::Unknown(_))));
        let ours_alone = matches!(word & 0x7f, 0x0b | 0x2b);
        assert!(ours_alone || unknown == Form::of(word).is_none(), "{word:#010x} by the manual's tables: {made:?}");
        let Some(answer) = expected(&made).filter(|_| !not_asked(word)) else { continue };
        if let Effect::Write { address, value, .. } = made.effect
            && let Some(to) = state.scratch(address)
        {
            *to = value;
        }
        asked.push((word, answer));
    }
    let (outcomes, scratch) = theirs(&asked.iter().map(|(word, _)| *word).collect::<Vec<_>>());
    for ((word, answer), outcome) in asked.iter().zip(outcomes) {
        let name = Form::of(*word).map_or("no instruction", |form| form.name);
        assert_eq!(outcome, *answer, "{word:#010x} ({name}): qemu on the left, this machine on the right");
    }
    let memory: Vec<u8> = state.scratch.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert!(memory == scratch, "the memory after all of them is not the same");
    let instructions = asked.iter().filter(|(_, answer)| answer.signal != SIGILL).count();
    (asked.len(), instructions)
}

/// The register fields, any of them zero often.
fn fields() -> impl Strategy<Value = u32> {
    let x = || prop_oneof![1 => Just(0u32), 4 => 0u32..32];
    (x(), x(), x()).prop_map(|(rd, rs1, rs2)| rd << 7 | rs1 << 15 | rs2 << 20)
}

fn random<T: std::fmt::Debug>(stream: u64, strategy: impl Strategy<Value = T>) -> impl Iterator<Item = T> {
    let mut runner = runner(stream);
    std::iter::repeat_with(move || strategy.new_tree(&mut runner).unwrap().current())
}

#[test]
fn every_opcode_and_function_code_is_an_instruction_on_both_or_on_neither() {
    // Opcodes of 32-bit instructions end in 11.
    let codes = (0..1 << 15).map(|code: u32| code >> 10 << 2 | 3 | (code >> 7 & 7) << 12 | (code & 0x7f) << 25);
    let repeated = codes.flat_map(|code| std::iter::repeat_n(code, times(4)));
    let words = repeated.zip(random(10, fields())).map(|(code, fields)| code | fields);
    let (compared, instructions) = compare(words);
    assert!(compared > times(115_000) && instructions > times(18_000));
}

#[test]
fn every_system_instruction_is_one_on_both_or_on_neither() {
    let codes = (0..1 << 15).map(|code: u32| 0x73 | (code & 7) << 12 | code >> 3 << 20);
    let some = codes.clone().zip(random(11, fields())).map(|(code, fields)| code | fields & 0x000f_8f80);
    // ECALL, EBREAK, and thirty more, each with all that may be in its other fields.
    let all = (0..1 << 15).map(|code: u32| 0x73 | (code & 31) << 7 | (code >> 5 & 31) << 15 | code >> 10 << 20);
    let (compared, instructions) = compare(codes.chain(some).chain(all));
    assert_eq!(compared, 3 << 15);
    assert!(instructions >= 4, "ECALL and EBREAK, twice");
}

#[test]
fn no_word_that_begins_as_a_shorter_instruction_does_is_one() {
    let halves = (0..1 << 16).filter(|half: &u32| half & 3 != 3);
    let words = halves.zip(random(12, any::<u32>())).map(|(half, above)| half | above << 16);
    assert_eq!(compare(words), (3 << 14, 0));
}

#[test]
fn random_words_do_the_same() {
    let words = random(13, any::<u32>()).map(|word| word | 3).take(times(60_000));
    let (compared, instructions) = compare(words);
    assert!(compared > times(50_000) && instructions > times(7_500));
}
