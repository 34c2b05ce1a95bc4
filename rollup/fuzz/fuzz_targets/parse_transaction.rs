//! Any bytes are read as a transaction without a panic, twice to the same result; and what is
//! read as one of the Layer 2's encodings is written back as the same bytes.
//!
//! `cargo +nightly fuzz run parse_transaction` in `rollup/fuzz`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trestle_rollup::block::summarize;
use trestle_rollup::native::Rest;
use trestle_rollup::compact::Posted;
use trestle_rollup::{Account, Batch, Membership, SignedTransaction, Tag, Txid};

fuzz_target!(|input: ([u8; 4], Vec<u8>)| {
    let (tag, bytes) = input;
    let summary = summarize(Rest::new(&bytes, Txid([0; 32])), tag);
    assert_eq!(summary, summarize(Rest::new(&bytes, Txid([0; 32])), tag));
    if let Some(transaction) = SignedTransaction::decode(&bytes) {
        assert_eq!(transaction.encode(), bytes);
    }
    if let Some(batch) = Batch::decode(&bytes) {
        assert_eq!(batch.encode(), bytes);
    }
    if let Some(change) = Membership::decode(&bytes) {
        assert_eq!(change.encode(), bytes);
    }
    if let Some(posted) = Posted::decode(&bytes) {
        let account = |index: u32| Ok::<_, ()>((index % 2 == 0).then_some(Account([1; 32])));
        assert!(posted.open(&[0; 32], account).is_ok());
    }
    if let Some(read) = Tag::payload(&bytes, tag).and_then(Tag::decode) {
        assert_eq!(read.script(tag), bytes);
    }
});
