//! One message of SHA-256d, from its digest.
//!
//! The outer hash is one block; the inner one is walked backwards, block by block, through its chaining values. The last
//! block comes first and has the message's length, which bounds the walk: it must arrive at IV then and not later, for
//! fixed points of C (blocks whose chaining value is their digest) are free to make.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::error::{Place, Unreadable, Why};
use crate::compress::{Digest, IV};
use crate::host::Host;

/// The padding of a 32-byte message (FIPS 180-4 §5.1.1): a one bit, zeros, and the length of 256 bits.
const OUTER_PADDING: [u8; 32] = {
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
    buffer: Vec<u8>,
}

impl<H: Host> Messages<H> {
    pub(super) const fn new(source: H) -> Self {
        Self { source, buffer: Vec::new() }
    }

    fn ask(&mut self, digest: &Digest, place: Place) -> Result<(Digest, [u8; 64]), Unreadable<H::Error>> {
        self.source.preimage(digest).map_err(|error| Unreadable { digest: *digest, place, why: Why::Source(error) })
    }

    /// The message whose double SHA-256 is `digest`, if its length is one of `lengths`.
    pub(super) fn read(
        &mut self,
        digest: &Digest,
        place: Place,
        lengths: RangeInclusive<usize>,
    ) -> Result<&[u8], Unreadable<H::Error>> {
        let (m, outer) = self.ask(digest, place)?;
        let wrong = |why| Unreadable { digest: *digest, place, why };
        if m != IV {
            return Err(wrong(Why::Start));
        }
        let [inner, padding] = outer.as_chunks::<32>().0 else {
            return Err(wrong(Why::Padding));
        };
        if *padding != OUTER_PADDING {
            return Err(wrong(Why::Padding));
        }

        let (mut m, mut b) = self.ask(inner, place)?;
        let wrong = |why| Unreadable { digest: *inner, place, why };
        let bits = b.last_chunk().copied().map_or(u64::MAX, u64::from_be_bytes);
        if bits % 8 != 0 {
            return Err(wrong(Why::Padding));
        }
        let length = usize::try_from(bits / 8).ok().filter(|length| lengths.contains(length));
        // One byte at least, and the eight of the length, are padding.
        let padded = length.and_then(|length| length.checked_add(9)?.checked_next_multiple_of(64));
        let (Some(length), Some(padded)) = (length, padded) else {
            return Err(wrong(Why::Length { bytes: bits / 8 }));
        };
        if self.buffer.len() < padded {
            self.buffer.resize(padded, 0);
        }
        // The buffer is taken so that the source can be asked while it is filled.
        let mut buffer = core::mem::take(&mut self.buffer);
        let blocks = buffer.get_mut(..padded).unwrap_or_default().as_chunks_mut().0;
        let mut walk = blocks.iter_mut().rev();
        if let Some(last) = walk.next() {
            *last = b;
        }
        for block in walk {
            if m == IV {
                return Err(wrong(Why::Start));
            }
            let at = m;
            (m, b) = self.ask(&at, place)?;
            *block = b;
        }
        self.buffer = buffer;
        if m != IV {
            return Err(wrong(Why::Start));
        }
        let Some((message, padding)) = self.buffer.get(..padded).and_then(|all| all.split_at_checked(length)) else {
            return Err(wrong(Why::Padding));
        };
        match padding {
            [0x80, zeros @ .., _, _, _, _, _, _, _, _] if zeros.iter().all(|zero| *zero == 0) => Ok(message),
            _ => Err(wrong(Why::Padding)),
        }
    }
}
