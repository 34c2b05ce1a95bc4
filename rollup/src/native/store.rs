//! The database: what is kept under which key, and a cache of tree nodes in front of it.
//!
//! | key | value |
//! | --- | --- |
//! | `p` | the parameters' encoding |
//! | `t` | the tip's height, `u32` big-endian |
//! | `h` ‖ height | the entry: block hash ‖ state root ‖ ids of the pending withdrawals |
//! | `e` ‖ height | the block's events |
//! | `n` ‖ digest | a node of the state tree: 0 (inner) or 1 (leaf) ‖ its 64-byte block |
//!
//! Heights are `u32` big-endian, so that keys are in the order of heights. Nodes are found by their digests and never
//! changed; those of blocks that were reorganized away stay, unreferenced, and serve again if the block comes back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::aggregate::{self, HalfSignature};
use crate::apply::Entry;
use crate::compress::{Digest, IV_INNER, IV_LEAF, compress};
use crate::host::{Host, SignatureCheck};
use crate::identifiers::WithdrawalId;
use crate::native::block::RawBlockError;
use crate::parameters::ParametersError;
use crate::schnorr;
use crate::tree::StateError;
use crate::wire::Reader;

/// Why the ledger cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database failed.
    #[error("the ledger's database: {0}")]
    Database(#[from] sled::Error),
    /// The database holds something that was not written by this program.
    #[error("the ledger's database is corrupt: {0}; delete it and derive it again from Bitcoin's blocks")]
    Corrupt(String),
    /// The parameters make no bridge.
    #[error("the bridge's parameters: {0}")]
    Parameters(#[from] ParametersError),
    /// The database belongs to another bridge.
    #[error("the database belongs to a bridge with other parameters")]
    OtherParameters,
    /// The bytes are not a block.
    #[error("the block: {0}")]
    Block(#[from] RawBlockError),
    /// The block is not the tip's child: after a reorganization, roll back first.
    #[error("the block is not the child of the tip, at height {tip}")]
    NotChild {
        /// The tip's height.
        tip: u32,
    },
    /// There is no entry at this height: it is before the genesis or after the tip.
    #[error("the ledger has no entry at height {0}")]
    NoEntry(u32),
}

impl From<StateError<LedgerError>> for LedgerError {
    fn from(error: StateError<LedgerError>) -> Self {
        match error {
            StateError::Host(error) => error,
            StateError::Node(digest) => corrupt_node(&digest),
        }
    }
}

fn corrupt_node(digest: &Digest) -> LedgerError {
    LedgerError::Corrupt(format!("state node {} is missing or wrong", crate::identifiers::Account(*digest)))
}

/// One row of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) entry: Entry,
    pub(super) pending: Vec<WithdrawalId>,
}

impl Row {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = [self.entry.block_hash, self.entry.state_root].concat();
        self.pending.iter().for_each(|id| bytes.extend_from_slice(&id.0.to_le_bytes()));
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        let entry = Entry { block_hash: from.array()?, state_root: from.array()? };
        let (pending, []) = from.rest().as_chunks() else {
            return None;
        };
        Some(Self { entry, pending: pending.iter().map(|id| WithdrawalId(u32::from_le_bytes(*id))).collect() })
    }
}

/// A handle on the database. Clones share it, and its cache.
#[derive(Clone, Debug)]
pub(super) struct Store {
    tree: sled::Tree,
    nodes: Arc<Mutex<Nodes>>,
}

/// Nodes that were read or written lately: two generations, of which the older is dropped when the newer is full.
#[derive(Debug, Default)]
struct Nodes {
    new: HashMap<Digest, (bool, [u8; 64])>,
    old: HashMap<Digest, (bool, [u8; 64])>,
}

/// Nodes in a generation: about 30 MB.
const GENERATION: usize = 1 << 17;

impl Nodes {
    fn get(&mut self, digest: &Digest) -> Option<(bool, [u8; 64])> {
        if let Some(node) = self.new.get(digest) {
            return Some(*node);
        }
        let node = self.old.remove(digest)?;
        self.insert(*digest, node);
        Some(node)
    }

    fn insert(&mut self, digest: Digest, node: (bool, [u8; 64])) {
        if self.new.len() >= GENERATION {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(digest, node);
    }
}

/// All the writes of one block.
#[derive(Default)]
pub(super) struct Writes {
    batch: sled::Batch,
    nodes: Vec<(Digest, (bool, [u8; 64]))>,
}

impl Writes {
    pub(super) fn parameters(&mut self, encoding: &[u8]) {
        self.batch.insert(b"p", encoding);
    }

    pub(super) fn tip(&mut self, height: u32) {
        self.batch.insert(b"t", &height.to_be_bytes());
    }

    pub(super) fn row(&mut self, height: u32, row: &Row) {
        self.batch.insert(&at(b'h', height), row.encode());
    }

    pub(super) fn events(&mut self, height: u32, events: Vec<u8>) {
        self.batch.insert(&at(b'e', height), events);
    }

