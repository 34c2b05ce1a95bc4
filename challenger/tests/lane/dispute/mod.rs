//! Both sides of a slot's lanes on a chain of real transactions.

mod adversaries;
mod edges;
mod ends;
mod hands;
mod hostile;
mod network;
pub mod simulation;
mod table;
mod world;
