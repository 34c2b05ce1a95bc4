//! What a lane would take if its searches cut an interval into another number of parts.
//!
//! A lane is built with four ([`Arity::BUILT`]). This says how many rounds another number would take, and how large its scripts, witnesses
//! and keys would be, by the very scripts that a lane has ([`Move`]); of a round with as many values as one transaction is to carry.

use std::convert::Infallible;

use super::message::CUT_DIGITS;
use super::moves::{MAX_ITEMS, choice_key_script};
use super::{ChoiceId, ChoiceKey, MessageId, Move, PLACES, Search};
use crate::ots::{DIGIT_BITS, Field, Layout, Link, PublicKey};

/// Into how many parts a round cuts an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arity(u8);

/// A script, and what satisfies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafShape {
    /// Bytes of the script.
    pub script: usize,
    /// Lengths of the longest items.
    pub items: Vec<usize>,
}

/// An index has as many digits at most as the trace has rounds, and a path two more.
static INDEX: [Field; CUT_DIGITS] = [Field { name: "index", digits: 1 }; CUT_DIGITS];

impl Arity {
    /// What lanes are built with.
    pub const BUILT: Self = Self(PLACES + 1);

    /// The arity, if it is one of 2 to 16: a part is a digit of an index.
    #[must_use]
    pub const fn new(parts: u8) -> Option<Self> {
        if parts >= 2 && parts <= 1 << DIGIT_BITS { Some(Self(parts)) } else { None }
    }

    /// Into how many parts an interval is cut.
    #[must_use]
    pub const fn parts(self) -> u8 {
        self.0
    }

    /// Values of a round: one less.
    #[must_use]
    pub const fn values(self) -> u8 {
        self.0 - 1
    }

    /// How many rounds a search takes.
    #[must_use]
    pub fn rounds(self, search: Search) -> usize {
        let all = u64::from(Self::BUILT.0).pow(search.rounds().into());
        let cut = std::iter::successors(Some(1), |reached: &u64| Some(reached.saturating_mul(self.0.into())));
        cut.take_while(|reached| *reached < all).count()
    }

    /// How many choices each digit of a search's index holds, the highest digit first.
    pub(super) fn digits(self, search: Search) -> Vec<usize> {
        let most = (1..).take_while(|parts| self.power(*parts) <= 1 << DIGIT_BITS).last().unwrap_or(1);
        let rounds = self.rounds(search);
        let first = rounds % most;
        let whole = std::iter::repeat_n(most, rounds / most);
        (first > 0).then_some(first).into_iter().chain(whole).collect()
    }

    /// Whether a digit with so many choices in it has no value that is none of them.
    pub(super) fn fills_a_digit(self, choices: usize) -> bool {
        self.power(choices) == 1 << DIGIT_BITS
    }

    pub(super) fn power(self, exponent: usize) -> i64 {
        (0..exponent).fold(1, |power, _| power * i64::from(self.0))
    }

    /// Powers of two that add up to every choice, the greatest first.
    pub(super) fn halvings(self) -> impl Iterator<Item = i64> {
        (0..DIGIT_BITS).rev().map(|bit| 1 << bit).filter(move |half| *half < i64::from(self.0))
    }

    /// The index of what is opened after a search, one field.
    fn index(self, search: Search) -> Layout {
        let beside = match search {
            Search::History | Search::Trace => 0,
            // The access, and the direction.
            Search::Read | Search::Write => 2,
        };
        let digits = beside + self.digits(search).len();
        Layout { name: "index", fields: INDEX.get(..digits).unwrap_or(&INDEX) }
    }

    /// The operator's transaction with `values` of a round's values.
    #[must_use]
    pub fn round(self, search: Search, values: u8) -> LeafShape {
        let built = Move::Round(search, 0);
        let each = built.messages().len() / usize::from(PLACES);
        let layouts: Vec<Layout> = built.messages().iter().take(each).map(|id| id.layout()).collect();
        self.shape(built, &layouts.repeat(values.into()), None)
    }

    /// Whether Script has room for the items of such a transaction.
    #[must_use]
    pub fn has_room(shape: &LeafShape) -> bool {
        shape.items.len() <= MAX_ITEMS
    }

    /// An opening, or a header.
    #[must_use]
    pub fn opening(self, opened: Move) -> LeafShape {
        let layouts: Vec<Layout> = opened.messages().iter().map(|id| id.layout()).collect();
        self.shape(opened, &layouts, opened.searched().map(|search| self.index(search)))
    }

    fn shape(self, played: Move, messages: &[Layout], index: Option<Layout>) -> LeafShape {
        let key = |layout: &Layout| PublicKey(vec![Link::default(); layout.signed_digits()]);
        let keys: Vec<PublicKey> = messages.iter().map(key).collect();
        let keyed: Vec<_> = messages.iter().copied().zip(&keys).collect();
        let index_key = index.as_ref().map(key);
        let [quarter, access] = [self.choice_key(ChoiceId::Path(0)), self.choice_key(ChoiceId::Access)];
        let choice = |id| Ok::<_, Infallible>(if id == ChoiceId::Access { &access } else { &quarter });
        let Ok(script) = played.script_of(self, &keyed, index.zip(index_key.as_ref()), choice);
        LeafShape { script: script.len(), items: played.longest_items_of(self, messages, index) }
    }

