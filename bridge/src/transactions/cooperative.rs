//! Cooperative payout: the committee pays a withdrawal straight from a vault.
//!
//! | | |
//! | --- | --- |
//! | spends | a vault and its ticket, by the committee |
//! | pays | 0: the withdrawal, the denomination less the fee; 1: the cooperative tag; 2: an anchor |
//! | published by | anyone who holds it |
//!
//! A replacement, with a higher fee, spends the same vault: a withdrawal is never paid from two. It needs the ticket so that
//! any one signer can end it for good when the committee's turn does ([`super::Burn`], docs/protocol.md §4).

use bitcoin::{Amount, OutPoint, ScriptBuf, TxOut};
use serde::{Deserialize, Serialize};
use trestle_rollup::{Tag, WithdrawalId};

use super::draft::{AT_ONCE, Draft};
use super::{BuildError, Presigned, TxKind, Vault, burn};
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
    /// What the withdrawal pays less than its denomination: the Bitcoin fee and the anchor, less the ticket, in sat. At most the parameters'
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
        let paid = TxOut { value, script_pubkey: self.destination.clone() };
        draft(bridge, &self.vault, vault, paid, self.withdrawal)
            .finish(&bridge.committee, bridge.parameters.presigned_fee_rate)
    }
}

/// The fee with which a payout to a script of this length pays `rate`: the Bitcoin fee and the anchor, less the ticket.
pub fn fee(bridge: &Bridge, destination: &ScriptBuf, rate: bitcoin::FeeRate) -> Amount {
    let vault = Vault { outpoint: OutPoint::null(), denomination: 0 };
    let nothing = TxOut { value: Amount::ZERO, script_pubkey: bridge.vault_script().clone() };
    let paid = TxOut { value: Amount::ZERO, script_pubkey: destination.clone() };
    // By the size that nodes reckon with, which is rounded up: at the least rate that they take a satoshi less is too little.
    let vsize = draft(bridge, &vault, nothing, paid, WithdrawalId(0)).weight().to_vbytes_ceil();
    let costs = rate.fee_vb(vsize).unwrap_or(Amount::MAX_MONEY / 2) + anchor::VALUE;
    costs.checked_sub(bridge.parameters.connector).unwrap_or(Amount::ZERO)
}

fn draft(bridge: &Bridge, vault: &Vault, prevout: TxOut, paid: TxOut, withdrawal: WithdrawalId) -> Draft {
    let tag = Tag::Cooperative { withdrawal }.script_pubkey(bridge.tag);
    Draft::new(TxKind::Cooperative, format_args!("payout of withdrawal {withdrawal}"))
        .committee(vault.outpoint, prevout, AT_ONCE, None)
        .committee(vault.ticket(), burn::output(bridge), AT_ONCE, bridge.ticket.merkle_root())
        .output(paid.script_pubkey, paid.value)
        .output(tag, Amount::ZERO)
        .anchor()
}
