//! Steps to judge: what the machine does with any word, any operands, any pc.

use std::cell::Cell;
use std::ops::Range;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, RngCore};
use trestle_rollup::{Digest, Entry, SlotId, compress};
use trestle_taptree_trace::lane::{End, LaneConstants, MessageId};
use trestle_taptree_trace::leaf::semantics::{Class, Preimage, Signed};
use trestle_zkvm_adapter::Inputs;
use trestle_zkvm_adapter::layout::{HALT_ACCEPT, HALT_REJECT, TOP_PAGE};
use trestle_zkvm_adapter::opening::{Words, commitment};
use trestle_zkvm_adapter::step::{self, Effect, Leaf, Preimages, ReadMemory, step, word_of};

/// Where code is in these tests.
pub const CODE: Range<u32> = 0x0001_0000..0x0004_2000;

/// Values at which arithmetic, comparisons and checks of addresses turn.
pub const EDGES: [u32; 24] = [
    0,
    1,
    2,
    3,
    4,
    7,
    15,
    16,
    23,
    24,
    31,
    32,
    0xffff,
    0x0001_0000,
    0x0004_1fff,
    0x0004_2000,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_0001,
    0xaaaa_aaaa,
    0xffff_efff,
    0xffff_f000,
    0xffff_fffe,
    0xffff_ffff,
];

/// One honest step, as its operator signs it, and the preimage of its leaf if it has one.
#[derive(Clone, Debug)]
pub struct Honest {
    pub signed: Signed,
    pub preimage: Preimage,
    /// Whether it halts.
    pub halts: bool,
}

/// The lane.
pub fn constants() -> LaneConstants {
    let generator = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    LaneConstants {
        checkpoint: [1; 32],
        first_state: [2; 32],
        code: CODE,
        slot: inputs().slot.to_bytes(),
        confirmations: 6,
        target: [3; 32],
        challenger: generator.parse().unwrap(),
    }
}

/// What INPUT reads.
pub fn inputs() -> Inputs {
    let entry = |first: u8| Entry {
        block_hash: std::array::from_fn(|at| first.wrapping_add((at as u8).wrapping_mul(7))),
        state_root: std::array::from_fn(|at| first.wrapping_mul(3).wrapping_add((at as u8).wrapping_mul(29))),
    };
    Inputs {
        previous: entry(0x10),
        next: entry(0x93),
        index: 0x1_0000,
        claimed: 0xfe95,
        block_hash_prefix: [0x12, 0x34, 0x56, 0x89],
        slot: SlotId::from_bytes([1, 2, 3, 4, 5, 0xf6]),
        confirmations: 6,
    }
}

/// A memory that answers in the order in which a step reads.
struct Said<'a> {
    words: [u32; 4],
    read: Cell<usize>,
    leaf: &'a Leaf,
}

impl ReadMemory for Said<'_> {
    fn leaf(&self, _: u32) -> Leaf {
        *self.leaf
    }

    fn word(&self, _: u32) -> u32 {
        self.words[self.read.replace(self.read.get() + 1)]
    }
}

struct Known<'a>(&'a Preimage);

impl Preimages for Known<'_> {
    fn preimage(&self, _: &Digest) -> Option<Preimage> {
        Some(*self.0)
    }
}

/// The step that reads these words; a leaf if nothing is unhashed, else the digest of the preimage.
pub fn honest(rng: &mut StdRng, pc: u32, instruction: u32, rs1: u32, rs2: u32) -> Honest {
    let mut preimage: Preimage = ([0; 32], [0; 64]);
    rng.fill_bytes(&mut preimage.0);
    rng.fill_bytes(&mut preimage.1);
    let mut leaf = [0; 32];
    match rng.gen_range(0..4) {
        0 => {}
        1 => leaf = [0xff; 32],
        _ => rng.fill_bytes(&mut leaf),
    }
    if Class::Unhash.has(instruction) {
        leaf = compress(&preimage.0, &preimage.1);
    }
    let inputs = inputs().words();
    let constants = step::Constants { code: &CODE, inputs: &inputs, preimages: &Known(&preimage) };
    let said = Said { words: [pc, instruction, rs1, rs2], read: Cell::new(0), leaf: &leaf };
    let done = step(&said, &constants).unwrap();
    let mut words = Words { pc, instruction, rs1, rs2, address: done.address, value: 0, next_pc: 0 };
    let mut after = [0; 24];
    rng.fill_bytes(&mut after);
    let halts = match done.effect {
        Effect::Write { value, next_pc, .. } => {
            (words.value, words.next_pc) = (value, next_pc);
            false
        }
        Effect::Halt(halt) => {
            after = commitment(&halt.state());
            // Such a step writes what is there already: to memory, if its opcode is that of stores, else to rd, or x0.
            if Class::Store.has(instruction) {
                words.value = word_of(&leaf, words.address);
            } else if instruction >> 7 & 31 != 0 && !Class::Branch.has(instruction) && !Class::Fence.has(instruction) {
                words.value = value(rng);
            }
            words.next_pc = pc;
            true
        }
    };
    Honest { signed: Signed { words, leaf, after, inputs }, preimage, halts }
}

