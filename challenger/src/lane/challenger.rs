//! The challenger of a lane.
//!
//! Off chain it asks for one move after the other, and chooses by what it knows to be true, until a leaf can be satisfied. On
//! chain it enters the lane as far on as it has played, and goes on there turn by turn: with the same choices, which are
//! on disk before they leave and never made again, and with what the operator says there added to what it said before.

use trestle_signer::store::Store;
use trestle_taptree_trace::lane::{
    ChoiceId, Lane, LaneId, MessageId, Move, Search, SignedChoice, Statements, Transcript, choose,
};
use trestle_taptree_trace::leaf::Tree;
use trestle_taptree_trace::ots::{SecretSeed, Signature};
use trestle_taptree_trace::turn::{Carried, Player, Stretch, Turn};

use super::path::{self, Choices};
use super::sayings::Claim;
use super::store::{Records, Writes};
use super::truth::Judge;
use super::wire::{Answer, Ask};
use super::{Action, Disproof, Error, Play, Shown, Testimony};

/// The challenger of a lane.
pub struct Challenger<S> {
    lane: Lane,
    id: LaneId,
    seed: SecretSeed,
    records: Records<S>,
    /// What it has chosen.
    choices: Choices,
    /// What the operator has signed, and what it says.
    transcript: Transcript,
    statements: Statements,
    claim: Claim,
}

/// What a challenger does next off chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It asks the operator.
    Ask(Ask),
    /// It goes on chain, where it wins by this leaf if not earlier.
    Disprove(Disproof),
    /// It goes on chain: what the operator has signed there is not what it has chosen.
    Force,
    /// Nothing that the operator has signed is false.
    Lost,
}

/// What the challenger waits for, or has.
enum Goal {
    /// The operator's move.
    Move(Move),
    /// A leaf that can be satisfied.
    Leaf(Disproof),
    /// Nothing.
    Lost,
}

/// How far a lane has been played when something is wanted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    History,
    Block,
    Fork,
    Trace,
    Step,
}

impl<S: Store> Challenger<S> {
    /// Opens the challenger's side of a lane on a store that is its alone. `claim` is the signature in the slot's claim.
    ///
    /// # Errors
    /// If the store fails or is another's, or the claim is not signed with the lane's key.
    pub fn open(lane: Lane, id: LaneId, seed: SecretSeed, claim: Signature, store: S) -> Result<Self, Error> {
        let records = Records::open(store, &id, Player::Challenger)?;
        let choices = records.choices(&lane)?;
        let mut transcript = Transcript::default();
        transcript.add(&lane.keys, MessageId::Claim, claim)?;
        records.messages(&lane, &mut transcript)?;
        let (statements, claim) = (transcript.statements(), Claim::read(&transcript)?);
        Ok(Self { lane, id, seed, records, choices, transcript, statements, claim })
    }

    /// All that the operator has signed in this lane, as far as is known.
    #[must_use]
    pub const fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// What to do next while the sides play off chain. It asks the same as long as there is no answer; how long it waits is
    /// the caller's to decide, who then goes on chain.
    ///
    /// # Errors
    /// If the truth cannot be found out, or the store fails.
    pub fn next<T: Testimony>(&mut self, truth: &mut T) -> Result<Next, Error> {
        Ok(match self.goal(truth)? {
            Goal::Move(wanted) if self.has(wanted) => Next::Force,
            Goal::Move(wanted) => {
                let choice = |id| self.choices.get(&id).copied().ok_or(Error::NotChosen(id));
                let choices = path::leading(wanted).into_iter().map(choice).collect::<Result<_, _>>()?;
                Next::Ask(Ask { choices, wanted })
            }
            Goal::Leaf(leaf) => Next::Disprove(leaf),
            Goal::Lost => Next::Lost,
        })
    }

    /// Takes the answer to what was asked. What it signs counts, whatever it says.
    ///
    /// # Errors
    /// If it is not what was asked for, or not signed by the operator, or the store fails.
    pub fn receive(&mut self, wanted: Move, answer: &Answer) -> Result<(), Error> {
        if !path::exists(wanted, self.lane.constants.confirmations) {
            return Err(Error::NoSuchMove(wanted));
        }
        let ids = path::signed_by(wanted);
        if ids.len() != answer.signatures.len() {
            return Err(Error::Signatures { expected: ids.len(), got: answer.signatures.len() });
        }
        let mut signatures = Vec::new();
        for (id, bytes) in ids.into_iter().zip(&answer.signatures) {
            let key = self.lane.keys.message(id).ok_or(Error::NoSuchMove(wanted))?;
            signatures.push((id, bytes.read(id, key)?));
        }
        self.learn(&signatures)
    }

