//! Every compression below a block's hash, so that someone can answer for it.

use crate::compress::{Digest, IV, compress};
use crate::native::RawBlock;

/// Calls `emit(digest, m, b)` for every compression below the block's hash that reading the block by preimages can ask
/// for: its header's, its transactions' and their trees', with and without witnesses, and the commitment's.
pub fn compressions(block: &RawBlock<'_>, emit: &mut dyn FnMut(&Digest, &Digest, &[u8; 64])) {
    let mut hash = Sha256d { emit };
    hash.message(&[block.header_bytes()]);
    let txids = block.messages_without_witness().map(|parts| hash.message(&parts)).collect();
    let root = hash.tree(txids);
    let Some((committed, reserved)) = block.commitment() else {
        return;
    };
    // Without a commitment there are no witnesses, and these would be the same messages again.
    let wtxids = block.messages_with_witness().map(|bytes| hash.message(&[bytes]));
    let wtxids = core::iter::once([0; 32]).chain(wtxids).collect::<Vec<_>>();
    let witness_root = hash.tree(wtxids);
    let commitment = hash.message(&[&witness_root, reserved]);
    debug_assert!(block.header_bytes().get(36..68) == Some(&root[..]) && commitment == *committed);
}

/// SHA-256 twice, emitting every step.
struct Sha256d<'a> {
    emit: &'a mut dyn FnMut(&Digest, &Digest, &[u8; 64]),
}

impl Sha256d<'_> {
    fn message(&mut self, parts: &[&[u8]]) -> Digest {
        let inner = self.sha256(&parts.concat());
        self.sha256(&inner)
    }

    fn sha256(&mut self, message: &[u8]) -> Digest {
        let bits = u64::try_from(message.len()).unwrap_or(u64::MAX).saturating_mul(8);
        let (full, rest) = message.as_chunks::<64>();
        let mut padded = rest.to_vec();
        padded.push(0x80);
        while padded.len() % 64 != 56 {
            padded.push(0);
        }
        padded.extend_from_slice(&bits.to_be_bytes());
        full.iter().chain(padded.as_chunks().0).fold(IV, |m, b| {
            let digest = compress(&m, b);
            (self.emit)(&digest, &m, b);
            digest
        })
    }

    /// Bitcoin's merkle root; a level's last node is hashed with itself if it is alone.
    fn tree(&mut self, mut level: Vec<Digest>) -> Digest {
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|pair| {
                    let left = pair.first().copied().unwrap_or_default();
                    self.message(&[&left, pair.get(1).unwrap_or(&left)])
                })
                .collect();
        }
        level.pop().unwrap_or_default()
    }
}
