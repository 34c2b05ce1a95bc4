//! A block read from its hash by SHA-256 preimages alone, as the guest will read it (PROTOCOL §3 and §5).
//!
//! All that is asked is UNHASH: the (m, b) of a digest. Everything else follows from the header's hash.

use std::collections::HashMap;

use trestle_rollup::block::{Block, TransactionBytes};
use trestle_rollup::compress::IV;
use trestle_rollup::{Digest, Txid, compress};

/// Every compression that was made, by its result.
#[derive(Default)]
pub struct Preimages(HashMap<Digest, (Digest, [u8; 64])>);

impl Preimages {
    /// SHA-256 of the bytes, remembering every step.
    fn sha256(&mut self, bytes: &[u8]) -> Digest {
        let mut padded = bytes.to_vec();
        padded.push(0x80);
        padded.resize(padded.len().next_multiple_of(64), 0);
        if padded.len() < bytes.len() + 9 {
            padded.resize(padded.len() + 64, 0);
        }
        let end = padded.len();
        padded[end - 8..].copy_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
        padded.as_chunks().0.iter().fold(IV, |m, b| {
            let digest = compress(&m, b);
            self.0.insert(digest, (m, *b));
            digest
        })
    }

    fn sha256d(&mut self, bytes: &[u8]) -> Digest {
        let inner = self.sha256(bytes);
        self.sha256(&inner)
    }

    fn merkle(&mut self, mut level: Vec<Digest>) -> Digest {
        while level.len() > 1 {
            level = level.chunks(2).map(|pair| self.sha256d(&[pair[0], *pair.last().unwrap()].concat())).collect();
        }
        level[0]
    }

    /// Everything below a block's hash.
    pub fn of(block: &bitcoin::Block) -> (Self, Digest) {
        use bitcoin::consensus::encode::serialize;
        let mut known = Self::default();
        let stripped = |transaction: &bitcoin::Transaction| {
            let mut transaction = transaction.clone();
            transaction.input.iter_mut().for_each(|input| input.witness.clear());
            serialize(&transaction)
        };
        let txids = block.txdata.iter().map(|tx| known.sha256d(&stripped(tx))).collect();
        known.merkle(txids);
        let wtxids = block.txdata.iter().skip(1).map(|tx| known.sha256d(&serialize(tx)));
        let wtxids = std::iter::once([0; 32]).chain(wtxids.collect::<Vec<_>>()).collect();
        let root = known.merkle(wtxids);
        if let Some(reserved) = block.txdata[0].input[0].witness.nth(0) {
            known.sha256d(&[&root, reserved].concat());
        }
        let hash = known.sha256d(&serialize(&block.header));
        (known, hash)
    }

    /// UNHASH.
    fn unhash(&self, digest: &Digest) -> (Digest, [u8; 64]) {
        self.0[digest]
    }

    /// The message whose SHA-256 is the digest: walked back through its chaining values to IV.
    fn message(&self, digest: Digest) -> Vec<u8> {
        let (mut at, mut blocks) = (digest, Vec::new());
        while at != IV {
            let (m, b) = self.unhash(&at);
            blocks.push(b);
            at = m;
        }
        let mut bytes: Vec<u8> = blocks.into_iter().rev().flatten().collect();
        let bits = u64::from_be_bytes(*bytes.last_chunk().unwrap());
        bytes.truncate(usize::try_from(bits / 8).unwrap());
        bytes
    }

    /// The message whose double SHA-256 is the digest.
    fn message_d(&self, digest: Digest) -> Vec<u8> {
        let inner = self.message(digest);
        self.message(inner.try_into().unwrap())
    }

    /// The leaves of a tree of the given depth; left = right means that right is absent.
    fn leaves(&self, root: Digest, depth: usize) -> Vec<Digest> {
        if depth == 0 {
            return vec![root];
        }
        let node = self.message_d(root);
        let (left, right): (Digest, Digest) = (node[..32].try_into().unwrap(), node[32..].try_into().unwrap());
        let mut leaves = self.leaves(left, depth - 1);
        if left != right {
            leaves.extend(self.leaves(right, depth - 1));
        }
        leaves
    }
}

/// A block at its hash.
pub struct Unhashed<'a> {
    known: &'a Preimages,
    header: [u8; 80],
    transactions: std::vec::IntoIter<Digest>,
}

impl<'a> Unhashed<'a> {
    pub fn new(known: &'a Preimages, block_hash: Digest) -> Self {
        let header: [u8; 80] = known.message_d(block_hash).try_into().unwrap();
        let root: Digest = header[36..68].try_into().unwrap();
        // The left spine, until bytes 4..41 are a coinbase's.
        let (mut coinbase, mut depth) = (known.message_d(root), 0);
        let marks = [&[1][..], &[0; 32], &[0xff; 4]].concat();
        while coinbase.get(4..41) != Some(&marks) {
            coinbase = known.message_d(coinbase[..32].try_into().unwrap());
            depth += 1;
        }
        let coinbase: bitcoin::Transaction = bitcoin::consensus::deserialize(&coinbase).unwrap();
        let commitment = coinbase.output.iter().rev().find_map(|output| {
            let script = output.script_pubkey.as_bytes().strip_prefix(&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed])?;
            script.first_chunk::<32>().copied()
        });
        let tree = commitment.map_or(root, |commitment| known.message_d(commitment)[..32].try_into().unwrap());
        let mut transactions = known.leaves(tree, depth).into_iter();
        transactions.next();
        Self { known, header, transactions }
    }
}

impl Block for Unhashed<'_> {
    type Error = &'static str;
    type Transaction<'b>
        = Stream
    where
        Self: 'b;

    fn header(&mut self) -> Result<[u8; 80], Self::Error> {
        Ok(self.header)
    }

    fn next_transaction(&mut self) -> Result<Option<Stream>, Self::Error> {
        Ok(self.transactions.next().map(|digest| Stream(self.known.message_d(digest).into_iter())))
    }
}

/// Bytes that only go forward.
pub struct Stream(std::vec::IntoIter<u8>);

impl TransactionBytes for Stream {
    type Error = &'static str;

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        Ok(buffer.iter_mut().zip(&mut self.0).map(|(to, from)| *to = from).count())
    }

    fn skip(&mut self, count: u64) -> Result<u64, Self::Error> {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.0.len());
        if let Some(last) = count.checked_sub(1) {
            self.0.nth(last);
        }
        Ok(count as u64)
    }

    fn txid(&self) -> Txid {
        Txid([0; 32])
    }
}
