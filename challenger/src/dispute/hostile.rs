//! A challenger that disputes what is true, to see that an honest operator loses nothing to it: for demonstrations and tests, with
//! a bond that it loses.
//!
//! What it chooses follows from its seed and from where it wants to be, and nothing that it signs counts for itself, so it
//! keeps no record of that. What the operator signs it keeps, and holds against every leaf: were one satisfied, it would win.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bitcoin::Transaction;
use bitcoin::secp256k1::Keypair;
use trestle_bridge::lane::{self as tree, LaneTx, NodeId};
use trestle_rollup::tagged_hash;
use trestle_signer::store::Store;
use trestle_taptree_trace::lane::{ChoiceId, Move, Search, Transcript, choose};
use trestle_taptree_trace::ots::{self, SecretSeed};
use trestle_taptree_trace::turn::{Carried, Player, Turn};
use trestle_zkvm_adapter::Access;
use trestle_zkvm_adapter::layout::TRACE_STEPS;

use super::duty::{Time, publish};
use super::{Board, Duty, Error, Standing};
use crate::lane::{self, Answer, Ask, Challenger, Shown, Testimony};
use crate::view::View;

/// How a claim that is true is disputed.
#[derive(Debug, Clone, Copy)]
pub struct Hostile {
    /// Decides whatever nothing else does.
    pub seed: u64,
    /// Where it steers, if anywhere.
    pub cell: Option<Cell>,
    /// How many moves it asks for off chain.
    pub asks: usize,
    /// What it chooses on chain otherwise than off chain.
    pub twice: Twice,
    /// Its way on chain.
    pub way: Way,
    /// How many transactions it makes in its lane, Challenge the first.
    pub moves: usize,
    /// Whether it does everything in the last block in which nobody can come before it.
    pub late: bool,
}

/// What is signed twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twice {
    /// No choice.
    Nothing,
    /// Which access is disputed: a read in the one place, a write in the other.
    Access,
    /// Every choice.
    Everything,
}

/// A way through the [turns](trestle_taptree_trace::turn) of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The shortest: all choices at once, whether or not the operator has answered them.
    Forward,
    /// The shortest over every opening.
    Openings,
    /// Round by round.
    Rounds,
    /// To the headers of the block that was opened.
    Fork,
    /// Anyhow, by the seed.
    Anyhow,
}

/// A cell of docs/protocol.md's table: a step of the history, a step of its trace, an access; with a level of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell(u64);

/// Steps of the history: to the first block, to block N, to what the claim says of it, and three beyond.
const ENTRIES: u64 = 6;
/// Steps of a trace: the first, another, the one that halts, the last.
const STEPS: u64 = 4;
/// Levels of a path: at the ends and where the tree ends.
const LEVELS: [u64; 8] = [0, 1, 25, 26, 27, 28, 62, 63];

impl Cell {
    /// How many there are.
    pub const COUNT: u64 = ENTRIES * STEPS * Access::ALL.len() as u64;

    /// The cell with a number, of which only the remainder by their count counts.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number % Self::COUNT)
    }

    const fn access(self) -> u64 {
        self.0 % Access::ALL.len() as u64
    }

    const fn step(self) -> u64 {
        self.0 / Access::ALL.len() as u64 % STEPS
    }

    const fn entry(self) -> u64 {
        self.0 / Access::ALL.len() as u64 / STEPS
    }

    /// Entry j of a claim about block h0 + n: the step of the history leads from it to the next.
    fn j(self, n: u32) -> u32 {
        match self.entry() {
            0 => 0,
            1 => n.saturating_sub(1),
            2 => n,
            3 => n + 1,
            4 => n + 7,
            _ => (1 << (2 * Search::History.rounds())) - 1,
        }
    }

    /// State k of a trace that halts after so many steps.
    fn k(self, steps: u64) -> u64 {
        match self.step() {
            0 => 0,
            1 => steps / 2,
            2 => steps.saturating_sub(1),
            _ => TRACE_STEPS - 1,
        }
    }

    fn level(self) -> u64 {
        LEVELS.into_iter().cycle().nth(self.0 as usize % LEVELS.len()).unwrap_or(0)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = ["0", "N - 1", "N", "N + 1", "N + 7", "the last"].into_iter().nth(self.entry() as usize);
        let step =
            ["the first", "one on the way", "the one that halts", "the last"].into_iter().nth(self.step() as usize);
        let (entry, step) = (entry.unwrap_or_default(), step.unwrap_or_default());
        let (access, level) = (Access::ALL.get(self.access() as usize), self.level());
        write!(f, "cell {}: the step from entry {entry}, of its trace {step}, ", self.0)?;
        write!(f, "{access:?} at level {level}", access = access.copied().unwrap_or(Access::Pc))
    }
}

impl Hostile {
    /// Whether something is done at this tip that cannot be done any more, or not alone, in the block at height `over`.
    #[must_use]
    pub(crate) const fn is_due(&self, tip: u32, over: u32) -> bool {
        !self.late || tip + 2 >= over
    }

