//! n = 3f + 1 sequencers that agree on the order of transactions (PROTOCOL §9).

mod application;
mod block;
mod certificate;
mod certifier;
mod engine;
mod gossip;
mod message;
mod orderer;
mod pool;
mod store;

pub use application::Shared;
pub use block::{Anchor, Block, HEADER_BYTES};
pub use certificate::{Conflict, is_certified};
pub use engine::{Channels, Config, Timings, start};
pub use message::Message;
pub use orderer::{Duty, Error, Fate, Orderer, Verdict};
