//! Blocks: what the sequencers agree on, one after the other.
//!
//! ```text
//! set u32 ‖ base u64 ‖ height u64 ‖ parent[32] ‖ anchor height u32 ‖ anchor hash[32]
//!   ‖ number u64 ‖ first u32 ‖ filled u32 ‖ cut u8 ‖ closes u8 ‖ length u32 ‖ signed transactions
//! ```
//!
//! Integers are little-endian. Blocks fill batches: each adds its transactions to the batch of its number, until one
//! cuts it, which ends it. A block without transactions is there because a leader had nothing to propose, or to cut.
//!
//! Each set of sequencers agrees on blocks of its own, from a genesis on. The first block whose anchor has the next set
//! announced *closes* the set, and the batch that is being filled with it; the next set's genesis is derived from that
//! block, and heights and numbers go on. Such a block is made final by those that follow it, as any other: they are all the
//! same but for the parent, and mean nothing.

use bytes::{Buf, BufMut};
use commonware_codec::{EncodeSize, Error as CodecError, Read, Write};
use commonware_consensus::types::Height;
use commonware_consensus::{Block as ConsensusBlock, Heightable};
use commonware_cryptography::{Digested, Digestible, sha256};
use trestle_rollup::{Digest, SignedTransaction, tagged_hash};

/// Bytes of a block without its transactions.
pub const HEADER_BYTES: usize = 4 + 8 + 8 + 32 + 4 + 32 + 8 + 4 + 4 + 1 + 1 + 4;

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
    /// Number of the set of sequencers whose block it is.
    pub set: u32,
    /// Height of the set's genesis.
    pub base: u64,
    /// One more than the parent's. The first genesis has 0, each other one that of the block which closed the set before.
    pub height: u64,
    /// The parent's digest.
    pub parent: sha256::Digest,
    /// What the transactions are executed after.
    pub anchor: Anchor,
    /// The number of the batch that the transactions go to.
    pub number: u64,
    /// How many transactions the batch has before them.
    pub first: u32,
    /// Most bytes that the batch takes on Bitcoin with this block, its certificate apart.
    pub filled: u32,
    /// Whether the batch ends with this block.
    pub cut: bool,
    /// Whether it is the set's last block, or follows that.
    pub closes: bool,
    /// The signed transactions' encodings, one after the other.
    pub transactions: Vec<u8>,
}

impl Block {
    /// The block that nobody proposes, the same for all sequencers of a bridge: the first set begins with it.
    #[must_use]
    pub fn genesis(instance: &Digest, anchor: Anchor) -> Self {
        let parent = sha256::Digest(tagged_hash("Trestle/sequencing", &[instance]));
        Self {
            set: 0,
            base: 0,
            height: 0,
            parent,
            anchor,
            number: 0,
            first: 0,
            filled: 0,
            cut: false,
            closes: false,
            transactions: Vec::new(),
        }
    }

    /// What the next set begins with after the block that closes one.
    #[must_use]
    pub fn genesis_after(closing: &Digested<Self>) -> Self {
        let Self { set, height, .. } = *closing.inner();
        Self { set: set.saturating_add(1), base: height, height, closes: false, ..Self::epilogue(closing) }
    }

    /// The one block that can follow a block which closes its set, or which follows one that does.
    #[must_use]
    pub fn epilogue(parent: &Digested<Self>) -> Self {
        let (digest, parent) = (parent.digest(), parent.inner());
        Self {
            height: parent.height.saturating_add(1),
            parent: digest,
            number: parent.number.saturating_add(parent.cut.into()),
            first: 0,
            filled: 0,
            cut: false,
            transactions: Vec::new(),
            ..*parent
        }
    }

    /// The transactions; `None` unless the bytes are exactly some.
    #[must_use]
    pub fn decoded(&self) -> Option<Vec<SignedTransaction>> {
        SignedTransaction::decode_all(&self.transactions)
    }
}

impl Write for Block {
    fn write(&self, to: &mut impl BufMut) {
        to.put_u32_le(self.set);
        to.put_u64_le(self.base);
        to.put_u64_le(self.height);
        to.put_slice(&self.parent);
        to.put_u32_le(self.anchor.height);
        to.put_slice(&self.anchor.hash);
        to.put_u64_le(self.number);
        to.put_u32_le(self.first);
        to.put_u32_le(self.filled);
        to.put_u8(self.cut.into());
        to.put_u8(self.closes.into());
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
        let (set, base, height) = (from.get_u32_le(), from.get_u64_le(), from.get_u64_le());
        let parent = sha256::Digest(take(from));
        let anchor = Anchor { height: from.get_u32_le(), hash: take(from) };
        let (number, first, filled) = (from.get_u64_le(), from.get_u32_le(), from.get_u32_le());
        let (cut, closes) = (flag(from.get_u8())?, flag(from.get_u8())?);
        let length = usize::try_from(from.get_u32_le()).unwrap_or(usize::MAX);
        if length > *limit {
            return Err(CodecError::InvalidLength(length));
        }
        if from.remaining() < length {
            return Err(CodecError::EndOfBuffer);
        }
        let mut transactions = vec![0; length];
        from.copy_to_slice(&mut transactions);
        Ok(Self { set, base, height, parent, anchor, number, first, filled, cut, closes, transactions })
    }
}

fn flag(byte: u8) -> Result<bool, CodecError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(CodecError::InvalidBool),
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

/// The engine, of which each set has its own, counts from its genesis on.
impl Heightable for Block {
    fn height(&self) -> Height {
        Height::new(self.height.saturating_sub(self.base))
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
        let genesis = Block { number: 5, ..Block::genesis(&[1; 32], anchor) };
        let block = Block { height: 1, parent: genesis.digest(), transactions: vec![7; 10], ..genesis.clone() };
        let bytes = block.encode();
        assert_eq!(bytes.len(), HEADER_BYTES + 10);
        assert_eq!(Block::decode_cfg(bytes.clone(), &10).unwrap(), block);
        assert!(Block::decode_cfg(bytes.clone(), &9).is_err(), "too long");
        for length in 0..bytes.len() {
            assert!(Block::decode_cfg(bytes.slice(..length), &10).is_err(), "{length} bytes are no block");
        }
        assert!(Block::decode_cfg(Bytes::from([&bytes[..], &[0]].concat()), &10).is_err(), "something follows");
        let others = [
            Block { number: 6, ..block.clone() },
            Block { first: 6, ..block.clone() },
            Block { filled: 6, ..block.clone() },
            Block { cut: true, ..block.clone() },
            Block { closes: true, ..block.clone() },
            Block { set: 6, ..block.clone() },
            Block { base: 6, ..block.clone() },
        ];
        for other in others {
            assert_eq!(Block::decode_cfg(other.encode(), &10).unwrap(), other);
            assert_ne!(block.digest(), other.digest());
        }
        assert_ne!(genesis.parent, Block::genesis(&[2; 32], anchor).parent, "another bridge");
        assert_eq!((genesis.decoded(), block.decoded()), (Some(Vec::new()), None), "nothing, and no transactions");
        for flag in [5, 6] {
            let mut strange = bytes.to_vec();
            strange[HEADER_BYTES - flag] = 2;
            assert!(Block::decode_cfg(Bytes::from(strange), &10).is_err(), "neither yes nor no");
        }
    }
}
