//! The way out to Bitcoin for every role: broadcast, note it in the timeline, and pay more where the chain asks for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bitcoin::secp256k1::Keypair;
use bitcoin::{Amount, FeeRate, Transaction, Txid, Weight};
use trestle_bridge::chain::{Chain, ChainError};
use trestle_bridge::wallet::{Wallet, WalletError};
use trestle_challenger::Need;

use super::Error;
use super::timeline::Timeline;

/// Within how many blocks what is sent should confirm.
const TARGET: u16 = 3;

/// What became of a transaction that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is in the mempool or in a block.
    Accepted,
    /// The network does not take it now; Bitcoin Core's words.
    Rejected(String),
}

/// How a child can pay for a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Handle<'a> {
    /// The output that the child spends.
    pub vout: u32,
    /// What the transaction pays by itself.
    pub fee: Amount,
    /// The key of the output, where it is neither an anchor nor the wallet's.
    pub key: Option<&'a Keypair>,
    /// How much the transaction is needed.
    pub need: Need,
}

/// A child has at most so much weight (`bridge::wallet`).
const CHILD: Weight = Weight::from_wu(4_000);

/// The fee rate above which a child is made for what pays `paid`: a quarter more, since estimates waver.
fn worth_a_child(paid: FeeRate) -> FeeRate {
    FeeRate::from_sat_per_kwu(paid.to_sat_per_kwu().saturating_mul(5) / 4)
}

/// Shared by all roles of a runtime.
pub struct Sender {
    chain: Arc<dyn Chain>,
    timeline: Arc<Timeline>,
    /// The fee rate that each transaction and its child last paid together.
    bumped: Mutex<HashMap<Txid, FeeRate>>,
}

impl Sender {
    /// Sends to `chain`.
    pub fn new(chain: Arc<dyn Chain>, timeline: Arc<Timeline>) -> Self {
        Self { chain, timeline, bumped: Mutex::default() }
    }

    /// The chain that it sends to.
    pub fn chain(&self) -> &Arc<dyn Chain> {
        &self.chain
    }

    /// The fee rate for something that is made now.
    ///
    /// # Errors
    /// The chain.
    pub fn fee_rate(&self) -> Result<FeeRate, ChainError> {
        Ok(self.chain.fee_rate(TARGET)?.max(FeeRate::BROADCAST_MIN))
    }

    /// Broadcasts; sending what is known already is no error and leaves no second mark.
    ///
    /// # Errors
    /// The chain cannot be reached.
    pub fn send(&self, actor: &str, action: &str, tx: &Transaction) -> Result<Sent, Error> {
        match self.chain.broadcast(&[tx]) {
            Ok(()) => {
                self.note(actor, action, tx)?;
                Ok(Sent::Accepted)
            }
            Err(ChainError::Rejected { reason, .. }) => {
                tracing::debug!(actor, action, %reason, "not taken");
                Ok(Sent::Rejected(reason))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Broadcasts, together with a child of `wallet` where the transaction alone pays less than the chain asks for now, or
    /// than it is needed ([`Need::rate`]).
    ///
    /// # Errors
    /// The chain cannot be reached, or the wallet's files fail. A wallet that cannot make a child now is no error.
    pub fn send_with_child(
        &self,
        actor: &str,
        action: &str,
        tx: &Transaction,
        handle: Handle<'_>,
        wallet: &mut Wallet,
    ) -> Result<Sent, Error> {
        let alone = self.send(actor, action, tx)?;
        let (txid, tip) = (tx.compute_txid(), self.chain.tip()?.height);
        let rate = handle.need.rate(tip, self.fee_rate()?, tx.weight() + CHILD);
        let paid = self.bumped().get(&txid).copied().unwrap_or_else(|| handle.fee / tx.weight());
        let confirmed = self.chain.transaction(&txid)?.is_some_and(|found| found.height.is_some());
        if rate <= worth_a_child(paid) || confirmed {
            return Ok(alone);
        }
        let child = match wallet.bump_child(tx, handle.vout, handle.fee, rate, handle.key) {
            Ok(child) => child,
            // The wallet may be behind the chain, or ahead of it while a reorganisation is under way.
            Err(error @ (WalletError::InsufficientFunds { .. } | WalletError::CannotBump { .. })) => {
                tracing::warn!(actor, action, %error, "cannot bump");
                return Ok(alone);
            }
            Err(error) => return Err(error.into()),
        };
        match wallet.broadcast(self.chain.as_ref(), &[tx, &child]) {
            Ok(()) => {
                self.bumped().insert(txid, rate);
                self.note(actor, action, tx)?;
                self.note(actor, &format!("{action}, bumped"), &child)?;
                Ok(Sent::Accepted)
            }
            Err(WalletError::Chain(ChainError::Rejected { reason, .. })) => {
                wallet.release(&child.compute_txid())?;
                tracing::debug!(actor, action, %reason, "package not taken");
                Ok(alone)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a transaction that was sent into the timeline.
    ///
    /// # Errors
    /// The chain, which is asked for what the inputs carry.
    pub fn note(&self, actor: &str, action: &str, tx: &Transaction) -> Result<(), ChainError> {
        if self.timeline.knows(&tx.compute_txid()) {
            return Ok(());
        }
        let mut inputs = Amount::ZERO;
        for input in &tx.input {
            let from = input.previous_output;
            let parent = self.chain.transaction(&from.txid)?;
            let output = parent.as_ref().and_then(|parent| parent.tx.output.get(from.vout as usize));
            inputs += output.map_or(Amount::ZERO, |output| output.value);
        }
        let outputs: Amount = tx.output.iter().map(|output| output.value).sum();
        self.timeline.sent(actor, action, tx, inputs.checked_sub(outputs).unwrap_or_default());
        Ok(())
    }

    // A panic elsewhere leaves a whole map behind.
    fn bumped(&self) -> std::sync::MutexGuard<'_, HashMap<Txid, FeeRate>> {
        self.bumped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether another transaction, in a block, spends what `tx` spends.
pub(crate) fn is_replaced(chain: &dyn Chain, tx: &Transaction) -> Result<bool, Error> {
    let txid = tx.compute_txid();
    for input in &tx.input {
        let spender = chain.spender(&input.previous_output)?;
        if spender.is_some_and(|found| found.height.is_some() && found.tx.compute_txid() != txid) {
            return Ok(true);
        }
    }
    Ok(false)
}
