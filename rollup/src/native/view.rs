//! The state after one block.

use crate::apply::{Entry, claim_holds};
use crate::assignment::Assignment;
use crate::execute::{Effect, Refusal, Rules, execute};
use crate::host::Host;
use crate::identifiers::{Account, SlotId, WithdrawalId};
use crate::native::store::{LedgerError, Store};
use crate::state::{AccountState, At, Fulfilment, Key, Member, Meta, ReadState, Sequencers, State, Withdrawal};
use crate::transaction::{SignedTransaction, Transaction};
use crate::tree::Tree;

/// The state after the block at one height, read as it is asked for.
///
/// A view stays what it is while the ledger goes on, even if its block is reorganized away. Cloning is cheap, and
/// clones share the ledger's cache of nodes.
#[derive(Clone, Debug)]
pub struct View {
    store: Store,
    height: u32,
    entry: Entry,
    pending: Vec<WithdrawalId>,
}

/// Every method fails only if the database does.
impl View {
    pub(super) fn new(store: Store, height: u32, entry: Entry, pending: Vec<WithdrawalId>) -> Self {
        Self { store, height, entry, pending }
    }

    /// Runs a reader on the state.
    fn read<T, F>(&self, read: F) -> Result<T, LedgerError>
    where
        F: FnOnce(&mut At<'_, Store>) -> Result<T, crate::tree::StateError<LedgerError>>,
    {
        let mut store = self.store.clone();
        Ok(read(&mut At { host: &mut store, root: self.entry.state_root })?)
    }

    /// The height of the block.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The entry of the history; its digest is `R_h`.
    #[must_use]
    pub const fn entry(&self) -> Entry {
        self.entry
    }

    /// The counters.
    ///
    /// # Errors
    /// If the database fails.
    pub fn meta(&self) -> Result<Meta, LedgerError> {
        self.read(|state| state.meta())
    }

    /// Balance and nonce of an account; zeros if it was never heard of.
    ///
    /// # Errors
    /// If the database fails.
    pub fn account(&self, account: &Account) -> Result<AccountState, LedgerError> {
        self.read(|state| state.account(account))
    }

    /// A withdrawal.
    ///
    /// # Errors
    /// If the database fails.
    pub fn withdrawal(&self, id: WithdrawalId) -> Result<Option<Withdrawal>, LedgerError> {
        self.read(|state| state.withdrawal(id))
    }

    /// How a slot was used, if it was.
    ///
    /// # Errors
    /// If the database fails.
    pub fn slot(&self, slot: SlotId) -> Result<Option<Fulfilment>, LedgerError> {
        self.read(|state| state.slot(slot))
    }

    /// An operator, active or not.
    ///
    /// # Errors
    /// If the database fails.
    pub fn operator(&self, index: u8) -> Result<Option<Member>, LedgerError> {
        self.read(|state| state.operator(index))
    }

    /// The account with an index.
    ///
    /// # Errors
    /// If the database fails.
    pub fn account_at(&self, index: u32) -> Result<Option<Account>, LedgerError> {
        self.read(|state| state.account_at(index))
    }

    /// Which sets of sequencers there are.
    ///
    /// # Errors
    /// If the database fails.
    pub fn sequencers(&self) -> Result<Sequencers, LedgerError> {
        self.read(|state| state.sequencers())
    }

    /// The keys of the sequencers who certify the batches of the block at `height`, in the order of their indices. It is
    /// known for any height up to the parameters' `membership_delay` ahead of this one.
    ///
    /// # Errors
    /// If the database fails.
    pub fn sequencer_keys(&self, height: u32) -> Result<Vec<[u8; 32]>, LedgerError> {
        self.read(|state| {
            let (set, count) = state.sequencers()?.at(height);
            state.sequencer_keys(set, count)
        })
    }

    /// The keys of a set of sequencers, in the order of their indices; none if there is no such set. No set is forgotten.
    ///
    /// # Errors
    /// If the database fails.
    pub fn keys_of_set(&self, set: u32) -> Result<Vec<[u8; 32]>, LedgerError> {
        self.read(|state| {
            let keys = (0..u8::MAX).map(|index| state.value(Key::Sequencer { set, index }));
            keys.take_while(|key| !matches!(key, Ok(None))).map(|key| Ok(key?.unwrap_or_default())).collect()
        })
    }

    /// Whose a pending withdrawal is for a payout in the *next* block, the earliest that could confirm one that is
    /// sent now. `None` if there is no such withdrawal, or it is paid.
    ///
    /// # Errors
    /// If the database fails.
    pub fn assignment(&self, id: WithdrawalId) -> Result<Option<Assignment>, LedgerError> {
        self.assignment_at(id, self.height.saturating_add(1))
    }

    /// Whose a pending withdrawal is for a payout in the block at `height`, if the operators stay the same.
    ///
    /// # Errors
    /// If the database fails.
    pub fn assignment_at(&self, id: WithdrawalId, height: u32) -> Result<Option<Assignment>, LedgerError> {
        let root = self.entry.state_root;
        self.read(|state| {
            let Some(withdrawal) = state.withdrawal(id)?.filter(|withdrawal| !withdrawal.paid) else {
                return Ok(None);
            };
            let rules = Rules::read(state, &root)?;
            let (operators, active) = (state.meta()?.operators, state.active_operators()?);
            Ok(Some(Assignment::at(id, &withdrawal, height, &rules.windows, operators, &active)))
        })
    }

    /// The withdrawals that are not paid, in the order in which they were requested.
    ///
    /// # Errors
    /// If the database fails.
    pub fn pending_withdrawals(&self) -> Result<Vec<(WithdrawalId, Withdrawal)>, LedgerError> {
        let missing = |id: WithdrawalId| LedgerError::Corrupt(format!("withdrawal {id} is missing"));
        self.pending.iter().map(|id| Ok((*id, self.withdrawal(*id)?.ok_or_else(|| missing(*id))?))).collect()
    }

    /// Whether a claim on the slot at this height holds; see [`claim_holds`].
    ///
    /// # Errors
    /// If the database fails.
    pub fn claim_holds(
        &self,
        slot: SlotId,
        confirmations: u32,
        block_hash_prefix: [u8; 4],
    ) -> Result<bool, LedgerError> {
        self.read(|state| claim_holds(state, &self.entry, slot, confirmations, block_hash_prefix))
    }

    /// A state to try transactions on, as if this one were to be followed by a batch in the next block.
    ///
    /// # Errors
    /// If the database fails.
    pub fn draft(&self) -> Result<Draft, LedgerError> {
        let root = self.entry.state_root;
        let (rules, mut meta) = self.read(|state| Ok((Rules::read(state, &root)?, state.meta()?)))?;
        meta.height = meta.height.saturating_add(1);
        let known = meta.accounts;
        Ok(Draft { store: self.store.clone(), tree: Tree::new(root), rules, meta, known })
    }
}

/// Transactions executed on top of a view, by the very rules of the blocks, and never written anywhere: what a
/// sequencer checks its queue with. Fees go to no one.
#[derive(Clone, Debug)]
pub struct Draft {
    store: Store,
    tree: Tree,
    rules: Rules,
    meta: Meta,
    /// How many accounts there were when it began.
    known: u32,
}

impl Draft {
    /// Executes a transaction after checking its signature.
    ///
    /// # Errors
    /// The outer error if the database fails; the inner one if a batch would skip the transaction here.
    pub fn execute(&mut self, signed: &SignedTransaction) -> Result<Result<Effect, Refusal>, LedgerError> {
        let valid = self.store.verify(&[signed.check(&self.rules.instance)]) == [true];
        self.run(&signed.transaction, valid)
    }

