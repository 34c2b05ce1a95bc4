//! What has been signed in a lane.

use std::collections::BTreeMap;

use super::choice::{ChoiceId, SignedChoice, sign_choice};
use super::keys::{LaneId, LaneKeys};
use super::message::MessageId;
use crate::ots::{Message, OtsError, SecretSeed, Signature, verify};

/// The signatures of both sides, verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    messages: BTreeMap<MessageId, Vec<Signature>>,
    choices: BTreeMap<ChoiceId, Vec<SignedChoice>>,
}

/// What an operator has said, signatures apart. Leaves are about this alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statements(BTreeMap<MessageId, Vec<Message>>);

impl Statements {
    /// Adds a message. Of two that say different things both are kept, and no third.
    pub fn add(&mut self, id: MessageId, message: Message) {
        let held = self.0.entry(id).or_default();
        if held.len() < 2 && !held.contains(&message) {
            held.push(message);
        }
    }

    /// What was said: the first, if there are two.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<&Message> {
        self.0.get(&id)?.first()
    }

    /// Two messages with one key that say different things.
    #[must_use]
    pub fn twice(&self, id: MessageId) -> Option<[&Message; 2]> {
        match self.0.get(&id)?.as_slice() {
            [first, second, ..] => Some([first, second]),
            _ => None,
        }
    }
}

/// A signature that is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranscriptError {
    /// The lane has no such message, or the key did not sign it.
    #[error("{0} is not signed with its key")]
    Message(String),
    /// The lane has no such choice, or the key did not sign it.
    #[error("{0} is not signed with its key")]
    Choice(String),
}

impl Transcript {
    /// Adds a signature of the operator. A second one with the same key is kept beside the first if it says something
    /// else (and a third is not: two are enough to be a lie).
    ///
    /// # Errors
    /// If the lane's key did not make it.
    pub fn add(&mut self, keys: &LaneKeys, id: MessageId, signature: Signature) -> Result<(), TranscriptError> {
        let message = signature.message(&id.layout());
        let right = keys.message(id).zip(message).is_some_and(|(key, message)| verify(key, &message, &signature));
        if !right {
            return Err(TranscriptError::Message(id.to_string()));
        }
        self.keep(id, signature);
        Ok(())
    }

    /// The same of a signature that the caller has verified with the lane's key ([`Signature::from_pairs`]), or made: to hash
    /// once.
    pub fn keep(&mut self, id: MessageId, signature: Signature) {
        let held = self.messages.entry(id).or_default();
        if held.len() < 2 && held.iter().all(|other| other.digits() != signature.digits()) {
            held.push(signature);
        }
    }

    /// Adds a choice of the challenger; a second one that says something else is kept beside the first.
    ///
    /// # Errors
    /// If the lane's key did not make it.
    pub fn choose(&mut self, keys: &LaneKeys, id: ChoiceId, choice: SignedChoice) -> Result<(), TranscriptError> {
        if !keys.choice(id).is_some_and(|key| key.verify(&choice)) {
            return Err(TranscriptError::Choice(id.to_string()));
        }
        let held = self.choices.entry(id).or_default();
        if held.iter().all(|other| other.option != choice.option) {
            held.push(choice);
        }
        Ok(())
    }

    /// The operator's signature of a message: the first, if there are two.
    #[must_use]
    pub fn signature(&self, id: MessageId) -> Option<&Signature> {
        self.messages.get(&id)?.first()
    }

    /// What the operator has said.
    #[must_use]
    pub fn statements(&self) -> Statements {
        let mut statements = Statements::default();
        for (id, signatures) in &self.messages {
            let layout = id.layout();
            signatures.iter().filter_map(|held| held.message(&layout)).for_each(|said| statements.add(*id, said));
        }
        statements
    }

    /// Two signatures of the operator with one key that say different things.
    #[must_use]
    pub fn twice(&self, id: MessageId) -> Option<[&Signature; 2]> {
        match self.messages.get(&id)?.as_slice() {
            [first, second, ..] => Some([first, second]),
            _ => None,
        }
    }

    /// The challenger's signature that it chose this option.
    #[must_use]
    pub fn choice(&self, id: ChoiceId, option: u8) -> Option<&SignedChoice> {
        self.choices.get(&id)?.iter().find(|choice| choice.option == option)
    }

    /// The same with every message's second signature in front of its first.
    #[must_use]
    pub fn with_second_first(&self, id: MessageId) -> Self {
        let mut other = self.clone();
        if let Some(held) = other.messages.get_mut(&id) {
            held.reverse();
        }
        other
    }
}

/// Signs a message of the operator. The caller signs one message with one key, ever.
///
/// # Errors
/// If the message does not fit its layout.
pub fn sign(seed: &SecretSeed, lane: &LaneId, id: MessageId, fields: &[&[u8]]) -> Result<Signature, OtsError> {
    let layout = id.layout();
    seed.sign(&layout, &lane.key_id(id, &id.to_string()), &layout.encode(fields)?)
}

/// Signs a choice of the challenger. The caller signs one choice with one key, ever. `None` if there is no such option.
#[must_use]
pub fn choose(seed: &SecretSeed, lane: &LaneId, id: ChoiceId, option: u8) -> Option<SignedChoice> {
    sign_choice(seed, &lane.choices(), id, option)
}
