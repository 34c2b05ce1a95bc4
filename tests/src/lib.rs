//! Trestle: tests.
