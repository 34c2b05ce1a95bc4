//! Batches as they are posted: as few bytes as their transactions can be read from again.
//!
//! ```text
//! posted   = number varint ‖ signatures ‖ fee varint ‖ sum[32] ‖ entry …
//! entry    = head u8 ‖ nonce[32] ‖ from ‖ (transfer: to ‖ mantissa varint │ withdrawal: denomination u8 ‖ destination)
//!            ‖ [nonce varint] ‖ [fee varint]
//! head     = bit 0: a withdrawal; bit 1: the nonce follows; bit 2: the fee follows; bits 3 to 6: the decimal exponent
//! account  = index + 1 as a varint, or 0 and the 32 bytes of its key
//! ```
//!
//! Varints have seven bits a byte, the least significant first, in their shortest form. What is not said is
//!
//! - **who**: an account has an index, given once and for ever when it came into being ([`Key::Index`](crate::state::Key)).
//!   It can be named by it from the next block on;
//! - **the nonce**: that of the same account's entry before, plus one;
//! - **the fee**: the batch's;
//! - **the amount's zeros**: it is mantissa · 10^exponent;
//! - **the signatures**: half of each, `nonce[32]`, and one sum for all ([`crate::aggregate`]).
//!
//! None of it can change what was certified. The sequencers' signatures cover the ids of the transactions in full, keys and
//! nonces included: a batch that is read as anything else has no certificate. So it does not matter what is mined between
//! certification and execution, and who posts a batch is free to choose how.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::aggregate::{HalfSignature, MAX_SIGNATURES};
#[cfg(feature = "std")]
use crate::batch::Batch;
use crate::certificate::{Certificate, Signatures, take};
use crate::compress::Digest;
use crate::destination::Destination;
use crate::event::Skip;
use crate::identifiers::Account;
use crate::transaction::Transaction;
use crate::wire::Reader;

const WITHDRAWAL: u8 = 1;
const NONCE: u8 = 1 << 1;
const FEE: u8 = 1 << 2;
const EXPONENT: u32 = 3;
const MAX_EXPONENT: u8 = 15;

/// Most bytes of a posted batch beside its entries: number, certificate of 255 sequencers, fee and sum.
#[cfg(feature = "std")]
pub const MOST_BESIDE: usize = 10 + 33 + 255 * 64 + 10 + 32;

/// Most bytes that a transaction's entry takes, in whatever batch, posted by whomever; `index` says by which indices
/// accounts can be named for sure. An entry has at least 38.
///
/// # Errors
/// If `index` fails.
#[cfg(feature = "std")]
pub fn most_bytes<E>(
    transaction: &Transaction,
    mut index: impl FnMut(&Account) -> Result<Option<u32>, E>,
) -> Result<usize, E> {
    use crate::wire::put_varint;

    let mut bytes = Vec::with_capacity(128);
    put_name(&mut bytes, &transaction.from(), index(&transaction.from())?);
    match transaction {
        Transaction::Transfer { to, amount, .. } => {
            put_name(&mut bytes, to, index(to)?);
            put_varint(&mut bytes, decimal(*amount).0);
        }
        Transaction::Withdraw { denomination, destination, .. } => {
            bytes.push(*denomination);
            destination.encode(&mut bytes);
        }
    }
    put_varint(&mut bytes, transaction.nonce());
    put_varint(&mut bytes, transaction.fee());
    // Head and half a signature.
    Ok(bytes.len().saturating_add(1 + 32))
}

/// Appends how an account is named, by its index if it has one that serves.
#[cfg(feature = "std")]
fn put_name(to: &mut Vec<u8>, account: &Account, index: Option<u32>) {
    match index {
        Some(index) => crate::wire::put_varint(to, u64::from(index).saturating_add(1)),
        None => to.extend([0].into_iter().chain(account.0)),
    }
}

/// The part of a posted batch that says which it is and who certified it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted<'a> {
    /// The batch's number.
    pub number: u64,
    /// The sequencers' signatures over [`Certificate::digest`].
    pub signatures: Signatures,
    rest: &'a [u8],
}

