//! Following something until it is done: `--wait`.
//!
//! The wallet is closed meanwhile, so that other commands can use it; interrupting the wait interrupts nothing else.

use std::thread;
use std::time::Duration;

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Amount, OutPoint, XOnlyPublicKey};

use super::describe;
use super::error::Error;
use crate::output::Output;
use crate::rpc::types::*;
use crate::user::node::Node;

const PAUSE: Duration = Duration::from_secs(1);

/// One look: done, or how it stands, in words for a person.
enum Look<T> {
    Done(T),
    Stands(String),
}

fn until<T>(output: &Output, mut look: impl FnMut() -> Result<Look<T>, Error>) -> Result<T, Error> {
    let mut told = String::new();
    loop {
        match look()? {
            Look::Done(done) => return Ok(done),
            Look::Stands(words) if words != told => {
                output.progress(&words);
                told = words;
            }
            Look::Stands(_) => {}
        }
        thread::sleep(PAUSE);
    }
}

/// Follows a deposit until the sequencers let it be spent: they see a mint when it is deep.
///
/// # Errors
/// The committee refuses it, it was refunded, or the node stops answering.
pub fn deposit(
    node: &Node,
    account: XOnlyPublicKey,
    outpoint: OutPoint,
    amount: Amount,
    output: &Output,
) -> Result<DepositStatus, Error> {
    let failed = |why: String| Error::Failed { what: format!("the deposit {outpoint}"), why };
    let before = node.account(account)?.available;
    until(output, || {
        let found = node.deposits(account)?.into_iter().find(|d| d.terms.outpoint == outpoint);
        let Some(found) = found else { return Ok(Look::Stands("the node does not know the deposit yet".into())) };
        match &found.state {
            DepositState::Minted { height, .. } => {
                let status = node.status()?;
                // What else the account does meanwhile hides its amount, not the blocks.
                let blocks = status.layer2.height.saturating_sub(*height);
                let arrived = node.account(account)?.available.checked_sub(before).is_some_and(|more| more >= amount);
                if arrived || blocks >= u32::from(status.parameters.confirmations) + 3 {
                    return Ok(Look::Done(found));
                }
                Ok(Look::Stands(format!("{}; the sequencers wait until that is deep", describe::deposit(&found.state))))
            }
            DepositState::Refused { why } => Err(failed(format!("{why}; `trestle refund` takes it back"))),
            DepositState::Refunded { txid } => Err(failed(format!("it was taken back by {txid}"))),
            state => Ok(Look::Stands(describe::deposit(state))),
        }
    })
    .map_err(Error::unwatched("deposit"))
}

/// Follows a Layer 2 transaction until it is executed; gives the height.
///
/// # Errors
/// It came to nothing, or the node stops answering.
pub fn executed(node: &Node, transaction: ReceiptQuery, output: &Output) -> Result<u32, Error> {
    until(output, || match node.receipt(transaction)? {
        Receipt::Executed { height, .. } => Ok(Look::Done(height)),
        Receipt::Failed { why } => Err(Error::Failed { what: "the transaction".into(), why }),
        state => Ok(Look::Stands(describe::receipt(&state))),
    })
    .map_err(Error::unwatched("transaction"))
}

/// Follows a withdrawal, from the Layer 2 transaction that requests it, until it is paid.
///
/// # Errors
/// The transaction came to nothing, or the node stops answering.
pub fn withdrawal(
    node: &Node,
    transaction: ReceiptQuery,
    destination: &Address<NetworkUnchecked>,
    output: &Output,
) -> Result<WithdrawalStatus, Error> {
    let height = executed(node, transaction, output)?;
    until(output, || {
        let found = find_withdrawal(node, transaction, height, destination)?;
        let Some(found) = found else { return Ok(Look::Stands("the withdrawal is requested".into())) };
        match &found.state {
            WithdrawalState::Paid { .. } => Ok(Look::Done(found)),
            state => Ok(Look::Stands(describe::withdrawal(state))),
        }
    })
    .map_err(Error::unwatched("withdrawal"))
}

/// The withdrawal that a transaction executed at `height` requested: by its number where the node says it, else the
/// latest one of that block to the same address.
///
/// # Errors
/// The node.
pub fn find_withdrawal(
    node: &Node,
    transaction: ReceiptQuery,
    height: u32,
    destination: &Address<NetworkUnchecked>,
) -> Result<Option<WithdrawalStatus>, Error> {
    let number = match node.receipt(transaction)? {
        Receipt::Executed { withdrawal, .. } => withdrawal,
        _ => None,
    };
    let mut found = match number {
        Some(number) => node.withdrawals(WithdrawalQuery::Id(number))?,
        None => node.withdrawals(WithdrawalQuery::Destination(destination.clone()))?,
    };
    found.retain(|w| w.requested_height == height && w.destination == *destination);
    Ok(found.pop())
}
