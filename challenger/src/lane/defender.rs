//! The operator of a lane.
//!
//! It follows one path: of every choice the option that it saw first, off chain or on. Whatever it signs is a function of that
//! path and of its testimony, so that all its rounds are rounds of what it opens, in whichever order it is asked. A choice and
//! what is signed after it are on disk together before they leave.

use trestle_signer::store::Store;
use trestle_taptree_trace::lane::{
    ChoiceId, Lane, LaneId, MessageId, Move, SignedChoice, Transcript, TranscriptError, sign,
};
use trestle_taptree_trace::ots::{SecretSeed, Signature};
use trestle_taptree_trace::turn::{Carried, Player, Turn};

use super::path::{self, Choices};
use super::sayings::{Claim, sayings};
use super::store::{Records, Writes};
use super::wire::{Answer, Ask};
use super::{Error, Play, Shown, Testimony};

/// The operator of a lane.
pub struct Defender<S> {
    lane: Lane,
    id: LaneId,
    seed: SecretSeed,
    claim: Claim,
    records: Records<S>,
    /// What it follows.
    choices: Choices,
    /// What it has signed, and the choices that it follows.
    transcript: Transcript,
}

impl<S: Store> Defender<S> {
    /// Opens the operator's side of a lane on a store that is its alone. `claim` is the signature in the slot's claim.
    ///
    /// # Errors
    /// If the store fails or is another's, or the claim is not signed with the lane's key.
    pub fn open(lane: Lane, id: LaneId, seed: SecretSeed, claim: Signature, store: S) -> Result<Self, Error> {
        let records = Records::open(store, &id, Player::Operator)?;
        let choices = records.choices(&lane)?;
        let mut transcript = Transcript::default();
        transcript.add(&lane.keys, MessageId::Claim, claim)?;
        records.messages(&lane, &mut transcript)?;
        for (choice, signed) in &choices {
            transcript.choose(&lane.keys, *choice, *signed)?;
        }
        let claim = Claim::read(&transcript)?;
        Ok(Self { lane, id, seed, claim, records, choices, transcript })
    }

    /// All that it has signed in this lane.
    #[must_use]
    pub const fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Answers the challenger, off chain. What was signed before is sent again as it was.
    ///
    /// # Errors
    /// If the lane has no such move, the choices are not just those that lead to it, one is not signed by the challenger or
    /// contradicts one that it signed before; or if the testimony or the store fails. Nothing has changed then.
    pub fn answer<T: Testimony + ?Sized>(&mut self, ask: &Ask, testimony: &mut T) -> Result<Answer, Error> {
        let wanted = ask.wanted;
        if !path::exists(wanted, self.lane.constants.confirmations) {
            return Err(Error::NoSuchMove(wanted));
        }
        let leading = path::leading(wanted);
        if leading.len() != ask.choices.len() {
            return Err(Error::OutOfOrder { wanted, expected: leading.len(), got: ask.choices.len() });
        }
        let mut new = Vec::new();
        for (id, choice) in leading.into_iter().zip(&ask.choices) {
            self.verify(id, choice)?;
            match self.choices.get(&id) {
                None => new.push((id, *choice)),
                Some(followed) if followed.option == choice.option => {}
                Some(followed) => return Err(Error::ChosenBefore { choice: id, followed: followed.option }),
            }
        }
        self.make(wanted, new, testimony)?;
        let signature = |id| self.transcript.signature(id).map(Into::into).ok_or(Error::NoSuchMove(wanted));
        Ok(Answer { signatures: path::signed_by(wanted).into_iter().map(signature).collect::<Result<_, _>>()? })
    }

    /// What to play at this turn of the chain. `None` if it is the challenger's.
    ///
    /// Choices that the chain has shown are taken in, whoever's turn it is, and followed from then on unless others were seen
    /// before.
    ///
    /// # Errors
    /// If a choice is not signed by the challenger, none was ever made that the move depends on, or the testimony or the
    /// store fails.
    pub fn on_chain<T: Testimony + ?Sized>(
        &mut self,
        turn: Turn,
        shown: &Shown,
        testimony: &mut T,
    ) -> Result<Option<Play>, Error> {
        for (id, choice) in &shown.choices {
            self.verify(*id, choice)?;
        }
        let mut new: Vec<(ChoiceId, SignedChoice)> = Vec::new();
        for (id, choice) in &shown.choices {
            if !self.choices.contains_key(id) && new.iter().all(|(other, _)| other != id) {
                new.push((*id, *choice));
            }
        }
        self.take(new, Vec::new())?;
        if turn.mover() != Player::Operator {
            return Ok(None);
        }
        for step in turn.steps(self.lane.constants.confirmations) {
            for leaf in step.leaves {
                let Carried::Move(wanted) = leaf else { continue };
                if self.is_on_path(wanted)? {
                    self.make(wanted, Vec::new(), testimony)?;
                    let witness = wanted.witness(&self.transcript)?;
                    return Ok(Some(Play { to: step.to, carried: Carried::Move(wanted), witness }));
                }
            }
        }
        Ok(None)
    }

    fn verify(&self, id: ChoiceId, choice: &SignedChoice) -> Result<(), Error> {
        let signed = self.lane.keys.choice(id).is_some_and(|key| key.verify(choice));
        if signed { Ok(()) } else { Err(TranscriptError::Choice(id.to_string()).into()) }
    }

    /// Whether the access that it follows is searched so.
    fn is_on_path(&self, wanted: Move) -> Result<bool, Error> {
        match path::search_in(wanted) {
            Some(search) => Ok(path::search_of(path::access(&self.choices)?) == search),
            None => Ok(true),
        }
    }

    /// Signs what of a move is not signed yet, after further choices.
    fn make<T: Testimony + ?Sized>(
        &mut self,
        wanted: Move,
        new: Vec<(ChoiceId, SignedChoice)>,
        testimony: &mut T,
    ) -> Result<(), Error> {
        let unsigned = |id: &MessageId| self.transcript.signature(*id).is_none();
        let mut signatures = Vec::new();
        if path::signed_by(wanted).iter().any(unsigned) {
            let mut choices = self.choices.clone();
            choices.extend(new.iter().copied());
            let said = sayings(wanted, &choices, self.claim, &self.lane.constants, testimony)?;
            for (id, fields) in said.into_iter().filter(|(id, _)| unsigned(id)) {
                let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
                signatures.push((id, sign(&self.seed, &self.id, id, &fields)?));
            }
        }
        self.take(new, signatures)
    }

    /// Remembers choices, which were verified, and signatures, on disk first.
    fn take(
        &mut self,
        new: Vec<(ChoiceId, SignedChoice)>,
        signatures: Vec<(MessageId, Signature)>,
    ) -> Result<(), Error> {
        let mut writes = Writes::default();
        for (id, choice) in &new {
            writes.choice(*id, choice);
        }
        for (id, signature) in &signatures {
            writes.message(*id, 0, signature);
        }
        self.records.commit(writes)?;
        for (id, choice) in new {
            self.transcript.choose(&self.lane.keys, id, choice)?;
            self.choices.insert(id, choice);
        }
        for (id, signature) in signatures {
            self.transcript.keep(id, signature);
        }
        Ok(())
    }
}