    /// What to do at this turn of the chain. `None` if it is the operator's, or there is nothing to be done.
    ///
    /// # Errors
    /// If the truth cannot be found out, or the store fails.
    pub fn on_chain<T: Testimony>(
        &mut self,
        turn: Turn,
        shown: &Shown,
        truth: &mut T,
    ) -> Result<Option<Action>, Error> {
        self.learn(&shown.messages)?;
        if let Some(leaf) = turn.tree().map(|tree| self.leaf(tree, truth)).transpose()?.flatten() {
            return Ok(Some(Action::Disprove(leaf)));
        }
        let to = match turn {
            Turn::Entered => match self.stage(truth)? {
                Some(Stage::History) => Some(Turn::Round(Stretch::History, 0)),
                Some(Stage::Block | Stage::Fork | Stage::Trace) => Some(Turn::OpenBlock),
                Some(Stage::Step) => Some(Turn::OpenStep),
                None => None,
            },
            Turn::BlockOpened => match self.stage(truth)? {
                Some(Stage::Fork) => Some(Turn::Header(0)),
                Some(Stage::Trace) => Some(Turn::Round(Stretch::Trace, 0)),
                Some(Stage::Step) => Some(Turn::OpenStep),
                _ => None,
            },
            Turn::StepOpened => match self.access(truth)? {
                Some(_) if path::index(&self.choices, Search::Read).is_ok() => Some(Turn::OpenNode),
                Some(_) => Some(Turn::Round(Stretch::Path, 0)),
                None => None,
            },
            Turn::Choice(stretch, round) => {
                self.choose_quarter(stretch, round, truth)?;
                let steps = turn.steps(self.lane.constants.confirmations);
                steps.into_iter().next().map(|step| step.to)
            }
            _ => None,
        };
        to.map_or(Ok(None), |to| self.play(turn, to))
    }

    /// A step of the turn, with the choices that it carries.
    fn play(&self, turn: Turn, to: Turn) -> Result<Option<Action>, Error> {
        let steps = turn.steps(self.lane.constants.confirmations);
        let leaves = steps.into_iter().filter(|step| step.to == to).flat_map(|step| step.leaves);
        for carried in leaves {
            let Carried::Choices(ids) = &carried else { continue };
            // The first choice's script takes the item on top.
            let secret = |id: &ChoiceId| self.choices.get(id).ok_or(Error::NotChosen(*id));
            let secret = |id: &ChoiceId| Ok(secret(id)?.secret.to_vec());
            let witness = ids.iter().rev().map(secret).collect::<Result<_, Error>>()?;
            return Ok(Some(Action::Play(Play { to, carried, witness })));
        }
        Ok(None)
    }

    /// Goes as far as the operator's signatures lead, choosing on the way.
    fn goal<T: Testimony>(&mut self, truth: &mut T) -> Result<Goal, Error> {
        for round in 0..Search::History.rounds() {
            if !self.goes_on(Stretch::History, round, Search::History, truth)? {
                return Ok(Goal::Move(Move::Round(Search::History, round)));
            }
        }
        if !self.is_opened(Move::Block)? {
            return Ok(Goal::Move(Move::Block));
        }
        if let Some(leaf) = self.leaf(Tree::Block, truth)? {
            return Ok(Goal::Leaf(leaf));
        }
        if !self.judge().knows_block(truth)? {
            let mut headers = (0..=self.lane.constants.confirmations).map(Move::Header);
            if let Some(header) = headers.find(|header| !self.has(*header)) {
                return Ok(Goal::Move(header));
            }
            return Ok(self.leaf(Tree::Fork, truth)?.map_or(Goal::Lost, Goal::Leaf));
        }
        for round in 0..Search::Trace.rounds() {
            if !self.goes_on(Stretch::Trace, round, Search::Trace, truth)? {
                return Ok(Goal::Move(Move::Round(Search::Trace, round)));
            }
        }
        if !self.is_opened(Move::Step)? {
            return Ok(Goal::Move(Move::Step));
        }
        if let Some(leaf) = self.leaf(Tree::Step, truth)? {
            return Ok(Goal::Leaf(leaf));
        }
        let Some(search) = self.access(truth)? else { return Ok(Goal::Lost) };
        for round in 0..search.rounds() {
            if !self.goes_on(Stretch::Path, round, search, truth)? {
                return Ok(Goal::Move(Move::Round(search, round)));
            }
        }
        let (opening, tree) = match search {
            Search::Write => (Move::WriteNode, Tree::WriteNode),
            _ => (Move::ReadNode, Tree::ReadNode),
        };
        if !self.is_opened(opening)? {
            return Ok(Goal::Move(opening));
        }
        Ok(self.leaf(tree, truth)?.map_or(Goal::Lost, Goal::Leaf))
    }

