//! What a liar says of the history.

use bitcoin::block::{Header, Version};
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, CompactTarget, TxMerkleNode};
use trestle_rollup::{Digest, Entry, Ledger, LedgerError, tagged_hash};

/// The bits of an invented header: the least work that there is, as on regtest.
const BITS: u32 = 0x207f_ffff;

/// What is false in the history up to the claim's block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum History {
    /// Nothing.
    #[default]
    True,
    /// The states from some entry on.
    States(Since),
    /// The blocks from some entry on: they are made up, K + 1 of them at least, with regtest's work. All that is wrong with their
    /// headers is that this one, counted from 0, does not name the one before it; none, if it is beyond K.
    Blocks(Since, u16),
}

/// The first false entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// That of the first block after the checkpoint.
    First,
    /// One half-way to the claim's block.
    Middle,
    /// The claim's block.
    Last,
    /// The block at a height.
    Height(u32),
    /// So many blocks before the claim's were there when it was made.
    Beyond(u16),
}

impl Since {
    /// As an index of the history of a claim about entry n.
    fn index(self, checkpoint: u32, n: u16) -> u32 {
        let n = u32::from(n);
        let index = match self {
            Self::First => 1,
            Self::Middle => n.div_ceil(2),
            Self::Last => n,
            Self::Height(height) => height.saturating_sub(checkpoint),
            Self::Beyond(blocks) => (n + 1).saturating_sub(u32::from(blocks)),
        };
        index.min(n).max(1)
    }
}

/// The same of one claim.
pub(super) enum Forged {
    Nothing,
    States { since: u32 },
    Blocks { since: u32, headers: Vec<Header> },
}

impl Forged {
    /// What a claim about entry n rests on.
    pub fn new(
        history: History,
        ledger: &Ledger,
        checkpoint: u32,
        n: u16,
        confirmations: u16,
    ) -> Result<Self, LedgerError> {
        Ok(match history {
            History::True => Self::Nothing,
            History::States(since) => Self::States { since: since.index(checkpoint, n) },
            History::Blocks(since, broken) => {
                let since = since.index(checkpoint, n);
                let count = u32::from(n).saturating_sub(since).max(u32::from(confirmations)) + 1;
                let before = ledger.entry((checkpoint + since).saturating_sub(1))?;
                let before = before.map_or([0; 32], |entry| entry.block_hash);
                Self::Blocks { since, headers: invent(&before, count, u32::from(broken)) }
            }
        })
    }

    /// An entry up to the claim's.
    pub fn entry(&self, index: u32, truth: Option<Entry>) -> Option<Entry> {
        match self {
            Self::States { since } if index >= *since => {
                truth.map(|entry| Entry { state_root: elsewhere(&entry.state_root), ..entry })
            }
            Self::Blocks { since, headers } if index >= *since => {
                let header = headers.get((index - since) as usize)?;
                let block_hash = header.block_hash().to_byte_array();
                Some(Entry { block_hash, state_root: elsewhere(&block_hash) })
            }
            _ => truth,
        }
    }

    /// The header of an entry's block, if it is made up.
    pub fn header(&self, index: u32) -> Option<[u8; 80]> {
        let Self::Blocks { since, headers } = self else { return None };
        let header = headers.get(index.checked_sub(*since)? as usize)?;
        serialize(header).try_into().ok()
    }
}

/// A state that never was.
fn elsewhere(root: &Digest) -> Digest {
    tagged_hash("an invented state", &[root])
}

/// A chain of headers on top of a block; one of them names no block.
fn invent(before: &Digest, count: u32, broken: u32) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for number in 0..count {
        let previous = headers.last().map_or(BlockHash::from_byte_array(*before), Header::block_hash);
        let prev_blockhash = if number == broken { BlockHash::all_zeros() } else { previous };
        let root = tagged_hash("an invented block", &[before, &number.to_be_bytes()]);
        let bits = CompactTarget::from_consensus(BITS);
        let merkle_root = TxMerkleNode::from_byte_array(root);
        let mut header =
            Header { version: Version::from_consensus(4), prev_blockhash, merkle_root, time: number, bits, nonce: 0 };
        while !header.target().is_met_by(header.block_hash()) {
            header.nonce += 1;
        }
        headers.push(header);
    }
    headers
}
