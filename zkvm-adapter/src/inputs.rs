//! What the guest is told: one word for each INPUT index.

use trestle_rollup::{Entry, SlotId};

/// How many words INPUT reads.
pub const INPUT_WORDS: usize = 38;

/// The words that INPUT reads.
pub type InputWords = [u32; INPUT_WORDS];

/// The question that the guest answers: is step `index` of the history right (PROTOCOL §6)?
///
/// All that the guest learns; it is either constant in a lane or signed by the operator (in its claim and in its block
/// opening). The height h0 is not among it: the entries' states know their heights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// Entry i − 1, by its parts.
    pub previous: Entry,
    /// Entry i, by its parts, as claimed.
    pub next: Entry,
    /// Which step of the history, i.
    pub index: u32,
    /// Which entry the claim is about, N.
    pub claimed: u32,
    /// The claim's 32 bits: how block_hash_N begins.
    pub block_hash_prefix: [u8; 4],
    /// The claimed slot.
    pub slot: SlotId,
    /// Blocks that a payout must have on top, K.
    pub confirmations: u32,
}

impl Inputs {
    /// Words 0–7 block_hash_{i−1}, 8–15 state_root_{i−1}, 16–23 block_hash_i, 24–31 state_root_i, 32 i, 33 N, 34 the
    /// claim's 32 bits, 35–36 the slot's six bytes and two zeros, 37 K; bytes little-endian in words.
    #[must_use]
    pub fn words(&self) -> InputWords {
        let mut bytes = [0; 4 * INPUT_WORDS];
        let [o, d, s0, s1, s2, s3] = self.slot.to_bytes();
        let parts: [&[u8]; 9] = [
            &self.previous.block_hash,
            &self.previous.state_root,
            &self.next.block_hash,
            &self.next.state_root,
            &self.index.to_le_bytes(),
            &self.claimed.to_le_bytes(),
            &self.block_hash_prefix,
            &[o, d, s0, s1, s2, s3, 0, 0],
            &self.confirmations.to_le_bytes(),
        ];
        bytes.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        let mut words = [0; INPUT_WORDS];
        words.iter_mut().zip(bytes.as_chunks().0).for_each(|(to, from)| *to = u32::from_le_bytes(*from));
        words
    }
}
