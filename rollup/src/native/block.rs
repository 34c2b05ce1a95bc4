//! Reading a serialized block as the guest reads it from its hash (PROTOCOL §3, last paragraphs).
//!
//! What [`RawBlock`] offers is a function of the block's hash alone, whoever served the bytes: the transactions are
//! checked against the merkle root, and the witnesses against the last commitment in the coinbase (BIP 141). Without
//! a commitment there must be no witness. A transaction tree that repeats nodes (CVE-2012-2459) is refused.

use crate::block::{Block, TransactionBytes};
use crate::compress::{Digest, sha256d};
use crate::identifiers::Txid;
use crate::wire::Reader;

use core::convert::Infallible;

/// A block that is what its hash says.
#[derive(Clone, Debug)]
pub struct RawBlock<'a> {
    header: [u8; 80],
    transactions: Vec<RawTransaction<'a>>,
    /// How many were offered, the coinbase included.
    offered: usize,
}

/// Where one transaction is, and its id.
#[derive(Clone, Copy, Debug)]
struct RawTransaction<'a> {
    bytes: &'a [u8],
    txid: Digest,
    /// The coinbase's reserved value is read from here.
    witness: Option<&'a [u8]>,
}

/// Bytes that are not the block of their header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RawBlockError {
    /// The bytes end early, go on after the block, or are no transaction.
    #[error("not a serialized block: transaction {0} is malformed")]
    Malformed(usize),
    /// The first transaction is no coinbase.
    #[error("the block has no coinbase")]
    NoCoinbase,
    /// The transactions are not those of the header's merkle root.
    #[error("the transactions are not those that the header commits to")]
    MerkleRoot,
    /// The witnesses are not those of the coinbase's commitment, or there are some and no commitment.
    #[error("the witnesses are not those that the coinbase commits to")]
    Witnesses,
}

impl<'a> RawBlock<'a> {
    /// Reads a block as Bitcoin serializes it (BIP 144), and checks it against its header.
    ///
    /// # Errors
    /// If the bytes are not the block of their header.
    pub fn parse(raw: &'a [u8]) -> Result<Self, RawBlockError> {
        let mut from = Reader::new(raw);
        let header = from.array().ok_or(RawBlockError::Malformed(0))?;
        let count = compact_size(&mut from).ok_or(RawBlockError::Malformed(0))?;
        let mut transactions = Vec::new();
        for index in 0..count {
            transactions.push(RawTransaction::read(&mut from).ok_or(RawBlockError::Malformed(index))?);
        }
        if !from.is_empty() {
            return Err(RawBlockError::Malformed(count));
        }

        let coinbase = transactions.first().ok_or(RawBlockError::NoCoinbase)?;
        if !coinbase.is_coinbase() {
            return Err(RawBlockError::NoCoinbase);
        }
        let root = merkle_root(transactions.iter().map(|transaction| transaction.txid).collect());
        if root.as_ref().map(|root| &root[..]) != header.get(36..68) {
            return Err(RawBlockError::MerkleRoot);
        }
        let witnesses_are_committed = match coinbase.commitment() {
            Some(commitment) => {
                let leaf = |transaction: &RawTransaction<'_>| sha256d(&[transaction.bytes]);
                let leaves = core::iter::once([0; 32]).chain(transactions.iter().skip(1).map(leaf));
                let root = merkle_root(leaves.collect());
                let reserved = coinbase.reserved_value();
                root.zip(reserved).is_some_and(|(root, reserved)| sha256d(&[&root, reserved]) == *commitment)
            }
            None => transactions.iter().all(|transaction| transaction.witness.is_none()),
        };
        if !witnesses_are_committed {
            return Err(RawBlockError::Witnesses);
        }
        Ok(Self { header, transactions, offered: 1 })
    }

    /// The hash of the block before, in the order in which SHA-256 writes it.
    #[must_use]
    pub fn previous(&self) -> Digest {
        Reader::new(self.header.get(4..).unwrap_or_default()).array().unwrap_or_default()
    }

    /// The block's hash, in the order in which SHA-256 writes it.
    #[must_use]
    pub fn hash(&self) -> Digest {
        sha256d(&[&self.header])
    }

    pub(crate) const fn header_bytes(&self) -> &[u8; 80] {
        &self.header
    }

    /// What each transaction's id is the hash of, in parts.
    pub(crate) fn messages_without_witness(&self) -> impl Iterator<Item = [&'a [u8]; 3]> {
        self.transactions.iter().map(RawTransaction::without_witness)
    }

    /// What each transaction's id with witness is the hash of, but for the coinbase, which has none.
    pub(crate) fn messages_with_witness(&self) -> impl Iterator<Item = &'a [u8]> {
        self.transactions.iter().skip(1).map(|transaction| transaction.bytes)
    }

    /// What the coinbase commits to the witnesses by, if it does: the hash, and the reserved value.
    pub(crate) fn commitment(&self) -> Option<(&'a Digest, &'a [u8])> {
        let coinbase = self.transactions.first()?;
        Some((coinbase.commitment()?, coinbase.reserved_value()?))
    }
}

