//! What a sequencer must not forget of the agreement, in one sled tree of its own.
//!
//! The engine keeps votes and blocks in journals of its own. Here is what came of them: the last finalized block, the
//! parts and batches with the signatures that left, and the transactions that users were promised.

use commonware_cryptography::{Digested, Digestible as _, sha256};
use trestle_rollup::{Batch, Digest, Signatures};

use super::block::{Anchor, Block};
use super::certificate::{Conflict, Part};
use super::handover::Handover;
use super::message::Subject;
use crate::store::{Changes, StoreError, identified, numbered};

/// The tree's name within the database.
const TREE: &str = "sequencing";

/// First byte of a key: what the value is.
mod kind {
    /// → the last finalized block, without its transactions.
    pub const HEAD: u8 = b'h';
    /// `height` (8 bytes, big-endian) → an encoded part with the signatures known.
    pub const PART: u8 = b'p';
    /// `number` (8 bytes, big-endian) → an encoded batch with the signatures known.
    pub const BATCH: u8 = b'b';
    /// `number` → height of the block that cut the batch.
    pub const CUT: u8 = b'c';
    /// `set` (4 bytes, big-endian) `subject` → nothing: what lacks a quorum of the set's signatures.
    pub const OPEN: u8 = b'o';
    /// `set` `number` → signatures of a batch that an earlier set cut.
    pub const ADOPTED: u8 = b'a';
    /// `set` → an encoded handover with the signatures known: what the set begins with.
    pub const HANDOVER: u8 = b'g';
    /// → the first set whose agreement may still go on here.
    pub const LIVING: u8 = b's';
    /// `transaction id` (32 bytes) → height of its block.
    pub const PLACE: u8 = b'i';
    /// `transaction id` → an encoded transaction that a user was promised, not in a block yet.
    pub const LIVE: u8 = b'l';
    /// `number` → evidence that a quorum broke a promise about this batch.
    pub const CONFLICT: u8 = b'x';
}

/// The last finalized block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The set whose agreement goes on after it.
    pub set: u32,
    /// Height of the set's genesis.
    pub base: u64,
    pub height: u64,
    pub digest: sha256::Digest,
    pub anchor: Anchor,
    /// The batch that is being filled.
    pub number: u64,
    /// Transactions that it has.
    pub first: u32,
    /// Most bytes that they take on Bitcoin.
    pub filled: u32,
}

impl Head {
    /// After a block that closes a set, this is the next set's genesis.
    pub fn of(block: &Digested<Block>) -> Self {
        if block.inner().closes {
            let genesis = Block::genesis_after(block);
            let digest = genesis.digest();
            return Self::of(&Digested::precomputed(genesis, digest));
        }
        let (digest, block) = (block.digest(), block.inner());
        let count = block.decoded().map_or(0, |transactions| transactions.len());
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let (number, first, filled) = match block.cut {
            true => (block.number.saturating_add(1), 0, 0),
            false => (block.number, block.first.saturating_add(count), block.filled),
        };
        let Block { set, base, height, anchor, .. } = *block;
        Self { set, base, height, digest, anchor, number, first, filled }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.set.to_le_bytes().to_vec();
        bytes.extend(self.base.to_le_bytes());
        bytes.extend(self.height.to_le_bytes());
        bytes.extend(self.digest.0);
        bytes.extend(self.anchor.height.to_le_bytes());
        bytes.extend(self.anchor.hash);
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.first.to_le_bytes());
        bytes.extend(self.filled.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (set, rest) = bytes.split_first_chunk()?;
        let (base, rest) = rest.split_first_chunk()?;
        let (height, rest) = rest.split_first_chunk()?;
        let (digest, rest) = rest.split_first_chunk()?;
        let (anchor, rest) = rest.split_first_chunk()?;
        let (hash, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (first, filled) = rest.split_first_chunk()?;
        Some(Self {
            set: u32::from_le_bytes(*set),
            base: u64::from_le_bytes(*base),
            height: u64::from_le_bytes(*height),
            digest: sha256::Digest(*digest),
            anchor: Anchor { height: u32::from_le_bytes(*anchor), hash: *hash },
            number: u64::from_le_bytes(*number),
            first: u32::from_le_bytes(*first),
            filled: u32::from_le_bytes(filled.try_into().ok()?),
        })
    }
}

impl Changes {
    pub fn put_head(&mut self, head: &Head) {
        self.put(vec![kind::HEAD], &head.encode());
    }

