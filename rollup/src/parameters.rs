//! What tells one bridge from another, and the state that it starts from.
//!
//! The parameters live in the genesis state, so that `R` of the genesis height commits to them and one guest program
//! serves every bridge. Changing any of them makes another instance, whose signatures are worth nothing here.

use alloc::vec::Vec;
use core::fmt;

use crate::apply::Entry;
use crate::compress::{Digest, tagged_hash};
use crate::execute::Rules;
use crate::host::{Host, Sink};
use crate::state::{ActiveOperators, Key, Meta, ReadState, Sequencers, State};
use crate::tree::{EMPTY, StateError};
use crate::wire::{Reader, pack};

/// The most denominations that a bridge can have.
pub const MAX_DENOMINATIONS: usize = 8;

/// Satoshis that a payout must at least have: Bitcoin Core's dust limit of the most expensive standard output (P2PKH).
pub const MIN_PAYOUT: u64 = 546;

/// Satoshis that can ever exist.
pub const MAX_MONEY: u64 = 2_100_000_000_000_000;

/// One bridge instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The committee's key `P`, x-only and untweaked: it signs mints and administration.
    pub committee: [u8; 32],
    /// The output key of the vault script `tr(P)`.
    pub vault_key: [u8; 32],
    /// Satoshis of each denomination, ascending.
    pub denominations: Vec<u64>,
    /// Satoshis that a payout is less than its denomination.
    pub withdrawal_fee: u64,
    /// Blocks in which a withdrawal is the committee's.
    pub cooperative_window: u16,
    /// Blocks in which a withdrawal is one operator's.
    pub operator_window: u16,
    /// Blocks after an operator's window in which its payout still counts.
    pub grace: u16,
    /// The operators' x-only keys.
    pub operators: Vec<[u8; 32]>,
    /// The sequencers' x-only keys.
    pub sequencers: Vec<[u8; 32]>,
    /// The x-only keys of the committee's signers, each its own: more than half of them have to agree to other sequencers.
    pub signers: Vec<[u8; 32]>,
    /// Blocks from a change of the sequencers to the first block whose batches the new ones certify. More than a
    /// reorganization is deep, so that everybody knows of it before.
    pub membership_delay: u16,
    /// Height of the block after which the Layer 2 starts.
    pub genesis_height: u32,
    /// Hash of that block, in the order in which SHA-256 writes it.
    pub genesis_hash: Digest,
    /// Hash of whatever else the bridge was created with and the Layer 2 does not read: delays, bonds, fees.
    pub bridge: Digest,
}

/// How long a withdrawal is whose, in blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// The committee's.
    pub cooperative: u16,
    /// Each operator's.
    pub operator: u16,
    /// The grace after each operator's.
    pub grace: u16,
}

/// Parameters that make no bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParametersError {
    /// There is no denomination, or there are more than [`MAX_DENOMINATIONS`].
    DenominationCount(usize),
    /// The denominations do not ascend at this index.
    DenominationOrder(usize),
    /// The denomination at this index leaves less than [`MIN_PAYOUT`] after the fee, or is more than [`MAX_MONEY`].
    DenominationValue(usize),
    /// Operators' windows and grace have no block at all.
    OperatorWindow,
    /// There are more than 255 operators.
    OperatorCount(usize),
    /// There are more than 255 sequencers.
    SequencerCount(usize),
    /// There are more than 255 signers.
    SignerCount(usize),
    /// A change of the sequencers would count in its own block.
    MembershipDelay,
    /// The operator at this index has the key of an earlier one.
    DuplicateOperator(usize),
    /// The sequencer at this index has the key of an earlier one: one key must not count twice for a quorum.
    DuplicateSequencer(usize),
    /// The signer at this index has the key of an earlier one: one key must not count twice for a majority.
    DuplicateSigner(usize),
}

impl fmt::Display for ParametersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DenominationCount(count) => write!(f, "{count} denominations; 1 to {MAX_DENOMINATIONS} are possible"),
            Self::DenominationOrder(index) => {
                write!(f, "denomination {index} is not greater than the one before")
            }
            Self::DenominationValue(index) => write!(f, "denomination {index} is out of range"),
            Self::OperatorWindow => f.write_str("the operators' window is empty"),
            Self::OperatorCount(count) => write!(f, "{count} operators; at most 255 are possible"),
            Self::SequencerCount(count) => {
                write!(f, "{count} sequencers; at most 255 are possible")
            }
            Self::SignerCount(count) => {
                write!(f, "{count} signers; at most 255 are possible")
            }
            Self::MembershipDelay => f.write_str("a change of the sequencers has no delay"),
            Self::DuplicateSigner(index) => {
                write!(f, "signer {index} has the key of an earlier one")
            }
            Self::DuplicateOperator(index) => {
                write!(f, "operator {index} has the key of an earlier one")
            }
            Self::DuplicateSequencer(index) => {
                write!(f, "sequencer {index} has the key of an earlier one")
            }
        }
    }
}

