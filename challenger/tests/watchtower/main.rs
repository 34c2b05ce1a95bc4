//! The watchtower, against the real ledger and real graphs on synthetic blocks.
#![allow(missing_docs, reason = "tests are named for the property they hold")]

mod chain;
#[path = "../lanes/mod.rs"]
mod lanes;
mod simulation;
mod transitions;
mod world;
