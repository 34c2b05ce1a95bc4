//! Refund: the user takes a deposit back that was not confirmed.
//!
//! | | |
//! | --- | --- |
//! | spends | the deposit, by the user's leaf, `refund_delay` blocks after it was mined |
//! | pays | 0: wherever the user likes |
//! | published by | the user, which can replace it or bump it through its output (it is version 3, as [`crate::wallet`]'s children are) |

use bitcoin::absolute::LockTime;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::sighash::SighashCache;
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, ScriptBuf, Transaction, TxIn, TxOut, Weight, Witness};

use super::presigned::leaf_message;
use super::{BuildError, DepositTerms};
use crate::connector::Leaf;
use crate::parameters::Bridge;

/// A refund that waits for the user's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The transaction, with an empty witness.
    pub tx: Transaction,
    /// What it spends.
    pub prevout: TxOut,
    leaf: Leaf,
}

impl Refund {
    /// The refund of a deposit to `destination`.
    ///
    /// # Errors
    /// If there is no such denomination, or the fee leaves dust.
    pub fn new(
        bridge: &Bridge,
        terms: &DepositTerms,
        destination: ScriptBuf,
        fee_rate: FeeRate,
    ) -> Result<Self, BuildError> {
        let prevout = terms.deposit_output(bridge)?;
        let deposit = bridge.deposit(terms.refund_key);
        let leaf = deposit.refund_leaf();
        let input = TxIn {
            previous_output: terms.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: deposit.refund_sequence(),
            witness: Witness::new(),
        };
        let least = destination.minimal_non_dust();
        let mut tx = Transaction {
            version: Version(3),
            lock_time: LockTime::ZERO,
            input: vec![input],
            output: vec![TxOut { value: Amount::ZERO, script_pubkey: destination }],
        };
        let weight = tx.weight() + Weight::from_wu(2 + leaf.witness_weight([64]) as u64);
        let needed = fee_rate
            .fee_vb(weight.to_vbytes_ceil())
            .and_then(|fee| fee.checked_add(least))
            .unwrap_or(Amount::MAX_MONEY);
        if prevout.value < needed {
            return Err(BuildError::TooSmall {
                name: format!("refund of {}", terms.outpoint),
                inputs: prevout.value,
                needed,
            });
        }
        tx.output[0].value = prevout.value - (needed - least);
        Ok(Refund { tx, prevout, leaf })
    }

    /// What the user signs with its refund key, untweaked.
    pub fn message(&self) -> [u8; 32] {
        leaf_message(&mut SighashCache::new(&self.tx), 0, std::slice::from_ref(&self.prevout), &self.leaf)
    }

    /// The transaction with the user's signature.
    pub fn complete(mut self, signature: &Signature) -> Transaction {
        self.tx.input[0].witness = self.leaf.witness(&[signature.serialize()]);
        self.tx
    }
}
