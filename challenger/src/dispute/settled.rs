//! Only what cannot change.

use trestle_rollup::{Digest, Entry};
use trestle_zkvm_adapter::{Disputable, Inputs};

use crate::is_deep;
use crate::lane::{Preimage, Testimony, TestimonyError};

/// What a challenger's testimony says of the blocks that are K deep. One that is there and not as deep cannot be judged by yet; one that is
/// not there at all nobody knows, so what an operator says of it is false.
///
/// Of a true claim every block is deep. A claim can be about blocks that are mined while the lane is played.
pub(super) struct Settled<'a, T> {
    pub truth: &'a mut T,
    pub horizon: Horizon,
    /// Whether it was asked for what is not settled.
    pub waits: bool,
}

/// What is settled at a tip.
#[derive(Clone, Copy)]
pub(super) struct Horizon {
    /// h0.
    pub checkpoint: u32,
    /// N.
    pub claimed: u32,
    /// K.
    pub confirmations: u16,
    pub tip: u32,
}

impl<'a, T: Testimony> Settled<'a, T> {
    pub fn new(truth: &'a mut T, horizon: Horizon) -> Self {
        Self { truth, horizon, waits: false }
    }

    /// Whether the block of an entry is there, and deep.
    fn is_there(&mut self, index: u32) -> Result<bool, TestimonyError> {
        let Horizon { checkpoint, claimed, confirmations, tip } = self.horizon;
        let height = checkpoint.saturating_add(index);
        if index > claimed || is_deep(height, confirmations, tip) {
            return Ok(true);
        }
        if height > tip {
            return Ok(false);
        }
        self.waits = true;
        Err(format!("block {height} is not {confirmations} deep").into())
    }
}

impl<T: Testimony> Testimony for Settled<'_, T> {
    fn entry(&mut self, index: u32) -> Result<Option<Digest>, TestimonyError> {
        if self.is_there(index)? { self.truth.entry(index) } else { Ok(None) }
    }

    fn parts(&mut self, index: u32) -> Result<Entry, TestimonyError> {
        self.truth.parts(index)
    }

    fn header(&mut self, index: u32) -> Result<[u8; 80], TestimonyError> {
        self.truth.header(index)
    }

    fn knows_block(&mut self, index: u32, hash: &Digest) -> Result<bool, TestimonyError> {
        if self.is_there(index)? { self.truth.knows_block(index, hash) } else { Ok(false) }
    }

    fn trace(&mut self, inputs: &Inputs) -> Result<&mut dyn Disputable, TestimonyError> {
        self.truth.trace(inputs)
    }

    fn preimage(&mut self, inputs: &Inputs, digest: &Digest) -> Result<Option<Preimage>, TestimonyError> {
        self.truth.preimage(inputs, digest)
    }
}
