//! How things stand, in words for a person.

use crate::rpc::types::{DepositState, Receipt, WithdrawalState};

/// A deposit.
pub fn deposit(state: &DepositState) -> String {
    match state {
        DepositState::Unseen => "the node does not see its transaction yet".into(),
        DepositState::Waiting { confirmations, needed } => format!("{confirmations} of {needed} confirmations"),
        DepositState::Signing => "the committee signs".into(),
        DepositState::Confirming { txid } => format!("confirmed by {txid}, which waits for a block"),
        DepositState::Minted { txid, height } => format!("on the Layer 2 since block {height}, by {txid}"),
        DepositState::Refused { why } => format!("refused: {why}"),
        DepositState::Refunded { txid } => format!("refunded by {txid}"),
    }
}

/// A Layer 2 transaction.
pub fn receipt(state: &Receipt) -> String {
    match state {
        Receipt::Unknown => "not seen by the node yet".into(),
        Receipt::Pending => "with the sequencers".into(),
        Receipt::Batched { number, .. } => format!("certified in batch {number}, which waits for a block"),
        Receipt::Executed { height, .. } => format!("executed in block {height}"),
        Receipt::Failed { why } => format!("came to nothing: {why}"),
    }
}

/// A withdrawal.
pub fn withdrawal(state: &WithdrawalState) -> String {
    match state {
        WithdrawalState::Pending { turn, until_height } => format!("{turn} may pay it until block {until_height}"),
        WithdrawalState::Paid { txid, height, by } => format!("paid by {by} in block {height}: {txid}"),
    }
}
