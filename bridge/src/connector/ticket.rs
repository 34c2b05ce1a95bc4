//! The ticket of a vault: without it the vault is not paid out cooperatively, and every signer can destroy it.

use bitcoin::key::XOnlyPublicKey;
use bitcoin::opcodes::all::OP_CHECKSIG;
use bitcoin::script::Builder;
use bitcoin::taproot::TaprootSpendInfo;
use bitcoin::{ScriptBuf, TapNodeHash};

use super::{Leaf, script_pubkey, tree};

/// `tr(P, {<S_i> CHECKSIG, …})`, a leaf a signer. The key path is the cooperative payout's, a leaf is Burn by one signer
/// (docs/protocol.md §4).
#[derive(Debug, Clone)]
pub struct Ticket {
    info: TaprootSpendInfo,
    leaves: Vec<Leaf>,
}

impl Ticket {
    /// The ticket of a committee of these signers, in the order of the parameters: at least one, and all different.
    pub fn new(committee: XOnlyPublicKey, signers: &[XOnlyPublicKey]) -> Self {
        let script = |signer| Builder::new().push_x_only_key(signer).push_opcode(OP_CHECKSIG).into_script();
        let scripts: Vec<ScriptBuf> = signers.iter().map(script).collect();
        let info = tree(committee, &scripts);
        let leaves = scripts.into_iter().map(|script| Leaf::new(&info, script)).collect();
        Ticket { info, leaves }
    }

    /// The output's script.
    pub fn script_pubkey(&self) -> ScriptBuf {
        script_pubkey(&self.info)
    }

    /// The merkle root that tweaks the key path.
    pub fn merkle_root(&self) -> Option<TapNodeHash> {
        self.info.merkle_root()
    }

    /// Burn's leaf of one signer, by its index.
    pub fn burn_leaf(&self, signer: usize) -> Option<&Leaf> {
        self.leaves.get(signer)
    }
}
