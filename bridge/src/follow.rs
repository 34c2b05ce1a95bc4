//! Following Bitcoin: from a [`Chain`] that may change under one's feet to steps in an order that never surprises.
//!
//! A [`Follower`] drives a [`Ledger`], one block a [`step`](Follower::step); the ledger's tip, which is on disk, is
//! all that it remembers, so that a crash at any point loses and repeats nothing.
//!
//! A server that has fewer blocks than the ledger, and no other ones, is one that is catching up: it is waited for.

use std::sync::Arc;

use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash};
use trestle_rollup::{Event, Ledger, LedgerError};

use crate::chain::{BlockId, Chain, ChainError};

/// How often a step starts over because the chain changed under it, before it leaves it to the next call.
const ATTEMPTS: usize = 10;

/// Why no step could be made. Nothing has changed then; ask again.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The chain could not be asked.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The chain does not hold the block that the Layer 2 begins with.
    #[error("{found} on this chain is not the genesis of the Layer 2, {expected}: is it the chain of this bridge?")]
    OtherChain {
        /// The genesis.
        expected: BlockId,
        /// What is in its place.
        found: BlockHash,
    },
}

/// One change of the chain.
#[derive(Debug, Clone)]
pub enum Step {
    /// The child of the last block.
    Connected {
        /// Its height.
        height: u32,
        /// Its hash.
        hash: BlockHash,
        /// The whole block.
        block: Block,
        /// What it did to the Layer 2.
        events: Vec<Event>,
    },
    /// The last block is no longer in the chain: undo it. The one before it is the last again.
    Disconnected {
        /// Its height.
        height: u32,
        /// Its hash.
        hash: BlockHash,
    },
}

impl Step {
    /// The block that the step is about.
    pub fn id(&self) -> BlockId {
        let (Self::Connected { height, hash, .. } | Self::Disconnected { height, hash }) = self;
        BlockId { height: *height, hash: *hash }
    }
}

/// Drives a ledger along a chain. One at a time may drive the same ledger.
pub struct Follower {
    chain: Arc<dyn Chain>,
    ledger: Ledger,
}

impl Follower {
    /// A follower that goes on where the ledger is.
    pub fn new(chain: Arc<dyn Chain>, ledger: Ledger) -> Self {
        Self { chain, ledger }
    }

    /// The ledger that it drives.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The ledger's last block.
    pub fn tip(&self) -> BlockId {
        let (height, entry) = self.ledger.tip();
        BlockId { height, hash: BlockHash::from_byte_array(entry.block_hash) }
    }

    /// Takes the ledger one block on, or back; none if it is where the chain is. The ledger is on disk when this
    /// returns.
    pub fn step(&mut self) -> Result<Option<Step>, FollowError> {
        for _ in 0..ATTEMPTS {
            let tip = self.tip();
            if let Some(undone) = self.undo_if_stale(tip)? {
                return Ok(Some(undone));
            }
            let height = tip.height + 1;
            let Some(hash) = self.chain.block_hash(height)? else { return Ok(None) };
            let block = match self.chain.block(&hash) {
                // It left the chain since its hash was asked.
                Err(ChainError::UnknownBlock(_)) => continue,
                block => block?,
            };
            if block.header.prev_blockhash != tip.hash {
                continue;
            }
            let events = self.ledger.extend(&serialize(&block))?;
            return Ok(Some(Step::Connected { height, hash, block, events }));
        }
        Ok(None)
    }

    /// Rolls the ledger back by its tip, if the chain has another block there.
    fn undo_if_stale(&self, tip: BlockId) -> Result<Option<Step>, FollowError> {
        let Some(found) = self.other_block_at(tip)? else { return Ok(None) };
        let genesis = self.genesis();
        if tip.height == genesis.height {
            return Err(FollowError::OtherChain { expected: genesis, found });
        }
        self.ledger.rollback(tip.height - 1)?;
        Ok(Some(Step::Disconnected { height: tip.height, hash: tip.hash }))
    }

    /// The chain's block that stands against the ledger's `tip`: another one at its height, or, if the chain is
    /// shorter, its last one, should that not be the ledger's.
    fn other_block_at(&self, tip: BlockId) -> Result<Option<BlockHash>, FollowError> {
        if let Some(found) = self.chain.block_hash(tip.height)? {
            return Ok((found != tip.hash).then_some(found));
        }
        let best = self.chain.tip()?;
        let entry = self.ledger.entry(best.height)?;
        Ok(entry.filter(|entry| entry.block_hash != best.hash.to_byte_array()).map(|_| best.hash))
    }

    fn genesis(&self) -> BlockId {
        let parameters = self.ledger.parameters();
        BlockId { height: parameters.genesis_height, hash: BlockHash::from_byte_array(parameters.genesis_hash) }
    }
}
