//! The gadgets of Script against the functions that they mirror, judged by the interpreter and by Bitcoin Core's code.

mod compress;
mod interpreter;
mod judge;
mod ots;
mod stack;
