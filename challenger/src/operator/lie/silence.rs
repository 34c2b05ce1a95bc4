//! When a liar says nothing.

use trestle_bridge::lane::LaneTx;
use trestle_taptree_trace::lane::{Move, Search};
use trestle_taptree_trace::turn::{Stretch, Turn};

use crate::dispute::{Board, Duty, Purpose};

/// How many moves an operator has at most in a lane without a fork.
pub const MOVES: u32 = ordinal(Move::ReadNode);

/// When a liar says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Silence {
    /// Whether it answers nobody off chain, so that all is played on chain.
    pub off_chain: bool,
    /// The move from which on, off chain and on, it makes none: the first is 1, and the last of them [`MOVES`]. The headers of a fork come
    /// in the place of the trace.
    pub from: Option<u32>,
}

impl Silence {
    /// Whether it makes a move that it is asked for.
    pub(in crate::operator) fn answers(self, wanted: Move) -> bool {
        !self.off_chain && self.makes(wanted)
    }

    /// Whether it does what is due on chain.
    pub(in crate::operator) fn carries_out(self, duty: &Duty, board: &Board) -> bool {
        match duty {
            Duty::Broadcast { purpose: Purpose::Lane(LaneTx::Step(to)), .. }
            | Duty::Bump { purpose: Purpose::Lane(LaneTx::Step(to)), .. } => {
                let last = board.lane.constants.confirmations;
                move_to(board.graph.node(*to).turn, last).is_none_or(|made| self.makes(made))
            }
            _ => true,
        }
    }

    fn makes(self, wanted: Move) -> bool {
        self.from.is_none_or(|from| ordinal(wanted) < from)
    }
}

/// Which of the operator's moves one is.
const fn ordinal(wanted: Move) -> u32 {
    const BLOCK: u32 = Search::History.rounds() as u32 + 1;
    const STEP: u32 = BLOCK + Search::Trace.rounds() as u32 + 1;
    match wanted {
        Move::Round(Search::History, round) => 1 + round as u32,
        Move::Block => BLOCK,
        Move::Header(number) => BLOCK + 1 + number as u32,
        Move::Round(Search::Trace, round) => BLOCK + 1 + round as u32,
        Move::Step => STEP,
        Move::Round(Search::Read | Search::Write, round) => STEP + 1 + round as u32,
        Move::ReadNode | Move::WriteNode => STEP + Search::Read.rounds() as u32 + 1,
    }
}

/// The operator's move that leads to a turn, as far as its place goes. The last header of a fork has the number `last`.
const fn move_to(turn: Turn, last: u16) -> Option<Move> {
    Some(match turn {
        Turn::Choice(Stretch::History, round) => Move::Round(Search::History, round),
        Turn::Choice(Stretch::Trace, round) => Move::Round(Search::Trace, round),
        Turn::Choice(Stretch::Path, round) => Move::Round(Search::Read, round),
        Turn::BlockOpened => Move::Block,
        Turn::StepOpened => Move::Step,
        Turn::NodeOpened(_) => Move::ReadNode,
        Turn::Header(number) if number > 0 => Move::Header(number - 1),
        Turn::Forked => Move::Header(last),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use trestle_taptree_trace::turn::Carried;

    use super::*;

    #[test]
    fn moves_are_counted_in_the_order_in_which_they_are_made() {
        let rounds = |search: Search| (0..search.rounds()).map(move |round| Move::Round(search, round));
        let mut moves: Vec<Move> = rounds(Search::History).collect();
        moves.push(Move::Block);
        moves.extend(rounds(Search::Trace));
        moves.push(Move::Step);
        moves.extend(rounds(Search::Read));
        moves.push(Move::ReadNode);
        let counted: Vec<u32> = moves.into_iter().map(ordinal).collect();
        assert_eq!(counted, (1..=MOVES).collect::<Vec<_>>());
    }

    #[test]
    fn every_turn_that_follows_a_move_of_the_operators_is_known_by_it() {
        const K: u16 = 6;
        let (mut seen, mut left) = (Vec::new(), vec![Turn::Entered]);
        while let Some(turn) = left.pop() {
            if seen.contains(&turn) {
                continue;
            }
            seen.push(turn);
            for step in turn.steps(K) {
                left.push(step.to);
                let made = step.leaves.iter().find_map(|leaf| match leaf {
                    Carried::Move(made) => Some(ordinal(*made)),
                    Carried::Choices(_) => None,
                });
                if made.is_some() {
                    assert_eq!(move_to(step.to, K).map(ordinal), made, "{turn:?}");
                }
            }
        }
    }
}
