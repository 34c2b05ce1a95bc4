//! What a signer has to know of Bitcoin and of the Layer 2 to judge a job.
//!
//! Implemented by whoever runs the signer, over *its own* node and ledger: a signer trusts no other source. All answers of one view
//! should be of one chain tip. A view that is behind makes the signer refuse what it will accept later, nothing worse.

use bitcoin::block::Header;
use bitcoin::{FeeRate, OutPoint, TxOut, Txid};
use trestle_rollup::{Assignment, Digest, Fulfilment, SlotId, Withdrawal, WithdrawalId};

/// The node or the ledger could not answer. The signer changes nothing; the event may be given to it again.
#[derive(Debug, thiserror::Error)]
#[error("view: {0}")]
pub struct ViewError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// How an output was spent in the best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spend {
    /// The spending transaction.
    pub txid: Txid,
    /// The height of its block.
    pub height: u32,
}

/// A signer's own knowledge of chain and state.
pub trait View {
    /// Height of the best block, which the ledger has reached.
    fn tip(&self) -> Result<u32, ViewError>;

    /// `R_h` of the best chain at `height`; `None` if that is before genesis or above the tip.
    fn entry(&self, height: u32) -> Result<Option<Digest>, ViewError>;

    /// The header of the block at `height` of the best chain; `None` where [`Self::entry`] is `None`.
    fn header(&self, height: u32) -> Result<Option<Header>, ViewError>;

    /// A confirmed output of the best chain, spent or not, and the height of its block.
    fn output(&self, outpoint: &OutPoint) -> Result<Option<(TxOut, u32)>, ViewError>;

    /// What spends an output in the best chain; mempools do not count. Outputs that were announced by [`Duty::Watch`](crate::event::Duty::Watch) must be known.
    fn spender(&self, outpoint: &OutPoint) -> Result<Option<Spend>, ViewError>;

    /// A withdrawal in the Layer 2's state at the tip.
    fn withdrawal(&self, id: WithdrawalId) -> Result<Option<Withdrawal>, ViewError>;

    /// Whose turn it is to pay a withdrawal in a block at `height`, as far as the state at the tip tells.
    fn assignment(&self, id: WithdrawalId, height: u32) -> Result<Option<Assignment>, ViewError>;

    /// A slot in the Layer 2's state at the tip, if a payout has used it.
    fn slot(&self, slot: SlotId) -> Result<Option<Fulfilment>, ViewError>;

    /// Every withdrawal that is not paid at the tip.
    fn pending_withdrawals(&self) -> Result<Vec<WithdrawalId>, ViewError>;

    /// The fee rate at which a transaction is likely to be mined within a few blocks.
    fn fee_rate(&self) -> Result<FeeRate, ViewError>;
}