/// A word with the opcode of the class, instruction or not: its other bits random, most often so that it is one.
pub fn word_of_class(rng: &mut StdRng, class: Class) -> u32 {
    let mut word = rng.next_u32() & !0x7f | class.opcode();
    let keep = rng.gen_range(0..8);
    match class {
        Class::Jalr | Class::Fence if keep > 0 => word &= !0x7000,
        Class::Register if keep > 0 => {
            word = word & 0x01ff_ffff | [0, 0, 1, 1, 0x20].choose(rng).unwrap() << 25;
        }
        Class::Immediate if keep > 0 && word & 0x3000 == 0x1000 => {
            word = word & 0x01ff_ffff | [0, 0x20].choose(rng).unwrap() << 25;
        }
        Class::System => {
            word = *[0x73, 0x73, 0x0010_0073, 0x0010_0073, 0x0020_0073, 0x0010_00f3, 0x0001_0073, 0x8000_0073, word]
                .choose(rng)
                .unwrap();
        }
        Class::Unhash if keep > 0 => word &= 0x000f_8fff,
        Class::Input if keep > 1 => word = word & 0x0000_0fff | rng.gen_range(0..40) << 20,
        Class::Input if keep > 0 => word &= 0xfff0_0fff,
        _ => {}
    }
    match rng.gen_range(0..10) {
        0 => word & !0xf80,
        1 if !matches!(class, Class::System | Class::Input) => word & !0x000f_8000,
        _ => word,
    }
}

/// A value: at an edge, or small, or near an edge, or random.
pub fn value(rng: &mut StdRng) -> u32 {
    let edge = *EDGES.choose(rng).unwrap();
    match rng.gen_range(0..5) {
        0 | 1 => edge,
        2 => edge.wrapping_add(rng.gen_range(0..9)).wrapping_sub(4),
        3 => rng.r#gen::<u32>() >> rng.gen_range(0..32),
        _ => rng.r#gen(),
    }
}

/// A pc: most often in the code.
pub fn pc(rng: &mut StdRng) -> u32 {
    match rng.gen_range(0..16) {
        0 => *[CODE.start - 4, CODE.end, CODE.end + 4, 0, 0xffff_fffc, TOP_PAGE, CODE.start + 0x8000_0000]
            .choose(rng)
            .unwrap(),
        1 => rng.gen_range(CODE) | rng.gen_range(1..4),
        2 => value(rng),
        3 => *[CODE.start, CODE.end - 4].choose(rng).unwrap(),
        _ => rng.gen_range(CODE) & !3,
    }
}

/// A random step with a word of the class.
pub fn random(rng: &mut StdRng, class: Class) -> Honest {
    let word = word_of_class(rng, class);
    let pc = pc(rng);
    let (mut rs1, rs2) = (value(rng), value(rng));
    match class {
        Class::Load | Class::Store if rng.gen_range(0..4) > 0 => {
            // An address that the operand gives.
            let imm = if class == Class::Load {
                (word as i32 >> 20) as u32
            } else {
                (word as i32 >> 25 << 5) as u32 | word >> 7 & 31
            };
            let target: u32 = match rng.gen_range(0..6) {
                0 => TOP_PAGE.wrapping_add(rng.gen_range(0..9)).wrapping_sub(4),
                1 => CODE.start.wrapping_add(rng.gen_range(0..9)).wrapping_sub(4),
                2 => CODE.end.wrapping_add(rng.gen_range(0..9)).wrapping_sub(4),
                3 => value(rng),
                _ => rng.r#gen(),
            };
            rs1 = target.wrapping_sub(imm);
        }
        Class::Unhash if rng.gen_range(0..4) > 0 => rs1 = rng.gen_range(0..26),
        _ => {}
    }
    let zero_if = |register: u32, value| if register == 0 { 0 } else { value };
    let (a, b) = (zero_if(word >> 15 & 31, rs1), zero_if(word >> 20 & 31, rs2));
    honest(rng, pc, word, a, if word >> 15 & 31 == word >> 20 & 31 { a } else { b })
}

