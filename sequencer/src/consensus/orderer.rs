//! The state machine of one sequencer among many: what it proposes, what it accepts, what it signs.
//!
//! It does no I/O but its own store, and knows nothing of votes and timers: the engine asks it for a block, asks it to
//! judge one, and tells it which one is final.

mod finality;
mod forget;
mod questions;
mod sets;

use std::collections::{BTreeMap, HashSet};

use bitcoin::secp256k1::Keypair;
use commonware_cryptography::{Digested, Digestible as _};
use trestle_rollup::{Account, Digest, Ledger, Refusal, SignedTransaction};

use super::block::Block;
use super::certifier::Certifier;
use super::chain::{Chain, Verdict, digested};
use super::checked::Checked;
use super::message::{Message, Subject};
use super::pool::Pool;
use super::store::{Head, Store};
use crate::policy::Policy;
use crate::receipt::Rejection;
use crate::store::{Changes, StoreError};

/// What the caller is to do. Each may be done any number of times, or never: what matters is said again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Send a message to the sequencer with this index, or to all others, of a set.
    Tell {
        /// The set's number.
        set: u32,
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
    /// Its key is not in the set whose agreement goes on.
    #[error("this sequencer's key is not in the set")]
    NotAMember,
    /// A set was closed at an anchor that the ledger has not reached yet: the block is to be handed in again later.
    #[error("the ledger has not reached the anchor of the block that closes the set")]
    Behind,
    /// What was said to be a set's beginning has no quorum of the set before.
    #[error("the sequencers before have not certified this beginning of set {0}")]
    Handover(u32),
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
    key: Keypair,
    instance: Digest,
    /// Of the sets that it is in and that may still go on.
    certifiers: BTreeMap<u32, Certifier>,
    /// All sets of which it has anything.
    sets: BTreeMap<u32, Set>,
    checked: Checked,
    /// Ids of what users were promised and the store therefore has.
    live: HashSet<Digest>,
}

/// What there is to know of a set without its keys.
#[derive(Clone, Copy, Debug)]
struct Set {
    /// Its first batch.
    begins: u64,
    /// How many of its sequencers are a quorum.
    needed: usize,
}

