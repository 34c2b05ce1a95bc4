//! Gadgets: the parts that disproof leaves are made of.
//!
//! A gadget is a function that appends opcodes to a [`Stack`]. It states its stack effect, and its tests pin its size and
//! peak and compare it with the native function that it mirrors, on the interpreter and by Bitcoin Core's code
//! (tests/gadgets).
//!
//! # Writing with a [`Stack`]
//!
//! Items are named by the [`Item`] that made them and found by that name, so nothing counts depths:
//!
//! ```
//! use bitcoin::opcodes::all::OP_NUMEQUAL;
//! use trestle_taptree_trace::gadget::Stack;
//! use trestle_taptree_trace::interpreter::{Rules, run};
//!
//! // a b sum → whether a + b is sum
//! let (mut stack, items) = Stack::new(3);
//! let [a, b, sum] = items[..] else { unreachable!() };
//! stack.copy(a);
//! stack.take(b);
//! stack.add();
//! stack.take(sum);
//! let flag = stack.op(OP_NUMEQUAL, 2);
//! stack.keep(&[flag]); // drops a, which was only copied
//! let gadget = stack.finish(&[flag])?;
//! assert_eq!((gadget.script.len(), gadget.peak), (9, 4));
//! assert!(run(&gadget.script, &[[2], [3], [5]], Rules::Standard)?.accepts());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Digits
//!
//! A digit is an item that is 0 … 15. A word's or a byte string's digits are named with the highest first, which is the
//! deepest wherever that is cheapest: the order in which [`crate::ots::script_read`] leaves a message.

pub mod compress;
mod figures;
mod stack;

pub use figures::{Figures, FiguresError};
pub use stack::{Gadget, Item, Stack, StackError};
