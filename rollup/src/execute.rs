//! Executing one Layer 2 transaction.

use alloc::vec::Vec;
use core::fmt;

use crate::compress::Digest;
use crate::destination::Destination;
use crate::host::Host;
use crate::identifiers::{Account, WithdrawalId};
use crate::parameters::{Windows, bridge_tag};
use crate::state::{AccountState, Meta, ReadState, State, Withdrawal};
use crate::transaction::Transaction;
use crate::tree::StateError;

/// The parameters that a block is applied by, read from the state itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The hash of all parameters, which every signature covers.
    pub instance: Digest,
    /// The committee's key.
    pub committee: [u8; 32],
    /// The output key of the vault script.
    pub vault_key: [u8; 32],
    /// Satoshis of each denomination.
    pub denominations: Vec<u64>,
    /// Satoshis that a payout is less than its denomination.
    pub withdrawal_fee: u64,
    /// How long a withdrawal is whose.
    pub windows: Windows,
    /// Blocks after which a change of the sequencers counts.
    pub membership_delay: u16,
    /// How many signers the committee has.
    pub signers: u8,
}

impl Rules {
    /// By which tags and envelopes of this bridge are found.
    #[must_use]
    pub fn bridge_tag(&self) -> [u8; 4] {
        bridge_tag(&self.instance)
    }

    /// Satoshis of the denomination at an index.
    #[must_use]
    pub fn denomination(&self, index: u8) -> Option<u64> {
        self.denominations.get(usize::from(index)).copied()
    }
}

/// Why a Layer 2 transaction cannot be executed. It changes nothing then, not even the nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum Refusal {
    /// The signature is not valid.
    Signature,
    /// The nonce is not the number of the account's transactions so far.
    Nonce {
        /// What it should be.
        expected: u64,
    },
    /// A transfer of nothing.
    ZeroAmount,
    /// There is no such denomination.
    UnknownDenomination,
    /// The account has less than amount and fee.
    Balance {
        /// What it has, in satoshis.
        available: u64,
    },
    /// A sum or a counter would be more than fits.
    Overflow,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature => f.write_str("the signature is not valid"),
            Self::Nonce { expected } => write!(f, "the nonce should be {expected}"),
            Self::ZeroAmount => f.write_str("the amount is zero"),
            Self::UnknownDenomination => f.write_str("there is no such denomination"),
            Self::Balance { available } => write!(f, "the account has only {available} sat"),
            Self::Overflow => f.write_str("a sum would be more than fits"),
        }
    }
}

impl core::error::Error for Refusal {}

/// What an executed transaction did, and what it paid the sequencers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// `amount` satoshis went from one account to another.
    Transferred {
        /// Who paid.
        from: Account,
        /// Who was paid.
        to: Account,
        /// Satoshis.
        amount: u64,
    },
    /// A withdrawal is now pending.
    Requested {
        /// Its number.
        id: WithdrawalId,
        /// Whose coins they were.
        from: Account,
        /// Index of the denomination.
        denomination: u8,
        /// Where it is to be paid.
        destination: Destination,
    },
}

/// Executes a transaction whose signature was found valid or not, taking `fee` satoshis instead of its own fee.
///
/// `meta` is the state's, held by the caller, who writes it back; its height is that of the block being applied.
///
/// # Errors
/// The outer error if the state cannot be read; the inner one if the transaction is not possible.
pub fn execute<H: Host>(
    state: &mut State<'_, H>,
    rules: &Rules,
    meta: &mut Meta,
    transaction: &Transaction,
    signed: bool,
    fee: u64,
) -> Result<Result<Effect, Refusal>, StateError<H::Error>> {
    if !signed {
        return Ok(Err(Refusal::Signature));
    }
    let from = transaction.from();
    let payer = state.account(&from)?;
    let amount = match transaction {
        Transaction::Transfer { amount: 0, .. } => return Ok(Err(Refusal::ZeroAmount)),
        Transaction::Transfer { amount, .. } => *amount,
        Transaction::Withdraw { denomination, .. } => match rules.denomination(*denomination) {
            Some(amount) => amount,
            None => return Ok(Err(Refusal::UnknownDenomination)),
        },
    };
    let payer = match charge(payer, transaction.nonce(), amount, fee) {
        Ok(payer) => payer,
        Err(refusal) => return Ok(Err(refusal)),
    };
    match *transaction {
        Transaction::Transfer { to, .. } => {
            let payee = if to == from { payer } else { state.account(&to)? };
            let Some(balance) = payee.balance.checked_add(amount) else {
                return Ok(Err(Refusal::Overflow));
            };
            // The payee first: it may be new, and there may be no index left. The payer is not: it has a balance.
            if !state.set_account(meta, to, &AccountState { balance, ..payee })? {
                return Ok(Err(Refusal::Overflow));
            }
            if to != from {
                state.set_account(meta, from, &payer)?;
            }
            Ok(Ok(Effect::Transferred { from, to, amount }))
        }
        Transaction::Withdraw { denomination, destination, .. } => {
            let id = WithdrawalId(meta.withdrawals);
            let (next, supply) = (meta.withdrawals.checked_add(1), meta.supply.checked_sub(amount));
            let (Some(next), Some(supply)) = (next, supply) else {
                return Ok(Err(Refusal::Overflow));
            };
            (meta.withdrawals, meta.supply) = (next, supply);
            state.set_account(meta, from, &payer)?;
            let operators = meta.operators;
            let withdrawal =
                Withdrawal { denomination, requested_height: meta.height, destination, paid: false, operators };
            state.set_withdrawal(id, &withdrawal)?;
            Ok(Ok(Effect::Requested { id, from, denomination, destination }))
        }
    }
}

/// The payer's account after the transaction.
fn charge(payer: AccountState, nonce: u64, amount: u64, fee: u64) -> Result<AccountState, Refusal> {
    if nonce != payer.nonce {
        return Err(Refusal::Nonce { expected: payer.nonce });
    }
    let cost = amount.checked_add(fee).ok_or(Refusal::Overflow)?;
    let balance = payer.balance.checked_sub(cost).ok_or(Refusal::Balance { available: payer.balance })?;
    let nonce = payer.nonce.checked_add(1).ok_or(Refusal::Overflow)?;
    Ok(AccountState { balance, nonce, ..payer })
}
