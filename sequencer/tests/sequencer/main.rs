//! The sequencer, against the real ledger on synthetic blocks.
#![allow(missing_docs, reason = "tests are named for the property they hold")]

mod simulation;
mod support;
mod transitions;