impl<'a> RawTransaction<'a> {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        let start = from.rest();
        let since =
            |from: &Reader<'a>, start: &'a [u8]| start.split_at_checked(start.len().checked_sub(from.rest().len())?);
        let version = from.take(4)?;
        let has_witness = from.rest().starts_with(&[0]);
        if has_witness && from.array()? != [0, 1] {
            return None;
        }
        let body_start = from.rest();
        let inputs = compact_size(from)?;
        if inputs == 0 {
            return None;
        }
        for _ in 0..inputs {
            from.take(36)?;
            skip_string(from)?;
            from.take(4)?;
        }
        for _ in 0..compact_size(from)? {
            from.take(8)?;
            skip_string(from)?;
        }
        let (body, _) = since(from, body_start)?;
        let witness_start = from.rest();
        if has_witness {
            for _ in 0..inputs {
                for _ in 0..compact_size(from)? {
                    skip_string(from)?;
                }
            }
        }
        let (witness, _) = since(from, witness_start)?;
        let lock_time = from.take(4)?;
        let (bytes, _) = since(from, start)?;
        Some(Self { bytes, txid: sha256d(&[version, body, lock_time]), witness: has_witness.then_some(witness) })
    }

    /// Version, inputs and outputs, lock time.
    fn without_witness(&self) -> [&'a [u8]; 3] {
        let Some(witness) = self.witness else {
            return [self.bytes, &[], &[]];
        };
        let (version, rest) = self.bytes.split_at_checked(4).unwrap_or_default();
        let (_marker, rest) = rest.split_at_checked(2).unwrap_or_default();
        let (body_and_witness, lock_time) = rest.split_at_checked(rest.len().saturating_sub(4)).unwrap_or_default();
        let body = body_and_witness.len().saturating_sub(witness.len());
        [version, body_and_witness.get(..body).unwrap_or_default(), lock_time]
    }

    /// By bytes 4..41 of the serialization without witness: one input, which spends nothing.
    fn is_coinbase(&self) -> bool {
        let body = self.bytes.get(if self.witness.is_some() { 6 } else { 4 }..).unwrap_or_default();
        let mut from = Reader::new(body);
        from.array() == Some([1]) && from.array() == Some([0; 32]) && from.array() == Some([0xff; 4])
    }

    /// The last output that commits to witnesses (BIP 141).
    fn commitment(&self) -> Option<&'a Digest> {
        let mut from = Reader::new(self.bytes);
        from.take(if self.witness.is_some() { 6 } else { 4 })?;
        compact_size(&mut from)?;
        from.take(36)?;
        skip_string(&mut from)?;
        from.take(4)?;
        let mut commitment = None;
        for _ in 0..compact_size(&mut from)? {
            from.take(8)?;
            let script = skip_string(&mut from)?;
            if let Some(found) =
                script.strip_prefix(&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed]).and_then(<[u8]>::first_chunk)
            {
                commitment = Some(found);
            }
        }
        commitment
    }

    /// The one item of the coinbase's witness (BIP 141).
    fn reserved_value(&self) -> Option<&'a [u8]> {
        let mut from = Reader::new(self.witness?);
        let reserved = (from.array() == Some([1, 32])).then(|| from.take(32)).flatten();
        from.end(reserved)?
    }
}

/// The number that consensus allows in its shortest form only.
fn compact_size(from: &mut Reader<'_>) -> Option<usize> {
    let (value, least) = match from.u8()? {
        0xff => (from.u64()?, 0x1_0000_0000),
        0xfe => (u64::from(from.u32()?), 0x1_0000),
        0xfd => (u64::from(from.u16()?), 0xfd),
        small => (u64::from(small), 0),
    };
    if value < least { None } else { usize::try_from(value).ok() }
}

fn skip_string<'a>(from: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = compact_size(from)?;
    from.take(length)
}

/// Bitcoin's merkle root; `None` if two neighbours that are both there are equal, so that another list has this root.
fn merkle_root(mut level: Vec<Digest>) -> Option<Digest> {
    while level.len() > 1 {
        let mut above = Vec::with_capacity(level.len().div_ceil(2));
        for pair in level.chunks(2) {
            let (left, right) = (pair.first()?, pair.get(1));
            if right == Some(left) {
                return None;
            }
            above.push(sha256d(&[left, right.unwrap_or(left)]));
        }
        level = above;
    }
    level.pop()
}

impl<'a> Block for RawBlock<'a> {
    type Error = Infallible;
    type Transaction<'b>
        = Rest<'a>
    where
        Self: 'b;

    fn header(&mut self) -> Result<[u8; 80], Infallible> {
        Ok(self.header)
    }

    fn next_transaction(&mut self) -> Result<Option<Rest<'a>>, Infallible> {
        let next = self.transactions.get(self.offered);
        self.offered = self.offered.saturating_add(1);
        Ok(next.map(|transaction| Rest { bytes: transaction.bytes, txid: Txid(transaction.txid) }))
    }
}

/// The rest of one transaction's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Rest<'a> {
    bytes: &'a [u8],
    txid: Txid,
}

impl<'a> Rest<'a> {
    /// A transaction's bytes from the start.
    #[must_use]
    pub const fn new(bytes: &'a [u8], txid: Txid) -> Self {
        Self { bytes, txid }
    }
}

impl TransactionBytes for Rest<'_> {
    type Error = Infallible;

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let count = buffer.len().min(self.bytes.len());
        if let (Some(to), Some((from, rest))) = (buffer.get_mut(..count), self.bytes.split_at_checked(count)) {
            to.copy_from_slice(from);
            self.bytes = rest;
        }
        Ok(count)
    }

    fn skip(&mut self, count: u64) -> Result<u64, Infallible> {
        let skipped = usize::try_from(count).unwrap_or(usize::MAX).min(self.bytes.len());
        self.bytes = self.bytes.get(skipped..).unwrap_or_default();
        Ok(u64::try_from(skipped).unwrap_or(u64::MAX))
    }

    fn txid(&self) -> Txid {
        self.txid
    }
}
