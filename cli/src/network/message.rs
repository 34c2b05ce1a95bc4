//! What is said on a connection.

use bitcoin::hashes::{Hash, sha256};
use trestle_challenger::lane::{Answer, Question, WireError};
use trestle_taptree_trace::lane::OperatorKeys;

use super::Error;

/// What a challenger wants of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A move in the challenger's lane.
    Move(Question),
    /// The operator's keys of a lane, by their SHA-256.
    LaneKeys(sha256::Hash),
}

/// What an operator says to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// The move.
    Move(Answer),
    /// The keys.
    LaneKeys(Vec<u8>),
    /// It will not do that, and why: at most 200 bytes, without control characters.
    Refused(String),
    /// It cannot do that now, and may be asked again.
    Busy,
}

/// Kinds of messages.
mod kind {
    pub const ASK_MOVE: u8 = 1;
    pub const ASK_KEYS: u8 = 2;
    pub const MOVE: u8 = 3;
    pub const KEYS: u8 = 4;
    pub const REFUSED: u8 = 5;
    pub const BUSY: u8 = 6;
}

/// Bytes of a reason at most.
const REASON: usize = 200;

impl Request {
    /// The kind of message that it is, and its bytes.
    pub(super) fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Move(question) => (kind::ASK_MOVE, question.encode()),
            Self::LaneKeys(digest) => (kind::ASK_KEYS, digest.to_byte_array().to_vec()),
        }
    }

    /// Bytes of the longest request of a kind.
    pub(super) fn limit(kind: u8) -> Option<usize> {
        match kind {
            kind::ASK_MOVE => Some(Question::longest()),
            kind::ASK_KEYS => Some(size_of::<sha256::Hash>()),
            _ => None,
        }
    }

    /// Reads a request, in a bridge with K = `confirmations`.
    pub(super) fn decode(confirmations: u16, kind: u8, bytes: &[u8]) -> Result<Self, Error> {
        match kind {
            kind::ASK_MOVE => Ok(Self::Move(Question::decode(confirmations, bytes)?)),
            kind::ASK_KEYS => {
                let expected = size_of::<sha256::Hash>();
                let digest = sha256::Hash::from_slice(bytes);
                Ok(Self::LaneKeys(digest.map_err(|_| WireError::Length { expected, got: bytes.len() })?))
            }
            kind => Err(Error::Kind(kind)),
        }
    }
}

impl Response {
    /// A refusal.
    pub fn refused(why: impl std::fmt::Display) -> Self {
        Self::Refused(readable(&why.to_string()))
    }

    pub(super) fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Move(answer) => (kind::MOVE, answer.encode()),
            Self::LaneKeys(keys) => (kind::KEYS, keys.clone()),
            Self::Refused(why) => (kind::REFUSED, why.clone().into_bytes()),
            Self::Busy => (kind::BUSY, Vec::new()),
        }
    }

    /// Bytes of the longest response of a kind to this request, in a bridge with K = `confirmations`.
    pub(super) fn limit(request: &Request, confirmations: u16, kind: u8) -> Option<usize> {
        match (kind, request) {
            (kind::MOVE, Request::Move(question)) => Some(Answer::length(question.ask.wanted)),
            (kind::KEYS, Request::LaneKeys(_)) => Some(OperatorKeys::length(confirmations)),
            (kind::REFUSED, _) => Some(REASON),
            (kind::BUSY, _) => Some(0),
            _ => None,
        }
    }

    /// Reads the response to this request. Whether a move is good is for the lane's keys to say.
    pub(super) fn decode(request: &Request, kind: u8, bytes: Vec<u8>) -> Result<Self, Error> {
        match (kind, request) {
            (kind::MOVE, Request::Move(question)) => Ok(Self::Move(Answer::decode(question.ask.wanted, &bytes)?)),
            (kind::KEYS, Request::LaneKeys(digest)) if sha256::Hash::hash(&bytes) == *digest => {
                Ok(Self::LaneKeys(bytes))
            }
            (kind::KEYS, Request::LaneKeys(_)) => Err(Error::OtherKeys),
            (kind::REFUSED, _) => Ok(Self::Refused(readable(&String::from_utf8_lossy(&bytes)))),
            (kind::BUSY, _) => Ok(Self::Busy),
            (kind, _) => Err(Error::Kind(kind)),
        }
    }
}

/// A reason as it may stand in a log.
fn readable(why: &str) -> String {
    let mut readable: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    readable.truncate(readable.floor_char_boundary(REASON));
    readable
}
