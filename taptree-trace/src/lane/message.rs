//! What an operator signs in a lane: the messages, the names of their keys, and their layouts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ots::{CLAIM, Field, Layout};

/// Digits of a digest that is cut to 24 bytes.
pub const CUT_DIGITS: usize = 48;
/// Digits of a digest.
pub const DIGEST_DIGITS: usize = 64;
/// Interior values that the operator signs in one round: the arity, 4, less one.
pub const PLACES: u8 = 3;

/// One of the searches of a lane. Every round cuts an interval into four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Search {
    /// Over the entries of the history.
    History,
    /// Over the states of the trace.
    Trace,
    /// Over the nodes of a path that is read.
    Read,
    /// Over the nodes of a path that is written: the old one and the new one side by side.
    Write,
}

impl Search {
    /// How many rounds it takes: 4^8 entries, 4^22 states, 4^3 levels.
    #[must_use]
    pub const fn rounds(self) -> u8 {
        match self {
            Self::History => 8,
            Self::Trace => 22,
            Self::Read | Self::Write => 3,
        }
    }

    /// Where each value that is signed in its rounds stands: round and place, in the order in which they are signed.
    pub fn places(self) -> impl Iterator<Item = Place> {
        (0..self.rounds()).flat_map(|round| (1..=PLACES).map(move |place| Place { round, place }))
    }

    /// Where the value at `index` was signed; `None` at the ends, which no round signs.
    ///
    /// A number of base-4 digits `d_0 … d_{R-1}` is a place of round `r` if `d_r ≠ 0` and all later digits are 0.
    #[must_use]
    pub fn place_of(self, index: u64) -> Option<Place> {
        let rounds = u32::from(self.rounds());
        if index == 0 || index >> (2 * rounds) != 0 {
            return None;
        }
        let zeros = index.trailing_zeros() / 2;
        Some(Place { round: (rounds - 1 - zeros) as u8, place: (index >> (2 * zeros) & 3) as u8 })
    }
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::History => "history",
            Self::Trace => "trace",
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

/// One of the three values of a round: it cuts off the first `place` quarters of the round's interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The round, from 0.
    pub round: u8,
    /// 1, 2 or 3.
    pub place: u8,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.round, self.place)
    }
}

/// A side of a path that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The nodes before the write.
    Old,
    /// Those after.
    New,
}

/// An end of the step of the history that is disputed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// Entry j.
    Previous,
    /// Entry j + 1.
    Next,
}

/// A part of a header, n blocks above the disputed entry's.
///
/// The hash of a header is three compressions: of its first 64 bytes, of the last 16 with padding, and of what comes out
/// of these with padding. Both values between are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeaderPart {
    /// Bytes 0–31: the version and 28 bytes of the previous block's hash.
    First,
    /// Bytes 32–63: the rest of that hash and 28 bytes of the transactions' root.
    Second,
    /// Bytes 64–79: the rest of that root, time, bits, nonce.
    Last,
    /// The chaining value after 64 bytes.
    Middle,
    /// The first of the two SHA-256.
    Inner,
    /// The second: the block's hash.
    Hash,
}

impl HeaderPart {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::First, Self::Second, Self::Last, Self::Middle, Self::Inner, Self::Hash];

    const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
            Self::Last => "last",
            Self::Middle => "middle",
            Self::Inner => "inner",
            Self::Hash => "hash",
        }
    }
}

/// One message of the operator, and so one key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageId {
    /// The claim, which is the same in every lane of a slot.
    Claim,
    /// An entry of the history, cut.
    History(Place),
    /// Which step of the history is opened: j of the entries j and j + 1.
    BlockIndex,
    /// An entry of the block opening, cut.
    BlockEntry(End),
    /// The hash of its block.
    BlockHash(End),
    /// The root of its state.
    BlockRoot(End),
    /// A state of the trace, cut.
    Trace(Place),
    /// Which step of the trace is opened: k of the states k and k + 1.
    StepIndex,
    /// The state before the step, cut.
    StepBefore,
    /// The root after the data write, cut.
    StepMiddle,
    /// The state after the step, cut.
    StepAfter,
    /// The words of the step.
    StepLog,
    /// The memory leaf that it reads.
    StepLeaf,
    /// A node of a path that is read, cut.
    Read(Place),
    /// Which node is opened.
    ReadPosition,
    /// The node, whole.
    ReadChild,
    /// The one beside it.
    ReadSibling,
    /// A node of a path that is written: the old one is cut, the new one is not.
    ///
    /// The truth of an old node comes from above, of which 24 bytes are enough. That of a new one comes from below: it is
    /// an input of C, and bytes of it that no round has signed could be made up.
    Write(Place, Side),
    /// Which node is opened.
    WritePosition,
    /// The node, whole.
    WriteChild(Side),
    /// The one beside both.
    WriteSibling,
    /// A part of a header.
    Header(u16, HeaderPart),
}

const fn digest(name: &'static str) -> Layout {
    // A name for errors; the fields are all alike.
    Layout { name, fields: &[Field { name: "digest", digits: DIGEST_DIGITS }] }
}

const fn cut(name: &'static str) -> Layout {
    Layout { name, fields: &[Field { name: "digest", digits: CUT_DIGITS }] }
}

