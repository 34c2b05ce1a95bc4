//! Finalize: ends a claim that stands, and pays F, by which the operator is reimbursed.
//!
//! | | Fast | Unentered | Slow |
//! | --- | --- | --- | --- |
//! | spends | K, Δ1 after Claim | K′ and every E_j, Δ1 after Contest | K′, Δ2 after Contest |
//! | pays 0 | the next slot's bond; after the last slot the operator | the operator | the operator |
//! | pays 1 | F | F | F |
//! | pays 2 | an anchor | the no-show connector | an anchor |
//! | pays 3 | | an anchor | |
//! | published by | the operator | the operator | the operator |
//!
//! A contested claim ends its run: the next slot's Claim spends what FinalizeFast would have paid.

use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, TapNodeHash, TxOut};
use trestle_rollup::SlotId;

use super::draft::Draft;
use super::{BuildError, Presigned, TxKind, contest};
use crate::connector::{Entry, Kill, OperatorConnector};
use crate::parameters::Bridge;

/// The output that carries the bond on, or back.
pub const BOND: u32 = 0;
/// The connector F.
pub const CONNECTOR: u32 = 1;
/// The no-show connector, of FinalizeUnentered alone.
pub const NO_SHOW: u32 = 2;

/// How a claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum FinalizeKind {
    /// Nobody contested.
    Fast,
    /// Somebody contested, nobody entered a lane.
    Unentered,
    /// Somebody contested, nobody disproved the claim.
    Slow,
}

impl FinalizeKind {
    /// All of them, in the order in which Reimburse is signed.
    pub const ALL: [FinalizeKind; 3] = [FinalizeKind::Fast, FinalizeKind::Unentered, FinalizeKind::Slow];
}

/// FinalizeFast: `kill` is Claim's output 0, `next` the script of the next slot's bond.
pub(super) fn fast(
    bridge: &Bridge,
    id: SlotId,
    kill: (OutPoint, TxOut),
    root: Option<TapNodeHash>,
    next: ScriptBuf,
    operator: OperatorConnector,
) -> Result<Presigned, BuildError> {
    let delay = Sequence::from_height(bridge.parameters.delta1.value());
    finish(bridge, Draft::new(TxKind::FinalizeFast, id).committee(kill.0, kill.1, delay, root), next, operator)
}

/// FinalizeUnentered of this Contest.
pub(super) fn unentered(
    bridge: &Bridge,
    id: SlotId,
    contest: &Presigned,
    kill: &Kill,
    operator: OperatorConnector,
) -> Result<Presigned, BuildError> {
    let delay = Sequence::from_height(bridge.parameters.delta1.value());
    let roots = std::iter::once(None).chain(bridge.entries.iter().map(Entry::merkle_root));
    let draft = (contest::BOND..).zip(roots).fold(Draft::new(TxKind::FinalizeUnentered, id), |draft, (vout, root)| {
        draft.committee(contest.outpoint(vout), contest.tx.output[vout as usize].clone(), delay, root)
    });
    let draft = outputs(bridge, draft, operator.script_pubkey(), operator);
    complete(bridge, draft.output(kill.script_pubkey(), bridge.parameters.connector))
}

/// FinalizeSlow of this Contest.
pub(super) fn slow(
    bridge: &Bridge,
    id: SlotId,
    contest: &Presigned,
    operator: OperatorConnector,
) -> Result<Presigned, BuildError> {
    let delay = Sequence::from_height(bridge.parameters.delta2.value());
    let bond = contest.tx.output[contest::BOND as usize].clone();
    let draft = Draft::new(TxKind::FinalizeSlow, id).committee(contest.outpoint(contest::BOND), bond, delay, None);
    finish(bridge, draft, operator.script_pubkey(), operator)
}

fn finish(
    bridge: &Bridge,
    draft: Draft,
    bond: ScriptBuf,
    operator: OperatorConnector,
) -> Result<Presigned, BuildError> {
    complete(bridge, outputs(bridge, draft, bond, operator))
}

fn outputs(bridge: &Bridge, draft: Draft, bond: ScriptBuf, operator: OperatorConnector) -> Draft {
    draft.output(bond, Amount::ZERO).output(operator.script_pubkey(), bridge.parameters.connector)
}

fn complete(bridge: &Bridge, draft: Draft) -> Result<Presigned, BuildError> {
    let rate = bridge.parameters.presigned_fee_rate;
    draft.anchor().change(BOND as usize, rate)?.finish(&bridge.committee, rate)
}
