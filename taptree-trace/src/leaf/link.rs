//! Links: what an opening says of an end of the disputed interval is what a round signed there.

use super::compare::{Edge, difference, is_at_place};
use super::{Body, Disproof, Frame, Said};
use crate::lane::{End, LaneConstants, MessageId, Place, Search, Side};

/// "The opening's value is not the one that was signed at this place."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    search: Search,
    edge: Edge,
    place: Place,
    /// Of a path that is written.
    side: Option<Side>,
}

impl Link {
    /// Both entries of the block opening, against every place of the history.
    pub fn entries() -> impl Iterator<Item = Self> {
        Self::both_edges(Search::History)
    }

    /// Both states of the step opening, against every place of the trace.
    pub fn states() -> impl Iterator<Item = Self> {
        Self::both_edges(Search::Trace)
    }

    /// The opened node of a path that is read.
    pub fn nodes_read() -> impl Iterator<Item = Self> {
        let search = Search::Read;
        search.places().map(move |place| Self { search, edge: Edge::Left, place, side: None })
    }

    /// The opened nodes of a path that is written.
    pub fn nodes_written() -> impl Iterator<Item = Self> {
        let (search, edge) = (Search::Write, Edge::Left);
        let sides = move |place| [Side::Old, Side::New].map(move |side| Self { search, edge, place, side: Some(side) });
        search.places().flat_map(sides)
    }

    fn both_edges(search: Search) -> impl Iterator<Item = Self> {
        let at = move |edge| search.places().map(move |place| Self { search, edge, place, side: None });
        at(Edge::Left).chain(at(Edge::Right))
    }

    const fn stem(self) -> &'static str {
        match (self.search, self.edge, self.side) {
            (Search::History, Edge::Left, _) => "entry.previous",
            (Search::History, Edge::Right, _) => "entry.next",
            (Search::Trace, Edge::Left, _) => "step.before",
            (Search::Trace, Edge::Right, _) => "step.after",
            (Search::Write, _, Some(Side::Old)) => "write.old.child",
            (Search::Write, _, Some(Side::New)) => "write.new.child",
            (Search::Read | Search::Write, ..) => "read.child",
        }
    }

    const fn index(self) -> MessageId {
        match self.search {
            Search::History => MessageId::BlockIndex,
            Search::Trace => MessageId::StepIndex,
            Search::Read => MessageId::ReadPosition,
            Search::Write => MessageId::WritePosition,
        }
    }

    const fn index_field(self) -> &'static str {
        match self.search {
            Search::History => "j",
            Search::Trace => "k",
            Search::Read | Search::Write => "level",
        }
    }

    const fn opened(self) -> MessageId {
        match (self.search, self.edge, self.side) {
            (Search::History, Edge::Left, _) => MessageId::BlockEntry(End::Previous),
            (Search::History, Edge::Right, _) => MessageId::BlockEntry(End::Next),
            (Search::Trace, Edge::Left, _) => MessageId::StepBefore,
            (Search::Trace, Edge::Right, _) => MessageId::StepAfter,
            (Search::Write, _, Some(side)) => MessageId::WriteChild(side),
            (Search::Read | Search::Write, ..) => MessageId::ReadChild,
        }
    }

    const fn signed(self) -> MessageId {
        match (self.search, self.side) {
            (Search::History, _) => MessageId::History(self.place),
            (Search::Trace, _) => MessageId::Trace(self.place),
            (Search::Write, Some(side)) => MessageId::Write(self.place, side),
            (Search::Read | Search::Write, _) => MessageId::Read(self.place),
        }
    }
}

impl Disproof for Link {
    fn name(&self) -> String {
        format!("{}.{}", self.stem(), self.place)
    }

    fn family(&self) -> String {
        format!("{}.r.q", self.stem())
    }

    fn lie(&self) -> String {
        format!("The opening's {} is not what a round signed there.", self.opened())
    }

    fn reads(&self) -> Vec<MessageId> {
        vec![self.signed(), self.opened(), self.index()]
    }

    fn hint_count(&self) -> usize {
        1
    }

    fn body(&self, frame: &Frame, _: &LaneConstants) -> Body {
        let mut writer = frame.writer();
        writer.at_place(self.search, self.place, self.edge, &frame.field(self.index(), self.index_field()));
        writer.differ(&frame.message(self.signed()), &frame.message(self.opened()), 0);
        writer.finish()
    }

    fn refutes(&self, said: &Said<'_>) -> Option<Vec<Vec<u8>>> {
        let index = match self.search {
            Search::History | Search::Trace => said.number(self.index())?,
            Search::Read | Search::Write => said.position(self.index())?.level,
        };
        let at = is_at_place(self.search, self.place, self.edge, index);
        let hint = difference(&said.digits(self.signed())?, &said.digits(self.opened())?)?;
        at.then(|| vec![hint])
    }
}
