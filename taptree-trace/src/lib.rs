//! How Bitcoin Script judges what the two sides of a claim have signed.
//!
//! [`lane`] has the messages that an operator signs in a dispute and the challenger's choices, [`turn`] says in which order they
//! are played, [`ots`] are the one-time signatures in a form that Script can read, [`leaf`] the disproof leaves with the trees
//! that hold them, [`gadget`] what their scripts are made of (docs/protocol.md §6, docs/script.md), [`tree`] a Taproot tree
//! of hundreds of leaves. [`interpreter`] runs scripts by the million.

pub mod gadget;
pub mod interpreter;
pub mod lane;
pub mod leaf;
pub mod ots;
pub mod tree;
pub mod turn;
