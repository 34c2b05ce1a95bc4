//! The turns of a lane: whose move each of its outputs waits for, and where every move leads.
//!
//! The lane begins with [`Turn::Entered`], the output of the challenger's entry, and goes on by [`Turn::steps`]. Each step is
//! one transaction. Whoever lets its turn pass loses the lane. The challenger ends it by a disproof, on an output that
//! has a [tree](Turn::tree).
//!
//! ```text
//! Entered ─┬─ Round(History, 0) ─ Choice(History, 0) ─ … ─┐
//!          ├─ all choices of the history ─────────────────┴─ OpenBlock ─ BlockOpened
//!          └─ those and all of the trace ─ OpenStep
//! BlockOpened ─┬─ Header(0) ─ … ─ Header(K) ─ Forked
//!              ├─ Round(Trace, 0) ─ Choice(Trace, 0) ─ … ─┐
//!              └─ all choices of the trace ───────────────┴─ OpenStep ─ StepOpened
//! StepOpened ─┬─ the access ─ Round(Path, 0) ─ Choice(Path, 0) ─ … ─┐
//!             └─ the access and all choices of the path ────────────┴─ OpenNode ─┬─ NodeOpened(Read)
//!                                                                                └─ NodeOpened(Write)
//! ```
//!
//! What is signed counts wherever it was signed, so a side that has played off chain repeats here what it has said there. No step
//! depends on *what* is chosen: the access, too, is a choice that the node opening checks, and the rounds of a path can be
//! played for a read or for a write.

use crate::lane::{ChoiceId, Move, Search};
use crate::leaf::Tree;

/// A side of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Player {
    /// Whoever made the claim.
    Operator,
    /// Whoever disputes it.
    Challenger,
}

/// What is searched in one row of rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stretch {
    /// The entries of the history.
    History,
    /// The states of the trace.
    Trace,
    /// The path of the access that the challenger named.
    Path,
}

/// What an output of a lane waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Turn {
    /// The challenger has entered its lane, and says how to go on.
    Entered,
    /// The operator's values of a round.
    Round(Stretch, u8),
    /// The challenger's choice that ends a round.
    Choice(Stretch, u8),
    /// The operator's block opening.
    OpenBlock,
    /// The challenger's disproof of it, or a fork, or the trace.
    BlockOpened,
    /// A header of the operator's.
    Header(u16),
    /// The challenger's disproof of the headers.
    Forked,
    /// The operator's step opening.
    OpenStep,
    /// The challenger's disproof of it, or an access.
    StepOpened,
    /// The operator's node opening.
    OpenNode,
    /// The challenger's disproof of it: of a path that is read, or of one that is written.
    NodeOpened(Search),
}

/// What the script of a leaf takes, beside the signatures that the transaction needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Carried {
    /// A move of the operator.
    Move(Move),
    /// Choices of the challenger, in this order; there may be none.
    Choices(Vec<ChoiceId>),
}

/// A transaction that ends a turn.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// What its output waits for.
    pub to: Turn,
    /// What it may carry: a leaf each.
    pub leaves: Vec<Carried>,
}

impl Stretch {
    /// How many rounds it takes.
    #[must_use]
    pub const fn rounds(self) -> u8 {
        self.searches()[0].rounds()
    }

    /// The searches that may be played in it.
    const fn searches(self) -> &'static [Search] {
        match self {
            Self::History => &[Search::History],
            Self::Trace => &[Search::Trace],
            Self::Path => &[Search::Read, Search::Write],
        }
    }

    /// The choice that ends a round.
    #[must_use]
    pub const fn choice(self, round: u8) -> ChoiceId {
        ChoiceId::of_round(self.searches()[0], round)
    }

    fn choices(self) -> impl Iterator<Item = ChoiceId> {
        (0..self.rounds()).map(move |round| self.choice(round))
    }

    /// What is opened at the end of it.
    const fn opening(self) -> Turn {
        match self {
            Self::History => Turn::OpenBlock,
            Self::Trace => Turn::OpenStep,
            Self::Path => Turn::OpenNode,
        }
    }
}

impl Turn {
    /// Whose turn it is.
    #[must_use]
    pub const fn mover(self) -> Player {
        match self {
            Self::Round(..) | Self::OpenBlock | Self::Header(_) | Self::OpenStep | Self::OpenNode => Player::Operator,
            Self::Entered
            | Self::Choice(..)
            | Self::BlockOpened
            | Self::Forked
            | Self::StepOpened
            | Self::NodeOpened(_) => Player::Challenger,
        }
    }

    /// The disproof leaves of its output.
    #[must_use]
    pub const fn tree(self) -> Option<Tree> {
        match self {
            Self::BlockOpened => Some(Tree::Block),
            Self::Forked => Some(Tree::Fork),
            Self::StepOpened => Some(Tree::Step),
            Self::NodeOpened(Search::Write) => Some(Tree::WriteNode),
            Self::NodeOpened(_) => Some(Tree::ReadNode),
            _ => None,
        }
    }

