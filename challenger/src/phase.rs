//! How far a slot has come, as blocks tell.

use trestle_bridge::transactions::{FinalizeKind, SlotGraph, contest, finalize};

use crate::Error;
use crate::view::View;

/// The state of a slot. Heights are of the transaction that led there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its bond does not exist: the slots before are not done, or the run is not funded.
    Waiting,
    /// Its bond is there to be claimed.
    Open {
        since: u32,
    },
    /// The bond went back, unclaimed.
    Retired {
        since: u32,
    },
    Claimed {
        since: u32,
    },
    /// Contested; whether anything was done with a lane's entry.
    Contested {
        since: u32,
        entered: bool,
    },
    Finalized {
        kind: FinalizeKind,
        since: u32,
    },
    Reimbursed {
        kind: FinalizeKind,
        since: u32,
    },
    /// The bond was taken by a transaction that is none of these.
    Taken {
        since: u32,
    },
}

impl Phase {
    pub fn of(slot: &SlotGraph, view: &dyn View) -> Result<Self, Error> {
        let bond = slot.claim.tx.input[0].previous_output;
        let Some(claim) = view.spender(&bond)? else {
            return Ok(view.confirmed(&bond.txid)?.map_or(Self::Waiting, |since| Self::Open { since }));
        };
        match claim.tx.compute_txid() {
            txid if txid == slot.claim.txid() => {}
            txid if txid == slot.retire.txid() => return Ok(Self::Retired { since: claim.height }),
            _ => return Ok(Self::Taken { since: claim.height }),
        }
        let Some(next) = view.spender(&slot.claim.outpoint(0))? else {
            return Ok(Self::Claimed { since: claim.height });
        };
        match next.tx.compute_txid() {
            txid if txid == slot.finalize_fast.txid() => Self::finalized(slot, view, FinalizeKind::Fast, next.height),
            txid if txid == slot.contest.txid() => Self::contested(slot, view, next.height),
            _ => Ok(Self::Taken { since: next.height }),
        }
    }

    fn contested(slot: &SlotGraph, view: &dyn View, since: u32) -> Result<Self, Error> {
        if let Some(next) = view.spender(&slot.contest.outpoint(contest::BOND))? {
            return match next.tx.compute_txid() {
                txid if txid == slot.finalize_unentered.txid() => {
                    Self::finalized(slot, view, FinalizeKind::Unentered, next.height)
                }
                txid if txid == slot.finalize_slow.txid() => {
                    Self::finalized(slot, view, FinalizeKind::Slow, next.height)
                }
                _ => Ok(Self::Taken { since: next.height }),
            };
        }
        let mut entered = false;
        for input in slot.finalize_unentered.tx.input.iter().skip(1) {
            entered |= view.spender(&input.previous_output)?.is_some();
        }
        Ok(Self::Contested { since, entered })
    }

    fn finalized(slot: &SlotGraph, view: &dyn View, kind: FinalizeKind, since: u32) -> Result<Self, Error> {
        Ok(match view.spender(&slot.finalize(kind).outpoint(finalize::CONNECTOR))? {
            Some(reimburse) => Self::Reimbursed { kind, since: reimburse.height },
            None => Self::Finalized { kind, since },
        })
    }
}
