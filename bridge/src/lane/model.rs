//! What a lane would cost if its searches cut intervals into another number of parts than four.
//!
//! Lanes are built with four. Of any other arity this walks the same turns ([`trestle_taptree_trace::turn`]), with as many rounds in a row
//! as it takes, and reckons each transaction as those of the lane that is built are: their inputs and outputs, the scripts of
//! [`Arity`], the leaves of [`trestle_taptree_trace::leaf`]. A round whose values do not fit one transaction takes several, a turn each. What it does
//! not know is how the leaves that are about a place in a search would read another index: it takes them as they are, and as many more or fewer
//! as there are places.

use bitcoin::{Amount, FeeRate, VarInt, Weight};
use trestle_taptree_trace::lane::{Arity, ChoiceId, Lane, LeafShape, MessageId, Move, Search};
use trestle_taptree_trace::leaf::{Size, Tree};
use trestle_taptree_trace::tree::LeafTree;
use trestle_taptree_trace::turn::{Carried, Player, Step, Stretch, Turn};

use super::cost::price;
use super::leaf::{SIGNATURE, checks};
use super::{LaneGraph, LaneGraphError, LaneTx, NodeId};
use crate::connector::{KEY_PATH_WEIGHT, Kill};
use crate::transactions::{Presigned, SlotGraph};

/// Nodes relay no transaction of version 3 that is heavier.
const HEAVIEST: Weight = Weight::from_wu(40_000);

/// Transactions that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// Their weight together, with the longest witnesses.
    pub weight: Weight,
    /// How many they are.
    pub transactions: u64,
}

/// What a lane takes, with one arity. The ways go from Contest to Slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArityCost {
    /// The arity.
    pub arity: Arity,
    /// Rounds of the history, the trace and a path.
    pub rounds: [usize; 3],
    /// A false instruction, played off chain.
    pub instruction: Way,
    /// A false word of a path that is written, played off chain.
    pub memory: Way,
    /// A false hash in such a path, played off chain.
    pub hash: Way,
    /// Everything on chain, to the heaviest leaf.
    pub on_chain: Way,
    /// The most turns, each of which can take T_turn.
    pub turns: u32,
    /// Signatures that the committee makes.
    pub signatures: usize,
    /// Bytes of the operator's one-time keys.
    pub operator_key_bytes: usize,
    /// Bytes of the challenger's keys.
    pub challenger_key_bytes: usize,
}

impl ArityCost {
    /// Bytes that each side keeps of a lane, at least: all keys, and the committee's signatures.
    pub fn stored(&self) -> usize {
        self.operator_key_bytes + self.challenger_key_bytes + SIGNATURE * self.signatures
    }
}

impl Way {
    const NONE: Self = Self { weight: Weight::ZERO, transactions: 0 };

    /// What the transactions cost at a fee rate, with what they leave in anchors.
    pub fn price(&self, rate: FeeRate) -> Amount {
        price(rate, self.weight, self.transactions)
    }

    fn then(self, next: Self) -> Self {
        Self { weight: self.weight + next.weight, transactions: self.transactions + next.transactions }
    }
}

impl LaneGraph {
    /// What this lane, of this slot, would cost with another arity. With [`Arity::BUILT`] it is what it does cost.
    ///
    /// # Errors
    /// If the lane or the slot is not the graph's.
    pub fn cost_with(&self, slot: &SlotGraph, lane: &Lane, arity: Arity) -> Result<ArityCost, LaneGraphError> {
        Model { graph: self, slot, lane, arity }.cost()
    }
}

/// What can come from a turn on.
#[derive(Clone, Copy)]
struct Rest {
    turns: u32,
    signatures: usize,
    heaviest: Way,
}

struct Model<'a> {
    graph: &'a LaneGraph,
    slot: &'a SlotGraph,
    lane: &'a Lane,
    arity: Arity,
}

