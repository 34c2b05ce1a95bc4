//! Trestle: challenger.