/// The transactions of a posted batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// In order.
    pub transactions: Vec<Transaction>,
    /// Of each, what is left of its signature; the message is the transaction's id.
    pub signatures: Vec<HalfSignature>,
    /// The sum of the signatures' second halves.
    pub sum: [u8; 32],
}

impl<'a> Posted<'a> {
    /// Reads the first part of an envelope's payload; `None` if it is no batch.
    #[must_use]
    pub fn decode(payload: &'a [u8]) -> Option<Self> {
        let mut from = Reader::new(payload);
        let (number, signatures) = (from.varint()?, take(&mut from)?);
        Some(Self { number, signatures, rest: from.rest() })
    }

    /// Reads the rest, asking for accounts by their indices.
    ///
    /// # Errors
    /// The outer error if `account` fails; the inner one if the bytes are no transactions, or an account has no such index.
    pub fn open<E>(
        &self,
        instance: &Digest,
        mut account: impl FnMut(u32) -> Result<Option<Account>, E>,
    ) -> Result<Result<Opened, Skip>, E> {
        let mut from = Reader::new(self.rest);
        let (Some(fee), Some(sum)) = (from.varint(), from.array()) else { return Ok(Err(Skip::Malformed)) };
        let mut opened = Opened { transactions: Vec::new(), signatures: Vec::new(), sum };
        let mut nonces = BTreeMap::new();
        while !from.is_empty() {
            let Some(entry) = Entry::read(&mut from).filter(|_| opened.transactions.len() < MAX_SIGNATURES) else {
                return Ok(Err(Skip::Malformed));
            };
            let mut key = |name| match name {
                Name::Key(key) => Ok(Some(key)),
                Name::Index(index) => account(index),
            };
            let Some(payer) = key(entry.from)? else { return Ok(Err(Skip::AccountIndex)) };
            let nonce = entry.nonce.or_else(|| nonces.get(&payer).copied());
            let Some((nonce, next)) = nonce.and_then(|nonce: u64| Some((nonce, nonce.checked_add(1)?))) else {
                return Ok(Err(Skip::Malformed));
            };
            nonces.insert(payer, next);
            let fee = entry.fee.unwrap_or(fee);
            let transaction = match entry.what {
                What::Transfer { to, amount } => {
                    let Some(to) = key(to)? else { return Ok(Err(Skip::AccountIndex)) };
                    Transaction::Transfer { from: payer, to, amount, fee, nonce }
                }
                What::Withdraw { denomination, destination } => {
                    Transaction::Withdraw { from: payer, destination, denomination, fee, nonce }
                }
            };
            let message = transaction.sighash(instance);
            opened.transactions.push(transaction);
            opened.signatures.push(HalfSignature { key: payer.0, message, nonce: entry.half });
        }
        Ok(Ok(opened))
    }

    /// What the sequencers said of it.
    #[must_use]
    pub fn to_certificate(&self, opened: &Opened) -> Certificate {
        let transactions = opened.signatures.iter().map(|half| half.message).collect();
        Certificate { number: self.number, transactions, signatures: self.signatures.clone() }
    }
}

/// How an entry names an account.
enum Name {
    Key(Account),
    Index(u32),
}

impl Name {
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        match from.varint()?.checked_sub(1) {
            None => from.array().map(Account).map(Self::Key),
            Some(index) => u32::try_from(index).ok().map(Self::Index),
        }
    }
}

struct Entry {
    half: [u8; 32],
    from: Name,
    what: What,
    nonce: Option<u64>,
    fee: Option<u64>,
}

enum What {
    Transfer { to: Name, amount: u64 },
    Withdraw { denomination: u8, destination: Destination },
}