/// Something else.
pub fn other(rng: &mut StdRng, right: u32) -> u32 {
    loop {
        let wrong = match rng.gen_range(0..6) {
            0 => right ^ 1 << rng.gen_range(0..32),
            1 => right.wrapping_add(1),
            2 => right.wrapping_sub(1),
            3 => 0,
            4 => value(rng),
            _ => rng.r#gen(),
        };
        if wrong != right {
            return wrong;
        }
    }
}

/// What a halted state's commitment is.
pub fn halts() -> [[u8; 24]; 2] {
    [commitment(&HALT_ACCEPT), commitment(&HALT_REJECT)]
}

/// A number as a minimal item.
pub fn item(number: u64) -> Vec<u8> {
    assert!(number < 0x80);
    if number == 0 { Vec::new() } else { vec![number as u8] }
}

/// The fields of a message.
pub fn fields(signed: &Signed, id: MessageId) -> Vec<Vec<u8>> {
    let word = |at: usize| signed.inputs[at].to_le_bytes();
    let words = |at: usize| vec![(at..at + 8).flat_map(word).collect()];
    let number = |at: usize, less: u32| u16::try_from(signed.inputs[at] - less).unwrap().to_be_bytes().to_vec();
    match id {
        MessageId::StepLog => {
            let Words { pc, instruction, rs1, rs2, address, value, next_pc } = signed.words;
            [pc, instruction, rs1, rs2, address, value, next_pc].map(|word| word.to_be_bytes().to_vec()).to_vec()
        }
        MessageId::StepLeaf => vec![signed.leaf.to_vec()],
        MessageId::StepAfter => vec![signed.after.to_vec()],
        MessageId::BlockHash(End::Previous) => words(0),
        MessageId::BlockRoot(End::Previous) => words(8),
        MessageId::BlockHash(End::Next) => words(16),
        MessageId::BlockRoot(End::Next) => words(24),
        MessageId::BlockIndex => vec![number(32, 1)],
        MessageId::Claim => vec![number(33, 0), word(34).to_vec()],
        _ => panic!("{id} is read by no leaf"),
    }
}

/// The digits of a message.
pub fn digits(signed: &Signed, id: MessageId) -> impl Iterator<Item = u64> {
    fields(signed, id).into_iter().flatten().flat_map(|byte| [u64::from(byte >> 4), u64::from(byte & 15)])
}

/// A word of each instruction, with two different source registers and a destination that is not x0.
pub fn instructions(rng: &mut StdRng) -> Vec<u32> {
    let immediate =
        |rng: &mut StdRng| *[0, 1, 0x7ff, 0x800, 0xfff, rng.gen_range(0..0x1000)].choose(rng).unwrap() << 20;
    let mut words = Vec::new();
    for (opcode, funct3s) in [
        (0x37, &[0][..]),
        (0x17, &[0]),
        (0x6f, &[0]),
        (0x67, &[0]),
        (0x63, &[0, 1, 4, 5, 6, 7]),
        (0x03, &[0, 1, 2, 4, 5]),
        (0x23, &[0, 1, 2]),
        (0x13, &[0, 2, 3, 4, 6, 7]),
        (0x0f, &[0]),
    ] {
        words.extend(funct3s.iter().map(|funct3| immediate(rng) | 0xa << 15 | funct3 << 12 | 0xc << 7 | opcode));
    }
    let shift = |rng: &mut StdRng| rng.gen_range(0..32) << 20;
    for (funct7, funct3) in [(0, 1), (0, 5), (0x20, 5)] {
        words.push(funct7 << 25 | shift(rng) | 0xa << 15 | funct3 << 12 | 0xc << 7 | 0x13);
    }
    let of_two = (0..8).flat_map(|funct3| [(0, funct3), (1, funct3)]).chain([(0x20, 0), (0x20, 5)]);
    words.extend(of_two.map(|(funct7, funct3)| funct7 << 25 | 0xb << 20 | 0xa << 15 | funct3 << 12 | 0xc << 7 | 0x33));
    words.extend([0x73, 0x0010_0073, 0x0005_060b, rng.gen_range(0..38) << 20 | 0x062b]);
    words
}
