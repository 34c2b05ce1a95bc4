//! Who spent what, and at which height: an index of the outputs and transactions that a role cares about.
//!
//! A [`Watch`] is fed blocks in order, as a [`Follower`] yields them, and keeps what it
//! finds in a `sled` tree of its own. A block is taken in, with the cursor that says so, in one atomic write that is
//! on the disk before the call returns; a block that a reorganisation takes out leaves nothing behind. It knows of
//! nothing that happened before it was asked to look: watch first, broadcast then.

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash, OutPoint, Transaction, Txid};
use sled::Batch;

use crate::chain::BlockId;
use crate::follow::{FollowError, Follower, Step};

/// Why an index could not be read, or refuses a block.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The next block could not be had.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The database failed.
    #[error("watch index: {0}")]
    Database(#[from] sled::Error),
    /// What is in the database is not what was written there.
    #[error("watch index: the entry {0} is damaged")]
    Damaged(&'static str),
    /// A block was offered that is not the child of the last one.
    #[error("watch index: block {offered} does not follow block {last}")]
    NotNext {
        /// The height offered.
        offered: u32,
        /// The last block taken in.
        last: BlockId,
    },
    /// A block was to be taken out that is not the last one.
    #[error("watch index: block {offered} is not the last one")]
    NotLast {
        /// The height offered.
        offered: u32,
    },
}

type Result<T> = std::result::Result<T, WatchError>;

/// A transaction that spends a watched output, in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spend {
    /// The transaction.
    pub tx: Transaction,
    /// Which of its inputs spends the output.
    pub input: u32,
    /// The height of its block.
    pub height: u32,
}

/// An index in a `sled` tree. Cheap to clone; one clone takes blocks in.
#[derive(Debug, Clone)]
pub struct Watch {
    tree: sled::Tree,
}

// The tree's keys, by their first byte. What was not found yet is there with an empty value.
/// → [`BlockId`] of the last block.
const CURSOR: &[u8] = b"c";
/// ‖ outpoint → height ‖ input ‖ transaction.
const OUTPUT: u8 = b'o';
/// ‖ txid → height.
const TRANSACTION: u8 = b't';
/// ‖ height → hash of the block before.
const BEFORE: u8 = b'b';
/// ‖ height ‖ key → nothing: what was found at that height.
const FOUND: u8 = b'f';

impl Watch {
    /// The index called `name`, made where there is none.
    pub fn open(db: &sled::Db, name: &str) -> Result<Self> {
        Ok(Self { tree: db.open_tree(format!("watch/{name}"))? })
    }

    /// The last block that was taken in; where to go on after a restart.
    pub fn cursor(&self) -> Result<Option<BlockId>> {
        let Some(bytes) = self.tree.get(CURSOR)? else { return Ok(None) };
        let (height, hash) = split_height(&bytes).ok_or(WatchError::Damaged("cursor"))?;
        let hash = BlockHash::from_slice(hash).map_err(|_| WatchError::Damaged("cursor"))?;
        Ok(Some(BlockId { height, hash }))
    }

    /// Looks, from now on, for who spends an output.
    pub fn watch(&self, outpoint: &OutPoint) -> Result<()> {
        self.look_for(key(OUTPUT, &serialize(outpoint)))
    }

    /// Looks, from now on, for the block that holds a transaction.
    pub fn watch_tx(&self, txid: &Txid) -> Result<()> {
        self.look_for(key(TRANSACTION, &txid[..]))
    }

    fn look_for(&self, key: Vec<u8>) -> Result<()> {
        // An error says that it is there already, perhaps found.
        if self.tree.compare_and_swap(key, None as Option<&[u8]>, Some(&[] as &[u8]))?.is_ok() {
            self.tree.flush()?;
        }
        Ok(())
    }

    /// Takes in, and out, all that lies between the cursor and the follower's ledger. Says whether there was anything.
    pub fn catch_up(&self, follower: &mut Follower) -> Result<bool> {
        let mut any = false;
        while let Some(step) = follower.after(self.cursor()?)? {
            any = true;
            match step {
                Step::Connected { height, block, .. } => self.connected(height, &block)?,
                Step::Disconnected { height, .. } => self.disconnected(height)?,
            }
        }
        Ok(any)
    }

