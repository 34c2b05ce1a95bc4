//! What one transaction says to the Layer 2.

use super::fields::Fields;
use super::{Stop, TransactionBytes};
use crate::destination;
use crate::envelope::Envelope;
use crate::identifiers::{OutPoint, Txid};
use crate::tag::{self, Tag};

/// An output, if its script is short enough to be of interest.
pub type Output = Script<{ destination::MAX_SCRIPT }>;

/// The part of a transaction that `apply` looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The transaction's id, for events.
    pub txid: Txid,
    /// What input 0 spends.
    pub input: OutPoint,
    /// Input 0's sequence number.
    pub sequence: u32,
    /// Output 0's satoshis and, unless it is longer than any destination's, script.
    pub payment: (u64, Option<Output>),
    /// What the transaction asks for.
    pub action: Action,
}

/// What a transaction asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Output 1 is a tag of this bridge; `None` if its body is malformed.
    Tag(Option<Tag>),
    /// Input 0's leaf script is an envelope of this bridge.
    Envelope(Envelope),
}

/// A script of at most `N` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Script<N> {
    /// The script's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Reads a script with its length; `None` if it is longer than `N` bytes, which are then passed over.
    fn read<T: TransactionBytes>(from: &mut Fields<T>) -> Result<Option<Self>, Stop<T::Error>> {
        let size = from.compact_size()?;
        let mut bytes = [0; N];
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        match bytes.get_mut(..length) {
            Some(buffer) => from.fill(buffer).map(|()| Some(Self { bytes, length })),
            None => from.skip(size).map(|()| None),
        }
    }
}

/// Reads a transaction as far as needed. `None`: it says nothing to this bridge.
///
/// Total: every byte string of whatever length gives a summary or `None`, in time proportional to its length.
///
/// # Errors
/// Only if the bytes could not be read.
pub fn summarize<T: TransactionBytes>(bytes: T, bridge_tag: [u8; 4]) -> Result<Option<Summary>, T::Error> {
    let txid = bytes.txid();
    match read(&mut Fields::new(bytes), txid, bridge_tag) {
        Ok(summary) => Ok(summary),
        Err(Stop::Garbage) => Ok(None),
        Err(Stop::Source(error)) => Err(error),
    }
}

fn read<T: TransactionBytes>(
    from: &mut Fields<T>,
    txid: Txid,
    bridge_tag: [u8; 4],
) -> Result<Option<Summary>, Stop<T::Error>> {
    from.skip(4)?; // version
    let first = from.u8()?;
    let has_witness = first == 0; // BIP 144's marker: no transaction has zero inputs
    if has_witness && from.u8()? != 1 {
        return Err(Stop::Garbage);
    }
    let inputs = if has_witness { from.compact_size()? } else { from.compact_size_after(first)? };
    let Some(other_inputs) = inputs.checked_sub(1) else {
        return Err(Stop::Garbage);
    };
    let (input, sequence) = read_input(from)?;
    for _ in 0..other_inputs {
        read_input(from)?;
    }

    let outputs = from.compact_size()?;
    if outputs == 0 {
        return Err(Stop::Garbage);
    }
    let payment = (from.u64()?, Script::read(from)?);
    let summary = |action| Some(Summary { txid, input, sequence, payment, action });
    if let Some(after_tag) = outputs.checked_sub(2) {
        from.skip(8)?; // the tag's value
        let script: Option<Script<{ tag::MAX_SCRIPT }>> = Script::read(from)?;
        if let Some(payload) = script.as_ref().and_then(|script| Tag::payload(script.as_bytes(), bridge_tag)) {
            return Ok(summary(Action::Tag(Tag::decode(payload))));
        }
        for _ in 0..after_tag {
            from.skip(8)?;
            let script = from.compact_size()?;
            from.skip(script)?;
        }
    }
    if !has_witness {
        return Ok(None);
    }
    Ok(read_envelope(from, bridge_tag)?.and_then(|envelope| summary(Action::Envelope(envelope))))
}

/// One input: what it spends, and its sequence number.
fn read_input<T: TransactionBytes>(from: &mut Fields<T>) -> Result<(OutPoint, u32), Stop<T::Error>> {
    let outpoint = OutPoint::from_bytes(&from.array()?);
    let script = from.compact_size()?;
    from.skip(script)?;
    Ok((outpoint, from.u32()?))
}

/// The envelope in the first input's witness (BIP 341): `… script control-block [annex]`.
///
/// Whether the last item is an annex shows only at the end, so both places where the script may be are read.
fn read_envelope<T: TransactionBytes>(
    from: &mut Fields<T>,
    bridge_tag: [u8; 4],
) -> Result<Option<Envelope>, Stop<T::Error>> {
    let items = from.compact_size()?;
    let Some(before) = items.checked_sub(2) else {
        return Ok(None);
    };
    for _ in 1..before {
        let length = from.compact_size()?;
        from.skip(length)?;
    }
    // Items −3, if there are three, −2 and −1. No script begins like a control block, so each is read as a script.
    let mut if_annex = None;
    if before > 0 {
        let (length, first) = begin_item(from)?;
        if_annex = Envelope::read(from, length, first, bridge_tag)?;
    }
    let (length, first) = begin_item(from)?;
    let control_before = is_control_block(length, first);
    let if_no_annex = Envelope::read(from, length, first, bridge_tag)?;
    let (length, first) = begin_item(from)?;
    Ok(match first {
        Some(ANNEX) => if_annex.filter(|_| control_before),
        first => if_no_annex.filter(|_| is_control_block(length, first)),
    })
}

/// An item's length and, unless it is empty, first byte.
fn begin_item<T: TransactionBytes>(from: &mut Fields<T>) -> Result<(u64, Option<u8>), Stop<T::Error>> {
    let length = from.compact_size()?;
    let first = if length == 0 { None } else { Some(from.u8()?) };
    Ok((length, first))
}

/// BIP 341: 33 bytes and up to 128 times 32, and tapscript's leaf version in the first.
fn is_control_block(length: u64, first: Option<u8>) -> bool {
    let path = length.checked_sub(33);
    path.is_some_and(|path| path % 32 == 0 && path <= 128 * 32) && first.is_some_and(|first| first & 0xfe == 0xc0)
}

/// BIP 341: the first byte of an annex.
const ANNEX: u8 = 0x50;
