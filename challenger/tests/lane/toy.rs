//! A small Layer 2: a chain of headers, a state of eight words, and a machine's program of two hundred instructions that
//! judges a step of its history as the guest judges one of the real one.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use bitcoin::secp256k1::{Keypair, Secp256k1};
use trestle_challenger::lane::Preimage;
use trestle_rollup::compress::IV;
use trestle_rollup::{Digest, Entry, SlotId, compress};
use trestle_taptree_trace::lane::{
    Lane, LaneConstants, LaneId, LaneKeys, MessageId, challenger_keys, operator_keys, sign,
};
use trestle_taptree_trace::ots::{SecretSeed, Signature};
use trestle_zkvm_adapter::layout::{KEY_ADDRESS, PAGE_BYTES, PC};
use trestle_zkvm_adapter::{Image, Inputs, Limits, MemoryTree, Preimages, Trace};

/// K.
pub const CONFIRMATIONS: u16 = 2;
/// Entries of the chain.
pub const ENTRIES: u32 = 500;
/// The challengers of the slot; each has a lane.
pub const CHALLENGERS: u16 = 3;
/// The lane of all games in which there is one.
pub const LANE: LaneId = lane_id(2);

const CODE: u32 = 0x1000;
const DATA: u32 = 0x80;

pub const fn lane_id(challenger: u16) -> LaneId {
    LaneId { instance: [1; 32], slot: [1, 2, 3, 4, 5, 6], challenger }
}

pub fn challenger_key(challenger: u16) -> Keypair {
    static KEYS: OnceLock<[Keypair; CHALLENGERS as usize]> = OnceLock::new();
    let key = |challenger| {
        let mut secret = [0; 32];
        secret[31] = 1 + challenger as u8;
        Keypair::from_seckey_slice(&Secp256k1::new(), &secret).unwrap()
    };
    KEYS.get_or_init(|| std::array::from_fn(key))[usize::from(challenger)]
}

pub fn operator_seed() -> SecretSeed {
    SecretSeed::new([7; 32])
}

pub fn challenger_seed() -> SecretSeed {
    SecretSeed::new([8; 32])
}

pub fn lane() -> &'static Lane {
    lane_of(LANE.challenger)
}

/// The lane of a challenger.
pub fn lane_of(challenger: u16) -> &'static Lane {
    static LANES: [OnceLock<Lane>; CHALLENGERS as usize] = [const { OnceLock::new() }; CHALLENGERS as usize];
    LANES[usize::from(challenger)].get_or_init(|| {
        let id = lane_id(challenger);
        let operator = operator_keys(&operator_seed(), &id, CONFIRMATIONS);
        let keys = LaneKeys::new(CONFIRMATIONS, operator, challenger_keys(&challenger_seed(), &id)).unwrap();
        let mut target = [0xff; 32];
        target[31] = 0x7f;
        let constants = LaneConstants {
            checkpoint: entry(0).digest(),
            first_state: image().root(),
            code: image().code.clone(),
            slot: id.slot,
            confirmations: CONFIRMATIONS,
            target,
            challenger: challenger_key(challenger).x_only_public_key().0,
        };
        Lane { keys, constants }
    })
}

/// A claim about entry N, signed. A slot is fulfilled in every even state.
pub fn claim(n: u16, block_hash: &Digest) -> Signature {
    sign(&operator_seed(), &LANE, MessageId::Claim, &[&n.to_be_bytes(), &block_hash[..4]]).unwrap()
}

/// Whether the slot is fulfilled in a state.
pub fn fulfilled(entry: &Entry) -> bool {
    entry.state_root[0] & 1 == 0
}

struct Chain {
    headers: Vec<[u8; 80]>,
    entries: Vec<Entry>,
    unhashed: HashMap<Digest, Preimage>,
}

