//! An envelope's two transactions: one that commits to it, one that reveals it.
//!
//! | | Commit | Reveal |
//! | --- | --- | --- |
//! | spends | the poster's wallet | Commit's output 0, by the leaf that is the envelope |
//! | pays | 0: the carrier; 1: change | 0: what is left, to the poster |
//! | published by | the poster, both at once | |
//!
//! Reveal is version 2, because it may be larger than 10 kvB. Where it is stuck the poster replaces it: a [`Posting`] of the same envelope
//! and key with a higher fee rate has the same carrier, so Commit stays as it is, given that it carries enough.

use bitcoin::absolute::LockTime;
use bitcoin::script::Instruction;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::sighash::SighashCache;
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Weight, Witness, XOnlyPublicKey};
use trestle_rollup::Envelope;
use trestle_rollup::envelope::Kind;

use super::BuildError;
use super::draft::AT_ONCE;
use super::presigned::leaf_message;
use crate::connector::Carrier;
use crate::parameters::Bridge;

/// The heaviest transaction that nodes relay (Bitcoin Core's `MAX_STANDARD_TX_WEIGHT`).
pub const MAX_WEIGHT: Weight = Weight::from_wu(400_000);

/// An envelope on its way to the chain.
#[derive(Debug, Clone)]
pub struct Posting {
    carrier: Carrier,
    change: ScriptBuf,
    fee_rate: FeeRate,
}

/// A reveal that waits for the poster's signature.
#[derive(Debug, Clone)]
pub struct Reveal {
    /// The transaction, with an empty witness.
    pub tx: Transaction,
    /// What it spends.
    pub prevout: TxOut,
    carrier: Carrier,
}

impl Posting {
    /// Posts `envelope` in the name of `key`, paying `fee_rate` for the reveal and what is left to `change`.
    ///
    /// # Errors
    /// If the reveal would be heavier than nodes relay.
    pub fn new(
        bridge: &Bridge,
        envelope: &Envelope,
        key: XOnlyPublicKey,
        change: ScriptBuf,
        fee_rate: FeeRate,
    ) -> Result<Self, PostingError> {
        let posting = Posting { carrier: Carrier::new(key, envelope, bridge.tag), change, fee_rate };
        match posting.weight() {
            weight if weight > MAX_WEIGHT => Err(PostingError::TooHeavy(weight)),
            _ => Ok(posting),
        }
    }

    /// Output 0 of Commit, for the poster's wallet to fund: it pays for the reveal and leaves a change that is not dust.
    pub fn commit_output(&self) -> TxOut {
        TxOut { value: self.fee() + self.change.minimal_non_dust(), script_pubkey: self.carrier.script_pubkey() }
    }

    /// Reveal of what Commit's output `outpoint`, which carries `value`, commits to.
    ///
    /// # Errors
    /// If it carries too little.
    pub fn reveal(&self, outpoint: OutPoint, value: Amount) -> Result<Reveal, BuildError> {
        let needed = self.commit_output().value;
        if value < needed {
            return Err(BuildError::TooSmall { name: format!("reveal of {outpoint}"), inputs: value, needed });
        }
        let mut tx = self.transaction(outpoint);
        tx.output[0].value = value - self.fee();
        let prevout = TxOut { value, script_pubkey: self.carrier.script_pubkey() };
        Ok(Reveal { tx, prevout, carrier: self.carrier.clone() })
    }

    fn transaction(&self, outpoint: OutPoint) -> Transaction {
        let input = TxIn {
            previous_output: outpoint,
            script_sig: ScriptBuf::new(),
            sequence: AT_ONCE,
            witness: Witness::new(),
        };
        let output = TxOut { value: Amount::ZERO, script_pubkey: self.change.clone() };
        Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: vec![input], output: vec![output] }
    }

    fn weight(&self) -> Weight {
        let witness = self.carrier.reveal_leaf().witness_weight([64]);
        self.transaction(OutPoint::null()).weight() + Weight::from_wu(2 + witness as u64)
    }

    fn fee(&self) -> Amount {
        self.fee_rate.fee_vb(self.weight().to_vbytes_ceil()).unwrap_or(Amount::MAX_MONEY)
    }
}

impl Reveal {
    /// What the poster signs with its key, untweaked.
    pub fn message(&self) -> [u8; 32] {
        leaf_message(
            &mut SighashCache::new(&self.tx),
            0,
            std::slice::from_ref(&self.prevout),
            self.carrier.reveal_leaf().hash(),
        )
    }

    /// The transaction with the poster's signature.
    pub fn complete(mut self, signature: &Signature) -> Transaction {
        self.tx.input[0].witness = self.carrier.reveal_witness(signature);
        self.tx
    }
}

/// The envelope that a transaction of a bridge with this tag reveals, and the key that signed for it.
///
/// The Layer 2 looks in the same place; it reads the block's bytes, this a parsed transaction.
#[must_use]
pub fn revealed(tx: &Transaction, tag: [u8; 4]) -> Option<([u8; 32], Envelope)> {
    let leaf = tx.input.first()?.witness.taproot_leaf_script()?.script;
    let mut pushes = leaf.instructions().filter_map(|instruction| match instruction {
        Ok(Instruction::PushBytes(bytes)) => Some(bytes.as_bytes()),
        _ => None,
    });
    // CHECKSIG, IF and ENDIF push nothing; the 0 before IF pushes no bytes.
    let (key, [], _header) = (pushes.next()?.try_into().ok()?, pushes.next()?, pushes.next()?) else { return None };
    let payload: Vec<u8> = pushes.flatten().copied().collect();
    let kinds = [Kind::Batch, Kind::Forced].into_iter();
    let envelopes = kinds.map(|kind| Envelope { kind, payload: payload.clone() });
    let is_it = |envelope: &Envelope| envelope.script(tag, &key) == leaf.as_bytes();
    envelopes.into_iter().find(is_it).map(|envelope| (key, envelope))
}

/// An envelope cannot be posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostingError {
    /// Nodes would not relay the reveal.
    #[error("the reveal would weigh {0}, more than the {MAX_WEIGHT} that nodes relay: post less at once")]
    TooHeavy(Weight),
}
