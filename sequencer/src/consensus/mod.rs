//! n = 3f + 1 sequencers that agree on the order of transactions (PROTOCOL §9), up to f of them faulty in any way.
//!
//! The agreement itself is commonware's simplex: leaders rotate, a leader proposes a [`Block`], two rounds of votes
//! make it final. What is ours is an [`Orderer`] for each sequencer, a state machine without I/O but its own store. It
//! says what to propose and what a block is worth, and once a block is final:
//!
//! ```text
//! finalized ─▶ sign Batch::digest (BIP 340), on disk ─▶ tell all ─▶ hear a quorum ─▶ the batch's certificate
//! ```
//!
//! The certificate is what a user keeps, and what makes the batch count on Bitcoin: the votes that made the block final
//! are not needed to check it. What must hold, whatever happens:
//!
//! - A sequencer signs one content of a number, ever. The signature is on disk with the last final block, in one write,
//!   before anybody hears of it; a block that does not follow the last final one stops the sequencer.
//! - Two certificates of one number for different contents take more than f liars, and are a [`Conflict`], which
//!   convinces anybody.
//! - Everything that a batch contains could be executed after the state at its block's [`Anchor`] and the batches that
//!   the state did not have, in that order. Between anchor and execution a *forced* transaction can still come first
//!   and take a nonce or the coins: a certificate is about the order of batches.
//! - What a user was promised is on disk, and proposed at every turn of the sequencer that promised it, until it is
//!   final, replaced, passed by its account's nonce, or waited for 20,000 blocks.
//!
//! A block is a batch. An empty one, which a leader proposes after waiting in vain, is none and has no number.
//!
//! [`start`] wires the engine on any of commonware's runtimes: a test replays hours of faults from a seed. [`serve`]
//! runs it on sockets and files, in a thread of its own.

mod application;
mod block;
mod certificate;
mod certifier;
mod chain;
mod engine;
mod gossip;
mod message;
mod orderer;
mod pool;
mod sockets;
mod store;

pub use application::Shared;
pub use block::{Anchor, Block, HEADER_BYTES};
pub use certificate::{Conflict, is_certified};
pub use chain::Verdict;
pub use engine::{Channels, Config, Timings, start};
pub use message::Message;
pub use orderer::{Answers, Duty, Error, Fate, Orderer};
pub use sockets::{Running, Sockets, network_key, serve};
