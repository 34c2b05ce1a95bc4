//! One message of SHA-256d, from its digest.
//!
//! The outer hash is one block; the inner one is walked backwards, block by block, through its chaining values. The last
//! block comes first and has the message's length, which bounds the walk: it must arrive at IV then and not later, for
//! fixed points of C (blocks whose chaining value is their digest) are free to make.

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::RangeInclusive;

use super::error::{Place, Unreadable, Why};
use crate::block::TransactionBytes;
use crate::compress::{Digest, IV};
use crate::host::Host;
use crate::identifiers::Txid;

/// The padding of a 32-byte message (FIPS 180-4 §5.1.1): a one bit, zeros, and the length of 256 bits.
const OUTER_PADDING: Digest = {
    let mut bytes = [0; 32];
    let [one, .., length, _] = &mut bytes;
    (*one, *length) = (0x80, 1);
    bytes
};

/// Someone who answers for preimages, and room for one message.
#[derive(Clone, Debug)]
pub(super) struct Messages<H> {
    source: H,
    /// As long as the longest message so far.
    buffer: Vec<Block>,
}

/// One block of a message; aligned, so that a machine of words moves it by words.
#[derive(Clone, Copy, Debug)]
#[repr(align(4))]
struct Block([u8; 64]);

impl<H: Host> Messages<H> {
    pub(super) const fn new(source: H) -> Self {
        Self { source, buffer: Vec::new() }
    }

    /// The message whose double SHA-256 is `digest`, if its length is one of `lengths`.
    pub(super) fn read(
        &mut self,
        digest: &Digest,
        place: Place,
        lengths: RangeInclusive<usize>,
    ) -> Result<Message<'_, Unreadable<H::Error>>, Unreadable<H::Error>> {
        let (m, outer) = ask(&mut self.source, digest, place)?;
        let wrong = |why| Unreadable { digest: *digest, place, why };
        let [inner, padding] = outer.as_chunks::<32>().0 else {
            return Err(wrong(Why::Padding));
        };
        if !same(&m, &IV) {
            return Err(wrong(Why::Start));
        }
        if !same(padding, &OUTER_PADDING) {
            return Err(wrong(Why::Padding));
        }

        let (mut m, last) = ask(&mut self.source, inner, place)?;
        let wrong = |why| Unreadable { digest: *inner, place, why };
        let bits = last.last_chunk().copied().map_or(u64::MAX, u64::from_be_bytes);
        if bits % 8 != 0 {
            return Err(wrong(Why::Padding));
        }
        let length = usize::try_from(bits / 8).ok().filter(|length| lengths.contains(length));
        // One byte at least, and the eight of the length, are padding.
        let padded = length.and_then(|length| length.checked_add(9)?.checked_next_multiple_of(64));
        let (Some(length), Some(padded)) = (length, padded) else {
            return Err(wrong(Why::Length { bytes: bits / 8 }));
        };
        let count = padded / 64;
        if self.buffer.len() < count {
            self.buffer.resize(count, Block([0; 64]));
        }
        let blocks = self.buffer.get_mut(..count).unwrap_or_default();
        let Some((end, before)) = blocks.split_last_mut() else {
            return Err(wrong(Why::Padding));
        };
        end.0 = last;
        for block in before.iter_mut().rev() {
            if same(&m, &IV) {
                return Err(wrong(Why::Start));
            }
            let at = m;
            (m, block.0) = ask(&mut self.source, &at, place)?;
        }
        if !same(&m, &IV) {
            return Err(wrong(Why::Start));
        }
        if is_padded(blocks, length) { Ok(Message::new(blocks, length)) } else { Err(wrong(Why::Padding)) }
    }
}

/// Whether a message of `length` bytes is followed by a one bit and zeros, up to the length's two words.
fn is_padded(blocks: &[Block], length: usize) -> bool {
    let tail = blocks.get(length / 64..).unwrap_or_default();
    let mut words = tail.iter().flat_map(|block| block.0.as_chunks::<4>().0).skip(length % 64 / 4);
    let zeros = tail.len().saturating_mul(16).saturating_sub(length % 64 / 4).saturating_sub(3);
    let first = words.next().and_then(|word| word.get(length % 4..));
    matches!(first, Some([0x80, rest @ ..]) if rest.iter().all(|byte| *byte == 0))
        && words.take(zeros).all(|word| u32::from_le_bytes(*word) == 0)
}

