//! The Layer 2 function, from outside.
#![allow(missing_docs, reason = "tests are named for the property they hold")]

mod administration;
mod aggregate;
mod batches;
mod blocks;
mod compact;
mod conformance;
mod crash;
mod encodings;
mod history;
mod membership;
mod mints;
mod preimages;
mod robustness;
mod schnorr;
mod supply;
mod support;
mod tree;
mod withdrawals;
