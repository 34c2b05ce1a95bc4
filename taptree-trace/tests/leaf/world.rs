//! Honest operators, and what they sign: a history around a claim, steps of every kind, their paths, and headers.

use std::ops::Range;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, RngCore, SeedableRng};
use trestle_rollup::compress::IV;
use trestle_rollup::{Digest, Entry, compress};
use trestle_taptree_trace::lane::{End, HeaderPart, LaneConstants, MessageId, Place, Search, Side, Statements};
use trestle_zkvm_adapter::layout::{HALT_ACCEPT, HALT_REJECT, PAGE_BYTES, PC, TOP_PAGE, register_address};
use trestle_zkvm_adapter::opening::{Access, Opening, StepOpening};
use trestle_zkvm_adapter::step::{Constants, Preimages, step};
use trestle_zkvm_adapter::{Inputs, MemoryTree};

/// Where code is in these tests.
pub const CODE: Range<u32> = 0x0001_0000..0x0004_2000;
/// K.
pub const CONFIRMATIONS: u16 = 2;
/// Steps of a trace.
pub const STEPS: u64 = 1 << 44;

pub fn constants() -> LaneConstants {
    LaneConstants {
        checkpoint: digest(b"checkpoint", 0),
        first_state: digest(b"first state", 0),
        code: CODE,
        slot: [1, 2, 3, 4, 5, 6],
        confirmations: CONFIRMATIONS,
        target: target(),
        challenger: "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".parse().unwrap(),
    }
}

/// One of two headers has less work than this.
fn target() -> [u8; 32] {
    let mut target = [0xff; 32];
    target[31] = 0x7f;
    target
}

/// Some digest.
pub fn digest(name: &[u8], number: u64) -> Digest {
    let mut block = [0; 64];
    block[..name.len()].copy_from_slice(name);
    block[56..].copy_from_slice(&number.to_be_bytes());
    compress(&IV, &block)
}

/// Signs a message.
pub fn say(statements: &mut Statements, id: MessageId, fields: &[&[u8]]) {
    statements.add(id, id.layout().encode(fields).unwrap());
}

/// Signs a message of one field, a number.
pub fn say_number(statements: &mut Statements, id: MessageId, number: u64) {
    let bytes = id.layout().message_digits().div_ceil(2);
    say(statements, id, &[&number.to_be_bytes()[8 - bytes..]]);
}

/// The indices of the values that are signed in the rounds of a search which ends at [k, k + 1], with their places.
pub fn rounds(search: Search, k: u64) -> impl Iterator<Item = (Place, u64)> {
    search.places().map(move |place| {
        let below = 2 * u32::from(search.rounds() - 1 - place.round);
        (place, (k >> (below + 2) << 2 | u64::from(place.place)) << below)
    })
}

/// What an honest operator knows of the history.
#[derive(Clone, Copy, Debug)]
pub struct History {
    /// N.
    pub claimed: u64,
}

impl History {
    pub fn parts(&self, index: u64) -> Entry {
        if index > self.claimed {
            return Entry { block_hash: [0; 32], state_root: [0; 32] };
        }
        Entry { block_hash: header_hash(&header(index)), state_root: digest(b"state", index) }
    }

    pub fn entry(&self, index: u64) -> Digest {
        if index > self.claimed { HALT_ACCEPT } else { self.parts(index).digest() }
    }

    /// The constants of a lane in which this is the history.
    pub fn constants(&self) -> LaneConstants {
        LaneConstants { checkpoint: self.entry(0), ..constants() }
    }

    pub fn inputs(&self, j: u64) -> Inputs {
        Inputs {
            previous: self.parts(j),
            next: self.parts(j + 1),
            index: j as u32 + 1,
            claimed: self.claimed as u32,
            block_hash_prefix: self.parts(self.claimed).block_hash[..4].try_into().unwrap(),
            slot: trestle_rollup::SlotId::from_bytes(constants().slot),
            confirmations: u32::from(CONFIRMATIONS),
        }
    }

