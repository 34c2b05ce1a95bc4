//! The lane, as far as Script is concerned: which messages there are, whose keys sign them, and what was signed.
//!
//! The operator signs [messages](MessageId) of 4-bit digits ([`crate::ots`]), the challenger [choices](ChoiceId). A lane
//! has three searches (PROTOCOL §7): over the entries of the history, over the states of a trace, and over the nodes of
//! a path of the memory tree. In round r of a search the operator signs the three values that cut the current
//! interval into quarters, and the challenger chooses the quarter to enter. After the last round the interval is
//! [k, k + 1], where the choices are the base-4 digits of k, the first choice the highest. The operator then opens that
//! step, and k with it.
//!
//! So the value at k was signed in round r at place q if digit r of k is q, not 0, and all later digits are 0; the value
//! at k + 1 if digit r is q − 1 and all later digits are 3 ([`Search::place_of`]). The values at the ends are signed by
//! nobody; they are constants or what has been opened before.
//!
//! # Paths
//!
//! The path of an access is searched from level 0, the 32-byte leaf of the memory tree, to level 64 = 4^3, the root that
//! the step opening names (`trestle_zkvm_adapter::opening`). Levels 1–26 are nodes; from 27 on each stands for the
//! root. The node opening for [l, l + 1] is the node at level l with the one beside it, whole, and which of the two is
//! right. For l < 27 they make the value at l + 1 by C; above they are it.
//!
//! A search needs one side of the interval to be true and the other false. For a read: true at the root, false at the
//! leaf. For a write the challenger looks for the highest level at which not both are so: the old node is true, the new
//! one is false. Truth comes to old nodes from above (24 bytes of a digest bind all that it was made of) and to new ones
//! from below, where they are inputs of C; so **new nodes are signed whole** in the rounds.

mod arity;
mod choice;
mod constants;
mod finder;
mod key_bytes;
mod keys;
mod message;
mod moves;
mod transcript;

pub use arity::{Arity, LeafShape};
pub use choice::{ChoiceId, ChoiceKey, SignedChoice};
pub use constants::LaneConstants;
pub use finder::{disputed_access, holds, quarter};
pub use key_bytes::{KeyBytesError, OperatorKeys};
pub use keys::{LaneId, LaneKeys, LaneKeysError, challenger_keys, operator_keys};
pub use message::{CUT_DIGITS, DIGEST_DIGITS, End, HeaderPart, MessageId, PLACES, Place, Search, Side};
pub use moves::{Move, MoveError, ReadMove, choice_script};
pub use transcript::{Statements, Transcript, TranscriptError, choose, sign};

/// What the scripts of a lane are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The one-time keys of both sides.
    pub keys: LaneKeys,
    /// What nobody has to sign.
    pub constants: LaneConstants,
}
