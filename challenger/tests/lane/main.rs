//! The players of a lane, against each other and against anybody, in memory.
#![allow(missing_docs, reason = "tests are named for the property they hold")]

mod borrowed;
#[path = "../chain/mod.rs"]
mod chain;
mod dispute;
mod games;
mod honest;
mod ledger;
mod liar;
mod lies;
mod referee;
mod restarts;
mod store;
mod toy;
mod wild;
mod wire;
