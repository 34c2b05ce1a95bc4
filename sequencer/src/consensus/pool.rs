//! The transactions that wait for a block.
//!
//! Accounts take turns in the order in which their transactions came; at its turn an account's lowest nonce goes first.
//! All that an account has waiting is covered by its balance after the last finalized block, so waiting costs the one
//! who makes others wait; and nobody has more than [`Policy::account_limit`] turns.

use std::collections::{BTreeMap, HashMap};

use bitcoin::Amount;
use trestle_rollup::{Account, AccountState, Digest, Refusal, SignedTransaction, Transaction};

use super::checked::Checked;
use crate::policy::Policy;
use crate::receipt::Rejection;

/// Blocks after which a transaction that no block took is forgotten.
pub const EXPIRY: u64 = 20_000;

struct Entry {
    id: Digest,
    signed: SignedTransaction,
    turn: u64,
    size: usize,
    /// Amount and fee.
    cost: u64,
    /// Height of the last finalized block when it came.
    since: u64,
}

/// See the [module](self).
pub(crate) struct Pool {
    policy: Policy,
    denominations: Vec<u64>,
    accounts: HashMap<Account, BTreeMap<u64, Entry>>,
    turns: BTreeMap<u64, Account>,
    ids: HashMap<Digest, (Account, u64)>,
    next_turn: u64,
    bytes: usize,
}

impl Pool {
    pub fn new(policy: Policy, denominations: Vec<u64>) -> Self {
        Self {
            policy,
            denominations,
            accounts: HashMap::new(),
            turns: BTreeMap::new(),
            ids: HashMap::new(),
            next_turn: 0,
            bytes: 0,
        }
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How many transactions wait.
    pub fn len(&self) -> usize {
        self.turns.len()
    }

    /// The lowest nonce that waits of each account.
    pub fn next_nonces(&self) -> impl Iterator<Item = (Account, u64)> {
        self.accounts.iter().filter_map(|(account, waiting)| Some((*account, *waiting.first_key_value()?.0)))
    }

    /// What an account's transactions from this nonce on take together, and the nonce after them.
    pub fn after(&self, account: &Account, first: u64) -> (u64, u64) {
        let (mut cost, mut nonce) = (0u64, first);
        for (at, entry) in self.accounts.get(account).into_iter().flat_map(|waiting| waiting.range(first..)) {
            if *at != nonce {
                break;
            }
            (cost, nonce) = (cost.saturating_add(entry.cost), nonce.saturating_add(1));
        }
        (cost, nonce)
    }

    pub fn contains(&self, id: &Digest) -> bool {
        self.ids.contains_key(id)
    }

    /// Takes a transaction of an account that is in this state, and returns which one it replaces.
    pub fn admit(
        &mut self,
        id: Digest,
        signed: SignedTransaction,
        state: AccountState,
        height: u64,
        checked: &mut Checked,
    ) -> Result<Option<Digest>, Rejection> {
        let transaction = &signed.transaction;
        let (from, nonce, size) = (transaction.from(), transaction.nonce(), signed.encode().len());
        let fee = Amount::from_sat(transaction.fee());
        if fee < self.policy.fee_floor {
            return Err(Rejection::FeeTooLow { floor: self.policy.fee_floor, got: fee });
        }
        self.pass(&from, state.nonce);
        let cost = self.cost(transaction).map_err(Rejection::Refused)?;
        let waiting = self.accounts.get(&from);
        let replaced = waiting.and_then(|waiting| waiting.get(&nonce));
        let limit = self.policy.account_limit;
        if nonce.checked_sub(state.nonce).is_none_or(|ahead| ahead >= limit as u64) {
            return Err(Rejection::Refused(Refusal::Nonce { expected: state.nonce }));
        }
        if let Some(old) = replaced {
            let needs = Amount::from_sat(old.signed.transaction.fee()) + self.policy.replacement_step;
            if fee < needs {
                return Err(Rejection::ReplacementTooCheap { needs });
            }
        }
        let spent: u64 =
            waiting.into_iter().flatten().filter(|(at, _)| **at != nonce).map(|(_, entry)| entry.cost).sum();
        if spent.checked_add(cost).is_none_or(|spent| spent > state.balance) {
            return Err(Rejection::Refused(Refusal::Balance { available: state.balance.saturating_sub(spent) }));
        }
        let freed = replaced.map_or(0, |old| old.size);
        if self.bytes - freed + size > self.policy.mempool_bytes {
            return Err(Rejection::MempoolFull { limit: self.policy.mempool_bytes });
        }
        if !checked.is_signed(&signed) {
            return Err(Rejection::Refused(Refusal::Signature));
        }
        let replaced = self.remove(&from, nonce);
        let turn = self.next_turn;
        self.next_turn += 1;
        self.bytes += size;
        self.turns.insert(turn, from);
        self.ids.insert(id, (from, nonce));
        self.accounts.entry(from).or_default().insert(nonce, Entry { id, signed, turn, size, cost, since: height });
        Ok(replaced)
    }

    /// What a transaction takes from its account.
    fn cost(&self, transaction: &Transaction) -> Result<u64, Refusal> {
        let amount = match transaction {
            Transaction::Transfer { amount: 0, .. } => return Err(Refusal::ZeroAmount),
            Transaction::Transfer { amount, .. } => *amount,
            Transaction::Withdraw { denomination, .. } => {
                *self.denominations.get(usize::from(*denomination)).ok_or(Refusal::UnknownDenomination)?
            }
        };
        amount.checked_add(transaction.fee()).ok_or(Refusal::Overflow)
    }

    /// The transactions in the order in which a block should take them.
    pub fn in_turn(&self) -> impl Iterator<Item = &SignedTransaction> {
        let mut cursors = HashMap::new();
        self.turns.values().filter_map(move |account| {
            let waiting = self.accounts.get(account)?;
            let cursor = cursors.entry(*account).or_insert_with(|| waiting.values());
            Some(&cursor.next()?.signed)
        })
    }

    /// Forgets what an account has below this nonce, and returns the ids.
    pub fn pass(&mut self, account: &Account, next: u64) -> Vec<Digest> {
        let waiting = self.accounts.get(account);
        let passed: Vec<_> = waiting.into_iter().flat_map(|waiting| waiting.range(..next)).map(|(at, _)| *at).collect();
        passed.into_iter().filter_map(|nonce| self.remove(account, nonce)).collect()
    }

    /// Forgets what waited too long, and returns the ids.
    pub fn expire(&mut self, height: u64) -> Vec<Digest> {
        let mut gone = Vec::new();
        while let Some((turn, account)) = self.turns.first_key_value().map(|(turn, account)| (*turn, *account)) {
            let waiting = self.accounts.get(&account);
            let oldest = waiting.into_iter().flatten().find(|(_, entry)| entry.turn == turn);
            let Some((&nonce, entry)) = oldest else { break };
            if entry.since.saturating_add(EXPIRY) > height {
                break;
            }
            gone.extend(self.remove(&account, nonce));
        }
        gone
    }

    fn remove(&mut self, account: &Account, nonce: u64) -> Option<Digest> {
        let waiting = self.accounts.get_mut(account)?;
        let entry = waiting.remove(&nonce)?;
        if waiting.is_empty() {
            self.accounts.remove(account);
        }
        self.turns.remove(&entry.turn);
        self.ids.remove(&entry.id);
        self.bytes -= entry.size;
        Some(entry.id)
    }
}
