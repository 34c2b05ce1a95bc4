//! Which slots of a run are open: those of which a claim may still be reimbursed.

use bitcoin::OutPoint;
use trestle_bridge::transactions::{FinalizeKind, RunGraph, SlotGraph, contest, finalize};
use trestle_rollup::SlotId;

use crate::view::{View, ViewError};

/// A slot's outputs that say how it stands.
struct Outputs {
    bond: OutPoint,
    kill: OutPoint,
    contested: OutPoint,
}

fn outputs(slot: &SlotGraph) -> Outputs {
    Outputs {
        bond: slot.claim.tx.input[0].previous_output,
        kill: slot.claim.outpoint(0),
        contested: slot.contest.outpoint(contest::BOND),
    }
}

/// Every output of a run that a view has to watch.
pub fn outpoints(graph: &RunGraph) -> Vec<OutPoint> {
    let of = |slot: &SlotGraph| {
        let Outputs { bond, kill, contested } = outputs(slot);
        let connectors = FinalizeKind::ALL.map(|kind| slot.finalize(kind).outpoint(finalize::CONNECTOR));
        [bond, kill, contested].into_iter().chain(connectors).collect::<Vec<_>>()
    };
    graph.slots.iter().flat_map(of).collect()
}

/// The open slots of a run, in order. What happened less than `confirmations` blocks ago has not happened: a slot counts as open
/// a little too long rather than a little too short. A claimed slot is open until Reimburse has spent F.
pub fn open(graph: &RunGraph, view: &dyn View, confirmations: u32) -> Result<Vec<SlotId>, ViewError> {
    let tip = view.tip()?;
    let spender = |outpoint: OutPoint| -> Result<_, ViewError> {
        let spend = view.spender(&outpoint)?;
        Ok(spend.filter(|spend| spend.height.saturating_add(confirmations) <= tip).map(|spend| spend.txid))
    };
    let over = graph.terms.end().is_ok_and(|end| end.to_consensus_u32().saturating_add(confirmations) <= tip);
    let mut open = Vec::new();
    for slot in &graph.slots {
        let Outputs { bond, kill, contested } = outputs(slot);
        // The end that the claim has come to, if it has.
        let finalized = match spender(bond)? {
            None => {
                if over {
                    break;
                }
                open.push(slot.id);
                continue;
            }
            Some(txid) if txid != slot.claim.txid() => break,
            Some(_) => match spender(kill)? {
                None => None,
                Some(txid) if txid == slot.finalize_fast.txid() => Some(FinalizeKind::Fast),
                Some(txid) if txid == slot.contest.txid() => match spender(contested)? {
                    None => {
                        open.push(slot.id);
                        break;
                    }
                    Some(txid) if txid == slot.finalize_unentered.txid() => Some(FinalizeKind::Unentered),
                    Some(txid) if txid == slot.finalize_slow.txid() => Some(FinalizeKind::Slow),
                    Some(_) => break,
                },
                Some(_) => break,
            },
        };
        match finalized {
            None => open.push(slot.id),
            Some(kind) => {
                if spender(slot.finalize(kind).outpoint(finalize::CONNECTOR))?.is_none() {
                    open.push(slot.id);
                }
                if kind != FinalizeKind::Fast {
                    break;
                }
            }
        }
    }
    Ok(open)
}
