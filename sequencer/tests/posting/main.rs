//! How certified batches get to Bitcoin, against the real ledger on synthetic blocks.
#![allow(missing_docs, reason = "tests are named for the property they hold")]

mod posters;
mod simulation;
#[allow(dead_code, reason = "shared with the tests of the agreement")]
mod support;
mod transitions;
