//! What the machine does, and what it agrees with.

mod memory;
mod qemu;
