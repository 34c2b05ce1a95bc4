//! What a sequencer's state machine answers without changing.

use commonware_cryptography::Digested;
use trestle_rollup::{Account, AccountState, Batch, Digest, Signatures};

use super::super::block::Block;
use super::super::certificate::{Conflict, Part};
use super::super::certifier::Signed;
use super::super::message::Subject;
use super::{Error, Fate, Orderer};
use crate::policy::Policy;

impl Orderer {
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

    /// Number of the batch that is being filled: all before it are cut.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.chain.head().number
    }

    /// How many transactions the batch has that is being filled.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.chain.head().first
    }

    /// The sequencer's index.
    #[must_use]
    pub fn index(&self) -> u8 {
        self.certifier.own()
    }

    /// What it takes.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        self.pool.policy()
    }

    /// How many transactions wait for a block.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pool.len()
    }

    /// Whether something is to become final, cut or certified, or an anchor to be used, that does not wait for Bitcoin.
    ///
    /// # Errors
    /// If a store fails.
    pub fn is_busy(&mut self) -> Result<bool, Error> {
        let head = *self.chain.head();
        let behind = self.chain.newest_anchor()?.is_some_and(|newest| newest.height > head.anchor.height);
        if behind || self.certifier.has_open() || (head.first > 0 && self.chain.is_bitcoin_free(&head)?) {
            return Ok(true);
        }
        let next: Vec<_> = self.pool.next_nonces().collect();
        for (account, nonce) in next {
            if self.account(&account)?.nonce == nonce {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the final block at a height adds to its batch, with the signatures known; none if it has no transactions.
    ///
    /// # Errors
    /// If the store fails.
    pub fn part(&self, height: u64) -> Result<Option<Part>, Error> {
        Ok(self.store.part(height)?)
    }

    /// The same with its certificate: what a user keeps.
    ///
    /// # Errors
    /// If the store fails.
    pub fn certified_part(&self, height: u64) -> Result<Option<Part>, Error> {
        Ok(self.part(height)?.filter(|part| self.certifier.is_complete(&part.certificate)))
    }

    /// A batch that was cut, with the signatures known.
    ///
    /// # Errors
    /// If the store fails.
    pub fn batch(&self, number: u64) -> Result<Option<Batch>, Error> {
        Ok(self.store.batch(number)?)
    }

    /// A batch with its certificate: what goes to Bitcoin.
    ///
    /// # Errors
    /// If the store fails.
    pub fn certified(&self, number: u64) -> Result<Option<Batch>, Error> {
        Ok(self.batch(number)?.filter(|batch| self.certifier.is_complete(&batch.certificate)))
    }

    /// Evidence that quorums broke their promises.
    ///
    /// # Errors
    /// If the store fails.
    pub fn conflicts(&self) -> Result<Vec<Conflict>, Error> {
        Ok(self.store.conflicts()?)
    }

    pub(super) fn certificate(&self, subject: Subject) -> Result<Option<Signatures>, Error> {
        Ok(match subject {
            Subject::Part(height) => self.part(height)?.map(|part| part.certificate),
            Subject::Batch(number) => self.batch(number)?.map(|batch| batch.certificate),
        })
    }

    pub(super) fn signed(&self, subject: Subject) -> Result<Option<Signed>, Error> {
        let instance = self.certifier.instance();
        let digest = match subject {
            Subject::Part(height) => self.part(height)?.map(|part| part.digest(instance)),
            Subject::Batch(number) => self.batch(number)?.map(|batch| batch.digest(instance)),
        };
        let certificate = self.certificate(subject)?;
        Ok(digest.zip(certificate).map(|(digest, certificate)| Signed { digest, certificate }))
    }

    /// What became of a transaction; `None` if it was never heard of, or forgotten.
    ///
    /// # Errors
    /// If the store fails.
    pub fn fate(&self, id: &Digest) -> Result<Option<Fate>, Error> {
        if let Some(height) = self.store.place(id)? {
            return Ok(Some(Fate::Final { height }));
        }
        Ok(self.pool.contains(id).then_some(Fate::Waiting))
    }

    /// Balance and nonce of an account after the last final block.
    ///
    /// # Errors
    /// If a store fails.
    pub fn account(&mut self, account: &Account) -> Result<AccountState, Error> {
        self.chain.account(&self.store, account)
    }

    /// Balance and nonce of an account once what waits is executed, as far as no nonce is missing.
    ///
    /// # Errors
    /// If a store fails.
    pub fn pending(&mut self, account: &Account) -> Result<AccountState, Error> {
        let state = self.account(account)?;
        let (cost, nonce) = self.pool.after(account, state.nonce);
        Ok(AccountState { balance: state.balance.saturating_sub(cost), nonce, ..state })
    }

    /// How deep an anchor must be.
    #[must_use]
    pub fn confirmations(&self) -> u32 {
        self.chain.confirmations()
    }
}
