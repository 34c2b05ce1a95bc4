//! Reading blocks by their bytes: all that the block's hash commits to, and nothing else.

use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash as _;
use trestle_rollup::block::{Action, Block as _, TransactionBytes, summarize};
use trestle_rollup::native::{RawBlock, RawBlockError};

use crate::support::shapes::busy;
use crate::support::{Bridge, destination, mainnet};

pub(crate) fn read_all(mut bytes: impl TransactionBytes<Error: std::fmt::Debug>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 1000];
    loop {
        let count = bytes.read(&mut buffer).unwrap();
        all.extend_from_slice(&buffer[..count]);
        if count < buffer.len() {
            return all;
        }
    }
}

#[test]
fn a_real_block_is_read_as_rust_bitcoin_reads_it() {
    let block = mainnet::block();
    let mut raw = RawBlock::parse(mainnet::RAW).unwrap();
    assert_eq!(raw.hash(), block.block_hash().to_byte_array());
    assert_eq!(raw.previous(), block.header.prev_blockhash.to_byte_array());
    for transaction in &block.txdata[1..] {
        let bytes = raw.next_transaction().unwrap().unwrap();
        assert_eq!(bytes.txid().0, transaction.compute_txid().to_byte_array());
        assert_eq!(read_all(bytes), serialize(transaction));
    }
    assert!(raw.next_transaction().unwrap().is_none());
}

#[test]
fn a_summary_of_a_real_transaction_is_what_rust_bitcoin_reads() {
    let (block, bridge) = (mainnet::block(), Bridge::default());
    let mut found = 0;
    for transaction in &block.txdata[1..] {
        // Made ours by a tag in output 1; without one there is nothing to say.
        let mut tagged = transaction.clone();
        let tag = bridge.payout(0, 7, destination(0), 0, None).output.remove(1);
        tagged.output.truncate(1);
        tagged.output.push(tag);
        for (transaction, ours) in [(transaction, false), (&tagged, true)] {
            let bytes = serialize(transaction);
            let rest = trestle_rollup::native::Rest::new(&bytes, transaction.compute_txid().into());
            let summary = summarize(rest, bridge.tag).unwrap();
            assert_eq!(summary.is_some(), ours);
            let Some(summary) = summary else { continue };
            assert_eq!(bitcoin::OutPoint::from(summary.input), transaction.input[0].previous_output);
            assert_eq!(summary.sequence, transaction.input[0].sequence.to_consensus_u32());
            assert_eq!(summary.payment.0, transaction.output[0].value.to_sat());
            let script = transaction.output[0].script_pubkey.as_bytes();
            assert_eq!(
                summary.payment.1.as_ref().map(|script| script.as_bytes()),
                (script.len() <= 34).then_some(script)
            );
            assert!(matches!(summary.action, Action::Tag(Some(_))));
            found += 1;
        }
    }
    assert_eq!(found, block.txdata.len() - 1);
}

#[test]
fn a_block_is_refused_if_its_bytes_are_not_those_of_its_hash() {
    type Change = fn(&mut bitcoin::Block);
    let rows: &[(&str, RawBlockError, Change)] = &[
        ("a transaction left out", RawBlockError::MerkleRoot, |block| drop(block.txdata.pop())),
        ("transactions swapped", RawBlockError::MerkleRoot, |block| block.txdata.swap(1, 2)),
        ("an output changed", RawBlockError::MerkleRoot, |block| {
            block.txdata[1].output[0].value += bitcoin::Amount::ONE_SAT
        }),
        ("a witness changed", RawBlockError::Witnesses, |block| {
            block.txdata[3].input[0].witness.push([1]);
        }),
        ("all witnesses taken away", RawBlockError::Witnesses, |block| {
            block.txdata.iter_mut().flat_map(|tx| &mut tx.input).for_each(|input| input.witness.clear());
        }),
        ("another reserved value", RawBlockError::Witnesses, |block| {
            block.txdata[0].input[0].witness = bitcoin::Witness::from_slice(&[[1u8; 32]]);
        }),
        ("witnesses and no commitment", RawBlockError::Witnesses, |block| {
            block.txdata[0].output.pop();
            block.header.merkle_root = block.compute_merkle_root().unwrap();
        }),
        ("no coinbase", RawBlockError::NoCoinbase, |block| {
            block.txdata.remove(0);
            block.header.merkle_root = block.compute_merkle_root().unwrap();
        }),
        ("nothing", RawBlockError::NoCoinbase, |block| block.txdata.clear()),
        // CVE-2012-2459: the last transactions again, with the same root.
        ("repeated transactions", RawBlockError::MerkleRoot, |block| {
            block.txdata.pop();
            block.txdata[0].output.pop();
            block.txdata.iter_mut().flat_map(|tx| &mut tx.input).for_each(|input| input.witness.clear());
            block.txdata.truncate(3);
            block.header.merkle_root = block.compute_merkle_root().unwrap();
            block.txdata.push(block.txdata[2].clone());
            assert_eq!(block.compute_merkle_root(), Some(block.header.merkle_root));
        }),
    ];
    let block = busy(&Bridge::default());
    assert!(RawBlock::parse(&serialize(&block)).is_ok());
    for (name, error, change) in rows {
        let mut block = block.clone();
        change(&mut block);
        assert_eq!(RawBlock::parse(&serialize(&block)).unwrap_err(), *error, "{name}");
    }
}

#[test]
fn a_block_that_ends_early_or_late_is_malformed() {
    let raw = serialize(&busy(&Bridge::default()));
    for length in 0..raw.len() {
        assert!(RawBlock::parse(&raw[..length]).is_err(), "{length}");
    }
    let longer = [&raw[..], &[0]].concat();
    assert!(matches!(RawBlock::parse(&longer), Err(RawBlockError::Malformed(_))));
}
