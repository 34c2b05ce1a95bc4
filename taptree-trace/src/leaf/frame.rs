//! Where a body finds what was signed.

use std::ops::Range;

use super::body::Writer;
use crate::lane::MessageId;

/// The stack as a body finds it. Positions are counted from the bottom, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    hints: usize,
    messages: Vec<(MessageId, usize)>,
    height: usize,
}

impl Frame {
    /// The frame of a leaf that reads these messages.
    #[must_use]
    pub fn new(hints: usize, reads: &[MessageId]) -> Self {
        let mut height = hints;
        let mut place = |id: &MessageId| {
            let start = height;
            height += id.layout().message_digits();
            (*id, start)
        };
        let messages = reads.iter().map(&mut place).collect();
        Self { hints, messages, height }
    }

    /// A body that begins here.
    #[must_use]
    pub fn writer(&self) -> Writer {
        Writer::new(self)
    }

    /// How many items there are.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Where the unsigned items are.
    #[must_use]
    pub const fn hints(&self) -> Range<usize> {
        0..self.hints
    }

    /// Where the digits of the n-th message are that the leaf reads, from 0; empty if it reads no more.
    #[must_use]
    pub fn nth(&self, n: usize) -> Range<usize> {
        self.messages.get(n).map_or(0..0, |(id, start)| *start..start + id.layout().message_digits())
    }

    /// Where the digits of a message are, the most significant of each field first; empty if the leaf does not read it.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Range<usize> {
        let found = self.messages.iter().find(|(other, _)| *other == id);
        found.map_or(0..0, |(_, start)| *start..start + id.layout().message_digits())
    }

    /// Where the digits of one field are; empty if there is none of that name.
    #[must_use]
    pub fn field(&self, id: MessageId, name: &str) -> Range<usize> {
        let mut start = self.message(id).start;
        for field in id.layout().fields {
            if field.name == name && !self.message(id).is_empty() {
                return start..start + field.digits;
            }
            start += field.digits;
        }
        0..0
    }
}
