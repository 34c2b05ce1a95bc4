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
//! **Whom it is proof against.** Somebody on the wire who reads, changes, delays, replays and drops whatever he wants, and anybody who
//! connects. The handshake is Noise's NN, in which nobody is named, and is as such open to a man in the middle. So each side then
//! signs, with its key in the bridge's parameters, the hash of all that was said in the handshake
//! ([`identity`]). Who relays between two handshakes of his own has two hashes, and a signature is of one; a hash that was there before
//! has an ephemeral key that was. Both names are signed, so nobody is taken for another, and the role, so that no
//! signature is reflected. The challenger is first: a stranger learns nothing from an operator but an ephemeral key. What is recorded cannot be read later with
//! the bridge's keys. *Not* hidden is who speaks with whom, how much and when; and whoever drops everything causes a stall, after which
//! the lane is played on chain.
//!
//! **Why not static Noise keys** (XK, or IK, with a key that the bridge's certifies): they would be one more secret a role, with a
//! certificate that has to be found, to be renewed and to be believed; and to use the bridge's own keys for Diffie-Hellman would put
//! the keys that coins are bound to into a second protocol. The bridge's keys sign here under a tag of their own.
//!
//! **What a stranger costs.** 32 and 82 bytes are read of who has not shown who he is, at a deadline for both together; of such connections the
//! oldest gives way when there are too many, so that it takes more than connecting to keep others out. Afterwards one connection a challenger, the
//! last; one request at a time; frames have a limit by their kind that follows from the lane, and a deadline once they have begun.

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
