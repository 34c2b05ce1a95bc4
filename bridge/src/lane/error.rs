//! Why a lane has no graph, or a transaction of it cannot be completed.

use trestle_taptree_trace::lane::MoveError;
use trestle_taptree_trace::leaf::{LaneTreeError, LeafError};
use trestle_taptree_trace::tree::LeafTreeError;

use super::LaneTx;
use crate::transactions::{BuildError, CompleteError};

/// A lane's graph cannot be built, or used as it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaneGraphError {
    /// The parameters have no such challenger.
    #[error("there is no challenger {0}")]
    NoChallenger(usize),
    /// What the lane's scripts are made of is another slot's, challenger's or bridge's.
    #[error("the lane's {0} is not that of the slot, the challenger or the parameters")]
    Other(&'static str),
    /// A move or a choice has no script, or is not signed.
    #[error(transparent)]
    Move(#[from] MoveError),
    /// A disproof has no script, or what it is about is not signed.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// A tree of disproofs cannot be built.
    #[error(transparent)]
    Tree(#[from] LaneTreeError),
    /// A tree has no such leaf.
    #[error(transparent)]
    NoLeaf(#[from] LeafTreeError),
    /// A transaction cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A transaction cannot be completed.
    #[error(transparent)]
    Complete(#[from] CompleteError),
    /// The lane has no such transaction.
    #[error("the lane has no {0:?}")]
    NoSuch(LaneTx),
    /// The lane has no such turn.
    #[error("the lane has no turn {0:?}, or no step from there")]
    NoTurn(trestle_taptree_trace::turn::Turn),
    /// A choice that the step needs is not made.
    #[error("the choice {0} is not made")]
    NotChosen(trestle_taptree_trace::lane::ChoiceId),
    /// The step is the challenger's, and the key is not, or is missing.
    #[error("{0:?} needs the signature of the lane's challenger")]
    Challenger(LaneTx),
}
