//! What a sequencer must not forget of the agreement, in one sled tree of its own.
//!
//! The engine keeps votes and blocks in journals of its own. Here is what came of them: the last finalized block, its
//! batches with the signatures that left, and the transactions that users were promised.

use commonware_cryptography::{Digested, Digestible as _, sha256};
use trestle_rollup::{Batch, Digest};

use super::block::{Anchor, Block};
use crate::store::StoreError;

/// The tree's name within the database.
const TREE: &str = "sequencing";

/// First byte of a key: what the value is.
mod kind {
    /// → the last finalized block, without its transactions.
    pub const HEAD: u8 = b'h';
    /// `number` (8 bytes, big-endian) → an encoded batch with the signatures known.
    pub const BATCH: u8 = b'b';
    /// `number` → nothing: a batch without a quorum's signatures.
    pub const OPEN: u8 = b'o';
    /// `transaction id` (32 bytes) → number of its batch.
    pub const PLACE: u8 = b'i';
    /// `transaction id` → an encoded transaction that a user was promised, not in a batch yet.
    pub const LIVE: u8 = b'l';
}

/// The last finalized block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub height: u64,
    pub digest: sha256::Digest,
    pub anchor: Anchor,
    /// The number of the next batch.
    pub next: u64,
}

impl Head {
    pub fn of(block: &Digested<Block>) -> Self {
        let (digest, block) = (block.digest(), block.inner());
        Self { height: block.height, digest, anchor: block.anchor, next: block.next_number() }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.height.to_le_bytes().to_vec();
        bytes.extend(self.digest.0);
        bytes.extend(self.anchor.height.to_le_bytes());
        bytes.extend(self.anchor.hash);
        bytes.extend(self.next.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (height, rest) = bytes.split_first_chunk()?;
        let (digest, rest) = rest.split_first_chunk()?;
        let (anchor, rest) = rest.split_first_chunk()?;
        let (hash, rest) = rest.split_first_chunk()?;
        Some(Self {
            height: u64::from_le_bytes(*height),
            digest: sha256::Digest(*digest),
            anchor: Anchor { height: u32::from_le_bytes(*anchor), hash: *hash },
            next: u64::from_le_bytes(rest.try_into().ok()?),
        })
    }
}

/// Changes that become durable together.
#[derive(Default)]
pub(crate) struct Changes(sled::Batch, bool);

impl Changes {
    pub fn put_head(&mut self, head: &Head) {
        self.put(vec![kind::HEAD], &head.encode());
    }

    /// A batch that was just signed, and lacks other signatures.
    pub fn put_open(&mut self, batch: &Batch) {
        self.put(numbered(kind::BATCH, batch.number), &batch.encode());
        self.put(numbered(kind::OPEN, batch.number), &[]);
    }

    /// A batch with its certificate.
    pub fn put_certified(&mut self, batch: &Batch) {
        self.put(numbered(kind::BATCH, batch.number), &batch.encode());
        self.remove(numbered(kind::OPEN, batch.number));
    }

    pub fn put_place(&mut self, id: &Digest, number: u64) {
        self.put(identified(kind::PLACE, id), &number.to_le_bytes());
    }

    pub fn put_live(&mut self, id: &Digest, transaction: &[u8]) {
        self.put(identified(kind::LIVE, id), transaction);
    }

    pub fn remove_live(&mut self, id: &Digest) {
        self.remove(identified(kind::LIVE, id));
    }

    fn put(&mut self, key: Vec<u8>, value: &[u8]) {
        self.0.insert(key, value);
        self.1 = true;
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.0.remove(key);
        self.1 = true;
    }
}

fn numbered(kind: u8, number: u64) -> Vec<u8> {
    [&[kind][..], &number.to_be_bytes()].concat()
}

fn identified(kind: u8, id: &Digest) -> Vec<u8> {
    [&[kind][..], id].concat()
}

/// The store.
pub(crate) struct Store(sled::Tree);

impl Store {
    pub fn open(db: &sled::Db) -> Result<Self, StoreError> {
        Ok(Self(db.open_tree(TREE)?))
    }

    /// Writes all the changes or none, and returns once they are on disk.
    pub fn commit(&self, changes: Changes) -> Result<(), StoreError> {
        if changes.1 {
            self.0.apply_batch(changes.0)?;
            self.0.flush()?;
        }
        Ok(())
    }

    pub fn head(&self) -> Result<Option<Head>, StoreError> {
        let bytes = self.0.get([kind::HEAD])?;
        bytes.map(|bytes| Head::decode(&bytes).ok_or(StoreError::Damaged("the head"))).transpose()
    }

    pub fn batch(&self, number: u64) -> Result<Option<Batch>, StoreError> {
        let bytes = self.0.get(numbered(kind::BATCH, number))?;
        bytes.map(|bytes| Batch::decode(&bytes).ok_or(StoreError::Damaged("a batch"))).transpose()
    }

    /// The numbers of the batches without a certificate.
    pub fn open_numbers(&self) -> Result<Vec<u64>, StoreError> {
        let number = |item: sled::Result<(sled::IVec, _)>| {
            let key = item?.0[1..].try_into().map_err(|_| StoreError::Damaged("a key"))?;
            Ok(u64::from_be_bytes(key))
        };
        self.0.scan_prefix([kind::OPEN]).map(number).collect()
    }

    pub fn place(&self, id: &Digest) -> Result<Option<u64>, StoreError> {
        let number = |bytes: sled::IVec| (*bytes).try_into().map_err(|_| StoreError::Damaged("a place"));
        Ok(self.0.get(identified(kind::PLACE, id))?.map(number).transpose()?.map(u64::from_le_bytes))
    }

    /// The transactions that users were promised.
    pub fn live(&self) -> impl Iterator<Item = Result<sled::IVec, StoreError>> {
        self.0.scan_prefix([kind::LIVE]).map(|item| Ok(item?.1))
    }
}