fn chain() -> &'static Chain {
    static CHAIN: OnceLock<Chain> = OnceLock::new();
    CHAIN.get_or_init(|| {
        let mut chain = Chain { headers: vec![], entries: vec![], unhashed: HashMap::new() };
        let mut before = Entry { block_hash: [7; 32], state_root: [9; 32] };
        for index in 0..ENTRIES {
            let header = child(&before.block_hash, index, true);
            let (hash, preimage) = hashed(&header);
            before = next(&before, &header);
            chain.headers.push(header);
            chain.entries.push(before);
            chain.unhashed.insert(hash, preimage);
        }
        chain
    })
}

pub fn entry(index: u32) -> Entry {
    chain().entries[index as usize]
}

pub fn header(index: u32) -> [u8; 80] {
    chain().headers[index as usize]
}

/// What a digest of the chain is the compression of.
pub fn unhash(digest: &Digest) -> Option<Preimage> {
    chain().unhashed.get(digest).copied()
}

/// A header on top of a block, with enough work or without.
pub fn child(previous: &Digest, number: u32, work: bool) -> [u8; 80] {
    let mut header = [0; 80];
    header[0] = 4;
    header[4..36].copy_from_slice(previous);
    header[36..40].copy_from_slice(&number.to_le_bytes());
    while (hashed(&header).0[31] <= 0x7f) != work {
        header[76] += 1;
    }
    header
}

/// A header's hash, and what it is the compression of.
pub fn hashed(header: &[u8; 80]) -> (Digest, Preimage) {
    let middle = compress(&IV, header[..64].try_into().unwrap());
    let mut last = [0; 64];
    last[..16].copy_from_slice(&header[64..]);
    last[16] = 0x80;
    last[62..].copy_from_slice(&640u16.to_be_bytes());
    let mut again = [0; 64];
    again[..32].copy_from_slice(&compress(&middle, &last));
    again[32] = 0x80;
    again[62..].copy_from_slice(&256u16.to_be_bytes());
    (compress(&IV, &again), (IV, again))
}

/// The entry after a block.
pub fn next(before: &Entry, header: &[u8; 80]) -> Entry {
    let (block_hash, (_, again)) = hashed(header);
    let mut state_root = [0; 32];
    for at in (0..32).step_by(4) {
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let value = word(&before.state_root).wrapping_mul(5).wrapping_add(word(&block_hash));
        state_root[at..at + 4].copy_from_slice(&value.wrapping_add(word(&again)).to_le_bytes());
    }
    Entry { block_hash, state_root }
}

/// Whoever knows the preimages of some blocks besides those of the chain.
#[derive(Clone, Default)]
pub struct Known(pub HashMap<Digest, Preimage>);

impl Preimages for Known {
    fn preimage(&self, digest: &Digest) -> Option<Preimage> {
        unhash(digest).or_else(|| self.0.get(digest).copied())
    }
}

/// What becomes of the machine.
pub fn run(inputs: &Inputs, known: Known) -> Trace {
    assert_eq!(inputs.slot, SlotId::from_bytes(LANE.slot));
    let image = Arc::clone(image());
    Trace::run(image, inputs.words(), Arc::new(known), &Limits::default(), &mut |_| {}).unwrap()
}

fn image() -> &'static Arc<Image> {
    static IMAGE: OnceLock<Arc<Image>> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let code = program();
        let end = CODE + 4 * code.len() as u32;
        let mut pages = [[0; PAGE_BYTES]; 2].map(Box::new);
        for (number, word) in code.iter().enumerate() {
            pages[0][4 * number..4 * number + 4].copy_from_slice(&word.to_le_bytes());
        }
        let at = PC as usize % PAGE_BYTES;
        pages[1][at..at + 4].copy_from_slice(&CODE.to_le_bytes());
        let [code, top] = pages;
        let page = |address: u32| address / PAGE_BYTES as u32;
        let memory = MemoryTree::default().with_pages(vec![(page(CODE), code), (page(PC), top)]);
        Arc::new(Image::new(CODE..end, memory))
    })
}

