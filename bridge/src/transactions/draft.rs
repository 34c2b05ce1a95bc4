//! A transaction in the making.

use std::fmt;

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, FeeRate, OutPoint, ScriptBuf, Sequence, TapLeafHash, TapNodeHash, Transaction, TxIn, TxOut, Weight, Witness,
};

use super::presigned::Spend;
use super::{BuildError, Presigned, TxKind};
use crate::connector::{Committee, KEY_PATH_WEIGHT, Leaf, anchor};

/// A transaction in the making: inputs, outputs, and which output takes what is left after the fee.
pub(crate) struct Draft {
    kind: TxKind,
    name: String,
    tx: Transaction,
    prevouts: Vec<TxOut>,
    spends: Vec<Spend>,
    /// Weights of the longest witnesses.
    witness_weights: Vec<usize>,
}

/// The sequence number of an input that waits for nothing.
pub(crate) const AT_ONCE: Sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;

impl Draft {
    pub fn new(kind: TxKind, of: impl fmt::Display) -> Self {
        let tx = Transaction { version: Version(3), lock_time: LockTime::ZERO, input: Vec::new(), output: Vec::new() };
        let name = format!("{kind} {of}");
        Draft { kind, name, tx, prevouts: Vec::new(), spends: Vec::new(), witness_weights: Vec::new() }
    }

    fn input(
        mut self,
        outpoint: OutPoint,
        prevout: TxOut,
        sequence: Sequence,
        spend: Spend,
        witness_weight: usize,
    ) -> Self {
        self.tx.input.push(TxIn {
            previous_output: outpoint,
            script_sig: ScriptBuf::new(),
            sequence,
            witness: Witness::new(),
        });
        self.prevouts.push(prevout);
        self.spends.push(spend);
        self.witness_weights.push(witness_weight);
        self
    }

    /// An input that the committee signs on the key path.
    pub fn committee(self, outpoint: OutPoint, prevout: TxOut, sequence: Sequence, root: Option<TapNodeHash>) -> Self {
        self.input(outpoint, prevout, sequence, Spend::Committee(root), KEY_PATH_WEIGHT)
    }

    /// An input that a party signs on the key path when it publishes.
    pub fn party(self, outpoint: OutPoint, prevout: TxOut) -> Self {
        self.input(outpoint, prevout, AT_ONCE, Spend::Party, KEY_PATH_WEIGHT)
    }

    /// An input that the committee signs for each of `leaves`; the items of the longest witness have these lengths.
    pub fn leaves(self, outpoint: OutPoint, prevout: TxOut, leaves: Vec<Leaf>, longest: &[usize]) -> Self {
        let weight = leaves.iter().map(|leaf| leaf.witness_weight(longest.iter().copied())).max().unwrap_or(0);
        self.input(outpoint, prevout, AT_ONCE, Spend::Leaves(leaves), weight)
    }

    /// An input that the committee signs for each of the leaves with these hashes, whose witnesses weigh so much at most.
    pub fn hashed_leaves(self, outpoint: OutPoint, prevout: TxOut, leaves: Vec<TapLeafHash>, weight: usize) -> Self {
        self.input(outpoint, prevout, AT_ONCE, Spend::HashedLeaves(leaves), weight)
    }

    /// An input that a party spends by a leaf of its own, whose witness weighs so much at most.
    pub fn party_leaf(self, outpoint: OutPoint, prevout: TxOut, weight: usize) -> Self {
        self.input(outpoint, prevout, AT_ONCE, Spend::PartyLeaf, weight)
    }

    pub fn version(mut self, version: Version) -> Self {
        self.tx.version = version;
        self
    }

    pub fn output(mut self, script_pubkey: ScriptBuf, value: Amount) -> Self {
        self.tx.output.push(TxOut { value, script_pubkey });
        self
    }

    pub fn anchor(mut self) -> Self {
        self.tx.output.push(anchor::output());
        self
    }

    pub fn lock_time(mut self, height: bitcoin::absolute::Height) -> Self {
        self.tx.lock_time = LockTime::from(height);
        self
    }

    /// Weight of the transaction with its longest witnesses.
    pub fn weight(&self) -> Weight {
        // Marker and flag; an empty witness is counted by the witness's own weight.
        self.tx.weight() + Weight::from_wu(2 + self.witness_weights.iter().sum::<usize>() as u64)
    }

    /// The fee that the whole transaction pays at `rate`.
    pub fn fee(&self, rate: FeeRate) -> Amount {
        rate.fee_wu(self.weight()).expect("a fee rate within bounds does not overflow")
    }

    /// Gives output `change` what the inputs leave after the other outputs and the fee at `rate`.
    pub fn change(mut self, change: usize, rate: FeeRate) -> Result<Self, BuildError> {
        let fee = self.fee(rate);
        self.tx.output[change].value = Amount::ZERO;
        let inputs = self.inputs();
        let others: Amount = self.tx.output.iter().map(|output| output.value).sum();
        let least = self.tx.output[change].script_pubkey.minimal_non_dust();
        let needed = others + fee + least;
        if inputs < needed {
            return Err(BuildError::TooSmall { name: self.name, inputs, needed });
        }
        self.tx.output[change].value = inputs - others - fee;
        Ok(self)
    }

    /// The finished transaction; it is checked that it pays at least `rate`.
    pub fn finish(self, committee: &Committee, rate: FeeRate) -> Result<Presigned, BuildError> {
        let paid: Amount = self.tx.output.iter().map(|output| output.value).sum();
        let (inputs, needed) = (self.inputs(), paid + self.fee(rate));
        if inputs < needed {
            return Err(BuildError::TooSmall { name: self.name, inputs, needed });
        }
        let Draft { kind, name, tx, prevouts, spends, .. } = self;
        Ok(Presigned { kind, name, tx, prevouts, committee: committee.key(), spends })
    }

    fn inputs(&self) -> Amount {
        self.prevouts.iter().map(|output| output.value).sum()
    }
}
