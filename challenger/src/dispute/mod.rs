//! A lane on the chain: what the [players](crate::lane) of a claim that was contested broadcast, and when.
//!
//! ```text
//!             Ask ─▶ answer ─▶ receive                       off chain, for as long as the operator answers
//! LaneWatchtower ◀──────────▶ LaneOperator
//!       │ tip(view) ─▶ duties     │ tip(view) ─▶ duties       on chain: one transaction a turn
//!       ▼                         ▼
//!  Challenge, its steps,      its moves, OperatorWins,
//!  Disproved, Slash, WinOnly  NoShow
//! ```
//!
//! At every tip all is worked out anew from the chain ([`Standing`]) and from what the players have on disk, so a restart or a
//! reorganization needs no code of its own. Nothing is broadcast before it is valid in the next block, and nothing that the chain
//! has already. What is not mined when half of the time for it is over is bumped.
//!
//! A challenger signs no choice before the claim is K deep, or another claim might take its place; nor one that rests on a block
//! which is there and not K deep ([`lane::Testimony`](crate::lane::Testimony) says why). On blocks that are not there no choice
//! rests: who says anything about them has made it up.

mod board;
mod duty;
mod error;
mod hostile;
mod operator;
mod settled;
mod settlement;
mod standing;
mod watchtower;

pub use board::Board;
pub use duty::{Duty, Purpose};
pub use error::Error;
pub use hostile::{Cell, Hostile, HostileLane, Twice, Way};
pub use operator::LaneOperator;
pub use settlement::{Played, Settlement};
pub use standing::{End, Reader, Standing};
pub use watchtower::LaneWatchtower;