    pub fn put_part(&mut self, height: u64, part: &Part) {
        self.put(numbered(kind::PART, height), &part.encode());
    }

    pub fn put_batch(&mut self, batch: &Batch) {
        self.put(numbered(kind::BATCH, batch.number), &batch.encode());
    }

    pub fn remove_part(&mut self, height: u64) {
        self.remove(numbered(kind::PART, height));
    }

    /// Removes all of a batch but its parts, with a set's signatures, and where it begins. It leaves where it ends.
    pub fn remove_batch(&mut self, set: u32, number: u64) {
        self.remove(numbered(kind::BATCH, number));
        self.remove(adopted(set, number));
        number.checked_sub(1).into_iter().for_each(|before| self.remove(numbered(kind::CUT, before)));
    }

    pub fn put_cut(&mut self, number: u64, height: u64) {
        self.put(numbered(kind::CUT, number), &height.to_le_bytes());
    }

    /// Notes whether something lacks signatures of a set.
    pub fn put_open(&mut self, set: u32, subject: Subject, is_open: bool) {
        let key = [&of_set(kind::OPEN, set)[..], &subject.encode()].concat();
        match is_open {
            true => self.put(key, &[]),
            false => self.remove(key),
        }
    }

    pub fn put_adopted(&mut self, set: u32, number: u64, signatures: &Signatures) {
        let mut value = Vec::new();
        for (index, signature) in signatures {
            value.push(*index);
            value.extend(signature);
        }
        self.put(adopted(set, number), &value);
    }

    pub fn put_handover(&mut self, handover: &Handover) {
        self.put(of_set(kind::HANDOVER, handover.genesis.set), &handover.encode());
    }

    /// Notes the first set whose agreement may still go on.
    pub fn put_living(&mut self, set: u32) {
        self.put(vec![kind::LIVING], &set.to_le_bytes());
    }

    pub fn put_conflict(&mut self, number: u64, conflict: &Conflict) {
        let value = serde_json::to_vec(conflict).expect("a conflict has only plain fields");
        self.put(numbered(kind::CONFLICT, number), &value);
    }

    pub fn put_place(&mut self, id: &Digest, height: u64) {
        self.put(identified(kind::PLACE, id), &height.to_le_bytes());
    }

    pub fn remove_place(&mut self, id: &Digest) {
        self.remove(identified(kind::PLACE, id));
    }

    pub fn put_live(&mut self, id: &Digest, transaction: &[u8]) {
        self.put(identified(kind::LIVE, id), transaction);
    }

    pub fn remove_live(&mut self, id: &Digest) {
        self.remove(identified(kind::LIVE, id));
    }
}

fn of_set(kind: u8, set: u32) -> Vec<u8> {
    [&[kind][..], &set.to_be_bytes()].concat()
}

fn adopted(set: u32, number: u64) -> Vec<u8> {
    [&of_set(kind::ADOPTED, set)[..], &number.to_be_bytes()].concat()
}

/// The store.
pub(crate) struct Store(sled::Tree);

impl Store {
    pub fn open(db: &sled::Db) -> Result<Self, StoreError> {
        Ok(Self(db.open_tree(TREE)?))
    }

    /// Writes all the changes or none, and returns once they are on disk.
    pub fn commit(&self, changes: Changes) -> Result<(), StoreError> {
        changes.commit(&self.0)
    }

    pub fn head(&self) -> Result<Option<Head>, StoreError> {
        let bytes = self.0.get([kind::HEAD])?;
        bytes.map(|bytes| Head::decode(&bytes).ok_or(StoreError::Damaged("the head"))).transpose()
    }

    pub fn part(&self, height: u64) -> Result<Option<Part>, StoreError> {
        let bytes = self.0.get(numbered(kind::PART, height))?;
        bytes.map(|bytes| Part::decode(&bytes).ok_or(StoreError::Damaged("a part"))).transpose()
    }

    /// The parts of the final blocks from this height on, in order, with their heights.
    pub fn parts_from(&self, height: u64) -> impl Iterator<Item = Result<(u64, Part), StoreError>> + use<> {
        const DAMAGED: StoreError = StoreError::Damaged("a part");
        let range = numbered(kind::PART, height)..=numbered(kind::PART, u64::MAX);
        self.0.range(range).map(|item| {
            let (key, value) = item?;
            let height = key.last_chunk().copied().map(u64::from_be_bytes);
            height.zip(Part::decode(&value)).ok_or(DAMAGED)
        })
    }

