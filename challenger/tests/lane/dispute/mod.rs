//! Both sides of a lane on a chain of real transactions, which Bitcoin Core's code judges.

mod chain;
mod edges;
mod ends;
mod fates;
mod hands;
mod hostile;
mod table;
mod world;
