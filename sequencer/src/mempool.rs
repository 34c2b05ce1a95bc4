//! The transactions that were accepted and are not final yet, in order of arrival.
//!
//! Where each of them stands is worked out afresh from the Layer 2's state at every new tip
//! ([`Mempool::settle`]): in an unexecuted batch, in the queue for the next one, executed but not deep yet, or, for as
//! long as a reorganisation may still bring back what it needs, parked. Between tips a submission is judged against
//! the state as it will be once everything queued is executed.

use std::collections::{BTreeMap, HashMap};

use bitcoin::Amount;
use trestle_rollup::{Account, AccountState, Digest, Draft, Ledger, Refusal, SignedTransaction, Transaction};

use crate::Error;
use crate::history::History;
use crate::receipt::{Failure, Receipt, Rejection};

/// What a sequencer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Least fee of a transaction.
    pub fee_floor: Amount,
    /// Least rise of the fee when a queued transaction is replaced.
    pub replacement_step: Amount,
    /// Most transactions of one account that are not executed.
    pub account_limit: usize,
    /// Most bytes of all transactions that are not final, together.
    pub mempool_bytes: usize,
    /// Most bytes of transactions in one batch. The transaction that reveals it must stay below 400,000 weight units.
    pub batch_bytes: usize,
    /// Blocks after which an unconfirmed posting is bumped.
    pub patience: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            fee_floor: Amount::from_sat(10),
            replacement_step: Amount::from_sat(10),
            account_limit: 100,
            mempool_bytes: 16 << 20,
            batch_bytes: 300_000,
            patience: 3,
        }
    }
}

/// Where a live transaction stands at a tip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Waits for the next batch.
    Queued,
    /// In a certified batch that is not executed.
    Batched(u64),
    /// Its nonce is used since this height; whether by itself.
    Passed(u32, bool),
    /// Not executable; since which height.
    Parked(Refusal, u32),
}

#[derive(Clone, Debug)]
struct Entry {
    id: Digest,
    signed: SignedTransaction,
    size: usize,
    place: Place,
}

/// An account and a nonce: what only one transaction can have once it is executed.
type Turn = (Account, u64);

fn turn(transaction: &Transaction) -> Turn {
    (transaction.from(), transaction.nonce())
}

/// A batch that was certified and, at the tip, is not executed.
pub(crate) struct InFlight {
    pub number: u64,
    pub transactions: Vec<SignedTransaction>,
}

/// An end that a live transaction came to.
pub(crate) struct Final {
    pub arrival: u64,
    pub id: Digest,
    pub receipt: Receipt,
}

/// What becomes of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is in the mempool already.
    Known,
    /// It is good, and has this place in the order of arrival, perhaps instead of another one.
    Admit { arrival: u64, replaces: Option<Digest> },
    /// It is refused.
    Reject(Rejection),
}

impl From<Rejection> for Judgement {
    fn from(rejection: Rejection) -> Self {
        Self::Reject(rejection)
    }
}

/// See the [module](self).
pub(crate) struct Mempool {
    policy: Policy,
    instance: Digest,
    /// By arrival.
    entries: BTreeMap<u64, Entry>,
    arrivals: HashMap<Digest, u64>,
    /// Where the queued and the batched ones are.
    turns: HashMap<Turn, u64>,
    /// How many of an account are not executed.
    counts: HashMap<Account, usize>,
    bytes: usize,
    /// The state once the batches in flight and the queue are executed; none before the first tip.
    pending: Option<Draft>,
}

impl Mempool {
    /// A mempool with what the store kept. Everything is parked until it is settled.
    pub fn new(
        policy: Policy,
        instance: Digest,
        live: impl IntoIterator<Item = (u64, SignedTransaction)>,
        height: u32,
    ) -> Self {
        let mut mempool = Self {
            policy,
            instance,
            entries: BTreeMap::new(),
            arrivals: HashMap::new(),
            turns: HashMap::new(),
            counts: HashMap::new(),
            bytes: 0,
            pending: None,
        };
        for (arrival, signed) in live {
            let place = Place::Parked(Refusal::Nonce { expected: 0 }, height);
            mempool.insert(arrival, signed, place);
        }
        mempool
    }

