//! Where a sequencer is: the last final block, and the states after the blocks that may follow.

use std::collections::HashMap;

use commonware_cryptography::{Digested, Digestible as _, sha256};
use trestle_rollup::{Account, AccountState, Draft, Ledger, SignedTransaction, View};

use super::block::{Anchor, Block};
use super::checked::Checked;
use super::orderer::Error;
use super::store::{Head, Store};

/// Most states kept of blocks that are not final. More come only from leaders that fail; then they are worked out anew.
const DRAFTS: usize = 64;

/// Most batches that may be cut and not executed at the anchor, of at most 10,000 transactions each: Bitcoin takes about
/// one a block, and what is not executed is worked out again at every anchor. Once there are so many, users wait.
const AHEAD: u64 = 16;

/// What a block is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of its transactions would be executed.
    Valid,
    /// It never will be valid.
    Invalid,
    /// It cannot be told yet: the anchor is not known here, or not deep, or the chain is at another place.
    Unknown,
}

/// See the [module](self).
pub(crate) struct Chain {
    ledger: Ledger,
    confirmations: u32,
    head: Head,
    /// The state after a block, with its anchor, by its digest.
    drafts: HashMap<sha256::Digest, Draft>,
}

impl Chain {
    /// Goes on after the head, or begins at the genesis.
    pub fn new(ledger: Ledger, confirmations: u32, head: Option<Head>) -> Result<Self, Error> {
        let head = match head {
            Some(head) => head,
            None => Head::of(&first_genesis(&ledger)?),
        };
        Ok(Self { ledger, confirmations, head, drafts: HashMap::new() })
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub fn confirmations(&self) -> u32 {
        self.confirmations
    }

    /// The last final block.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Whether a block can be the next final one.
    pub fn is_next(&self, block: &Block) -> bool {
        follows(block, &self.head)
    }

    /// Works out the state after a block that is final, if nobody did.
    pub fn prepare(&mut self, store: &Store, block: &Digested<Block>) -> Result<(), Error> {
        let (digest, anchor) = (block.digest(), block.inner().anchor);
        if !self.drafts.contains_key(&digest)
            && let Some(view) = self.view(anchor)?
            && let Some(mut draft) = self.final_state(store, anchor)?
        {
            // A quorum has verified what is final.
            execute(&mut draft, block.inner(), view.meta()?.batches, |_| true)?;
            self.keep(digest, draft);
        }
        Ok(())
    }

    /// A block is final, and this the head after it; its siblings are nothing any more.
    pub fn advance(&mut self, block: &Digested<Block>, head: Head) {
        self.head = head;
        let state = self.drafts.remove(&block.digest());
        self.drafts.clear();
        self.drafts.extend(state.map(|state| (head.digest, state)));
    }

    /// Balance and nonce of an account after the last final block.
    pub fn account(&mut self, store: &Store, account: &Account) -> Result<AccountState, Error> {
        let (digest, anchor) = (self.head.digest, self.head.anchor);
        if !self.drafts.contains_key(&digest)
            && let Some(draft) = self.final_state(store, anchor)?
        {
            self.drafts.insert(digest, draft);
        }
        match self.drafts.get_mut(&digest) {
            Some(draft) => Ok(draft.account(account)?),
            // A reorganization took the anchor away.
            None => Ok(self.ledger.state_at_tip().account(account)?),
        }
    }

    /// Whether all that was cut is executed, so that the next batch can go to Bitcoin at once.
    pub fn is_bitcoin_free(&self, parent: &Head) -> Result<bool, Error> {
        Ok(self.ledger.state_at_tip().meta()?.batches >= parent.number)
    }

    /// Whether a batch can be cut in a block with an anchor at which `executed` batches are executed.
    pub fn may_cut(executed: u64, parent: &Head) -> bool {
        parent.number.saturating_sub(executed) < AHEAD
    }

    /// Judges a block that follows the last one of `chain`: of at most `block_bytes`, in a batch that takes at most
    /// `batch_bytes` on Bitcoin.
    pub fn judge(
        &mut self,
        store: &Store,
        (block_bytes, batch_bytes): (usize, usize),
        chain: &[Digested<Block>],
        block: &Digested<Block>,
        checked: &mut Checked,
    ) -> Result<Verdict, Error> {
        let Some((chain, parent)) = self.place(chain) else { return Ok(Verdict::Unknown) };
        if self.drafts.contains_key(&block.digest()) {
            return Ok(Verdict::Valid);
        }
        let (digest, block) = (block.digest(), block.inner());
        let is_empty = block.filled == 0;
        let fits = block.transactions.len() <= block_bytes
            && usize::try_from(block.filled).is_ok_and(|filled| filled <= batch_bytes)
            && !(block.cut && is_empty)
            && (block.cut || is_empty || !block.closes);
        let fits = fits && follows(block, &parent) && block.anchor.height >= parent.anchor.height;
        let Some(transactions) = block.decoded().filter(|_| fits) else { return Ok(Verdict::Invalid) };
        if !self.is_deep(block.anchor.height) {
            return Ok(Verdict::Unknown);
        }
        let Some(view) = self.view(block.anchor)? else { return Ok(Verdict::Unknown) };
        let (executed, closes) = (view.meta()?.batches, view.sequencers()?.announced() > block.set);
        let may_cut = closes || !block.cut || Self::may_cut(executed, &parent);
        if executed > block.number || block.closes != closes || !may_cut {
            return Ok(Verdict::Invalid);
        }
        let Some(mut draft) = self.state_after(store, chain, block.anchor, checked)? else {
            return Ok(Verdict::Unknown);
        };
        let mut filled = usize::try_from(parent.filled).unwrap_or(usize::MAX);
        for signed in &transactions {
            filled = filled.saturating_add(draft.posted_bytes(&signed.transaction)?);
            if !checked.is_signed(signed) || draft.execute_checked(&signed.transaction)?.is_err() {
                return Ok(Verdict::Invalid);
            }
        }
        if usize::try_from(block.filled) != Ok(filled) {
            return Ok(Verdict::Invalid);
        }
        self.keep(digest, draft);
        Ok(Verdict::Valid)
    }

    /// What of `chain` is not final, and what a block after it follows; `None` if it does not go on from what is final.
    pub fn place<'a>(&self, chain: &'a [Digested<Block>]) -> Option<(&'a [Digested<Block>], Head)> {
        let last = chain.last()?;
        if last.digest() == self.head.digest {
            return Some((&[], self.head));
        }
        let first = chain.iter().position(|block| block.inner().parent == self.head.digest)?;
        Some((chain.get(first..)?, Head::of(last)))
    }

