//! The names of things: accounts, slots, withdrawals, and Bitcoin's own transactions and outputs.

use core::fmt;
use core::str::FromStr;

use crate::wire::{Reader, pack, parse_hex, serde_as_text, write_hex};

/// A Layer 2 account: the x-only public key (BIP 340) that signs for it.
///
/// Any 32 bytes are a possible account. Coins sent to bytes that are no point on the curve are lost to everyone;
/// wallets check, the Layer 2 does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(pub [u8; 32]);

/// The number of a withdrawal, given in order from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct WithdrawalId(pub u32);

/// One pre-signed chance of one operator to claim one vault of one denomination (PROTOCOL §1).
///
/// Written `operator/denomination/serial`, such as `0/1/17`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId {
    /// Index of the operator.
    pub operator: u8,
    /// Index of the denomination in the parameters' list.
    pub denomination: u8,
    /// The operator's own count of slots of this denomination.
    pub serial: u32,
}

/// A Bitcoin transaction id, in the order in which SHA-256 writes it. Displayed reversed, as is the custom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Txid(pub [u8; 32]);

/// A Bitcoin output: the transaction that made it, and its index there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutPoint {
    /// The transaction.
    pub txid: Txid,
    /// The index among its outputs.
    pub vout: u32,
}

/// A text that does not name what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseIdentifierError {
    expected: &'static str,
}

impl fmt::Display for ParseIdentifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl core::error::Error for ParseIdentifierError {}

impl SlotId {
    /// The six bytes of a slot: operator ‖ denomination ‖ serial (little-endian).
    #[must_use]
    pub fn to_bytes(self) -> [u8; 6] {
        pack(&[&[self.operator, self.denomination], &self.serial.to_le_bytes()])
    }

    /// The slot that six bytes name. Every six bytes name one.
    #[must_use]
    pub fn from_bytes([operator, denomination, serial @ ..]: [u8; 6]) -> Self {
        Self { operator, denomination, serial: u32::from_le_bytes(serial) }
    }
}

impl OutPoint {
    /// The 36 bytes of an outpoint as Bitcoin serializes it: txid ‖ index (little-endian).
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 36] {
        pack(&[&self.txid.0, &self.vout.to_le_bytes()])
    }

    /// The outpoint that 36 bytes name.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 36]) -> Self {
        let mut reader = Reader::new(bytes);
        let txid = Txid(reader.array().unwrap_or_default());
        Self { txid, vout: reader.u32().unwrap_or_default() }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Display for WithdrawalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.operator, self.denomination, self.serial)
    }
}

impl fmt::Display for Txid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.0.iter().rev())
    }
}

impl fmt::Display for OutPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.txid, self.vout)
    }
}

macro_rules! debug_as_display {
    ($($type:ty),*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}
debug_as_display!(Account, SlotId, Txid, OutPoint);

impl FromStr for Account {
    type Err = ParseIdentifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_hex(text).map(Self).ok_or(ParseIdentifierError { expected: "an account: 64 hex digits" })
    }
}

impl FromStr for WithdrawalId {
    type Err = ParseIdentifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| ParseIdentifierError { expected: "the number of a withdrawal" })
    }
}

impl FromStr for SlotId {
    type Err = ParseIdentifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.split('/');
            let slot = Self {
                operator: parts.next()?.parse().ok()?,
                denomination: parts.next()?.parse().ok()?,
                serial: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(slot)
        };
        parse().ok_or(ParseIdentifierError { expected: "a slot: operator/denomination/serial" })
    }
}

impl FromStr for Txid {
    type Err = ParseIdentifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes: [u8; 32] =
            parse_hex(text).ok_or(ParseIdentifierError { expected: "a transaction id: 64 hex digits" })?;
        bytes.reverse();
        Ok(Self(bytes))
    }
}

impl FromStr for OutPoint {
    type Err = ParseIdentifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = ParseIdentifierError { expected: "an output: transaction:index" };
        let (txid, vout) = text.split_once(':').ok_or(error)?;
        Ok(Self { txid: txid.parse()?, vout: vout.parse().map_err(|_| error)? })
    }
}

serde_as_text!(Account, SlotId, Txid, OutPoint);

#[cfg(feature = "std")]
mod bitcoin_types {
    use bitcoin::hashes::Hash as _;

    use super::{Account, OutPoint, Txid};

    impl From<bitcoin::Txid> for Txid {
        fn from(txid: bitcoin::Txid) -> Self {
            Self(txid.to_byte_array())
        }
    }

    impl From<Txid> for bitcoin::Txid {
        fn from(txid: Txid) -> Self {
            Self::from_byte_array(txid.0)
        }
    }

    impl From<bitcoin::OutPoint> for OutPoint {
        fn from(outpoint: bitcoin::OutPoint) -> Self {
            Self { txid: outpoint.txid.into(), vout: outpoint.vout }
        }
    }

    impl From<OutPoint> for bitcoin::OutPoint {
        fn from(outpoint: OutPoint) -> Self {
            Self { txid: outpoint.txid.into(), vout: outpoint.vout }
        }
    }

    impl From<bitcoin::XOnlyPublicKey> for Account {
        fn from(key: bitcoin::XOnlyPublicKey) -> Self {
            Self(key.serialize())
        }
    }
}
