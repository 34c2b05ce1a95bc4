//! The fields of Bitcoin's serialization, out of a stream.

use alloc::vec::Vec;

use super::{Stop, TransactionBytes};

/// Reads fields off a transaction's bytes.
#[derive(Debug)]
pub(crate) struct Fields<T>(T);

impl<T: TransactionBytes> Fields<T> {
    pub(crate) const fn new(bytes: T) -> Self {
        Self(bytes)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop<T::Error>> {
        let mut array = [0; N];
        self.fill(&mut array)?;
        Ok(array)
    }

    /// As many bytes as the buffer has.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Stop<T::Error>> {
        let read = self.0.read(buffer).map_err(Stop::Source)?;
        if read == buffer.len() { Ok(()) } else { Err(Stop::Garbage) }
    }

    /// Appends the next `count` bytes, which the caller has bounded.
    pub(crate) fn append(&mut self, to: &mut Vec<u8>, count: usize) -> Result<(), Stop<T::Error>> {
        let start = to.len();
        to.resize(start.saturating_add(count), 0);
        self.fill(to.get_mut(start..).unwrap_or_default())
    }

    pub(crate) fn skip(&mut self, count: u64) -> Result<(), Stop<T::Error>> {
        let skipped = self.0.skip(count).map_err(Stop::Source)?;
        if skipped == count { Ok(()) } else { Err(Stop::Garbage) }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Stop<T::Error>> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Stop<T::Error>> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Stop<T::Error>> {
        self.array().map(u64::from_le_bytes)
    }

    /// A compact size, in its shortest form as consensus demands.
    pub(crate) fn compact_size(&mut self) -> Result<u64, Stop<T::Error>> {
        let first = self.u8()?;
        self.compact_size_after(first)
    }

    /// A compact size whose first byte was read already.
    pub(crate) fn compact_size_after(&mut self, first: u8) -> Result<u64, Stop<T::Error>> {
        let (value, least) = match first {
            0xff => (self.u64()?, 0x1_0000_0000),
            0xfe => (u64::from(self.u32()?), 0x1_0000),
            0xfd => (u64::from(self.array().map(u16::from_le_bytes)?), 0xfd),
            _ => (u64::from(first), 0),
        };
        if value < least { Err(Stop::Garbage) } else { Ok(value) }
    }
}
