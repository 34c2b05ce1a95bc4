//! The Layer 2 function, from outside.
#![allow(missing_docs, reason = "tests are named for the property they hold")]

mod administration;
mod batches;
mod encodings;
mod mints;
mod schnorr;
mod support;
mod tree;
mod withdrawals;
