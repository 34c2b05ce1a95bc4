//! A challenger's way into its lane, and its bond: what the committee and the challenger have to spend together.

use bitcoin::key::XOnlyPublicKey;
use bitcoin::opcodes::all::{OP_CHECKSIG, OP_CHECKSIGVERIFY};
use bitcoin::script::Builder;
use bitcoin::taproot::TaprootSpendInfo;
use bitcoin::{ScriptBuf, TapNodeHash};

use super::{Leaf, script_pubkey, tree};

/// `tr(P, <challenger> CHECKSIGVERIFY <P> CHECKSIG)`. As E_j: nobody enters a lane for its challenger; the key path is
/// FinalizeUnentered's. As a bond: nobody takes it back for its challenger, who could enter no lane without it; the key path is that of
/// Challenge and NoShow.
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

    /// The leaf of Challenge, and of RetireChallenger.
    pub fn challenger_leaf(&self) -> &Leaf {
        &self.leaf
    }
}
