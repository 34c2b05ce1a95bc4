//! No block content makes `apply` panic, or gives two results.

use bitcoin::consensus::encode::serialize;
use proptest::prelude::*;
use trestle_rollup::block::{Block, TransactionBytes, summarize};
use trestle_rollup::envelope::Kind;
use trestle_rollup::native::{RawBlock, Rest};
use trestle_rollup::{AdminOperation, Txid, apply};

use crate::support::memory::{Memory, Recorder};
use crate::support::{Bridge, account, destination, key, mainnet, outpoint, plain, x_only};

/// A block of arbitrary byte strings, which no hash commits to.
struct Loose {
    parent: [u8; 32],
    transactions: std::vec::IntoIter<Vec<u8>>,
    /// How many bytes are read at most at once, and how many transactions come before an error.
    chunk: usize,
}

struct Bytes(Vec<u8>, usize, usize);

impl Block for Loose {
    type Error = &'static str;
    type Transaction<'a> = Bytes;

    fn header(&mut self) -> Result<[u8; 80], Self::Error> {
        let mut header = [0; 80];
        header[4..36].copy_from_slice(&self.parent);
        Ok(header)
    }

    fn next_transaction(&mut self) -> Result<Option<Bytes>, Self::Error> {
        Ok(self.transactions.next().map(|bytes| Bytes(bytes, 0, self.chunk)))
    }
}

impl TransactionBytes for Bytes {
    type Error = &'static str;

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        let mut done = 0;
        while done < buffer.len() && self.1 < self.0.len() {
            let count = self.2.min(buffer.len() - done).min(self.0.len() - self.1);
            buffer[done..done + count].copy_from_slice(&self.0[self.1..self.1 + count]);
            (done, self.1) = (done + count, self.1 + count);
        }
        Ok(done)
    }

    fn skip(&mut self, count: u64) -> Result<u64, Self::Error> {
        let count = count.min((self.0.len() - self.1) as u64);
        self.1 += count as usize;
        Ok(count)
    }

    fn txid(&self) -> Txid {
        Txid([0; 32])
    }
}

/// One of each kind that concerns the bridge, and every 40th transaction of a real block.
fn seeds(bridge: &Bridge) -> Vec<Vec<u8>> {
    let mut annex = bridge.forced(8, &bridge.transfer(0, 1, 7, 0, 2));
    annex.input[0].witness.push([0x50, 1]);
    let operator = AdminOperation::SetOperator { index: 2, key: x_only(&key("new", 0)) };
    let change = bridge.membership(1, &[("new", 0)], &[0, 1, 2], &[0, 1, 2]);
    let ours = [
        bridge.mint(1, account(0), 1),
        bridge.mint(2, account(1), 0),
        bridge.batch(
            3,
            0,
            &[bridge.transfer(0, 1, 500, 3, 0), bridge.withdraw(0, 0, 1, 1), bridge.withdraw(1, 0, 0, 0)],
        ),
        bridge.forced(4, &bridge.withdraw(1, 0, 0, 0)),
        bridge.payout(5, 0, destination(0), 0, None),
        bridge.payout(
            6,
            1,
            destination(1),
            0,
            Some(trestle_rollup::SlotId { operator: 1, denomination: 0, serial: 9 }),
        ),
        bridge.admin(7, operator),
        bridge.envelope(9, Kind::Membership, change.encode()),
        annex,
        plain(outpoint(10), vec![]),
    ];
    let real = mainnet::block();
    ours.iter().chain(real.txdata[1..].iter().step_by(40)).map(serialize).collect()
}