    /// The claim, the rounds and the block opening, of the step from entry j to j + 1.
    pub fn statements(&self, j: u64) -> Statements {
        let mut said = Statements::default();
        let inputs = self.inputs(j);
        let claimed = u16::try_from(self.claimed).unwrap().to_be_bytes();
        say(&mut said, MessageId::Claim, &[&claimed, &inputs.block_hash_prefix]);
        for (place, index) in rounds(Search::History, j) {
            say(&mut said, MessageId::History(place), &[&self.entry(index)[..24]]);
        }
        say_number(&mut said, MessageId::BlockIndex, j);
        for (end, index, parts) in [(End::Previous, j, inputs.previous), (End::Next, j + 1, inputs.next)] {
            say(&mut said, MessageId::BlockEntry(end), &[&self.entry(index)[..24]]);
            say(&mut said, MessageId::BlockHash(end), &[&parts.block_hash]);
            say(&mut said, MessageId::BlockRoot(end), &[&parts.state_root]);
        }
        said
    }

    /// The headers of a fork on top of entry j; beyond the claim those of any blocks.
    pub fn say_headers(&self, said: &mut Statements, j: u64) {
        let first = if j < self.claimed { j + 1 } else { 1 };
        for number in 0..=CONFIRMATIONS {
            say_header(said, number, &header(first + u64::from(number)));
        }
    }
}

/// The header of a block, with enough work.
pub fn header(index: u64) -> [u8; 80] {
    // The chain is as deep as a history, and every header needs the one before.
    static CHAIN: std::sync::Mutex<Vec<[u8; 80]>> = std::sync::Mutex::new(Vec::new());
    let mut chain = CHAIN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    while chain.len() as u64 <= index {
        let mut header = [0; 80];
        header[0] = 4;
        header[4..36].copy_from_slice(&chain.last().map_or([7; 32], header_hash));
        header[36..68].copy_from_slice(&digest(b"transactions", chain.len() as u64));
        while header_hash(&header)[31] > 0x7f {
            header[76] += 1;
        }
        chain.push(header);
    }
    chain[index as usize]
}

/// The three values of a header's three compressions.
pub fn header_values(header: &[u8; 80]) -> [Digest; 3] {
    let middle = compress(&IV, header[..64].try_into().unwrap());
    let mut last = [0; 64];
    last[..16].copy_from_slice(&header[64..]);
    last[16] = 0x80;
    last[62..].copy_from_slice(&640u16.to_be_bytes());
    let inner = compress(&middle, &last);
    let mut again = [0; 64];
    again[..32].copy_from_slice(&inner);
    again[32] = 0x80;
    again[62..].copy_from_slice(&256u16.to_be_bytes());
    [middle, inner, compress(&IV, &again)]
}

pub fn header_hash(header: &[u8; 80]) -> Digest {
    header_values(header)[2]
}

pub fn say_header(said: &mut Statements, number: u16, header: &[u8; 80]) {
    let [middle, inner, hash] = header_values(header);
    let parts: [&[u8]; 6] = [&header[..32], &header[32..64], &header[64..], &middle, &inner, &hash];
    for (part, bytes) in HeaderPart::ALL.into_iter().zip(parts) {
        say(said, MessageId::Header(number, part), &[bytes]);
    }
}

/// Signs the rounds of a trace and the step opening at k. All states but the two are made up.
pub fn say_step(said: &mut Statements, k: u64, opening: &StepOpening) {
    let StepOpening { roots, words, leaf } = opening;
    let state = |index| match index {
        _ if index == k => roots.before,
        _ if index == k + 1 => roots.after,
        _ => digest(b"trace", index),
    };
    for (place, index) in rounds(Search::Trace, k) {
        say(said, MessageId::Trace(place), &[&state(index)[..24]]);
    }
    say_number(said, MessageId::StepIndex, k);
    say(said, MessageId::StepBefore, &[&roots.before[..24]]);
    say(said, MessageId::StepMiddle, &[&roots.written[..24]]);
    say(said, MessageId::StepAfter, &[&roots.after[..24]]);
    let words = [words.pc, words.instruction, words.rs1, words.rs2, words.address, words.value, words.next_pc];
    let words = words.map(u32::to_be_bytes);
    say(said, MessageId::StepLog, &words.each_ref().map(|word| &word[..]));
    say(said, MessageId::StepLeaf, &[leaf]);
}

