//! What both sides of a claim read of the world.

use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, OutPoint, Transaction, Txid};
use trestle_bridge::chain::Chain;
use trestle_rollup::{Digest, Ledger};

/// The world did not answer. Nothing was decided; the same event may be processed again.
pub type ViewError = Box<dyn std::error::Error + Send + Sync>;

/// A transaction in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mined {
    /// The transaction, with its witnesses.
    pub tx: Transaction,
    /// The height of its block.
    pub height: u32,
}

/// Gives the block with a hash, in Bitcoin's serialization; fails if the chain does not have it.
pub type Blocks = Box<dyn FnMut(&Digest) -> Result<Vec<u8>, ViewError> + Send>;

/// The chain as this node follows it, up to the ledger's tip. Mempools are not part of it.
pub trait View {
    /// The Layer 2; its tip is the tip of the view.
    fn ledger(&self) -> &Ledger;

    /// The header of the block at a height; none before the ledger begins, or above its tip.
    ///
    /// # Errors
    /// If the chain cannot be read.
    fn header(&self, height: u32) -> Result<Option<Header>, ViewError>;

    /// The transaction in a block that spends an output.
    ///
    /// # Errors
    /// If the chain cannot be read.
    fn spender(&self, outpoint: &OutPoint) -> Result<Option<Mined>, ViewError>;

    /// The height of the block that holds a transaction.
    ///
    /// # Errors
    /// If the chain cannot be read.
    fn confirmed(&self, txid: &Txid) -> Result<Option<u32>, ViewError>;

    /// Where the blocks of the view's chain are found.
    fn blocks(&self) -> Blocks;

    /// Height of the tip.
    fn height(&self) -> u32 {
        self.ledger().tip().0
    }
}

/// A view by the questions of a [`Chain`], whatever the server knows beyond the ledger's tip left out.
#[derive(Clone)]
pub struct ChainView {
    /// The Layer 2.
    pub ledger: Ledger,
    /// Where the rest is asked.
    pub chain: Arc<dyn Chain>,
}

impl View for ChainView {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn header(&self, height: u32) -> Result<Option<Header>, ViewError> {
        let Some(entry) = self.ledger.entry(height)? else { return Ok(None) };
        // The chain may have moved on.
        Ok(self.chain.header(height)?.filter(|header| header.block_hash().to_byte_array() == entry.block_hash))
    }

    fn spender(&self, outpoint: &OutPoint) -> Result<Option<Mined>, ViewError> {
        let Some(found) = self.chain.spender(outpoint)? else { return Ok(None) };
        let height = found.height.filter(|height| *height <= self.height());
        Ok(height.map(|height| Mined { tx: found.tx, height }))
    }

    fn confirmed(&self, txid: &Txid) -> Result<Option<u32>, ViewError> {
        let found = self.chain.transaction(txid)?;
        Ok(found.and_then(|found| found.height).filter(|height| *height <= self.height()))
    }

    fn blocks(&self) -> Blocks {
        let chain = Arc::clone(&self.chain);
        Box::new(move |hash| Ok(serialize(&chain.block(&BlockHash::from_byte_array(*hash))?)))
    }
}
