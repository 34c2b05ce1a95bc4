//! Confirm: makes a deposit a vault, and mints it on the Layer 2.
//!
//! | | |
//! | --- | --- |
//! | spends | the deposit, by the committee's leaf |
//! | pays | 0: the vault, exactly one denomination; 1: the mint tag; 2: the vault's ticket; 3: an anchor |
//! | published by | anyone who holds it: the committee, the user |
//!
//! The mint tag carries a signature, so Confirm's id is known only once that is made; Reimburse, which spends the vault, is
//! signed next; Confirm itself last. The mint signature alone is worth nothing: the Layer 2 counts it only in a
//! transaction whose input 0 is the deposit spent by the committee's leaf, and that is Confirm (docs/protocol.md §4).

use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{Amount, OutPoint, ScriptBuf, TxOut, XOnlyPublicKey};
use serde::{Deserialize, Serialize};
use trestle_rollup::{Account, Tag};

use super::draft::Draft;
use super::{BuildError, Presigned, SignRequest, Tweak, TxKind, burn};
use crate::connector::anchor;
use crate::parameters::Bridge;

/// Which output of a Confirm is the ticket.
const TICKET: u32 = 2;

/// A deposit as the user made it and wants it minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositTerms {
    /// The deposit output.
    pub outpoint: OutPoint,
    /// Index of its denomination.
    pub denomination: u8,
    /// Who is credited on the Layer 2.
    pub account: Account,
    /// The user's key in the deposit's refund leaf.
    pub refund_key: XOnlyPublicKey,
}

/// An output that the committee holds for the Layer 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Vault {
    /// Output 0 of a Confirm.
    pub outpoint: OutPoint,
    /// Index of its denomination.
    pub denomination: u8,
}

impl DepositTerms {
    /// The output that has to be at [`Self::outpoint`]: whoever signs checks that it is, confirmed.
    ///
    /// # Errors
    /// If there is no such denomination.
    pub fn deposit_output(&self, bridge: &Bridge) -> Result<TxOut, BuildError> {
        let value = bridge.deposit_amount(self.denomination).ok_or_else(|| self.no_denomination())?;
        Ok(TxOut { value, script_pubkey: bridge.deposit(self.refund_key).script_pubkey() })
    }

    /// The mint signature, which is asked for before everything else.
    ///
    /// # Errors
    /// If there is no such denomination.
    pub fn mint_request(&self, bridge: &Bridge) -> Result<SignRequest, BuildError> {
        let value = bridge.denomination(self.denomination).ok_or_else(|| self.no_denomination())?.to_sat();
        let message = trestle_rollup::tag::mint_message(&bridge.instance, &self.outpoint.into(), &self.account, value);
        Ok(SignRequest { what: format!("mint of {}", self.outpoint), message, tweak: Tweak::None })
    }

    /// Confirm with this mint signature. Any 64 bytes make a transaction; the caller has verified them.
    ///
    /// # Errors
    /// If there is no such denomination.
    pub fn confirm(&self, bridge: &Bridge, mint: &Signature) -> Result<Presigned, BuildError> {
        let value = bridge.denomination(self.denomination).ok_or_else(|| self.no_denomination())?;
        let tag = Tag::Mint { account: self.account, signature: mint.serialize() }.script_pubkey(bridge.tag);
        let leaf = bridge.deposit(self.refund_key).confirm_leaf();
        draft(bridge, self.outpoint, self.deposit_output(bridge)?, leaf, tag, value)
            .finish(&bridge.committee, bridge.parameters.presigned_fee_rate)
    }

    /// The vault that Confirm makes.
    ///
    /// # Errors
    /// If there is no such denomination.
    pub fn vault(&self, bridge: &Bridge, mint: &Signature) -> Result<Vault, BuildError> {
        Ok(Vault { outpoint: self.confirm(bridge, mint)?.outpoint(0), denomination: self.denomination })
    }

    fn no_denomination(&self) -> BuildError {
        BuildError::Denomination { name: format!("{} {}", TxKind::Confirm, self.outpoint), index: self.denomination }
    }
}

impl Vault {
    /// The vault's ticket: output 2 of the same Confirm. A cooperative payout spends both.
    pub fn ticket(&self) -> OutPoint {
        OutPoint::new(self.outpoint.txid, TICKET)
    }

    /// The vault's output.
    ///
    /// # Errors
    /// If there is no such denomination; `name` is for the error.
    pub(super) fn output(&self, bridge: &Bridge, name: &str) -> Result<TxOut, BuildError> {
        let value = bridge.denomination(self.denomination);
        let value = value.ok_or_else(|| BuildError::Denomination { name: name.into(), index: self.denomination })?;
        Ok(TxOut { value, script_pubkey: bridge.vault_script().clone() })
    }
}

/// What Confirm takes of a deposit beside the denomination: its fee, the ticket and the anchor.
pub(crate) fn cost(bridge: &Bridge) -> Amount {
    let leaf = bridge.deposit(bridge.committee.key()).confirm_leaf();
    let tag = Tag::Mint { account: Account([0; 32]), signature: [0; 64] }.script_pubkey(bridge.tag);
    let nothing = TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new() };
    let draft = draft(bridge, OutPoint::null(), nothing, leaf, tag, Amount::ZERO);
    draft.fee(bridge.parameters.presigned_fee_rate) + bridge.parameters.connector + anchor::VALUE
}

fn draft(
    bridge: &Bridge,
    outpoint: OutPoint,
    deposit: TxOut,
    leaf: crate::connector::Leaf,
    tag: ScriptBuf,
    value: Amount,
) -> Draft {
    let ticket = burn::output(bridge);
    Draft::new(TxKind::Confirm, outpoint)
        .leaves(outpoint, deposit, vec![leaf], &[64])
        .output(bridge.vault_script().clone(), value)
        .output(tag, Amount::ZERO)
        .output(ticket.script_pubkey, ticket.value)
        .anchor()
}
