//! The operator's side of a lane.

use std::sync::Arc;

use bitcoin::{Amount, Transaction};
use trestle_bridge::lane::{LaneTx, NodeId};
use trestle_signer::store::Store;
use trestle_taptree_trace::ots::{self, SecretSeed};
use trestle_taptree_trace::turn::Player;

use super::duty::{Time, publish};
use super::standing::Reader;
use super::{Board, Duty, Error, Standing};
use crate::lane::{self, Answer, Ask, Defender, Shown, Testimony};
use crate::view::View;

/// An operator whose claim may be disputed in a lane.
pub struct LaneOperator<S> {
    board: Arc<Board>,
    seed: SecretSeed,
    store: S,
    /// With the claim that it was opened with.
    player: Option<(ots::Signature, Defender<S>)>,
    reader: Reader,
}

impl<S: Store + Clone> LaneOperator<S> {
    /// The operator's side. The store is its alone, and remembers what the one-time keys, which come from `seed`, have signed.
    pub fn new(board: Arc<Board>, seed: SecretSeed, store: S) -> Self {
        Self { board, seed, store, player: None, reader: Reader::default() }
    }

    /// The lane.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Answers the challenger, off chain.
    ///
    /// # Errors
    /// [`Error::NotAsked`] if no claim of this slot was there at the last tip; those of [`Defender::answer`].
    pub fn answer<T: Testimony + ?Sized>(&mut self, ask: &Ask, testimony: &mut T) -> Result<Answer, Error> {
        let (_, player) = self.player.as_mut().ok_or(Error::NotAsked)?;
        player.answer(ask, testimony).map_err(|why| self.stumble(why))
    }

    /// All that is to be done in this lane at the view's tip.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn tip<T: Testimony + ?Sized>(&mut self, view: &dyn View, testimony: &mut T) -> Result<Vec<Duty>, Error> {
        let mut duties = Vec::new();
        self.sit_down(view)?;
        match Standing::read(&self.board, view, &mut self.reader)? {
            Standing::Unentered { since } => self.no_show(view, since, &mut duties)?,
            Standing::At { node, since, shown } => {
                self.play(view.height(), node, since, &shown, testimony, &mut duties)?;
            }
            Standing::Ahead | Standing::Open { .. } | Standing::Disproved { .. } | Standing::Over { .. } => {}
        }
        Ok(duties)
    }

    /// Opens the player, once the claim is mined.
    fn sit_down(&mut self, view: &dyn View) -> Result<(), Error> {
        let Some(claim) = self.board.claim(view)? else {
            self.player = None;
            return Ok(());
        };
        if self.player.as_ref().is_none_or(|(of, _)| *of != claim.signature) {
            let (lane, signed) = (self.board.lane.clone(), claim.signature.clone());
            let player = Defender::open(lane, self.board.id, self.seed.clone(), signed, self.store.clone())?;
            self.player = Some((claim.signature, player));
        }
        Ok(())
    }

    /// Takes the bond of a challenger that contested in vain.
    fn no_show(&self, view: &dyn View, since: u32, duties: &mut Vec<Duty>) -> Result<(), Error> {
        let Some(secret) = self.board.contest(view)?.and_then(|contest| self.board.secret(&contest)) else {
            return Ok(());
        };
        if self.board.has_bond(view)? {
            let tx = self.board.graph.no_show(self.board.part(LaneTx::NoShow)?, &secret)?;
            let value = tx.output.first().map_or(Amount::ZERO, |output| output.value);
            let time = Time { from: since, blocks: self.board.turn, deadline: None, stake: value };
            self.publish(LaneTx::NoShow, tx, time, view.height(), duties);
        }
        Ok(())
    }

    /// Its own turn, or one that the challenger has let pass.
    fn play<T: Testimony + ?Sized>(
        &mut self,
        tip: u32,
        node: NodeId,
        since: u32,
        shown: &Shown,
        testimony: &mut T,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let Some((_, player)) = &mut self.player else { return Ok(()) };
        let (board, turn) = (&self.board, self.board.graph.node(node).turn);
        let play = match player.on_chain(turn, shown, testimony) {
            Ok(play) => play,
            Err(why) => return Err(self.stumble(why)),
        };
        let over = since + board.turn;
        let (what, tx, from, deadline) = match (turn.mover(), play) {
            (Player::Operator, Some(play)) => {
                let Some((to, (_, player))) = board.graph.next(node, play.to).zip(self.player.as_ref()) else {
                    return Ok(());
                };
                let what = LaneTx::Step(to);
                let tx = board.graph.step(&board.lane, board.part(what)?, to, player.transcript(), None)?;
                (what, tx, since, Some(over - 1))
            }
            (Player::Challenger, _) if tip + 1 >= over => {
                let what = LaneTx::OperatorWins(node);
                (what, board.graph.end(board.part(what)?, what)?, over, None)
            }
            _ => return Ok(()),
        };
        let time = Time { from, blocks: board.turn, deadline, stake: board.at_stake(node) };
        self.publish(what, tx, time, tip, duties);
        Ok(())
    }

    /// Whether nothing can come of the lane any more.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn is_settled(&self, view: &dyn View) -> Result<bool, Error> {
        self.board.is_settled(view)
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
