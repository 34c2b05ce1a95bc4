//! Reading blocks by preimages of their hashes: the same as by their bytes, and an end to it whatever the answers.

use bitcoin::Block as BitcoinBlock;
use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash as _;
use proptest::prelude::*;
use trestle_rollup::block::Block as _;
use trestle_rollup::compress::IV;
use trestle_rollup::native::{RawBlock, RawBlockError};
use trestle_rollup::preimages::{Place, UnhashedBlock, Unreadable, Why};
use trestle_rollup::{Digest, Host, Parameters, apply};

use crate::blocks::read_all;
use crate::support::chain::{GENESIS_HASH, assemble};
use crate::support::memory::{Memory, Recorder};
use crate::support::shapes::{self, Shapes, busy, other_commitment, rehash, without_witnesses};
use crate::support::unhash::{Preimages, Unknown};
use crate::support::{Bridge, account, mainnet, outpoint, plain};

/// Reads a block both ways; its transactions' number.
fn read_both_ways(name: &str, block: &BitcoinBlock) -> usize {
    let bytes = serialize(block);
    let mut raw = RawBlock::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    let preimages = Preimages::of(&raw);
    let mut unhashed = UnhashedBlock::new(block.block_hash().to_byte_array(), &preimages);
    assert_eq!(unhashed.header(), Ok(raw.header().unwrap()), "{name}");
    let mut count = 0;
    while let Some(transaction) = raw.next_transaction().unwrap() {
        let read = unhashed.next_transaction().unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let read = read.map(read_all);
        assert!(read == Some(read_all(transaction)), "{name}: transaction {count}");
        count += 1;
    }
    assert!(unhashed.next_transaction().unwrap().is_none(), "{name}");
    assert!(unhashed.next_transaction().unwrap().is_none(), "{name}: the end stays the end");
    assert!(!preimages.asked.borrow().contains(&[0; 32]), "{name}: the coinbase's zero wtxid was asked for");
    count
}

fn all_are_read(shapes: Shapes) {
    for (name, block) in shapes {
        assert_eq!(read_both_ways(&name, &block), block.txdata.len() - 1, "{name}");
    }
}

#[test]
fn every_shape_of_tree_is_read() {
    all_are_read(shapes::trees());
}

#[test]
fn a_coinbase_as_long_as_a_node_is_the_coinbase() {
    all_are_read(shapes::small_coinbases());
}

#[test]
fn the_last_of_several_commitments_counts() {
    all_are_read(shapes::commitments());
    let mut block = busy(&Bridge::default());
    let other = other_commitment(&block, |script| script[20] ^= 1);
    block.txdata[0].output.push(other);
    let bytes = serialize(&rehash(block));
    assert_eq!(RawBlock::parse(&bytes).unwrap_err(), RawBlockError::Witnesses);
}

#[test]
fn a_transaction_as_large_as_a_block_is_read() {
    all_are_read(shapes::large());
}

#[test]
fn a_real_block_is_read_alike() {
    assert_eq!(read_both_ways("mainnet", &mainnet::block()), mainnet::block().txdata.len() - 1);
}

/// The same entry and nodes by bytes and libsecp256k1, and by preimages of the block's hash and k256.
#[test]
fn a_block_read_by_preimages_alone_gives_the_same_entry() {
    let bridge = Bridge::default();
    let parameters = Parameters {
        genesis_hash: mainnet::block().header.prev_blockhash.to_byte_array(),
        ..bridge.parameters.clone()
    };
    let without_witness =
        assemble(GENESIS_HASH, 101, 0, vec![plain(outpoint(1), vec![]), bridge.mint(1, account(0), 1)]);
    let rows = [
        (busy(&bridge), &bridge.parameters),
        (without_witnesses(without_witness), &bridge.parameters),
        (mainnet::block(), &parameters),
    ];
    for (block, parameters) in rows {
        let mut native = Memory::new(parameters);
        let mut guest = native.clone();
        let raw = serialize(&block);
        native.extend(&raw);
        let preimages = Preimages::of(&RawBlock::parse(&raw).unwrap());
        let mut unhashed = UnhashedBlock::new(block.block_hash().to_byte_array(), &preimages);
        let mut recorder = Recorder::default();
        let applied = apply(&guest.entry, &mut unhashed, &mut guest.nodes, &mut recorder).unwrap();
        assert_eq!(applied.entry, native.entry);
        assert_eq!(applied.height, 101);
        assert!(recorder.nodes.iter().all(|(digest, node)| native.nodes.0.get(digest) == Some(node)));
    }
}

