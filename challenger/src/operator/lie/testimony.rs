//! What a liar says in a lane.

use trestle_rollup::{Digest, Entry, Ledger, LedgerError};
use trestle_zkvm_adapter::layout::HALT_ACCEPT;
use trestle_zkvm_adapter::{Disputable, FaultyTrace, Inputs};

use super::history::Forged;
use super::{Lie, Misled, Opened};
use crate::lane::{LedgerTestimony, Preimage, Testimony, TestimonyError};

/// A testimony that the claim holds: the truth, but for a lie.
pub struct Lying<B> {
    truth: LedgerTestimony<B>,
    claimed: u32,
    lie: Lie,
    forged: Forged,
    /// Whether the block opening was asked for, so that all rounds before it are played.
    is_open: bool,
    run: Option<(Inputs, Box<dyn Disputable + Send>)>,
}

impl<B: FnMut(&Digest) -> Result<Vec<u8>, TestimonyError>> Lying<B> {
    /// Lies about a claim about entry `n` of a run that starts from the entry at the height `checkpoint`, of which `truth` is the truth.
    ///
    /// # Errors
    /// If the ledger fails.
    pub fn new(
        truth: LedgerTestimony<B>,
        lie: Lie,
        ledger: &Ledger,
        checkpoint: u32,
        n: u16,
        confirmations: u16,
    ) -> Result<Self, LedgerError> {
        let forged = Forged::new(lie.history, ledger, checkpoint, n, confirmations)?;
        Ok(Self { truth, claimed: n.into(), lie, forged, is_open: false, run: None })
    }

    fn said(&self, index: u32) -> Result<Entry, TestimonyError> {
        let truth = self.truth.found(index)?;
        let said = if self.is_open && self.lie.opened == Some(Opened::TrueBlock) {
            truth
        } else {
            self.forged.entry(index, truth)
        };
        said.ok_or_else(|| format!("there is no entry {index}, nor a lie about it").into())
    }

    fn make(&mut self, inputs: &Inputs) -> Result<Box<dyn Disputable + Send>, TestimonyError> {
        let honest = self.truth.run_of(inputs)?;
        let Some(fault) = self.lie.fault else { return Ok(Box::new(honest)) };
        let faulty = FaultyTrace::new(honest, fault)?;
        Ok(match self.lie.opened {
            Some(opened) => Box::new(Misled::new(faulty, opened)),
            None => Box::new(faulty),
        })
    }
}

impl<B: FnMut(&Digest) -> Result<Vec<u8>, TestimonyError>> Testimony for Lying<B> {
    fn entry(&mut self, index: u32) -> Result<Option<Digest>, TestimonyError> {
        Ok(Some(if index <= self.claimed { self.said(index)?.digest() } else { HALT_ACCEPT }))
    }

    fn parts(&mut self, index: u32) -> Result<Entry, TestimonyError> {
        self.is_open = true;
        if index <= self.claimed { self.said(index) } else { self.truth.parts(index) }
    }

    fn header(&mut self, index: u32) -> Result<[u8; 80], TestimonyError> {
        match self.forged.header(index) {
            Some(header) => Ok(header),
            None => self.truth.header(index),
        }
    }

    fn knows_block(&mut self, index: u32, hash: &Digest) -> Result<bool, TestimonyError> {
        self.truth.knows_block(index, hash)
    }

    fn trace(&mut self, inputs: &Inputs) -> Result<&mut dyn Disputable, TestimonyError> {
        let trace = match self.run.take().filter(|(of, _)| of == inputs) {
            Some((_, trace)) => trace,
            None => self.make(inputs)?,
        };
        Ok(self.run.insert((*inputs, trace)).1.as_mut())
    }

    fn preimage(&mut self, inputs: &Inputs, digest: &Digest) -> Result<Option<Preimage>, TestimonyError> {
        self.truth.preimage(inputs, digest)
    }
}
