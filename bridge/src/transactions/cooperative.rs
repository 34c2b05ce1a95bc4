//! Cooperative payout: the committee pays a withdrawal straight from a vault.
//!
//! | | |
//! | --- | --- |
//! | spends | a vault, by the committee |
//! | pays | 0: the withdrawal, the denomination less the fee; 1: the cooperative tag; 2: an anchor |
//! | published by | anyone who holds it |
//!
//! A replacement, with a higher fee, spends the same vault: a withdrawal is never paid from two.

use bitcoin::{Amount, ScriptBuf};
use serde::{Deserialize, Serialize};
use trestle_rollup::{Tag, WithdrawalId};

use super::presigned::{AT_ONCE, Draft};
use super::{BuildError, Presigned, TxKind, Vault};
use crate::connector::anchor;
use crate::parameters::Bridge;

/// What is paid, from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CooperativeTerms {
    /// The withdrawal.
    pub withdrawal: WithdrawalId,
    /// The vault, of the withdrawal's denomination.
    pub vault: Vault,
    /// The withdrawal's script.
    pub destination: ScriptBuf,
    /// What the withdrawal pays less than its denomination: the Bitcoin fee and the anchor, in sat. At most the parameters'
    /// `withdrawal_fee`, or the Layer 2 does not count it.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub fee: Amount,
}

impl CooperativeTerms {
    /// The transaction.
    ///
    /// # Errors
    /// If there is no such denomination, or the fee is more than the parameters allow or less than nodes relay.
    pub fn build(&self, bridge: &Bridge) -> Result<Presigned, BuildError> {
        let name = format!("{} payout of withdrawal {}", TxKind::Cooperative, self.withdrawal);
        let vault = self.vault.output(bridge, &name)?;
        let most = bridge.parameters.withdrawal_fee;
        if self.fee > most {
            let needed = vault.value - most;
            return Err(BuildError::TooSmall {
                name,
                inputs: vault.value.checked_sub(self.fee).unwrap_or(Amount::ZERO),
                needed,
            });
        }
        let value = vault.value - self.fee;
        let least = self.destination.minimal_non_dust();
        if value < least {
            return Err(BuildError::Dust { name, value, script: self.destination.clone(), least });
        }
        let tag = Tag::Cooperative { withdrawal: self.withdrawal }.script_pubkey(bridge.tag);
        Draft::new(TxKind::Cooperative, format_args!("payout of withdrawal {}", self.withdrawal))
            .committee(self.vault.outpoint, vault, AT_ONCE, None)
            .output(self.destination.clone(), value)
            .output(tag, Amount::ZERO)
            .anchor()
            .finish(&bridge.committee, bridge.parameters.presigned_fee_rate)
    }
}

/// The fee with which a payout to a script of this length pays `rate`: the Bitcoin fee and the anchor.
pub fn fee(bridge: &Bridge, destination: &ScriptBuf, rate: bitcoin::FeeRate) -> Amount {
    let tag = Tag::Cooperative { withdrawal: WithdrawalId(0) }.script_pubkey(bridge.tag);
    let vault = bitcoin::TxOut { value: Amount::ZERO, script_pubkey: bridge.vault_script().clone() };
    let draft = Draft::new(TxKind::Cooperative, "payout")
        .committee(bitcoin::OutPoint::null(), vault, AT_ONCE, None)
        .output(destination.clone(), Amount::ZERO)
        .output(tag, Amount::ZERO)
        .anchor();
    draft.fee(rate) + anchor::VALUE
}
