//! What is on its way, written down before it is sent.
//!
//! A deposit is recorded with its signed funding transaction and its terms before that transaction is broadcast; a
//! withdrawal or a forced transaction before it leaves. Whatever interrupts a command, the next one finds what was
//! signed, and sends the same again: nothing is ever made a second time.

use std::path::{Path, PathBuf};
use std::{fs, io};

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Amount, OutPoint, Transaction, Txid};
use serde::{Deserialize, Serialize};
use trestle_bridge::transactions::DepositTerms;

use super::home;
use crate::rpc::types::{Hex32, ReceiptQuery};

const VERSION: u32 = 1;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be written; nothing was sent.
    #[error("cannot write {file}, so nothing was sent: {why}")]
    Write {
        /// The file.
        file: PathBuf,
        /// Why not.
        why: String,
    },
    /// It makes no sense.
    #[error("{file} is damaged ({why}): restore it from a backup")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// A deposit of this wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositEntry {
    /// What the committee is told.
    pub terms: DepositTerms,
    /// The transaction that pays the deposit output, signed.
    pub funding: SignedTransaction,
    /// Whether the node has taken the terms.
    pub registered: bool,
    /// The refund, from the moment it was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<SignedTransaction>,
}

/// A withdrawal of this wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalEntry {
    /// The Layer 2 transaction that requests it.
    pub transaction: ReceiptQuery,
    /// What it takes from the account.
    #[serde(rename = "denomination_sat", with = "bitcoin::amount::serde::as_sat")]
    pub denomination: Amount,
    /// Where it goes.
    pub destination: Address<NetworkUnchecked>,
}

/// A Layer 2 transaction that goes through Bitcoin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForcedEntry {
    /// The Layer 2 transaction.
    pub id: Hex32,
    /// Its nonce.
    pub nonce: u64,
    /// The transaction that pays for the envelope.
    pub commit: SignedTransaction,
    /// The transaction that shows the envelope.
    pub reveal: SignedTransaction,
}

/// A Bitcoin transaction ready to be broadcast, with its id for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawTransaction", into = "RawTransaction")]
pub struct SignedTransaction(pub Transaction);

#[derive(Serialize, Deserialize)]
struct RawTransaction {
    txid: Txid,
    hex: String,
}

impl From<SignedTransaction> for RawTransaction {
    fn from(SignedTransaction(tx): SignedTransaction) -> Self {
        Self { txid: tx.compute_txid(), hex: bitcoin::consensus::encode::serialize_hex(&tx) }
    }
}

impl TryFrom<RawTransaction> for SignedTransaction {
    type Error = bitcoin::consensus::encode::FromHexError;
    fn try_from(raw: RawTransaction) -> Result<Self, Self::Error> {
        bitcoin::consensus::encode::deserialize_hex(&raw.hex).map(Self)
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Contents {
    version: u32,
    deposits: Vec<DepositEntry>,
    withdrawals: Vec<WithdrawalEntry>,
    forced: Vec<ForcedEntry>,
}

/// The journal of one wallet. Every change is on disk when the method that makes it returns.
#[derive(Debug)]
pub struct Journal {
    file: PathBuf,
    contents: Contents,
}

impl Journal {
    /// Opens the journal in `file`; one that is not there is empty.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn open(file: &Path) -> Result<Self, JournalError> {
        let contents = match fs::read_to_string(file) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|e| JournalError::Damaged { file: file.into(), why: e.to_string() })?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Contents { version: VERSION, ..Contents::default() },
            Err(source) => return Err(JournalError::Read { file: file.into(), source }),
        };
        if contents.version != VERSION {
            let why = format!("version {} is not {VERSION}, which this program writes", contents.version);
            return Err(JournalError::Damaged { file: file.into(), why });
        }
        Ok(Self { file: file.into(), contents })
    }

    /// The deposits, oldest first.
    pub fn deposits(&self) -> &[DepositEntry] {
        &self.contents.deposits
    }

    /// The deposit at `outpoint`.
    pub fn deposit(&self, outpoint: &OutPoint) -> Option<&DepositEntry> {
        self.contents.deposits.iter().find(|d| d.terms.outpoint == *outpoint)
    }

    /// The withdrawals, oldest first.
    pub fn withdrawals(&self) -> &[WithdrawalEntry] {
        &self.contents.withdrawals
    }

    /// The forced transactions, oldest first.
    pub fn forced(&self) -> &[ForcedEntry] {
        &self.contents.forced
    }

    /// Every Bitcoin transaction on record, parents first.
    pub fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        let deposits = self.contents.deposits.iter().flat_map(|d| [Some(&d.funding), d.refund.as_ref()]);
        let forced = self.contents.forced.iter().flat_map(|f| [Some(&f.commit), Some(&f.reveal)]);
        deposits.chain(forced).flatten().map(|SignedTransaction(tx)| tx)
    }

    /// Records a deposit; to be called before its funding transaction is broadcast.
    ///
    /// # Errors
    /// [`JournalError::Write`].
    pub fn record_deposit(&mut self, entry: DepositEntry) -> Result<(), JournalError> {
        self.change(|c| c.deposits.push(entry))
    }

    /// Records that the node has taken the terms.
    ///
    /// # Errors
    /// [`JournalError::Write`].
    pub fn record_registered(&mut self, outpoint: &OutPoint) -> Result<(), JournalError> {
        self.change(|c| {
            c.deposits.iter_mut().filter(|d| d.terms.outpoint == *outpoint).for_each(|d| d.registered = true)
        })
    }

    /// Records a refund; to be called before it is broadcast.
    ///
    /// # Errors
    /// [`JournalError::Write`].
    pub fn record_refund(&mut self, outpoint: &OutPoint, refund: SignedTransaction) -> Result<(), JournalError> {
        self.change(|c| {
            if let Some(d) = c.deposits.iter_mut().find(|d| d.terms.outpoint == *outpoint) {
                d.refund = Some(refund);
            }
        })
    }

    /// Records a withdrawal, with the forced transaction that carries it if one does; to be called before either leaves.
    ///
    /// # Errors
    /// [`JournalError::Write`].
    pub fn record(
        &mut self,
        withdrawal: Option<WithdrawalEntry>,
        forced: Option<ForcedEntry>,
    ) -> Result<(), JournalError> {
        self.change(|c| {
            c.withdrawals.extend(withdrawal);
            c.forced.extend(forced);
        })
    }

    fn change(&mut self, with: impl FnOnce(&mut Contents)) -> Result<(), JournalError> {
        let mut next = self.contents.clone();
        with(&mut next);
        let text = serde_json::to_vec_pretty(&next).expect("a journal has string keys only");
        home::replace(&self.file, &text)
            .map_err(|e| JournalError::Write { file: self.file.clone(), why: e.to_string() })?;
        self.contents = next;
        Ok(())
    }
}
