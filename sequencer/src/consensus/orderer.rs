//! The state machine of one sequencer among many: what it proposes, what it accepts, what it signs.
//!
//! It does no I/O but its own store, and knows nothing of votes and timers: the engine asks it for a block, asks it to
//! judge one, and tells it which one is final.

mod questions;

use bitcoin::secp256k1::Keypair;
use commonware_cryptography::{Digested, Digestible as _};
use trestle_rollup::{Account, Batch, Certificate, Digest, Ledger, Refusal, SignedTransaction};

use super::block::Block;
use super::certificate::{Conflict, Part, Promise};
use super::certifier::{Certifier, Signed};
use super::chain::{Chain, Verdict, digested};
use super::message::{Message, Subject};
use super::pool::Pool;
use super::seal::seal;
use super::store::{Head, Store};
use crate::policy::Policy;
use crate::receipt::Rejection;
use crate::store::{Changes, StoreError};

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
    /// Tell users and the poster that this has its certificate; it is on disk.
    Certified(Subject),
}

/// For each transaction that was handed in, its id, or why it was not taken.
pub type Answers = Vec<Result<Digest, Rejection>>;

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits for a block.
    Waiting,
    /// It is final in the block of this height, which has its certificate or will have it.
    Final {
        /// The block.
        height: u64,
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
    store: Store,
    chain: Chain,
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
        let certifier = Certifier::new(key, instance, parameters.sequencers.clone()).ok_or(Error::NotAMember)?;
        let pool = Pool::new(policy, instance, parameters.denominations.clone());
        let chain = Chain::new(ledger, confirmations, store.head()?)?;
        let mut orderer = Self { store, chain, pool, certifier };
        for subject in orderer.store.open_subjects()? {
            let signed = orderer.signed(subject)?.ok_or(StoreError::Damaged("what lacks signatures"))?;
            // What it says is said again at a tick.
            let _ = orderer.certifier.signed(subject, signed);
        }
        let live: Vec<_> = orderer.store.live().collect::<Result<_, _>>()?;
        for bytes in live {
            let signed = SignedTransaction::decode(&bytes).ok_or(StoreError::Damaged("a transaction"))?;
            // One that is refused now was valid before a reorganization, and may be again: it stays in the store.
            let _ = orderer.admit(&signed)?;
        }
        Ok(orderer)
    }

    /// Looks for a broken promise in the certificate of a batch from anywhere, Bitcoin say: one that is not what was
    /// certified here. What it finds is on disk.
    ///
    /// # Errors
    /// If the store fails.
    pub fn compare(&mut self, other: &Certificate) -> Result<Option<Conflict>, Error> {
        let (number, instance) = (other.number, self.certifier.instance());
        let own = self.batch(number)?.map(|own| own.to_certificate(instance));
        let is_same = own.is_some_and(|own| own.transactions == other.transactions);
        if number > self.chain.head().number || is_same {
            return Ok(None);
        }
        let own = self.certified(number)?.map(|own| Promise::Batch(own.to_certificate(instance)));
        let mut own: Vec<_> = own.into_iter().collect();
        for part in self.store.parts_from(self.store.first_height(number)?) {
            let part = part?;
            if part.number != number {
                break;
            }
            if self.certifier.is_complete(&part.certificate) {
                own.push(Promise::Part(part));
            }
        }
        let keys = self.certifier.keys();
        let conflict = |own| Conflict::between(own, Promise::Batch(other.clone()), instance, keys);
        let conflict = own.into_iter().find_map(conflict);
        if let Some(conflict) = &conflict {
            let mut changes = Changes::default();
            changes.put_conflict(number, conflict);
            self.store.commit(changes)?;
        }
        Ok(conflict)
    }

    /// Takes transactions from users. What is accepted is on disk, and is to be told to all.
    ///
    /// # Errors
    /// If a store fails.
    pub fn submit(&mut self, transactions: &[Vec<u8>]) -> Result<(Answers, Vec<Duty>), Error> {
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
        let admitted = self.pool.admit(id, *signed, state, self.chain.head().height);
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
        let (subject, signatures) = match message {
            Message::Transactions(transactions) => {
                for signed in SignedTransaction::decode_all(&transactions).unwrap_or_default() {
                    // Whom to tell why not is the other sequencer's matter.
                    let _ = self.admit(&signed)?;
                }
                return Ok(Vec::new());
            }
            Message::Ask { subject } => {
                let certificate = self.certificate(subject)?;
                let answer = certificate.and_then(|certificate| self.certifier.answer(subject, &certificate));
                return Ok(answer.map(|message| Duty::Tell { to: Some(from), message }).into_iter().collect());
            }
            Message::Signature { subject, signature } => (subject, vec![(from, signature)]),
            Message::Certificate { subject, signatures } => (subject, signatures),
        };
        let head = self.chain.head();
        let ahead = match subject {
            Subject::Part(height) => height.checked_sub(head.height.saturating_add(1)),
            Subject::Batch(number) => number.checked_sub(head.number),
        };
        if let Some(ahead) = ahead {
            self.certifier.hear_early(subject, &signatures, ahead);
            return Ok(Vec::new());
        }
        let Some(certificate) = self.certifier.hear(subject, &signatures) else { return Ok(Vec::new()) };
        let mut changes = Changes::default();
        match subject {
            Subject::Part(height) => {
                let part = self.part(height)?.ok_or(StoreError::Damaged("a part"))?;
                changes.put_part(height, &Part { certificate, ..part });
            }
            Subject::Batch(number) => {
                let batch = self.batch(number)?.ok_or(StoreError::Damaged("a batch"))?;
                changes.put_batch(&Batch { certificate, ..batch });
            }
        }
        changes.put_open(subject, false);
        self.store.commit(changes)?;
        Ok(vec![Duty::Certified(subject)])
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
        let Some((chain, parent)) = self.chain.place(chain) else { return Ok(None) };
        let Some((anchor, mut draft)) = self.chain.newest_state(&self.store, chain, &parent)? else { return Ok(None) };
        let policy = *self.pool.policy();
        let filled = usize::try_from(parent.filled).unwrap_or(usize::MAX);
        let room = policy.batch_bytes.saturating_sub(filled);
        let (mut transactions, mut is_full, mut refused) = (Vec::new(), false, Vec::new());
        for signed in self.pool.in_turn() {
            let encoded = signed.encode();
            let bytes = transactions.len() + encoded.len();
            is_full = bytes > room;
            if is_full || bytes > policy.block_bytes {
                break;
            }
            match draft.execute_checked(&signed.transaction)? {
                Ok(_) => transactions.extend(encoded),
                Err(Refusal::Nonce { expected }) if expected > signed.transaction.nonce() => {
                    refused.push(signed.transaction.from());
                }
                Err(_) => {}
            }
        }
        let executed = self.chain.executed_at(anchor)?.unwrap_or_default();
        let cut = filled + transactions.len() > 0
            && Chain::may_cut(executed, &parent)
            && (is_full || self.chain.is_bitcoin_free(&parent)?);
        let Head { height, digest: parent, number, first, filled, .. } = parent;
        let block = Block { height: height + 1, parent, anchor, number, first, filled, cut, transactions };
        let block = digested(block);
        self.chain.keep(block.digest(), draft);
        self.drop_passed(&refused)?;
        Ok(Some(block))
    }

    /// Lets go of what the accounts' nonces have passed, after the last final block: forced transactions did that.
    fn drop_passed(&mut self, accounts: &[Account]) -> Result<(), Error> {
        let mut changes = Changes::default();
        for account in accounts {
            let next = self.account(account)?.nonce;
            self.pool.pass(account, next).iter().for_each(|id| changes.remove_live(id));
        }
        Ok(self.store.commit(changes)?)
    }

    /// Judges a block that follows the last one of `chain`, which is as for [`propose`](Self::propose).
    ///
    /// # Errors
    /// If a store fails.
    pub fn verify(&mut self, chain: &[Digested<Block>], block: &Digested<Block>) -> Result<Verdict, Error> {
        let policy = self.pool.policy();
        let limits = (policy.block_bytes, policy.batch_bytes);
        let instance = self.certifier.instance();
        let is_checked = |signed: &SignedTransaction| self.pool.holds(&signed.transaction.sighash(instance), signed);
        self.chain.judge(&self.store, limits, chain, block, is_checked)
    }

    /// Takes the next final block: signs what it adds to its batch, and the batch if it ends here, once and for all, and
    /// tells the others. One that was taken before changes nothing.
    ///
    /// # Errors
    /// If the block does not follow what was final, or a store fails.
    pub fn finalized(&mut self, block: &Digested<Block>) -> Result<Vec<Duty>, Error> {
        let (digest, block_height) = (block.digest(), block.inner().height);
        if block_height < self.chain.head().height || digest == self.chain.head().digest {
            return Ok(Vec::new());
        }
        let fork = Error::Fork { height: block_height };
        if !self.chain.is_next(block.inner()) {
            return Err(fork);
        }
        self.chain.prepare(&self.store, block)?;
        let mut changes = Changes::default();
        let head = Head::of(block);
        changes.put_head(&head);
        let signed = self.sign(block.inner(), &mut changes)?.ok_or(fork)?;
        self.settle(block.inner(), &mut changes);
        self.pool.expire(head.height).iter().for_each(|id| changes.remove_live(id));
        self.store.commit(changes)?;
        self.chain.advance(head);
        let mut duties = Vec::new();
        for (subject, signed) in signed {
            let complete = self.certifier.is_complete(&signed.certificate);
            let told = self.certifier.signed(subject, signed);
            duties.extend(told.map(|message| Duty::Tell { to: None, message }));
            duties.extend(complete.then_some(Duty::Certified(subject)));
        }
        self.certifier.forget_early(|subject| match subject {
            Subject::Part(height) => *height <= head.height,
            Subject::Batch(number) => *number < head.number,
        });
        Ok(duties)
    }

    /// Signs what a final block says; `None` if something else was signed in its place.
    fn sign(&self, block: &Block, changes: &mut Changes) -> Result<Option<Vec<(Subject, Signed)>>, Error> {
        let (height, number) = (block.height, block.number);
        let instance = self.certifier.instance();
        let mut signed = Vec::new();
        if !block.transactions.is_empty() {
            if self.store.part(height)?.is_some() {
                return Ok(None);
            }
            let (first, transactions) = (block.first, block.transactions.clone());
            let part = Part { number, first, transactions, certificate: Vec::new() };
            let own = self.certifier.sign(Subject::Part(height), part.digest(instance));
            changes.put_part(height, &Part { certificate: own.certificate.clone(), ..part });
            signed.push((Subject::Part(height), own));
        }
        if block.cut {
            if self.store.batch(number)?.is_some() {
                return Ok(None);
            }
            let mut transactions = Vec::new();
            for part in self.store.parts_from(self.store.first_height(number)?) {
                transactions.extend(part?.decoded());
            }
            transactions.extend(block.decoded().unwrap_or_default());
            let batch = seal(number, &transactions);
            let own = self.certifier.sign(Subject::Batch(number), batch.digest(instance));
            changes.put_batch(&Batch { certificate: own.certificate.clone(), ..batch });
            changes.put_cut(number, height);
            signed.push((Subject::Batch(number), own));
        }
        for (subject, own) in &signed {
            changes.put_open(*subject, !self.certifier.is_complete(&own.certificate));
        }
        Ok(Some(signed))
    }

    /// Notes where a final block's transactions are, and lets go of what waited in their place.
    fn settle(&mut self, block: &Block, changes: &mut Changes) {
        for signed in block.decoded().unwrap_or_default() {
            let transaction = &signed.transaction;
            let id = transaction.sighash(self.certifier.instance());
            changes.put_place(&id, block.height);
            changes.remove_live(&id);
            let passed = self.pool.pass(&transaction.from(), transaction.nonce().saturating_add(1));
            passed.iter().for_each(|id| changes.remove_live(id));
        }
    }
}
