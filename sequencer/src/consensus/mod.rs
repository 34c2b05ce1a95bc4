//! n = 3f + 1 sequencers that agree on the order of transactions (PROTOCOL §9), up to f of them faulty in any way.
//!
//! The agreement itself is commonware's simplex: leaders rotate, a leader proposes a [`Block`], two rounds of votes
//! make it final. What is ours is an [`Orderer`] for each sequencer, a state machine without I/O but its own store. It
//! says what to propose and what a block is worth, and once a block is final:
//!
//! ```text
//! finalized ─▶ sign Part::digest (BIP 340), on disk ─▶ tell all ─▶ hear a quorum ─▶ the part's certificate
//!        cut ─▶ sign Batch::digest               … the same …                      ─▶ the batch's certificate
//! ```
//!
//! Many blocks make one batch: what each adds is a [`Part`], and its certificate is what a user keeps, at once. A leader
//! *cuts* the batch when Bitcoin has executed all before it, or it is full; the certificate of the whole batch is what
//! makes it count on Bitcoin. The votes that made blocks final are not needed to check either. What must hold,
//! whatever happens:
//!
//! - A sequencer signs one content of a height and of a number, ever. The signature is on disk with the last final block,
//!   in one write, before anybody hears of it; a block that does not follow the last final one stops the sequencer.
//! - Two certificates that cannot both be kept, of parts, of batches, or of a part and a batch that does not have it, take
//!   more than f liars, and are a [`Conflict`], which convinces anybody.
//! - Everything that a block contains could be executed after the state at its [`Anchor`] and the blocks that the state
//!   did not have, in that order. Between anchor and execution a *forced* transaction can still come first and take a
//!   nonce or the coins: a certificate is about the order.
//! - What a user was promised is on disk, and proposed at every turn of the sequencer that promised it, until it is
//!   final, replaced, passed by its account's nonce, or waited for 20,000 blocks.
//!
//! A set ends with the first block that sees, at its anchor, that the next one was announced; the next set's genesis is
//! derived from it. A sequencer that is in both runs an engine for each, on networks of their own, until nothing of the
//! old one is needed; one that joins begins with a [`Handover`].
//!
//! [`start`] wires the engine on any of commonware's runtimes: a test replays hours of faults from a seed. [`serve`]
//! runs it on sockets and files, in a thread of its own.

mod application;
mod block;
mod certificate;
mod certifier;
mod chain;
mod checked;
mod engine;
mod gossip;
mod handover;
mod message;
mod orderer;
mod pool;
mod seal;
mod sockets;
mod store;

pub use application::Shared;
pub use block::{Anchor, Block, HEADER_BYTES};
pub use certificate::{Conflict, Part, Promise};
pub use chain::Verdict;
pub use engine::{Channels, Config, Timings, start};
pub use handover::Handover;
pub use message::{Message, Subject};
pub use orderer::{Answers, Duty, Error, Fate, Orderer};
pub use sockets::{Metrics, Running, Sockets, network_key, serve};
