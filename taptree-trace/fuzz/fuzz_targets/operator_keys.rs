//! Any bytes are the keys of a lane if and only if they are as many, without a panic.
//!
//! `cargo +nightly fuzz run operator_keys` in `taptree-trace/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trestle_taptree_trace_fuzz::operator_keys(bytes));
