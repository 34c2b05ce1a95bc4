//! What a submitter is told: whether a transaction was taken, and what became of it.

use bitcoin::Amount;
use serde::{Deserialize, Serialize};
use trestle_rollup::Refusal;

/// Why a submission was refused. Nothing of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// The bytes are no transaction.
    #[error("this is no Layer 2 transaction")]
    Malformed,
    /// It could not be executed after what is final.
    #[error("{0}")]
    Refused(Refusal),
    /// The fee is below the sequencer's floor.
    #[error("the fee is {got}, at least {floor} is asked for")]
    FeeTooLow {
        /// Least fee taken.
        floor: Amount,
        /// The transaction's.
        got: Amount,
    },
    /// A waiting transaction with this nonce pays nearly as much, or more.
    #[error("a transaction with this nonce waits; replacing it takes a fee of {needs}")]
    ReplacementTooCheap {
        /// Least fee of a replacement.
        needs: Amount,
    },
    /// The sequencer is not in the set any more.
    #[error("this sequencer has left the set: ask another one")]
    LeftTheSet,
    /// The mempool holds as many bytes as it may.
    #[error("the mempool is full ({limit} bytes)")]
    MempoolFull {
        /// Most bytes of all transactions together.
        limit: usize,
    },
}

/// What became of a transaction that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Receipt {
    /// It waits for a block, or its block for its certificate.
    Pending,
    /// It is final on the Layer 2, with a certificate, and Bitcoin has not executed its batch yet.
    Ordered {
        /// Height of its Layer 2 block.
        height: u64,
        /// The batch.
        number: u64,
    },
    /// Executed by the Layer 2.
    Executed {
        /// Height of the Bitcoin block that executed it.
        height: u32,
        /// Whether that block is as deep as the bridge's confirmations.
        deep: bool,
    },
    /// It will not be executed.
    Failed {
        /// Why.
        reason: Failure,
    },
}

/// Why a transaction that was final came to nothing: a forced one came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// It took the nonce.
    #[error("another transaction of the account, posted past the sequencers, took its nonce")]
    NonceTaken,
    /// It took the coins.
    #[error("a transaction posted past the sequencers left the account without what it takes")]
    Skipped,
}
