//! Layer 2 transactions: what an account signs.
//!
//! ```text
//! transfer   0 ‖ from[32] ‖ to[32] ‖ amount u64 ‖ fee u64 ‖ nonce u64                       89 bytes
//! withdraw   1 ‖ from[32] ‖ denomination u8 ‖ destination (kind, 20 or 32 bytes) ‖ fee u64 ‖ nonce u64
//! signed     transaction ‖ signature[64]
//! ```
//!
//! Integers are little-endian; there is one encoding of each transaction. The signature is BIP 340's over
//! [`Transaction::sighash`], which covers the instance: a transaction of one bridge is nothing on another. The nonce
//! must be the number of the account's transactions so far, so each is executed once and in order.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::compress::{Digest, tagged_hash};
use crate::destination::Destination;
use crate::host::SignatureCheck;
use crate::identifiers::Account;
use crate::schnorr;
use crate::wire::{Reader, serde_as_text, write_hex};

/// What an account can ask for. Amounts and fees are satoshis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum Transaction {
    /// Pay another account.
    Transfer {
        /// Who pays, and signs.
        from: Account,
        /// Who is paid. It may be the same account, and need not exist yet.
        to: Account,
        /// Satoshis paid; not zero.
        amount: u64,
        /// Satoshis for the sequencers.
        fee: u64,
        /// The account's transactions before this one.
        nonce: u64,
    },
    /// Leave for Bitcoin with one denomination.
    Withdraw {
        /// Who pays, and signs.
        from: Account,
        /// Where the coins go, less the bridge's withdrawal fee.
        destination: Destination,
        /// Index of the denomination.
        denomination: u8,
        /// Satoshis for the sequencers.
        fee: u64,
        /// The account's transactions before this one.
        nonce: u64,
    },
}

impl Transaction {
    /// The account that pays and signs.
    #[must_use]
    pub const fn from(&self) -> Account {
        match self {
            Self::Transfer { from, .. } | Self::Withdraw { from, .. } => *from,
        }
    }

    /// Satoshis for the sequencers; not taken if the transaction is forced.
    #[must_use]
    pub const fn fee(&self) -> u64 {
        match self {
            Self::Transfer { fee, .. } | Self::Withdraw { fee, .. } => *fee,
        }
    }

    /// The number of the account's transactions before this one.
    #[must_use]
    pub const fn nonce(&self) -> u64 {
        match self {
            Self::Transfer { nonce, .. } | Self::Withdraw { nonce, .. } => *nonce,
        }
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(89 + 64);
        match self {
            Self::Transfer { from, to, amount, fee, nonce } => {
                bytes.push(0);
                bytes.extend_from_slice(&from.0);
                bytes.extend_from_slice(&to.0);
                bytes.extend_from_slice(&amount.to_le_bytes());
                bytes.extend_from_slice(&fee.to_le_bytes());
                bytes.extend_from_slice(&nonce.to_le_bytes());
            }
            Self::Withdraw { from, destination, denomination, fee, nonce } => {
                bytes.push(1);
                bytes.extend_from_slice(&from.0);
                bytes.push(*denomination);
                destination.encode(&mut bytes);
                bytes.extend_from_slice(&fee.to_le_bytes());
                bytes.extend_from_slice(&nonce.to_le_bytes());
            }
        }
        bytes
    }

    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        match from.u8()? {
            0 => Some(Self::Transfer {
                from: Account(from.array()?),
                to: Account(from.array()?),
                amount: from.u64()?,
                fee: from.u64()?,
                nonce: from.u64()?,
            }),
            1 => {
                let (account, denomination) = (Account(from.array()?), from.u8()?);
                let destination = Destination::decode(from)?;
                Some(Self::Withdraw { from: account, destination, denomination, fee: from.u64()?, nonce: from.u64()? })
            }
            _ => None,
        }
    }

    /// What is signed, and the transaction's id: BIP 340's tagged hash, with the tag `Trestle/transaction`, of instance ‖
    /// encoding.
    #[must_use]
    pub fn sighash(&self, instance: &Digest) -> Digest {
        tagged_hash("Trestle/transaction", &[instance, &self.encode()])
    }

    /// Signs with the account's key. The caller answers for it being `from`'s.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn sign(self, instance: &Digest, key: &bitcoin::secp256k1::Keypair) -> SignedTransaction {
        let signature = schnorr::sign(&self.sighash(instance), key);
        SignedTransaction { transaction: self, signature }
    }
}

/// A transaction with its signature, valid or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignedTransaction {
    /// What is asked for.
    pub transaction: Transaction,
    /// By BIP 340, with the key that is the paying account.
    pub signature: [u8; 64],
}

impl SignedTransaction {
    /// The bytes that forced envelopes carry, and that are handed to sequencers.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.transaction.encode();
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// Reads one transaction from all of the bytes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        let signed = Self::read(&mut from)?;
        from.end(signed)
    }

    /// Reads transactions from all of the bytes, one after the other.
    #[must_use]
    pub fn decode_all(bytes: &[u8]) -> Option<Vec<Self>> {
        let (mut from, mut all) = (Reader::new(bytes), Vec::new());
        while !from.is_empty() {
            all.push(Self::read(&mut from)?);
        }
        Some(all)
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self { transaction: Transaction::decode(from)?, signature: from.array()? })
    }

    /// What is to be checked of the signature.
    #[must_use]
    pub fn check(&self, instance: &Digest) -> SignatureCheck {
        SignatureCheck {
            key: self.transaction.from().0,
            message: self.transaction.sighash(instance),
            signature: self.signature,
        }
    }

    /// Whether the signature is valid.
    #[must_use]
    pub fn is_signed(&self, instance: &Digest) -> bool {
        schnorr::verify(&self.check(instance))
    }
}

/// As hex of [`SignedTransaction::encode`].
impl fmt::Display for SignedTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.encode())
    }
}

/// A text that is no signed transaction in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseTransactionError;

impl fmt::Display for ParseTransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a signed Layer 2 transaction in hex")
    }
}

impl core::error::Error for ParseTransactionError {}

impl FromStr for SignedTransaction {
    type Err = ParseTransactionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(ParseTransactionError);
        };
        let byte = |pair: &[u8; 2]| {
            let digits = String::from_utf8_lossy(pair);
            crate::wire::parse_hex::<1>(&digits).map(|[byte]| byte)
        };
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        bytes.and_then(|bytes| Self::decode(&bytes)).ok_or(ParseTransactionError)
    }
}

serde_as_text!(SignedTransaction);
