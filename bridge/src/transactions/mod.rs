//! The transactions of the bridge: one file each, which says what it spends and pays and who publishes it.
//!
//! Builders are pure: whoever signs builds what it signs from the parameters and the terms, and compares nothing but
//! signatures. All spend witness outputs only, so a transaction's id is fixed before anything is signed and children
//! refer to it. Pre-signed transactions are version 3 (TRUC, BIP 431) and pay a small fee by themselves;
//! a child on an anchor, or on an output of one's own, pays more ([`crate::wallet::Wallet::bump_child`]).
//!
//! ```text
//! Deposit ─ Confirm ─┬─ vault ───────────────────────────┬─┬─ Reimburse
//!                    └─ ticket ─┬─ Burn                  │ │
//!                               └─ cooperative payout ───┘ │
//! bond 0 ─ Claim ─ K ─┬─ FinalizeFast ─┬─ F ───────────────┤
//!                     │                └─ bond 1 ─ Claim … │
//!                     └─ Contest ─┬─ FinalizeUnentered ─ F ┤
//!                                 ├─ FinalizeSlow ────── F ┘
//!                                 └─ E_j ─ the lanes
//! ```
//!
//! What a lane can come to is in [`crate::lane`].

pub mod burn;
pub mod challenger_bond;
pub mod claim;
pub mod confirm;
pub mod contest;
pub mod cooperative;
pub(crate) mod draft;
pub mod envelope;
mod error;
pub mod finalize;
mod own;
pub mod payout;
mod presigned;
pub mod refund;
pub mod reimburse;
pub mod retire;
pub mod slot_run;

pub use burn::Burn;
pub use confirm::{DepositTerms, Vault};
pub use cooperative::CooperativeTerms;
pub use error::{BuildError, CompleteError};
pub use finalize::FinalizeKind;
pub use own::OwnSpend;
pub use presigned::{Presigned, Reveal, SignRequest, TxKind, deal};
pub use reimburse::reimburse;
pub use slot_run::{ChallengerInRun, Checkpoint, RunError, RunGraph, RunTerms, SlotGraph};

pub use crate::connector::Tweak;
