//! From one set of sequencers to the next: what a quorum of the old one says that the new one begins with.
//!
//! ```text
//! count u32 ‖ count × height u64 ‖ signature count u8 ‖ count × (sequencer index u8 ‖ signature[64]) ‖ genesis
//! ```
//!
//! Who is in both sets needs none. Who joins has not seen the old set's blocks, and takes them from anybody: their
//! transactions are hashed into what the quorum signed.

use commonware_codec::{Decode as _, Encode as _};
use commonware_cryptography::{Digested, Digestible as _};
use trestle_rollup::{Digest, Signatures, tagged_hash};

use super::block::Block;
use super::certificate::{Part, is_signed};

/// Where a set begins, and what was ordered before and not executed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The set's genesis.
    pub genesis: Block,
    /// Heights of the blocks with transactions of the batches that were not executed at the genesis's anchor.
    pub pending: Vec<u64>,
    /// Signatures of the set before over [`Self::digest`].
    pub signatures: Signatures,
}

impl Handover {
    /// A handover with the genesis as it is encoded; `None` if it is none.
    #[must_use]
    pub fn new(genesis: &[u8], pending: Vec<u64>, signatures: Signatures) -> Option<Self> {
        let genesis = Block::decode_cfg(bytes::Bytes::copy_from_slice(genesis), &0).ok()?;
        Some(Self { genesis, pending, signatures })
    }

    /// The genesis, encoded.
    #[must_use]
    pub fn genesis_bytes(&self) -> Vec<u8> {
        self.genesis.encode().to_vec()
    }

    /// What is signed: BIP 340's tagged hash, with the tag `Trestle/handover`, of
    /// instance ‖ the genesis's digest ‖ for each pending block: height ‖ its part's digest.
    #[must_use]
    pub fn digest<'a>(&self, instance: &Digest, parts: impl IntoIterator<Item = &'a Part>) -> Digest {
        let mut pending = Vec::new();
        for (height, part) in self.pending.iter().zip(parts) {
            pending.extend(height.to_le_bytes());
            pending.extend(part.digest(instance));
        }
        tagged_hash("Trestle/handover", &[instance, &self.genesis.digest(), &pending])
    }

    /// Whether a quorum of the set before, whose keys are in the order of their indices, signed this, and that these are
    /// the parts of the pending blocks.
    #[must_use]
    pub fn verify(&self, instance: &Digest, keys: &[[u8; 32]], parts: &[Part]) -> bool {
        parts.len() == self.pending.len() && is_signed(self.digest(instance, parts), &self.signatures, keys)
    }

    /// The genesis with its digest.
    pub(crate) fn digested(&self) -> Digested<Block> {
        Digested::precomputed(self.genesis.clone(), self.genesis.digest())
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = u32::try_from(self.pending.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        bytes.extend(self.pending.iter().flat_map(|height| height.to_le_bytes()));
        bytes.push(u8::try_from(self.signatures.len()).unwrap_or(u8::MAX));
        for (index, signature) in &self.signatures {
            bytes.push(*index);
            bytes.extend(signature);
        }
        bytes.extend(self.genesis_bytes());
        bytes
    }

    /// From all of the bytes. The signatures may be worth nothing.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (pending, rest) = rest.split_at_checked(count.checked_mul(8)?)?;
        let (count, rest) = rest.split_first()?;
        let (signatures, genesis) = rest.split_at_checked(usize::from(*count) * 65)?;
        let entry = |entry: &[u8; 65]| Some((entry[0], *entry.last_chunk()?));
        let pending = pending.as_chunks().0.iter().map(|height| u64::from_le_bytes(*height)).collect();
        Self::new(genesis, pending, signatures.as_chunks().0.iter().map(entry).collect::<Option<_>>()?)
    }
}
