//! Where the roles run: the demo, the devnet, the commands of the one binary, `trestle`.

pub mod amount;
pub mod args;
pub mod commands;
pub mod demo;
pub mod devnet;
pub mod figures;
pub mod network;
pub mod output;
pub mod regtest;
pub mod rpc;
pub mod runtime;
pub mod sequencer;
pub mod user;
