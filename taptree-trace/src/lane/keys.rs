//! The public keys of a lane: what its scripts are made of.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::choice::{ChoiceId, ChoiceKey};
use super::message::MessageId;
use crate::ots::{CLAIM_LANE, KeyId, Link, MAX_DIGIT, OtsError, PublicKey, SecretSeed, hash_times};

/// Which lane of which slot of which bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LaneId {
    /// The bridge instance.
    pub instance: [u8; 32],
    /// The slot's id, encoded.
    pub slot: [u8; 6],
    /// The challenger's number.
    pub challenger: u16,
}

impl LaneId {
    /// What the key of a message is derived from. The claim's is the slot's own: it has one claim, whoever contests it.
    #[must_use]
    pub const fn key_id<'a>(&self, message: MessageId, name: &'a str) -> KeyId<'a> {
        let lane = match message {
            MessageId::Claim => CLAIM_LANE,
            _ => self.challenger,
        };
        KeyId { instance: self.instance, slot: self.slot, lane, message: name }
    }

    /// What the keys of choices are derived from; the message is theirs to fill in.
    #[must_use]
    pub const fn choices(&self) -> KeyId<'static> {
        KeyId { instance: self.instance, slot: self.slot, lane: self.challenger, message: "" }
    }
}

/// All public keys of a lane.
///
/// Serialized as text: the operator's, in the order of [`MessageId::all`], and the challenger's, in that of
/// [`ChoiceId::all`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "KeyList", into = "KeyList")]
pub struct LaneKeys {
    confirmations: u16,
    operator: BTreeMap<MessageId, PublicKey>,
    challenger: BTreeMap<ChoiceId, ChoiceKey>,
}

/// The form in which keys are exchanged.
#[derive(Clone, Serialize, Deserialize)]
struct KeyList {
    confirmations: u16,
    operator: Vec<PublicKey>,
    challenger: Vec<ChoiceKey>,
}

/// Why keys are no lane's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaneKeysError {
    /// There are not as many keys as messages or choices.
    #[error("a lane with K = {confirmations} has {expected} keys of the {whose}, not {got}")]
    Count {
        /// Whose keys.
        whose: &'static str,
        /// K.
        confirmations: u16,
        /// Keys expected.
        expected: usize,
        /// Keys given.
        got: usize,
    },
    /// A key has more or fewer links than its message has digits, or they are related.
    #[error("{message}: {why}")]
    Key {
        /// The message's name.
        message: String,
        /// What is wrong.
        why: OtsError,
    },
    /// A choice does not have as many ends as options.
    #[error("{0}: not as many links as there are options")]
    Options(String),
    /// A link of one message's key lies on a chain of another's.
    #[error("the keys of {0} and {1} are related")]
    Related(String, String),
}

/// The operator's public keys of a lane, from its seed, in the order of [`MessageId::all`].
#[must_use]
pub fn operator_keys(seed: &SecretSeed, lane: &LaneId, confirmations: u16) -> Vec<PublicKey> {
    let key = |id: MessageId| seed.public_key(&id.layout(), &lane.key_id(id, &id.to_string()));
    MessageId::all(confirmations).into_iter().map(key).collect()
}

/// The challenger's public keys of a lane, from its seed, in the order of [`ChoiceId::all`].
#[must_use]
pub fn challenger_keys(seed: &SecretSeed, lane: &LaneId) -> Vec<ChoiceKey> {
    ChoiceId::all().into_iter().map(|id| ChoiceKey::derive(seed, &lane.choices(), id)).collect()
}

impl LaneKeys {
    /// Puts together what the two sides have sent. K = `confirmations` says how many headers a fork has.
    ///
    /// # Errors
    /// If there are not as many keys or links as there should be, or a link of the operator's lies on another's chain.
    /// The second matters to whoever takes keys from somebody else: see [`PublicKey::check`], here for all keys at once,
    /// because a script verifies several.
    pub fn new(
        confirmations: u16,
        operator: Vec<PublicKey>,
        challenger: Vec<ChoiceKey>,
    ) -> Result<Self, LaneKeysError> {
        let (messages, choices) = (MessageId::all(confirmations), ChoiceId::all());
        let counts = [("operator", messages.len(), operator.len()), ("challenger", choices.len(), challenger.len())];
        if let Some((whose, expected, got)) = counts.into_iter().find(|(_, expected, got)| expected != got) {
            return Err(LaneKeysError::Count { whose, confirmations, expected, got });
        }
        let operator: BTreeMap<_, _> = messages.into_iter().zip(operator).collect();
        let challenger: BTreeMap<_, _> = choices.into_iter().zip(challenger).collect();
        for (id, key) in &operator {
            let expected = id.layout().signed_digits();
            if key.0.len() != expected {
                let why = OtsError::DigitCount {
                    layout: id.layout().name,
                    what: "the public key",
                    expected,
                    got: key.0.len(),
                };
                return Err(LaneKeysError::Key { message: id.to_string(), why });
            }
        }
        if let Some((id, _)) = challenger.iter().find(|(id, key)| key.0.len() != usize::from(id.options())) {
            return Err(LaneKeysError::Options(id.to_string()));
        }
        refuse_related(&operator)?;
        Ok(Self { confirmations, operator, challenger })
    }

    /// K.
    #[must_use]
    pub const fn confirmations(&self) -> u16 {
        self.confirmations
    }

    /// Bytes of all links.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let operator = self.operator.values().map(|key| key.0.len());
        let challenger = self.challenger.values().map(|key| key.0.len());
        operator.chain(challenger).sum::<usize>() * size_of::<Link>()
    }

    /// The operator's key for a message; `None` if the lane has no such header.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<&PublicKey> {
        self.operator.get(&id)
    }

    /// The challenger's key for a choice; `None` if there is no such round.
    #[must_use]
    pub fn choice(&self, id: ChoiceId) -> Option<&ChoiceKey> {
        self.challenger.get(&id)
    }
}

/// No link of any key may lie on the chain of another one.
fn refuse_related(operator: &BTreeMap<MessageId, PublicKey>) -> Result<(), LaneKeysError> {
    let links =
        || operator.iter().flat_map(|(id, key)| key.0.iter().enumerate().map(move |(digit, link)| (*id, digit, *link)));
    let mut owners: HashMap<Link, (MessageId, usize)> = HashMap::new();
    let related = |first: (MessageId, usize), second: (MessageId, usize)| match first.0 == second.0 {
        true => LaneKeysError::Key {
            message: first.0.to_string(),
            why: OtsError::RelatedLinks { first: first.1, second: second.1 },
        },
        false => LaneKeysError::Related(first.0.to_string(), second.0.to_string()),
    };
    for (id, digit, link) in links() {
        if let Some(owner) = owners.insert(link, (id, digit)) {
            return Err(related(owner, (id, digit)));
        }
    }
    for (id, digit, mut link) in links() {
        for _ in 0..MAX_DIGIT {
            link = hash_times(link, 1);
            if let Some(owner) = owners.get(&link) {
                return Err(related((id, digit), *owner));
            }
        }
    }
    Ok(())
}

impl From<LaneKeys> for KeyList {
    fn from(keys: LaneKeys) -> Self {
        Self {
            confirmations: keys.confirmations,
            operator: keys.operator.into_values().collect(),
            challenger: keys.challenger.into_values().collect(),
        }
    }
}

impl TryFrom<KeyList> for LaneKeys {
    type Error = LaneKeysError;

    fn try_from(list: KeyList) -> Result<Self, LaneKeysError> {
        Self::new(list.confirmations, list.operator, list.challenger)
    }
}
