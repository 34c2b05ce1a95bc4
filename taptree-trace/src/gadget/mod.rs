//! Gadgets: the parts that disproof leaves are made of.
//!
//! A gadget is a function that appends opcodes to a [`Stack`]. It states its stack effect, and its tests pin its size and
//! peak and compare it with the native function that it mirrors, on the interpreter and by Bitcoin Core's code.

pub mod compress;
pub mod stack;

pub use stack::{Gadget, Item, Operand, Stack, StackError};
