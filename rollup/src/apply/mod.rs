//! The Layer 2 function: `R_h = apply(R_{h−1}, block_h)` (PROTOCOL §3).
//!
//! Nothing else is input. `apply` is total: whatever a block contains, it has a result; what is malformed is skipped.
//! It fails only if the block is not the child of the entry's block, or if the host cannot answer.

mod actions;
mod batch;

use core::fmt;

use crate::block::{Block, summarize};
use crate::compress::{Digest, IV_R, compress, sha256d};
use crate::execute::Rules;
use crate::host::{Host, Sink};
use crate::identifiers::SlotId;
use crate::state::{Key, ReadState, State};
use crate::tree::StateError;
use crate::wire::{Reader, pack};

/// Ends an action early: nothing was done.
macro_rules! ensure {
    ($condition:expr, $skip:expr) => {
        if !$condition {
            return Ok(Err($skip));
        }
    };
}
use ensure;

/// The value, or ends the action early.
macro_rules! some {
    ($option:expr, $skip:expr) => {
        match $option {
            Some(value) => value,
            None => return Ok(Err($skip)),
        }
    };
}
use some;

/// One entry of the history, by its two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Entry {
    /// The block's hash, in the order in which SHA-256 writes it.
    pub block_hash: Digest,
    /// The root of the state after the block.
    pub state_root: Digest,
}

impl Entry {
    /// `R = C(IV_R, block_hash ‖ state_root)`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        compress(&IV_R, &pack(&[&self.block_hash, &self.state_root]))
    }
}

/// What applying a block gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The next entry.
    pub entry: Entry,
    /// The height of the block.
    pub height: u32,
}

/// Why a block was not applied. `H` is the host's error, `B` the block's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<H, B> {
    /// The block's header does not name the entry's block as the one before.
    NotChild,
    /// The state before the block cannot be read.
    State(StateError<H>),
    /// The block cannot be read.
    Block(B),
}

impl<H, B> From<StateError<H>> for Error<H, B> {
    fn from(error: StateError<H>) -> Self {
        Self::State(error)
    }
}

impl<H: fmt::Display, B: fmt::Display> fmt::Display for Error<H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotChild => f.write_str("the block is not the child of the entry's block"),
            Self::State(error) => error.fmt(f),
            Self::Block(error) => error.fmt(f),
        }
    }
}

/// Applies a block to the state after its parent.
///
/// New nodes and events go to `sink`; nodes only once the whole block was read.
///
/// # Errors
/// If the block is not `prev`'s child, or the host or the block cannot answer. Never for what the block contains.
pub fn apply<H: Host, B: Block>(
    prev: &Entry,
    block: &mut B,
    host: &mut H,
    sink: &mut impl Sink,
) -> Result<Applied, Error<H::Error, B::Error>> {
    let header = block.header().map_err(Error::Block)?;
    if header.get(4..36) != Some(&prev.block_hash[..]) {
        return Err(Error::NotChild);
    }
    let mut state = State::new(host, prev.state_root);
    let rules = Rules::read(&mut state, &prev.state_root)?;
    let mut meta = state.meta()?;
    meta.height = meta.height.saturating_add(1);

    let bridge_tag = rules.bridge_tag();
    let mut actions = actions::Actions { state, before: prev.state_root, rules, meta, sink };
    while let Some(transaction) = block.next_transaction().map_err(Error::Block)? {
        if let Some(summary) = summarize(transaction, bridge_tag).map_err(Error::Block)? {
            actions.act(&summary)?;
        }
    }

    let actions::Actions { mut state, meta, sink, .. } = actions;
    state.set(Key::Meta, meta.encode())?;
    let state_root = state.commit(|digest, m, b| sink.node(digest, m, b));
    Ok(Applied { entry: Entry { block_hash: sha256d(&[&header]), state_root }, height: meta.height })
}

/// Whether a claim on `slot` at the height whose entry this is holds (PROTOCOL §6): the slot is fulfilled at its
/// denomination, with at least `confirmations` blocks on top of the payout, and `block_hash_prefix` is how the block's
/// hash begins (its first four bytes in the order in which SHA-256 writes it, not the zeros of the usual display).
///
/// # Errors
/// If the state cannot be read.
pub fn claim_holds<S: ReadState>(
    state: &mut S,
    entry: &Entry,
    slot: SlotId,
    confirmations: u32,
    block_hash_prefix: [u8; 4],
) -> Result<bool, StateError<S::Error>> {
    if Reader::new(&entry.block_hash).array() != Some(block_hash_prefix) {
        return Ok(false);
    }
    let Some(fulfilment) = state.slot(slot)? else {
        return Ok(false);
    };
    let height = state.meta()?.height;
    let deep = fulfilment.height.checked_add(confirmations).is_some_and(|least| least <= height);
    let withdrawal = state.withdrawal(fulfilment.withdrawal)?;
    Ok(deep && withdrawal.is_some_and(|withdrawal| withdrawal.denomination == slot.denomination))
}
