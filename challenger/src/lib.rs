#![doc = include_str!("../README.md")]

pub mod dispute;
mod error;
pub mod lane;
mod need;
pub mod operator;
mod phase;
mod signatures;
mod statement;
pub mod view;
pub mod watchtower;

pub use error::Error;
pub use need::Need;
pub use view::{ChainView, Mined, View, ViewError};

/// Whether a block at `height` has K blocks on top of it when the tip is at `tip`: then it is settled.
pub(crate) fn is_deep(height: u32, confirmations: u16, tip: u32) -> bool {
    tip >= height && tip - height >= u32::from(confirmations)
}
