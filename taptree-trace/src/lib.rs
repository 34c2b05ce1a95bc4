//! How Bitcoin Script judges what the two sides of a claim have signed.
//!
//! So far this is one part: [`ots`], the one-time signatures by which an operator commits to what it
//! claims in a form that Script can read (docs/protocol.md, one-time signatures).

pub mod gadget;
pub mod interpreter;
pub mod lane;
pub mod leaf;
pub mod ots;
pub mod tree;
