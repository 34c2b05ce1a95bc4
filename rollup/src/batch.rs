//! Batches: transactions that a quorum of the sequencers certified, in their order.
//!
//! ```text
//! number u64 ‖ count u8 ‖ count × (sequencer index u8 ‖ signature[64]) ‖ signed transactions, one after the other
//! ```
//!
//! The indices ascend strictly: no sequencer counts twice, and there is one order of a certificate. Batches are
//! executed in the order of their numbers, without gaps; one with another number, or without a quorum, is skipped
//! whole. In a good batch an invalid transaction is skipped alone; bytes that are none end the batch.

use alloc::vec::Vec;

use crate::compress::{Digest, tagged_hash};
use crate::transaction::SignedTransaction;
use crate::wire::Reader;

/// How many of `sequencers` must certify a batch: all but the third that may be faulty, `n − ⌊(n−1)/3⌋`.
///
/// `None` without sequencers: then there is no valid batch, rather than one that nobody needs to certify.
#[must_use]
pub fn quorum(sequencers: u8) -> Option<u8> {
    let faulty = sequencers.checked_sub(1)? / 3;
    sequencers.checked_sub(faulty)
}

/// One batch, certified or to be certified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "std",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "Vec<u8>", try_from = "Vec<u8>")
)]
pub struct Batch {
    /// Its place in the order of batches, from 0.
    pub number: u64,
    /// The signed transactions' encodings, one after the other.
    pub transactions: Vec<u8>,
    /// Sequencer indices, strictly ascending, each with its signature over [`Self::digest`].
    pub certificate: Vec<(u8, [u8; 64])>,
}

impl Batch {
    /// An uncertified batch.
    #[must_use]
    pub fn new<'a>(number: u64, transactions: impl IntoIterator<Item = &'a SignedTransaction>) -> Self {
        let transactions = transactions.into_iter().flat_map(SignedTransaction::encode).collect();
        Self { number, transactions, certificate: Vec::new() }
    }

    /// What a sequencer signs: BIP 340's tagged hash, with the tag `Trestle/batch`, of
    /// instance ‖ number ‖ transactions.
    #[must_use]
    pub fn digest(&self, instance: &Digest) -> Digest {
        digest(instance, self.number, &self.transactions)
    }

    /// Adds a sequencer's signature at its place; one that is there already is replaced.
    pub fn certify(&mut self, sequencer: u8, signature: [u8; 64]) {
        match self.certificate.binary_search_by_key(&sequencer, |(index, _)| *index) {
            Ok(at) => self.certificate.get_mut(at).into_iter().for_each(|entry| entry.1 = signature),
            Err(at) => self.certificate.insert(at, (sequencer, signature)),
        }
    }

    /// The payload of a batch's envelope.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.number.to_le_bytes().to_vec();
        bytes.push(u8::try_from(self.certificate.len()).unwrap_or(u8::MAX));
        for (sequencer, signature) in &self.certificate {
            bytes.push(*sequencer);
            bytes.extend_from_slice(signature);
        }
        bytes.extend_from_slice(&self.transactions);
        bytes
    }

    /// Reads a payload. The certificate's indices ascend; its signatures may be worth nothing.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let view = BatchView::decode(payload)?;
        Some(Self { number: view.number, transactions: view.transactions.to_vec(), certificate: view.certificate })
    }

    /// The transactions, as far as the bytes are some.
    pub fn transactions(&self) -> impl Iterator<Item = SignedTransaction> + '_ {
        let mut from = Reader::new(&self.transactions);
        core::iter::from_fn(move || {
            let (transaction, check) = SignedTransaction::decode_first(&mut from, &[0; 32])?;
            Some(SignedTransaction { transaction, signature: check.signature })
        })
    }
}

/// A batch whose transactions stay where they are.
pub(crate) struct BatchView<'a> {
    pub(crate) number: u64,
    pub(crate) certificate: Vec<(u8, [u8; 64])>,
    pub(crate) transactions: &'a [u8],
}

impl<'a> BatchView<'a> {
    pub(crate) fn decode(payload: &'a [u8]) -> Option<Self> {
        let mut from = Reader::new(payload);
        let (number, count) = (from.u64()?, from.u8()?);
        let mut certificate = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            certificate.push((from.u8()?, from.array()?));
        }
        if !certificate.is_sorted_by(|(one, _), (next, _)| one < next) {
            return None;
        }
        Some(Self { number, certificate, transactions: from.rest() })
    }

    pub(crate) fn digest(&self, instance: &Digest) -> Digest {
        digest(instance, self.number, self.transactions)
    }
}

fn digest(instance: &Digest, number: u64, transactions: &[u8]) -> Digest {
    tagged_hash("Trestle/batch", &[instance, &number.to_le_bytes(), transactions])
}

impl From<Batch> for Vec<u8> {
    fn from(batch: Batch) -> Self {
        batch.encode()
    }
}

impl TryFrom<Vec<u8>> for Batch {
    type Error = &'static str;

    fn try_from(payload: Vec<u8>) -> Result<Self, Self::Error> {
        Self::decode(&payload).ok_or("not a batch")
    }
}
