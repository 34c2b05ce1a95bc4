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
    /// It could not be executed after what is queued.
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
    /// A queued transaction with this nonce pays nearly as much, or more.
    #[error("a transaction with this nonce is queued; replacing it takes a fee of {needs}")]
    ReplacementTooCheap {
        /// Least fee of a replacement.
        needs: Amount,
    },
    /// Transactions queued after the replaced one could not be executed any more.
    #[error("replacing the queued transaction would invalidate others queued after it")]
    ReplacementBreaksQueue,
    /// The nonce belongs to a transaction in a certified batch, which is never changed.
    #[error("a transaction with this nonce is already in a certified batch")]
    AlreadyCertified,
    /// The account has as many transactions in the mempool as one may have.
    #[error("the account has {limit} transactions in the mempool, which is the most")]
    AccountFull {
        /// Most transactions of one account.
        limit: usize,
    },
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
    /// In the mempool, in no batch yet.
    Pending,
    /// In a certified batch that the Layer 2 has not executed yet.
    Batched {
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

/// Why an accepted transaction came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// The account replaced it.
    #[error("replaced by a transaction of the same account with a higher fee")]
    Replaced,
    /// Another transaction of the account, posted past this sequencer, took the nonce.
    #[error("another transaction of the account took its nonce")]
    NonceTaken,
    /// It stayed invalid for as many blocks as the bridge's confirmations.
    #[error("{0}")]
    Refused(Refusal),
}
