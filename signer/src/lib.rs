//! Trestle: signer.
