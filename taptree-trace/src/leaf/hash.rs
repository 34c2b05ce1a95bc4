//! Where C(m, b) is not what was signed: nodes of a path, entries of the history, headers.

use std::sync::OnceLock;

use bitcoin::opcodes::all::*;
use bitcoin::{Script, ScriptBuf};
use trestle_rollup::compress::{IV, IV_MEMORY, IV_R};
use trestle_rollup::{Digest, compress};
use trestle_zkvm_adapter::layout::LEVELS;

use super::compare::{Edge, difference, digits_of, is_at_place};
use super::padding::PathSide;
use super::{Body, Disproof, Frame, Said, Writer};
use crate::gadget::compress::{CHAINING_DIGITS, Compression, Digit};
use crate::gadget::{Stack, StackError};
use crate::lane::{DIGEST_DIGITS, End, HeaderPart, LaneConstants, MessageId, Place};

/// "One compression gives something else."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(Which);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    /// The opened node and the one beside it do not make the one that was signed at this place.
    Node(PathSide, Place),
    /// The parts of an entry do not make it.
    Entry(End),
    /// A header's compression: the part that should have come out.
    Header(u16, HeaderPart),
}

impl Hash {
    /// Those of paths that are read.
    pub fn nodes_read() -> impl Iterator<Item = Self> {
        Self::nodes(PathSide::Read)
    }

    /// Those of paths that are written.
    pub fn nodes_written() -> impl Iterator<Item = Self> {
        PathSide::WRITTEN.into_iter().flat_map(Self::nodes)
    }

    /// Those of the block opening.
    pub fn entries() -> impl Iterator<Item = Self> {
        [End::Previous, End::Next].into_iter().map(|end| Self(Which::Entry(end)))
    }

    /// Those of a fork of K + 1 headers.
    pub fn headers(confirmations: u16) -> impl Iterator<Item = Self> {
        let parts = [HeaderPart::Middle, HeaderPart::Inner, HeaderPart::Hash];
        (0..=confirmations).flat_map(move |number| parts.map(|part| Self(Which::Header(number, part))))
    }

    /// The places at which levels 1 to 27 are signed: what is above two nodes.
    fn nodes(path: PathSide) -> impl Iterator<Item = Self> {
        let search = path.search();
        let signed: Vec<_> = (1..=LEVELS as u64).filter_map(|level| search.place_of(level)).collect();
        search.places().filter(move |place| signed.contains(place)).map(move |place| Self(Which::Node(path, place)))
    }

    /// What should come out.
    const fn result(self) -> MessageId {
        match self.0 {
            Which::Node(path, place) => path.value(place),
            Which::Entry(end) => MessageId::BlockEntry(end),
            Which::Header(number, part) => MessageId::Header(number, part),
        }
    }

    /// The chaining value: a constant, or what was signed.
    const fn chaining(self) -> Result<Digest, MessageId> {
        match self.0 {
            Which::Node(..) => Ok(IV_MEMORY),
            Which::Entry(_) => Ok(IV_R),
            Which::Header(number, HeaderPart::Inner) => Err(MessageId::Header(number, HeaderPart::Middle)),
            Which::Header(..) => Ok(IV),
        }
    }

    /// What follows in the block, by SHA-256's rules of padding: nothing, or that so many bits were hashed.
    const fn bits(self) -> Option<u16> {
        match self.0 {
            Which::Header(_, HeaderPart::Inner) => Some(640),
            Which::Header(_, HeaderPart::Hash) => Some(256),
            _ => None,
        }
    }

