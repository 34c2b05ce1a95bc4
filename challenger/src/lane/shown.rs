//! What passes between a player and the chain.

use trestle_taptree_trace::lane::{ChoiceId, MessageId, SignedChoice};
use trestle_taptree_trace::leaf::Tree;
use trestle_taptree_trace::ots::Signature;
use trestle_taptree_trace::turn::{Carried, Turn};

/// What the mined transactions of a lane have signed so far, in the order in which they did
/// ([`trestle_taptree_trace::lane::Move::read`], [`trestle_taptree_trace::lane::ChoiceKey::read`], which verify it).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The operator's messages.
    pub messages: Vec<(MessageId, Signature)>,
    /// The challenger's choices.
    pub choices: Vec<(ChoiceId, SignedChoice)>,
}

/// A step to be taken on chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Play {
    /// The turn that it leads to.
    pub to: Turn,
    /// The leaf.
    pub carried: Carried,
    /// What the one-time part of the leaf's script takes, the deepest item first.
    pub witness: Vec<Vec<u8>>,
}

/// What a challenger does with its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Goes on.
    Play(Play),
    /// Spends the output by a disproof leaf.
    Disprove(Disproof),
}

/// A leaf that can be satisfied. Its witness is [`trestle_taptree_trace::leaf::witness`] of the challenger's transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disproof {
    /// The tree.
    pub tree: Tree,
    /// Which of its leaves, in the order of [`Tree::leaves`].
    pub leaf: usize,
    /// The leaf's name.
    pub name: String,
    /// Its unsigned items.
    pub hints: Vec<Vec<u8>>,
}
