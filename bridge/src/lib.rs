#![doc = include_str!("../README.md")]

pub mod chain;
pub mod connector;
pub mod follow;
pub mod job;
pub mod lane;
pub mod parameters;
pub mod transactions;
pub mod wallet;
