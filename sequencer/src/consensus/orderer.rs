//! The state machine of one sequencer among many: what it proposes, what it accepts, what it signs.
//!
//! It does no I/O but its own store, and knows nothing of votes and timers: the engine asks it for a block, asks it to
//! judge one, and tells it which one is final.

use bitcoin::secp256k1::Keypair;
use commonware_cryptography::{Digested, Digestible as _};
use trestle_rollup::{Account, AccountState, Batch, Certificate, Digest, Ledger, SignedTransaction};

use super::block::Block;
use super::certificate::Conflict;
use super::certifier::Certifier;
use super::chain::{Chain, Verdict, digested};
use super::message::Message;
use super::pool::Pool;
use super::store::{Changes, Head, Store};
use crate::mempool::Policy;
use crate::receipt::Rejection;
use crate::store::StoreError;

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

/// For each transaction that was handed in, its id, or why it was not taken.
pub type Answers = Vec<Result<Digest, Rejection>>;

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
        let mut open = Vec::new();
        for number in store.open_numbers()? {
            open.push(store.batch(number)?.ok_or(StoreError::Damaged("an open batch"))?);
        }
        let certifier = Certifier::new(key, instance, parameters.sequencers.clone(), open).ok_or(Error::NotAMember)?;
        let pool = Pool::new(policy, instance, parameters.denominations.clone());
        let chain = Chain::new(ledger, confirmations, store.head()?)?;
        let mut orderer = Self { store, chain, pool, certifier };
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
        self.chain.genesis()
    }

    /// Height of the last final block.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.chain.head().height
    }

    /// Number of the next batch: all before it are final.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.chain.head().next
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

    /// Whether the certificate of a batch from anywhere, Bitcoin say, and that of the own one of its number prove that a quorum lied.
    ///
    /// # Errors
    /// If the store fails.
    pub fn conflict(&self, other: &Certificate) -> Result<Option<Conflict>, Error> {
        let instance = self.certifier.instance();
        let own = self.certified(other.number)?.map(|own| own.to_certificate(instance));
        Ok(own.and_then(|own| Conflict::between(&own, other, instance, self.certifier.keys())))
    }

    /// Balance and nonce of an account after the last final block.
    ///
    /// # Errors
    /// If a store fails.
    pub fn account(&mut self, account: &Account) -> Result<AccountState, Error> {
        self.chain.account(&self.store, account)
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
        let signatures = match message {
            Message::Transactions(transactions) => {
                for signed in SignedTransaction::decode_all(&transactions).unwrap_or_default() {
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
        let Some(batch) = self.certifier.hear(signatures.0, &signatures.1, self.chain.head().next) else {
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
        let Some((chain, parent)) = self.chain.place(chain) else { return Ok(None) };
        let Some((anchor, mut draft)) = self.chain.newest_state(&self.store, chain, &parent)? else { return Ok(None) };
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
        self.chain.keep(block.digest(), draft);
        Ok(Some(block))
    }

    /// Judges a block that follows the last one of `chain`, which is as for [`propose`](Self::propose).
    ///
    /// # Errors
    /// If a store fails.
    pub fn verify(&mut self, chain: &[Digested<Block>], block: &Digested<Block>) -> Result<Verdict, Error> {
        let limit = self.block_bytes();
        self.chain.judge(&self.store, limit, chain, block)
    }

    /// Takes the next final block: signs its batch, once and for all, and tells the others. One that was taken before
    /// changes nothing.
    ///
    /// # Errors
    /// If the block does not follow what was final, or a store fails.
    pub fn finalized(&mut self, block: &Digested<Block>) -> Result<Vec<Duty>, Error> {
        let digest = block.digest();
        if block.inner().height < self.chain.head().height || digest == self.chain.head().digest {
            return Ok(Vec::new());
        }
        let fork = Error::Fork { height: block.inner().height };
        if !self.chain.is_next(block.inner()) {
            return Err(fork);
        }
        self.chain.prepare(&self.store, block)?;
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
        self.chain.advance(head);
        let Some(batch) = batch else { return Ok(Vec::new()) };
        let (number, complete) = (batch.number, self.certifier.is_complete(&batch));
        let told = self.certifier.signed(batch).map(|message| Duty::Tell { to: None, message });
        Ok(told.into_iter().chain(complete.then_some(Duty::Certified { number })).collect())
    }

    /// Notes where a final batch's transactions are, and lets go of what waited in their place.
    fn settle(&mut self, batch: &Batch, changes: &mut Changes) {
        for signed in &batch.transactions {
            let transaction = &signed.transaction;
            let id = transaction.sighash(self.certifier.instance());
            changes.put_place(&id, batch.number);
            changes.remove_live(&id);
            let passed = self.pool.pass(&transaction.from(), transaction.nonce().saturating_add(1));
            passed.iter().for_each(|id| changes.remove_live(id));
        }
    }
}
