//! The state machine of one sequencer among many: what it proposes, what it accepts, what it signs.
//!
//! It does no I/O but its own store, and knows nothing of votes and timers: the engine asks it for a block, asks it to
//! judge one, and tells it which one is final.

use std::collections::HashMap;

use bitcoin::secp256k1::Keypair;
use commonware_cryptography::{Digested, Digestible as _, sha256};
use trestle_rollup::{Account, AccountState, Batch, Digest, Draft, Ledger, SignedTransaction, View};

use super::block::{Anchor, Block};
use super::certificate::Conflict;
use super::certifier::Certifier;
use super::message::Message;
use super::pool::Pool;
use super::store::{Changes, Head, Store};
use crate::mempool::Policy;
use crate::receipt::Rejection;
use crate::store::StoreError;

/// Most states kept of blocks that are not final. More come only from leaders that fail; then they are worked out anew.
const DRAFTS: usize = 64;

/// What the caller is to do. Each may be done any number of times, or never: what matters is said again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Send a message to the sequencer with this index, or to all others.
    Tell {
        /// Whom; all others if none.
        to: Option<u8>,
        /// What.
        message: Message,
    },
    /// Tell users and the poster that a batch has its certificate; it is on disk.
    Certified {
        /// The batch's number.
        number: u64,
    },
}

/// What a block is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A batch of it would be executed whole.
    Valid,
    /// It never will be valid.
    Invalid,
    /// It cannot be told yet: the anchor is not known here, or not deep, or the chain is at another place.
    Unknown,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits for a block.
    Waiting,
    /// It is final in the batch of this number, which has its certificate or will have it.
    Final {
        /// The batch.
        number: u64,
    },
}

/// Why a sequencer cannot go on. Drop it, and open it again once the cause is gone.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its own store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] trestle_rollup::LedgerError),
    /// Its key is not in the set.
    #[error("this sequencer's key is not in the set")]
    NotAMember,
    /// A block was said to be final that does not follow the last one, or is another than was signed. More than a
    /// third of the set must be faulty, or the store and the engine's journal are not of one sequencer.
    #[error("block {height} is final and does not follow what was final before")]
    Fork {
        /// The block's height.
        height: u64,
    },
}

/// See the [module](self).
pub struct Orderer {
    ledger: Ledger,
    confirmations: u32,
    store: Store,
    genesis: Digested<Block>,
    head: Head,
    /// The state after a block, with its anchor, by its digest.
    drafts: HashMap<sha256::Digest, Draft>,
    pool: Pool,
    certifier: Certifier,
}

impl Orderer {
    /// Opens the sequencer's store in `db`. `confirmations` is how deep an anchor must be.
    ///
    /// The set is that of the bridge's parameters, and the first batch the first one of the bridge.
    ///
    /// # Errors
    /// If the key is not in the set, or a store fails.
    pub fn open(
        db: &sled::Db,
        key: Keypair,
        ledger: Ledger,
        confirmations: u32,
        policy: Policy,
    ) -> Result<Self, Error> {
        let store = Store::open(db)?;
        let parameters = ledger.parameters();
        let instance = parameters.instance();
        let hash = ledger.state(parameters.genesis_height)?.entry().block_hash;
        let genesis = digested(Block::genesis(&instance, Anchor { height: parameters.genesis_height, hash }, 0));
        let head = store.head()?.unwrap_or_else(|| Head::of(&genesis));
        let mut open = Vec::new();
        for number in store.open_numbers()? {
            open.push(store.batch(number)?.ok_or(StoreError::Damaged("an open batch"))?);
        }
        let certifier = Certifier::new(key, instance, parameters.sequencers.clone(), open).ok_or(Error::NotAMember)?;
        let pool = Pool::new(policy, instance, parameters.denominations.clone());
        let drafts = HashMap::new();
        let mut orderer = Self { ledger, confirmations, store, genesis, head, drafts, pool, certifier };
        let live: Vec<_> = orderer.store.live().collect::<Result<_, _>>()?;
        for bytes in live {
            let signed = SignedTransaction::decode(&bytes).ok_or(StoreError::Damaged("a transaction"))?;
            // One that is refused now was valid before a reorganization, and may be again: it stays in the store.
            let _ = orderer.admit(&signed)?;
        }
        Ok(orderer)
    }

    /// The block before the first.
    #[must_use]
    pub fn genesis(&self) -> &Digested<Block> {
        &self.genesis
    }

