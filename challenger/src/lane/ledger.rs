//! What a node can testify to: its ledger, its blocks, and its own run of the guest.

use std::sync::Arc;

use trestle_rollup::{Digest, Entry, Ledger, LedgerError, SlotId};
use trestle_zkvm_adapter::guest::{self, GuestError};
use trestle_zkvm_adapter::layout::{HALT_ACCEPT, HALT_REJECT};
use trestle_zkvm_adapter::{Disputable, Inputs, Limits, Oracle, Preimages, SharedPreimages, Trace, answer};

use super::testimony::{Preimage, Testimony, TestimonyError};

/// What a node testifies to about a claim.
///
/// `B` gives the block with a hash, in Bitcoin's serialization: of those in the node's own chain alone, up to N.
pub struct LedgerTestimony<B> {
    ledger: Ledger,
    block: B,
    /// h0, the height of entry 0.
    checkpoint: u32,
    claimed: u32,
    holds: bool,
    run: Option<Run>,
}

/// A run of the guest, with what it was told.
struct Run {
    inputs: Inputs,
    oracle: Arc<Oracle>,
    trace: Trace,
}

impl<B: FnMut(&Digest) -> Result<Vec<u8>, TestimonyError>> LedgerTestimony<B> {
    /// What is so, of a claim about a slot of a run that starts from the entry at the height `checkpoint`: N and how block
    /// N's hash begins. Blocks as deep as a claim's do not change, so neither does what is said of them.
    ///
    /// # Errors
    /// If the ledger fails.
    pub fn new(
        ledger: Ledger,
        block: B,
        checkpoint: u32,
        (n, prefix): (u16, [u8; 4]),
        slot: SlotId,
        confirmations: u16,
    ) -> Result<Self, LedgerError> {
        let claimed = u32::from(n);
        let height = checkpoint.saturating_add(claimed);
        let holds = match ledger.entry(height)? {
            Some(_) => ledger.state(height)?.claim_holds(slot, u32::from(confirmations), prefix)?,
            None => false,
        };
        Ok(Self { ledger, block, checkpoint, claimed, holds, run: None })
    }

    /// Whether the claim holds.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.holds
    }

    /// What becomes of the machine, for whoever would say something else of it.
    pub(crate) fn run_of(&mut self, inputs: &Inputs) -> Result<Trace, TestimonyError> {
        Ok(self.make(inputs)?.trace)
    }

    /// The block of an entry, if the ledger has it.
    pub(crate) fn found(&self, index: u32) -> Result<Option<Entry>, TestimonyError> {
        Ok(self.ledger.entry(self.checkpoint.saturating_add(index))?)
    }

    fn known(&self, index: u32) -> Result<Entry, TestimonyError> {
        self.found(index)?.ok_or_else(|| format!("there is no entry {index}").into())
    }

    fn run(&mut self, inputs: &Inputs) -> Result<&mut Run, TestimonyError> {
        let run = match self.run.take().filter(|run| run.inputs == *inputs) {
            Some(run) => run,
            None => self.make(inputs)?,
        };
        Ok(self.run.insert(run))
    }

    fn make(&mut self, inputs: &Inputs) -> Result<Run, TestimonyError> {
        let is_block = (1..=inputs.claimed).contains(&inputs.index);
        let block = if is_block { (self.block)(&inputs.next.block_hash)? } else { Vec::new() };
        let oracle = Arc::new(answer(inputs, &block, &mut self.ledger.nodes())?.oracle);
        let image = guest::image().map_err(GuestError::Image)?;
        let limits = Limits { pages: guest::PAGE_LIMIT, ..Limits::default() };
        let preimages: SharedPreimages = oracle.clone();
        let trace = Trace::run(image, inputs.words(), preimages, &limits, &mut |_| {})?;
        Ok(Run { inputs: *inputs, oracle, trace })
    }
}

impl<B: FnMut(&Digest) -> Result<Vec<u8>, TestimonyError>> Testimony for LedgerTestimony<B> {
    fn entry(&mut self, index: u32) -> Result<Option<Digest>, TestimonyError> {
        if index <= self.claimed {
            return Ok(self.found(index)?.map(|entry| entry.digest()));
        }
        Ok(Some(if self.holds { HALT_ACCEPT } else { HALT_REJECT }))
    }

    fn parts(&mut self, index: u32) -> Result<Entry, TestimonyError> {
        if index <= self.claimed { self.known(index) } else { Ok(Entry { block_hash: [0; 32], state_root: [0; 32] }) }
    }

    fn header(&mut self, index: u32) -> Result<[u8; 80], TestimonyError> {
        let hash = self.known(index)?.block_hash;
        let block = (self.block)(&hash)?;
        block.first_chunk().copied().ok_or_else(|| "a block is shorter than its header".into())
    }

    fn knows_block(&mut self, index: u32, hash: &Digest) -> Result<bool, TestimonyError> {
        Ok(self.found(index)?.is_some_and(|entry| entry.block_hash == *hash))
    }

    fn trace(&mut self, inputs: &Inputs) -> Result<&mut dyn Disputable, TestimonyError> {
        Ok(&mut self.run(inputs)?.trace)
    }

    fn preimage(&mut self, inputs: &Inputs, digest: &Digest) -> Result<Option<Preimage>, TestimonyError> {
        Ok(self.run(inputs)?.oracle.preimage(digest))
    }
}
