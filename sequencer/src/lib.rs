//! Trestle: sequencer.
