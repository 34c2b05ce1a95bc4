//! The devnet: a whole bridge on regtest that goes on running, for a person to use from another terminal.

mod backend;
mod deposits;
mod world;

pub use backend::Served;
pub use world::{Error, World};
