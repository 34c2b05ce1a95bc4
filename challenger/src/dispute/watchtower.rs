//! The challenger's side of a lane.

use std::sync::Arc;

use bitcoin::secp256k1::Keypair;
use bitcoin::{Amount, Transaction};
use trestle_bridge::connector::{OperatorConnector, sign_leaf};
use trestle_bridge::lane::{self as tree, LaneTx, NodeId};
use trestle_signer::store::Store;
use trestle_taptree_trace::lane::{Move, Transcript};
use trestle_taptree_trace::ots::{self, SecretSeed};
use trestle_taptree_trace::turn::{Carried, Player};

use super::duty::{Time, publish, push};
use super::settled::{Horizon, Settled};
use super::standing::Reader;
use super::{Board, Duty, End, Error, Purpose, Settlement, Standing};
use crate::is_deep;
use crate::lane::{self, Action, Answer, Ask, Challenger, Next, Play, Shown, Testimony};
use crate::operator::Child;
use crate::view::View;

/// A challenger whose verdict on a claim is that it is false.
pub struct LaneWatchtower<S> {
    board: Arc<Board>,
    key: Keypair,
    seed: SecretSeed,
    store: S,
    patience: u32,
    /// With the claim that it was opened with.
    player: Option<(ots::Signature, Challenger<S>)>,
    reader: Reader,
    /// Whether it plays off chain, as of the last tip, and what is settled then.
    horizon: Option<Horizon>,
    /// Since when it waits for an answer.
    quiet: Option<u32>,
    /// How the lane has ended, as of the last tip, and when.
    over: Option<(End, u32)>,
}

impl<S: Store + Clone> LaneWatchtower<S> {
    /// The challenger's side, of a claim that is false by its verdict. The store is its alone, and remembers what the one-time keys,
    /// which come from `seed`, have signed. When the operator has not answered for `patience` blocks it goes on chain; at the
    /// latest when half of Δ1 is over.
    pub fn new(board: Arc<Board>, key: Keypair, seed: SecretSeed, store: S, patience: u32) -> Self {
        let (reader, player) = (Reader::default(), None);
        Self { board, key, seed, store, patience, player, reader, horizon: None, quiet: None, over: None }
    }

    /// The lane.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Takes the operator's answer to what was asked, and says what to ask it next. If there is nothing, the next tip says how it
    /// goes on.
    ///
    /// # Errors
    /// [`Error::NotAsked`] if it did not play off chain at the last tip; those of [`Challenger::receive`].
    pub fn receive<T: Testimony>(
        &mut self,
        wanted: Move,
        answer: &Answer,
        truth: &mut T,
    ) -> Result<Option<Ask>, Error> {
        let (Some((_, player)), Some(horizon)) = (&mut self.player, self.horizon) else { return Err(Error::NotAsked) };
        match player.receive(wanted, answer) {
            Ok(()) => self.quiet = Some(horizon.tip),
            Err(why) => return Err(self.stumble(why)),
        }
        Ok(match self.next(horizon, truth)? {
            Some(Next::Ask(ask)) => Some(ask),
            _ => None,
        })
    }

