//! How Bitcoin Script judges what the two sides of a claim have signed.
//!
//! [`ots`] are the one-time signatures, [`gadget`] what Script computes, [`lane`] what is signed in a lane, [`turn`] in which
//! order, [`leaf`] the disproofs, [`tree`] the Taproot trees that hold them, [`interpreter`] a tapscript interpreter.

pub mod gadget;
pub mod interpreter;
pub mod lane;
pub mod leaf;
pub mod ots;
pub mod tree;
pub mod turn;