    /// Takes in the block after the last one (any block at first).
    pub fn connected(&self, height: u32, block: &Block) -> Result<()> {
        if let Some(last) = self.cursor()?
            && (height != last.height + 1 || block.header.prev_blockhash != last.hash)
        {
            return Err(WatchError::NotNext { offered: height, last });
        }
        let mut batch = Batch::default();
        let mut found = |key: Vec<u8>, value: Vec<u8>| {
            batch.insert([&[FOUND], &height.to_be_bytes()[..], &key].concat(), &[]);
            batch.insert(key, value);
        };
        for tx in &block.txdata {
            let transaction = key(TRANSACTION, &tx.compute_txid()[..]);
            if self.tree.contains_key(&transaction)? {
                found(transaction, height.to_be_bytes().to_vec());
            }
            for (input, spent) in (0u32..).zip(&tx.input) {
                let output = key(OUTPUT, &serialize(&spent.previous_output));
                if self.tree.contains_key(&output)? {
                    found(output, [&height.to_be_bytes()[..], &input.to_be_bytes(), &serialize(tx)].concat());
                }
            }
        }
        batch.insert(key(BEFORE, &height.to_be_bytes()), &block.header.prev_blockhash[..]);
        self.write(batch, Some(BlockId { height, hash: block.block_hash() }))
    }

    /// Takes the last block, at `height`, out again.
    pub fn disconnected(&self, height: u32) -> Result<()> {
        let is_last = self.cursor()?.is_some_and(|last| last.height == height);
        let before = self.tree.get(key(BEFORE, &height.to_be_bytes()))?;
        let (true, Some(before)) = (is_last, before) else { return Err(WatchError::NotLast { offered: height }) };
        let mut batch = Batch::default();
        for entry in self.tree.scan_prefix(key(FOUND, &height.to_be_bytes())) {
            let (found, _) = entry?;
            batch.insert(&found[1 + 4..], &[]);
            batch.remove(found);
        }
        batch.remove(key(BEFORE, &height.to_be_bytes()));
        let hash = BlockHash::from_slice(&before).map_err(|_| WatchError::Damaged("block before"))?;
        self.write(batch, height.checked_sub(1).map(|height| BlockId { height, hash }))
    }

    fn write(&self, mut batch: Batch, cursor: Option<BlockId>) -> Result<()> {
        match cursor {
            Some(at) => batch.insert(CURSOR, [&at.height.to_be_bytes()[..], &at.hash[..]].concat()),
            None => batch.remove(CURSOR),
        }
        self.tree.apply_batch(batch)?;
        self.tree.flush()?;
        Ok(())
    }

    /// Who spends a watched output in the chain up to the cursor.
    pub fn spend(&self, outpoint: &OutPoint) -> Result<Option<Spend>> {
        let Some(bytes) = self.tree.get(key(OUTPUT, &serialize(outpoint)))? else { return Ok(None) };
        if bytes.is_empty() {
            return Ok(None);
        }
        let read = || {
            let (height, rest) = split_height(&bytes)?;
            let (input, tx) = split_height(rest)?;
            Some(Spend { tx: deserialize(tx).ok()?, input, height })
        };
        read().map(Some).ok_or(WatchError::Damaged("output"))
    }

    /// The height of the block that holds a watched transaction.
    pub fn height(&self, txid: &Txid) -> Result<Option<u32>> {
        let Some(bytes) = self.tree.get(key(TRANSACTION, &txid[..]))? else { return Ok(None) };
        if bytes.is_empty() {
            return Ok(None);
        }
        split_height(&bytes).map(|(height, _)| Some(height)).ok_or(WatchError::Damaged("transaction"))
    }

    /// How many blocks hold a watched transaction or are built on one that does, up to the cursor: 1 in the last
    /// block, 0 in none.
    pub fn confirmations(&self, txid: &Txid) -> Result<u32> {
        let (Some(tip), Some(height)) = (self.cursor()?, self.height(txid)?) else { return Ok(0) };
        Ok((tip.height + 1).saturating_sub(height))
    }
}