impl Model<'_> {
    fn cost(&self) -> Result<ArityCost, LaneGraphError> {
        let arity = self.arity;
        let confirmations = self.lane.constants.confirmations;
        let begun = self.begun()?;
        let rest = self.rest(Turn::Entered)?;
        let ahead =
            [LaneTx::NoShow, LaneTx::Challenge].map(|what| self.graph.get(what).map_or(0, Presigned::request_count));
        let to_step = [Turn::Entered, Turn::OpenStep, Turn::StepOpened];
        let to_node = [&to_step[..], &[Turn::OpenNode, Turn::NodeOpened(Search::Write)]].concat();
        let played =
            |turns: &[Turn], leaf: fn(&str) -> bool| self.played_off_chain(turns, leaf).map(|way| begun.then(way));
        Ok(ArityCost {
            arity,
            rounds: [Search::History, Search::Trace, Search::Read].map(|search| arity.rounds(search)),
            instruction: played(&to_step, |family| family != "value.unhash")?,
            memory: played(&to_node, |family| !family.contains("hash"))?,
            hash: played(&to_node, |family| family.contains("hash"))?,
            on_chain: begun.then(rest.heaviest),
            turns: rest.turns,
            signatures: ahead.iter().sum::<usize>() + rest.signatures,
            operator_key_bytes: arity.operator_key_bytes(confirmations),
            challenger_key_bytes: arity.challenger_key_bytes(),
        })
    }

    /// Contest and Challenge.
    fn begun(&self) -> Result<Way, LaneGraphError> {
        let contest = &self.slot.contest;
        let leaves = contest.leaves(0).iter().map(|leaf| leaf.witness_weight(Kill::CONTEST_ITEMS));
        let challenge = self.graph.challenge_leaf.witness_weight([SIGNATURE, SIGNATURE]) + KEY_PATH_WEIGHT;
        let contest = one(contest, leaves.max().unwrap_or(0));
        Ok(contest.then(one(self.made(LaneTx::Challenge)?, challenge)))
    }

    /// All that follows these turns, each of which leads to the next at once, to a disproof by the heaviest leaf of such a family.
    fn played_off_chain(&self, turns: &[Turn], family: fn(&str) -> bool) -> Result<Way, LaneGraphError> {
        let mut way = Way::NONE;
        for (from, to) in turns.iter().zip(turns.iter().skip(1)) {
            let steps = from.steps(self.lane.constants.confirmations);
            for step in steps.iter().filter(|step| step.to == *to) {
                way = way.then(self.step(*from, step)?);
            }
        }
        let last = turns.last().copied().unwrap_or(Turn::Entered);
        Ok(way.then(self.disproof(last, family)?))
    }

    fn rest(&self, turn: Turn) -> Result<Rest, LaneGraphError> {
        if let Turn::Round(stretch, 0) = turn {
            return self.row(stretch);
        }
        let node = self.node(turn)?;
        let ends = [LaneTx::Slash(node), LaneTx::OperatorWins(node)];
        let ends = ends.into_iter().filter_map(|end| Some(self.graph.get(end)?.request_count()));
        let heaviest = match turn.tree() {
            Some(_) => self.disproof(turn, |_| true)?,
            None => self.late(node)?,
        };
        let mut rest = Rest { turns: 1, signatures: ends.sum(), heaviest };
        for step in turn.steps(self.lane.constants.confirmations) {
            let after = self.rest(step.to)?;
            rest.turns = rest.turns.max(1 + after.turns);
            rest.signatures += step.leaves.len() + after.signatures;
            rest.heaviest = rest.heaviest.max(self.step(turn, &step)?.then(after.heaviest));
        }
        Ok(rest)
    }

    /// All rounds of a stretch, one after the other, and what follows them.
    fn row(&self, stretch: Stretch) -> Result<Rest, LaneGraphError> {
        let confirmations = self.lane.constants.confirmations;
        let [value, choice] = [Turn::Round(stretch, 0), Turn::Choice(stretch, 0)];
        let mut searches = Vec::new();
        for carried in value.steps(confirmations).into_iter().flat_map(|step| step.leaves) {
            if let Carried::Move(Move::Round(search, _)) = carried {
                searches.push(search);
            }
        }
        let rounds = searches.first().map_or(0, |search| self.arity.rounds(*search));
        let said = self.values(value, &searches)?;
        let chosen = choice.steps(confirmations);
        let chosen = chosen.first().map(|step| self.step(choice, step)).transpose()?.unwrap_or(Way::NONE);
        let requests = |end| self.made(end).map(Presigned::request_count);
        let said_by = said.transactions as usize;
        let each = said_by * (requests(LaneTx::Slash(self.node(value)?))? + searches.len())
            + requests(LaneTx::OperatorWins(self.node(choice)?))?
            + chosen.transactions as usize;
        let opening = Turn::Choice(stretch, stretch.rounds() - 1).steps(confirmations);
        let after = self.rest(opening.first().map_or(choice, |step| step.to))?;
        let all = (0..rounds).fold(Way::NONE, |all, _| all.then(said).then(chosen));
        Ok(Rest {
            turns: all.transactions as u32 + after.turns,
            signatures: rounds * each + after.signatures,
            heaviest: all.then(after.heaviest),
        })
    }

    /// The operator's transactions with the values of a round: as few as Script and nodes let pass.
    fn values(&self, turn: Turn, searches: &[Search]) -> Result<Way, LaneGraphError> {
        let values = usize::from(self.arity.values());
        let step = self.made(LaneTx::Step(self.graph.node(self.node(turn)?).next.first().copied().ok_or(no(turn))?))?;
        let heaviest = |count: usize| -> Result<Option<Way>, LaneGraphError> {
            let mut heaviest = Way::NONE;
            for (index, search) in searches.iter().enumerate() {
                let shape = self.arity.round(*search, count as u8);
                if !Arity::has_room(&shape) {
                    return Ok(None);
                }
                heaviest = heaviest.max(one(step, self.witness(turn, index, &signed(shape, false, self))?));
            }
            Ok(Some(heaviest).filter(|way| way.weight <= HEAVIEST))
        };
        for parts in 1..=values {
            // The first ones have one more where they cannot all have as many.
            let (least, more) = (values / parts, values % parts);
            let [Some(short), Some(long)] = [heaviest(least)?, heaviest(least + usize::from(more > 0))?] else {
                continue;
            };
            return Ok((0..parts).fold(Way::NONE, |way, part| way.then(if part < more { long } else { short })));
        }
        Err(no(turn))
    }

    /// A step that is not of a round's values.
    fn step(&self, from: Turn, step: &Step) -> Result<Way, LaneGraphError> {
        let node = self.node(from)?;
        let to = self.graph.next(node, step.to).ok_or(no(from))?;
        let before = from.steps(self.lane.constants.confirmations);
        let before: usize = before.iter().take_while(|other| other.to != step.to).map(|other| other.leaves.len()).sum();
        let mut heaviest = 0;
        for (index, carried) in step.leaves.iter().enumerate() {
            let shape = match carried {
                Carried::Move(played) => signed(self.arity.opening(*played), false, self),
                Carried::Choices(made) => {
                    let rounds = if matches!(from, Turn::Choice(..)) { 1 } else { self.rounds_of(made) };
                    signed(self.arity.choices(rounds, made.contains(&ChoiceId::Access)), true, self)
                }
            };
            heaviest = heaviest.max(self.witness(from, before + index, &shape)?);
        }
        Ok(one(self.made(LaneTx::Step(to))?, heaviest))
    }

    /// How many rounds there would be of those that these choices are all of.
    fn rounds_of(&self, choices: &[ChoiceId]) -> usize {
        let first = |id: &ChoiceId| match id {
            ChoiceId::History(0) => Some(Search::History),
            ChoiceId::Trace(0) => Some(Search::Trace),
            ChoiceId::Path(0) => Some(Search::Read),
            _ => None,
        };
        choices.iter().filter_map(first).map(|search| self.arity.rounds(search)).sum()
    }

    /// Weight of the witness of a step leaf, given by its place among those of its turn.
    fn witness(&self, turn: Turn, index: usize, shape: &LeafShape) -> Result<usize, LaneGraphError> {
        let output = self.graph.output(self.node(turn)?);
        let (built, now) = (output.disproofs().len(), self.disproofs(turn));
        let depth = LeafTree::depth_among(now + index, output.leaf_count() - built + now);
        let with_length = |bytes: usize| VarInt::from(bytes).size() + bytes;
        let items: usize = shape.items.iter().map(|bytes| with_length(*bytes)).sum();
        let control_block = 33 + 32 * depth;
        Ok(VarInt::from(shape.items.len() + 2).size() + items + with_length(shape.script) + with_length(control_block))
    }

    /// How many disproofs a turn would have: of those about a place in its searches as many more or fewer as there are places.
    fn disproofs(&self, turn: Turn) -> usize {
        let Some(tree) = turn.tree() else { return 0 };
        let search = match tree {
            Tree::Block => Search::History,
            Tree::Step => Search::Trace,
            Tree::ReadNode => Search::Read,
            Tree::WriteNode => Search::Write,
            Tree::Fork => return tree.leaves(self.lane.constants.confirmations).len(),
        };
        let is_value = |id: &MessageId| {
            matches!(id, MessageId::History(_) | MessageId::Trace(_) | MessageId::Read(_) | MessageId::Write(..))
        };
        let leaves = tree.leaves(self.lane.constants.confirmations);
        let of_places = leaves.iter().filter(|leaf| leaf.reads().iter().any(is_value)).count();
        let places = |arity: Arity| arity.rounds(search) * usize::from(arity.values());
        leaves.len() - of_places + (of_places * places(self.arity)).div_ceil(places(Arity::BUILT))
    }

    /// Disproved, by the heaviest leaf of such a family, and its Slash.
    fn disproof(&self, turn: Turn, family: impl Fn(&str) -> bool) -> Result<Way, LaneGraphError> {
        let node = self.node(turn)?;
        let output = self.graph.output(node);
        let (built, now) = (output.disproofs().len(), self.disproofs(turn));
        let all = output.leaf_count() - built + now;
        let mut heaviest = 0;
        for (index, leaf) in output.disproofs().iter().enumerate().filter(|(_, leaf)| family(&leaf.family())) {
            // Those about places are in front.
            let depth = LeafTree::depth_among((index + now).saturating_sub(built), all);
            heaviest = heaviest.max(Size::of(leaf.as_ref(), self.lane, depth)?.witness);
        }
        let slash = one(self.made(LaneTx::Slash(node))?, 2 * KEY_PATH_WEIGHT);
        Ok(one(self.made(LaneTx::Disproved(node))?, heaviest).then(slash))
    }

    /// What ends the lane where a turn is let pass.
    fn late(&self, node: NodeId) -> Result<Way, LaneGraphError> {
        Ok(match self.graph.node(node).turn.mover() {
            Player::Operator => one(self.made(LaneTx::Slash(node))?, 2 * KEY_PATH_WEIGHT),
            Player::Challenger => one(self.made(LaneTx::OperatorWins(node))?, KEY_PATH_WEIGHT),
        })
    }

    fn made(&self, what: LaneTx) -> Result<&Presigned, LaneGraphError> {
        self.graph.get(what).ok_or(LaneGraphError::NoSuch(what))
    }

    /// An output that waits for this turn: all are alike.
    fn node(&self, turn: Turn) -> Result<NodeId, LaneGraphError> {
        self.graph.nodes().find(|(_, node)| node.turn == turn).map(|(id, _)| id).ok_or(no(turn))
    }
}

/// A transaction whose witnesses weigh so much.
fn one(of: &Presigned, witnesses: usize) -> Way {
    // Marker and flag.
    Way { weight: of.tx.weight() + Weight::from_wu(2 + witnesses as u64), transactions: 1 }
}

/// A leaf with the signatures that its transaction needs.
fn signed(shape: LeafShape, by_challenger: bool, model: &Model<'_>) -> LeafShape {
    let challenger = by_challenger.then_some(model.graph.challenger_key);
    let signatures = if by_challenger { 2 } else { 1 };
    LeafShape {
        script: shape.script + checks(challenger, model.graph.committee).len(),
        items: [vec![SIGNATURE; signatures], shape.items].concat(),
    }
}

fn no(turn: Turn) -> LaneGraphError {
    LaneGraphError::NoTurn(turn)
}
