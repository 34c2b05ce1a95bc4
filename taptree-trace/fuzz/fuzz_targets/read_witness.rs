//! Any items are read as a move or a signature if and only if Script accepts them, without a panic.
//!
//! `cargo +nightly fuzz run read_witness` in `taptree-trace/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trestle_taptree_trace_fuzz::read_witness(bytes));
