//! The output that carries an envelope to its reveal.

use bitcoin::key::XOnlyPublicKey;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::taproot::TaprootSpendInfo;
use bitcoin::{ScriptBuf, Witness};
use trestle_rollup::Envelope;

use super::{Leaf, script_pubkey, tree};

/// `tr(key, <key> CHECKSIG 0 IF … ENDIF)`: the leaf publishes the envelope, the key path takes the coins back.
#[derive(Debug, Clone)]
pub struct Carrier {
    info: TaprootSpendInfo,
    leaf: Leaf,
}

impl Carrier {
    /// The output that carries `envelope` for the bridge with this tag, owned by the poster's `key`.
    pub fn new(key: XOnlyPublicKey, envelope: &Envelope, bridge_tag: [u8; 4]) -> Self {
        let script = ScriptBuf::from_bytes(envelope.script(bridge_tag, &key.serialize()));
        let info = tree(key, std::slice::from_ref(&script));
        let leaf = Leaf::new(&info, script);
        Carrier { info, leaf }
    }

    /// The output's script.
    pub fn script_pubkey(&self) -> ScriptBuf {
        script_pubkey(&self.info)
    }

    /// The reveal's leaf.
    pub fn reveal_leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The reveal's witness.
    pub fn reveal_witness(&self, signature: &Signature) -> Witness {
        self.leaf.witness(&[signature.serialize()])
    }
}
