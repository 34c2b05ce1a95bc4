//! Written by the sequencer's helper; see lib.rs.
