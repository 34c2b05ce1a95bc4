//! What members of a set sign together: which of them, and that they are enough.
//!
//! ```text
//! signatures = length u8 ‖ bitmap[length] ‖ a 64-byte signature for each bit that is set, in the order of the bits
//! ```
//!
//! Bit i (of byte i / 8, least significant first) is member i; the bitmap's last byte is not zero. So nobody is counted
//! twice, and there is one form.

use alloc::vec::Vec;

use crate::compress::{Digest, tagged_hash};
use crate::host::SignatureCheck;
use crate::schnorr;
use crate::wire::Reader;

/// Members' indices, strictly ascending, each with its signature.
pub type Signatures = Vec<(u8, [u8; 64])>;

/// How many of `sequencers` must certify a batch: all but the third that may be faulty, `n − ⌊(n−1)/3⌋`.
///
/// `None` without sequencers: then there is no valid batch, rather than one that nobody needs to certify.
#[must_use]
pub fn quorum(sequencers: u8) -> Option<u8> {
    let faulty = sequencers.checked_sub(1)? / 3;
    sequencers.checked_sub(faulty)
}

/// How many of `signers` are more than half of them. Of none it is one, so that nobody's consent is nobody's.
#[must_use]
pub fn majority(signers: u8) -> u8 {
    (signers >> 1).saturating_add(1)
}

/// What a quorum of the sequencers said of one batch, without the transactions themselves. With it anybody can be shown
/// that they certified a transaction, or two different batches of one number.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Certificate {
    /// The batch's number.
    pub number: u64,
    /// The ids of its transactions, in order: their sighashes.
    pub transactions: Vec<Digest>,
    /// The sequencers' signatures over [`Self::digest`].
    #[cfg_attr(feature = "std", serde(with = "as_bytes"))]
    pub signatures: Signatures,
}

impl Certificate {
    /// What a sequencer signs: BIP 340's tagged hash, with the tag `Trestle/batch`, of instance ‖ number ‖ the
    /// transactions' ids. An id covers who pays whom how much, with which nonce, in full, however a batch is posted.
    #[must_use]
    pub fn digest(&self, instance: &Digest) -> Digest {
        batch_digest(instance, self.number, &self.transactions)
    }

    /// Whether a quorum of the sequencers with these keys, in the order of their indices, signed it.
    #[must_use]
    pub fn verify(&self, instance: &Digest, keys: &[[u8; 32]]) -> bool {
        let needed = u8::try_from(keys.len()).ok().and_then(quorum).map(usize::from);
        let message = self.digest(instance);
        let is_signed = |(index, signature): &(u8, [u8; 64])| {
            let key = keys.get(usize::from(*index));
            key.is_some_and(|key| schnorr::verify(&SignatureCheck { key: *key, message, signature: *signature }))
        };
        needed.is_some_and(|needed| self.signatures.len() >= needed)
            && self.signatures.is_sorted_by(|(one, _), (next, _)| one < next)
            && self.signatures.iter().all(is_signed)
    }
}

pub(crate) fn batch_digest(instance: &Digest, number: u64, transactions: &[Digest]) -> Digest {
    tagged_hash("Trestle/batch", &[instance, &number.to_le_bytes(), transactions.as_flattened()])
}

/// Reads signatures; they may be worth nothing.
pub(crate) fn take(from: &mut Reader<'_>) -> Option<Signatures> {
    let length = usize::from(from.u8()?);
    let bitmap = from.take(length)?;
    if length > 32 || bitmap.last() == Some(&0) {
        return None;
    }
    let is_set = |index: &u8| bitmap.get(usize::from(index >> 3)).is_some_and(|byte| byte >> (index & 7) & 1 == 1);
    (0..=u8::MAX).filter(is_set).map(|index| Some((index, from.array()?))).collect()
}

/// Appends signatures as [`take`] reads them. Those out of order are left out.
#[cfg(feature = "std")]
pub(crate) fn put(to: &mut Vec<u8>, signatures: &[(u8, [u8; 64])]) {
    let find = |index: u8| signatures.iter().find(|(signer, _)| *signer == index);
    let mut bitmap = [0; 32];
    for (byte, first) in bitmap.iter_mut().zip((0..=u8::MAX).step_by(8)) {
        *byte = (0..8).filter(|bit| find(first | bit).is_some()).fold(0, |byte, bit| byte | 1 << bit);
    }
    let length = bitmap.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
    to.push(u8::try_from(length).unwrap_or(u8::MAX)); // at most 32
    to.extend_from_slice(bitmap.get(..length).unwrap_or_default());
    for (_, signature) in (0..=u8::MAX).filter_map(find) {
        to.extend_from_slice(signature);
    }
}

/// Puts a signature at its place; one that is there already is replaced.
#[cfg(feature = "std")]
pub(crate) fn insert(signatures: &mut Signatures, member: u8, signature: [u8; 64]) {
    match signatures.binary_search_by_key(&member, |(index, _)| *index) {
        Ok(at) => signatures.get_mut(at).into_iter().for_each(|entry| entry.1 = signature),
        Err(at) => signatures.insert(at, (member, signature)),
    }
}

/// Serde as the bytes of [`put`].
#[cfg(feature = "std")]
mod as_bytes {
    use super::{Reader, Signatures, put, take};

    pub(super) fn serialize<S: serde::Serializer>(signatures: &Signatures, to: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        put(&mut bytes, signatures);
        serde::Serialize::serialize(&bytes, to)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Signatures, D::Error> {
        let bytes = <Vec<u8> as serde::Deserialize>::deserialize(from)?;
        let mut from = Reader::new(&bytes);
        let signatures = take(&mut from).and_then(|signatures| from.end(signatures));
        signatures.ok_or_else(|| serde::de::Error::custom("not a list of signatures"))
    }
}
