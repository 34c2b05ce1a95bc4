//! The committee's key, and the outputs that only it can spend.

use bitcoin::hashes::Hash;
use bitcoin::key::{Secp256k1, TapTweak};
use bitcoin::secp256k1::{PublicKey, XOnlyPublicKey};
use bitcoin::{ScriptBuf, TapNodeHash};
use musig2::KeyAggContext;

/// The n signers and their aggregate key `P` (BIP 327, the keys in the order of the parameters).
#[derive(Debug, Clone)]
pub struct Committee {
    keys: KeyAggContext,
    key: XOnlyPublicKey,
    script: ScriptBuf,
}

/// The key that a signature of the committee is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tweak {
    /// `P` itself: leaves, mints and administration.
    None,
    /// `P` with the BIP 341 tweak for this merkle root: key-path spends.
    KeyPath(Option<TapNodeHash>),
}

/// The signers' keys do not aggregate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signers' keys do not aggregate: {0}")]
pub struct CommitteeError(String);

impl Committee {
    /// The committee of these signers.
    ///
    /// # Errors
    /// If there are none, or their sum is the point at infinity.
    pub fn new(signers: &[PublicKey]) -> Result<Self, CommitteeError> {
        if signers.is_empty() {
            return Err(CommitteeError("there is no signer".into()));
        }
        let points = signers.iter().map(|key| musig2::secp::Point::from_slice(&key.serialize()));
        let points: Vec<_> = points.collect::<Result<_, _>>().map_err(|e| CommitteeError(e.to_string()))?;
        let keys = KeyAggContext::new(points).map_err(|e| CommitteeError(e.to_string()))?;
        let point: musig2::secp::Point = keys.aggregated_pubkey();
        let key = XOnlyPublicKey::from_slice(&point.serialize_xonly()).map_err(|e| CommitteeError(e.to_string()))?;
        let script = ScriptBuf::new_p2tr(&Secp256k1::verification_only(), key, None);
        Ok(Committee { keys, key, script })
    }

    /// `P`, untweaked.
    pub fn key(&self) -> XOnlyPublicKey {
        self.key
    }

    /// `tr(P)`: the script of vaults and of every connector that only the committee spends.
    pub fn script(&self) -> &ScriptBuf {
        &self.script
    }

    /// The key that a signature with this tweak verifies under.
    pub fn verifying_key(&self, tweak: Tweak) -> XOnlyPublicKey {
        match tweak {
            Tweak::None => self.key,
            Tweak::KeyPath(root) => self.key.tap_tweak(&Secp256k1::verification_only(), root).0.to_x_only_public_key(),
        }
    }

    /// The MuSig2 context in which the signers make a signature with this tweak.
    pub fn key_agg_context(&self, tweak: Tweak) -> KeyAggContext {
        let keys = self.keys.clone();
        match tweak {
            Tweak::None => Ok(keys),
            Tweak::KeyPath(None) => keys.with_unspendable_taproot_tweak(),
            Tweak::KeyPath(Some(root)) => keys.with_taproot_tweak(&root.to_byte_array()),
        }
        .expect("a hash that maps P to infinity is never found")
    }
}
