//! Written by a second helper; see lib.rs.
