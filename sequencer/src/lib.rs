#![doc = include_str!("../README.md")]

pub mod consensus;
mod history;
mod mempool;
mod receipt;
mod sequencer;
mod store;

pub use mempool::Policy;
pub use receipt::{Failure, Receipt, Rejection};
pub use sequencer::{Duty, Error, Event, Sequencer};
pub use store::StoreError;
