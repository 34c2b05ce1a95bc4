//! What a challenger signs in a lane: choices, each one of a few.
//!
//! A choice is signed by one of as many secrets: cheaper in Script than digits with a checksum, and as final. Whoever
//! shows two of one choice has signed two choices, of which the operator may use either.

use std::fmt;

use bitcoin::hashes::{Hash, hash160};
use bitcoin::hex::{DisplayHex, FromHex};
use serde::{Deserialize, Serialize};

use super::message::Search;
use crate::ots::{KeyId, Link, OtsError, SecretSeed};

/// One choice of the challenger, and so one key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChoiceId {
    /// Which quarter to enter, over the history, from round 0.
    History(u8),
    /// Which quarter to enter, over the trace.
    Trace(u8),
    /// Which access of the opened step is disputed (`trestle_zkvm_adapter::opening::Access`, in its order).
    Access,
    /// Which quarter to enter, over the path of that access, read or written.
    Path(u8),
}

impl ChoiceId {
    /// Every choice of a lane.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let rounds = |search: Search| 0..search.rounds();
        let mut all: Vec<Self> = rounds(Search::History).map(Self::History).collect();
        all.extend(rounds(Search::Trace).map(Self::Trace));
        all.push(Self::Access);
        all.extend(rounds(Search::Read).map(Self::Path));
        all
    }

    /// The choice that ends a round.
    #[must_use]
    pub const fn of_round(search: Search, round: u8) -> Self {
        match search {
            Search::History => Self::History(round),
            Search::Trace => Self::Trace(round),
            Search::Read | Search::Write => Self::Path(round),
        }
    }

    /// How many there are to choose from.
    #[must_use]
    pub const fn options(self) -> u8 {
        match self {
            Self::Access => 7,
            _ => 4,
        }
    }
}

/// The choice's name, of which its key is derived.
impl fmt::Display for ChoiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::History(round) => write!(f, "choice.history.{round}"),
            Self::Trace(round) => write!(f, "choice.trace.{round}"),
            Self::Access => f.write_str("choice.access"),
            Self::Path(round) => write!(f, "choice.path.{round}"),
        }
    }
}

/// HASH160 of the secret of each option.
///
/// Serialized as one string of hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChoiceKey(pub Vec<Link>);

impl From<ChoiceKey> for String {
    fn from(key: ChoiceKey) -> String {
        key.0.concat().to_lower_hex_string()
    }
}

impl TryFrom<String> for ChoiceKey {
    type Error = OtsError;

    fn try_from(text: String) -> Result<Self, OtsError> {
        let bytes = Vec::<u8>::from_hex(&text).map_err(|_| OtsError::KeyText)?;
        let (links, []) = bytes.as_chunks() else { return Err(OtsError::KeyText) };
        Ok(ChoiceKey(links.to_vec()))
    }
}

/// A signed choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedChoice {
    /// What was chosen.
    pub option: u8,
    /// The option's secret.
    pub secret: Link,
}

impl ChoiceKey {
    /// The key of `seed` for the choice, in the lane that `lane` names whatever its message is.
    #[must_use]
    pub fn derive(seed: &SecretSeed, lane: &KeyId<'_>, id: ChoiceId) -> Self {
        ChoiceKey((0..id.options()).map(|option| hash160_of(&secret(seed, lane, id, option))).collect())
    }

    /// Whether the key signed the choice.
    #[must_use]
    pub fn verify(&self, choice: &SignedChoice) -> bool {
        self.0.get(usize::from(choice.option)) == Some(&hash160_of(&choice.secret))
    }

    /// Reads the option off a secret that Script has accepted.
    #[must_use]
    pub fn read(&self, secret: &[u8]) -> Option<SignedChoice> {
        let secret: Link = secret.try_into().ok()?;
        let option = self.0.iter().position(|end| *end == hash160_of(&secret))?;
        Some(SignedChoice { option: u8::try_from(option).ok()?, secret })
    }
}

/// Signs a choice. The caller signs one choice with one id, ever.
///
/// Nothing is signed if there is no such option.
#[must_use]
pub fn sign_choice(seed: &SecretSeed, lane: &KeyId<'_>, id: ChoiceId, option: u8) -> Option<SignedChoice> {
    (option < id.options()).then(|| SignedChoice { option, secret: secret(seed, lane, id, option) })
}

fn secret(seed: &SecretSeed, lane: &KeyId<'_>, id: ChoiceId, option: u8) -> Link {
    let whole = seed.secret(&KeyId { message: &format!("{id}={option}"), ..*lane });
    whole.first_chunk().copied().unwrap_or_default()
}

fn hash160_of(secret: &[u8]) -> Link {
    hash160::Hash::hash(secret).to_byte_array()
}