    pub fn keep(&mut self, digest: sha256::Digest, draft: Draft) {
        if self.drafts.len() >= DRAFTS {
            let head = self.head.digest;
            self.drafts.retain(|kept, _| *kept == head);
        }
        self.drafts.insert(digest, draft);
    }

    fn is_deep(&self, height: u32) -> bool {
        let (tip, genesis) = (self.ledger.tip().0, self.ledger.parameters().genesis_height);
        height == genesis || height.saturating_add(self.confirmations) <= tip
    }

    /// The state at an anchor, if it is in the chain that the ledger follows.
    fn view(&self, anchor: Anchor) -> Result<Option<View>, Error> {
        if self.ledger.entry(anchor.height)?.is_none_or(|entry| entry.block_hash != anchor.hash) {
            return Ok(None);
        }
        Ok(Some(self.ledger.state(anchor.height)?).filter(|view| view.entry().block_hash == anchor.hash))
    }

    /// The newest anchor that a block can have. It is a block deeper than it must be, so that others who have not seen the
    /// last block yet can follow.
    pub fn newest_anchor(&self) -> Result<Option<Anchor>, Error> {
        let deepest = self.ledger.tip().0.saturating_sub(self.confirmations.saturating_add(1));
        let height = deepest.max(self.ledger.parameters().genesis_height);
        Ok(self.ledger.entry(height)?.map(|entry| Anchor { height, hash: entry.block_hash }))
    }

    /// The newest anchor that a block after `chain` can have, and the state there after `chain`.
    pub fn newest_state(
        &self,
        store: &Store,
        chain: &[Digested<Block>],
        parent: &Head,
        checked: &mut Checked,
    ) -> Result<Option<(Anchor, Draft)>, Error> {
        let newest = self.newest_anchor()?;
        for anchor in newest.into_iter().filter(|newest| newest.height >= parent.anchor.height).chain([parent.anchor]) {
            let Some(view) = self.view(anchor)? else { continue };
            if view.meta()?.batches <= parent.number
                && let Some(draft) = self.state_after(store, chain, anchor, checked)?
            {
                return Ok(Some((anchor, draft)));
            }
        }
        Ok(None)
    }

