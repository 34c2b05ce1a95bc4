//! What the state tree holds: typed keys, and records of 32 bytes.
//!
//! A key is `C(IV_KEY, kind ‖ zeros ‖ id)`: one byte of kind, 31 zeros, and 32 bytes of id (integers little-endian,
//! zeros after). Every record starts at its value's first byte, integers little-endian, zeros after; so there is one
//! encoding of each record. Nothing is ever deleted.

use alloc::vec::Vec;

use crate::compress::{Digest, IV_KEY, compress};
use crate::destination::Destination;
use crate::host::Host;
use crate::identifiers::{Account, SlotId, WithdrawalId};
use crate::tree::{StateError, Tree, lookup};
use crate::wire::{Reader, pack};

/// Where a record is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// One of the parameters (see [`crate::parameters`]).
    Parameter(u8),
    /// [`Meta`].
    Meta,
    /// [`AccountState`] of an account.
    Account(Account),
    /// [`Withdrawal`], all but the destination's payload.
    Withdrawal(WithdrawalId),
    /// The payload of a withdrawal's [`Destination`].
    Destination(WithdrawalId),
    /// [`Fulfilment`] of a slot.
    Slot(SlotId),
    /// The key of an operator, active or not.
    Operator(u8),
    /// [`ActiveOperators`].
    ActiveOperators,
    /// The key of a member of one of the sets of sequencers that there were, are, or will be.
    Sequencer {
        /// The set's number, from 0.
        set: u32,
        /// The member's index.
        index: u8,
    },
    /// The account that came into being as the one with this number.
    Index(u32),
    /// [`Sequencers`].
    Sequencers,
    /// The key of a signer of the committee.
    Signer(u8),
}

impl Key {
    /// The key's place in the tree.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let (kind, id): (u8, Digest) = match self {
            Self::Parameter(index) => (0, pack(&[&[*index]])),
            Self::Meta => (1, [0; 32]),
            Self::Account(account) => (2, account.0),
            Self::Withdrawal(id) => (3, pack(&[&id.0.to_le_bytes()])),
            Self::Destination(id) => (4, pack(&[&id.0.to_le_bytes()])),
            Self::Slot(slot) => (5, pack(&[&slot.to_bytes()])),
            Self::Operator(index) => (6, pack(&[&[*index]])),
            Self::ActiveOperators => (7, [0; 32]),
            Self::Sequencer { set, index } => (8, pack(&[&set.to_le_bytes(), &[*index]])),
            Self::Index(index) => (9, pack(&[&index.to_le_bytes()])),
            Self::Sequencers => (10, [0; 32]),
            Self::Signer(index) => (11, pack(&[&[*index]])),
        };
        compress(&IV_KEY, &pack(&[&[kind], &[0; 31], &id]))
    }
}

/// The counters of the Layer 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Height of the block that this state is the result of.
    pub height: u32,
    /// Sum of all balances, in satoshis.
    pub supply: u64,
    /// Number of withdrawals so far: the next one's id.
    pub withdrawals: u32,
    /// Number of batches so far: the only number that the next one may have.
    pub batches: u64,
    /// Number of accounts that came into being so far: the next one's index.
    pub accounts: u32,
    /// Number of operators, active or not.
    pub operators: u8,
}

impl Meta {
    /// The record.
    #[must_use]
    pub fn encode(&self) -> Digest {
        pack(&[
            &self.height.to_le_bytes(),
            &self.supply.to_le_bytes(),
            &self.withdrawals.to_le_bytes(),
            &self.batches.to_le_bytes(),
            &self.accounts.to_le_bytes(),
            &[self.operators],
        ])
    }

    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            height: from.u32()?,
            supply: from.u64()?,
            withdrawals: from.u32()?,
            batches: from.u64()?,
            accounts: from.u32()?,
            operators: from.u8()?,
        })
    }
}

/// Which of the sets of sequencers certifies batches, at which height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Sequencers {
    /// A set's number: how many were before it.
    pub set: u32,
    /// How many members it has.
    pub count: u8,
    /// What the next set is to be, or what the set that counts was made by.
    pub next: Option<NextSequencers>,
}

