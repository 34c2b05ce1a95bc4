#![doc = include_str!("../README.md")]

pub mod book;
pub mod consent;
pub mod event;
mod follower;
mod jobs;
mod keys;
mod lanes;
mod leader;
pub mod machine;
pub mod message;
pub mod musig;
pub mod plan;
pub mod policy;
mod proposals;
pub mod record;
mod results;
pub mod session;
pub mod slots;
pub mod status;
pub mod store;
pub mod view;

pub use book::Progress;
pub use event::{Delivery, Duty, Event, LaneSignatures, Receiver};
pub use machine::{Error, LEADER, Signer};
pub use message::{JobId, Message};
pub use view::{Spend, View, ViewError};
