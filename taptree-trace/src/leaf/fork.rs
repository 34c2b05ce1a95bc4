//! The headers of a fork: a chain that an operator shows on top of a block that nobody knows (PROTOCOL §8).

use std::ops::Range;

use bitcoin::opcodes::all::*;

use super::compare::{difference, digits_of};
use super::{Body, Disproof, Frame, Said};
use crate::lane::{End, HeaderPart, LaneConstants, MessageId};

/// A lie about how headers hang together, or about the work in them.
///
/// The two that join a fork to the block opening count for the entries up to N alone. Beyond there are no blocks to
/// speak of: an operator may show any headers there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The first header's hash is not that of the disputed block.
    First,
    /// A header's previous block is not the one before.
    Previous(u16),
    /// A header's hash is above the target.
    Work(u16),
}

impl Fork {
    /// All of a fork of K + 1 headers.
    pub fn all(confirmations: u16) -> impl Iterator<Item = Self> {
        let each = (0..=confirmations).flat_map(|number| [Self::Previous(number), Self::Work(number)]);
        [Self::First].into_iter().chain(each)
    }

    /// The hash that a header, or the first, must name.
    fn named(self) -> MessageId {
        match self {
            Self::First => MessageId::BlockHash(End::Next),
            Self::Previous(number) => match number.checked_sub(1) {
                Some(before) => MessageId::Header(before, HeaderPart::Hash),
                None => MessageId::BlockHash(End::Previous),
            },
            Self::Work(number) => MessageId::Header(number, HeaderPart::Hash),
        }
    }

    /// Whether it counts for blocks up to N alone.
    fn is_about_block(self) -> bool {
        matches!(self.named(), MessageId::BlockHash(_))
    }

    /// Where the other hash is.
    fn other(self, frame: &Frame) -> Range<usize> {
        match self {
            Self::Previous(number) => {
                let first = frame.message(MessageId::Header(number, HeaderPart::First)).start;
                // The next message is the second part.
                first + PREVIOUS.start..first + PREVIOUS.end
            }
            _ => frame.message(MessageId::Header(0, HeaderPart::Hash)),
        }
    }
}

/// The digits of the previous block's hash in a header: bytes 4–35.
const PREVIOUS: Range<usize> = 8..72;

impl Disproof for Fork {
    fn name(&self) -> String {
        match self {
            Self::First => "fork.first".to_string(),
            Self::Previous(number) => format!("fork.{number}.previous"),
            Self::Work(number) => format!("fork.{number}.work"),
        }
    }

    fn family(&self) -> String {
        match self {
            Self::First | Self::Previous(0) => self.name(),
            Self::Previous(_) => "fork.n.previous".to_string(),
            Self::Work(_) => "fork.n.work".to_string(),
        }
    }

    fn lie(&self) -> String {
        let lie = match self {
            Self::First => "The block is one up to N, and the first header's hash is not its.",
            Self::Previous(0) => "The block is one up to N, and the first header does not name the block before it.",
            Self::Previous(_) => "A header does not name the one before it.",
            Self::Work(_) => "A header's hash is above the slot's target.",
        };
        lie.to_string()
    }

    fn reads(&self) -> Vec<MessageId> {
        let mut reads = vec![self.named()];
        match self {
            Self::First => reads.push(MessageId::Header(0, HeaderPart::Hash)),
            Self::Previous(number) => {
                reads.extend([HeaderPart::First, HeaderPart::Second].map(|part| MessageId::Header(*number, part)));
            }
            Self::Work(_) => {}
        }
        if self.is_about_block() {
            reads.extend([MessageId::BlockIndex, MessageId::Claim]);
        }
        reads
    }

    fn hint_count(&self) -> usize {
        if let Self::Work(_) = self { 0 } else { 1 }
    }

    fn body(&self, frame: &Frame, constants: &LaneConstants) -> Body {
        let mut writer = frame.writer();
        let named = frame.message(self.named());
        if let Self::Work(_) = self {
            // From the lowest byte to the highest, the first to the last: whether what is above it so far is larger.
            writer.push(0);
            for (byte, target) in constants.target.iter().enumerate() {
                for (half, target) in [(1, target & 15), (0, target >> 4)] {
                    writer.copy(named.start + 2 * byte + half).add();
                    writer.push(i64::from(target)).op(OP_GREATERTHAN, 2, 1);
                }
            }
            writer.op(OP_VERIFY, 1, 0);
            return writer.finish();
        }
        if self.is_about_block() {
            writer.index_and_claim(frame).op(OP_LESSTHAN, 2, 1).op(OP_VERIFY, 1, 0);
        }
        writer.differ(&named, &self.other(frame), 0);
        writer.finish()
    }

    fn refutes(&self, said: &Said<'_>) -> Option<Vec<Vec<u8>>> {
        if self.is_about_block() && said.number(MessageId::BlockIndex)? >= said.number(MessageId::Claim)? {
            return None;
        }
        let named = said.digest(self.named())?;
        let other = match self {
            Self::First => said.digits(MessageId::Header(0, HeaderPart::Hash))?,
            Self::Previous(number) => {
                let part = |part| said.digits(MessageId::Header(*number, part));
                let header = [part(HeaderPart::First)?, part(HeaderPart::Second)?].concat();
                header.get(PREVIOUS)?.to_vec()
            }
            Self::Work(_) => {
                let above = named.iter().rev().gt(said.constants.target.iter().rev());
                return above.then(Vec::new);
            }
        };
        Some(vec![difference(&digits_of(&named), &other)?])
    }
}