    /// What can end the turn but a disproof, in a lane with K = `confirmations`.
    #[must_use]
    pub fn steps(self, confirmations: u16) -> Vec<Step> {
        let chosen = |to, choices| Step { to, leaves: vec![Carried::Choices(choices)] };
        let played = |to, moves: &[Move]| Step { to, leaves: moves.iter().copied().map(Carried::Move).collect() };
        let (history, trace, path) = (Stretch::History, Stretch::Trace, Stretch::Path);
        match self {
            Self::Entered => vec![
                chosen(Self::Round(history, 0), Vec::new()),
                chosen(Self::OpenBlock, history.choices().collect()),
                chosen(Self::OpenStep, history.choices().chain(trace.choices()).collect()),
            ],
            Self::Round(stretch, round) => {
                let moves: Vec<_> = stretch.searches().iter().map(|search| Move::Round(*search, round)).collect();
                vec![played(Self::Choice(stretch, round), &moves)]
            }
            Self::Choice(stretch, round) => {
                let next = round + 1;
                let to = if next < stretch.rounds() { Self::Round(stretch, next) } else { stretch.opening() };
                vec![chosen(to, vec![stretch.choice(round)])]
            }
            Self::OpenBlock => vec![played(Self::BlockOpened, &[Move::Block])],
            Self::BlockOpened => vec![
                chosen(Self::Header(0), Vec::new()),
                chosen(Self::Round(trace, 0), Vec::new()),
                chosen(Self::OpenStep, trace.choices().collect()),
            ],
            Self::Header(number) => {
                let to = if number < confirmations { Self::Header(number + 1) } else { Self::Forked };
                vec![played(to, &[Move::Header(number)])]
            }
            Self::OpenStep => vec![played(Self::StepOpened, &[Move::Step])],
            Self::StepOpened => vec![
                chosen(Self::Round(path, 0), vec![ChoiceId::Access]),
                chosen(Self::OpenNode, [ChoiceId::Access].into_iter().chain(path.choices()).collect()),
            ],
            Self::OpenNode => vec![
                played(Self::NodeOpened(Search::Read), &[Move::ReadNode]),
                played(Self::NodeOpened(Search::Write), &[Move::WriteNode]),
            ],
            Self::Forked | Self::NodeOpened(_) => Vec::new(),
        }
    }

    /// How many turns there can be from this one on, this one counted: each can take as long as a turn may.
    #[must_use]
    pub fn longest(self, confirmations: u16) -> u32 {
        1 + self.steps(confirmations).iter().map(|step| step.to.longest(confirmations)).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lane::MessageId;

    const CONFIRMATIONS: u16 = 6;

    fn all() -> BTreeSet<Turn> {
        let (mut seen, mut left) = (BTreeSet::new(), vec![Turn::Entered]);
        while let Some(turn) = left.pop() {
            if seen.insert(turn) {
                left.extend(turn.steps(CONFIRMATIONS).into_iter().map(|step| step.to));
            }
        }
        seen
    }

    #[test]
    fn the_operator_plays_moves_and_the_challenger_makes_choices_or_disproves() {
        for turn in all() {
            let steps = turn.steps(CONFIRMATIONS);
            let by = |carried: &Carried| match carried {
                Carried::Move(_) => Player::Operator,
                Carried::Choices(_) => Player::Challenger,
            };
            assert!(steps.iter().flat_map(|step| &step.leaves).all(|leaf| by(leaf) == turn.mover()), "{turn:?}");
            assert!(!steps.is_empty() || turn.tree().is_some(), "{turn:?}");
            assert!(turn.tree().is_none() || turn.mover() == Player::Challenger, "{turn:?}");
            let destinations: BTreeSet<Turn> = steps.iter().map(|step| step.to).collect();
            assert_eq!(destinations.len(), steps.len(), "{turn:?}: one transaction for each next turn");
        }
    }

    #[test]
    fn every_message_and_every_choice_has_its_turn_and_every_tree_its_output() {
        let turns = all();
        let (mut messages, mut choices) = (BTreeSet::from([MessageId::Claim]), BTreeSet::new());
        for leaf in turns.iter().flat_map(|turn| turn.steps(CONFIRMATIONS)).flat_map(|step| step.leaves) {
            match leaf {
                Carried::Move(played) => messages.extend(played.messages().into_iter().chain(played.index())),
                Carried::Choices(made) => choices.extend(made),
            }
        }
        assert_eq!(messages.into_iter().collect::<Vec<_>>(), MessageId::all(CONFIRMATIONS));
        assert_eq!(choices.into_iter().collect::<Vec<_>>(), ChoiceId::all());
        let trees: BTreeSet<Tree> = turns.iter().filter_map(|turn| turn.tree()).collect();
        assert_eq!(trees, Tree::ALL.into());
    }

    #[test]
    fn the_longest_game_plays_every_round() {
        // Each round is two turns. Beside them: the entry, three openings, and what follows each of them.
        assert_eq!(Turn::Entered.longest(CONFIRMATIONS), 2 * (8 + 22 + 3) + 1 + 3 * 2);
    }
}
