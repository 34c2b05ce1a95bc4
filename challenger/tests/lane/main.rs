//! The players of a lane, against each other and against anybody, in memory.
#![allow(missing_docs, reason = "tests are named for the property they hold")]

mod borrowed;
mod dispute;
mod games;
mod honest;
mod ledger;
mod liar;
mod lies;
mod referee;
mod restarts;
mod simulation;
mod store;
mod toy;
mod wild;
mod wire;
