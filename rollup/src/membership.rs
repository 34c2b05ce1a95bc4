//! A change of the sequencers.
//!
//! ```text
//! set u32 ‖ count u8 ‖ count × key[32] ‖ the sequencers' signatures ‖ the committee's signers' signatures
//! ```
//!
//! It names the whole new set. A quorum of the sequencers whom the block's batches need has to sign it, and more than half
//! of the committee's signers, each with its own key; all of them sign the same message. So neither can replace the
//! sequencers alone. It counts once, as the set's number is the next one, and `membership_delay` blocks later. Until
//! then there is no other change.

use alloc::vec::Vec;

use crate::certificate::{Signatures, take};
use crate::compress::{Digest, tagged_hash};
use crate::wire::Reader;

/// A change, signed or to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The new set's number: one more than that of the set it follows.
    pub set: u32,
    /// The new sequencers' x-only keys, 1 to 255, all different.
    pub sequencers: Vec<[u8; 32]>,
    /// Signatures of the sequencers so far over [`Self::message`].
    pub certificate: Signatures,
    /// Signatures of the committee's signers over the same.
    pub consent: Signatures,
}

impl Membership {
    /// What is signed: BIP 340's tagged hash, with the tag `Trestle/membership`, of instance ‖ set ‖ keys.
    #[must_use]
    pub fn message(&self, instance: &Digest) -> Digest {
        let keys = self.sequencers.as_flattened();
        tagged_hash("Trestle/membership", &[instance, &self.set.to_le_bytes(), keys])
    }

    /// The payload of its envelope.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.set.to_le_bytes().to_vec();
        bytes.push(u8::try_from(self.sequencers.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(self.sequencers.as_flattened());
        crate::certificate::put(&mut bytes, &self.certificate);
        crate::certificate::put(&mut bytes, &self.consent);
        bytes
    }

    /// Reads a payload. Its signatures may be worth nothing.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut from = Reader::new(payload);
        let (set, count) = (from.u32()?, from.u8()?);
        let sequencers = (0..count).map(|_| from.array()).collect::<Option<_>>()?;
        let (certificate, consent) = (take(&mut from)?, take(&mut from)?);
        from.end(Self { set, sequencers, certificate, consent })
    }

    /// Adds the signature of the sequencer with this index.
    #[cfg(feature = "std")]
    pub fn certify(&mut self, sequencer: u8, signature: [u8; 64]) {
        crate::certificate::insert(&mut self.certificate, sequencer, signature);
    }

    /// Adds the signature of the committee's signer with this index.
    #[cfg(feature = "std")]
    pub fn agree(&mut self, signer: u8, signature: [u8; 64]) {
        crate::certificate::insert(&mut self.consent, signer, signature);
    }
}
