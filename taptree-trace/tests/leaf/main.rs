//! The disproof leaves: no honest operator can be hit by one, and every lie by some.

mod bodies;
mod cases;
mod cells;
mod core;
mod disputes;
mod fields;
mod forgeries;
mod honest;
mod kinds;
mod lies;
mod moves;
mod opcodes;
mod scripts;
mod semantics;
mod semantics_core;
mod semantics_steps;
mod table;
mod trees;
mod world;
