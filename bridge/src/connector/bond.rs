//! The bond of a slot: waits for the slot's claim, or for the end of the run.

use bitcoin::key::XOnlyPublicKey;
use bitcoin::opcodes::all::OP_CHECKSIG;
use bitcoin::script::Builder;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::taproot::TaprootSpendInfo;
use bitcoin::{ScriptBuf, TapNodeHash, Witness};
use trestle_taptree_trace::ots::{self, CLAIM, OtsError};

use super::{Leaf, script_pubkey, tree};

/// `tr(P, <one-time signature of the claim> <P> CHECKSIG)`; the key path is Retire's.
#[derive(Debug, Clone)]
pub struct Bond {
    info: TaprootSpendInfo,
    leaf: Leaf,
}

impl Bond {
    /// The bond of the slot whose claim `claim_key` signs.
    pub fn new(committee: XOnlyPublicKey, claim_key: &ots::PublicKey) -> Self {
        let check = Builder::new().push_x_only_key(&committee).push_opcode(OP_CHECKSIG).into_script();
        let script =
            ScriptBuf::from_bytes([ots::script_commit(&CLAIM, claim_key).as_bytes(), check.as_bytes()].concat());
        let info = tree(committee, std::slice::from_ref(&script));
        let leaf = Leaf::new(&info, script);
        Bond { info, leaf }
    }

    /// The output's script.
    pub fn script_pubkey(&self) -> ScriptBuf {
        script_pubkey(&self.info)
    }

    /// The merkle root that tweaks the key path.
    pub fn merkle_root(&self) -> Option<TapNodeHash> {
        self.info.merkle_root()
    }

    /// Claim's leaf.
    pub fn claim_leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The items of Claim's witness, before script and control block.
    pub fn claim_items(committee: &Signature, claim: &ots::Signature) -> Vec<Vec<u8>> {
        let mut items = vec![committee.serialize().to_vec()];
        items.extend(claim.witness());
        items
    }

    /// Lengths of the longest such items: what the pre-signed fee is reckoned with.
    pub fn longest_claim_items() -> Vec<usize> {
        let digits = CLAIM.signed_digits();
        let mut lengths = vec![64];
        lengths.extend(std::iter::repeat_n(1, digits));
        lengths.extend(std::iter::repeat_n([20, 1], digits).flatten());
        lengths
    }

    /// What the claim in a witness says: the items of a Claim's input 0, script and control block included.
    ///
    /// # Errors
    /// If the witness is no claim with this key (which Bitcoin would not have accepted for this bond).
    pub fn read_claim(claim_key: &ots::PublicKey, witness: &Witness) -> Result<ots::Message, OtsError> {
        let items: Vec<&[u8]> = witness.iter().collect();
        match items.as_slice() {
            [_signature, claim @ .., _script, _control_block] => ots::parse_witness(&CLAIM, claim_key, claim),
            _ => Err(OtsError::Witness("it is no script path spend")),
        }
    }
}