fn key(kind: u8, rest: &[u8]) -> Vec<u8> {
    [&[kind], rest].concat()
}

fn split_height(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (height, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*height), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::block::{Header, Version};
    use bitcoin::{CompactTarget, TxIn, TxMerkleNode};

    fn block(before: BlockHash, nonce: u32, txdata: Vec<Transaction>) -> Block {
        let header = Header {
            version: Version::TWO,
            prev_blockhash: before,
            merkle_root: TxMerkleNode::all_zeros(),
            time: 0,
            bits: CompactTarget::from_consensus(0),
            nonce,
        };
        Block { header, txdata }
    }

    fn spending(outpoints: &[OutPoint]) -> Transaction {
        let input = outpoints.iter().map(|o| TxIn { previous_output: *o, ..Default::default() }).collect();
        Transaction {
            version: bitcoin::transaction::Version(3),
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input,
            output: vec![],
        }
    }

    fn open() -> Watch {
        let db = sled::Config::new().temporary(true).open().unwrap();
        Watch::open(&db, "test").unwrap()
    }

    fn coin(byte: u8, vout: u32) -> OutPoint {
        OutPoint::new(Txid::from_byte_array([byte; 32]), vout)
    }

    #[test]
    fn a_spend_is_known_from_its_block_until_a_reorganisation_takes_it_out() {
        let watch = open();
        let (mine, other) = (coin(1, 7), coin(2, 0));
        let tx = spending(&[other, mine]);
        watch.watch(&mine).unwrap();
        watch.watch_tx(&tx.compute_txid()).unwrap();
        let first = block(BlockHash::all_zeros(), 0, vec![]);
        watch.connected(100, &first).unwrap();
        assert_eq!(watch.spend(&mine).unwrap(), None);

        let second = block(first.block_hash(), 0, vec![spending(&[]), tx.clone()]);
        watch.connected(101, &second).unwrap();
        let spend = Spend { tx: tx.clone(), input: 1, height: 101 };
        assert_eq!(watch.spend(&mine).unwrap(), Some(spend));
        assert_eq!(watch.height(&tx.compute_txid()).unwrap(), Some(101));
        assert_eq!(watch.confirmations(&tx.compute_txid()).unwrap(), 1);
        assert_eq!(watch.spend(&other).unwrap(), None, "nobody watches that one");

        watch.disconnected(101).unwrap();
        assert_eq!(watch.cursor().unwrap(), Some(BlockId { height: 100, hash: first.block_hash() }));
        assert_eq!(watch.spend(&mine).unwrap(), None);
        assert_eq!(watch.confirmations(&tx.compute_txid()).unwrap(), 0);

        let rival = spending(&[mine]);
        let second = block(first.block_hash(), 1, vec![rival.clone()]);
        let third = block(second.block_hash(), 0, vec![tx.clone()]);
        watch.connected(101, &second).unwrap();
        watch.watch(&mine).unwrap();
        assert_eq!(watch.spend(&mine).unwrap().unwrap().tx, rival, "watching again forgets nothing");
        watch.connected(102, &third).unwrap();
        assert_eq!(watch.height(&tx.compute_txid()).unwrap(), Some(102));
    }

    #[test]
    fn only_the_next_block_is_taken_in_and_only_the_last_taken_out() {
        let watch = open();
        let first = block(BlockHash::all_zeros(), 0, vec![]);
        let second = block(first.block_hash(), 0, vec![]);
        watch.connected(5, &first).unwrap();
        assert!(matches!(watch.connected(5, &first), Err(WatchError::NotNext { offered: 5, .. })));
        assert!(matches!(watch.connected(7, &second), Err(WatchError::NotNext { .. })));
        let stranger = block(BlockHash::all_zeros(), 9, vec![]);
        assert!(matches!(watch.connected(6, &stranger), Err(WatchError::NotNext { .. })));
        assert!(matches!(watch.disconnected(4), Err(WatchError::NotLast { offered: 4 })));
        watch.connected(6, &second).unwrap();
        watch.disconnected(6).unwrap();
        watch.disconnected(5).unwrap();
        assert!(matches!(watch.disconnected(4), Err(WatchError::NotLast { .. })));
    }
}
