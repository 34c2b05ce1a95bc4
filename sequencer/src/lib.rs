#![doc = include_str!("../README.md")]

pub mod consensus;
mod history;
mod policy;
pub mod poster;
mod receipt;
mod store;

pub use history::receipt;
pub use policy::Policy;
pub use poster::Poster;
pub use receipt::{Failure, Receipt, Rejection};
pub use store::StoreError;
