//! The user's keys, all from twelve words.
//!
//! | path | key |
//! | --- | --- |
//! | `m/86'/coin'/0'` | coins on Bitcoin (BIP 86, kept by the bridge's wallet) |
//! | `m/8621'/coin'/0'` | the Layer 2 account |
//! | `m/8621'/coin'/1'` | the refund of deposits |
//! | `m/8621'/coin'/2'` | the envelopes of forced transactions |
//!
//! `coin` is 0 on the main network and 1 elsewhere (SLIP 44). One refund key serves all deposits, as one account receives
//! them all: the mint tag links them anyway, and a restored wallet can refund a deposit it has no record of.

use bitcoin::bip32::{ChildNumber, Xpriv};
use bitcoin::secp256k1::{Keypair, Secp256k1};
use bitcoin::{Network, NetworkKind, XOnlyPublicKey};
use trestle_bridge::wallet::Mnemonic;

/// The purpose level of the keys that only Trestle uses.
const PURPOSE: u32 = 8621;

/// The keys that a user signs with on the Layer 2 and in refunds.
#[derive(Clone)]
pub struct Keys {
    account: Keypair,
    refund: Keypair,
    envelope: Keypair,
}

impl Keys {
    /// Derives the keys; no passphrase.
    pub fn derive(words: &Mnemonic, network: Network) -> Self {
        let curve = Secp256k1::new();
        let kind = NetworkKind::from(network);
        let coin = u32::from(kind == NetworkKind::Test);
        let master = Xpriv::new_master(network, &words.to_seed("")).expect("a 64-byte seed is a master key");
        let key = |index: u32| {
            let path = [PURPOSE, coin, index].map(|n| ChildNumber::Hardened { index: n });
            master.derive_priv(&curve, &path).expect("a hash is a scalar but for odds of 2^-127").to_keypair(&curve)
        };
        Self { account: key(0), refund: key(1), envelope: key(2) }
    }

    /// Signs Layer 2 transactions.
    pub fn account_pair(&self) -> &Keypair {
        &self.account
    }

    /// The Layer 2 account.
    pub fn account(&self) -> XOnlyPublicKey {
        self.account.x_only_public_key().0
    }

    /// Signs refunds.
    pub fn refund_pair(&self) -> &Keypair {
        &self.refund
    }

    /// Signs the Bitcoin transactions that show an envelope.
    pub fn envelope_pair(&self) -> &Keypair {
        &self.envelope
    }

    /// The refund key that a deposit commits to.
    pub fn refund(&self) -> XOnlyPublicKey {
        self.refund.x_only_public_key().0
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.account())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_give_the_same_keys_for_ever() {
        let words: Mnemonic =
            "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
                .parse()
                .expect("the BIP 39 test words");
        let keys = Keys::derive(&words, Network::Regtest);
        assert_eq!(keys.account().to_string(), "a407bf65f2e99c5eca122989073c987cd8025bbd1e792239ad073c4252e83d77");
        assert_eq!(keys.refund().to_string(), "cf822a80189ca69f66b1b9adaeed98d3e4e58ee8679d5817322fe2709da88a0a");
        assert_ne!(Keys::derive(&words, Network::Bitcoin).account(), keys.account());
    }
}
