//! What a disproof makes of a lane.

use bitcoin::key::XOnlyPublicKey;
use bitcoin::opcodes::all::OP_CHECKSIG;
use bitcoin::script::Builder;
use bitcoin::taproot::TaprootSpendInfo;
use bitcoin::{ScriptBuf, TapNodeHash};

use super::{Leaf, script_pubkey, tree};

/// `tr(P, <challenger> CHECKSIG)`. The key path is Slash's; by the leaf the challenger takes what is its own where there is
/// nothing left to slash. That is its own decision: if the committee signed it, an operator that has lost could have it
/// mined in the place of Slash.
#[derive(Debug, Clone)]
pub struct Lost {
    info: TaprootSpendInfo,
    leaf: Leaf,
}

impl Lost {
    /// The output of a lane that this challenger has won.
    pub fn new(committee: XOnlyPublicKey, challenger: XOnlyPublicKey) -> Self {
        let script = Builder::new().push_x_only_key(&challenger).push_opcode(OP_CHECKSIG).into_script();
        let info = tree(committee, std::slice::from_ref(&script));
        let leaf = Leaf::new(&info, script);
        Lost { info, leaf }
    }

    /// The output's script.
    pub fn script_pubkey(&self) -> ScriptBuf {
        script_pubkey(&self.info)
    }

    /// The merkle root that tweaks the key path.
    pub fn merkle_root(&self) -> Option<TapNodeHash> {
        self.info.merkle_root()
    }

    /// WinOnly's leaf.
    pub fn take_leaf(&self) -> &Leaf {
        &self.leaf
    }
}
