//! Challengers that do anything: random choices, two of one kind, stalls, moves out of order, FastForward to nonsense.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use trestle_challenger::lane::{Answer, Ask, Error, Play, Shown, leading};
use trestle_taptree_trace::lane::{ChoiceId, LaneId, Move, Search, SignedChoice, choose};
use trestle_taptree_trace::turn::{Carried, Turn};

use crate::referee::{Hand, Moved};
use crate::toy::{CONFIRMATIONS, LANE, challenger_seed};

/// A challenger that wants to be somewhere, and goes elsewhere as often as it likes.
pub struct Wild {
    pub rng: StdRng,
    pub lane: LaneId,
    /// What it chooses if it does not change its mind.
    plan: BTreeMap<ChoiceId, u8>,
    /// Of a hundred choices how many are others.
    fickle: u32,
    /// Of a hundred turns how many it lets pass.
    stalls: u32,
    /// How it goes about it on chain.
    pub way: Way,
}

/// A way through a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Any, turn by turn.
    Any,
    /// The shortest one to a node, over the block opening.
    Straight,
    /// Every round of every search.
    Rounds,
    /// To headers of the block that it opens.
    Fork,
}

/// Where it can lead an operator.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub j: u64,
    pub k: u64,
    pub access: u8,
    pub level: u64,
}

impl Cell {
    fn plan(self) -> BTreeMap<ChoiceId, u8> {
        let mut plan = BTreeMap::from([(ChoiceId::Access, self.access)]);
        for (search, index) in [(Search::History, self.j), (Search::Trace, self.k), (Search::Read, self.level)] {
            for round in 0..search.rounds() {
                let quarter = index >> (2 * (search.rounds() - 1 - round)) & 3;
                plan.insert(ChoiceId::of_round(search, round), quarter as u8);
            }
        }
        plan
    }
}

impl Wild {
    pub fn new(seed: u64, cell: Cell, fickle: u32, stalls: u32) -> Self {
        let (rng, plan) = (StdRng::seed_from_u64(seed), cell.plan());
        Self { rng, lane: LANE, plan, fickle, stalls, way: Way::Any }
    }

    fn chooses(&mut self, id: ChoiceId) -> SignedChoice {
        let option = match self.rng.gen_range(0..100) < self.fickle {
            true => self.rng.gen_range(0..id.options()),
            false => self.plan.get(&id).copied().unwrap_or(0),
        };
        choose(&challenger_seed(), &self.lane, id, option).unwrap()
    }

    /// Asks an operator for so many moves: the next ones mostly, and sometimes anything.
    pub fn ask(&mut self, mut operator: impl FnMut(&Ask) -> Result<Answer, Error>, moves: usize) {
        let path = path(self.plan[&ChoiceId::Access]);
        let mut next = 0;
        for _ in 0..moves {
            let wanted = match self.rng.gen_range(0..20) {
                0 => *path.choose(&mut self.rng).unwrap(),
                1 => anything(&mut self.rng),
                _ => path[next.min(path.len() - 1)],
            };
            let mut choices: Vec<SignedChoice> = leading(wanted).into_iter().map(|id| self.chooses(id)).collect();
            match self.rng.gen_range(0..60) {
                0 => drop(choices.pop()),
                1 => choices.iter_mut().for_each(|choice| choice.secret[3] ^= 1),
                2 => choices.extend(choices.clone()),
                _ => {}
            }
            match operator(&Ask { choices, wanted }) {
                Ok(_) if path.get(next) == Some(&wanted) => next += 1,
                Ok(_) => {}
                Err(Error::ChosenBefore { choice, followed }) if self.rng.r#gen() => {
                    self.plan.insert(choice, followed);
                }
                Err(
                    Error::ChosenBefore { .. }
                    | Error::NoSuchMove(_)
                    | Error::OutOfOrder { .. }
                    | Error::Transcript(_)
                    | Error::OtherAccess(_),
                ) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// All moves on the way to a node, in their order.
fn path(access: u8) -> Vec<Move> {
    let rounds = |search: Search| (0..search.rounds()).map(move |round| Move::Round(search, round));
    let (search, opening) = if access < 5 { (Search::Read, Move::ReadNode) } else { (Search::Write, Move::WriteNode) };
    let mut path: Vec<Move> = rounds(Search::History).chain([Move::Block]).collect();
    path.extend((0..=CONFIRMATIONS).map(Move::Header));
    path.extend(rounds(Search::Trace).chain([Move::Step]).chain(rounds(search)).chain([opening]));
    path
}

fn anything(rng: &mut StdRng) -> Move {
    let search = *[Search::History, Search::Trace, Search::Read, Search::Write].choose(rng).unwrap();
    let round = Move::Round(search, rng.gen_range(0..25));
    let header = Move::Header(rng.gen_range(0..5));
    *[round, header, Move::Block, Move::Step, Move::ReadNode, Move::WriteNode].choose(rng).unwrap()
}

impl Hand for Wild {
    fn act(&mut self, turn: Turn, _: &Shown) -> Option<Moved> {
        if self.rng.gen_range(0..100) < self.stalls {
            return None;
        }
        let steps = turn.steps(CONFIRMATIONS);
        let step = match (self.way, turn) {
            (Way::Any, _) => steps.choose(&mut self.rng)?,
            (Way::Straight | Way::Fork, Turn::Entered) => steps.iter().find(|step| step.to == Turn::OpenBlock)?,
            (Way::Fork, Turn::BlockOpened) => steps.iter().find(|step| step.to == Turn::Header(0))?,
            (Way::Straight | Way::Fork, _) => steps.last()?,
            (Way::Rounds, Turn::BlockOpened) => steps.iter().find(|step| matches!(step.to, Turn::Round(..)))?,
            (Way::Rounds, _) => steps.first()?,
        };
        let carried = step.leaves.choose(&mut self.rng)?.clone();
        let Carried::Choices(ids) = &carried else { panic!("{carried:?}") };
        let witness = ids.iter().rev().map(|id| self.chooses(*id).secret.to_vec()).collect();
        Some(Moved::Play(Play { to: step.to, carried, witness }))
    }
}