/// The words of a step, each most significant digit first.
const LOG: Layout = Layout {
    name: "step.log",
    fields: &[
        Field::bytes("pc", 4),
        Field::bytes("instruction", 4),
        Field::bytes("rs1", 4),
        Field::bytes("rs2", 4),
        Field::bytes("address", 4),
        Field::bytes("value", 4),
        Field::bytes("next_pc", 4),
    ],
};

/// Whose path it is, the level of the opened node in three base-4 digits, the first of them alone, and whether the node is
/// its parent's right child.
const POSITION: Layout = Layout {
    name: "position",
    fields: &[
        Field { name: "access", digits: 1 },
        Field { name: "level", digits: 2 },
        Field { name: "direction", digits: 1 },
    ],
};

impl MessageId {
    /// Every message of a lane whose claims are K = `confirmations` deep, the claim included, in ascending order.
    #[must_use]
    pub fn all(confirmations: u16) -> Vec<Self> {
        let ends = [End::Previous, End::Next];
        let sides = [Side::Old, Side::New];
        let mut all = vec![Self::Claim];
        all.extend(Search::History.places().map(Self::History));
        all.push(Self::BlockIndex);
        all.extend(ends.map(Self::BlockEntry));
        all.extend(ends.map(Self::BlockHash));
        all.extend(ends.map(Self::BlockRoot));
        all.extend(Search::Trace.places().map(Self::Trace));
        all.extend([
            Self::StepIndex,
            Self::StepBefore,
            Self::StepMiddle,
            Self::StepAfter,
            Self::StepLog,
            Self::StepLeaf,
        ]);
        all.extend(Search::Read.places().map(Self::Read));
        all.extend([Self::ReadPosition, Self::ReadChild, Self::ReadSibling]);
        all.extend(Search::Write.places().flat_map(|place| sides.map(|side| Self::Write(place, side))));
        all.push(Self::WritePosition);
        all.extend(sides.map(Self::WriteChild));
        all.push(Self::WriteSibling);
        all.extend((0..=confirmations).flat_map(|number| HeaderPart::ALL.map(|part| Self::Header(number, part))));
        all
    }

    /// The search in which it is a value of a round, and where.
    pub(super) const fn search(self) -> Option<(Search, Place)> {
        match self {
            Self::History(place) => Some((Search::History, place)),
            Self::Trace(place) => Some((Search::Trace, place)),
            Self::Read(place) => Some((Search::Read, place)),
            Self::Write(place, _) => Some((Search::Write, place)),
            _ => None,
        }
    }

    /// Its fields.
    #[must_use]
    pub const fn layout(self) -> Layout {
        match self {
            Self::Claim => CLAIM,
            Self::History(_) => cut("history"),
            Self::BlockIndex => Layout { name: "block.index", fields: &[Field { name: "j", digits: 4 }] },
            Self::BlockEntry(_) => cut("block.entry"),
            Self::BlockHash(_) => digest("block.hash"),
            Self::BlockRoot(_) => digest("block.root"),
            Self::Trace(_) => cut("trace"),
            Self::StepIndex => Layout { name: "step.index", fields: &[Field { name: "k", digits: 11 }] },
            Self::StepBefore => cut("step.before"),
            Self::StepMiddle => cut("step.middle"),
            Self::StepAfter => cut("step.after"),
            Self::StepLog => LOG,
            Self::StepLeaf => digest("step.leaf"),
            Self::Read(_) => cut("read"),
            Self::ReadPosition | Self::WritePosition => POSITION,
            Self::ReadChild => digest("read.child"),
            Self::ReadSibling => digest("read.sibling"),
            Self::Write(_, Side::Old) => cut("write.old"),
            Self::Write(_, Side::New) => digest("write.new"),
            Self::WriteChild(_) => digest("write.child"),
            Self::WriteSibling => digest("write.sibling"),
            Self::Header(_, HeaderPart::Last) => {
                Layout { name: "header.last", fields: &[Field { name: "bytes", digits: 32 }] }
            }
            Self::Header(..) => digest("header"),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Previous => "previous",
            Self::Next => "next",
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Old => "old",
            Self::New => "new",
        })
    }
}

/// The message's name, of which its key is derived.
impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim => f.write_str("claim"),
            Self::History(place) => write!(f, "history.{place}"),
            Self::BlockIndex => f.write_str("block.index"),
            Self::BlockEntry(end) => write!(f, "block.{end}.entry"),
            Self::BlockHash(end) => write!(f, "block.{end}.hash"),
            Self::BlockRoot(end) => write!(f, "block.{end}.root"),
            Self::Trace(place) => write!(f, "trace.{place}"),
            Self::StepIndex => f.write_str("step.index"),
            Self::StepBefore => f.write_str("step.before"),
            Self::StepMiddle => f.write_str("step.middle"),
            Self::StepAfter => f.write_str("step.after"),
            Self::StepLog => f.write_str("step.log"),
            Self::StepLeaf => f.write_str("step.leaf"),
            Self::Read(place) => write!(f, "read.{place}"),
            Self::ReadPosition => f.write_str("read.node.position"),
            Self::ReadChild => f.write_str("read.node.child"),
            Self::ReadSibling => f.write_str("read.node.sibling"),
            Self::Write(place, side) => write!(f, "write.{place}.{side}"),
            Self::WritePosition => f.write_str("write.node.position"),
            Self::WriteChild(side) => write!(f, "write.node.child.{side}"),
            Self::WriteSibling => f.write_str("write.node.sibling"),
            Self::Header(number, part) => write!(f, "header.{number}.{}", part.name()),
        }
    }
}
