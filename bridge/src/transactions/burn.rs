//! Burn: one signer destroys the ticket of a vault, so that no cooperative payout from it is ever mined.
//!
//! | | |
//! | --- | --- |
//! | spends | the ticket, by the leaf of one signer |
//! | pays | 0: nothing (an empty OP_RETURN); 1: an anchor |
//! | published by | any one signer, alone |
//!
//! The vault itself stays as it was, for Reimburse. All signers' burns of one ticket are one transaction but for the
//! witness: whoever burns, it has the same id. By itself it pays little; a child on the anchor gets it mined. With the
//! anchor alone it would have 64 bytes without its witness, and nodes relay nothing that has less than 65.

use bitcoin::absolute::LockTime;
use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::Builder;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::sighash::SighashCache;
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Transaction, TxIn, TxOut, Witness};

use super::draft::AT_ONCE;
use super::presigned::leaf_message;
use super::{BuildError, Vault};
use crate::connector::{Leaf, anchor};
use crate::parameters::Bridge;

/// A burn that waits for the signer's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burn {
    /// The transaction, with an empty witness.
    pub tx: Transaction,
    /// What it spends: the ticket.
    pub prevout: TxOut,
    leaf: Leaf,
}

impl Burn {
    /// The burn of the ticket of `vault` by the signer with this index.
    ///
    /// # Errors
    /// If there is no such signer.
    pub fn new(bridge: &Bridge, vault: &Vault, signer: usize) -> Result<Self, BuildError> {
        let leaf = bridge.ticket.burn_leaf(signer);
        let none = || BuildError::Signer { name: format!("Burn of {}", vault.outpoint), index: signer };
        let leaf = leaf.ok_or_else(none)?.clone();
        let nothing = Builder::new().push_opcode(OP_RETURN).into_script();
        let tx = Transaction {
            version: Version(3),
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: vault.ticket(),
                script_sig: ScriptBuf::new(),
                sequence: AT_ONCE,
                witness: Witness::new(),
            }],
            output: vec![TxOut { value: Amount::ZERO, script_pubkey: nothing }, anchor::output()],
        };
        Ok(Burn { tx, prevout: output(bridge), leaf })
    }

    /// The fee that it pays by itself: what the ticket has above the anchor.
    pub fn fee(&self) -> Amount {
        self.prevout.value.checked_sub(anchor::VALUE).unwrap_or(Amount::ZERO)
    }

    /// What the signer signs with its key, untweaked.
    pub fn message(&self) -> [u8; 32] {
        leaf_message(&mut SighashCache::new(&self.tx), 0, std::slice::from_ref(&self.prevout), self.leaf.hash())
    }

    /// The transaction with the signer's signature.
    pub fn complete(mut self, signature: &Signature) -> Transaction {
        self.tx.input[0].witness = self.leaf.witness(&[signature.serialize()]);
        self.tx
    }
}

/// The ticket as Confirm makes it.
pub(super) fn output(bridge: &Bridge) -> TxOut {
    TxOut { value: bridge.parameters.connector, script_pubkey: bridge.ticket.script_pubkey() }
}
