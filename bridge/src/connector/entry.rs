//! A challenger's way into its lane.

use bitcoin::key::XOnlyPublicKey;
use bitcoin::opcodes::all::{OP_CHECKSIG, OP_CHECKSIGVERIFY};
use bitcoin::script::Builder;
use bitcoin::taproot::TaprootSpendInfo;
use bitcoin::{ScriptBuf, TapNodeHash};

use super::{Leaf, script_pubkey, tree};

/// `tr(P, <challenger> CHECKSIGVERIFY <P> CHECKSIG)`: nobody enters a lane for its challenger. The key path is
/// FinalizeUnentered's.
#[derive(Debug, Clone)]
pub struct Entry {
    info: TaprootSpendInfo,
    leaf: Leaf,
}

impl Entry {
    /// The entry of this challenger.
    pub fn new(committee: XOnlyPublicKey, challenger: XOnlyPublicKey) -> Self {
        let script = Builder::new()
            .push_x_only_key(&challenger)
            .push_opcode(OP_CHECKSIGVERIFY)
            .push_x_only_key(&committee)
            .push_opcode(OP_CHECKSIG)
            .into_script();
        let info = tree(committee, std::slice::from_ref(&script));
        let leaf = Leaf::new(&info, script);
        Entry { info, leaf }
    }

    /// The output's script.
    pub fn script_pubkey(&self) -> ScriptBuf {
        script_pubkey(&self.info)
    }

    /// The merkle root that tweaks the key path.
    pub fn merkle_root(&self) -> Option<TapNodeHash> {
        self.info.merkle_root()
    }

    /// Challenge's leaf.
    pub fn challenge_leaf(&self) -> &Leaf {
        &self.leaf
    }
}
