//! Where in a lane the choices of a challenger lead.

use std::collections::BTreeMap;

use trestle_taptree_trace::lane::{ChoiceId, MessageId, Move, Place, Search, SignedChoice};
use trestle_zkvm_adapter::Access;

use super::Error;

/// Choices, one option of each.
pub(super) type Choices = BTreeMap<ChoiceId, SignedChoice>;

/// The choices that lead to a move, in their order.
#[must_use]
pub fn leading(wanted: Move) -> Vec<ChoiceId> {
    let (history, trace) = (Search::History.rounds(), Search::Trace.rounds());
    let (in_history, in_trace, in_path) = match wanted {
        Move::Round(Search::History, round) => (round, 0, None),
        Move::Block | Move::Header(_) => (history, 0, None),
        Move::Round(Search::Trace, round) => (history, round, None),
        Move::Step => (history, trace, None),
        Move::Round(Search::Read | Search::Write, round) => (history, trace, Some(round)),
        Move::ReadNode | Move::WriteNode => (history, trace, Some(Search::Read.rounds())),
    };
    let mut choices: Vec<ChoiceId> = (0..in_history).map(ChoiceId::History).collect();
    choices.extend((0..in_trace).map(ChoiceId::Trace));
    if let Some(rounds) = in_path {
        choices.push(ChoiceId::Access);
        choices.extend((0..rounds).map(ChoiceId::Path));
    }
    choices
}

/// What a move signs, in the order in which it is sent: the index last.
#[must_use]
pub fn signed_by(wanted: Move) -> Vec<MessageId> {
    wanted.messages().into_iter().chain(wanted.index()).collect()
}

/// Whether a lane with K = `confirmations` has the move.
pub(super) const fn exists(wanted: Move, confirmations: u16) -> bool {
    match wanted {
        Move::Round(search, round) => round < search.rounds(),
        Move::Header(number) => number <= confirmations,
        Move::Block | Move::Step | Move::ReadNode | Move::WriteNode => true,
    }
}

/// Where the interval begins that the choices of the first rounds of a search lead to.
pub(super) fn start(choices: &Choices, search: Search, rounds: u8) -> Result<u64, Error> {
    (0..rounds).try_fold(0, |start, round| {
        let option = option(choices, ChoiceId::of_round(search, round))?;
        Ok(start + (u64::from(option) << below(search, round)))
    })
}

/// The index that all choices of a search lead to.
pub(super) fn index(choices: &Choices, search: Search) -> Result<u64, Error> {
    start(choices, search, search.rounds())
}

/// The places of a round, with the indices of what stands there.
pub(super) fn values(choices: &Choices, search: Search, round: u8) -> Result<[(Place, u64); 3], Error> {
    let start = start(choices, search, round)?;
    Ok([1, 2, 3].map(|place| (Place { round, place }, start + (u64::from(place) << below(search, round)))))
}

/// The access that was named.
pub(super) fn access(choices: &Choices) -> Result<Access, Error> {
    let option = option(choices, ChoiceId::Access)?;
    Access::ALL.get(usize::from(option)).copied().ok_or(Error::NotChosen(ChoiceId::Access))
}

fn option(choices: &Choices, id: ChoiceId) -> Result<u8, Error> {
    choices.get(&id).map(|choice| choice.option).ok_or(Error::NotChosen(id))
}

/// How the path of an access is searched.
pub(super) const fn search_of(access: Access) -> Search {
    match access {
        Access::Write | Access::WritePc => Search::Write,
        _ => Search::Read,
    }
}

/// How the path is searched that a move belongs to, if it belongs to one.
pub(super) const fn search_in(wanted: Move) -> Option<Search> {
    match wanted {
        Move::Round(search @ (Search::Read | Search::Write), _) => Some(search),
        Move::ReadNode => Some(Search::Read),
        Move::WriteNode => Some(Search::Write),
        _ => None,
    }
}

/// How far a round's digit of an index stands from the lowest bit.
const fn below(search: Search, round: u8) -> u32 {
    2 * (search.rounds().saturating_sub(round + 1)) as u32
}