    /// Something below `options`, the same for the same name.
    fn any(&self, name: &str, options: u64) -> u64 {
        let [first, second, ..] = tagged_hash("hostile challenger", &[&self.seed.to_be_bytes(), name.as_bytes()]);
        u64::from(u16::from_be_bytes([first, second])) % options.max(1)
    }

    /// What it chooses, given where it steers.
    fn option(&self, plan: &BTreeMap<ChoiceId, u8>, id: ChoiceId, on_chain: bool) -> u8 {
        let options = u64::from(id.options());
        let first = plan.get(&id).map_or_else(|| self.any(&id.to_string(), options), |option| u64::from(*option));
        let chosen = match (self.twice, id) {
            (Twice::Everything, _) if on_chain => first + 1 + self.any(&format!("second {id}"), options - 1),
            // Five accesses read, and two write.
            (Twice::Access, ChoiceId::Access) if on_chain => {
                if first < 5 {
                    5 + first % 2
                } else {
                    first - 5
                }
            }
            _ => first,
        };
        (chosen % options) as u8
    }

    /// The step that it makes in a turn.
    fn step(&self, turn: Turn, confirmations: u16) -> Option<trestle_taptree_trace::turn::Step> {
        let steps = turn.steps(confirmations);
        let wanted = |to: Turn| match self.way {
            Way::Rounds => matches!(to, Turn::Round(..)),
            Way::Openings => to == Turn::OpenBlock,
            Way::Fork => matches!(to, Turn::OpenBlock | Turn::Header(_)),
            Way::Forward | Way::Anyhow => false,
        };
        let place = match self.way {
            Way::Anyhow => self.any(&format!("{turn:?}"), steps.len() as u64) as usize,
            // The last is the shortest.
            _ => steps.iter().position(|step| wanted(step.to)).unwrap_or(steps.len().saturating_sub(1)),
        };
        steps.into_iter().nth(place)
    }
}

/// The hostile side of a lane.
pub struct HostileLane<S> {
    board: Arc<Board>,
    key: Keypair,
    seed: SecretSeed,
    store: S,
    how: Hostile,
    player: Option<Seat<S>>,
}

/// What it has once the claim is there.
struct Seat<S> {
    claim: ots::Signature,
    /// It remembers what the operator has signed, and is asked for nothing else.
    memory: Challenger<S>,
    /// What it chooses, where it steers somewhere.
    plan: BTreeMap<ChoiceId, u8>,
}

impl<S: Store + Clone> HostileLane<S> {
    /// The challenger's side. The store is its alone.
    pub fn new(board: Arc<Board>, key: Keypair, seed: SecretSeed, store: S, how: Hostile) -> Self {
        Self { board, key, seed, store, how, player: None }
    }

    /// Takes the operator's answer, and says what to ask next.
    ///
    /// # Errors
    /// [`Error::NotAsked`] if no claim was there at the last tip; if it is no answer, or the store fails.
    pub fn receive(&mut self, wanted: Move, answer: &Answer) -> Result<Option<Ask>, Error> {
        self.player.as_mut().ok_or(Error::NotAsked)?.memory.receive(wanted, answer)?;
        Ok(self.ask())
    }

