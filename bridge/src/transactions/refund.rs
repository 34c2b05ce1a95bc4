//! Refund: the user takes a deposit back that was not confirmed.
//!
//! | | |
//! | --- | --- |
//! | spends | the deposit, by the user's leaf, `refund_delay` blocks after it was mined |
//! | pays | 0: wherever the user likes |
//! | published by | the user |

use bitcoin::{FeeRate, ScriptBuf};

use super::{BuildError, DepositTerms, OwnSpend};
use crate::parameters::Bridge;

/// The refund of a deposit to `destination`, for the user's refund key to sign.
///
/// # Errors
/// If there is no such denomination, or the fee leaves dust.
pub fn refund(
    bridge: &Bridge,
    terms: &DepositTerms,
    destination: ScriptBuf,
    fee_rate: FeeRate,
) -> Result<OwnSpend, BuildError> {
    let output = (terms.outpoint, terms.deposit_output(bridge)?);
    let deposit = bridge.deposit(terms.refund_key);
    let by = (deposit.refund_leaf(), deposit.refund_sequence());
    OwnSpend::new(&format!("refund of {}", terms.outpoint), output, by, destination, fee_rate)
}
