//! Batches: transactions that a quorum of the sequencers certified, in their order.
//!
//! ```text
//! number u64 ‖ signatures ‖ signed transactions, one after the other
//! ```
//!
//! That is a batch as those keep it who have all of it; what goes to Bitcoin is much shorter ([`crate::compact`]). Batches
//! are executed in the order of their numbers, without gaps; one with another number, or without a quorum, is skipped
//! whole. In a good batch an invalid transaction is skipped alone.

use alloc::vec::Vec;

use crate::certificate::{Certificate, Signatures, batch_digest, insert, put, take};
use crate::compress::Digest;
use crate::transaction::SignedTransaction;
use crate::wire::Reader;

/// One batch, certified or to be certified.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "Vec<u8>", try_from = "Vec<u8>")]
pub struct Batch {
    /// Its place in the order of batches, from 0.
    pub number: u64,
    /// The transactions, whose signatures are valid: with one that is not, Bitcoin's copy of the batch is worth nothing.
    pub transactions: Vec<SignedTransaction>,
    /// Sequencer indices, strictly ascending, each with its signature over [`Self::digest`].
    pub certificate: Signatures,
}

impl Batch {
    /// An uncertified batch.
    #[must_use]
    pub fn new<'a>(number: u64, transactions: impl IntoIterator<Item = &'a SignedTransaction>) -> Self {
        Self { number, transactions: transactions.into_iter().copied().collect(), certificate: Vec::new() }
    }

    /// What a sequencer signs; see [`Certificate::digest`].
    #[must_use]
    pub fn digest(&self, instance: &Digest) -> Digest {
        batch_digest(instance, self.number, &self.ids(instance))
    }

    /// What the sequencers said of it, without the transactions themselves.
    #[must_use]
    pub fn to_certificate(&self, instance: &Digest) -> Certificate {
        let transactions = self.ids(instance);
        Certificate { number: self.number, transactions, signatures: self.certificate.clone() }
    }

    fn ids(&self, instance: &Digest) -> Vec<Digest> {
        self.transactions.iter().map(|signed| signed.transaction.sighash(instance)).collect()
    }

    /// Adds a sequencer's signature at its place; one that is there already is replaced.
    pub fn certify(&mut self, sequencer: u8, signature: [u8; 64]) {
        insert(&mut self.certificate, sequencer, signature);
    }

    /// All of the batch, every signature included. Not what goes to Bitcoin: that is [`Self::compact`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.number.to_le_bytes().to_vec();
        put(&mut bytes, &self.certificate);
        self.transactions.iter().for_each(|signed| bytes.extend(signed.encode()));
        bytes
    }

    /// Reads what [`Self::encode`] wrote. The signatures may be worth nothing.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        let (number, certificate) = (from.u64()?, take(&mut from)?);
        Some(Self { number, transactions: SignedTransaction::decode_all(from.rest())?, certificate })
    }
}

impl From<Batch> for Vec<u8> {
    fn from(batch: Batch) -> Self {
        batch.encode()
    }
}

impl TryFrom<Vec<u8>> for Batch {
    type Error = &'static str;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        Self::decode(&bytes).ok_or("not a batch")
    }
}
