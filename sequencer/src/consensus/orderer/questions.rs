//! What a sequencer's state machine answers without changing.

use trestle_rollup::{Account, AccountState, Batch, Certificate, Digest};

use super::super::certificate::{Conflict, Part, Promise};
use super::super::certifier::Certifier;
use super::super::message::Subject;
use super::{Error, Fate, Orderer};
use crate::policy::Policy;
use crate::store::Changes;

impl Orderer {
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
        let has_open = self.certifiers.values().any(Certifier::has_open);
        if has_open || !self.certifiers.contains_key(&head.set) {
            return Ok(has_open);
        }
        let behind = self.chain.newest_anchor()?.is_some_and(|newest| newest.height > head.anchor.height);
        if behind || (head.first > 0 && self.chain.is_bitcoin_free(&head)?) {
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
        Ok(self.part(height)?.filter(|part| self.is_complete(part.set, &part.certificate)))
    }

    /// A batch that was cut, with the signatures known.
    ///
    /// # Errors
    /// If the store fails.
    pub fn batch(&self, number: u64) -> Result<Option<Batch>, Error> {
        Ok(self.store.batch(number)?)
    }

    /// A batch with a set's certificate: what goes to Bitcoin while that set counts there.
    ///
    /// # Errors
    /// If the store fails.
    pub fn certified(&self, set: u32, number: u64) -> Result<Option<Batch>, Error> {
        let certificate = self.certificate(set, Subject::Batch(number))?;
        let Some(certificate) = certificate.filter(|certificate| self.is_complete(set, certificate)) else {
            return Ok(None);
        };
        Ok(self.batch(number)?.map(|batch| Batch { certificate, ..batch }))
    }

    /// Looks for a broken promise in the certificate of a batch from anywhere, Bitcoin say, by a set with these keys: one
    /// that is not what the same set certified here. What it finds is on disk.
    ///
    /// # Errors
    /// If the store fails.
    pub fn compare(&self, other: &Certificate, set: u32, keys: &[[u8; 32]]) -> Result<Option<Conflict>, Error> {
        let (number, instance) = (other.number, &self.instance);
        let own = self.batch(number)?.map(|own| own.to_certificate(instance));
        let is_same = own.is_some_and(|own| own.transactions == other.transactions);
        if number > self.chain.head().number || is_same {
            return Ok(None);
        }
        let own = self.certified(set, number)?.map(|own| Promise::Batch(own.to_certificate(instance)));
        let mut own: Vec<_> = own.into_iter().collect();
        let Some(first) = self.store.known_first_height(number)? else { return Ok(None) };
        for part in self.store.parts_from(first) {
            let (_, part) = part?;
            if part.number != number {
                break;
            }
            if part.set == set && self.is_complete(set, &part.certificate) {
                own.push(Promise::Part(part));
            }
        }
        let conflict = |own| Conflict::between(own, Promise::Batch(other.clone()), instance, keys);
        let conflict = own.into_iter().find_map(conflict);
        if let Some(conflict) = &conflict {
            let mut changes = Changes::default();
            changes.put_conflict(number, conflict);
            self.store.commit(changes)?;
        }
        Ok(conflict)
    }

    /// Evidence that quorums broke their promises.
    ///
    /// # Errors
    /// If the store fails.
    pub fn conflicts(&self) -> Result<Vec<Conflict>, Error> {
        Ok(self.store.conflicts()?)
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