/// Signs the rounds of a path and the node opening at a level.
pub fn say_node(said: &mut Statements, opening: &Opening, access: Access, level: usize) {
    let written = matches!(access, Access::Write | Access::WritePc);
    let search = if written { Search::Write } else { Search::Read };
    for (place, index) in rounds(search, level as u64) {
        let (old, new) = opening.standing(access, index as usize);
        match new {
            None => say(said, MessageId::Read(place), &[&old[..24]]),
            Some(new) => {
                say(said, MessageId::Write(place, Side::Old), &[&old[..24]]);
                say(said, MessageId::Write(place, Side::New), &[&new]);
            }
        }
    }
    let node = opening.node(access, level).node;
    let position: [&[u8]; 3] = [&[access as u8], &[level as u8], &[u8::from(node.right)]];
    match node.new_child {
        None => {
            say(said, MessageId::ReadPosition, &position);
            say(said, MessageId::ReadChild, &[&node.child]);
            say(said, MessageId::ReadSibling, &[&node.sibling]);
        }
        Some(new) => {
            say(said, MessageId::WritePosition, &position);
            say(said, MessageId::WriteChild(Side::Old), &[&node.child]);
            say(said, MessageId::WriteChild(Side::New), &[&new]);
            say(said, MessageId::WriteSibling, &[&node.sibling]);
        }
    }
}

/// A step with the preimage that it may need.
#[derive(Clone, Debug)]
pub struct Step {
    pub opening: Opening,
    pub preimage: (Digest, [u8; 64]),
}

struct Known((Digest, [u8; 64]));

impl Preimages for Known {
    fn preimage(&self, _: &Digest) -> Option<(Digest, [u8; 64])> {
        Some(self.0)
    }
}

/// Words that are instructions of every kind, and some that are none.
const WORDS: [u32; 62] = [
    0x0000_0037,
    0x1234_50b7,
    0xffff_f597,
    0x0000_106f,
    0xffdf_f0ef,
    0x0080_80e7,
    0x0001_1067,
    0x00b5_0463,
    0xfeb5_1ee3,
    0x00b5_4463,
    0x00b5_5463,
    0x00b5_6463,
    0x00b5_7463,
    0x00b5_2463,
    0x0045_0583,
    0x0045_1583,
    0x0045_2583,
    0x0045_4583,
    0x0045_5583,
    0x0045_3583,
    0x00b5_0223,
    0x00b5_1223,
    0x00b5_2223,
    0x00b5_3223,
    0xfff5_0593,
    0x0015_1593,
    0x4015_5593,
    0x0015_5593,
    0x4015_1593,
    0x0015_2593,
    0x0015_3593,
    0x0015_4593,
    0x00b5_0633,
    0x40b5_0633,
    0x00b5_1633,
    0x00b5_2633,
    0x00b5_3633,
    0x00b5_4633,
    0x00b5_5633,
    0x40b5_5633,
    0x00b5_6633,
    0x00b5_7633,
    0x02b5_0633,
    0x02b5_1633,
    0x02b5_2633,
    0x02b5_3633,
    0x02b5_4633,
    0x02b5_5633,
    0x02b5_6633,
    0x02b5_7633,
    0x04b5_0633,
    0x0000_000f,
    0x0000_100f,
    0x0000_0073,
    0x0010_0073,
    0x3000_2073,
    0x0005_058b,
    0x0015_058b,
    0x0000_05ab,
    0xffff_ffff,
    0x0000_0f80,
    0x0000_0000,
];

