//! Random instructions, states and programs, each decided by a seed.

use std::ops::Range;
use std::sync::Arc;

use trestle_rollup::{Digest, compress};
use trestle_zkvm_adapter::layout::{KEY_ADDRESS, PAGE_BYTES, PC, register_address};
use trestle_zkvm_adapter::{Effect, INPUT_WORDS, Image, InputWords, MemoryTree, Preimages};

/// Where the code of samples is, and their data.
pub const CODE: Range<u32> = 0x1000..0x1400;
pub const DATA: u32 = 0x8000;

/// Numbers that look random (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn word(&mut self) -> u32 {
        self.bits() as u32
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.bits() % limit
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// A word as registers hold them: small, large, near the code, the data, or where nothing may be touched.
    pub fn operand(&mut self) -> u32 {
        match self.below(10) {
            0 => self.below(40) as u32,
            1 => self.of(&[0, 1, u32::MAX, 1 << 31, (1 << 31) - 1]),
            2 => CODE.start + 4 * self.below(256) as u32,
            3..7 => DATA + self.below(256) as u32 * self.of(&[1, 4, 4, 4]),
            7 => 0xffff_f000 - 64 + self.below(0x200) as u32,
            _ => self.word(),
        }
    }

    /// A word with the opcode and the fields of one class of instructions.
    pub fn instruction(&mut self) -> u32 {
        let any = self.word();
        let (rd, rs1, rs2) = (any & 0xf80, any & 0xf_8000, any & 0x1f0_0000);
        let funct3 = any & 0x7000;
        let small = (any >> 20 & 0xff) << 20;
        match self.below(20) {
            0 => any & !0x7f | 0x37,
            1 => any & !0x7f | 0x17,
            2 => 0x6f | rd | any & 0x0fe0_0000, // forward
            3 => 0x67 | rd | rs1 | small,
            4 | 5 => 0x63 | rs1 | rs2 | self.of(&[0, 1, 4, 5, 6, 7]) << 12 | any & 0xf00,
            6 | 7 => 0x03 | rd | rs1 | self.of(&[0, 1, 2, 2, 4, 5]) << 12 | small,
            8 | 9 => 0x23 | rs1 | rs2 | self.of(&[0, 1, 2, 2]) << 12 | rd,
            10 | 11 => 0x13 | rd | rs1 | self.of(&[0, 2, 3, 4, 6, 7]) << 12 | any & 0xfff0_0000,
            12 => 0x13 | rd | rs1 | rs2 | self.of(&[0x1000, 0x5000, 0x4000_5000]),
            13 => 0x33 | rd | rs1 | rs2 | funct3,
            14 => 0x33 | rd | rs1 | rs2 | 0x0200_0000 | funct3,
            15 => 0x33 | rd | rs1 | rs2 | self.of(&[0x4000_0000, 0x4000_5000]),
            16 => self.of(&[0x0000_000f, 0x0330_000f, 0x0000_0073, 0x0010_0073]),
            17 => 0x0b | rd | rs1,
            18 => 0x2b | rd | (self.below(40) as u32) << 20,
            _ => any,
        }
    }

    /// An instruction that goes on with the next one whatever it reads.
    pub fn straight(&mut self) -> u32 {
        loop {
            let word = self.instruction();
            if matches!(word & 0x7f, 0x37 | 0x17 | 0x13 | 0x33 | 0x0f)
                && trestle_zkvm_adapter::instruction::Instruction::decode(word).is_some()
            {
                return word;
            }
        }
    }

    pub fn inputs(&mut self) -> InputWords {
        [(); INPUT_WORDS].map(|()| self.word())
    }

    pub fn preimage(&mut self) -> (Digest, [u8; 64]) {
        ([(); 32].map(|()| self.word() as u8), [(); 64].map(|()| self.word() as u8))
    }

    /// A state about to execute a random instruction; with the key of a preimage.
    pub fn state(&mut self) -> (MemoryTree, Known) {
        let known = Known(self.preimage());
        let mut words = vec![];
        let at = |index: u32| CODE.start + 4 * index;
        words.extend((0..256).map(|index| (at(index), self.instruction())));
        words.extend((0..32).map(|index| (DATA + 32 * index, self.word())));
        words.extend((1..32).map(|register| (register_address(register), self.operand())));
        words.extend((0..).map(|index| KEY_ADDRESS + 4 * index).zip(known.key_words()));
        // Sometimes not in the code, or not at a word.
        words.push((PC, if self.below(20) == 0 { self.operand() } else { at(self.below(256) as u32) }));
        (with_words(&MemoryTree::default(), &words), known)
    }
}

/// One preimage, and no other.
pub struct Known(pub (Digest, [u8; 64]));

