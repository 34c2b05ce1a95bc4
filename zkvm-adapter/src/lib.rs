//! The machine that executes the Layer 2 function so that Bitcoin Script can judge it (PROTOCOL §5).

pub mod fault;
pub mod guest;
pub mod image;
pub mod inputs;
pub mod instruction;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod jit;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "jit/none.rs"]
mod jit;
pub mod judge;
pub mod layout;
pub mod machine;
pub mod memory;
pub mod opening;
pub mod oracle;
pub mod step;
pub mod trace;
pub mod vm;

pub use fault::{Fault, FaultError, FaultyTrace, Kind, Place};
pub use image::{Image, ImageError};
pub use inputs::{INPUT_WORDS, InputWords, Inputs};
pub use judge::{Class, Field, Lie, Rules, judge_edges, judge_node, judge_rounds, judge_step};
pub use machine::{Machine, MachineError, Snapshot};
pub use memory::{Memory, MemoryError, MemoryTree, Path};
pub use opening::{
    Access, Commitment, NodeOpening, Opening, PATH_LEVELS, PathNode, Roots, Standing, StepOpening, Words,
};
pub use oracle::{Answer, AnswerError, Oracle, Unknown, answer};
pub use step::{Effect, Halt, Preimages, Step, Trap, UnknownDigest, step};
pub use trace::{Limits, SharedPreimages, Trace, TraceError};
pub use vm::{Disputable, Prover, Rv32im, ZkVm};
