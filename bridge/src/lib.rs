//! Trestle: bridge.
