//! Every leaf's script accepts what its native mirror refutes, and nothing else.
//!
//! `cargo +nightly fuzz run judge_leaf` in `taptree-trace/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trestle_taptree_trace_fuzz::judge_leaf(bytes));
