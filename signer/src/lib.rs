//! Trestle: signer.
pub mod musig;
pub mod record;
pub mod request;
pub mod store;
