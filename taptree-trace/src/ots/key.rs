//! Secrets and public keys.

use bitcoin::hashes::{Hash, hash160};
use bitcoin::hex::{DisplayHex, FromHex};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Layout, Link, MAX_DIGIT, Message, OtsError, Signature};

/// The lane of messages that belong to a slot and to no challenger's lane.
pub const CLAIM_LANE: u16 = u16::MAX;

/// What one key is for. Two ids that differ anywhere have unrelated keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId<'a> {
    /// The bridge instance (`Parameters::instance`), so that one seed can serve two bridges.
    pub instance: [u8; 32],
    /// The slot's id, encoded.
    pub slot: [u8; 6],
    /// The challenger whose lane it is, or [`CLAIM_LANE`].
    pub lane: u16,
    /// The message's name within the lane.
    pub message: &'a str,
}

/// The secret that a party derives all its one-time keys from: 32 uniformly random bytes.
#[derive(Clone)]
pub struct SecretSeed([u8; 32]);

/// The ends of the chains of one key, in the order of [`Message::signed_digits`].
///
/// Serialized as one string of hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub Vec<Link>);

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.0.concat().to_lower_hex_string()
    }
}

impl TryFrom<String> for PublicKey {
    type Error = OtsError;

    fn try_from(text: String) -> Result<Self, OtsError> {
        let bytes = Vec::<u8>::from_hex(&text).map_err(|_| OtsError::KeyText)?;
        let (links, []) = bytes.as_chunks() else { return Err(OtsError::KeyText) };
        Ok(PublicKey(links.to_vec()))
    }
}

impl std::fmt::Debug for SecretSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretSeed(..)")
    }
}

impl SecretSeed {
    /// A seed from 32 uniformly random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        SecretSeed(bytes)
    }

    /// The public key for `id`.
    pub fn public_key(&self, layout: &Layout, id: &KeyId) -> PublicKey {
        PublicKey(self.chains(layout, id).into_iter().map(|secret| hash_times(secret, MAX_DIGIT)).collect())
    }

    /// Signs `message` with the key for `id`. The caller signs one message with one id, ever.
    ///
    /// # Errors
    /// If the message was made for another layout.
    pub fn sign(&self, layout: &Layout, id: &KeyId, message: &Message) -> Result<Signature, OtsError> {
        let digits = message.signed_digits();
        if digits.len() != layout.signed_digits() {
            return Err(OtsError::DigitCount {
                layout: layout.name,
                what: "the message",
                expected: layout.signed_digits(),
                got: digits.len(),
            });
        }
        let links = self.chains(layout, id).into_iter().zip(&digits).map(|(s, d)| hash_times(s, *d)).collect();
        Ok(Signature { digits, links })
    }

    /// A secret for `id` that is revealed whole, such as the one that opens a Contest.
    pub fn secret(&self, id: &KeyId) -> [u8; 32] {
        let mut out = [0; 32];
        self.expand(b"secret", id, &mut out);
        out
    }

    fn chains(&self, layout: &Layout, id: &KeyId) -> Vec<Link> {
        let mut bytes = vec![0; 20 * layout.signed_digits()];
        self.expand(b"chain", id, &mut bytes);
        bytes.chunks_exact(20).map(|chunk| chunk.try_into().expect("chunks of 20")).collect()
    }

    /// HKDF-SHA256 (RFC 5869), which gives at most 8,160 bytes: enough for 408 digits.
    fn expand(&self, purpose: &[u8], id: &KeyId, out: &mut [u8]) {
        let lane = id.lane.to_le_bytes();
        let info: [&[u8]; 6] = [b"Trestle/ots/", purpose, &id.instance, &id.slot, &lane, id.message.as_bytes()];
        Hkdf::<Sha256>::new(None, &self.0).expand_multi_info(&info, out).expect("no layout has more than 408 digits");
    }
}

impl PublicKey {
    /// Checks that the key fits `layout` and that no link lies on the chain of another one.
    ///
    /// [`super::script_commit`] relies on the second: with related links a key's owner could let one digit's
    /// value stand for another's, and sign in a form that a later script does not read. Whoever accepts
    /// a key from somebody else calls this. Keys made from a [`SecretSeed`] pass.
    ///
    /// # Errors
    /// Says which links are related, or how many there should be.
    pub fn check(&self, layout: &Layout) -> Result<(), OtsError> {
        if self.0.len() != layout.signed_digits() {
            return Err(OtsError::DigitCount {
                layout: layout.name,
                what: "the public key",
                expected: layout.signed_digits(),
                got: self.0.len(),
            });
        }
        for (first, link) in self.0.iter().enumerate() {
            let mut link = *link;
            for _ in 0..=MAX_DIGIT {
                for (second, other) in self.0.iter().enumerate() {
                    if first != second && link == *other {
                        return Err(OtsError::RelatedLinks { first, second });
                    }
                }
                link = hash_times(link, 1);
            }
        }
        Ok(())
    }
}

/// HASH160 applied `times` times.
pub(crate) fn hash_times(mut link: Link, times: u8) -> Link {
    for _ in 0..times {
        link = hash160::Hash::hash(&link).to_byte_array();
    }
    link
}