    pub(super) fn node(&mut self, digest: &Digest, m: &Digest, b: &[u8; 64]) {
        let leaf = *m == IV_LEAF;
        self.nodes.push((*digest, (leaf, *b)));
        self.batch.insert(&node_key(digest)[..], [&[u8::from(leaf)], &b[..]].concat());
    }

    pub(super) fn forget(&mut self, height: u32) {
        self.batch.remove(&at(b'h', height));
        self.batch.remove(&at(b'e', height));
    }
}

fn at(kind: u8, height: u32) -> [u8; 5] {
    crate::wire::pack(&[&[kind], &height.to_be_bytes()])
}

fn node_key(digest: &Digest) -> [u8; 33] {
    crate::wire::pack(&[b"n", digest])
}

impl Store {
    pub(super) fn open(db: &sled::Db) -> Result<Self, LedgerError> {
        Ok(Self { tree: db.open_tree("trestle/rollup")?, nodes: Arc::default() })
    }

    /// Writes all or nothing, and returns once it is on disk.
    pub(super) fn write(&self, writes: Writes) -> Result<(), LedgerError> {
        self.tree.apply_batch(writes.batch)?;
        self.tree.flush()?;
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        writes.nodes.into_iter().for_each(|(digest, node)| nodes.insert(digest, node));
        Ok(())
    }

    pub(super) fn parameters(&self) -> Result<Option<sled::IVec>, LedgerError> {
        Ok(self.tree.get(b"p")?)
    }

    pub(super) fn tip(&self) -> Result<u32, LedgerError> {
        let tip = self.tree.get(b"t")?.and_then(|bytes| Some(u32::from_be_bytes(bytes.as_ref().try_into().ok()?)));
        tip.ok_or_else(|| LedgerError::Corrupt("it has no tip".into()))
    }

    pub(super) fn row(&self, height: u32) -> Result<Option<Row>, LedgerError> {
        let Some(bytes) = self.tree.get(at(b'h', height))? else {
            return Ok(None);
        };
        Row::decode(&bytes).map(Some).ok_or_else(|| LedgerError::Corrupt(format!("the entry at height {height}")))
    }

    pub(super) fn events(&self, height: u32) -> Result<Option<sled::IVec>, LedgerError> {
        Ok(self.tree.get(at(b'e', height))?)
    }

    fn node(&self, digest: &Digest) -> Result<(Digest, [u8; 64]), LedgerError> {
        let lock = || self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = lock().get(digest);
        let (leaf, b) = match cached {
            Some(node) => node,
            None => {
                let bytes = self.tree.get(node_key(digest))?.ok_or_else(|| corrupt_node(digest))?;
                let mut from = Reader::new(&bytes);
                let read = || Some((from.u8()? == 1, from.array()?));
                let node: (bool, [u8; 64]) = { read }().ok_or_else(|| corrupt_node(digest))?;
                if compress(constant(node.0), &node.1) != *digest {
                    return Err(corrupt_node(digest));
                }
                lock().insert(*digest, node);
                node
            }
        };
        Ok((*constant(leaf), b))
    }
}

fn constant(leaf: bool) -> &'static Digest {
    if leaf { &IV_LEAF } else { &IV_INNER }
}

/// How many of so many signatures one thread checks, so that all cores are busy.
fn share(signatures: usize) -> usize {
    const LEAST: usize = 16; // below that a thread costs more than it saves
    if signatures <= LEAST {
        return LEAST;
    }
    // It is asked of the system each time, which reads files.
    let cores = thread::available_parallelism().map_or(1, usize::from);
    signatures.div_ceil(cores).max(LEAST)
}

impl Host for Store {
    type Error = LedgerError;

    fn preimage(&mut self, digest: &Digest) -> Result<(Digest, [u8; 64]), LedgerError> {
        self.node(digest)
    }

    /// On all cores.
    fn verify(&mut self, checks: &[SignatureCheck]) -> Vec<bool> {
        let share = share(checks.len());
        if checks.len() <= share {
            return checks.iter().map(schnorr::verify).collect();
        }
        let mut verdicts = vec![false; checks.len()];
        thread::scope(|scope| {
            for (checks, verdicts) in checks.chunks(share).zip(verdicts.chunks_mut(share)) {
                scope.spawn(move || {
                    verdicts.iter_mut().zip(checks).for_each(|(verdict, check)| *verdict = schnorr::verify(check));
                });
            }
        });
        verdicts
    }

    /// On all cores.
    fn verify_aggregate(&mut self, signatures: &[HalfSignature], sum: &[u8; 32]) -> bool {
        aggregate::verify_with(signatures, sum, |factors| {
            let share = share(signatures.len());
            thread::scope(|scope| {
                let parts = signatures.chunks(share).zip(factors.chunks(share));
                let parts = parts.map(|(part, factors)| scope.spawn(|| aggregate::total(part, factors)));
                // All are begun before the first is waited for. A thread that panics has found nothing valid.
                let parts: Vec<_> = parts.collect();
                parts.into_iter().map(|part| part.join().ok().flatten()).sum()
            })
        })
    }

    /// On all cores.
    fn verify_all(&mut self, checks: &[SignatureCheck]) -> bool {
        self.verify(checks).into_iter().all(|valid| valid)
    }
}