/// Reads all of a block; how many transactions.
fn read<H: Host>(hash: Digest, source: H) -> Result<usize, Unreadable<H::Error>> {
    let mut block = UnhashedBlock::new(hash, source);
    block.header()?;
    let mut count = 0;
    while block.next_transaction()?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[test]
fn a_preimage_that_nobody_knows_is_named() {
    let block = busy(&Bridge::default());
    let raw = serialize(&block);
    let preimages = Preimages::of(&RawBlock::parse(&raw).unwrap());
    let hash = block.block_hash().to_byte_array();
    assert_eq!(read(hash, &preimages), Ok(5));
    let asked = preimages.asked.borrow().clone();
    assert!(asked.len() > 40);
    for digest in preimages.known.keys() {
        let mut some = preimages.clone();
        some.known.remove(digest);
        let result = read(hash, &some);
        if asked.contains(digest) {
            let error = result.unwrap_err();
            assert_eq!((error.digest, error.why), (*digest, Why::Source(Unknown(*digest))));
        } else {
            assert_eq!(result, Ok(5));
        }
    }
}

/// A liar: digests are numbers, and what is said to be hashed is made up.
struct Liar<F> {
    /// The message of SHA-256d under a number.
    message: F,
    /// Spoils (m, b) of a digest: its number and which block of the walk, counted from the end; 0 is the outer hash.
    spoil: fn(u64, u64, &mut (Digest, [u8; 64])),
    asked: u64,
    /// The last message, padded, and its number.
    last: Option<(u64, Vec<u8>)>,
}

fn digest(number: u64, step: u64) -> Digest {
    let mut digest = [0x11; 32];
    digest[..8].copy_from_slice(&number.to_le_bytes());
    digest[8..16].copy_from_slice(&step.to_le_bytes());
    digest
}

fn pad(mut message: Vec<u8>) -> Vec<u8> {
    let bits = message.len() as u64 * 8;
    message.push(0x80);
    message.resize((message.len() + 8).next_multiple_of(64), 0);
    message.last_chunk_mut::<8>().unwrap().copy_from_slice(&bits.to_be_bytes());
    message
}

fn honest(_: u64, _: u64, _: &mut (Digest, [u8; 64])) {}

impl<F: FnMut(u64) -> Vec<u8>> Host for &mut Liar<F> {
    type Error = Unknown;

    fn preimage(&mut self, asked: &Digest) -> Result<(Digest, [u8; 64]), Unknown> {
        self.asked += 1;
        let number = u64::from_le_bytes(asked[..8].try_into().unwrap());
        let step = u64::from_le_bytes(asked[8..16].try_into().unwrap());
        let mut answer = (IV, [0; 64]);
        if step == 0 {
            answer.1[..32].copy_from_slice(&digest(number, 1));
            (answer.1[32], answer.1[62]) = (0x80, 1);
        } else {
            let padded = match self.last.take() {
                Some((last, padded)) if last == number => padded,
                _ => pad((self.message)(number)),
            };
            let blocks = padded.as_chunks::<64>().0;
            let Some(at) = blocks.len().checked_sub(step as usize) else {
                return Err(Unknown(*asked));
            };
            answer.1 = blocks[at];
            if at > 0 {
                answer.0 = digest(number, step + 1);
            }
            self.last = Some((number, padded));
        }
        (self.spoil)(number, step, &mut answer);
        Ok(answer)
    }
}

/// A header over a tree of `depth` full levels, whose leaves hash `leaf` and whose first the coinbase: under number 0
/// the header, under n the node n of the tree, counted from 1 level by level.
fn tree(depth: u32, leaf: &[u8]) -> impl FnMut(u64) -> Vec<u8> {
    let leaf = leaf.to_vec();
    move |number| match number {
        0 => [&[7; 36][..], &digest(1, 0), &[7; 12]].concat(),
        _ if number == 1 << depth => {
            let input = [&[2, 0, 0, 0, 1][..], &[0; 32], &[0xff; 4], &[2, 1, 1], &[0xff; 4]].concat();
            [&input[..], &[1], &[0; 8], &[1, 0x51], &[0; 4]].concat()
        }
        _ if number < 1 << depth => [digest(2 * number, 0), digest(2 * number + 1, 0)].concat(),
        _ => leaf.clone(),
    }
}

#[test]
fn whatever_the_answers_reading_ends() {
    type Spoil = fn(u64, u64, &mut (Digest, [u8; 64]));
    let row = |depth: u32, leaf: &[u8], spoil: Spoil| {
        let mut liar = Liar { message: tree(depth, leaf), spoil, asked: 0, last: None };
        let result = read(digest(0, 0), &mut liar).map_err(|error| (error.place, error.why));
        (result, liar.asked)
    };
    // What an honest host says of the largest tree.
    assert_eq!(row(3, &[5; 100], honest).0, Ok(7));
    let (all, asked) = row(15, &[5; 60], honest);
    assert_eq!((all, asked < 300_000), (Ok(32767), true), "{asked}");
    // One level more, and a tree without an end.
    assert_eq!(row(16, &[5; 60], honest).0, Err((Place::LeftSpine, Why::NoCoinbase)));
    assert_eq!(row(60, &[5; 60], honest), (Err((Place::LeftSpine, Why::NoCoinbase)), 2 * 3 + 16 * 3));
    // Transactions that are together longer than a block: the last has a byte too many.
    assert_eq!(row(1, &[5; 4_000_000], honest).0, Ok(1));
    assert_eq!(row(1, &[5; 4_000_001], honest).0, Err((Place::Transaction, Why::Length { bytes: 4_000_001 })));
    assert_eq!(row(2, &[5; 1_333_333], honest).0, Ok(3));
    assert_eq!(row(2, &[5; 1_333_334], honest).0, Err((Place::Transaction, Why::Length { bytes: 1_333_334 })));

    // Fixed points: the chaining value before a block is the digest after it.
    let (all, asked) = row(1, &[5; 200], |number, step, answer| {
        if number == 3 && step == 2 {
            answer.0 = digest(3, 2);
        }
    });
    assert_eq!((all, asked), (Err((Place::Transaction, Why::Start)), 2 * 3 + 3 + 3 + 3 + 1 + 4));
    // The initial value where more blocks must follow, and none where it must be.
    let rows: [(Spoil, Place, Why<Unknown>); 10] = [
        (|number, step, answer| answer.0[5] ^= u8::from(number == 0 && step == 0), Place::Header, Why::Start),
        (|number, step, answer| answer.0[5] ^= u8::from(number == 0 && step == 2), Place::Header, Why::Start),
        (|number, step, answer| answer.1[33] ^= u8::from(number == 0 && step == 0), Place::Header, Why::Padding),
        (|number, step, answer| answer.1[63] ^= u8::from(number == 0 && step == 0), Place::Header, Why::Padding),
        (|number, step, answer| answer.1[63] ^= u8::from(number == 0 && step == 1), Place::Header, Why::Padding),
        (|number, step, answer| answer.1[16] ^= u8::from(number == 0 && step == 1), Place::Header, Why::Padding),
        (|number, step, answer| answer.1[40] ^= u8::from(number == 0 && step == 1), Place::Header, Why::Padding),
        (
            |number, step, answer| answer.1[62] ^= u8::from(number == 0 && step == 1),
            Place::Header,
            Why::Length { bytes: 80 ^ 32 },
        ),
        (
            |number, step, answer| answer.1[56] ^= u8::from(number == 3 && step == 1) << 7,
            Place::Transaction,
            Why::Length { bytes: 200 | 1 << 60 },
        ),
        (
            |number, step, answer| answer.0 = if number == 3 && step == 1 { IV } else { answer.0 },
            Place::Transaction,
            Why::Start,
        ),
    ];
    for (number, (spoil, place, why)) in rows.into_iter().enumerate() {
        let (result, _) = row(1, &[5; 200], spoil);
        assert_eq!(
            result.map_err(|(place, why)| (place, format!("{why:?}"))),
            Err((place, format!("{why:?}"))),
            "{number}"
        );
    }
}

proptest! {
    /// Answers that are nobody's preimages of anything.
    #[test]
    fn a_host_that_answers_anything_is_read_to_an_end(
        depth in 0..6u32,
        leaf in prop::collection::vec(any::<u8>(), 0..300),
        spoils in prop::collection::vec((0..70u64, 0..4u64, 0..96usize, any::<u8>()), 0..12),
        again in any::<prop::sample::Index>(),
    ) {
        // A node under a second number, and some bytes of some answers changed.
        let mut tree = tree(depth, &leaf);
        let again = again.index(1 << (depth + 1)) as u64;
        let message = |number| tree(if number == again { number / 2 } else { number });
        let mut liar = Spoiled { liar: Liar { message, spoil: honest, asked: 0, last: None }, spoils };
        let _ = read(digest(0, 0), &mut liar);
        prop_assert!(liar.liar.asked < 300_000);
    }
}

/// A liar that changes bytes of its answers: which digest's, which byte, by which xor.
struct Spoiled<F> {
    liar: Liar<F>,
    spoils: Vec<(u64, u64, usize, u8)>,
}

impl<F: FnMut(u64) -> Vec<u8>> Host for &mut Spoiled<F> {
    type Error = Unknown;

    fn preimage(&mut self, asked: &Digest) -> Result<(Digest, [u8; 64]), Unknown> {
        let (mut m, mut b) = (&mut self.liar).preimage(asked)?;
        for (number, step, at, xor) in &self.spoils {
            if *asked == digest(*number, *step) {
                *m.iter_mut().chain(&mut b).nth(*at).unwrap() ^= xor;
            }
        }
        Ok((m, b))
    }
}
