//! Winternitz one-time signatures over HASH160, read by Script.
//!
//! A message is a row of 4-bit digits and a checksum of some more. Each digit has a chain of 15 hashes from
//! a secret to the public key; a digit `d` is signed by the value that is `d` hashes away from the secret, and `15 − d`
//! from the end. Whoever has seen one signature can raise digits (by hashing) but never lower one, and the checksum
//! `Σ (15 − d)` has to fall when the others rise, so no second message can be signed.
//!
//! Script verifies in two ways: [`script_commit`] drops what it has read, [`script_read`] leaves the digits for
//! a disproof leaf.
//!
//! One key signs one message. Keys come from a seed and a [`KeyId`]; equal ids are equal keys, so the caller
//! makes ids that are used once (docs/protocol.md: "no key ever signs twice").
//!
//! ```
//! use trestle_taptree_trace::ots::{self, CLAIM, KeyId, SecretSeed, CLAIM_LANE};
//! let seed = SecretSeed::new([7; 32]);
//! let id = KeyId { instance: [1; 32], slot: [0; 6], lane: CLAIM_LANE, message: "claim" };
//! let key = seed.public_key(&CLAIM, &id);
//! let message = CLAIM.encode(&[&[0x01, 0x02], &[0xaa, 0xbb, 0xcc, 0xdd]])?;
//! let signature = seed.sign(&CLAIM, &id, &message)?;
//! assert!(ots::verify(&key, &message, &signature));
//! assert_eq!(ots::parse_witness(&CLAIM, &key, &signature.witness())?.field(0), [0x01, 0x02]);
//! # Ok::<(), ots::OtsError>(())
//! ```

mod key;
mod layout;
mod script;
mod signature;

pub(crate) use key::hash_times;
pub use key::{CLAIM_LANE, KeyId, PublicKey, SecretSeed};
pub use layout::{CLAIM, Field, Layout, Message};
pub use script::{script_commit, script_commit_and_read, script_commit_pairs, script_read};
pub use signature::{Signature, parse_witness, verify};

/// Bits of one digit.
pub const DIGIT_BITS: usize = 4;
/// The greatest digit, and the number of hashes in a chain.
pub const MAX_DIGIT: u8 = 15;

/// A value on a chain: a HASH160 image (or the secret that a chain starts from).
pub type Link = [u8; 20];

/// What is wrong with a message, a key or a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtsError {
    /// A message has more or fewer fields than its layout.
    #[error("{layout}: the message has {got} fields, the layout {expected}")]
    FieldCount {
        /// Name of the layout.
        layout: &'static str,
        /// Fields in the layout.
        expected: usize,
        /// Fields given.
        got: usize,
    },
    /// A field is not as long as its layout says.
    #[error("{layout}: field {field} is {got} digits long, not {expected}")]
    FieldLength {
        /// Name of the layout.
        layout: &'static str,
        /// Name of the field.
        field: &'static str,
        /// Digits expected.
        expected: usize,
        /// Digits given.
        got: usize,
    },
    /// A message, key or signature has digits for another layout.
    #[error("{layout}: {what} has {got} digits, not {expected}")]
    DigitCount {
        /// Name of the layout.
        layout: &'static str,
        /// Which of the three.
        what: &'static str,
        /// Digits expected.
        expected: usize,
        /// Digits given.
        got: usize,
    },
    /// A link of the public key lies on the chain of another one (see [`PublicKey::check`]).
    #[error("link {second} of the public key lies on the chain of link {first}")]
    RelatedLinks {
        /// The link whose chain it is.
        first: usize,
        /// The link found on it.
        second: usize,
    },
    /// A text is no public key.
    #[error("a one-time public key is hex digits, 40 for each of its links")]
    KeyText,
    /// A witness does not hold what [`script_commit`] takes.
    #[error("the witness is not a signature: {0}")]
    Witness(&'static str),
    /// A witness is of the right form but the key did not sign it.
    #[error("the witness is no signature by this key")]
    NotSigned,
}
