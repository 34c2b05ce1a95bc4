//! Why a block cannot be read from its hash.

use core::fmt;

use crate::compress::Digest;
use crate::wire::write_hex;

/// What a digest should have been the hash of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The block's hash: of a header.
    Header,
    /// On the left spine of the transactions' tree: of a node, or of the coinbase.
    LeftSpine,
    /// In the last commitment output of the coinbase: of the witness tree's root and the reserved value.
    Commitment,
    /// In the tree: of a node.
    Node,
    /// A leaf of the tree: of a transaction.
    Transaction,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "the block's header",
            Self::LeftSpine => "a node on the left spine of the transactions' tree, or the coinbase",
            Self::Commitment => "the witness commitment",
            Self::Node => "a node of the tree",
            Self::Transaction => "a transaction",
        })
    }
}

/// What is wrong with a digest. `E` is the error of whoever answers for preimages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why<E> {
    /// Its preimage could not be had.
    Source(E),
    /// Its chaining values do not begin, where its length says, with SHA-256's initial value.
    Start,
    /// Its padding is not SHA-256's after whole bytes.
    Padding,
    /// It is of a message of a length that is not possible there.
    Length {
        /// The length.
        bytes: u64,
    },
    /// It is neither of a coinbase nor of a node above one, in a tree that a block can have.
    NoCoinbase,
    /// It is of a coinbase that ends early.
    Malformed,
}

impl<E: fmt::Display> fmt::Display for Why<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::Start => f.write_str("its chaining values do not begin with SHA-256's initial value"),
            Self::Padding => f.write_str("its padding is not SHA-256's"),
            Self::Length { bytes } => write!(f, "it hashes {bytes} bytes, which are too many or too few"),
            Self::NoCoinbase => f.write_str("no coinbase is at or below it"),
            Self::Malformed => f.write_str("its outputs end early"),
        }
    }
}

/// A digest that could not be read, and where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable<E> {
    /// The digest that was asked for.
    pub digest: Digest,
    /// What it should have been the hash of, by SHA-256 twice; or the inner one of the two hashes.
    pub place: Place,
    /// What is wrong.
    pub why: Why<E>,
}

impl<E: fmt::Display> fmt::Display for Unreadable<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the digest ")?;
        write_hex(f, &self.digest)?;
        write!(f, " should be of {}: {}", self.place, self.why)
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Unreadable<E> {}