/// Accepts if step i is right: up to N if entry i follows from entry i − 1 and its block, at N + 1 if the claim holds.
fn program() -> Vec<u32> {
    // The second word rejects.
    let mut code = vec![0x0080_006f, 0x0010_0073];
    let reject = |code: &[u32]| 4 - 4 * code.len() as i32;
    code.extend([input(10, 32), input(11, 33)]);
    code.push(branch(0, 10, 0, reject(&code)));
    let to_claim = code.len();
    code.push(0);
    for word in 0..8 {
        code.extend([input(5, 16 + word), store(5, KEY_ADDRESS + 4 * word)]);
    }
    code.push(addi(9, 0, 6));
    let again = code.len();
    code.extend([store(9, DATA), load(8, DATA), addi(9, 8, -1)]);
    code.push(branch(1, 9, 0, 4 * (again as i32 - code.len() as i32)));
    for word in 0..8 {
        code.extend([addi(6, 0, 8 + word as i32), unhash_word(7, 6), input(5, 8 + word), addi(12, 0, 5)]);
        code.extend([register(0x0200_0000, 5, 5, 12), input(13, 16 + word), register(0, 5, 5, 13)]);
        code.extend([register(0, 5, 5, 7), store(5, DATA + 4 * word), load(5, DATA + 4 * word), input(14, 24 + word)]);
        code.push(branch(1, 5, 14, reject(&code)));
    }
    code.push(0x73);
    code[to_claim] = branch(6, 11, 10, 4 * (code.len() - to_claim) as i32);
    code.push(addi(11, 11, 1));
    code.push(branch(1, 10, 11, reject(&code)));
    code.extend([input(5, 34), input(6, 0)]);
    code.push(branch(1, 5, 6, reject(&code)));
    code.extend([input(5, 8), 0x0012_f293]);
    code.push(branch(1, 5, 0, reject(&code)));
    code.push(0x73);
    code
}

fn input(rd: u32, word: u32) -> u32 {
    0x2b | rd << 7 | word << 20
}

fn unhash_word(rd: u32, rs1: u32) -> u32 {
    0x0b | rd << 7 | rs1 << 15
}

fn addi(rd: u32, rs1: u32, value: i32) -> u32 {
    0x13 | rd << 7 | rs1 << 15 | (value as u32) << 20
}

fn register(kind: u32, rd: u32, rs1: u32, rs2: u32) -> u32 {
    0x33 | kind | rd << 7 | rs1 << 15 | rs2 << 20
}

fn load(rd: u32, address: u32) -> u32 {
    0x2003 | rd << 7 | address << 20
}

fn store(rs2: u32, address: u32) -> u32 {
    0x2023 | rs2 << 20 | (address >> 5) << 25 | (address & 31) << 7
}

fn branch(condition: u32, rs1: u32, rs2: u32, offset: i32) -> u32 {
    let to = offset as u32;
    let fields = (to >> 12 & 1) << 31 | (to >> 5 & 63) << 25 | (to >> 1 & 15) << 8 | (to >> 11 & 1) << 7;
    0x63 | condition << 12 | rs1 << 15 | rs2 << 20 | fields
}

#[test]
fn the_program_judges_the_history() {
    use trestle_zkvm_adapter::{Disputable, Halt};
    let inputs = |index: u32, next: Entry| Inputs {
        previous: entry(index - 1),
        next,
        index,
        claimed: 20,
        block_hash_prefix: entry(20).block_hash[..4].try_into().unwrap(),
        slot: SlotId::from_bytes(LANE.slot),
        confirmations: u32::from(CONFIRMATIONS),
    };
    let accepts = |inputs: &Inputs| run(inputs, Known::default()).halt() == Some(Halt::Accept);
    assert!(accepts(&inputs(20, entry(20))) && accepts(&inputs(1, entry(1))));
    let mut other = entry(20);
    other.state_root[31] ^= 1;
    assert!(!accepts(&inputs(20, other)));
    assert!(!accepts(&inputs(20, entry(19))));
    assert_eq!(accepts(&inputs(21, entry(0))), fulfilled(&entry(20)));
    assert!(!accepts(&inputs(22, entry(22))));
}
