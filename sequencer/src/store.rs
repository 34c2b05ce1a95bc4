//! What a sequencer must not forget, in one sled tree.
//!
//! Every change that belongs together is written as one atomic batch of sled's and flushed before
//! [`commit`](Store::commit) returns; only then may a duty that relies on it leave.

use bitcoin::consensus::encode;
use bitcoin::{Transaction, Txid};
use trestle_rollup::{Batch, Digest};

use crate::receipt::Receipt;

/// The tree's name within the database.
const TREE: &str = "sequencer";

/// First byte of a key: what the value is.
mod kind {
    /// `number` (8 bytes, big-endian) → an encoded batch, certificate included.
    pub const BATCH: u8 = b'b';
    /// `number` → the posting in force.
    pub const POSTING: u8 = b'p';
    /// `arrival` (8 bytes, big-endian) → an encoded transaction.
    pub const LIVE: u8 = b'l';
    /// `transaction id` (32 bytes) → its last receipt.
    pub const RECEIPT: u8 = b'r';
}

/// Why the store could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the sequencer's store: {0}")]
    Database(#[from] sled::Error),
    /// A stored value is not what was once written there.
    #[error("the sequencer's store is damaged: {0}")]
    Damaged(&'static str),
}

/// The two Bitcoin transactions that put a batch on Bitcoin, and since when they are wanted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Pays the output that commits to the envelope.
    pub commit: Transaction,
    /// Spends it by the envelope's leaf.
    pub reveal: Transaction,
    /// Height of the tip when the posting was taken over.
    pub since: u32,
}

impl Posting {
    /// The id that tells whether the envelope is on Bitcoin.
    pub fn reveal_txid(&self) -> Txid {
        self.reveal.compute_txid()
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.since.to_le_bytes().to_vec();
        bytes.extend(encode::serialize(&self.commit));
        bytes.extend(encode::serialize(&self.reveal));
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        const DAMAGED: StoreError = StoreError::Damaged("a posting");
        let (since, rest) = bytes.split_first_chunk::<4>().ok_or(DAMAGED)?;
        let (commit, used) = encode::deserialize_partial(rest).map_err(|_| DAMAGED)?;
        let reveal = encode::deserialize(&rest[used..]).map_err(|_| DAMAGED)?;
        Ok(Self { commit, reveal, since: u32::from_le_bytes(*since) })
    }
}

/// Changes that become durable together.
#[derive(Default)]
pub(crate) struct Changes(sled::Batch, bool);

impl Changes {
    pub fn put_batch(&mut self, batch: &Batch) {
        self.put(numbered(kind::BATCH, batch.number), &batch.encode());
    }

    pub fn put_posting(&mut self, number: u64, posting: &Posting) {
        self.put(numbered(kind::POSTING, number), &posting.encode());
    }

    pub fn remove_posting(&mut self, number: u64) {
        self.remove(numbered(kind::POSTING, number));
    }

    pub fn put_live(&mut self, arrival: u64, transaction: &[u8]) {
        self.put(numbered(kind::LIVE, arrival), transaction);
    }

    pub fn remove_live(&mut self, arrival: u64) {
        self.remove(numbered(kind::LIVE, arrival));
    }

    pub fn put_receipt(&mut self, id: &Digest, receipt: &Receipt) {
        let value = serde_json::to_vec(receipt).expect("a receipt has only plain fields");
        self.put(identified(kind::RECEIPT, id), &value);
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
    let mut key = vec![kind];
    key.extend(number.to_be_bytes());
    key
}

fn identified(kind: u8, id: &Digest) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend(id);
    key
}

fn decode_batch(bytes: &[u8]) -> Result<Batch, StoreError> {
    Batch::decode(bytes).ok_or(StoreError::Damaged("a batch"))
}

/// The store. Cheap to clone: clones share one tree.
#[derive(Clone)]
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

    /// The batch certified for a number.
    pub fn batch(&self, number: u64) -> Result<Option<Batch>, StoreError> {
        self.0.get(numbered(kind::BATCH, number))?.map(|bytes| decode_batch(&bytes)).transpose()
    }

    /// The batches certified for this number and later ones, in order.
    pub fn batches_from(&self, number: u64) -> impl Iterator<Item = Result<Batch, StoreError>> {
        let range = numbered(kind::BATCH, number)..=numbered(kind::BATCH, u64::MAX);
        self.0.range(range).map(|item| decode_batch(&item?.1))
    }

    pub fn posting(&self, number: u64) -> Result<Option<Posting>, StoreError> {
        self.0.get(numbered(kind::POSTING, number))?.map(|bytes| Posting::decode(&bytes)).transpose()
    }

    /// The numbers that have a posting.
    pub fn posted(&self) -> Result<Vec<u64>, StoreError> {
        self.numbered(kind::POSTING).map(|item| item.map(|(number, _)| number)).collect()
    }

    /// Every transaction that is not final yet, in order of arrival.
    pub fn live(&self) -> impl Iterator<Item = Result<(u64, sled::IVec), StoreError>> {
        self.numbered(kind::LIVE)
    }

    pub fn receipt(&self, id: &Digest) -> Result<Option<Receipt>, StoreError> {
        self.0
            .get(identified(kind::RECEIPT, id))?
            .map(|bytes| serde_json::from_slice(&bytes).map_err(|_| StoreError::Damaged("a receipt")))
            .transpose()
    }

    fn numbered(&self, kind: u8) -> impl Iterator<Item = Result<(u64, sled::IVec), StoreError>> {
        self.0.scan_prefix([kind]).map(|item| {
            let (key, value) = item?;
            let number = key[1..].try_into().map_err(|_| StoreError::Damaged("a key"))?;
            Ok((u64::from_be_bytes(number), value))
        })
    }
}
