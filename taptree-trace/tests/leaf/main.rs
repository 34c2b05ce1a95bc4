//! The disproof leaves: no honest operator can be hit by one, and every lie by some.

mod bodies;
mod honest;
mod semantics;
mod semantics_steps;
mod world;
