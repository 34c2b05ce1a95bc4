//! Trestle: taptree-trace.