    /// Where the goal is; `None` if there is none.
    fn stage<T: Testimony>(&mut self, truth: &mut T) -> Result<Option<Stage>, Error> {
        Ok(match self.goal(truth)? {
            Goal::Move(Move::Round(Search::History, _)) => Some(Stage::History),
            Goal::Move(Move::Block) => Some(Stage::Block),
            Goal::Move(Move::Header(_)) => Some(Stage::Fork),
            Goal::Move(Move::Round(Search::Trace, _)) => Some(Stage::Trace),
            Goal::Move(_) => Some(Stage::Step),
            Goal::Leaf(leaf) => Some(match leaf.tree {
                Tree::Block => Stage::Block,
                Tree::Fork => Stage::Fork,
                Tree::Step | Tree::ReadNode | Tree::WriteNode => Stage::Step,
            }),
            Goal::Lost => None,
        })
    }

    /// Makes the choice that ends a round if the operator has played it; whether the choice is made.
    fn goes_on<T: Testimony>(
        &mut self,
        stretch: Stretch,
        round: u8,
        search: Search,
        truth: &mut T,
    ) -> Result<bool, Error> {
        let made = self.choices.contains_key(&stretch.choice(round));
        if !made && self.has(Move::Round(search, round)) {
            self.choose_quarter(stretch, round, truth)?;
            return Ok(true);
        }
        Ok(made)
    }

    /// Makes the choice that ends a round, unless it is made.
    fn choose_quarter<T: Testimony>(&mut self, stretch: Stretch, round: u8, truth: &mut T) -> Result<(), Error> {
        let id = stretch.choice(round);
        if self.choices.contains_key(&id) {
            return Ok(());
        }
        let option = match stretch {
            Stretch::History => self.judge().history(round, truth)?,
            Stretch::Trace => self.judge().trace(round, truth)?,
            Stretch::Path => self.judge().path(round, truth)?,
        };
        self.choose(id, option)
    }

    /// Names an access, unless one is named; how its path is searched. `None` if the step is as it should be.
    fn access<T: Testimony>(&mut self, truth: &mut T) -> Result<Option<Search>, Error> {
        if !self.choices.contains_key(&ChoiceId::Access) {
            let Some(access) = self.judge().access(truth)? else { return Ok(None) };
            self.choose(ChoiceId::Access, access as u8)?;
        }
        Ok(Some(path::search_of(path::access(&self.choices)?)))
    }

    fn choose(&mut self, id: ChoiceId, option: u8) -> Result<(), Error> {
        let choice: SignedChoice = choose(&self.seed, &self.id, id, option).ok_or(Error::NotChosen(id))?;
        let mut writes = Writes::default();
        writes.choice(id, &choice);
        self.records.commit(writes)?;
        self.choices.insert(id, choice);
        Ok(())
    }

    /// Whether the operator has signed all of a move.
    pub(crate) fn has(&self, wanted: Move) -> bool {
        path::signed_by(wanted).into_iter().all(|id| self.transcript.signature(id).is_some())
    }

    /// Whether the operator has opened what was chosen.
    fn is_opened(&self, opening: Move) -> Result<bool, Error> {
        Ok(self.has(opening) && self.judge().is_chosen(opening)?)
    }

    /// The first leaf of a tree that can be satisfied.
    pub(crate) fn leaf<T: Testimony>(&self, tree: Tree, truth: &mut T) -> Result<Option<Disproof>, Error> {
        self.judge().leaf(tree, truth)
    }

    const fn judge(&self) -> Judge<'_> {
        Judge {
            statements: &self.statements,
            claim: self.claim,
            choices: &self.choices,
            constants: &self.lane.constants,
        }
    }

    /// How many steps the machine makes at a step of the history, from entry j to the next.
    pub(crate) fn steps<T: Testimony>(&self, j: u32, truth: &mut T) -> Result<u64, Error> {
        let [previous, next] = [j, j + 1].map(|index| truth.parts(index).map_err(Error::Testimony));
        let inputs = self.claim.inputs(j, previous?, next?, &self.lane.constants);
        Ok(truth.trace(&inputs).map_err(Error::Testimony)?.steps())
    }

    /// Remembers what the operator has signed, which was verified, on disk first.
    pub(crate) fn learn(&mut self, signatures: &[(MessageId, Signature)]) -> Result<(), Error> {
        let mut writes = Writes::default();
        let mut new: Vec<&(MessageId, Signature)> = Vec::new();
        for pair @ (id, signature) in signatures {
            let [first, second] =
                self.transcript.twice(*id).map_or([self.transcript.signature(*id), None], |two| two.map(Some));
            let others = new.iter().filter(|(of, _)| of == id).map(|(_, new)| new);
            let held: Vec<&Signature> = first.into_iter().chain(second).chain(others).collect();
            let nth = match held.as_slice() {
                [] => 0,
                [first] if first.digits() != signature.digits() => 1,
                // Two are enough to be a lie.
                _ => continue,
            };
            writes.message(*id, nth, signature);
            new.push(pair);
        }
        self.records.commit(writes)?;
        for (id, signature) in new {
            if let Some(said) = signature.message(&id.layout()) {
                self.statements.add(*id, said);
            }
            self.transcript.keep(*id, signature.clone());
        }
        Ok(())
    }
}