    /// All that it does in this lane at the view's tip. `truth` is what the operator should say.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn tip<T: Testimony>(&mut self, view: &dyn View, truth: &mut T) -> Result<Vec<Duty>, Error> {
        let mut duties = Vec::new();
        self.sit_down(view, truth)?;
        let (tip, delta1, turn) = (view.height(), self.board.delta1, self.board.turn);
        match Standing::of(&self.board, view)? {
            Standing::Open { since } if self.how.moves > 0 => match self.ask() {
                Some(ask) if tip < since + delta1 / 2 => duties.push(Duty::Ask(ask)),
                _ if self.how.is_due(tip, since + delta1) && self.board.has_bond(view)? => {
                    let tx = self.board.graph.challenge(self.board.part(LaneTx::Challenge)?, &self.key)?;
                    self.publish(LaneTx::Challenge, tx, since, tip, &mut duties);
                }
                _ => {}
            },
            Standing::At { node, since, shown } => {
                if let Some((what, tx)) = self.play(node, (since, tip), &shown, truth)? {
                    self.publish(what, tx, since, tip, &mut duties);
                }
                let is_operators = self.board.graph.node(node).turn.mover() == Player::Operator;
                if is_operators && tip + 1 >= since + turn {
                    self.slash(node, since + turn, tip, &mut duties)?;
                }
            }
            Standing::Disproved { on, since } => self.slash(on, since, tip, &mut duties)?,
            Standing::Open { .. } | Standing::Ahead | Standing::Unentered { .. } | Standing::Over { .. } => {}
        }
        Ok(duties)
    }

    /// Opens its memory once the claim is mined, and looks where it can go.
    fn sit_down<T: Testimony>(&mut self, view: &dyn View, truth: &mut T) -> Result<(), Error> {
        let claim = self.board.claim(view)?;
        let known = self.player.as_ref().map(|player| &player.claim);
        if known == claim.as_ref().map(|claim| &claim.signature) {
            return Ok(());
        }
        self.player = None;
        let Some(claim) = claim else { return Ok(()) };
        let (lane, signed) = (self.board.lane.clone(), claim.signature.clone());
        let memory = Challenger::open(lane, self.board.id, self.seed.clone(), signed, self.store.clone())?;
        let mut plan = BTreeMap::new();
        if let Some(cell) = self.how.cell {
            let j = cell.j(claim.n);
            let k = cell.k(memory.steps(j, truth)?);
            plan.insert(ChoiceId::Access, cell.access() as u8);
            let places = [(Search::History, u64::from(j)), (Search::Trace, k), (Search::Read, cell.level())];
            for (search, index) in places {
                let rounds = search.rounds();
                let quarter = |round: u8| (index >> (2 * (rounds - 1 - round)) & 3) as u8;
                plan.extend((0..rounds).map(|round| (ChoiceId::of_round(search, round), quarter(round))));
            }
        }
        self.player = Some(Seat { claim: claim.signature, memory, plan });
        Ok(())
    }

    /// The next move that the operator has not made.
    fn ask(&self) -> Option<Ask> {
        let Seat { memory, plan, .. } = self.player.as_ref()?;
        let wanted = self.moves(plan).into_iter().take(self.how.asks).find(|wanted| !memory.has(*wanted))?;
        let choice = |id| choose(&self.seed, &self.board.id, id, self.how.option(plan, id, false));
        Some(Ask { choices: lane::leading(wanted).into_iter().map(choice).collect::<Option<_>>()?, wanted })
    }

    /// All moves to where it wants to be.
    fn moves(&self, plan: &BTreeMap<ChoiceId, u8>) -> Vec<Move> {
        let rounds = |search: Search| (0..search.rounds()).map(move |round| Move::Round(search, round));
        let mut moves: Vec<Move> = rounds(Search::History).chain([Move::Block]).collect();
        if self.how.way == Way::Fork {
            moves.extend((0..=self.board.confirmations).map(Move::Header));
            return moves;
        }
        let access = Access::ALL.get(usize::from(self.how.option(plan, ChoiceId::Access, false)));
        let (search, opening) = match access {
            Some(Access::Write | Access::WritePc) => (Search::Write, Move::WriteNode),
            _ => (Search::Read, Move::ReadNode),
        };
        moves.extend(rounds(Search::Trace).chain([Move::Step]).chain(rounds(search)).chain([opening]));
        moves
    }

    /// Its own turn, if it makes anything of it: a disproof, were there one, or a step.
    fn play<T: Testimony>(
        &mut self,
        node: NodeId,
        (since, tip): (u32, u32),
        shown: &Shown,
        truth: &mut T,
    ) -> Result<Option<(LaneTx, Transaction)>, Error> {
        let Some(Seat { memory, plan, .. }) = &mut self.player else { return Ok(None) };
        let Board { graph, lane, .. } = &*self.board;
        memory.learn(&shown.messages)?;
        let turn = graph.node(node).turn;
        if let Some(leaf) = turn.tree().map(|tree| memory.leaf(tree, truth)).transpose()?.flatten() {
            tracing::error!(slot = %self.board.slot.id, leaf = leaf.name, "an honest operator is disproved");
            let shown = tree::Shown { index: leaf.leaf, hints: leaf.hints };
            let tx = graph.disproved(lane, node, shown, memory.transcript(), &self.key)?;
            return Ok(Some((LaneTx::Disproved(node), tx)));
        }
        let own = |node: &NodeId| graph.node(*node).turn.mover() == Player::Challenger;
        let made = 1 + std::iter::successors(graph.previous(node), |node| graph.previous(*node)).filter(own).count();
        if !own(&node) || made >= self.how.moves || !self.how.is_due(tip, since + self.board.turn) {
            return Ok(None);
        }
        let Some(step) = self.how.step(turn, self.board.confirmations) else { return Ok(None) };
        let Some(to) = graph.next(node, step.to) else { return Ok(None) };
        let mut transcript = Transcript::default();
        for carried in &step.leaves {
            let Carried::Choices(ids) = carried else { continue };
            for id in ids {
                let option = self.how.option(plan, *id, true);
                let choice = choose(&self.seed, &self.board.id, *id, option).ok_or(lane::Error::NotChosen(*id))?;
                transcript.choose(&lane.keys, *id, choice).map_err(lane::Error::from)?;
            }
        }
        let what = LaneTx::Step(to);
        Ok(Some((what, graph.step(lane, self.board.part(what)?, to, &transcript, Some(&self.key))?)))
    }

    fn slash(&self, at: NodeId, from: u32, tip: u32, duties: &mut Vec<Duty>) -> Result<(), Error> {
        let what = LaneTx::Slash(at);
        let tx = self.board.graph.end(self.board.part(what)?, what)?;
        self.publish(what, tx, from, tip, duties);
        Ok(())
    }

    fn publish(&self, what: LaneTx, tx: Transaction, from: u32, tip: u32, duties: &mut Vec<Duty>) {
        if let Some(presigned) = self.board.graph.get(what) {
            let stake = self.board.at_stake(NodeId::ENTERED);
            let time = Time { from, blocks: self.board.turn, deadline: None, stake };
            publish(duties, what, presigned, tx, time, tip);
        }
    }
}
