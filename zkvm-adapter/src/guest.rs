//! The program that the machine runs in a dispute: the Layer 2 function, compiled for the machine (`guest/`).
//!
//! It accepts exactly if step i of the history is right (PROTOCOL §6): for 1 ≤ i ≤ N, if entry i is what `apply` makes of
//! entry i − 1 and the block with entry i's hash; for i = N + 1, if the claim holds in entry N; for no other i.

pub mod workload;

use std::sync::{Arc, LazyLock};

use trestle_rollup::native::RawBlock;
use trestle_rollup::{Digest, Entry, Host, Parameters, ParametersError, SlotId};

use crate::image::{Image, ImageError};
use crate::inputs::Inputs;
use crate::layout::TRACE_STEPS;
use crate::machine::{Machine, MachineError};
use crate::oracle::{Answer, AnswerError, Oracle, Unknown, answer};
use crate::step::{Halt, Preimages};

/// The executable that all bridges run. `guest/build.sh` builds the same bytes from its sources, anywhere.
pub const ELF: &[u8] = include_bytes!("../guest/trestle-guest.elf");

/// S_0 of the guest, the root of the memory that it starts in: a constant of every bridge.
pub const ROOT: Digest = [
    0xa3, 0xc4, 0xcb, 0xc3, 0x33, 0x11, 0x71, 0x6f, 0xf5, 0xd6, 0x97, 0xbb, 0x00, 0x3e, 0xd8, 0x9c, //
    0x2a, 0x21, 0x93, 0xd5, 0xfe, 0xe3, 0xb3, 0x21, 0xbd, 0x13, 0xf3, 0x72, 0xb7, 0xbe, 0x45, 0x5c,
];

/// Pages that a run of the guest may use: all that there are. What takes most is paths through the state, 21 MB for each
/// level that those of a full block are long beyond the first 17 (`guest/src/heap.rs`); an honest run must never be stopped.
pub const PAGE_LIMIT: usize = 1 << 20;

/// The guest in its first state. It is read once.
///
/// # Errors
/// Never for the committed [`ELF`], which the tests read.
pub fn image() -> Result<Arc<Image>, &'static ImageError> {
    static IMAGE: LazyLock<Result<Arc<Image>, ImageError>> =
        LazyLock::new(|| Image::from_elf(ELF, PAGE_LIMIT).map(Arc::new));
    IMAGE.as_ref().map(Arc::clone)
}

/// How a run of the guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Accepted, or why not.
    pub halt: Halt,
    /// The number of steps.
    pub steps: u64,
}

/// Why the guest came to no verdict.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The committed executable is none.
    #[error("the guest's executable: {0}")]
    Image(&'static ImageError),
    /// The machine could not go on.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// It has not halted where a trace ends. No block leads there.
    #[error("the guest has not halted in {TRACE_STEPS} steps")]
    TooLong,
}

/// A machine in the guest's first state.
///
/// # Errors
/// If its memory cannot be had.
pub fn machine(inputs: &Inputs) -> Result<Machine, GuestError> {
    let image = image().map_err(GuestError::Image)?;
    Ok(Machine::new(image, inputs.words(), PAGE_LIMIT).map_err(MachineError::from)?)
}

/// Runs the guest to its end.
///
/// # Errors
/// If it asks for a preimage that nobody knows, or for more memory than [`PAGE_LIMIT`].
pub fn run(inputs: &Inputs, preimages: &dyn Preimages) -> Result<Verdict, GuestError> {
    let mut machine = machine(inputs)?;
    let halt = machine.run(TRACE_STEPS, preimages)?.ok_or(GuestError::TooLong)?;
    Ok(Verdict { halt, steps: machine.steps() })
}

/// What the guest is asked about a block if nobody lies, and what native code says to it.
///
/// `host` has the nodes of the state in `previous`.
///
/// # Errors
/// If it is no block, or the host has not the state.
pub fn honest<H: Host>(
    previous: &Entry,
    block: &[u8],
    host: &mut H,
) -> Result<(Inputs, Answer), AnswerError<H::Error>> {
    let block_hash = RawBlock::parse(block)?.hash();
    let mut inputs = Inputs {
        previous: *previous,
        next: Entry { block_hash, state_root: [0; 32] },
        index: 1,
        claimed: 1,
        block_hash_prefix: [0; 4],
        slot: SlotId { operator: 0, denomination: 0, serial: 0 },
        confirmations: 0,
    };
    let mut answer = answer(&inputs, block, host)?;
    if let Some(next) = answer.next {
        inputs.next = next;
        answer.right = true;
    }
    Ok((inputs, answer))
}

/// Why a block could not be run on its own.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// It is no block.
    #[error(transparent)]
    Answer(#[from] AnswerError<Unknown>),
    /// The guest came to no verdict.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The guest should have accepted it.
    #[error("the guest says: {0}")]
    Rejected(Halt),
    /// It does not follow on the one before.
    #[error("the block is not the child of the tip")]
    NotNext,
    /// The bridge's parameters are none.
    #[error("the parameters: {0}")]
    Parameters(#[from] ParametersError),
}

/// Runs the guest over a serialized block on top of an empty Layer 2, one of a bridge with the given parameters that begins
/// with the block's parent. Returns the question, what native code says to it, and what the guest says.
///
/// # Errors
/// If it is no block, or the guest comes to no verdict.
pub fn run_block(parameters: &Parameters, block: &[u8]) -> Result<(Inputs, Answer, Verdict), BlockError> {
    let genesis_hash = RawBlock::parse(block).map_err(AnswerError::from)?.previous();
    let mut state = Oracle::default();
    let previous = Parameters { genesis_hash, ..parameters.clone() }.genesis(&mut state)?;
    let (inputs, answer) = honest(&previous, block, &mut state)?;
    let verdict = run(&inputs, &answer.oracle)?;
    Ok((inputs, answer, verdict))
}
