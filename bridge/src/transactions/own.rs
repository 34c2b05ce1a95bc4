//! What one party publishes by itself: a spend of a leaf that asks for its signature alone.

use bitcoin::absolute::LockTime;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::sighash::SighashCache;
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Weight, Witness};

use super::BuildError;
use super::presigned::leaf_message;
use crate::connector::Leaf;

/// A transaction that waits for its owner's signature. The owner chose its fee and can replace it, or bump it through its output
/// (it is version 3, as [`crate::wallet`]'s children are).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSpend {
    /// The transaction, with an empty witness.
    pub tx: Transaction,
    /// What it spends.
    pub prevout: TxOut,
    leaf: Leaf,
}

impl OwnSpend {
    /// All of an output to `destination`, at this fee rate, by `leaf`, `sequence` after it was mined. `name` is for the error.
    pub(crate) fn new(
        name: &str,
        (outpoint, prevout): (OutPoint, TxOut),
        (leaf, sequence): (Leaf, Sequence),
        destination: ScriptBuf,
        fee_rate: FeeRate,
    ) -> Result<Self, BuildError> {
        let input = TxIn { previous_output: outpoint, script_sig: ScriptBuf::new(), sequence, witness: Witness::new() };
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
            return Err(BuildError::TooSmall { name: name.into(), inputs: prevout.value, needed });
        }
        tx.output[0].value = prevout.value - (needed - least);
        Ok(OwnSpend { tx, prevout, leaf })
    }

    /// What the owner signs with its key, untweaked.
    pub fn message(&self) -> [u8; 32] {
        leaf_message(&mut SighashCache::new(&self.tx), 0, std::slice::from_ref(&self.prevout), self.leaf.hash())
    }

    /// The transaction with the owner's signature.
    pub fn complete(mut self, signature: &Signature) -> Transaction {
        self.tx.input[0].witness = self.leaf.witness(&[signature.serialize()]);
        self.tx
    }
}