impl Known {
    pub fn key(&self) -> Digest {
        compress(&self.0.0, &self.0.1)
    }

    pub fn key_words(&self) -> Vec<u32> {
        self.key().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
    }
}

impl Preimages for Known {
    fn preimage(&self, digest: &Digest) -> Option<(Digest, [u8; 64])> {
        (*digest == self.key()).then_some(self.0)
    }
}

pub fn with_words(memory: &MemoryTree, words: &[(u32, u32)]) -> MemoryTree {
    let mut pages = std::collections::BTreeMap::new();
    for (address, value) in words {
        let number = address / PAGE_BYTES as u32;
        let page =
            pages.entry(number).or_insert_with(|| Box::new(memory.page(number).copied().unwrap_or([0; PAGE_BYTES])));
        let at = *address as usize % PAGE_BYTES;
        page[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    memory.with_pages(pages.into_iter().collect())
}

/// The state that an effect leads to, if it does not halt.
pub fn after(memory: &MemoryTree, effect: &Effect) -> Option<MemoryTree> {
    let Effect::Write { address, value, next_pc } = effect else { return None };
    Some(with_words(&with_words(memory, &[(*address, *value)]), &[(PC, *next_pc)]))
}

/// A program with every kind of instruction in a loop that is left after so many rounds, by ECALL or by EBREAK. x30 and
/// x31 count; x29 is where the data is. About 100 instructions a round.
pub fn program(seed: u64, rounds: u32, accepts: bool) -> (Arc<Image>, Known) {
    let mut random = Random(seed);
    let known = Known(random.preimage());
    let mut code = vec![lui(29, DATA), addi(31, 0, 0), lui(30, rounds.wrapping_add(0x800) & !0xfff)];
    code.push(addi(30, 30, (rounds as i32) << 20 >> 20));
    let start = code.len();
    let temporary = |random: &mut Random| 1 + random.below(28) as u32;
    for _ in 0..20 {
        let (rd, rs) = (temporary(&mut random), temporary(&mut random));
        let offset = 4 * random.below(200) as u32;
        code.push(sw(29, rs, offset));
        code.push(lw(rd, 29, 4 * random.below(200) as u32));
        code.push(0x23 | 29 << 15 | rs << 20 | 0x80); // sb rs, 1(x29)
        code.push(0x0b | rd << 7 | 28 << 15); // unhash rd, x28
        code.push(0x2b | rd << 7 | (random.below(38) as u32) << 20); // input
        code.push(0x63 | rd << 15 | rs << 20 | 0x6000 | 8 << 7); // bltu rd, rs, +8: passes over the next one
        for _ in 0..3 {
            // Only temporaries are written.
            let word = random.straight();
            code.push(if word & 0x7f == 0x0f { word } else { word & !0xf80 | temporary(&mut random) << 7 });
        }
        code.push(addi(28, 0, random.below(24) as i32));
        // The walk through memory: x29 moves over 16 pages.
        code.push(addi(29, 29, 0x7fc));
    }
    code.push(lui(29, DATA));
    code.push(addi(31, 31, 1));
    let back = (start as i32 - code.len() as i32) * 4;
    code.push(bne(31, 30, back));
    code.push(if accepts { 0x73 } else { 0x0010_0073 });
    let end = CODE.start + 4 * code.len() as u32;
    let mut words: Vec<(u32, u32)> = (0..).map(|index| CODE.start + 4 * index).zip(code).collect();
    words.extend((0..).map(|index| KEY_ADDRESS + 4 * index).zip(known.key_words()));
    words.push((PC, CODE.start));
    let memory = with_words(&MemoryTree::default(), &words);
    (Arc::new(Image::new(CODE.start..end, memory)), known)
}

pub fn lui(rd: u32, imm: u32) -> u32 {
    0x37 | rd << 7 | imm & 0xffff_f000
}

pub fn addi(rd: u32, rs1: u32, imm: i32) -> u32 {
    0x13 | rd << 7 | rs1 << 15 | (imm as u32) << 20
}

pub fn lw(rd: u32, rs1: u32, imm: u32) -> u32 {
    0x2003 | rd << 7 | rs1 << 15 | imm << 20
}

pub fn sw(rs1: u32, rs2: u32, imm: u32) -> u32 {
    0x2023 | rs1 << 15 | rs2 << 20 | (imm >> 5) << 25 | (imm & 31) << 7
}

pub fn bne(rs1: u32, rs2: u32, offset: i32) -> u32 {
    let o = offset as u32;
    let fields = (o >> 12 & 1) << 31 | (o >> 5 & 63) << 25 | (o >> 1 & 15) << 8 | (o >> 11 & 1) << 7;
    0x1063 | rs1 << 15 | rs2 << 20 | fields
}
