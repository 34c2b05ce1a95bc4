//! Payout: an operator fronts a withdrawal from its own coins.
//!
//! | | |
//! | --- | --- |
//! | spends | the operator's wallet |
//! | pays | 0: the withdrawal; 1: the payout tag; 2: change |
//! | published by | the operator, in its window; bumped by its wallet |

use bitcoin::{Amount, ScriptBuf, TxOut};
use trestle_rollup::{SlotId, Tag, WithdrawalId};

use super::BuildError;
use crate::parameters::Bridge;

/// The outputs, in this order, that the operator's wallet has to fund so that the withdrawal counts as paid and `slot` as fulfilled.
/// The slot's denomination is the withdrawal's.
///
/// # Errors
/// If there is no such denomination or the payment is dust.
pub fn outputs(
    bridge: &Bridge,
    withdrawal: WithdrawalId,
    destination: ScriptBuf,
    slot: SlotId,
) -> Result<[TxOut; 2], BuildError> {
    let name = || format!("payout of withdrawal {withdrawal}");
    let denomination = bridge.denomination(slot.denomination);
    let denomination =
        denomination.ok_or_else(|| BuildError::Denomination { name: name(), index: slot.denomination })?;
    let value = denomination.checked_sub(bridge.parameters.withdrawal_fee).unwrap_or(Amount::ZERO);
    let least = destination.minimal_non_dust();
    if value < least {
        return Err(BuildError::Dust { name: name(), value, script: destination, least });
    }
    let tag = Tag::Payout { withdrawal, slot }.script_pubkey(bridge.tag);
    Ok([TxOut { value, script_pubkey: destination }, TxOut { value: Amount::ZERO, script_pubkey: tag }])
}