/// One way to spoil a byte string.
#[derive(Clone, Debug)]
enum Mutation {
    Set(prop::sample::Index, u8),
    Truncate(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Copy(prop::sample::Index, prop::sample::Index),
    Remove(prop::sample::Index),
}

fn mutations() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    let bytes = prop_oneof![any::<u8>(), Just(0), Just(0xfd), Just(0xfe), Just(0xff), Just(0x4c), Just(0x68)];
    prop_oneof![
        4 => (index(), bytes).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        1 => index().prop_map(Mutation::Truncate),
        1 => (index(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        1 => (index(), index()).prop_map(|(from, to)| Mutation::Copy(from, to)),
        1 => index().prop_map(Mutation::Remove),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match mutation {
        Mutation::Set(at, byte) => bytes[at.index(length)] = *byte,
        Mutation::Truncate(at) => bytes.truncate(at.index(length)),
        Mutation::Insert(at, new) => drop(bytes.splice(at.index(length)..at.index(length), new.iter().copied())),
        Mutation::Copy(from, to) => bytes[to.index(length)] = bytes[from.index(length)],
        Mutation::Remove(at) => drop(bytes.remove(at.index(length))),
    }
}

/// Applies the byte strings as one block after a first block of honest ones, twice, in different ways.
fn run(bridge: &Bridge, honest: &[Vec<u8>], transactions: Vec<Vec<u8>>) {
    let mut layer = Memory::new(&bridge.parameters);
    let loose = |transactions: Vec<Vec<u8>>, chunk| Loose {
        parent: bridge.parameters.genesis_hash,
        transactions: transactions.into_iter(),
        chunk,
    };
    let all: Vec<_> = honest.iter().cloned().chain(transactions).collect();
    let mut apply_once = |chunk| {
        let mut recorder = Recorder::default();
        let applied = apply(&layer.entry, &mut loose(all.clone(), chunk), &mut layer.nodes, &mut recorder);
        (applied.expect("apply is total"), recorder.events, recorder.nodes)
    };
    let (one, two) = (apply_once(usize::MAX), apply_once(3));
    assert_eq!(one, two);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn mutated_transactions_are_skipped_or_done_but_never_panic(
        chosen in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(mutations(), 0..4)), 1..6),
    ) {
        let bridge = Bridge::default();
        let seeds = seeds(&bridge);
        let transactions = chosen.iter().map(|(seed, mutations)| {
            let mut bytes = seeds[seed.index(seeds.len())].clone();
            mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
            bytes
        });
        let honest = if chosen.len() % 2 == 0 { &seeds[..3] } else { &[] };
        run(&bridge, honest, transactions.collect());
    }

    #[test]
    fn random_bytes_never_panic(transactions in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8)) {
        run(&Bridge::default(), &[], transactions);
    }

    #[test]
    fn a_mutated_block_is_refused_or_applied(
        chosen in prop::collection::vec(mutations(), 1..6),
    ) {
        let bridge = Bridge::default();
        let block = crate::support::chain::assemble(bridge.parameters.genesis_hash, 101, 0, vec![bridge.mint(1, account(0), 0)]);
        let mut raw = serialize(&block);
        chosen.iter().for_each(|mutation| mutate(&mut raw, mutation));
        let mut layer = Memory::new(&bridge.parameters);
        if let Ok(mut block) = RawBlock::parse(&raw) {
            let _ = apply(&layer.entry, &mut block, &mut layer.nodes, &mut ());
        }
    }
}

/// Lengths and counts that lie as far as they can, at every place where a length may be.
#[test]
fn lying_lengths_end_with_the_bytes() {
    let bridge = Bridge::default();
    for seed in seeds(&bridge).iter().take(10) {
        for at in 0..seed.len().min(400) {
            for lie in [
                &[0xff; 9][..],
                &[0xfe, 0xff, 0xff, 0xff, 0xff],
                &[0xfd, 0xff, 0xff],
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            ] {
                let bytes = [&seed[..at], lie, &seed[at..]].concat();
                summarize(Rest::new(&bytes, Txid([0; 32])), bridge.tag).unwrap();
            }
        }
    }
}

/// 4 MB of chunks in one envelope are kept; more than a block could hold are not.
#[test]
fn the_largest_envelope_is_read_and_a_larger_one_skipped() {
    use trestle_rollup::block::Action;
    let bridge = Bridge::default();
    for (length, fits) in
        [(trestle_rollup::envelope::MAX_PAYLOAD, true), (trestle_rollup::envelope::MAX_PAYLOAD + 1, false)]
    {
        let transaction = bridge.envelope(1, trestle_rollup::envelope::Kind::Batch, vec![7; length]);
        let bytes = serialize(&transaction);
        let summary = summarize(Rest::new(&bytes, Txid([0; 32])), bridge.tag).unwrap();
        let payload = summary.map(|summary| match summary.action {
            Action::Envelope(envelope) => envelope.payload.len(),
            Action::Tag(_) => 0,
        });
        assert_eq!(payload, fits.then_some(length));
    }
}