impl core::error::Error for ParametersError {}

impl Parameters {
    /// Whether these can be a bridge's parameters.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), ParametersError> {
        let count = self.denominations.len();
        if count == 0 || count > MAX_DENOMINATIONS {
            return Err(ParametersError::DenominationCount(count));
        }
        let mut previous = 0;
        for (index, value) in self.denominations.iter().copied().enumerate() {
            if value <= previous {
                return Err(ParametersError::DenominationOrder(index));
            }
            if value > MAX_MONEY || value.checked_sub(self.withdrawal_fee).is_none_or(|payout| payout < MIN_PAYOUT) {
                return Err(ParametersError::DenominationValue(index));
            }
            previous = value;
        }
        if self.operator_window == 0 {
            return Err(ParametersError::OperatorWindow);
        }
        u8::try_from(self.operators.len()).map_err(|_| ParametersError::OperatorCount(self.operators.len()))?;
        u8::try_from(self.sequencers.len()).map_err(|_| ParametersError::SequencerCount(self.sequencers.len()))?;
        u8::try_from(self.signers.len()).map_err(|_| ParametersError::SignerCount(self.signers.len()))?;
        if self.membership_delay == 0 {
            return Err(ParametersError::MembershipDelay);
        }
        if let Some(index) = duplicate(&self.operators) {
            return Err(ParametersError::DuplicateOperator(index));
        }
        if let Some(index) = duplicate(&self.sequencers) {
            return Err(ParametersError::DuplicateSequencer(index));
        }
        if let Some(index) = duplicate(&self.signers) {
            return Err(ParametersError::DuplicateSigner(index));
        }
        Ok(())
    }

    /// All the parameters in one unambiguous byte string: integers little-endian, lists after their `u32` lengths.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let length = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.committee);
        bytes.extend_from_slice(&self.vault_key);
        bytes.extend_from_slice(&length(self.denominations.len()));
        for value in &self.denominations {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes.extend_from_slice(&self.withdrawal_fee.to_le_bytes());
        for window in [self.cooperative_window, self.operator_window, self.grace, self.membership_delay] {
            bytes.extend_from_slice(&window.to_le_bytes());
        }
        for keys in [&self.operators, &self.sequencers, &self.signers] {
            bytes.extend_from_slice(&length(keys.len()));
            bytes.extend_from_slice(keys.as_flattened());
        }
        bytes.extend_from_slice(&self.genesis_height.to_le_bytes());
        bytes.extend_from_slice(&self.genesis_hash);
        bytes.extend_from_slice(&self.bridge);
        bytes
    }

    /// The hash of the parameters, which every signature of this bridge covers: BIP 340's tagged hash, with the tag
    /// `Trestle/parameters`, of [`Self::encode`].
    #[must_use]
    pub fn instance(&self) -> Digest {
        tagged_hash("Trestle/parameters", &[&self.encode()])
    }

    /// The first four bytes of [`Self::instance`], by which tags and envelopes of this bridge are found.
    #[must_use]
    pub fn bridge_tag(&self) -> [u8; 4] {
        bridge_tag(&self.instance())
    }

    /// How long a withdrawal is whose.
    #[must_use]
    pub const fn windows(&self) -> Windows {
        Windows { cooperative: self.cooperative_window, operator: self.operator_window, grace: self.grace }
    }

    /// Satoshis that the payout of a withdrawal of this denomination must at least have.
    #[must_use]
    pub fn payout_value(&self, denomination: u8) -> Option<u64> {
        self.denominations.get(usize::from(denomination))?.checked_sub(self.withdrawal_fee)
    }

    /// The entry of the genesis height. Its nodes go to `sink`.
    ///
    /// # Errors
    /// If these cannot be a bridge's parameters, as [`Self::check`].
    pub fn genesis(&self, sink: &mut impl Sink) -> Result<Entry, ParametersError> {
        self.check()?;
        let mut host = Nothing;
        let mut state = State::new(&mut host, EMPTY);
        let set = state.set_all(self.genesis_values());
        debug_assert!(set.is_ok(), "the empty tree has no node that could not be read");
        let state_root = state.commit(|digest, m, b| sink.node(digest, m, b));
        Ok(Entry { block_hash: self.genesis_hash, state_root })
    }

    fn genesis_values(&self) -> Vec<(Key, Digest)> {
        let count = |list: usize| u8::try_from(list).unwrap_or(u8::MAX);
        let values: Vec<[u8; 8]> = self.denominations.iter().map(|value| value.to_le_bytes()).collect();
        let (low, high) = values.split_at_checked(4).unwrap_or((&values, &[]));
        let windows = [self.cooperative_window, self.operator_window, self.grace].map(u16::to_le_bytes);
        let mut active = ActiveOperators::default();
        (0..count(self.operators.len())).for_each(|index| active.set(index, true));
        let meta = Meta { height: self.genesis_height, operators: count(self.operators.len()), ..Meta::default() };
        let mut state = alloc::vec![
            (Key::Parameter(0), self.instance()),
            (Key::Parameter(1), self.committee),
            (Key::Parameter(2), self.vault_key),
            (
                Key::Parameter(3),
                pack(&[
                    &self.withdrawal_fee.to_le_bytes(),
                    windows.as_flattened(),
                    &[count(values.len()), count(self.signers.len())],
                    &self.membership_delay.to_le_bytes(),
                ]),
            ),
            (Key::Parameter(4), pack(&[low.as_flattened()])),
            (Key::Parameter(5), pack(&[high.as_flattened()])),
            (Key::Meta, meta.encode()),
            (Key::ActiveOperators, active.0),
            (Key::Sequencers, Sequencers { set: 0, count: count(self.sequencers.len()), next: None }.encode()),
        ];
        state.extend((0..=u8::MAX).zip(&self.operators).map(|(index, key)| (Key::Operator(index), *key)));
        let sequencer = |(index, key): (u8, &[u8; 32])| (Key::Sequencer { set: 0, index }, *key);
        state.extend((0..=u8::MAX).zip(&self.sequencers).map(sequencer));
        state.extend((0..=u8::MAX).zip(&self.signers).map(|(index, key)| (Key::Signer(index), *key)));
        state
    }
}

