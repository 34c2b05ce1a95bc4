//! The operator, against the real ledger and real graphs on synthetic blocks.
#![allow(missing_docs, reason = "tests are named for the property they hold")]

#[path = "../chain/mod.rs"]
mod chain;
#[path = "../../../signer/tests/support/lanes.rs"]
mod lanes;
mod lifecycle;
mod simulation;
mod steps;
mod transitions;
mod world;
