//! Layer 2 addresses: an account's key with a checksum and the name of the network.
//!
//! Bech32m (BIP 350) over the 32 bytes of the x-only key, with a prefix for each Bitcoin network, so that a mistyped
//! letter or an address of another network is noticed before anything is signed.

use std::fmt;

use bitcoin::bech32::{self, Bech32m, Hrp};
use bitcoin::{Network, XOnlyPublicKey};

/// Why a text is no Layer 2 address of the network in use. Each names the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not bech32m, or the checksum is wrong.
    #[error("\"{0}\" is not a Layer 2 address: copy it again from the receiver's `trestle wallet address`")]
    Malformed(String),
    /// A Bitcoin address.
    #[error("\"{0}\" is a Bitcoin address: to pay it, use `trestle withdraw`")]
    Bitcoin(String),
    /// For another network.
    #[error("\"{given}\" is a Layer 2 address of {of}, and this wallet is for {wallet}")]
    Network {
        /// The text.
        given: String,
        /// The network it belongs to.
        of: Network,
        /// The wallet's network.
        wallet: Network,
    },
}

const PREFIXES: [(Network, &str); 5] = [
    (Network::Bitcoin, "tre"),
    (Network::Testnet, "tretb"),
    (Network::Testnet4, "tretb4"),
    (Network::Signet, "tresb"),
    (Network::Regtest, "trert"),
];

/// The address of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer2Address {
    /// The network of the bridge.
    pub network: Network,
    /// The account's key.
    pub account: XOnlyPublicKey,
}

impl fmt::Display for Layer2Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = PREFIXES.iter().find(|(n, _)| *n == self.network).map_or("tre", |(_, p)| p);
        let hrp = Hrp::parse(prefix).expect("every prefix is lower-case ASCII");
        let text = bech32::encode::<Bech32m>(hrp, &self.account.serialize()).expect("32 bytes fit in a bech32 string");
        f.write_str(&text)
    }
}

impl Layer2Address {
    /// Reads an address and checks that it is one of `network`.
    ///
    /// # Errors
    /// [`AddressError`], which says what the text is instead.
    pub fn parse(text: &str, network: Network) -> Result<Self, AddressError> {
        let malformed = || AddressError::Malformed(text.into());
        if text.parse::<bitcoin::Address<_>>().is_ok() {
            return Err(AddressError::Bitcoin(text.into()));
        }
        let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text).map_err(|_| malformed())?;
        let prefix = checked.hrp().to_lowercase();
        let of = PREFIXES.iter().find(|(_, p)| *p == prefix).map(|(n, _)| *n).ok_or_else(malformed)?;
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let account = XOnlyPublicKey::from_slice(&bytes).map_err(|_| malformed())?;
        if of != network {
            return Err(AddressError::Network { given: text.into(), of, wallet: network });
        }
        Ok(Self { network, account })
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{Keypair, Secp256k1, SecretKey};

    use super::*;

    fn account(byte: u8) -> XOnlyPublicKey {
        let key = SecretKey::from_slice(&[byte; 32]).expect("a scalar");
        Keypair::from_secret_key(&Secp256k1::new(), &key).x_only_public_key().0
    }

    #[test]
    fn an_address_reads_back_on_every_network() {
        for (network, prefix) in PREFIXES {
            let address = Layer2Address { network, account: account(7) };
            let text = address.to_string();
            assert!(text.starts_with(&format!("{prefix}1")));
            assert_eq!(Layer2Address::parse(&text, network), Ok(address));
            assert_eq!(Layer2Address::parse(&text.to_uppercase(), network), Ok(address));
        }
    }

    #[test]
    fn a_wrong_letter_or_network_is_noticed() {
        let text = Layer2Address { network: Network::Regtest, account: account(7) }.to_string();
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'q' { b'p' } else { b'q' };
            let wrong = String::from_utf8(wrong).expect("ASCII");
            assert!(Layer2Address::parse(&wrong, Network::Regtest).is_err(), "{wrong}");
        }
        let elsewhere = Layer2Address::parse(&text, Network::Bitcoin);
        assert!(matches!(elsewhere, Err(AddressError::Network { of: Network::Regtest, .. })));
    }

    #[test]
    fn a_bitcoin_address_is_recognised() {
        let text = "bcrt1q6rhpng9evdsfnn833a4f4vej0asu6dk5srld6x";
        assert_eq!(Layer2Address::parse(text, Network::Regtest), Err(AddressError::Bitcoin(text.into())));
    }
}