/// The set after [`Sequencers::set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct NextSequencers {
    /// How many members it has.
    pub count: u8,
    /// Height of the first block whose batches it certifies.
    pub from: u32,
}

impl Sequencers {
    /// The number and the size of the set that certifies the batches of the block at `height`, as far as is known now. It
    /// is right for any height up to [`Parameters::membership_delay`](crate::Parameters::membership_delay) blocks ahead.
    #[must_use]
    pub fn at(&self, height: u32) -> (u32, u8) {
        match self.next {
            Some(next) if height >= next.from => (self.set.saturating_add(1), next.count),
            _ => (self.set, self.count),
        }
    }

    /// The number of the last set that there is, whether it counts already or not.
    #[must_use]
    pub fn announced(&self) -> u32 {
        self.set.saturating_add(self.next.is_some().into())
    }

    /// The record.
    #[must_use]
    pub fn encode(&self) -> Digest {
        let next = self.next.unwrap_or(NextSequencers { count: 0, from: 0 });
        pack(&[&self.set.to_le_bytes(), &[self.count, next.count], &next.from.to_le_bytes()])
    }

    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let (set, count) = (from.u32()?, from.u8()?);
        let next = NextSequencers { count: from.u8()?, from: from.u32()? };
        Some(Self { set, count, next: Some(next).filter(|next| next.count > 0) })
    }
}

/// One account. An account that was never heard of has neither balance nor nonce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct AccountState {
    /// Satoshis.
    pub balance: u64,
    /// Number of its transactions that were executed: the only nonce that the next one may have.
    pub nonce: u64,
    /// How many accounts came into being before it; none if it was never heard of.
    pub index: Option<u32>,
}

impl AccountState {
    /// The record.
    #[must_use]
    pub fn encode(&self) -> Digest {
        // What is written has an index: see `State::set_account`.
        let index = self.index.unwrap_or(u32::MAX);
        pack(&[&self.balance.to_le_bytes(), &self.nonce.to_le_bytes(), &index.to_le_bytes()])
    }

    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self { balance: from.u64()?, nonce: from.u64()?, index: Some(from.u32()?) })
    }
}

/// One withdrawal, pending or paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Withdrawal {
    /// Index of the denomination.
    pub denomination: u8,
    /// Height of the block that it was requested in.
    pub requested_height: u32,
    /// Where it is to be paid.
    pub destination: Destination,
    /// Whether it was paid, by an operator or cooperatively.
    pub paid: bool,
    /// Number of operators at the request, so that a new operator changes no assignment of an old withdrawal.
    pub operators: u8,
}

impl Withdrawal {
    /// The record and, apart, the destination's payload.
    #[must_use]
    pub fn encode(&self) -> (Digest, Digest) {
        let record = pack(&[
            &[self.denomination],
            &self.requested_height.to_le_bytes(),
            &[u8::from(self.paid), self.destination.kind(), self.operators],
        ]);
        (record, pack(&[self.destination.payload()]))
    }

    fn decode(record: &mut Reader<'_>, payload: &mut Reader<'_>) -> Option<Self> {
        let (denomination, requested_height) = (record.u8()?, record.u32()?);
        let (paid, kind, operators) = (record.u8()? != 0, record.u8()?, record.u8()?);
        let destination = Destination::read(kind, payload)?;
        Some(Self { denomination, requested_height, destination, paid, operators })
    }
}

/// A used slot: the payout that fulfilled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Fulfilment {
    /// Height of the block with the payout.
    pub height: u32,
    /// The withdrawal that was paid.
    pub withdrawal: WithdrawalId,
}

impl Fulfilment {
    /// The record.
    #[must_use]
    pub fn encode(&self) -> Digest {
        pack(&[&self.height.to_le_bytes(), &self.withdrawal.0.to_le_bytes()])
    }

    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self { height: from.u32()?, withdrawal: WithdrawalId(from.u32()?) })
    }
}

