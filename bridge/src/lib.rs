//! The transactions of the bridge, and access to the chain they live on.

pub mod chain;
pub mod connector;
pub mod follow;
pub mod job;
pub mod parameters;
pub mod transactions;
pub mod wallet;
pub mod watch;
