//! The connection between a challenger and an operator: TCP, Noise, and the keys by which the bridge knows them.
//!
//! ```text
//!  challenger j                                                            operator i
//!  runtime ─ ask ─▶ line ──────── TCP, one connection ────────▶ door ─▶ inbox ─▶ runtime
//!     ▲                │  Noise_NN: two ephemeral keys, h           │                │
//!     │                │  j, BIP 340 of (h, j asks i)  ──▶          │                │
//!     │                │               ◀──  BIP 340 of (h, i answers j)              │
//!     └── inbox ◀──────┘  request ──▶          ◀── response ────────┘◀── reply ──────┘
//! ```
//!
//! Runtimes are synchronous; sockets live on a thread of their own ([`Network`]), and an [`Inbox`] is all that is between: a
//! request comes out of it with the challenger that was authenticated, and is replied to once; a response comes out of
//! it for every [`Network::ask`], or why there is none, after a bounded time.
//!
//! The handshake names nobody; each side then signs its hash, with both names in it, by its key in the bridge's parameters. Whom that
//! keeps out, why it is not another construction, and what a peer can cost is in docs/protocol.md §8; the bounds are [`Limits`].

mod channel;
mod client;
mod error;
mod identity;
mod inbox;
mod limits;
mod message;
mod server;

pub use channel::Channel;
pub use client::Network;
pub use error::Error;
pub use identity::{Identity, Role, authenticate_challenger, authenticate_operator};
pub use inbox::{Asked, Event, Heard, Inbox};
pub use limits::Limits;
pub use message::{Request, Response};

#[cfg(test)]
mod tests;
