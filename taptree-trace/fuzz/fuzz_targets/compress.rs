//! C(m, b) in Script is C(m, b).
//!
//! `cargo +nightly fuzz run compress` in `taptree-trace/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trestle_taptree_trace_fuzz::compress(bytes));