impl Step {
    /// A step of any kind, from a real state.
    pub fn random(rng: &mut StdRng, inputs: &Inputs) -> Self {
        let mut word = if rng.gen_ratio(9, 10) { *WORDS.choose(rng).unwrap() } else { rng.r#gen() };
        if word == 0x5ab {
            // INPUT of any word, or of none.
            word |= rng.gen_range(0..40) << 20;
        } else if rng.gen_ratio(1, 3) {
            // Other registers.
            word ^= [rng.gen_range(0..32) << 7, rng.gen_range(0..32) << 15, rng.gen_range(0..32) << 20]
                .choose(rng)
                .unwrap();
        }
        let pc = match rng.gen_range(0..10) {
            0 => *[0, 2, CODE.start - 4, CODE.end, PC, 0xffff_fffc, 0xffff_fffd].choose(rng).unwrap(),
            1 => rng.gen_range(CODE),
            _ => rng.gen_range(CODE) & !3,
        };
        let preimage: (Digest, [u8; 64]) = (rng.r#gen(), std::array::from_fn(|_| rng.r#gen()));
        let mut memory = Writing::default();
        for register in 1..32 {
            let value = match rng.gen_range(0..6) {
                0 => 0,
                1 => rng.gen_range(0..40),
                2 => rng.gen_range(CODE),
                3 => *[0x7fff_ffff, 0x8000_0000, 0xffff_ffff, TOP_PAGE, PC].choose(rng).unwrap(),
                4 => rng.r#gen::<u32>() & !3,
                _ => rng.r#gen(),
            };
            memory.put(register_address(register), &value.to_le_bytes());
        }
        memory.put(PC, &pc.to_le_bytes());
        memory.put(0x20, &compress(&preimage.0, &preimage.1));
        let around = memory.word(register_address(word >> 15 & 31));
        let somewhere: [u8; 96] = std::array::from_fn(|_| rng.r#gen());
        if around < TOP_PAGE - 128 && around > 128 {
            memory.put((around - 32) & !31, &somewhere);
        }
        if pc & !3 < TOP_PAGE {
            memory.put(pc & !3, &word.to_le_bytes());
        }
        let memory = memory.tree();
        let inputs = inputs.words();
        let constants = Constants { code: &CODE, inputs: &inputs, preimages: &Known(preimage) };
        let made = step(&memory, &constants).unwrap();
        Self { opening: Opening::of_step(1, &memory, &made), preimage }
    }

    /// A step from a halted state.
    pub fn halted(rng: &mut StdRng) -> Self {
        let state = if rng.r#gen() { HALT_ACCEPT } else { HALT_REJECT };
        Self { opening: Opening::of_halted(1, state, &CODE), preimage: ([0; 32], [0; 64]) }
    }
}

/// A memory that is being written.
#[derive(Default)]
struct Writing(std::collections::BTreeMap<u32, Box<[u8; PAGE_BYTES]>>);

impl Writing {
    fn put(&mut self, address: u32, bytes: &[u8]) {
        for (address, byte) in (address..).zip(bytes) {
            let page = self.0.entry(address / PAGE_BYTES as u32).or_insert_with(|| Box::new([0; PAGE_BYTES]));
            page[address as usize % PAGE_BYTES] = *byte;
        }
    }

    fn word(&self, address: u32) -> u32 {
        let at = address as usize % PAGE_BYTES;
        let page = self.0.get(&(address / PAGE_BYTES as u32));
        page.map_or(0, |page| u32::from_le_bytes(page[at..at + 4].try_into().unwrap()))
    }

    fn tree(self) -> MemoryTree {
        MemoryTree::default().with_pages(self.0.into_iter().collect())
    }
}

/// Random numbers of a test.
pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Another value than this one, with the same length.
pub fn corrupt(rng: &mut StdRng, bytes: &[u8]) -> Vec<u8> {
    let mut other = bytes.to_vec();
    while other == bytes {
        match rng.gen_range(0..3) {
            0 => rng.fill_bytes(&mut other),
            _ => other[rng.gen_range(0..bytes.len())] ^= 1 << rng.gen_range(0..8),
        }
    }
    other
}
