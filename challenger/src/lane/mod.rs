//! The two players of one lane (PROTOCOL §7), as state machines that know no transactions.
//!
//! ```text
//!             Ask { choices, wanted }                   off chain: in seconds
//!  Challenger ───────────────────────▶ Defender
//!             ◀─────────────────────── (the operator)
//!             Answer { signatures }
//!
//!             Turn, Shown ─▶ Action                     on chain: one transaction a turn
//!  Challenger ─────────────┐         ┌───── Defender
//!                          ▼         ▼
//!                     the lane's output
//! ```
//!
//! Whoever drives a player tells it what came from the other side, or which [turn](trestle_taptree_trace::turn::Turn) the
//! lane's output waits for and what the lane's transactions have signed, and carries out what it says. What a side says, or
//! knows, is its [`Testimony`]. Players wait for nothing and forget nothing: what they have signed is on disk before
//! they return it, a question may be put again at any time, and the same signatures answer it.
//!
//! When to ask again, when to give up on an answer and go on chain, and whether block h0 + N is deep enough for a challenger to
//! choose at all, is for the driver to decide: players know no time.

mod challenger;
mod defender;
mod error;
mod ledger;
mod path;
mod sayings;
mod shown;
mod store;
mod testimony;
mod truth;
mod wire;

pub use challenger::{Challenger, Next};
pub use defender::Defender;
pub use error::Error;
pub use ledger::LedgerTestimony;
pub use path::{leading, signed_by};
pub use shown::{Action, Disproof, Play, Shown};
pub use testimony::{Preimage, Testimony, TestimonyError};
pub use wire::{Answer, Ask, Question, SignatureBytes, WireError};
