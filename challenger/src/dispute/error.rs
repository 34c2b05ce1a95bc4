//! What stops a side of a lane on the chain.

use trestle_bridge::lane::{LaneGraphError, NodeId};
use trestle_bridge::transactions::BuildError;
use trestle_rollup::SlotId;
use trestle_taptree_trace::ots::OtsError;

use crate::lane;
use crate::view::ViewError;

/// Why nothing is to be done at this tip. Nothing was signed, and the same tip may be given again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The chain could not be read.
    #[error("the chain could not be read: {0}")]
    View(#[source] ViewError),
    /// The player could not play. If its store failed it is opened again at the next tip.
    #[error(transparent)]
    Player(#[from] lane::Error),
    /// The lane's graph cannot be built, or a transaction of it not be completed.
    #[error(transparent)]
    Graph(#[from] LaneGraphError),
    /// What a challenger publishes by itself cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The run has no such slot, or no such challenger.
    #[error("the run has no lane of challenger {challenger} in slot {slot}")]
    NoLane {
        /// The slot.
        slot: SlotId,
        /// Index of the challenger.
        challenger: usize,
    },
    /// There are not as many of the committee's signatures as the lane needs.
    #[error("{got} signatures of the lane, not {expected}")]
    Signatures {
        /// Signatures needed.
        expected: usize,
        /// Signatures given.
        got: usize,
    },
    /// The claim is signed in a form that cannot be read.
    #[error("the claim cannot be read: {0}")]
    Claim(#[from] OtsError),
    /// An output of the lane was spent by a transaction that nobody has signed.
    #[error("{0:?} is spent by a transaction that is none of the lane's")]
    Unknown(NodeId),
    /// Nobody has asked for this now.
    #[error("the lane is not played off chain now")]
    NotAsked,
}

impl From<ViewError> for Error {
    fn from(error: ViewError) -> Self {
        Self::View(error)
    }
}
