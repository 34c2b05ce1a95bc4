//! Many sequencers, on commonware's deterministic runtime and simulated network.
#![allow(missing_docs, reason = "tests are named for the property they hold")]

mod changes;
mod cluster;
mod faults;
mod forgetting;
mod process;
mod sets;
mod simulation;
mod sockets;
#[allow(dead_code, reason = "shared with the tests of posting")]
#[path = "../posting/support/mod.rs"]
mod support;
mod transitions;
