//! The operator's keys of a lane as bytes, which is how they travel and how they are named.
//!
//! They are too large to stand in the terms of a run (about 200 kB a lane), so the terms have their digest, and whoever needs the
//! keys asks for them. The bytes are the links of all keys, one after the other, in the order of [`MessageId::all`]: no lengths, no
//! separators, so that keys have one form only.

use bitcoin::hashes::sha256;
use bitcoin::hashes::{Hash, HashEngine};

use super::keys::{LaneId, operator_keys};
use super::message::MessageId;
use crate::ots::{Link, PublicKey, SecretSeed};

/// Bytes that are not the keys of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys of a lane with K = {confirmations} are {expected} bytes, not {got}")]
pub struct KeyBytesError {
    /// K.
    pub confirmations: u16,
    /// Bytes expected.
    pub expected: usize,
    /// Bytes given.
    pub got: usize,
}

/// The operator's public keys of a lane, in the order of [`MessageId::all`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorKeys(pub Vec<PublicKey>);

impl OperatorKeys {
    /// The keys of `seed` for a lane with K = `confirmations`.
    #[must_use]
    pub fn derive(seed: &SecretSeed, lane: &LaneId, confirmations: u16) -> Self {
        Self(operator_keys(seed, lane, confirmations))
    }

    /// How many bytes the keys of a lane with K = `confirmations` are.
    #[must_use]
    pub fn length(confirmations: u16) -> usize {
        let digits = MessageId::all(confirmations).into_iter().map(|id| id.layout().signed_digits());
        digits.sum::<usize>() * size_of::<Link>()
    }

    /// The keys as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|key| key.0.as_flattened()).copied().collect()
    }

    /// Reads the keys of a lane with K = `confirmations`. Whether they are good keys is for
    /// [`LaneKeys::new`](super::LaneKeys::new) to say.
    ///
    /// # Errors
    /// If there are more or fewer bytes than that.
    pub fn from_bytes(confirmations: u16, bytes: &[u8]) -> Result<Self, KeyBytesError> {
        let wrong = || KeyBytesError { confirmations, expected: Self::length(confirmations), got: bytes.len() };
        let (mut links, []) = bytes.as_chunks::<{ size_of::<Link>() }>() else { return Err(wrong()) };
        let mut keys = Vec::new();
        for id in MessageId::all(confirmations) {
            let (key, rest) = links.split_at_checked(id.layout().signed_digits()).ok_or_else(wrong)?;
            keys.push(PublicKey(key.to_vec()));
            links = rest;
        }
        if links.is_empty() { Ok(Self(keys)) } else { Err(wrong()) }
    }

    /// What the keys are named by: SHA-256 of [their bytes](Self::to_bytes).
    #[must_use]
    pub fn digest(&self) -> sha256::Hash {
        let mut engine = sha256::Hash::engine();
        self.0.iter().for_each(|key| engine.input(key.0.as_flattened()));
        sha256::Hash::from_engine(engine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIRMATIONS: u16 = 1;

    fn keys() -> OperatorKeys {
        let lane = LaneId { instance: [1; 32], slot: [2; 6], challenger: 3 };
        OperatorKeys::derive(&SecretSeed::new([7; 32]), &lane, CONFIRMATIONS)
    }

    #[test]
    fn keys_are_read_as_they_were_written_and_named_by_their_bytes() {
        let keys = keys();
        let bytes = keys.to_bytes();
        assert_eq!(bytes.len(), OperatorKeys::length(CONFIRMATIONS));
        assert_eq!(OperatorKeys::from_bytes(CONFIRMATIONS, &bytes), Ok(keys.clone()));
        assert_eq!(keys.digest(), sha256::Hash::hash(&bytes));
    }

    #[test]
    fn no_other_number_of_bytes_is_keys() {
        let mut bytes = keys().to_bytes();
        let expected = bytes.len();
        bytes.extend([0; 40]);
        for got in [0, 1, 20, expected - 20, expected - 1, expected + 1, expected + 20, expected + 40] {
            let read = OperatorKeys::from_bytes(CONFIRMATIONS, &bytes[..got]);
            assert_eq!(read, Err(KeyBytesError { confirmations: CONFIRMATIONS, expected, got }));
        }
        let more = OperatorKeys::from_bytes(CONFIRMATIONS + 1, &bytes[..expected]);
        assert!(more.is_err(), "a lane with a larger K has more keys");
    }
}
