//! Trestle: cli.
