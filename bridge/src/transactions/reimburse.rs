//! Reimburse: pays an operator back from a vault.
//!
//! | | |
//! | --- | --- |
//! | spends | a vault, by the committee; F of a finalized claim, by the operator |
//! | pays | 0: the operator |
//! | published by | the operator, which bumps it through its own output |
//!
//! Signed for every vault and every open slot of its denomination, in three variants, because F is at another transaction in each.

use bitcoin::Amount;

use super::draft::{AT_ONCE, Draft};
use super::{BuildError, FinalizeKind, Presigned, SlotGraph, TxKind, Vault, finalize};
use crate::parameters::Bridge;

/// Reimburse from `vault` for the claim of `slot` that ended in this way. [`Presigned::party_message`] is the operator's to sign
/// ([`crate::connector::sign_key_path`]) when it publishes.
///
/// # Errors
/// If vault and slot are not of one denomination.
pub fn reimburse(
    bridge: &Bridge,
    vault: &Vault,
    slot: &SlotGraph,
    kind: FinalizeKind,
) -> Result<Presigned, BuildError> {
    let rate = bridge.parameters.presigned_fee_rate;
    let of = format!("{} from {} ({kind:?})", slot.id, vault.outpoint);
    if slot.id.denomination != vault.denomination {
        return Err(BuildError::Fungibility { name: of, slot: slot.id.denomination, vault: vault.denomination });
    }
    let vault_output = vault.output(bridge, &of)?;
    let finalized = slot.finalize(kind);
    let connector = finalized.tx.output[finalize::CONNECTOR as usize].clone();
    let operator = connector.script_pubkey.clone();
    Draft::new(TxKind::Reimburse, of)
        .committee(vault.outpoint, vault_output, AT_ONCE, None)
        .party(finalized.outpoint(finalize::CONNECTOR), connector)
        .output(operator, Amount::ZERO)
        .change(0, rate)?
        .finish(&bridge.committee, rate)
}
