//! What stops a player of a lane.

use trestle_signer::store::StoreError;
use trestle_taptree_trace::lane::{ChoiceId, MessageId, Move, MoveError, Search, TranscriptError};
use trestle_taptree_trace::ots::OtsError;

use super::testimony::TestimonyError;

/// Why a player did not do what it was asked to. Whatever it is, nothing was signed and nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed. Drop the player, and open it again once the cause is gone.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store holds what this program did not write.
    #[error("the store is damaged: it holds {0} that cannot be read")]
    Damaged(&'static str),
    /// The store is that of another lane, or of the other side of this one.
    #[error("the store is another player's")]
    OtherPlayer,
    /// What the side says could not be found out. The same may be tried again.
    #[error("nothing can be said: {0}")]
    Testimony(#[source] TestimonyError),
    /// Something is not signed with the key it should be.
    #[error(transparent)]
    Transcript(#[from] TranscriptError),
    /// There is no witness of a move.
    #[error(transparent)]
    Move(#[from] MoveError),
    /// A one-time key cannot sign.
    #[error(transparent)]
    OneTime(#[from] OtsError),
    /// The lane has no such move.
    #[error("the lane has no move {0:?}")]
    NoSuchMove(Move),
    /// A move is asked for with more or fewer choices than lead to it.
    #[error("{got} choices lead to no {wanted:?}: it takes {expected}")]
    OutOfOrder {
        /// The move.
        wanted: Move,
        /// How many choices lead to it.
        expected: usize,
        /// How many were sent.
        got: usize,
    },
    /// The challenger has signed another option of this choice before, which counts.
    #[error("{choice}: option {followed} was chosen before")]
    ChosenBefore {
        /// The choice.
        choice: ChoiceId,
        /// What counts.
        followed: u8,
    },
    /// The challenger has named an access whose path is searched in the other way.
    #[error("the access that was named is on no path of {0}")]
    OtherAccess(Search),
    /// The move cannot be made yet: a choice that leads to it was not made.
    #[error("{0} was not chosen")]
    NotChosen(ChoiceId),
    /// An answer does not have the signatures that were asked for.
    #[error("an answer has {expected} signatures, not {got}")]
    Signatures {
        /// How many there should be.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// A signature in an answer has another length than its message's.
    #[error("{message}: a signature has {expected} bytes, not {got}")]
    Length {
        /// The message.
        message: MessageId,
        /// Bytes of its signature.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
}
