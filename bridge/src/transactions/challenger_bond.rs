//! A challenger's bond of a run: locked while the run lives, so that contesting for nothing is not free.
//!
//! The bond is an output of `tr(P)` that the challenger's wallet pays, once it holds the signatures of its way back:
//!
//! | | RetireChallenger |
//! | --- | --- |
//! | spends | the bond, by the committee, after h0 + 2^16 |
//! | pays | 0: the challenger; 1: an anchor |
//! | published by | the challenger |

use bitcoin::absolute::Height;
use bitcoin::{Amount, OutPoint, TxOut, XOnlyPublicKey};

use super::draft::{AT_ONCE, Draft};
use super::{BuildError, Presigned, TxKind};
use crate::connector::OperatorConnector;
use crate::parameters::Bridge;

/// The bond that a challenger's wallet pays.
pub fn output(bridge: &Bridge) -> TxOut {
    TxOut { value: bridge.parameters.challenger_bond, script_pubkey: bridge.committee.script().clone() }
}

/// RetireChallenger of the bond at `bond`, of a run that ends at height `end`.
pub(super) fn retire(
    bridge: &Bridge,
    bond: OutPoint,
    end: Height,
    challenger: XOnlyPublicKey,
) -> Result<Presigned, BuildError> {
    let rate = bridge.parameters.presigned_fee_rate;
    Draft::new(TxKind::RetireChallenger, bond)
        .committee(bond, output(bridge), AT_ONCE, None)
        .output(OperatorConnector(challenger).script_pubkey(), Amount::ZERO)
        .anchor()
        .lock_time(end)
        .change(0, rate)?
        .finish(&bridge.committee, rate)
}
