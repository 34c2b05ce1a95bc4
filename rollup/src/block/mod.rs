//! How `apply` reads a block: forward only, and of each transaction only what an action is found by.
//!
//! A native node reads a serialized block; the guest walks SHA-256 preimages (PROTOCOL §3, last paragraphs). Both give
//! the header, then every transaction after the coinbase as a stream of bytes.
//!
//! **At most one action a transaction, found by position** (PROTOCOL §3): output 0 is the payment, output 1 the tag,
//! and only if output 1 is no tag of this bridge is an envelope looked for, in input 0's script path.

pub(crate) mod fields;
mod summary;

use crate::identifiers::Txid;

pub use summary::{Action, Output, Summary, summarize};

/// A block, read once from the start to the end.
pub trait Block {
    /// Why a part of the block could not be read.
    type Error;

    /// One transaction of it.
    type Transaction<'a>: TransactionBytes<Error = Self::Error>
    where
        Self: 'a;

    /// The header's 80 bytes.
    ///
    /// # Errors
    /// If it could not be read.
    fn header(&mut self) -> Result<[u8; 80], Self::Error>;

    /// The next transaction, or none at the end. The coinbase is passed over.
    ///
    /// # Errors
    /// If it could not be read.
    fn next_transaction(&mut self) -> Result<Option<Self::Transaction<'_>>, Self::Error>;
}

/// The bytes of one transaction.
///
/// If the block commits to witnesses (BIP 141), these are what the wtxid is the hash of; if not, what the txid is.
/// They may be dropped before the end, and reading may pass the end, to no effect.
pub trait TransactionBytes {
    /// Why the bytes could not be read.
    type Error;

    /// Fills the buffer from the front with the next bytes; how many, which is less than asked for only at the end.
    ///
    /// # Errors
    /// If they could not be read.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error>;

    /// Passes over bytes; how many, which is less than asked for only at the end.
    ///
    /// # Errors
    /// If they could not be passed over.
    fn skip(&mut self, count: u64) -> Result<u64, Self::Error>;

    /// The transaction's id, where the reader has one at hand. It goes into events, never into the state.
    fn txid(&self) -> Txid;
}

/// Why reading a transaction ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop<E> {
    /// The bytes are no transaction, or end too soon. Such a transaction does nothing.
    Garbage,
    /// The bytes could not be read.
    Source(E),
}
