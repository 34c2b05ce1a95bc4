#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

extern crate alloc;

pub mod aggregate;
pub mod apply;
pub mod assignment;
#[cfg(feature = "std")]
pub mod batch;
pub mod block;
pub mod certificate;
pub mod compact;
pub mod compress;
pub mod destination;
pub mod envelope;
pub mod event;
pub mod execute;
pub mod host;
pub mod identifiers;
pub mod membership;
#[cfg(feature = "std")]
pub mod native;
pub mod parameters;
pub mod preimages;
pub mod schnorr;
pub mod state;
pub mod tag;
pub mod transaction;
pub mod tree;
mod wire;

pub use apply::{Applied, Entry, Error, apply, claim_holds};
pub use assignment::Assignment;
#[cfg(feature = "std")]
pub use batch::Batch;
pub use certificate::{Certificate, Signatures, majority, quorum};
pub use compress::{Digest, compress, tagged_hash};
pub use destination::Destination;
pub use envelope::Envelope;
pub use event::{Event, Skip};
pub use execute::Refusal;
pub use host::{Host, SignatureCheck, Sink};
pub use identifiers::{Account, OutPoint, SlotId, Txid, WithdrawalId};
pub use membership::Membership;
#[cfg(feature = "std")]
pub use native::{Draft, Ledger, LedgerError, View};
pub use parameters::{Parameters, ParametersError};
pub use state::{AccountState, Fulfilment, Member, Meta, NextSequencers, Sequencers, Withdrawal};
pub use tag::{AdminOperation, Tag};
pub use transaction::{SignedTransaction, Transaction};