    /// Height of the last final block.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.head.height
    }

    /// Number of the next batch: all before it are final.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.head.next
    }

    /// Most bytes of a block's transactions.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        self.pool.policy().batch_bytes
    }

    /// Whether any transaction waits for a block.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.pool.is_empty()
    }

    /// A final batch, with the signatures known.
    ///
    /// # Errors
    /// If the store fails.
    pub fn batch(&self, number: u64) -> Result<Option<Batch>, Error> {
        Ok(self.store.batch(number)?)
    }

    /// A batch with its certificate: what a user keeps, and what goes to Bitcoin.
    ///
    /// # Errors
    /// If the store fails.
    pub fn certified(&self, number: u64) -> Result<Option<Batch>, Error> {
        Ok(self.batch(number)?.filter(|batch| self.certifier.is_complete(batch)))
    }

    /// What became of a transaction; `None` if it was never heard of, or forgotten.
    ///
    /// # Errors
    /// If the store fails.
    pub fn fate(&self, id: &Digest) -> Result<Option<Fate>, Error> {
        if let Some(number) = self.store.place(id)? {
            return Ok(Some(Fate::Final { number }));
        }
        Ok(self.pool.contains(id).then_some(Fate::Waiting))
    }

    /// Whether a batch from anywhere, Bitcoin say, and the own one of its number prove that a quorum lied.
    ///
    /// # Errors
    /// If the store fails.
    pub fn conflict(&self, other: &Batch) -> Result<Option<Conflict>, Error> {
        let own = self.certified(other.number)?;
        Ok(own.and_then(|own| Conflict::between(&own, other, self.certifier.instance(), self.certifier.keys())))
    }

    /// Balance and nonce of an account after the last final block.
    ///
    /// # Errors
    /// If a store fails.
    pub fn account(&mut self, account: &Account) -> Result<AccountState, Error> {
        let (digest, anchor) = (self.head.digest, self.head.anchor);
        if !self.drafts.contains_key(&digest)
            && let Some(draft) = self.state_after(&[], anchor)?
        {
            self.drafts.insert(digest, draft);
        }
        match self.drafts.get_mut(&digest) {
            Some(draft) => Ok(draft.account(account)?),
            // A reorganization took the anchor away.
            None => Ok(self.ledger.state_at_tip().account(account)?),
        }
    }

    /// Takes transactions from users. What is accepted is on disk, and is to be told to all.
    ///
    /// # Errors
    /// If a store fails.
    pub fn submit(&mut self, transactions: &[Vec<u8>]) -> Result<(Vec<Result<Digest, Rejection>>, Vec<Duty>), Error> {
        let (mut answers, mut taken, mut changes) = (Vec::new(), Vec::new(), Changes::default());
        for bytes in transactions {
            let Some(signed) = SignedTransaction::decode(bytes) else {
                answers.push(Err(Rejection::Malformed));
                continue;
            };
            let answer = self.admit(&signed)?;
            if let Ok((id, true)) = &answer {
                changes.put_live(id, bytes);
                taken.push(signed);
            }
            answers.push(answer.map(|(id, _)| id));
        }
        self.store.commit(changes)?;
        let messages = Message::spread(&taken).into_iter();
        Ok((answers, messages.map(|message| Duty::Tell { to: None, message }).collect()))
    }

    /// The transaction's id, and whether it is new.
    fn admit(&mut self, signed: &SignedTransaction) -> Result<Result<(Digest, bool), Rejection>, Error> {
        let id = signed.transaction.sighash(self.certifier.instance());
        if self.fate(&id)?.is_some() {
            return Ok(Ok((id, false)));
        }
        let state = self.account(&signed.transaction.from())?;
        let admitted = self.pool.admit(id, *signed, state, self.head.height);
        if let Ok(Some(replaced)) = &admitted {
            let mut changes = Changes::default();
            changes.remove_live(replaced);
            self.store.commit(changes)?;
        }
        Ok(admitted.map(|_| (id, true)))
    }

    /// Takes a message from the sequencer with this index.
    ///
    /// # Errors
    /// If a store fails.
    pub fn hear(&mut self, from: u8, message: Message) -> Result<Vec<Duty>, Error> {
        let signatures = match message {
            Message::Transactions(transactions) => {
                let batch = Batch { number: 0, transactions, certificate: Vec::new() };
                for signed in batch.transactions() {
                    // Whom to tell why not is the other sequencer's matter.
                    let _ = self.admit(&signed)?;
                }
                return Ok(Vec::new());
            }
            Message::Ask { number } => {
                let answer = self.batch(number)?.and_then(|batch| self.certifier.answer(&batch));
                return Ok(answer.map(|message| Duty::Tell { to: Some(from), message }).into_iter().collect());
            }
            Message::Signature { number, signature } => (number, vec![(from, signature)]),
            Message::Certificate { number, signatures } => (number, signatures),
        };
        let Some(batch) = self.certifier.hear(signatures.0, &signatures.1, self.head.next) else {
            return Ok(Vec::new());
        };
        let mut changes = Changes::default();
        changes.put_certified(&batch);
        self.store.commit(changes)?;
        Ok(vec![Duty::Certified { number: batch.number }])
    }

    /// Says again what may have been lost.
    pub fn tick(&mut self) -> Vec<Duty> {
        self.certifier.tick().into_iter().map(|message| Duty::Tell { to: None, message }).collect()
    }

    /// A block to follow the last one of `chain`: that one and its ancestors, oldest first, as far as they are not final.
    /// `None` if the chain does not go on from what is final here.
    ///
    /// # Errors
    /// If a store fails.
    pub fn propose(&mut self, chain: &[Digested<Block>]) -> Result<Option<Digested<Block>>, Error> {
        let Some((chain, parent)) = self.place(chain) else { return Ok(None) };
        let Some((anchor, mut draft)) = self.newest_state(chain, &parent)? else { return Ok(None) };
        let mut transactions = Vec::new();
        for signed in self.pool.in_turn() {
            let encoded = signed.encode();
            if transactions.len() + encoded.len() > self.block_bytes() {
                break;
            }
            if draft.execute(signed)?.is_ok() {
                transactions.extend(encoded);
            }
        }
        let (height, number) = (parent.height + 1, parent.next);
        let block = digested(Block { height, parent: parent.digest, anchor, number, transactions });
        self.keep(block.digest(), draft);
        Ok(Some(block))
    }

    /// Judges a block that follows the last one of `chain`, which is as for [`propose`](Self::propose).
    ///
    /// # Errors
    /// If a store fails.
    pub fn verify(&mut self, chain: &[Digested<Block>], block: &Digested<Block>) -> Result<Verdict, Error> {
        let Some((chain, parent)) = self.place(chain) else { return Ok(Verdict::Unknown) };
        if self.drafts.contains_key(&block.digest()) {
            return Ok(Verdict::Valid);
        }
        let (digest, block) = (block.digest(), block.inner());
        let fits = follows(block, &parent)
            && block.anchor.height >= parent.anchor.height
            && block.transactions.len() <= self.block_bytes();
        let Some(transactions) = block.decoded().filter(|_| fits) else { return Ok(Verdict::Invalid) };
        if !self.is_deep(block.anchor.height) {
            return Ok(Verdict::Unknown);
        }
        let Some(view) = self.view(block.anchor)? else { return Ok(Verdict::Unknown) };
        if view.meta()?.batches > block.number {
            return Ok(Verdict::Invalid);
        }
        let Some(mut draft) = self.state_after(chain, block.anchor)? else { return Ok(Verdict::Unknown) };
        for signed in &transactions {
            if draft.execute(signed)?.is_err() {
                return Ok(Verdict::Invalid);
            }
        }
        self.keep(digest, draft);
        Ok(Verdict::Valid)
    }

    /// Takes the next final block: signs its batch, once and for all, and tells the others. One that was taken before
    /// changes nothing.
    ///
    /// # Errors
    /// If the block does not follow what was final, or a store fails.
    pub fn finalized(&mut self, block: &Digested<Block>) -> Result<Vec<Duty>, Error> {
        let digest = block.digest();
        if block.inner().height < self.head.height || digest == self.head.digest {
            return Ok(Vec::new());
        }
        let fork = Error::Fork { height: block.inner().height };
        if !follows(block.inner(), &self.head) {
            return Err(fork);
        }
        if !self.drafts.contains_key(&digest)
            && let Some(draft) = self.state_after(std::slice::from_ref(block), block.inner().anchor)?
        {
            self.keep(digest, draft);
        }
        let mut changes = Changes::default();
        let head = Head::of(block);
        changes.put_head(&head);
        let batch = block.inner().batch().map(|batch| self.certifier.sign(batch));
        if let Some(batch) = &batch {
            if self.store.batch(batch.number)?.is_some() {
                return Err(fork);
            }
            match self.certifier.is_complete(batch) {
                true => changes.put_certified(batch),
                false => changes.put_open(batch),
            }
            self.settle(batch, &mut changes);
        }
        self.pool.expire(head.height).iter().for_each(|id| changes.remove_live(id));
        self.store.commit(changes)?;
        self.head = head;
        self.drafts.retain(|kept, _| *kept == digest);
        let Some(batch) = batch else { return Ok(Vec::new()) };
        let (number, complete) = (batch.number, self.certifier.is_complete(&batch));
        let told = self.certifier.signed(batch).map(|message| Duty::Tell { to: None, message });
        Ok(told.into_iter().chain(complete.then_some(Duty::Certified { number })).collect())
    }

    /// Notes where a final batch's transactions are, and lets go of what waited in their place.
    fn settle(&mut self, batch: &Batch, changes: &mut Changes) {
        for signed in batch.transactions() {
            let transaction = &signed.transaction;
            let id = transaction.sighash(self.certifier.instance());
            changes.put_place(&id, batch.number);
            changes.remove_live(&id);
            let passed = self.pool.pass(&transaction.from(), transaction.nonce().saturating_add(1));
            passed.iter().for_each(|id| changes.remove_live(id));
        }
    }

    /// What of `chain` is not final, and what a block after it follows; `None` if it does not go on from what is final.
    fn place<'a>(&self, chain: &'a [Digested<Block>]) -> Option<(&'a [Digested<Block>], Head)> {
        let last = chain.last()?;
        if last.digest() == self.head.digest {
            return Some((&[], self.head));
        }
        let first = chain.iter().position(|block| block.inner().parent == self.head.digest)?;
        Some((chain.get(first..)?, Head::of(last)))
    }

    fn keep(&mut self, digest: sha256::Digest, draft: Draft) {
        if self.drafts.len() >= DRAFTS {
            let head = self.head.digest;
            self.drafts.retain(|kept, _| *kept == head);
        }
        self.drafts.insert(digest, draft);
    }

    fn is_deep(&self, height: u32) -> bool {
        let (tip, genesis) = (self.ledger.tip().0, self.genesis.inner().anchor.height);
        height == genesis || height.saturating_add(self.confirmations) <= tip
    }

    /// The state at an anchor, if it is in the chain that the ledger follows.
    fn view(&self, anchor: Anchor) -> Result<Option<View>, Error> {
        if self.ledger.entry(anchor.height)?.is_none_or(|entry| entry.block_hash != anchor.hash) {
            return Ok(None);
        }
        Ok(Some(self.ledger.state(anchor.height)?).filter(|view| view.entry().block_hash == anchor.hash))
    }

    /// The newest anchor that a block after `chain` can have, and the state there after `chain`. It is a block deeper
    /// than it must be, so that others who have not seen the last block yet can follow.
    fn newest_state(&self, chain: &[Digested<Block>], parent: &Head) -> Result<Option<(Anchor, Draft)>, Error> {
        let deepest = self.ledger.tip().0.saturating_sub(self.confirmations.saturating_add(1));
        let height = deepest.max(self.genesis.inner().anchor.height);
        let newest = self.ledger.entry(height)?.map(|entry| Anchor { height, hash: entry.block_hash });
        for anchor in newest.into_iter().filter(|newest| newest.height >= parent.anchor.height).chain([parent.anchor]) {
            let Some(view) = self.view(anchor)? else { continue };
            if view.meta()?.batches <= parent.next
                && let Some(draft) = self.state_after(chain, anchor)?
            {
                return Ok(Some((anchor, draft)));
            }
        }
        Ok(None)
    }

    /// The state at an anchor after all batches that it does not have, those of `chain` included.
    fn state_after(&self, chain: &[Digested<Block>], anchor: Anchor) -> Result<Option<Draft>, Error> {
        let (digest, known) =
            chain.last().map_or((self.head.digest, self.head.anchor), |last| (last.digest(), last.inner().anchor));
        if let Some(draft) = self.drafts.get(&digest).filter(|_| known == anchor) {
            return Ok(Some(draft.clone()));
        }
        let Some(view) = self.view(anchor)? else { return Ok(None) };
        let first = view.meta()?.batches;
        let (mut draft, batches) = match chain.split_last() {
            Some((last, before)) => {
                let Some(draft) = self.state_after(before, anchor)? else { return Ok(None) };
                (draft, last.inner().batch().filter(|batch| batch.number >= first).into_iter().collect())
            }
            None => {
                let batch = |number| self.store.batch(number)?.ok_or(StoreError::Damaged("a final batch"));
                (view.draft()?, (first..self.head.next).map(batch).collect::<Result<Vec<_>, _>>()?)
            }
        };
        for signed in batches.iter().flat_map(Batch::transactions) {
            // One that cannot be executed is skipped alone, as the Layer 2 will skip it.
            let _ = draft.execute(&signed)?;
        }
        Ok(Some(draft))
    }
}

/// A block with its digest.
fn digested(block: Block) -> Digested<Block> {
    let digest = block.digest();
    Digested::precomputed(block, digest)
}

/// Whether a block can stand right after another one.
fn follows(block: &Block, parent: &Head) -> bool {
    block.parent == parent.digest && parent.height.checked_add(1) == Some(block.height) && block.number == parent.next
}
