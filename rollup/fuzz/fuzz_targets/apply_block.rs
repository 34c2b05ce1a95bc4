//! Any block content is applied without a panic, and twice to the same result. Signatures are all taken for valid, so
//! that the fuzzer gets behind them.
//!
//! `cargo +nightly fuzz run apply_block` in `rollup/fuzz`.
#![no_main]

use std::collections::HashMap;
use std::convert::Infallible;

use libfuzzer_sys::fuzz_target;
use trestle_rollup::aggregate::HalfSignature;
use trestle_rollup::block::Block;
use trestle_rollup::native::Rest;
use trestle_rollup::{Digest, Event, Host, Parameters, SignatureCheck, Sink, Txid, apply};

/// A bridge of small numbers.
fn parameters() -> Parameters {
    Parameters {
        committee: [1; 32],
        vault_key: [2; 32],
        denominations: vec![10_000, 20_000],
        withdrawal_fee: 100,
        cooperative_window: 1,
        operator_window: 1,
        grace: 0,
        operators: vec![[3; 32], [4; 32]],
        sequencers: vec![[5; 32]],
        signers: vec![[6; 32]],
        membership_delay: 1,
        genesis_height: 0,
        genesis_hash: [0; 32],
        bridge: [0; 32],
    }
}

#[derive(Clone, Default)]
struct Nodes(HashMap<Digest, (Digest, [u8; 64])>, Vec<Event>);

impl Host for Nodes {
    type Error = &'static str;

    fn preimage(&mut self, digest: &Digest) -> Result<(Digest, [u8; 64]), Self::Error> {
        self.0.get(digest).copied().ok_or("no such node")
    }

    fn verify(&mut self, checks: &[SignatureCheck]) -> Vec<bool> {
        vec![true; checks.len()]
    }

    fn verify_all(&mut self, _: &[SignatureCheck]) -> bool {
        true
    }

    fn verify_aggregate(&mut self, _: &[HalfSignature], _: &[u8; 32]) -> bool {
        true
    }
}

impl Sink for Nodes {
    fn node(&mut self, digest: &Digest, m: &Digest, b: &[u8; 64]) {
        self.0.insert(*digest, (*m, *b));
    }

    fn event(&mut self, event: Event) {
        self.1.push(event);
    }
}

/// Transactions as they come: no hash commits to them.
struct Loose<'a> {
    parent: Digest,
    transactions: std::slice::Iter<'a, Vec<u8>>,
}

impl<'a> Block for Loose<'a> {
    type Error = Infallible;
    type Transaction<'b>
        = Rest<'a>
    where
        Self: 'b;

    fn header(&mut self) -> Result<[u8; 80], Infallible> {
        let mut header = [0; 80];
        header[4..36].copy_from_slice(&self.parent);
        Ok(header)
    }

    fn next_transaction(&mut self) -> Result<Option<Rest<'a>>, Infallible> {
        Ok(self.transactions.next().map(|bytes| Rest::new(bytes, Txid([0; 32]))))
    }
}

fuzz_target!(|blocks: Vec<Vec<Vec<u8>>>| {
    let mut genesis = Nodes::default();
    let mut entry = parameters().genesis(&mut genesis).expect("good parameters");
    let tag = parameters().bridge_tag();
    for mut transactions in blocks {
        // The fuzzer cannot guess the tag; these four bytes stand for it.
        for bytes in &mut transactions {
            while let Some(at) = bytes.windows(4).position(|window| window == b"TRST") {
                bytes[at..at + 4].copy_from_slice(&tag);
            }
        }
        let run = || {
            let (mut host, mut sink) = (genesis.clone(), Nodes::default());
            let mut block = Loose { parent: entry.block_hash, transactions: transactions.iter() };
            let applied = apply(&entry, &mut block, &mut host, &mut sink);
            (applied.expect("apply is total"), sink)
        };
        let ((one, sink), (two, _)) = (run(), run());
        assert_eq!(one, two);
        genesis.0.extend(sink.0);
        entry = one.entry;
    }
});
