//! Above the memory tree, where every level of a path stands for the root.

use bitcoin::opcodes::all::*;
use trestle_zkvm_adapter::layout::LEVELS;
use trestle_zkvm_adapter::opening::{Access, PATH_LEVELS};

use super::compare::{Edge, difference, is_at_place, not_halted};
use super::{Body, Disproof, Frame, Said};
use crate::lane::{LaneConstants, MessageId, Place, Search, Side};

/// "The opened level is from 27 on, and is not the one above it."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding {
    path: PathSide,
    above: Above,
}

/// A path, and which of its two sides if it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathSide {
    Read,
    Write(Side),
}

/// What is above the opened level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Above {
    /// What a round signed.
    Place(Place),
    /// A root that the step opening names. No path leads to a halted state, and a step that halts writes nothing.
    Root(Access, MessageId),
}

impl PathSide {
    /// The two of a path that is written.
    pub(super) const WRITTEN: [Self; 2] = [Self::Write(Side::Old), Self::Write(Side::New)];

    pub(super) const fn search(self) -> Search {
        match self {
            Self::Read => Search::Read,
            Self::Write(_) => Search::Write,
        }
    }

    pub(super) const fn position(self) -> MessageId {
        match self {
            Self::Read => MessageId::ReadPosition,
            Self::Write(_) => MessageId::WritePosition,
        }
    }

    pub(super) const fn child(self) -> MessageId {
        match self {
            Self::Read => MessageId::ReadChild,
            Self::Write(side) => MessageId::WriteChild(side),
        }
    }

    pub(super) const fn sibling(self) -> MessageId {
        match self {
            Self::Read => MessageId::ReadSibling,
            Self::Write(_) => MessageId::WriteSibling,
        }
    }

    pub(super) const fn value(self, place: Place) -> MessageId {
        match self {
            Self::Read => MessageId::Read(place),
            Self::Write(side) => MessageId::Write(place, side),
        }
    }

    /// What its leaves are called after.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write(Side::Old) => "write.old",
            Self::Write(Side::New) => "write.new",
        }
    }
}

impl Padding {
    /// Those of paths that are read.
    pub fn read() -> impl Iterator<Item = Self> {
        let root = Above::Root(Access::Pc, MessageId::StepBefore);
        Self::places(PathSide::Read).chain([Self { path: PathSide::Read, above: root }])
    }

    /// Those of paths that are written.
    pub fn written() -> impl Iterator<Item = Self> {
        let roots = [
            (Access::Write, Side::Old, MessageId::StepBefore),
            (Access::Write, Side::New, MessageId::StepMiddle),
            (Access::WritePc, Side::Old, MessageId::StepMiddle),
            (Access::WritePc, Side::New, MessageId::StepAfter),
        ];
        let root = |(access, side, root)| Self { path: PathSide::Write(side), above: Above::Root(access, root) };
        let places = PathSide::WRITTEN.into_iter().flat_map(Self::places);
        places.chain(roots.map(root))
    }

    /// The places at which levels from 28 on are signed.
    fn places(path: PathSide) -> impl Iterator<Item = Self> {
        let search = path.search();
        let signed: Vec<_> = (LEVELS + 1..PATH_LEVELS).filter_map(|level| search.place_of(level as u64)).collect();
        let places = search.places().filter(move |place| signed.contains(place));
        places.map(move |place| Self { path, above: Above::Place(place) })
    }

    const fn target(self) -> MessageId {
        match self.above {
            Above::Place(place) => self.path.value(place),
            Above::Root(_, root) => root,
        }
    }

    /// The state that must not be halted.
    const fn guard(self) -> Option<MessageId> {
        match (self.above, self.path) {
            (Above::Place(_), _) => None,
            (Above::Root(..), PathSide::Read) => Some(MessageId::StepBefore),
            (Above::Root(..), PathSide::Write(_)) => Some(MessageId::StepAfter),
        }
    }
}

impl Disproof for Padding {
    fn name(&self) -> String {
        let path = self.path.name();
        match (self.above, self.path) {
            (Above::Place(place), _) => format!("{path}.padding.{place}"),
            (Above::Root(..), PathSide::Read) => format!("{path}.root"),
            (Above::Root(Access::Write, _), _) => format!("{path}.root.data"),
            (Above::Root(..), _) => format!("{path}.root.pc"),
        }
    }

    fn family(&self) -> String {
        match self.above {
            Above::Place(_) => format!("{}.padding.r.q", self.path.name()),
            Above::Root(..) => self.name(),
        }
    }

    fn lie(&self) -> String {
        let child = self.path.child();
        match (self.above, self.guard()) {
            (Above::Root(_, root), Some(guard)) => {
                format!("At the root {child} is not {root}, and {guard} is not a halted state.")
            }
            _ => format!("At a level that stands for the root {child} is not what a round signed above."),
        }
    }

    fn reads(&self) -> Vec<MessageId> {
        let mut reads = vec![self.target(), self.path.child(), self.path.position()];
        reads.extend(self.guard().filter(|guard| *guard != self.target()));
        reads
    }

    fn hint_count(&self) -> usize {
        if self.guard().is_some() { 3 } else { 1 }
    }

    fn body(&self, frame: &Frame, _: &LaneConstants) -> Body {
        let mut writer = frame.writer();
        let position = self.path.position();
        let level = frame.field(position, "level");
        match self.above {
            Above::Place(place) => {
                writer.number(&level).push(LEVELS as i64).op(OP_GREATERTHANOREQUAL, 2, 1).op(OP_VERIFY, 1, 0);
                writer.at_place(self.path.search(), place, Edge::Right, &level);
            }
            Above::Root(access, _) => {
                writer.number(&level).is(PATH_LEVELS as i64 - 1);
                if let PathSide::Write(_) = self.path {
                    writer.copy(frame.field(position, "access").start).is(access as i64);
                }
            }
        }
        writer.differ(&frame.message(self.target()), &frame.message(self.path.child()), 0);
        if let Some(guard) = self.guard() {
            writer.is_not_halted(&frame.message(guard), [1, 2]);
        }
        writer.finish()
    }

    fn refutes(&self, said: &Said<'_>) -> Option<Vec<Vec<u8>>> {
        let position = said.position(self.path.position())?;
        let applies = match self.above {
            Above::Place(place) => {
                position.level >= LEVELS as u64 && is_at_place(self.path.search(), place, Edge::Right, position.level)
            }
            Above::Root(access, _) => {
                let of_access = self.path == PathSide::Read || position.access == access as u8;
                position.level == PATH_LEVELS as u64 - 1 && of_access
            }
        };
        let mut hints = vec![difference(&said.digits(self.target())?, &said.digits(self.path.child())?)?];
        if let Some(guard) = self.guard() {
            hints.extend(not_halted(&said.digits(guard)?)?);
        }
        applies.then_some(hints)
    }
}