impl Entry {
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let head = from.u8()?;
        let has = |flag| head & flag != 0;
        let exponent = head >> EXPONENT;
        let (half, payer) = (from.array()?, Name::read(from)?);
        let what = if !has(WITHDRAWAL) && exponent <= MAX_EXPONENT {
            let (to, mantissa) = (Name::read(from)?, from.varint()?);
            What::Transfer { to, amount: mantissa.checked_mul(10u64.checked_pow(exponent.into())?)? }
        } else if has(WITHDRAWAL) && exponent == 0 {
            What::Withdraw { denomination: from.u8()?, destination: Destination::decode(from)? }
        } else {
            return None;
        };
        let nonce = if has(NONCE) { Some(from.varint()?) } else { None };
        let fee = if has(FEE) { Some(from.varint()?) } else { None };
        Some(Self { half, from: payer, what, nonce, fee })
    }
}

#[cfg(feature = "std")]
impl Batch {
    /// What goes to Bitcoin, in an envelope of [`Kind::Batch`](crate::envelope::Kind). `index` knows the accounts' indices;
    /// where it has none the account's key is written. An index serves only if the block before the envelope's has it too,
    /// so it should come from a state that is deep.
    ///
    /// A batch must have no more than [`MAX_SIGNATURES`] transactions, each with a valid signature.
    ///
    /// # Errors
    /// If `index` fails.
    pub fn compact<E>(
        &self,
        instance: &Digest,
        mut index: impl FnMut(&Account) -> Result<Option<u32>, E>,
    ) -> Result<Vec<u8>, E> {
        use crate::wire::put_varint;

        let mut bytes = Vec::with_capacity(self.transactions.len().saturating_mul(44));
        put_varint(&mut bytes, self.number);
        crate::certificate::put(&mut bytes, &self.certificate);
        let fee = self.usual_fee();
        put_varint(&mut bytes, fee);
        let checks: Vec<_> = self.transactions.iter().map(|signed| signed.check(instance)).collect();
        bytes.extend_from_slice(&crate::aggregate::aggregate(&checks));
        let mut nonces = BTreeMap::new();
        for signed in &self.transactions {
            let transaction = &signed.transaction;
            let (payer, nonce) = (transaction.from(), transaction.nonce());
            let follows = nonces.insert(payer, nonce).and_then(|before: u64| before.checked_add(1)) == Some(nonce);
            let (mantissa, exponent) = match transaction {
                Transaction::Transfer { amount, .. } => decimal(*amount),
                Transaction::Withdraw { .. } => (0, 0),
            };
            let mut head = exponent << EXPONENT;
            if !follows {
                head |= NONCE;
            }
            if transaction.fee() != fee {
                head |= FEE;
            }
            let mut name = |bytes: &mut Vec<u8>, account: &Account| {
                put_name(bytes, account, index(account)?);
                Ok(())
            };
            let half = signed.signature.first_chunk::<32>().copied().unwrap_or_default();
            match transaction {
                Transaction::Transfer { to, .. } => {
                    bytes.push(head);
                    bytes.extend_from_slice(&half);
                    name(&mut bytes, &payer)?;
                    name(&mut bytes, to)?;
                    put_varint(&mut bytes, mantissa);
                }
                Transaction::Withdraw { denomination, destination, .. } => {
                    bytes.push(head | WITHDRAWAL);
                    bytes.extend_from_slice(&half);
                    name(&mut bytes, &payer)?;
                    bytes.push(*denomination);
                    destination.encode(&mut bytes);
                }
            }
            if !follows {
                put_varint(&mut bytes, nonce);
            }
            if transaction.fee() != fee {
                put_varint(&mut bytes, transaction.fee());
            }
        }
        Ok(bytes)
    }

    /// The fee that most of the transactions pay; of several the highest.
    fn usual_fee(&self) -> u64 {
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for signed in &self.transactions {
            let count = counts.entry(signed.transaction.fee()).or_default();
            *count = count.saturating_add(1);
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map_or(0, |(fee, _)| fee)
    }
}

/// Mantissa and exponent, the exponent as high as it can be.
#[cfg(feature = "std")]
const fn decimal(mut amount: u64) -> (u64, u8) {
    let mut exponent = 0;
    while exponent < MAX_EXPONENT && amount > 0 && amount.is_multiple_of(10) {
        (amount, exponent) = (amount / 10, exponent.saturating_add(1));
    }
    (amount, exponent)
}
