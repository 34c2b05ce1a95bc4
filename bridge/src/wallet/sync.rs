//! Following the chain, block by block.

use std::collections::HashSet;
use std::sync::Arc;

use bdk_wallet::Update;
use bdk_wallet::chain::{BlockId as Checkpoint, ConfirmationBlockTime, TxUpdate};
use bitcoin::{Block, OutPoint};

use super::{Wallet, WalletError, internal, outpoints};
use crate::chain::{BlockId, Chain, ChainError};

/// How many blocks are applied between two writes.
const BLOCKS_A_WRITE: u32 = 100;
/// How often a sync starts over because the chain changed under it.
const ATTEMPTS: u32 = 10;

impl Wallet {
    /// The last block that the wallet has seen.
    pub fn tip(&self) -> BlockId {
        let tip = self.inner.latest_checkpoint();
        BlockId { height: tip.height(), hash: tip.hash() }
    }

    /// Catches up with the chain. After a reorganisation what left the chain is unconfirmed again, or gone if others
    /// made it; while the new branch is not longer than the fork point, the wallet stays where it was.
    pub fn sync(&mut self, chain: &dyn Chain) -> Result<BlockId, WalletError> {
        let contested = self.spent_unconfirmed();
        let mut result = Ok(());
        for _ in 0..ATTEMPTS {
            result = self.follow(chain, &contested);
            // Whatever happened, what was applied stays applied.
            self.forget_holds_in_blocks();
            self.persist()?;
            if !matches!(result, Err(WalletError::Chain(ChainError::UnknownBlock(_)))) {
                break;
            }
        }
        result.map(|()| self.tip())
    }

    /// One pass to the tip. [`ChainError::UnknownBlock`] says that the chain changed meanwhile.
    fn follow(&mut self, chain: &dyn Chain, contested: &HashSet<OutPoint>) -> Result<(), WalletError> {
        let tip = chain.tip()?;
        let mut last = self.fork_point(chain)?;
        if last.height + 1 < self.birthday {
            let before = self.birthday - 1;
            let Some(hash) = chain.block_hash(before)? else { return Ok(()) };
            last = BlockId { height: before, hash };
            let jump = self.inner.latest_checkpoint().insert(Checkpoint { height: before, hash });
            self.inner.apply_update(Update { chain: Some(jump), ..Default::default() }).map_err(internal)?;
        }
        while last.height < tip.height {
            let height = last.height + 1;
            let Some(hash) = chain.block_hash(height)? else { break };
            let block = chain.block(&hash)?;
            if block.header.prev_blockhash != last.hash {
                return Err(ChainError::UnknownBlock(last.hash).into());
            }
            self.apply(&block, height, contested)?;
            if height.is_multiple_of(BLOCKS_A_WRITE) {
                self.persist()?;
            }
            last = BlockId { height, hash };
        }
        Ok(())
    }

    /// The last block that the wallet and the chain have in common.
    fn fork_point(&self, chain: &dyn Chain) -> Result<BlockId, WalletError> {
        for point in self.inner.checkpoints() {
            if chain.block_hash(point.height())? == Some(point.hash()) {
                return Ok(BlockId { height: point.height(), hash: point.hash() });
            }
        }
        let path = self.store.directory.clone();
        Err(WalletError::OtherWallet { path, reason: format!("it is of another chain than {}", chain.network()) })
    }

    fn apply(&mut self, block: &Block, height: u32, contested: &HashSet<OutPoint>) -> Result<(), WalletError> {
        self.inner.apply_block(block, height).map_err(internal)?;
        // A stranger's transaction may spend what the wallet's own spends too (an anchor): the wallet's is then void.
        let rivals = block.txdata.iter().filter(|tx| tx.input.iter().any(|i| contested.contains(&i.previous_output)));
        for rival in rivals {
            let confirmation_time = block.header.time.into();
            let block_id = Checkpoint { height, hash: block.block_hash() };
            let mut tx_update = TxUpdate::default();
            tx_update.anchors.insert((ConfirmationBlockTime { block_id, confirmation_time }, rival.compute_txid()));
            tx_update.txs.push(Arc::new(rival.clone()));
            self.inner.apply_update(Update { tx_update, ..Default::default() }).map_err(internal)?;
        }
        Ok(())
    }

    /// What the wallet's unconfirmed transactions spend.
    fn spent_unconfirmed(&self) -> HashSet<OutPoint> {
        self.unconfirmed().iter().flat_map(|tx| tx.input.iter().map(|input| input.previous_output)).collect()
    }

    /// What is in a block was sent, whoever sent it.
    fn forget_holds_in_blocks(&mut self) {
        let held: HashSet<_> = self.inner.list_locked_outpoints().map(|outpoint| outpoint.txid).collect();
        for txid in held {
            let confirmed = self.inner.get_tx(txid).filter(|tx| tx.chain_position.is_confirmed());
            let Some(tx) = confirmed.map(|tx| tx.tx_node.tx) else { continue };
            outpoints(&tx).for_each(|outpoint| self.inner.unlock_outpoint(outpoint));
        }
    }
}
