//! From transactions to the batch that goes to Bitcoin: the one place that knows how a batch holds them.

use trestle_rollup::{Batch, SignedTransaction};

/// The uncertified batch of this number, with these transactions in this order.
pub(crate) fn seal(number: u64, transactions: &[SignedTransaction]) -> Batch {
    Batch::new(number, transactions)
}
