//! The disproof leaves: each can be satisfied only if the operator has signed something false.
//!
//! A leaf is a [`Disproof`]. Its script is, in this order ([`script`]):
//!
//! 1. the challenger's `CHECKSIGVERIFY`: nobody else can spend it;
//! 2. the operator's signatures of the messages that the leaf [reads](Disproof::reads), verified, which leaves their
//!    digits on the stack ([`crate::ots::script_read`]);
//! 3. its [body](Disproof::body), the lie: it goes on only if what was signed is false;
//! 4. what drops the rest of the stack and leaves 1.
//!
//! The body starts from the [`Frame`]: the [unsigned items](Disproof::hint_count) at the bottom, above them the digits of
//! each message, in the order of `reads`, and of each message the first digit deepest. Fields are found by name in their
//! [`crate::ots::Layout`]; a position is counted from the bottom of the frame and so does not change while the
//! body works above it. A body may consume what it likes and says how many items it leaves ([`Body`]).
//!
//! A leaf has a native mirror: [`Disproof::refutes`] says whether what was signed is the lie, and gives the unsigned
//! items. Finding a leaf is asking all of them. Mirror and script must agree on everything that can be signed; the tests
//! of a leaf show it.
//!
//! To plug leaves in: implement [`Disproof`] for a type, return all values of it from one function, and list them in
//! the tree to which they belong.

mod address;
mod body;
mod bottom;
mod compare;
mod edge;
mod family;
mod fork;
mod frame;
mod hash;
mod link;
mod padding;
mod said;
mod script;
pub mod semantics;
mod size;
mod tree;
mod twice;

use std::fmt;

pub use address::Target;
pub use body::{Body, Writer};
pub use bottom::Bottom;
pub use compare::{Edge, difference, digits_of, is_at_place, item};
pub use edge::Boundary;
pub use family::Family;
pub use fork::Fork;
pub use frame::Frame;
pub use hash::Hash;
pub use link::Link;
pub use padding::Padding;
pub use said::{Position, Said};
pub use script::{LeafError, script, witness};
pub use size::Size;
pub use tree::{Found, LaneTree, LaneTreeError, Tree};
pub use twice::Twice;

use crate::lane::{LaneConstants, MessageId};

/// A disproof leaf.
pub trait Disproof: fmt::Debug + Send + Sync {
    /// Its name, as in docs/protocol.md, unique in a lane.
    fn name(&self) -> String;

    /// The name that it shares with leaves which differ from it in a place, a header or a message alone.
    fn family(&self) -> String {
        self.name()
    }

    /// What the operator lied about if a leaf of the family can be satisfied, in one sentence.
    fn lie(&self) -> String;

    /// The messages whose signatures it verifies, the one whose digits lie deepest first.
    fn reads(&self) -> Vec<MessageId>;

    /// How many unsigned items whoever spends it puts below the signatures. A body has to check what it takes of
    /// them: they are anything that Script can hold.
    fn hint_count(&self) -> usize {
        0
    }

    /// The lie.
    fn body(&self, frame: &Frame, constants: &LaneConstants) -> Body;

    /// The unsigned items, if what was signed is the lie; `None` if it is not, or something it reads is not signed yet.
    fn refutes(&self, said: &Said<'_>) -> Option<Vec<Vec<u8>>>;
}
