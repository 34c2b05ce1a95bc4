//! The state machine: submissions and tips in, certified batches and their postings out.

use bitcoin::secp256k1::Keypair;
use bitcoin::{Transaction, Txid};
use trestle_rollup::{Account, AccountState, Batch, Digest, Event as LedgerEvent, Ledger, SignedTransaction, schnorr};

use crate::mempool::{InFlight, Judgement, Mempool, Policy};
use crate::receipt::{Failure, Receipt, Rejection};
use crate::store::{Changes, Posting, Store, StoreError};

/// What happens to a sequencer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody hands in a transaction.
    Submitted {
        /// The caller's name for this submission; comes back in the answer.
        ticket: u64,
        /// A [`SignedTransaction`], encoded.
        transaction: Vec<u8>,
    },
    /// The chain moved on, or the sequencer was just opened.
    Tip,
    /// It is time for a batch, even if no block came.
    Close,
    /// The caller built, signed and did not broadcast what [`Duty::Post`] asked for.
    Funded {
        /// The batch.
        number: u64,
        /// Pays the output that commits to the envelope.
        commit: Transaction,
        /// Spends it by the envelope's leaf.
        reveal: Transaction,
    },
    /// The posting can never be mined: the coins of its commit transaction went elsewhere.
    Lost {
        /// The batch.
        number: u64,
        /// The transaction that cannot be mined.
        reveal: Txid,
    },
}

/// What the caller is to do. Each may be done any number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Tell the submitter that the transaction is in the mempool; it is on disk.
    Accept {
        /// The submission.
        ticket: u64,
        /// The transaction's id: its sighash.
        id: Digest,
    },
    /// Tell the submitter that the transaction was not taken.
    Reject {
        /// The submission.
        ticket: u64,
        /// Why.
        reason: Rejection,
    },
    /// Build and sign the two transactions that put this batch on Bitcoin, and hand them back as [`Event::Funded`]
    /// without broadcasting them.
    Post {
        /// The batch's number.
        number: u64,
        /// The envelope's payload: the batch, certificate included.
        payload: Vec<u8>,
    },
    /// Broadcast both, unless they are known. If the network says that the first spends what is spent, and the caller's
    /// wallet agrees, [`Event::Lost`] is the answer.
    Broadcast {
        /// The batch's number.
        number: u64,
        /// Pays the output that commits to the envelope.
        commit: Transaction,
        /// Spends it by the envelope's leaf.
        reveal: Transaction,
    },
    /// The posting is slow: pay more for it by a child of the reveal.
    Bump {
        /// The batch's number.
        number: u64,
        /// The transaction to be helped.
        reveal: Transaction,
        /// Blocks since it was taken over.
        waited: u32,
    },
}

/// Why a sequencer cannot go on. It keeps no half-done change: drop it, and open it again once the cause is gone.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its own store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] trestle_rollup::LedgerError),
}

/// One sequencer. See the [crate's page](crate).
pub struct Sequencer {
    key: Keypair,
    instance: Digest,
    confirmations: u32,
    store: Store,
    mempool: Mempool,
    /// The block whose state the mempool was settled against.
    settled: Option<Digest>,
}

