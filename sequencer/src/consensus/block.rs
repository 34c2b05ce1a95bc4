//! Blocks: what the sequencers agree on, one after the other.
//!
//! ```text
//! height u64 ‖ parent[32] ‖ anchor height u32 ‖ anchor hash[32] ‖ number u64 ‖ length u32 ‖ signed transactions
//! ```
//!
//! Integers are little-endian. A block with transactions is the content of the batch of its number; one without is
//! there because a leader had nothing to propose, and no batch comes of it.

use bytes::{Buf, BufMut};
use commonware_codec::{EncodeSize, Error as CodecError, Read, Write};
use commonware_consensus::types::Height;
use commonware_consensus::{Block as ConsensusBlock, Heightable};
use commonware_cryptography::{Digestible, sha256};
use trestle_rollup::{Batch, Digest, SignedTransaction, tagged_hash};

/// Bytes of a block without its transactions.
pub const HEADER_BYTES: usize = 8 + 32 + 4 + 32 + 8 + 4;

/// The Bitcoin block whose Layer 2 state a block builds on.
///
/// Sequencers see Bitcoin's blocks at different times. What a block may contain is therefore judged after the state at
/// its anchor and the batches that the state does not have yet, which is the same for all who know the anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its height.
    pub height: u32,
    /// Its hash, in the order in which SHA-256 writes it.
    pub hash: Digest,
}

/// One block. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// One more than the parent's; the genesis has 0.
    pub height: u64,
    /// The parent's digest.
    pub parent: sha256::Digest,
    /// What the transactions are executed after.
    pub anchor: Anchor,
    /// The number of the batch that this block is, or of the next one if it has no transactions.
    pub number: u64,
    /// The signed transactions' encodings, one after the other.
    pub transactions: Vec<u8>,
}

impl Block {
    /// The block that nobody proposes, the same for all sequencers of a bridge.
    #[must_use]
    pub fn genesis(instance: &Digest, anchor: Anchor, number: u64) -> Self {
        let parent = sha256::Digest(tagged_hash("Trestle/sequencing", &[instance]));
        Self { height: 0, parent, anchor, number, transactions: Vec::new() }
    }

    /// The number that a child has.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        if self.transactions.is_empty() { self.number } else { self.number.saturating_add(1) }
    }

    /// The batch that this block is, uncertified; none without transactions, or if the bytes are not exactly some.
    #[must_use]
    pub fn batch(&self) -> Option<Batch> {
        let transactions = self.decoded().filter(|transactions| !transactions.is_empty())?;
        Some(Batch { number: self.number, transactions, certificate: Vec::new() })
    }

    /// The transactions; `None` unless the bytes are exactly some.
    #[must_use]
    pub fn decoded(&self) -> Option<Vec<SignedTransaction>> {
        SignedTransaction::decode_all(&self.transactions)
    }
}

impl Write for Block {
    fn write(&self, to: &mut impl BufMut) {
        to.put_u64_le(self.height);
        to.put_slice(&self.parent);
        to.put_u32_le(self.anchor.height);
        to.put_slice(&self.anchor.hash);
        to.put_u64_le(self.number);
        to.put_u32_le(u32::try_from(self.transactions.len()).unwrap_or(u32::MAX));
        to.put_slice(&self.transactions);
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        HEADER_BYTES + self.transactions.len()
    }
}

/// Read with the most bytes that the transactions may have.
impl Read for Block {
    type Cfg = usize;

    fn read_cfg(from: &mut impl commonware_codec::Buf, limit: &usize) -> Result<Self, CodecError> {
        if from.remaining() < HEADER_BYTES {
            return Err(CodecError::EndOfBuffer);
        }
        let height = from.get_u64_le();
        let parent = sha256::Digest(take(from));
        let anchor = Anchor { height: from.get_u32_le(), hash: take(from) };
        let number = from.get_u64_le();
        let length = usize::try_from(from.get_u32_le()).unwrap_or(usize::MAX);
        if length > *limit {
            return Err(CodecError::InvalidLength(length));
        }
        if from.remaining() < length {
            return Err(CodecError::EndOfBuffer);
        }
        let mut transactions = vec![0; length];
        from.copy_to_slice(&mut transactions);
        Ok(Self { height, parent, anchor, number, transactions })
    }
}

fn take(from: &mut impl Buf) -> [u8; 32] {
    let mut bytes = [0; 32];
    from.copy_to_slice(&mut bytes);
    bytes
}

impl Digestible for Block {
    type Digest = sha256::Digest;

    /// BIP 340's tagged hash, with the tag `Trestle/block`, of the encoding.
    fn digest(&self) -> sha256::Digest {
        let mut bytes = Vec::with_capacity(self.encode_size());
        self.write(&mut bytes);
        sha256::Digest(tagged_hash("Trestle/block", &[&bytes]))
    }
}

impl Heightable for Block {
    fn height(&self) -> Height {
        Height::new(self.height)
    }
}

impl ConsensusBlock for Block {
    fn parent(&self) -> sha256::Digest {
        self.parent
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use commonware_codec::{Decode as _, Encode as _};

    use super::*;

    #[test]
    fn a_block_is_read_as_it_was_written_within_its_limit() {
        let anchor = Anchor { height: 3, hash: [4; 32] };
        let genesis = Block::genesis(&[1; 32], anchor, 5);
        let block = Block { height: 1, parent: genesis.digest(), transactions: vec![7; 10], ..genesis.clone() };
        let bytes = block.encode();
        assert_eq!(bytes.len(), HEADER_BYTES + 10);
        assert_eq!(Block::decode_cfg(bytes.clone(), &10).unwrap(), block);
        assert!(Block::decode_cfg(bytes.clone(), &9).is_err(), "too long");
        for length in 0..bytes.len() {
            assert!(Block::decode_cfg(bytes.slice(..length), &10).is_err(), "{length} bytes are no block");
        }
        assert!(Block::decode_cfg(Bytes::from([&bytes[..], &[0]].concat()), &10).is_err(), "something follows");
        assert_ne!(block.digest(), Block { number: 6, ..block.clone() }.digest());
        assert_ne!(genesis.parent, Block::genesis(&[2; 32], anchor, 5).parent, "another bridge");
        assert_eq!((genesis.next_number(), block.next_number()), (5, 6));
        assert_eq!(
            (genesis.batch(), block.batch(), block.decoded()),
            (None, None, None),
            "nothing, and no transactions"
        );
    }
}
