//! Outputs of one operator (or any single party): the connector F, refunds of bonds, change.

use bitcoin::ScriptBuf;
use bitcoin::key::{Keypair, Secp256k1, TapTweak, XOnlyPublicKey};
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Message, rand};

/// `tr(key)` of the operator: BIP 86, no scripts.
///
/// F carries no coins to speak of. It is what ties Reimburse, which needs the operator's signature, to a finalized claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorConnector(pub XOnlyPublicKey);

impl OperatorConnector {
    /// The output's script.
    pub fn script_pubkey(&self) -> ScriptBuf {
        ScriptBuf::new_p2tr(&Secp256k1::verification_only(), self.0, None)
    }
}

/// Signs `message` for a leaf that asks for the key: with the key as it is.
pub fn sign_leaf(key: &Keypair, message: [u8; 32]) -> Signature {
    Secp256k1::new().sign_schnorr_with_rng(&Message::from_digest(message), key, &mut rand::thread_rng())
}

/// Signs `message` for the key path of `tr(key)`: with the key as BIP 86 tweaks it.
pub fn sign_key_path(key: &Keypair, message: [u8; 32]) -> Signature {
    let secp = Secp256k1::new();
    let tweaked = key.tap_tweak(&secp, None).to_keypair();
    secp.sign_schnorr_with_rng(&Message::from_digest(message), &tweaked, &mut rand::thread_rng())
}
