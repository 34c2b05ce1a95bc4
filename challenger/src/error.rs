//! What stops a role.

use bitcoin::XOnlyPublicKey;
use trestle_bridge::job::JobError;
use trestle_bridge::transactions::{BuildError, CompleteError, RunError, RunLaneError};
use trestle_rollup::LedgerError;
use trestle_taptree_trace::ots::OtsError;

use crate::view::ViewError;

/// Why an event was not taken in. Nothing of it was, and no duty follows from it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed. Drop the role, and open it again once the cause is gone.
    #[error("the store: {0}")]
    Store(#[from] sled::Error),
    /// The store holds what this program did not write.
    #[error("the store is damaged: it holds {0} that cannot be read")]
    Damaged(&'static str),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The chain could not be read. The same event may be given again.
    #[error("the chain could not be read: {0}")]
    View(#[source] ViewError),
    /// The terms of a run are wrong.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A transaction cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A lane of a run cannot be made.
    #[error(transparent)]
    Lane(#[from] RunLaneError),
    /// A lane that was entered stopped.
    #[error(transparent)]
    Dispute(#[from] Box<crate::dispute::Error>),
    /// A transaction cannot be completed.
    #[error(transparent)]
    Complete(#[from] CompleteError),
    /// A job is not one that this bridge can have signed.
    #[error(transparent)]
    Job(#[from] JobError),
    /// A one-time key cannot sign.
    #[error(transparent)]
    OneTime(#[from] OtsError),
    /// The key is not in the parameters.
    #[error("{key} is the key of no {role} of this bridge")]
    Stranger {
        /// What it should be the key of.
        role: &'static str,
        /// The key.
        key: XOnlyPublicKey,
    },
    /// The event asks for what cannot be done, and why.
    #[error("refused: {0}")]
    Refused(String),
}

impl From<ViewError> for Error {
    fn from(error: ViewError) -> Self {
        Self::View(error)
    }
}
