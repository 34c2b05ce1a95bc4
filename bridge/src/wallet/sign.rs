//! Key-path signatures (BIP 341) with the wallet's keys.

use bdk_wallet::KeychainKind;
use bitcoin::bip32::ChildNumber;
use bitcoin::key::{Keypair, TapTweak};
use bitcoin::secp256k1::Message;
use bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use bitcoin::{OutPoint, Script, ScriptBuf, Transaction, TxOut, Witness};

use super::{Wallet, WalletError, internal};

/// An output to spend, and the key that signs for it, tweaked; none for an output that takes no signature.
pub(super) struct Coin {
    pub(super) outpoint: OutPoint,
    pub(super) output: TxOut,
    pub(super) key: Option<Keypair>,
}

/// The taproot output whose output key is `key`.
pub(super) fn key_path_script(key: &Keypair) -> ScriptBuf {
    ScriptBuf::new_p2tr_tweaked(key.x_only_public_key().0.dangerous_assume_tweaked())
}

impl Wallet {
    /// The key that signs for a script of the wallet, tweaked.
    pub(super) fn key_of(&self, script: &Script) -> Result<Option<Keypair>, WalletError> {
        let Some((keychain, index)) = self.inner.derivation_of_spk(script.to_owned()) else { return Ok(None) };
        let branch = if keychain == KeychainKind::External { 0 } else { 1 };
        let path = [branch, index].map(|index| ChildNumber::Normal { index });
        let key = self.account.derive_priv(&self.secp, &path).map_err(internal)?;
        Ok(Some(key.to_keypair(&self.secp).tap_tweak(&self.secp, None).to_keypair()))
    }

    /// Signs a transaction whose inputs spend `coins`, in this order.
    pub(super) fn sign(&self, mut tx: Transaction, coins: &[Coin]) -> Result<Transaction, WalletError> {
        let outputs: Vec<_> = coins.iter().map(|coin| &coin.output).collect();
        let mut cache = SighashCache::new(&mut tx);
        for (index, coin) in coins.iter().enumerate() {
            let Some(key) = &coin.key else { continue };
            let sighash = cache
                .taproot_key_spend_signature_hash(index, &Prevouts::All(&outputs), TapSighashType::Default)
                .map_err(internal)?;
            let signature = self.secp.sign_schnorr(&Message::from(sighash), key);
            let signature = bitcoin::taproot::Signature { signature, sighash_type: TapSighashType::Default };
            if let Some(witness) = cache.witness_mut(index) {
                *witness = Witness::p2tr_key_spend(&signature);
            }
        }
        Ok(tx)
    }
}
