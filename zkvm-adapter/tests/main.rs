//! What the machine does, and what it agrees with.

mod fault;
mod image;
mod jit;
mod memory;
mod opening;
mod qemu;
mod samples;
mod trace;