    /// `block, chaining value, digits that should come out →`: fails unless something else comes out.
    ///
    /// A lane has many leaves and few such scripts, of a hundred kilobytes each: they are written once.
    fn differs(self, digits: usize) -> &'static Script {
        static WRITTEN: [OnceLock<ScriptBuf>; 6] = [const { OnceLock::new() }; 6];
        let [old, new, entry, middle, inner, hash] = &WRITTEN;
        let written = match self.0 {
            Which::Node(..) if digits < DIGEST_DIGITS => old,
            Which::Node(..) => new,
            Which::Entry(_) => entry,
            Which::Header(_, HeaderPart::Inner) => inner,
            Which::Header(_, HeaderPart::Hash) => hash,
            Which::Header(..) => middle,
        };
        // Never fails: the tests write them all.
        written.get_or_init(|| {
            self.write_differs(digits).unwrap_or_else(|_| ScriptBuf::from_bytes(vec![OP_RETURN.to_u8()]))
        })
    }

    fn write_differs(self, digits: usize) -> Result<ScriptBuf, StackError> {
        let block: usize = self.block().iter().flatten().map(|id| id.layout().message_digits()).sum();
        let chaining = self.chaining();
        let chained = if chaining.is_err() { CHAINING_DIGITS } else { 0 };
        let (mut stack, items) = Stack::new(block + chained + digits);
        let padding = self.bits().map_or_else(Vec::new, |bits| padded(&vec![0; block / 2], bits).to_vec());
        let constant = |bytes: &[u8], place: usize| Digit::constants(bytes).nth(place).unwrap_or(Digit::Constant(0));
        let signed = |place: usize| items.get(place).copied().map(Digit::Signed);
        let of_block = |place| if place < block { signed(place) } else { Some(constant(&padding, place)) };
        let of_chaining = |place| match &chaining {
            Ok(constants) => Some(constant(constants, place)),
            Err(_) => signed(block + place),
        };
        let compression = Compression {
            chaining: std::array::from_fn(|place| of_chaining(place).unwrap_or(Digit::Constant(0))),
            block: std::array::from_fn(|place| of_block(place).unwrap_or(Digit::Constant(0))),
            digest: items.get(block + chained..).unwrap_or_default(),
            claimed: None,
        };
        compression.write(&mut stack);
        stack.verify(OP_VERIFY, 1);
        stack.keep(&[]);
        Ok(stack.finish(&[])?.script)
    }

    /// The block, or how it begins.
    fn block(self) -> [Option<MessageId>; 2] {
        match self.0 {
            Which::Node(path, _) => [Some(path.child()), Some(path.sibling())],
            Which::Entry(end) => [Some(MessageId::BlockHash(end)), Some(MessageId::BlockRoot(end))],
            Which::Header(number, HeaderPart::Inner) => [Some(MessageId::Header(number, HeaderPart::Last)), None],
            Which::Header(number, HeaderPart::Hash) => [Some(MessageId::Header(number, HeaderPart::Inner)), None],
            Which::Header(number, _) => {
                [HeaderPart::First, HeaderPart::Second].map(|part| Some(MessageId::Header(number, part)))
            }
        }
    }
}

impl Disproof for Hash {
    fn name(&self) -> String {
        match self.0 {
            Which::Node(path, place) => format!("{}.hash.{place}", path.name()),
            Which::Entry(end) => format!("entry.{end}.hash"),
            Which::Header(number, HeaderPart::Middle) => format!("fork.{number}.middle"),
            Which::Header(number, HeaderPart::Inner) => format!("fork.{number}.inner"),
            Which::Header(number, _) => format!("fork.{number}.hash"),
        }
    }

    fn family(&self) -> String {
        match self.0 {
            Which::Node(path, _) => format!("{}.hash.r.q", path.name()),
            Which::Entry(_) => self.name(),
            Which::Header(_, HeaderPart::Middle) => "fork.n.middle".to_string(),
            Which::Header(_, HeaderPart::Inner) => "fork.n.inner".to_string(),
            Which::Header(..) => "fork.n.hash".to_string(),
        }
    }

    fn lie(&self) -> String {
        match self.0 {
            Which::Node(path, _) => {
                format!("C of {} and {} is not what a round signed above.", path.child(), path.sibling())
            }
            Which::Entry(end) => format!("The {end} entry is one up to N, and is not C of its two parts."),
            Which::Header(_, HeaderPart::Middle) => "C of a header's first 64 bytes is something else.".to_string(),
            Which::Header(_, HeaderPart::Inner) => "C of a header's last 16 bytes is something else.".to_string(),
            Which::Header(..) => "C of a header's first hash is not its second.".to_string(),
        }
    }

