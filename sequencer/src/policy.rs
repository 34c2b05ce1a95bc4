//! What a sequencer takes.

use bitcoin::Amount;

/// What a sequencer takes, and when. The bytes of blocks and batches must be the same for a whole set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Least fee of a transaction.
    pub fee_floor: Amount,
    /// Least rise of the fee when a waiting transaction is replaced.
    pub replacement_step: Amount,
    /// Most transactions of one account that wait.
    pub account_limit: usize,
    /// Most bytes of all transactions that wait, together.
    pub mempool_bytes: usize,
    /// Most bytes of transactions in one block.
    pub block_bytes: usize,
    /// Most bytes that the transactions of one batch take on Bitcoin, wherever and by whomever it is posted. The one that
    /// reveals it must stay below 400,000 weight units, of which certificate and envelope take up to 20,000.
    pub batch_bytes: usize,
    /// Bitcoin blocks after which a batch that was executed is forgotten, with the certificates of its parts and where its
    /// transactions are; no fewer than the bridge's confirmations.
    pub history: u32,
    /// Bitcoin blocks after which an unconfirmed posting is bumped, and the next sequencer posts too.
    pub patience: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            fee_floor: Amount::from_sat(10),
            replacement_step: Amount::from_sat(10),
            account_limit: 100,
            mempool_bytes: 16 << 20,
            block_bytes: 250_000,
            batch_bytes: 380_000,
            history: 4_032,
            patience: 3,
        }
    }
}
