//! Reading and writing fixed little-endian fields, totally: a short input is `None`, never a panic.

#[cfg(feature = "std")]
use alloc::vec::Vec;
use core::fmt;

/// The unread rest of a byte string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number of seven bits a byte, the least significant first, in its shortest form (LEB128).
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let (mut value, mut shift) = (0u64, 0u32);
        loop {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            let placed = bits.checked_shl(shift)?;
            if placed >> shift != bits || (byte == 0 && shift > 0) {
                return None;
            }
            value |= placed;
            if byte & 0x80 == 0 {
                return Some(value);
            }
            shift = shift.saturating_add(7);
        }
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// `value`, if everything was read: what makes an encoding canonical.
    pub(crate) fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// Appends a number as [`Reader::varint`] reads it.
#[cfg(feature = "std")]
pub(crate) fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while let rest @ 1.. = value >> 7 {
        to.push(value.to_le_bytes()[0] | 0x80);
        value = rest;
    }
    to.push(value.to_le_bytes()[0]);
}

/// The parts one after the other, filled up with zeros; what does not fit is left out.
pub(crate) fn pack<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut packed = [0; N];
    let mut free = &mut packed[..];
    for part in parts {
        let count = part.len().min(free.len());
        let (to, rest) = free.split_at_mut(count);
        to.copy_from_slice(part.get(..count).unwrap_or_default());
        free = rest;
    }
    packed
}

/// Writes bytes as lower-case hex, in the order given.
pub(crate) fn write_hex<'a>(f: &mut fmt::Formatter<'_>, bytes: impl IntoIterator<Item = &'a u8>) -> fmt::Result {
    bytes.into_iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Reads exactly `N` bytes of hex.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    if pairs.len() != N {
        return None;
    }
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(bytes)
}

/// Serde as the text of `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($($type:ty),*) => {$(
        #[cfg(feature = "std")]
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        #[cfg(feature = "std")]
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <alloc::string::String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
pub(crate) use serde_as_text;
