//! How fast a node follows: `cargo bench -p trestle-rollup`. One JSON line a figure.
//!
//! * `rollup.apply`: 10,000 signed transfers between 1,000 accounts, in one block of five batches, through
//!   [`Ledger::extend`]: signatures checked, the state hashed, and everything on disk when it returns.
//! * `rollup.mainnet_block_seconds`: a real block of 1.4 MB, in which nothing concerns the bridge, the same way.
//!
//! Each figure is the median of several runs, each in a fresh database.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod support;

use std::time::Instant;

use bitcoin::hashes::Hash as _;
use support::chain::Chain;
use support::{Bridge, account, mainnet};
use trestle_rollup::{Event, Ledger, Parameters, SignedTransaction};

const ACCOUNTS: usize = 1_000;
const TRANSFERS: usize = 10_000;
const BATCHES: usize = 5;
const RUNS: usize = 7;

fn main() {
    let transfers = median(RUNS, transfers());
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let rate = TRANSFERS as f64 / transfers;
    println!(r#"{{"name":"rollup.apply","value":{rate:.0},"unit":"tx/s"}}"#);
    let seconds = median(RUNS, mainnet_block());
    println!(r#"{{"name":"rollup.mainnet_block_seconds","value":{seconds:.6},"unit":"s"}}"#);
}

fn median(runs: usize, mut run: impl FnMut() -> f64) -> f64 {
    let mut seconds: Vec<_> = (0..runs).map(|_| run()).collect();
    seconds.sort_by(f64::total_cmp);
    seconds[runs / 2]
}

/// A ledger in a new database on disk.
fn ledger(parameters: &Parameters) -> (tempfile::TempDir, Ledger) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&sled::open(directory.path()).unwrap(), parameters).unwrap();
    (directory, ledger)
}

fn transfers() -> impl FnMut() -> f64 {
    let bridge = Bridge::default();
    let mut chain = Chain::default();
    let mints = (0..)
        .zip(0..ACCOUNTS)
        .map(|(deposit, user)| bridge.mint(deposit, account(user), 2))
        .collect();
    let funding = chain.block(mints);
    let transfer = |index: usize| {
        let (from, to) = (index % ACCOUNTS, (index * 7 + 1) % ACCOUNTS);
        bridge.transfer(from, to, 1_000, 10, (index / ACCOUNTS) as u64)
    };
    let signed: Vec<SignedTransaction> = (0..TRANSFERS).map(transfer).collect();
    let batches = (0u32..).zip(signed.chunks(TRANSFERS / BATCHES));
    let batches = batches
        .map(|(number, signed)| bridge.batch(1_000_000 + number, number.into(), signed))
        .collect();
    let block = chain.block(batches);
    move || {
        let (_directory, ledger) = ledger(&bridge.parameters);
        ledger.extend(&funding).unwrap();
        let start = Instant::now();
        let events = ledger.extend(&block).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        let done = events
            .iter()
            .filter(|event| matches!(event, Event::Transferred { .. }))
            .count();
        assert_eq!(done, TRANSFERS);
        seconds
    }
}

fn mainnet_block() -> impl FnMut() -> f64 {
    let genesis_hash = mainnet::block().header.prev_blockhash.to_byte_array();
    let parameters = Parameters {
        genesis_hash,
        ..Bridge::default().parameters
    };
    move || {
        let (_directory, ledger) = ledger(&parameters);
        let start = Instant::now();
        let events = ledger.extend(mainnet::RAW).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(events, []);
        seconds
    }
}