/// The operators that withdrawals are assigned to: bit i (of byte i / 8, least significant first) is operator i.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActiveOperators(pub [u8; 32]);

impl ActiveOperators {
    /// Whether the operator takes withdrawals.
    #[must_use]
    pub fn contains(&self, operator: u8) -> bool {
        self.0.get(usize::from(operator >> 3)).is_some_and(|byte| byte & (1 << (operator & 7)) != 0)
    }

    /// Lets the operator take withdrawals, or no more.
    pub fn set(&mut self, operator: u8, active: bool) {
        if let Some(byte) = self.0.get_mut(usize::from(operator >> 3)) {
            let bit = 1 << (operator & 7);
            *byte = if active { *byte | bit } else { *byte & !bit };
        }
    }
}

/// An operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its x-only key.
    pub key: [u8; 32],
    /// Whether withdrawals are assigned to it.
    pub active: bool,
}

/// Reading records from a state, wherever its nodes are.
pub trait ReadState {
    /// Why a node could not be had.
    type Error;

    /// The value at a key.
    ///
    /// # Errors
    /// If the nodes on its path cannot be read; no other method has another reason to fail.
    fn value(&mut self, key: Key) -> Result<Option<Digest>, StateError<Self::Error>>;

    /// The counters; all zero in the empty state.
    ///
    /// # Errors
    /// As [`Self::value`].
    fn meta(&mut self) -> Result<Meta, StateError<Self::Error>> {
        Ok(self.value(Key::Meta)?.and_then(|value| Meta::decode(&mut Reader::new(&value))).unwrap_or_default())
    }

    /// Balance and nonce of an account.
    ///
    /// # Errors
    /// As [`Self::value`].
    fn account(&mut self, account: &Account) -> Result<AccountState, StateError<Self::Error>> {
        let value = self.value(Key::Account(*account))?;
        Ok(value.and_then(|value| AccountState::decode(&mut Reader::new(&value))).unwrap_or_default())
    }

    /// A withdrawal.
    ///
    /// # Errors
    /// As [`Self::value`].
    fn withdrawal(&mut self, id: WithdrawalId) -> Result<Option<Withdrawal>, StateError<Self::Error>> {
        let Some(record) = self.value(Key::Withdrawal(id))? else {
            return Ok(None);
        };
        let payload = self.value(Key::Destination(id))?.unwrap_or_default();
        Ok(Withdrawal::decode(&mut Reader::new(&record), &mut Reader::new(&payload)))
    }

    /// How a slot was used, if it was.
    ///
    /// # Errors
    /// As [`Self::value`].
    fn slot(&mut self, slot: SlotId) -> Result<Option<Fulfilment>, StateError<Self::Error>> {
        Ok(self.value(Key::Slot(slot))?.and_then(|value| Fulfilment::decode(&mut Reader::new(&value))))
    }

    /// Which operators withdrawals are assigned to.
    ///
    /// # Errors
    /// As [`Self::value`].
    fn active_operators(&mut self) -> Result<ActiveOperators, StateError<Self::Error>> {
        Ok(self.value(Key::ActiveOperators)?.map(ActiveOperators).unwrap_or_default())
    }

    /// An operator.
    ///
    /// # Errors
    /// As [`Self::value`].
    fn operator(&mut self, index: u8) -> Result<Option<Member>, StateError<Self::Error>> {
        let Some(key) = self.value(Key::Operator(index))? else {
            return Ok(None);
        };
        Ok(Some(Member { key, active: self.active_operators()?.contains(index) }))
    }

    /// The account with an index.
    ///
    /// # Errors
    /// As [`Self::value`].
    fn account_at(&mut self, index: u32) -> Result<Option<Account>, StateError<Self::Error>> {
        Ok(self.value(Key::Index(index))?.map(Account))
    }