    /// What takes so many choices of the challenger that end a round, and that of the access where it is named.
    #[must_use]
    pub fn choices(self, rounds: usize, access: bool) -> LeafShape {
        let script = |id| choice_key_script(&self.choice_key(id)).len();
        let named = usize::from(access);
        let script = rounds * script(ChoiceId::Path(0)) + named * script(ChoiceId::Access);
        LeafShape { script, items: vec![size_of::<Link>(); rounds + named] }
    }

    fn choice_key(self, id: ChoiceId) -> ChoiceKey {
        let options = if id == ChoiceId::Access { id.options() } else { self.0 };
        ChoiceKey(vec![Link::default(); options.into()])
    }

    /// Bytes of the operator's keys of a lane with K = `confirmations`.
    #[must_use]
    pub fn operator_key_bytes(self, confirmations: u16) -> usize {
        let digits = |id: MessageId| match id {
            MessageId::BlockIndex => self.index(Search::History).signed_digits(),
            MessageId::StepIndex => self.index(Search::Trace).signed_digits(),
            MessageId::ReadPosition | MessageId::WritePosition => self.index(Search::Read).signed_digits(),
            // A value of a round: of each search there are as many as its first round has, in every round.
            _ => match id.search() {
                Some((search, place)) if place.round == 0 && place.place == 1 => {
                    self.rounds(search) * usize::from(self.values()) * id.layout().signed_digits()
                }
                Some(_) => 0,
                None => id.layout().signed_digits(),
            },
        };
        MessageId::all(confirmations).into_iter().map(digits).sum::<usize>() * size_of::<Link>()
    }

    /// Bytes of the challenger's keys.
    #[must_use]
    pub fn challenger_key_bytes(self) -> usize {
        let rounds: usize =
            [Search::History, Search::Trace, Search::Read].map(|search| self.rounds(search)).iter().sum();
        let links = rounds * usize::from(self.0) + usize::from(ChoiceId::Access.options());
        links * size_of::<Link>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{LaneId, LaneKeys, OperatorKeys, challenger_keys, choice_script};
    use crate::ots::SecretSeed;

    const SEARCHES: [Search; 4] = [Search::History, Search::Trace, Search::Read, Search::Write];
    const CONFIRMATIONS: u16 = 2;

    fn keys() -> LaneKeys {
        let id = LaneId { instance: [1; 32], slot: [2; 6], challenger: 0 };
        let [operator, challenger] = [3, 4].map(|byte| SecretSeed::new([byte; 32]));
        let operator = OperatorKeys::derive(&operator, &id, CONFIRMATIONS).0;
        LaneKeys::new(CONFIRMATIONS, operator, challenger_keys(&challenger, &id)).unwrap()
    }

    #[test]
    fn what_is_reckoned_of_four_parts_is_what_a_lane_has() {
        let (keys, built) = (keys(), Arity::BUILT);
        let real =
            |played: Move| LeafShape { script: played.script(&keys).unwrap().len(), items: played.longest_items() };
        for search in SEARCHES {
            assert_eq!(built.rounds(search), usize::from(search.rounds()));
            assert_eq!(built.round(search, PLACES), real(Move::Round(search, 0)));
        }
        for opened in [Move::Block, Move::Step, Move::ReadNode, Move::WriteNode, Move::Header(0)] {
            assert_eq!(built.opening(opened), real(opened), "{opened:?}");
            if let Some((search, index)) = opened.searched().zip(opened.index()) {
                assert_eq!(built.index(search).signed_digits(), index.layout().signed_digits());
            }
        }
        let ids = ChoiceId::all();
        let scripts: usize = ids.iter().map(|id| choice_script(&keys, *id).unwrap().len()).sum();
        let all = LeafShape { script: scripts, items: vec![20; ids.len()] };
        assert_eq!(built.choices(ids.len() - 1, true), all);
        assert_eq!(built.operator_key_bytes(CONFIRMATIONS), OperatorKeys::length(CONFIRMATIONS));
        assert_eq!(built.operator_key_bytes(CONFIRMATIONS) + built.challenger_key_bytes(), keys.bytes());
    }

    #[test]
    fn every_arity_reaches_every_index_and_no_round_is_too_many() {
        for arity in (2..=16).filter_map(Arity::new) {
            for search in SEARCHES {
                let (rounds, all) = (arity.rounds(search), u64::from(PLACES + 1).pow(search.rounds().into()));
                let reached = |rounds: usize| u128::from(arity.parts()).pow(rounds as u32);
                assert!(reached(rounds) >= all.into() && reached(rounds - 1) < all.into(), "{arity:?} {search}");
                let digits = arity.digits(search);
                assert_eq!(digits.iter().sum::<usize>(), rounds);
                assert!(digits.iter().all(|choices| (1..=16).contains(&arity.power(*choices)) && *choices > 0));
                // One field for each digit, none left out.
                let beside = if matches!(search, Search::Read | Search::Write) { 2 } else { 0 };
                assert_eq!(arity.index(search).message_digits(), digits.len() + beside);
            }
        }
        assert_eq!([0, 1, 17].map(Arity::new), [None; 3]);
        assert_eq!(Arity::new(4), Some(Arity::BUILT));
    }
}