#[inline]
fn ask<H: Host>(source: &mut H, digest: &Digest, place: Place) -> Result<(Digest, [u8; 64]), Unreadable<H::Error>> {
    source.preimage(digest).map_err(|error| Unreadable { digest: *digest, place, why: Why::Source(error) })
}

/// Whether two digests are equal, looked at by words.
#[inline]
pub(super) fn same(one: &Digest, other: &Digest) -> bool {
    let words = one.as_chunks::<4>().0.iter().zip(other.as_chunks().0);
    words.into_iter().all(|(one, other)| u32::from_le_bytes(*one) == u32::from_le_bytes(*other))
}

/// A message's bytes, to be read from the front.
#[derive(Debug)]
pub struct Message<'a, E> {
    /// Those of the current block.
    here: &'a [u8],
    /// The blocks after it, as far as the message reaches.
    later: &'a [Block],
    /// How many bytes of the message lie in those.
    left: usize,
    error: PhantomData<fn() -> E>,
}

impl<'a, E> Message<'a, E> {
    /// The first `length` bytes of the blocks.
    const fn new(blocks: &'a [Block], length: usize) -> Self {
        Self { here: &[], later: blocks, left: length, error: PhantomData }
    }

    /// How many bytes are to come.
    pub(super) fn remaining(&self) -> usize {
        self.here.len().saturating_add(self.left)
    }

    /// What is to come, up to the end of its first block, if nothing was read.
    pub(super) fn first_block(&self) -> &'a [u8] {
        let block = self.later.first().map_or(&[][..], |block| &block.0);
        block.get(..self.left).unwrap_or(block)
    }

    /// The two digests of a message that is a node, or as long as one.
    pub(super) fn node(&self) -> Option<(&'a Digest, &'a Digest)> {
        match self.first_block().as_chunks() {
            ([left, right], []) if self.left == 64 => Some((left, right)),
            _ => None,
        }
    }

    /// Goes `blocks` blocks on from the end of the current one, to the start of one; to the end if there are fewer.
    fn turn(&mut self, blocks: usize) {
        let left = self.left.saturating_sub(blocks.saturating_mul(64));
        let later = self.later.get(blocks..).unwrap_or_default();
        let (here, later) = later.split_first().map_or((&[][..], later), |(block, later)| (&block.0[..], later));
        self.here = here.get(..left).unwrap_or(here);
        (self.later, self.left) = (later, left.saturating_sub(self.here.len()));
    }
}

impl<E> TransactionBytes for Message<'_, E> {
    type Error = E;

    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, E> {
        if let Some((bytes, rest)) = self.here.split_at_checked(buffer.len()) {
            buffer.copy_from_slice(bytes);
            self.here = rest;
            return Ok(bytes.len());
        }
        Ok(self.read_on(buffer))
    }

    #[inline]
    fn skip(&mut self, count: u64) -> Result<u64, E> {
        let all = self.remaining();
        let skipped = usize::try_from(count).unwrap_or(usize::MAX).min(all);
        match skipped.checked_sub(self.here.len()) {
            None | Some(0) => self.here = self.here.get(skipped..).unwrap_or_default(),
            Some(beyond) => {
                self.turn(beyond / 64);
                self.here = self.here.get(beyond % 64..).unwrap_or_default();
            }
        }
        Ok(u64::try_from(skipped).unwrap_or(u64::MAX))
    }

    /// All zero: a leaf of the witness tree says nothing of it.
    fn txid(&self) -> Txid {
        Txid([0; 32])
    }
}

impl<E> Message<'_, E> {
    /// Reads across the end of a block.
    fn read_on(&mut self, buffer: &mut [u8]) -> usize {
        let mut done = 0usize;
        loop {
            let free = buffer.get_mut(done..).unwrap_or_default();
            let count = free.len().min(self.here.len());
            if let (Some(to), Some((from, rest))) = (free.get_mut(..count), self.here.split_at_checked(count)) {
                to.copy_from_slice(from);
                self.here = rest;
            }
            done = done.saturating_add(count);
            if done == buffer.len() || self.left == 0 {
                return done;
            }
            self.turn(0);
        }
    }
}