    /// Which sets of sequencers there are.
    ///
    /// # Errors
    /// As [`Self::value`].
    fn sequencers(&mut self) -> Result<Sequencers, StateError<Self::Error>> {
        let value = self.value(Key::Sequencers)?;
        Ok(value.and_then(|value| Sequencers::decode(&mut Reader::new(&value))).unwrap_or_default())
    }

    /// The keys of a set of sequencers of this size, in the order of their indices.
    ///
    /// # Errors
    /// As [`Self::value`].
    fn sequencer_keys(&mut self, set: u32, count: u8) -> Result<Vec<[u8; 32]>, StateError<Self::Error>> {
        let key = |index| Ok(self.value(Key::Sequencer { set, index })?.unwrap_or_default());
        (0..count).map(key).collect()
    }
}

/// A state that nothing is kept of: each read walks from the root.
#[derive(Debug)]
pub struct At<'a, H> {
    /// Produces the nodes.
    pub host: &'a mut H,
    /// The state root.
    pub root: Digest,
}

impl<H: Host> ReadState for At<'_, H> {
    type Error = H::Error;

    fn value(&mut self, key: Key) -> Result<Option<Digest>, StateError<H::Error>> {
        lookup(self.host, &self.root, &key.digest())
    }
}

/// A state that is being changed.
#[derive(Debug)]
pub struct State<'a, H> {
    /// Produces the nodes, checks the signatures.
    pub host: &'a mut H,
    tree: Tree,
}

impl<H: Host> ReadState for State<'_, H> {
    type Error = H::Error;

    fn value(&mut self, key: Key) -> Result<Option<Digest>, StateError<H::Error>> {
        self.tree.get(self.host, &key.digest())
    }
}

impl<'a, H: Host> State<'a, H> {
    /// The state with this root.
    pub fn new(host: &'a mut H, root: Digest) -> Self {
        Self { host, tree: Tree::new(root) }
    }

    /// The state as it stands in `tree`.
    pub fn with_tree(host: &'a mut H, tree: Tree) -> Self {
        Self { host, tree }
    }

    /// Gives the overlay back.
    #[must_use]
    pub fn into_tree(self) -> Tree {
        self.tree
    }

    /// Writes one value.
    ///
    /// # Errors
    /// If the nodes on its path cannot be read.
    pub fn set(&mut self, key: Key, value: Digest) -> Result<(), StateError<H::Error>> {
        self.tree.set(self.host, key.digest(), value)
    }

    /// Writes all the given values.
    ///
    /// # Errors
    /// If the nodes on a path cannot be read.
    pub fn set_all(&mut self, values: Vec<(Key, Digest)>) -> Result<(), StateError<H::Error>> {
        values.into_iter().try_for_each(|(key, value)| self.set(key, value))
    }

    /// Writes an account; one that was never heard of comes into being and gets the next index. `false`, and nothing is
    /// written, if there is none left.
    ///
    /// # Errors
    /// If the nodes on its path cannot be read.
    pub fn set_account(
        &mut self,
        meta: &mut Meta,
        account: Account,
        new: &AccountState,
    ) -> Result<bool, StateError<H::Error>> {
        let mut new = *new;
        if new.index.is_none() {
            let Some(accounts) = meta.accounts.checked_add(1) else { return Ok(false) };
            self.set(Key::Index(meta.accounts), account.0)?;
            (new.index, meta.accounts) = (Some(meta.accounts), accounts);
        }
        self.set(Key::Account(account), new.encode())?;
        Ok(true)
    }

    /// Writes a withdrawal.
    ///
    /// # Errors
    /// If the nodes on its path cannot be read.
    pub fn set_withdrawal(&mut self, id: WithdrawalId, new: &Withdrawal) -> Result<(), StateError<H::Error>> {
        let (record, payload) = new.encode();
        self.set(Key::Withdrawal(id), record)?;
        self.set(Key::Destination(id), payload)
    }

    /// Hashes what changed and returns the root; see [`Tree::commit`].
    pub fn commit(&mut self, emit: impl FnMut(&Digest, &Digest, &[u8; 64])) -> Digest {
        self.tree.commit(emit)
    }
}
