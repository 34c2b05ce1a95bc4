//! Items of a stack.

use super::{Failure, Rules};

/// The longest number that an opcode takes, in bytes.
const MAX_NUMBER_BYTES: usize = 4;

/// An item. Every string of bytes has one form: what is a number in its minimal encoding is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The minimal encoding of a number, of at most 5 bytes: what opcodes leave.
    Number(i64),
    /// Any other bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// The item with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        if bytes.len() <= MAX_NUMBER_BYTES + 1 {
            let number = Self::Number(decode(bytes));
            if number.to_bytes() == bytes {
                return number;
            }
        }
        Self::Bytes(bytes.to_vec())
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let number = match self {
            Self::Bytes(bytes) => return bytes.clone(),
            Self::Number(number) => *number,
        };
        let mut bytes: Vec<u8> = number.unsigned_abs().to_le_bytes().to_vec();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        if bytes.last().is_some_and(|last| last & 0x80 != 0) {
            bytes.push(0);
        }
        if let (true, Some(last)) = (number < 0, bytes.last_mut()) {
            *last |= 0x80;
        }
        bytes
    }

    /// Whether a condition takes it as true: something is not zero, and it is not negative zero.
    #[must_use]
    pub fn is_true(&self) -> bool {
        match self {
            Self::Number(number) => *number != 0,
            Self::Bytes(bytes) => match bytes.split_last() {
                Some((last, rest)) => rest.iter().any(|byte| *byte != 0) || !matches!(last, 0 | 0x80),
                None => false,
            },
        }
    }

    /// What OP_IF takes it for.
    pub(super) fn minimal_bool(&self) -> Result<bool, Failure> {
        match self {
            Self::Number(0) => Ok(false),
            Self::Number(1) => Ok(true),
            _ => Err(Failure::MinimalIf),
        }
    }

    /// What an opcode of arithmetic takes it for.
    pub(super) fn number(&self, rules: Rules) -> Result<i64, Failure> {
        match self {
            Self::Number(number) if number.unsigned_abs() < 1 << 31 => Ok(*number),
            Self::Bytes(bytes) if bytes.len() <= MAX_NUMBER_BYTES && rules == Rules::Consensus => Ok(decode(bytes)),
            _ => Err(Failure::NotANumber),
        }
    }
}

/// A number of at most 5 bytes: little-endian, the sign in the highest bit.
fn decode(bytes: &[u8]) -> i64 {
    let Some((last, rest)) = bytes.split_last() else { return 0 };
    let magnitude = rest.iter().rev().fold(i64::from(last & 0x7f), |number, byte| number << 8 | i64::from(*byte));
    if last & 0x80 == 0 { magnitude } else { -magnitude }
}
