//! Retire: returns the bond of a run that is over.
//!
//! | | |
//! | --- | --- |
//! | spends | the bond of the slot that the run has come to, by the committee, after h0 + 2^16 |
//! | pays | 0: the operator; 1: an anchor |
//! | published by | the operator |

use bitcoin::absolute::Height;
use bitcoin::{Amount, OutPoint, TapNodeHash, TxOut};
use trestle_rollup::SlotId;

use super::draft::{AT_ONCE, Draft};
use super::{BuildError, Presigned, TxKind};
use crate::connector::OperatorConnector;
use crate::parameters::Bridge;

/// Blocks after its checkpoint that a run lives at most: N has 16 bits.
pub const RUN_BLOCKS: u32 = 1 << 16;

/// Retire of the slot `id` of a run that ends at height `end`.
pub(super) fn build(
    bridge: &Bridge,
    id: SlotId,
    bond: (OutPoint, TxOut),
    root: Option<TapNodeHash>,
    end: Height,
    operator: OperatorConnector,
) -> Result<Presigned, BuildError> {
    let rate = bridge.parameters.presigned_fee_rate;
    Draft::new(TxKind::Retire, id)
        .committee(bond.0, bond.1, AT_ONCE, root)
        .output(operator.script_pubkey(), Amount::ZERO)
        .anchor()
        .lock_time(end)
        .change(0, rate)?
        .finish(&bridge.committee, rate)
}