impl Orderer {
    /// Opens the sequencer's store in `db`. `confirmations` is how deep an anchor must be.
    ///
    /// A new one begins with the set of the bridge's parameters and the first batch; one that belongs to a later set has to
    /// [`join`](Self::join) it first.
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
        let instance = ledger.parameters().instance();
        let pool = Pool::new(policy, ledger.parameters().denominations.clone());
        let chain = Chain::new(ledger, confirmations, store.head()?)?;
        let (certifiers, sets) = (BTreeMap::new(), BTreeMap::new());
        let (checked, live) = (Checked::new(instance), HashSet::new());
        let mut orderer = Self { store, chain, pool, key, instance, certifiers, sets, checked, live };
        orderer.open_sets()?;
        let live: Vec<_> = orderer.store.live().collect::<Result<_, _>>()?;
        for bytes in live {
            let signed = SignedTransaction::decode(&bytes).ok_or(StoreError::Damaged("a transaction"))?;
            orderer.live.insert(signed.transaction.sighash(&instance));
            // One that is refused now was valid before a reorganization, and may be again: it stays in the store.
            let _ = orderer.admit(&signed)?;
        }
        Ok(orderer)
    }

    /// Takes transactions from users. What is accepted is on disk, and is to be told to all.
    ///
    /// # Errors
    /// If a store fails.
    pub fn submit(&mut self, transactions: &[Vec<u8>]) -> Result<(Answers, Vec<Duty>), Error> {
        if !self.certifiers.contains_key(&self.chain.head().set) {
            return Ok((vec![Err(Rejection::LeftTheSet); transactions.len()], Vec::new()));
        }
        let (mut answers, mut taken, mut changes) = (Vec::new(), Vec::new(), Changes::default());
        for bytes in transactions {
            let Some(signed) = SignedTransaction::decode(bytes) else {
                answers.push(Err(Rejection::Malformed));
                continue;
            };
            let answer = self.admit(&signed)?;
            if let Ok((id, true)) = &answer {
                changes.put_live(id, bytes);
                self.live.insert(*id);
                taken.push(signed);
            }
            answers.push(answer.map(|(id, _)| id));
        }
        self.store.commit(changes)?;
        let (set, messages) = (self.chain.head().set, Message::spread(&taken).into_iter());
        Ok((answers, messages.map(|message| Duty::Tell { set, to: None, message }).collect()))
    }

    /// The transaction's id, and whether it is new.
    fn admit(&mut self, signed: &SignedTransaction) -> Result<Result<(Digest, bool), Rejection>, Error> {
        let id = signed.transaction.sighash(&self.instance);
        if self.fate(&id)?.is_some() {
            return Ok(Ok((id, false)));
        }
        let state = self.account(&signed.transaction.from())?;
        let admitted = self.pool.admit(id, *signed, state, self.chain.head().height, &mut self.checked);
        if let Ok(Some(replaced)) = &admitted {
            let mut changes = Changes::default();
            self.forget_live(&[*replaced], &mut changes);
            self.store.commit(changes)?;
        }
        Ok(admitted.map(|_| (id, true)))
    }

    /// Takes a message from the sequencer with this index in a set.
    ///
    /// # Errors
    /// If a store fails.
    pub fn hear(&mut self, set: u32, from: u8, message: Message) -> Result<Vec<Duty>, Error> {
        let (subject, signatures) = match message {
            Message::Transactions(transactions) => {
                for signed in SignedTransaction::decode_all(&transactions).unwrap_or_default() {
                    // Whom to tell why not is the other sequencer's matter.
                    let _ = self.admit(&signed)?;
                }
                return Ok(Vec::new());
            }
            Message::Ask { subject: subject @ Subject::Handover(_) } if set == self.chain.head().set => {
                let answer = self.own_handover(subject)?;
                return Ok(answer.map(|message| Duty::Tell { set, to: Some(from), message }).into_iter().collect());
            }
            Message::Ask { subject } => {
                let certificate = self.certificate(set, subject)?;
                let answer =
                    certificate.and_then(|certificate| self.certifiers.get(&set)?.answer(subject, &certificate));
                return Ok(answer.map(|message| Duty::Tell { set, to: Some(from), message }).into_iter().collect());
            }
            Message::Signature { subject, signature } => (subject, vec![(from, signature)]),
            Message::Certificate { subject, signatures } => (subject, signatures),
        };
        let head = *self.chain.head();
        // Told within the set that begins with it, and certified by the one before.
        let set = match subject {
            Subject::Handover(next) if next == u64::from(set) => set.saturating_sub(1),
            _ => set,
        };
        let Some(certifier) = self.certifiers.get_mut(&set) else { return Ok(Vec::new()) };
        let ahead = match subject {
            _ if set != head.set => None,
            Subject::Part(height) => height.checked_sub(head.height.saturating_add(1)),
            Subject::Batch(number) => number.checked_sub(head.number),
            Subject::Handover(next) => next.checked_sub(u64::from(set).saturating_add(1)),
        };
        if let Some(ahead) = ahead {
            // Only its own: nobody can tell yet what others' are worth, and nobody asked for them.
            if let Some((_, signature)) = signatures.iter().find(|(index, _)| *index == from) {
                certifier.hear_early(subject, from, *signature, ahead);
            }
            return Ok(Vec::new());
        }
        let Some(certificate) = certifier.hear(subject, &signatures) else { return Ok(Vec::new()) };
        let mut changes = Changes::default();
        self.put_certificate(set, subject, certificate, &mut changes)?;
        changes.put_open(set, subject, false);
        self.store.commit(changes)?;
        Ok(vec![Duty::Certified(subject)])
    }

    /// Says again what may have been lost.
    ///
    /// # Errors
    /// If a store fails.
    pub fn tick(&mut self) -> Result<Vec<Duty>, Error> {
        let tick = |(set, certifier): (&u32, &mut Certifier)| {
            certifier.tick().into_iter().map(|message| Duty::Tell { set: *set, to: None, message }).collect::<Vec<_>>()
        };
        let mut duties: Vec<_> = self.certifiers.iter_mut().flat_map(tick).collect();
        duties.extend(self.hand_on()?);
        duties.extend(self.ask_for_handover()?);
        Ok(duties)
    }

    /// A block to follow the last one of `chain`: that one and its ancestors, oldest first, as far as they are not final.
    /// `None` if the chain does not go on from what is final here.
    ///
    /// # Errors
    /// If a store fails.
    pub fn propose(&mut self, chain: &[Digested<Block>]) -> Result<Option<Digested<Block>>, Error> {
        if let Some(last) = chain.last().filter(|last| last.inner().closes) {
            return Ok(Some(digested(Block::epilogue(last))));
        }
        let Some((chain, parent)) = self.chain.place(chain) else { return Ok(None) };
        let Some((anchor, mut draft)) = self.chain.newest_state(&self.store, chain, &parent, &mut self.checked)? else {
            return Ok(None);
        };
        let policy = *self.pool.policy();
        let mut filled = usize::try_from(parent.filled).unwrap_or(usize::MAX);
        let (mut transactions, mut is_full, mut refused) = (Vec::new(), false, Vec::new());
        for signed in self.pool.in_turn() {
            let encoded = signed.encode();
            let posted = filled.saturating_add(draft.posted_bytes(&signed.transaction)?);
            is_full = posted > policy.batch_bytes;
            if is_full || transactions.len() + encoded.len() > policy.block_bytes {
                break;
            }
            match draft.execute_checked(&signed.transaction)? {
                Ok(_) => {
                    transactions.extend(encoded);
                    filled = posted;
                }
                Err(Refusal::Nonce { expected }) if expected > signed.transaction.nonce() => {
                    refused.push(signed.transaction.from());
                }
                Err(_) => {}
            }
        }
        let (executed, announced) = self.chain.facts_at(anchor)?.unwrap_or_default();
        let closes = announced > parent.set;
        let may_cut = || {
            let is_due = is_full || self.chain.is_bitcoin_free(&parent)?;
            Ok::<_, Error>(is_due && Chain::may_cut(executed, &parent))
        };
        let cut = filled > 0 && (closes || may_cut()?);
        let Head { set, base, height, digest: parent, number, first, .. } = parent;
        let (height, filled) = (height + 1, u32::try_from(filled).unwrap_or(u32::MAX));
        let block = Block { set, base, height, parent, anchor, number, first, filled, cut, closes, transactions };
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
            let passed = self.pool.pass(account, next);
            self.forget_live(&passed, &mut changes);
        }
        Ok(self.store.commit(changes)?)
    }

    /// Judges a block that follows the last one of `chain`, which is as for [`propose`](Self::propose).
    ///
    /// # Errors
    /// If a store fails.
    pub fn verify(&mut self, chain: &[Digested<Block>], block: &Digested<Block>) -> Result<Verdict, Error> {
        if let Some(last) = chain.last().filter(|last| last.inner().closes) {
            let is_it = *block.inner() == Block::epilogue(last);
            return Ok(if is_it { Verdict::Valid } else { Verdict::Invalid });
        }
        let policy = self.pool.policy();
        let limits = (policy.block_bytes, policy.batch_bytes);
        self.chain.judge(&self.store, limits, chain, block, &mut self.checked)
    }

    /// Lets go of promises that are kept, or cannot be.
    pub(super) fn forget_live(&mut self, ids: &[Digest], changes: &mut Changes) {
        ids.iter().filter(|id| self.live.remove(*id)).for_each(|id| changes.remove_live(id));
    }
}