    /// Takes over an admitted transaction, queued.
    pub fn admit(&mut self, arrival: u64, signed: SignedTransaction) {
        self.remove(arrival);
        self.insert(arrival, signed, Place::Queued);
    }

    fn insert(&mut self, arrival: u64, signed: SignedTransaction, place: Place) {
        let (id, size) = (signed.transaction.sighash(&self.instance), signed.encode().len());
        self.bytes += size;
        self.arrivals.insert(id, arrival);
        if place == Place::Queued {
            self.turns.insert(turn(&signed.transaction), arrival);
            *self.counts.entry(signed.transaction.from()).or_default() += 1;
        }
        self.entries.insert(arrival, Entry { id, signed, size, place });
    }

    fn remove(&mut self, arrival: u64) {
        let Some(entry) = self.entries.remove(&arrival) else { return };
        self.bytes -= entry.size;
        self.arrivals.remove(&entry.id);
        if entry.place == Place::Queued {
            self.turns.remove(&turn(&entry.signed.transaction));
            self.counts.entry(entry.signed.transaction.from()).and_modify(|count| *count -= 1);
        }
    }

    /// What it takes.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Balance and nonce of an account once everything queued is executed.
    pub fn pending(&mut self, ledger: &Ledger, account: &Account) -> Result<AccountState, Error> {
        let pending = match &mut self.pending {
            Some(pending) => pending,
            none => none.insert(ledger.state_at_tip().draft()?),
        };
        Ok(pending.account(account)?)
    }

    /// Whether anything waits for the next batch.
    pub fn has_queue(&self) -> bool {
        self.entries.values().any(|entry| entry.place == Place::Queued)
    }

    /// The front of the queue, as much of it as fits one batch.
    pub fn next_batch(&self) -> Vec<SignedTransaction> {
        let mut room = self.policy.batch_bytes;
        self.entries
            .values()
            .filter(|entry| entry.place == Place::Queued)
            .map_while(|entry| {
                room = room.checked_sub(entry.size)?;
                Some(entry.signed)
            })
            .collect()
    }

    /// Notes that the front of the queue went into a batch.
    pub fn batched(&mut self, number: u64, transactions: &[SignedTransaction]) {
        for signed in transactions {
            let arrival = self.turns.get(&turn(&signed.transaction));
            if let Some(entry) = arrival.and_then(|arrival| self.entries.get_mut(arrival)) {
                entry.place = Place::Batched(number);
            }
        }
    }

    /// What is known of a transaction that is not final.
    pub fn receipt(&self, id: &Digest) -> Option<Receipt> {
        let entry = self.entries.get(self.arrivals.get(id)?)?;
        Some(match entry.place {
            Place::Queued | Place::Parked(..) => Receipt::Pending,
            Place::Batched(number) => Receipt::Batched { number },
            Place::Passed(height, true) => Receipt::Executed { height, deep: false },
            Place::Passed(_, false) => Receipt::Failed { reason: Failure::NonceTaken },
        })
    }

    /// Works out where every transaction stands at a new tip, and returns those that are final, which
    /// [`forget`](Self::forget) is to be told once that is stored.
    pub fn settle(&mut self, ledger: &Ledger, in_flight: &[InFlight], depth: u32) -> Result<Vec<Final>, Error> {
        let height = ledger.tip().0;
        let is_deep = |since: u32| since.saturating_add(depth) <= height;
        let tip = ledger.state(height)?;
        let mut pending = ledger.state_at_tip().draft()?;
        let mut batched = HashMap::new();
        for batch in in_flight {
            for signed in &batch.transactions {
                batched.entry(signed.transaction.sighash(&self.instance)).or_insert(batch.number);
                // One that cannot be executed is skipped alone, as the Layer 2 will skip it.
                let _ = pending.execute(signed)?;
            }
        }
        let mut history = History::new(ledger);
        let mut finals = Vec::new();
        self.turns.clear();
        self.counts.clear();
        for (&arrival, entry) in &mut self.entries {
            let transaction = &entry.signed.transaction;
            let mut end = |receipt| finals.push(Final { arrival, id: entry.id, receipt });
            entry.place = if tip.account(&transaction.from())?.nonce > transaction.nonce() {
                let (passed, own) = history.use_of_nonce(transaction, height.saturating_sub(depth), height)?;
                if is_deep(passed) {
                    end(match own {
                        true => Receipt::Executed { height: passed, deep: true },
                        false => Receipt::Failed { reason: Failure::NonceTaken },
                    });
                }
                Place::Passed(passed, own)
            } else if let Some(&number) = batched.get(&entry.id) {
                Place::Batched(number)
            } else {
                match (pending.execute(&entry.signed)?, entry.place) {
                    (Ok(_), _) => Place::Queued,
                    (Err(why), Place::Parked(_, since)) => {
                        if is_deep(since) {
                            end(Receipt::Failed { reason: Failure::Refused(why) });
                        }
                        Place::Parked(why, since)
                    }
                    (Err(why), _) => Place::Parked(why, height),
                }
            };
            if !matches!(entry.place, Place::Passed(..)) {
                *self.counts.entry(transaction.from()).or_default() += 1;
            }
            if matches!(entry.place, Place::Queued | Place::Batched(_)) {
                self.turns.insert(turn(transaction), arrival);
            }
        }
        self.pending = Some(pending);
        Ok(finals)
    }

