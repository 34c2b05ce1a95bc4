//! What signers say to each other, as JSON.
//!
//! ```text
//! leader                         signer i
//!   │── Propose ───────────────────▶│  check the job; make and record nonces
//!   │◀────────────── Nonces ────────│
//!   │── AggregateNonces ───────────▶│  check again; record, then sign
//!   │◀──────────── Partials ────────│
//!   │── Signatures ────────────────▶│  verify, record; Nonces of the next batch, or done
//! ```
//!
//! `at` is the position of a batch in its job ([`crate::session`]). Any message may be lost, repeated or late: the receiver answers with
//! what the sender lacks, or not at all.

use bitcoin::secp256k1::schnorr::Signature;
use musig2::{AggNonce, PartialSignature, PubNonce};
use serde::{Deserialize, Serialize};
use trestle_bridge::job::Job;
use trestle_bridge::parameters::Bridge;

use crate::session::Offer;

/// The longest message that [`Message::decode`] reads, in bytes.
pub const MAX_MESSAGE: usize = 16 << 20;

/// The identity of a job: a hash of all that it says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(pub [u8; 32]);

impl std::fmt::Display for JobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        bitcoin::hex::fmt_hex_exact!(f, 32, &self.0, bitcoin::hex::Case::Lower)
    }
}

impl std::fmt::Debug for JobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for JobId {
    type Error = bitcoin::hex::HexToArrayError;

    fn try_from(hex: String) -> Result<Self, Self::Error> {
        bitcoin::hex::FromHex::from_hex(&hex).map(Self)
    }
}

impl JobId {
    /// The identity of `job` in `bridge`.
    pub fn of(bridge: &Bridge, job: &Job) -> Self {
        Self(job.id(bridge))
    }
}

/// One message between two signers. The transport says who sent it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    /// Leader: sign this job with us; I am at batch `at`.
    Propose {
        /// The job in full.
        job: Box<Job>,
        /// The leader's position.
        at: u32,
        /// The signatures of those whom the job binds ([`crate::consent`]).
        consents: Vec<Signature>,
    },
    /// To the leader: my public nonces for batch `at`.
    Nonces {
        /// The job.
        job: JobId,
        /// The sender's position.
        at: u32,
        /// One a request.
        nonces: Vec<Offer<PubNonce>>,
    },
    /// Leader: the sums of everyone's nonces.
    AggregateNonces {
        /// The job.
        job: JobId,
        /// The leader's position.
        at: u32,
        /// One a request.
        nonces: Vec<Offer<AggNonce>>,
    },
    /// To the leader: my partial signatures.
    Partials {
        /// The job.
        job: JobId,
        /// The sender's position.
        at: u32,
        /// One for each aggregate nonce; none where the leader sent a signature.
        partials: Vec<PartialSignature>,
    },
    /// The final signatures of batch `at`. Good from anyone: they are verified.
    Signatures {
        /// The job.
        job: JobId,
        /// The position of the batch.
        at: u32,
        /// One a request.
        signatures: Vec<Signature>,
    },
    /// I do not sign this job now; from the leader: I gave it up.
    Refuse {
        /// The job.
        job: JobId,
        /// For people to read.
        reason: String,
    },
}

/// Bytes that are no message.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Longer than [`MAX_MESSAGE`].
    #[error("{0} bytes: too long for a message")]
    TooLong(usize),
    /// Not a message.
    #[error("not a message: {0}")]
    Json(#[from] serde_json::Error),
}

impl Message {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a message has no maps with keys that are not strings, and no failing field")
    }

    /// Reads a message from a peer's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(DecodeError::TooLong(bytes.len()));
        }
        Ok(serde_json::from_slice(bytes)?)
    }
}