impl Sequencer {
    /// Opens the sequencer whose key this is, with what it stored in `db`. `confirmations` is the depth at which the
    /// bridge takes a block for final.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn open(
        db: &sled::Db,
        key: Keypair,
        ledger: &Ledger,
        confirmations: u32,
        policy: Policy,
    ) -> Result<Self, Error> {
        let store = Store::open(db)?;
        let mut live = Vec::new();
        for item in store.live() {
            let (arrival, bytes) = item?;
            let signed = SignedTransaction::decode(&bytes).ok_or(StoreError::Damaged("a transaction"))?;
            live.push((arrival, signed));
        }
        let instance = ledger.parameters().instance();
        let mempool = Mempool::new(policy, instance, live, ledger.tip().0);
        Ok(Self { key, instance, confirmations, store, mempool, settled: None })
    }

    /// Takes an event in and returns what is to be done about it, once everything that it rests on is on disk.
    ///
    /// # Errors
    /// If a store fails; see [`Error`].
    pub fn process(&mut self, event: Event, ledger: &Ledger) -> Result<Vec<Duty>, Error> {
        self.settle(ledger)?;
        match event {
            Event::Submitted { ticket, transaction } => Ok(vec![self.submitted(ledger, ticket, &transaction)?]),
            Event::Tip | Event::Close => {
                self.close(ledger)?;
                self.post(ledger)
            }
            Event::Funded { number, commit, reveal } => {
                self.funded(ledger, number, commit, reveal)?;
                self.post(ledger)
            }
            Event::Lost { number, reveal } => {
                if self.store.posting(number)?.is_some_and(|posting| posting.reveal_txid() == reveal) {
                    self.forget_posting(number)?;
                }
                self.post(ledger)
            }
        }
    }

    /// What became of a transaction, by its id; `None` if it was never accepted.
    ///
    /// As of the last event. One that failed and was accepted again has the later fate.
    ///
    /// # Errors
    /// If the store fails.
    pub fn receipt(&self, id: &Digest) -> Result<Option<Receipt>, Error> {
        match self.mempool.receipt(id) {
            Some(receipt) => Ok(Some(receipt)),
            None => Ok(self.store.receipt(id)?),
        }
    }

    /// Balance and nonce of an account once everything queued is executed: what a wallet needs for its next
    /// transaction.
    ///
    /// # Errors
    /// If the ledger fails.
    pub fn pending(&mut self, account: &Account, ledger: &Ledger) -> Result<AccountState, Error> {
        self.settle(ledger)?;
        self.mempool.pending(ledger, account)
    }

    /// Brings the mempool to the tip, if it is not there.
    fn settle(&mut self, ledger: &Ledger) -> Result<(), Error> {
        let (height, entry) = ledger.tip();
        if self.settled == Some(entry.block_hash) {
            return Ok(());
        }
        let in_flight = self.in_flight(ledger)?;
        let finals = self.mempool.settle(ledger, &in_flight, self.confirmations)?;
        let mut changes = Changes::default();
        for end in &finals {
            changes.remove_live(end.arrival);
            changes.put_receipt(&end.id, &end.receipt);
        }
        let deep = height.saturating_sub(self.confirmations).max(ledger.parameters().genesis_height);
        let done = ledger.state(deep)?.meta()?.batches;
        for number in self.store.posted()?.into_iter().filter(|number| *number < done) {
            changes.remove_posting(number);
        }
        self.store.commit(changes)?;
        self.mempool.forget(&finals);
        self.settled = Some(entry.block_hash);
        Ok(())
    }

    /// The batches that were certified and are not executed at the tip.
    fn in_flight(&self, ledger: &Ledger) -> Result<Vec<InFlight>, Error> {
        let next = ledger.state_at_tip().meta()?.batches;
        self.store
            .batches_from(next)
            .map(|batch| batch.map(|batch| InFlight { number: batch.number, transactions: batch.transactions }))
            .collect::<Result<_, _>>()
            .map_err(Error::from)
    }

    fn submitted(&mut self, ledger: &Ledger, ticket: u64, bytes: &[u8]) -> Result<Duty, Error> {
        let Some(signed) = SignedTransaction::decode(bytes) else {
            return Ok(Duty::Reject { ticket, reason: Rejection::Malformed });
        };
        let id = signed.transaction.sighash(&self.instance);
        match self.mempool.judge(ledger, &id, &signed)? {
            Judgement::Known => {}
            Judgement::Reject(reason) => return Ok(Duty::Reject { ticket, reason }),
            Judgement::Admit { arrival, replaces } => {
                let mut changes = Changes::default();
                changes.put_live(arrival, bytes);
                if let Some(replaced) = replaces {
                    changes.put_receipt(&replaced, &Receipt::Failed { reason: Failure::Replaced });
                }
                self.store.commit(changes)?;
                self.mempool.admit(arrival, signed);
            }
        }
        Ok(Duty::Accept { ticket, id })
    }

    /// Certifies the queue's front as the next batch, if none is in flight.
    ///
    /// One at a time: two batches in the same block could be mined in the wrong order, and the later number would be
    /// skipped.
    fn close(&mut self, ledger: &Ledger) -> Result<(), Error> {
        let state = ledger.state_at_tip();
        let meta = state.meta()?;
        if self.store.batches_from(meta.batches).next().is_some() || !self.mempool.has_queue() {
            return Ok(());
        }
        let own = self.key.x_only_public_key().0.serialize();
        let keys = state.sequencer_keys(meta.height.saturating_add(1))?;
        if keys != [own] {
            tracing::warn!(sequencers = keys.len(), "this sequencer's key alone certifies nothing");
            return Ok(());
        }
        let transactions = self.mempool.next_batch();
        let mut batch = Batch::new(meta.batches, &transactions);
        batch.certify(0, schnorr::sign(&batch.digest(&self.instance), &self.key));
        let mut changes = Changes::default();
        changes.put_batch(&batch);
        self.store.commit(changes)?;
        self.mempool.batched(batch.number, &transactions);
        Ok(())
    }

    /// Takes over a posting, unless the batch has one.
    fn funded(&mut self, ledger: &Ledger, number: u64, commit: Transaction, reveal: Transaction) -> Result<(), Error> {
        let next = ledger.state_at_tip().meta()?.batches;
        let wanted = number == next && self.store.batch(number)?.is_some() && self.store.posting(number)?.is_none();
        let commits = reveal.input.first().map(|input| input.previous_output.txid) == Some(commit.compute_txid());
        if wanted && commits {
            let mut changes = Changes::default();
            changes.put_posting(number, &Posting { commit, reveal, since: ledger.tip().0 });
            self.store.commit(changes)?;
        }
        Ok(())
    }

    /// What is to be done for the batch that the Layer 2 waits for.
    fn post(&mut self, ledger: &Ledger) -> Result<Vec<Duty>, Error> {
        let number = ledger.state_at_tip().meta()?.batches;
        let Some(batch) = self.store.batch(number)? else { return Ok(Vec::new()) };
        let mut posting = self.store.posting(number)?;
        if let Some(skipped) = &posting
            && self.was_skipped(ledger, skipped)?
        {
            self.forget_posting(number)?;
            posting = None;
        }
        let Some(Posting { commit, reveal, since }) = posting else {
            // Accounts are named by indices that no reorganization takes away.
            let deep = ledger.tip().0.saturating_sub(self.confirmations).max(ledger.parameters().genesis_height);
            let deep = ledger.state(deep)?;
            let payload = batch.compact(&self.instance, |account| Ok::<_, Error>(deep.account(account)?.index))?;
            return Ok(vec![Duty::Post { number, payload }]);
        };
        let mut duties = vec![Duty::Broadcast { number, commit, reveal: reveal.clone() }];
        let waited = ledger.tip().0.saturating_sub(since);
        if waited >= self.mempool.policy().patience {
            duties.push(Duty::Bump { number, reveal, waited });
        }
        Ok(duties)
    }

    fn forget_posting(&self, number: u64) -> Result<(), Error> {
        let mut changes = Changes::default();
        changes.remove_posting(number);
        Ok(self.store.commit(changes)?)
    }

    /// Whether a posting was mined and did nothing, since it came before the batch that it follows. A reorganisation may
    /// have put it lower than the tip was when it was taken over.
    fn was_skipped(&self, ledger: &Ledger, posting: &Posting) -> Result<bool, Error> {
        let reveal = posting.reveal_txid();
        let genesis = ledger.parameters().genesis_height;
        for height in posting.since.saturating_sub(self.confirmations).max(genesis)..=ledger.tip().0 {
            let events = ledger.events(height)?;
            if events.iter().any(|event| matches!(event, LedgerEvent::Skipped { txid, .. } if *txid == reveal.into())) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