    /// The state at an anchor after all final blocks that it does not have.
    fn final_state(&self, store: &Store, anchor: Anchor) -> Result<Option<Draft>, Error> {
        if let Some(draft) = self.drafts.get(&self.head.digest).filter(|_| self.head.anchor == anchor) {
            return Ok(Some(draft.clone()));
        }
        let Some(view) = self.view(anchor)? else { return Ok(None) };
        let mut draft = view.draft()?;
        for part in store.parts_from(store.first_height(view.meta()?.batches.min(self.head.number))?) {
            for signed in part?.1.decoded() {
                // A quorum has verified what is final. What cannot be executed is skipped alone, as the Layer 2 will skip it.
                let _ = draft.execute_checked(&signed.transaction)?;
            }
        }
        Ok(Some(draft))
    }

    /// The state at an anchor after all blocks that it does not have, those of `chain` included.
    fn state_after(
        &self,
        store: &Store,
        chain: &[Digested<Block>],
        anchor: Anchor,
        checked: &mut Checked,
    ) -> Result<Option<Draft>, Error> {
        let Some((last, before)) = chain.split_last() else { return self.final_state(store, anchor) };
        if let Some(draft) = self.drafts.get(&last.digest()).filter(|_| last.inner().anchor == anchor) {
            return Ok(Some(draft.clone()));
        }
        let Some(view) = self.view(anchor)? else { return Ok(None) };
        let Some(mut draft) = self.state_after(store, before, anchor, checked)? else { return Ok(None) };
        execute(&mut draft, last.inner(), view.meta()?.batches, |signed| checked.is_signed(signed))?;
        Ok(Some(draft))
    }

    /// How many batches were executed in blocks that have so many others on top, and are as deep as an anchor in any case.
    pub fn executed_long_ago(&self, blocks: u32) -> Result<u64, Error> {
        let height = self.ledger.tip().0.checked_sub(blocks.max(self.confirmations));
        match height.filter(|height| *height >= self.ledger.parameters().genesis_height) {
            Some(height) => Ok(self.ledger.state(height)?.meta()?.batches),
            None => Ok(0),
        }
    }

    /// How many batches are executed at an anchor, and which the last set is that was announced there; nothing if the
    /// anchor is not in the chain that the ledger follows.
    pub fn facts_at(&self, anchor: Anchor) -> Result<Option<(u64, u32)>, Error> {
        let Some(view) = self.view(anchor)? else { return Ok(None) };
        Ok(Some((view.meta()?.batches, view.sequencers()?.announced())))
    }
}

/// Executes a block on a draft whose anchor has `executed` batches, unless the block's is one of them. What is not signed,
/// or cannot be executed, is skipped alone, as the Layer 2 will skip it.
fn execute(
    draft: &mut Draft,
    block: &Block,
    executed: u64,
    mut is_signed: impl FnMut(&SignedTransaction) -> bool,
) -> Result<(), Error> {
    if block.number < executed {
        return Ok(());
    }
    for signed in block.decoded().unwrap_or_default() {
        if is_signed(&signed) {
            let _ = draft.execute_checked(&signed.transaction)?;
        }
    }
    Ok(())
}

/// What the first set begins with.
pub(crate) fn first_genesis(ledger: &Ledger) -> Result<Digested<Block>, Error> {
    let (height, instance) = (ledger.parameters().genesis_height, ledger.parameters().instance());
    let hash = ledger.state(height)?.entry().block_hash;
    Ok(digested(Block::genesis(&instance, Anchor { height, hash })))
}

/// A block with its digest.
pub(crate) fn digested(block: Block) -> Digested<Block> {
    let digest = block.digest();
    Digested::precomputed(block, digest)
}

/// Whether a block can stand right after another one.
fn follows(block: &Block, parent: &Head) -> bool {
    block.parent == parent.digest
        && parent.height.checked_add(1) == Some(block.height)
        && (block.set, block.base) == (parent.set, parent.base)
        && (block.number, block.first) == (parent.number, parent.first)
}