    /// In the order that C takes them in: the block, the chaining value, what should come out; on top what says whether
    /// they are to be compared.
    fn reads(&self) -> Vec<MessageId> {
        let mut reads: Vec<MessageId> = self.block().into_iter().flatten().collect();
        reads.extend(self.chaining().err());
        reads.push(self.result());
        match self.0 {
            Which::Node(path, _) => reads.push(path.position()),
            Which::Entry(_) => reads.extend([MessageId::BlockIndex, MessageId::Claim]),
            Which::Header(..) => {}
        }
        reads
    }

    fn body(&self, frame: &Frame, _: &LaneConstants) -> Body {
        let mut writer = frame.writer();
        let result = frame.message(self.result());
        match self.0 {
            Which::Node(path, place) => {
                let level = frame.field(path.position(), "level");
                writer.number(&level).push(LEVELS as i64).op(OP_LESSTHAN, 2, 1).op(OP_VERIFY, 1, 0);
                writer.at_place(path.search(), place, Edge::Right, &level);
                // The direction is the last of the position.
                writer.op(OP_TOALTSTACK, 1, 0).drop_many(frame.height() - result.end - 1).op(OP_FROMALTSTACK, 0, 1);
                writer.branch(|writer| writer.swap_halves(result.len()), |_| {});
            }
            Which::Entry(end) => {
                let order = if end == End::Previous { OP_LESSTHANOREQUAL } else { OP_LESSTHAN };
                writer.index_and_claim(frame).op(order, 2, 1).op(OP_VERIFY, 1, 0);
                writer.drop_many(frame.height() - result.end);
            }
            Which::Header(..) => {}
        }
        writer.script(self.differs(result.len()), result.end, 0);
        writer.finish()
    }

    fn refutes(&self, said: &Said<'_>) -> Option<Vec<Vec<u8>>> {
        let digest = |id| said.digest(id);
        let pair = |left: Digest, right: Digest| [left, right].concat().try_into().unwrap_or([0; 64]);
        let right = match self.0 {
            Which::Node(path, place) => {
                let position = said.position(path.position())?;
                let (child, sibling) = (digest(path.child())?, digest(path.sibling())?);
                if position.level >= LEVELS as u64
                    || position.direction > 1
                    || !is_at_place(path.search(), place, Edge::Right, position.level)
                {
                    return None;
                }
                let block = if position.direction == 0 { pair(child, sibling) } else { pair(sibling, child) };
                compress(&IV_MEMORY, &block)
            }
            Which::Entry(end) => {
                let (index, claimed) = (said.number(MessageId::BlockIndex)?, said.number(MessageId::Claim)?);
                let index = index + u64::from(end == End::Next);
                if index > claimed {
                    return None;
                }
                compress(&IV_R, &pair(digest(MessageId::BlockHash(end))?, digest(MessageId::BlockRoot(end))?))
            }
            Which::Header(..) => {
                let block = self.block().into_iter().flatten().map(|id| said.bytes(id)).collect::<Option<Vec<_>>>()?;
                let block = block.concat();
                let block = match self.bits() {
                    Some(bits) => padded(&block, bits),
                    None => block.try_into().ok()?,
                };
                let chaining = match self.chaining() {
                    Ok(constant) => constant,
                    Err(id) => digest(id)?,
                };
                compress(&chaining, &block)
            }
        };
        difference(&said.digits(self.result())?, &digits_of(&right)).map(|_| Vec::new())
    }
}

/// A block that begins with these bytes, and ends a message of so many bits (FIPS 180-4 §5.1.1).
fn padded(bytes: &[u8], bits: u16) -> [u8; 64] {
    let mut block = [0; 64];
    let (text, length) = block.split_at_mut(62);
    text.iter_mut().zip(bytes.iter().chain(&[0x80])).for_each(|(to, from)| *to = *from);
    length.copy_from_slice(&bits.to_be_bytes());
    block
}

impl Writer {
    /// `left, right, items → right, left, items`, left and right being digests.
    fn swap_halves(&mut self, above: usize) {
        (0..above).fold(&mut *self, |writer, _| writer.op(OP_TOALTSTACK, 1, 0));
        (0..DIGEST_DIGITS).fold(&mut *self, |writer, _| writer.push(2 * DIGEST_DIGITS as i64 - 1).op(OP_ROLL, 1, 0));
        (0..above).fold(self, |writer, _| writer.op(OP_FROMALTSTACK, 0, 1));
    }
}
