//! Envelopes: data in the witness, inside a Taproot leaf script that never executes it.
//!
//! ```text
//! <key> CHECKSIG 0 IF <bridge_tag[4] ‖ kind> <chunk of 520 bytes> … <chunk of 1 to 520 bytes> ENDIF
//! ```
//!
//! Every push in its shortest form, every chunk but the last full, nothing after `ENDIF`: there is one script for a
//! payload. `key` may be anyone's; what is inside is certified on its own.

use alloc::vec::Vec;

use crate::block::fields::Fields;
use crate::block::{Stop, TransactionBytes};

/// Bytes of the largest payload: more than a block could hold.
pub const MAX_PAYLOAD: usize = 4_000_000;

/// Bytes of the largest chunk (consensus' limit on a pushed element).
const CHUNK: usize = 520;

const CHECKSIG: u8 = 0xac;
const IF: u8 = 0x63;
const ENDIF: u8 = 0x68;
const PUSHDATA1: u8 = 0x4c;
const PUSHDATA2: u8 = 0x4d;

/// What an envelope carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A batch, as [`crate::compact`] says.
    Batch,
    /// One [`SignedTransaction`](crate::SignedTransaction), posted past the sequencers.
    Forced,
    /// A [`Membership`](crate::Membership).
    Membership,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Batch => 0x10,
            Self::Forced => 0x11,
            Self::Membership => 0x12,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x10 => Some(Self::Batch),
            0x11 => Some(Self::Forced),
            0x12 => Some(Self::Membership),
            _ => None,
        }
    }
}

/// A payload and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// What the payload is.
    pub kind: Kind,
    /// The concatenated chunks.
    pub payload: Vec<u8>,
}

impl Envelope {
    /// The leaf script. `key` signs the spend, by tapscript's `CHECKSIG`.
    #[must_use]
    pub fn script(&self, bridge_tag: [u8; 4], key: &[u8; 32]) -> Vec<u8> {
        let mut script =
            Vec::with_capacity(self.payload.len().saturating_add(self.payload.len() / 100).saturating_add(64));
        script.push(32);
        script.extend_from_slice(key);
        script.extend_from_slice(&[CHECKSIG, 0, IF, 5]);
        script.extend_from_slice(&bridge_tag);
        script.push(self.kind.byte());
        for chunk in self.payload.chunks(CHUNK) {
            let length = u16::try_from(chunk.len()).unwrap_or(u16::MAX); // at most CHUNK
            let [low, high] = length.to_le_bytes();
            match length {
                ..=75 => script.push(low),
                76..=255 => script.extend_from_slice(&[PUSHDATA1, low]),
                _ => script.extend_from_slice(&[PUSHDATA2, low, high]),
            }
            script.extend_from_slice(chunk);
        }
        script.push(ENDIF);
        script
    }

    /// Reads a leaf script of `length` bytes, of which the first was read, keeping only the payload.
    ///
    /// `None` if it is no envelope of this bridge. The script is passed over to its end in any case.
    pub(crate) fn read<T: TransactionBytes>(
        from: &mut Fields<T>,
        length: u64,
        first: Option<u8>,
        bridge_tag: [u8; 4],
    ) -> Result<Option<Self>, Stop<T::Error>> {
        let mut script = Script { left: length.saturating_sub(1), from };
        let envelope = if first == Some(32) { script.envelope(bridge_tag)? } else { None };
        let left = script.left;
        from.skip(left)?;
        Ok(envelope)
    }
}

/// The part of a transaction that is one script.
struct Script<'a, T> {
    left: u64,
    from: &'a mut Fields<T>,
}

impl<T: TransactionBytes> Script<'_, T> {
    /// The next `N` bytes; `None` if the script ends before.
    fn array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Stop<T::Error>> {
        let Some(left) = u64::try_from(N).ok().and_then(|count| self.left.checked_sub(count)) else {
            return Ok(None);
        };
        self.left = left;
        self.from.array().map(Some)
    }

    /// An envelope, after the first byte of its first push.
    fn envelope(&mut self, bridge_tag: [u8; 4]) -> Result<Option<Envelope>, Stop<T::Error>> {
        let Some([_key @ .., CHECKSIG, 0, IF]) = self.array::<35>()? else {
            return Ok(None);
        };
        let Some([5, tag @ .., kind]) = self.array::<6>()? else {
            return Ok(None);
        };
        let (true, Some(kind)) = (tag == bridge_tag, Kind::from_byte(kind)) else {
            return Ok(None);
        };
        let mut payload = Vec::new();
        let mut full = true; // whether the chunk before was
        loop {
            let Some([opcode]) = self.array()? else {
                return Ok(None);
            };
            let (length, shortest) = match opcode {
                ENDIF => break,
                1..=75 => (usize::from(opcode), 1),
                PUSHDATA1 => match self.array::<1>()? {
                    Some([length]) => (usize::from(length), 76),
                    None => return Ok(None),
                },
                PUSHDATA2 => match self.array()? {
                    Some(length) => (usize::from(u16::from_le_bytes(length)), 256),
                    None => return Ok(None),
                },
                _ => return Ok(None),
            };
            let rest = u64::try_from(length).ok().and_then(|length| self.left.checked_sub(length));
            let fits = payload.len().saturating_add(length) <= MAX_PAYLOAD;
            let (true, Some(rest)) = (full && fits && (shortest..=CHUNK).contains(&length), rest) else {
                return Ok(None);
            };
            self.left = rest;
            self.from.append(&mut payload, length)?;
            full = length == CHUNK;
        }
        Ok((self.left == 0).then_some(Envelope { kind, payload }))
    }
}