/// The index of the first key that an earlier one is equal to.
pub(crate) fn duplicate(keys: &[[u8; 32]]) -> Option<usize> {
    keys.iter().enumerate().position(|(index, key)| keys.iter().take(index).any(|earlier| earlier == key))
}

/// The tag of an instance.
pub(crate) fn bridge_tag(instance: &Digest) -> [u8; 4] {
    pack(&[instance])
}

impl Rules {
    /// Reads the parameters back from a state.
    ///
    /// # Errors
    /// If the state cannot be read, or is none that began with [`Parameters::genesis`].
    pub fn read<S: ReadState>(state: &mut S, root: &Digest) -> Result<Self, StateError<S::Error>> {
        let mut value = |index| state.value(Key::Parameter(index))?.ok_or(StateError::Node(*root));
        let (instance, committee, vault_key) = (value(0)?, value(1)?, value(2)?);
        let (numbers, low, high) = (value(3)?, value(4)?, value(5)?);
        let parse = || {
            let mut numbers = Reader::new(&numbers);
            let withdrawal_fee = numbers.u64()?;
            let windows = Windows { cooperative: numbers.u16()?, operator: numbers.u16()?, grace: numbers.u16()? };
            let (count, signers, membership_delay) = (numbers.u8()?, numbers.u8()?, numbers.u16()?);
            let values = low.as_chunks().0.iter().chain(high.as_chunks().0);
            let denominations = values.take(usize::from(count)).map(|value| u64::from_le_bytes(*value)).collect();
            Some(Self {
                instance,
                committee,
                vault_key,
                denominations,
                withdrawal_fee,
                windows,
                membership_delay,
                signers,
            })
        };
        parse().ok_or(StateError::Node(*root))
    }
}

/// The host of the empty state: it has no nodes, and none is asked for.
struct Nothing;

impl Host for Nothing {
    type Error = core::convert::Infallible;

    fn preimage(&mut self, _: &Digest) -> Result<(Digest, [u8; 64]), Self::Error> {
        Ok(([0; 32], [0; 64]))
    }
}
