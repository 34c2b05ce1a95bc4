//! A child that pays for its parent: spends the parent's anchor, or an output of one's own, and a coin of one's wallet.
//!
//! Version 3 parents take one child of at most 1,000 vB (BIP 431). A later child with a higher fee replaces an earlier one,
//! whoever made it, so nobody can keep a parent down by a child of their own.

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Weight, Witness};

use super::BuildError;
use super::presigned::AT_ONCE;

/// The largest child of a version 3 parent, in virtual bytes.
pub const MAX_VSIZE: u64 = 1_000;

/// A coin that a child spends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// The output.
    pub output: TxOut,
    /// Weight of the witness that spends it, its count of items included.
    pub witness_weight: usize,
}

impl Coin {
    /// An anchor: its witness is empty.
    pub fn anchor(outpoint: OutPoint) -> Self {
        Coin { outpoint, output: crate::connector::anchor::output(), witness_weight: 1 }
    }

    /// An output of `tr(key)`, spent by the key path.
    pub fn key_path(outpoint: OutPoint, output: TxOut) -> Self {
        Coin { outpoint, output, witness_weight: crate::connector::KEY_PATH_WEIGHT }
    }
}

/// The unsigned child that spends `coins` to `change`, so that parent and child together pay `fee_rate`.
///
/// # Errors
/// If the coins do not carry that fee and a change that is not dust.
pub fn child(parent: &Transaction, parent_fee: Amount, coins: &[Coin], change: ScriptBuf, fee_rate: FeeRate) -> Result<Transaction, BuildError> {
    let input = |coin: &Coin| TxIn {
        previous_output: coin.outpoint,
        script_sig: ScriptBuf::new(),
        sequence: AT_ONCE,
        witness: Witness::new(),
    };
    let least = change.minimal_non_dust();
    let mut tx = Transaction {
        version: parent.version.max(Version::TWO),
        lock_time: LockTime::ZERO,
        input: coins.iter().map(input).collect(),
        output: vec![TxOut { value: Amount::ZERO, script_pubkey: change }],
    };
    let witnesses: usize = coins.iter().map(|coin| coin.witness_weight).sum();
    let own = tx.weight() + Weight::from_wu(2 + witnesses as u64);
    // Each pays for whole virtual bytes, and the child alone at least the rate too.
    let both = fee_rate.fee_vb(parent.weight().to_vbytes_ceil() + own.to_vbytes_ceil()).unwrap_or(Amount::MAX_MONEY);
    let alone = fee_rate.fee_vb(own.to_vbytes_ceil()).unwrap_or(Amount::MAX_MONEY);
    let fee = both.checked_sub(parent_fee).unwrap_or(Amount::ZERO).max(alone);
    let inputs = coins.iter().map(|coin| coin.output.value).sum::<Amount>();
    let needed = fee.checked_add(least).unwrap_or(Amount::MAX_MONEY);
    if inputs < needed {
        return Err(BuildError::TooSmall { name: format!("child of {}", parent.compute_txid()), inputs, needed });
    }
    tx.output[0].value = inputs - fee;
    Ok(tx)
}