    /// Executes a transaction whose signature was checked before.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub fn execute_checked(&mut self, transaction: &Transaction) -> Result<Result<Effect, Refusal>, LedgerError> {
        self.run(transaction, true)
    }

    fn run(&mut self, transaction: &Transaction, signed: bool) -> Result<Result<Effect, Refusal>, LedgerError> {
        let (rules, meta) = (&self.rules, &mut self.meta);
        let tree = std::mem::replace(&mut self.tree, Tree::new(crate::tree::EMPTY));
        let mut state = State::with_tree(&mut self.store, tree);
        let outcome = execute(&mut state, rules, meta, transaction, signed, transaction.fee());
        self.tree = state.into_tree();
        Ok(outcome?)
    }

    /// Most bytes that a transaction takes in a posted batch, if the poster names accounts by the indices of the view that
    /// the draft began with, or of a later one of the same chain.
    ///
    /// # Errors
    /// If the database fails.
    pub fn posted_bytes(&mut self, transaction: &Transaction) -> Result<usize, LedgerError> {
        let known = self.known;
        // Indices are given in order: those that the draft gave are not the accounts' for sure.
        let index = |account: &Account| Ok(self.account(account)?.index.filter(|index| *index < known));
        crate::compact::most_bytes(transaction, index)
    }

    /// Balance and nonce of an account after what was executed.
    ///
    /// # Errors
    /// If the database fails.
    pub fn account(&mut self, account: &Account) -> Result<AccountState, LedgerError> {
        let tree = std::mem::replace(&mut self.tree, Tree::new(crate::tree::EMPTY));
        let mut state = State::with_tree(&mut self.store, tree);
        let found = state.account(account);
        self.tree = state.into_tree();
        Ok(found?)
    }
}
