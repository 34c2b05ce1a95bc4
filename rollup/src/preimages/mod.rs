//! A block read from its hash by SHA-256 preimages alone (PROTOCOL §3, last paragraphs), as the guest reads it.
//!
//! ```text
//! block hash ─ header ─ merkle root ─ left spine, until bytes 4..41 are a coinbase's: that is the tree's depth
//!                                            │
//!                          last commitment output (BIP 141), or none: the transactions' own tree
//!                                            │
//!                            witness tree, of the same depth ─ transactions, in order
//! ```
//!
//! Each of these is a message of SHA-256d, read back through its chaining values ([`message`]), so all that is read
//! follows from the block's hash, whoever answers. Only digests found at these places are ever asked for, which everyone
//! who has the block can answer. Leaf 0 of the witness tree is not the hash of anything, and is not asked for. A node
//! whose children are equal has only the left one: the right one is absent, at every level.
//!
//! Bitcoin's own rules are not checked. Whatever the answers, reading ends: no message is longer than a block may be, all
//! of a block's transactions together neither, and no tree is deeper than the most transactions need.

#[cfg(feature = "std")]
mod collect;
mod error;
mod message;

use crate::block::fields::Fields;
use crate::block::{Block, Stop, TransactionBytes as _};
use crate::compress::Digest;
use crate::host::Host;
use crate::wire::pack;
use alloc::vec::Vec;

#[cfg(feature = "std")]
pub use collect::compressions;
pub use error::{Place, Unreadable, Why};
pub use message::Message;
use message::{Messages, same};

/// Bytes of all of a block's transactions: as many as consensus allows weight units, of which a byte has at least one.
const MAX_BYTES: usize = 4_000_000;

/// Levels of the deepest tree: the smallest transaction has 60 bytes of 4 weight units each, so a block has fewer than
/// 2^15 of them.
const MAX_DEPTH: u8 = 15;

/// Bytes 4..41 of a coinbase: one input, which spends nothing.
const COINBASE: [u8; 37] = {
    let mut bytes = [0; 37];
    let [count, .., i0, i1, i2, i3] = &mut bytes;
    (*count, *i0, *i1, *i2, *i3) = (1, 0xff, 0xff, 0xff, 0xff);
    bytes
};

/// How the script of a commitment to witnesses begins (BIP 141); 32 bytes follow, and anything after them.
const COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// A block of which only the hash is known, and someone who answers for preimages.
#[derive(Clone, Debug)]
pub struct UnhashedBlock<H> {
    block_hash: Digest,
    messages: Messages<H>,
    /// Roots of the subtrees whose leaves come next, the first of them last, with their heights; `None` before the tree
    /// is entered.
    pending: Option<Vec<(Digest, u8)>>,
    /// The number of the next leaf.
    next_leaf: usize,
    /// Bytes that the transactions to come may have.
    bytes_left: usize,
}

impl<H: Host> UnhashedBlock<H> {
    /// The block with this hash (in the order in which SHA-256 writes it), read by asking `source` for preimages.
    #[must_use]
    pub const fn new(block_hash: Digest, source: H) -> Self {
        Self { block_hash, messages: Messages::new(source), pending: None, next_leaf: 0, bytes_left: MAX_BYTES }
    }

    /// Finds the tree whose leaves are read: its depth and its root.
    fn enter(&mut self) -> Result<Vec<(Digest, u8)>, Unreadable<H::Error>> {
        let root = pack(&[self.header()?.get(36..68).unwrap_or_default()]);
        let (mut at, mut depth) = (root, 0u8);
        let coinbase = loop {
            let message = self.messages.read(&at, Place::LeftSpine, 0..=MAX_BYTES)?;
            if message.first_block().get(4..41) == Some(&COINBASE[..]) {
                break message;
            }
            match message.node() {
                Some((left, _)) if depth < MAX_DEPTH => at = *left,
                _ => return Err(Unreadable { digest: at, place: Place::LeftSpine, why: Why::NoCoinbase }),
            }
            depth = depth.saturating_add(1);
        };
        if depth == 0 {
            return Ok(Vec::new()); // nothing but the coinbase, whatever it commits to
        }
        let tree = match commitment(coinbase) {
            Ok(None) => root,
            Ok(Some(digest)) => {
                let message = self.messages.read(&digest, Place::Commitment, 64..=64)?;
                message.node().map(|(witness_root, _reserved)| *witness_root).unwrap_or_default()
            }
            Err(Stop::Garbage) => {
                return Err(Unreadable { digest: at, place: Place::LeftSpine, why: Why::Malformed });
            }
            Err(Stop::Source(error)) => return Err(error),
        };
        Ok(alloc::vec![(tree, depth)])
    }

    /// The digest of the next transaction after the coinbase.
    fn leaf(&mut self) -> Result<Option<Digest>, Unreadable<H::Error>> {
        let mut pending = match self.pending.take() {
            Some(pending) => pending,
            None => self.enter()?,
        };
        let mut found = None;
        while let Some((digest, height)) = pending.pop() {
            if let Some(below) = height.checked_sub(1) {
                let message = self.messages.read(&digest, Place::Node, 64..=64)?;
                if let Some((left, right)) = message.node() {
                    pending.extend((!same(left, right)).then_some((*right, below)));
                    pending.push((*left, below));
                }
                continue;
            }
            let number = self.next_leaf;
            self.next_leaf = number.saturating_add(1);
            if number > 0 {
                found = Some(digest);
                break;
            }
        }
        self.pending = Some(pending);
        Ok(found)
    }
}

/// The last output of a coinbase that commits to witnesses.
fn commitment<E>(coinbase: Message<'_, E>) -> Result<Option<Digest>, Stop<E>> {
    let mut from = Fields::new(coinbase);
    from.skip(41)?;
    let script = from.compact_size()?;
    from.skip(script)?;
    from.skip(4)?; // sequence
    let mut last = None;
    for _ in 0..from.compact_size()? {
        from.skip(8)?; // value
        let length = from.compact_size()?;
        let Some(after) = length.checked_sub(38) else {
            from.skip(length)?;
            continue;
        };
        let (prefix, digest) = (from.array()?, from.array()?);
        if prefix == COMMITMENT {
            last = Some(digest);
        }
        from.skip(after)?;
    }
    Ok(last)
}

impl<H: Host> Block for UnhashedBlock<H> {
    type Error = Unreadable<H::Error>;
    type Transaction<'a>
        = Message<'a, Unreadable<H::Error>>
    where
        Self: 'a;

    fn header(&mut self) -> Result<[u8; 80], Self::Error> {
        let mut header = [0; 80];
        self.messages.read(&self.block_hash, Place::Header, 80..=80)?.read(&mut header)?;
        Ok(header)
    }

    fn next_transaction(&mut self) -> Result<Option<Message<'_, Self::Error>>, Self::Error> {
        let Some(digest) = self.leaf()? else {
            return Ok(None);
        };
        let message = self.messages.read(&digest, Place::Transaction, 0..=self.bytes_left)?;
        self.bytes_left = self.bytes_left.saturating_sub(message.remaining());
        Ok(Some(message))
    }
}
