//! The kill output of a claim: whoever spends it decides how the claim goes on. And the no-show connector, which is the same:
//! it is spent by the secret of the challenger that contested.

use bitcoin::hashes::{Hash, hash160};
use bitcoin::key::XOnlyPublicKey;
use bitcoin::opcodes::all::{OP_CHECKSIGVERIFY, OP_EQUAL, OP_HASH160};
use bitcoin::script::Builder;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::taproot::TaprootSpendInfo;
use bitcoin::{ScriptBuf, TapNodeHash, Witness};

use super::{Leaf, script_pubkey, tree};

/// `tr(P, {<P> CHECKSIGVERIFY HASH160 <h_j> EQUAL, …})`, a leaf a challenger. The key path is FinalizeFast's, a leaf is
/// Contest by one challenger, who reveals the secret of which `h_j` is the hash. As the no-show connector of FinalizeUnentered a
/// leaf is NoShow, by the operator that has read the secret in Contest.
#[derive(Debug, Clone)]
pub struct Kill {
    info: TaprootSpendInfo,
    leaves: Vec<Leaf>,
}

impl Kill {
    /// The kill output of a slot in which challenger j's secret hashes to `hashes[j]`; at least one.
    pub fn new(committee: XOnlyPublicKey, hashes: &[hash160::Hash]) -> Self {
        let script = |hash: &hash160::Hash| {
            Builder::new()
                .push_x_only_key(&committee)
                .push_opcode(OP_CHECKSIGVERIFY)
                .push_opcode(OP_HASH160)
                .push_slice(hash.to_byte_array())
                .push_opcode(OP_EQUAL)
                .into_script()
        };
        let scripts: Vec<ScriptBuf> = hashes.iter().map(script).collect();
        let info = tree(committee, &scripts);
        let leaves = scripts.into_iter().map(|script| Leaf::new(&info, script)).collect();
        Kill { info, leaves }
    }

    /// The output's script.
    pub fn script_pubkey(&self) -> ScriptBuf {
        script_pubkey(&self.info)
    }

    /// The merkle root that tweaks the key path.
    pub fn merkle_root(&self) -> Option<TapNodeHash> {
        self.info.merkle_root()
    }

    /// Contest's leaves, one a challenger.
    pub fn contest_leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// The lengths of the items of a leaf's witness.
    pub const CONTEST_ITEMS: [usize; 2] = [32, 64];

    /// The items of Contest's witness, before script and control block.
    pub fn contest_items(committee: &Signature, secret: &[u8; 32]) -> Vec<Vec<u8>> {
        vec![secret.to_vec(), committee.serialize().to_vec()]
    }

    /// Which challenger contested: the one whose hash is in the script of a Contest's witness, and its secret.
    /// `None` if the witness is no Contest by one of `hashes`.
    pub fn read_contest(hashes: &[hash160::Hash], witness: &Witness) -> Option<(usize, Vec<u8>)> {
        let secret = witness.nth(0)?;
        let hash = hash160::Hash::hash(secret);
        let challenger = hashes.iter().position(|h| *h == hash)?;
        (witness.len() == 4).then(|| (challenger, secret.to_vec()))
    }
}
