//! Why a connection is given up.

use std::io;

use trestle_challenger::lane::WireError;

/// Why there was no response, or a peer was dropped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection could not be made, or is lost.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// What came was not encrypted by who began the connection, or not in this order.
    #[error("what came cannot be decrypted: {0}")]
    Noise(#[from] snow::Error),
    /// The peer took too long.
    #[error("the peer took too long")]
    Late,
    /// The bridge has nobody with this index in the role.
    #[error("the bridge has no {role} {index}")]
    Nobody {
        /// The role.
        role: super::Role,
        /// The index.
        index: u16,
    },
    /// The peer's signature is not that of who it says it is, for this connection.
    #[error("the peer is not {role} {index}")]
    Impostor {
        /// The role.
        role: super::Role,
        /// The index.
        index: u16,
    },
    /// A message of a kind that has no place here.
    #[error("a message of kind {0} was not expected")]
    Kind(u8),
    /// A message longer than its kind can be.
    #[error("a message of kind {kind} has at most {limit} bytes, not {length}")]
    TooLong {
        /// The kind.
        kind: u8,
        /// Bytes at most.
        limit: usize,
        /// Bytes announced.
        length: usize,
    },
    /// A message that cannot be read.
    #[error("a message cannot be read: {0}")]
    Wire(#[from] WireError),
    /// Other keys than those that were asked for.
    #[error("these are not the keys that were asked for")]
    OtherKeys,
    /// Nobody knows where this operator is.
    #[error("the address of operator {0} is not known")]
    NoAddress(u16),
}

impl From<tokio::time::error::Elapsed> for Error {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Late
    }
}