    /// Height of the first block whose transactions go to this batch, which is not beyond the one being filled, and is not
    /// forgotten.
    pub fn first_height(&self, number: u64) -> Result<u64, StoreError> {
        self.known_first_height(number)?.ok_or(StoreError::Damaged("a cut"))
    }

    /// The same of any batch; `None` if it is not known here, or not any more.
    pub fn known_first_height(&self, number: u64) -> Result<Option<u64>, StoreError> {
        let Some(before) = number.checked_sub(1) else { return Ok(Some(0)) };
        let Some(cut) = self.0.get(numbered(kind::CUT, before))? else { return Ok(None) };
        let height = u64::from_le_bytes((*cut).try_into().map_err(|_| StoreError::Damaged("a cut"))?);
        Ok(Some(height.saturating_add(1)))
    }

    /// The numbers of the batches that were cut and are not forgotten, in order.
    pub fn batches(&self) -> impl Iterator<Item = Result<u64, StoreError>> + use<> {
        let number = |key: sled::Result<sled::IVec>| {
            key?.last_chunk().copied().map(u64::from_be_bytes).ok_or(StoreError::Damaged("a key"))
        };
        self.0.scan_prefix([kind::BATCH]).keys().map(number)
    }

    pub fn batch(&self, number: u64) -> Result<Option<Batch>, StoreError> {
        let bytes = self.0.get(numbered(kind::BATCH, number))?;
        bytes.map(|bytes| Batch::decode(&bytes).ok_or(StoreError::Damaged("a batch"))).transpose()
    }

    /// What has no certificate of a set.
    pub fn open_subjects(&self, set: u32) -> Result<Vec<Subject>, StoreError> {
        let subject = |item: sled::Result<(sled::IVec, _)>| {
            let key = item?.0.last_chunk().copied().ok_or(StoreError::Damaged("a key"))?;
            Subject::decode(key).ok_or(StoreError::Damaged("a key"))
        };
        self.0.scan_prefix(of_set(kind::OPEN, set)).map(subject).collect()
    }

    /// A set's signatures of a batch that an earlier set cut.
    pub fn adopted(&self, set: u32, number: u64) -> Result<Option<Signatures>, StoreError> {
        const DAMAGED: StoreError = StoreError::Damaged("signatures");
        let Some(bytes) = self.0.get(adopted(set, number))? else { return Ok(None) };
        let (entries, []) = bytes.as_chunks::<65>() else { return Err(DAMAGED) };
        let entry = |entry: &[u8; 65]| Some((entry[0], *entry.last_chunk()?));
        entries.iter().map(entry).collect::<Option<_>>().ok_or(DAMAGED).map(Some)
    }

    /// What a set begins with.
    pub fn handover(&self, set: u32) -> Result<Option<Handover>, StoreError> {
        let bytes = self.0.get(of_set(kind::HANDOVER, set))?;
        bytes.map(|bytes| Handover::decode(&bytes).ok_or(StoreError::Damaged("a handover"))).transpose()
    }

    /// The first set whose agreement may still go on.
    pub fn living(&self) -> Result<u32, StoreError> {
        let set = |bytes: sled::IVec| (*bytes).try_into().map_err(|_| StoreError::Damaged("a set"));
        Ok(self.0.get([kind::LIVING])?.map(set).transpose()?.map_or(0, u32::from_le_bytes))
    }

    /// The evidence against quorums, by the batches' numbers.
    pub fn conflicts(&self) -> Result<Vec<Conflict>, StoreError> {
        let conflict = |item: sled::Result<(_, sled::IVec)>| {
            serde_json::from_slice(&item?.1).map_err(|_| StoreError::Damaged("a conflict"))
        };
        self.0.scan_prefix([kind::CONFLICT]).map(conflict).collect()
    }

    /// Height of a transaction's block.
    pub fn place(&self, id: &Digest) -> Result<Option<u64>, StoreError> {
        let height = |bytes: sled::IVec| (*bytes).try_into().map_err(|_| StoreError::Damaged("a place"));
        Ok(self.0.get(identified(kind::PLACE, id))?.map(height).transpose()?.map(u64::from_le_bytes))
    }

    /// The transactions that users were promised.
    pub fn live(&self) -> impl Iterator<Item = Result<sled::IVec, StoreError>> {
        self.0.scan_prefix([kind::LIVE]).map(|item| Ok(item?.1))
    }
}