    /// Lets go of what is final.
    pub fn forget(&mut self, finals: &[Final]) {
        finals.iter().for_each(|end| self.remove(end.arrival));
    }

    /// Judges a submission against the pending state, and moves that state on if it is good: the caller stores it
    /// and then [`admit`](Self::admit)s it.
    pub fn judge(&mut self, ledger: &Ledger, id: &Digest, signed: &SignedTransaction) -> Result<Judgement, Error> {
        if self.arrivals.contains_key(id) {
            return Ok(Judgement::Known);
        }
        let size = signed.encode().len();
        let transaction = &signed.transaction;
        let fee = Amount::from_sat(transaction.fee());
        if fee < self.policy.fee_floor {
            return Ok(Rejection::FeeTooLow { floor: self.policy.fee_floor, got: fee }.into());
        }
        if let Some(&arrival) = self.turns.get(&turn(transaction)) {
            return self.judge_replacement(ledger, arrival, signed, size);
        }
        if self.counts.get(&transaction.from()).is_some_and(|count| *count >= self.policy.account_limit) {
            return Ok(Rejection::AccountFull { limit: self.policy.account_limit }.into());
        }
        if self.bytes + size > self.policy.mempool_bytes {
            return Ok(Rejection::MempoolFull { limit: self.policy.mempool_bytes }.into());
        }
        let pending = match &mut self.pending {
            Some(pending) => pending,
            none => none.insert(ledger.state_at_tip().draft()?),
        };
        if let Err(why) = pending.execute(signed)? {
            return Ok(Rejection::Refused(why).into());
        }
        let arrival = self.entries.last_key_value().map_or(0, |(last, _)| last + 1);
        Ok(Judgement::Admit { arrival, replaces: None })
    }

    fn judge_replacement(
        &mut self,
        ledger: &Ledger,
        arrival: u64,
        signed: &SignedTransaction,
        size: usize,
    ) -> Result<Judgement, Error> {
        let old = &self.entries[&arrival];
        if old.place != Place::Queued {
            return Ok(Rejection::AlreadyCertified.into());
        }
        let needs = Amount::from_sat(old.signed.transaction.fee()) + self.policy.replacement_step;
        if Amount::from_sat(signed.transaction.fee()) < needs {
            return Ok(Rejection::ReplacementTooCheap { needs }.into());
        }
        if self.bytes - old.size + size > self.policy.mempool_bytes {
            return Ok(Rejection::MempoolFull { limit: self.policy.mempool_bytes }.into());
        }
        let mut pending = ledger.state_at_tip().draft()?;
        for (place, entry) in self.entries.iter().filter(|(_, entry)| !matches!(entry.place, Place::Passed(..))) {
            let replaced = *place == arrival;
            let executed = pending.execute(if replaced { signed } else { &entry.signed })?;
            match (executed, entry.place) {
                (Err(why), _) if replaced => return Ok(Rejection::Refused(why).into()),
                (Err(_), Place::Queued) => return Ok(Rejection::ReplacementBreaksQueue.into()),
                _ => (),
            }
        }
        let replaces = Some(old.id);
        self.pending = Some(pending);
        Ok(Judgement::Admit { arrival, replaces })
    }
}