    /// All that is to be done in this lane at the view's tip.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn tip<T: Testimony>(&mut self, view: &dyn View, truth: &mut T) -> Result<Vec<Duty>, Error> {
        let mut duties = Vec::new();
        let horizon = self.sit_down(view)?;
        (self.horizon, self.over) = (None, None);
        match Standing::read(&self.board, view, &mut self.reader)? {
            Standing::Open { since } => self.approach(view, since, horizon, truth, &mut duties)?,
            Standing::At { node, since, shown } => {
                let played = self.play(node, &shown, horizon, truth)?;
                match (self.board.graph.node(node).turn.mover(), played) {
                    (Player::Challenger, Some((what, tx))) => {
                        let time = self.turn(node, since, Some(since + self.board.turn - 1));
                        self.publish(what, tx, time, view.height(), &mut duties);
                    }
                    (Player::Operator, _) if view.height() + 1 >= since + self.board.turn => {
                        self.win(view, node, since + self.board.turn, &mut duties)?;
                    }
                    _ => {}
                }
            }
            Standing::Disproved { on, since } => self.win(view, on, since, &mut duties)?,
            Standing::Over { end, since } => self.over = Some((end, since)),
            Standing::Ahead | Standing::Unentered { .. } => {}
        }
        Ok(duties)
    }

    /// Opens the player once the claim cannot give way to another. What is settled then; none while it is too early.
    fn sit_down(&mut self, view: &dyn View) -> Result<Option<Horizon>, Error> {
        let Board { confirmations, checkpoint, .. } = *self.board;
        let tip = view.height();
        let claim = self.board.claim(view)?.filter(|claim| is_deep(claim.height, confirmations, tip));
        let Some(claim) = claim else {
            self.player = None;
            return Ok(None);
        };
        if self.player.as_ref().is_none_or(|(of, _)| *of != claim.signature) {
            let (lane, signed) = (self.board.lane.clone(), claim.signature.clone());
            let player = Challenger::open(lane, self.board.id, self.seed.clone(), signed, self.store.clone())?;
            self.player = Some((claim.signature, player));
        }
        Ok(Some(Horizon { checkpoint, claimed: claim.n, confirmations, tip }))
    }

    /// Plays off chain as far as that goes, and then enters the lane.
    fn approach<T: Testimony>(
        &mut self,
        view: &dyn View,
        contested: u32,
        horizon: Option<Horizon>,
        truth: &mut T,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        // There is nothing to win any more.
        if self.board.stake_gone(view)?.is_some() {
            return Ok(());
        }
        let (tip, delta1) = (view.height(), self.board.delta1);
        let latest = contested + delta1 / 2;
        let next = match horizon {
            Some(horizon) => self.next(horizon, truth)?,
            None => None,
        };
        let enters = match &next {
            Some(Next::Disprove(_) | Next::Force) => true,
            Some(Next::Ask(_)) => tip >= latest || tip.saturating_sub(*self.quiet.get_or_insert(tip)) >= self.patience,
            // Without a choice the lane can be entered as well.
            None => tip >= latest,
            Some(Next::Lost) => false,
        };
        if enters && self.board.has_bond(view)? {
            let tx = self.board.graph.challenge(self.board.part(LaneTx::Challenge)?, &self.key)?;
            let (deadline, stake) = (Some(contested + delta1 - 1), self.board.at_stake(NodeId::ENTERED));
            let time = Time { from: latest, blocks: delta1 - delta1 / 2, deadline, stake };
            self.publish(LaneTx::Challenge, tx, time, tip, duties);
        } else if let Some(Next::Ask(ask)) = next {
            self.horizon = horizon;
            duties.push(Duty::Ask(ask));
        }
        Ok(())
    }

    /// What it does next off chain; none as long as that depends on what is not settled.
    fn next<T: Testimony>(&mut self, horizon: Horizon, truth: &mut T) -> Result<Option<Next>, Error> {
        let Some((_, player)) = &mut self.player else { return Ok(None) };
        let mut settled = Settled::new(truth, horizon);
        match player.next(&mut settled) {
            Ok(next) => Ok(Some(next)),
            Err(lane::Error::Testimony(_)) if settled.waits => Ok(None),
            Err(why) => Err(self.stumble(why)),
        }
    }

    /// Takes in what the chain has shown, and makes its move if it is its turn; none as long as that depends on what is not settled.
    fn play<T: Testimony>(
        &mut self,
        node: NodeId,
        shown: &Shown,
        horizon: Option<Horizon>,
        truth: &mut T,
    ) -> Result<Option<(LaneTx, Transaction)>, Error> {
        let (Some((_, player)), Some(horizon)) = (&mut self.player, horizon) else { return Ok(None) };
        let Board { graph, lane, .. } = &*self.board;
        let mut settled = Settled::new(truth, horizon);
        let action = match player.on_chain(graph.node(node).turn, shown, &mut settled) {
            Ok(action) => action,
            Err(lane::Error::Testimony(_)) if settled.waits => return Ok(None),
            Err(why) => return Err(self.stumble(why)),
        };
        Ok(match action {
            None => None,
            Some(Action::Disprove(leaf)) => {
                let shown = tree::Shown { index: leaf.leaf, hints: leaf.hints };
                let tx = graph.disproved(lane, node, shown, player.transcript(), &self.key)?;
                Some((LaneTx::Disproved(node), tx))
            }
            Some(Action::Play(play)) => {
                let Some(to) = graph.next(node, play.to) else { return Ok(None) };
                let what = LaneTx::Step(to);
                let tx = graph.step(lane, self.board.part(what)?, to, &self.chosen(&play)?, Some(&self.key))?;
                Some((what, tx))
            }
        })
    }

    /// The choices of a step.
    fn chosen(&self, play: &Play) -> Result<Transcript, Error> {
        let (keys, mut transcript) = (&self.board.lane.keys, Transcript::default());
        if let Carried::Choices(ids) = &play.carried {
            for (id, secret) in ids.iter().zip(play.witness.iter().rev()) {
                let choice = keys.choice(*id).and_then(|key| key.read(secret)).ok_or(lane::Error::NotChosen(*id))?;
                transcript.choose(keys, *id, choice).map_err(lane::Error::from)?;
            }
        }
        Ok(transcript)
    }

    /// Slash of what is at an output since `from`, or WinOnly where there is nothing to slash.
    fn win(&self, view: &dyn View, at: NodeId, from: u32, duties: &mut Vec<Duty>) -> Result<(), Error> {
        let Some(gone) = self.board.stake_gone(view)? else {
            let what = LaneTx::Slash(at);
            let deadline = self.board.contest(view)?.map(|contest| contest.height + self.board.delta2 - 1);
            let tx = self.board.graph.end(self.board.part(what)?, what)?;
            self.publish(what, tx, self.turn(at, from, deadline), view.height(), duties);
            return Ok(());
        };
        // A turn that is late may still be played; *lost* waits for whether K' comes back.
        let late = self.board.graph.node(at).turn.mover() == Player::Operator;
        if late || is_deep(gone, self.board.confirmations, view.height()) {
            self.win_only(at, from.max(gone), view.height(), duties)?;
        }
        Ok(())
    }

    fn win_only(&self, at: NodeId, from: u32, tip: u32, duties: &mut Vec<Duty>) -> Result<(), Error> {
        let own = OperatorConnector(self.key.x_only_public_key().0).script_pubkey();
        let spend = self.board.graph.win_only(at, own, self.board.fee_rate)?;
        let paid: Amount = spend.tx.output.iter().map(|output| output.value).sum();
        let child = Child { vout: 0, fee: spend.prevout.value - paid };
        let signature = sign_leaf(&self.key, spend.message());
        let name = format!("WinOnly {}, lane {}", self.board.slot.id, self.board.graph.challenger);
        let tx = spend.complete(&signature);
        push(duties, Purpose::WinOnly(at), name, tx, child, self.turn(at, from, None), tip);
        Ok(())
    }

    /// T_turn from a height on, at an output.
    fn turn(&self, at: NodeId, from: u32, deadline: Option<u32>) -> Time {
        Time { from, blocks: self.board.turn, deadline, stake: self.board.at_stake(at) }
    }

    /// What came of the lane, what the wallet's children paid left out; none before that is settled, at the last tip.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn settlement(&self, view: &dyn View) -> Result<Option<Settlement>, Error> {
        let over = self.over.filter(|(_, since)| is_deep(*since, self.board.confirmations, view.height()));
        over.map(|(end, since)| Settlement::of(&self.board, view, end, since)).transpose()
    }

    fn publish(&self, what: LaneTx, tx: Transaction, time: Time, tip: u32, duties: &mut Vec<Duty>) {
        if let Some(presigned) = self.board.graph.get(what) {
            publish(duties, what, presigned, tx, time, tip);
        }
    }

    /// A store that has failed has to be read again.
    fn stumble(&mut self, why: lane::Error) -> Error {
        if matches!(why, lane::Error::Store(_)) {
            self.player = None;
        }
        why.into()
    }
}
