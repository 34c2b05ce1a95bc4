//! The outputs that carry a condition: one type each, with its script, its spend paths and their witnesses.
//!
//! | type | output | spent by |
//! | --- | --- | --- |
//! | [`Deposit`] | a user's deposit | Confirm (committee leaf), Refund (user's leaf after `refund_delay`) |
//! | [`Committee::script`] | vault, K′ | whatever the committee signed, by the key path |
//! | [`Bond`] | the bond of a slot | Claim (leaf), Retire (key path) |
//! | [`Kill`] | K of a claim; the no-show connector | FinalizeFast (key path), Contest, NoShow (a leaf a challenger) |
//! | [`Entry`] | E_j, a challenger's way into its lane | FinalizeUnentered (key path), Challenge (the challenger's leaf) |
//! | [`Entry`] | a challenger's bond | Challenge, NoShow (key path), RetireChallenger (the challenger's leaf) |
//! | [`Lost`] | what a disproof makes of a lane | Slash (key path), WinOnly (the challenger's leaf) |
//! | [`Ticket`] | the ticket of a vault | the cooperative payout (key path), Burn (a leaf a signer) |
//! | [`OperatorConnector`] | F, and the operator's refunds | Reimburse, the operator's wallet |
//! | [`anchor`] | pay-to-anchor | anyone's fee-paying child |
//! | [`Carrier`] | carries an envelope | the reveal (leaf), its owner (key path) |

pub mod anchor;
mod bond;
mod carrier;
mod committee;
mod deposit;
mod entry;
mod kill;
mod lost;
mod operator;
mod ticket;

pub use bond::Bond;
pub use carrier::Carrier;
pub use committee::{Committee, CommitteeError, Tweak};
pub use deposit::{Deposit, NUMS};
pub use entry::Entry;
pub use kill::Kill;
pub use lost::Lost;
pub use operator::{OperatorConnector, sign_key_path, sign_leaf};
pub use ticket::Ticket;

use bitcoin::key::{Secp256k1, UntweakedPublicKey};
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::taproot::{ControlBlock, LeafVersion, TaprootBuilder, TaprootSpendInfo};
use bitcoin::{ScriptBuf, TapLeafHash, Witness};

/// One script of a Taproot output and the proof that it belongs there (BIP 341).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The leaf script.
    pub script: ScriptBuf,
    /// Its control block.
    pub control_block: ControlBlock,
}

impl Leaf {
    fn new(info: &TaprootSpendInfo, script: ScriptBuf) -> Self {
        let control_block = info
            .control_block(&(script.clone(), LeafVersion::TapScript))
            .expect("the script is one of those that the output was built from");
        Leaf { script, control_block }
    }

    /// What a signature for the leaf commits to.
    pub fn hash(&self) -> TapLeafHash {
        TapLeafHash::from_script(&self.script, LeafVersion::TapScript)
    }

    /// The witness that satisfies the script with `items`, the deepest first.
    pub fn witness<T: AsRef<[u8]>>(&self, items: &[T]) -> Witness {
        let mut witness = Witness::new();
        items.iter().for_each(|item| witness.push(item));
        witness.push(&self.script);
        witness.push(self.control_block.serialize());
        witness
    }

    /// Weight of a witness whose items have these lengths.
    pub fn witness_weight(&self, items: impl IntoIterator<Item = usize>) -> usize {
        let items: Vec<Vec<u8>> = items.into_iter().map(|length| vec![0; length]).collect();
        self.witness(&items).size()
    }
}

/// Weight of a key-path witness: one SIGHASH_DEFAULT signature.
pub const KEY_PATH_WEIGHT: usize = 1 + 1 + 64;

/// The key-path witness of a SIGHASH_DEFAULT signature.
pub fn key_path_witness(signature: &Signature) -> Witness {
    Witness::from_slice(&[signature.serialize()])
}

/// An output with `scripts` as the leaves of a balanced tree, in order (the shallower ones first).
fn tree(internal_key: UntweakedPublicKey, scripts: &[ScriptBuf]) -> TaprootSpendInfo {
    let depth = scripts.len().next_power_of_two().trailing_zeros() as u8;
    let shallow = (1usize << depth) - scripts.len();
    let mut builder = TaprootBuilder::new();
    for (index, script) in scripts.iter().enumerate() {
        let depth = if index < shallow { depth - 1 } else { depth };
        builder = builder.add_leaf(depth, script.clone()).expect("shallower leaves come first and fill the tree");
    }
    builder.finalize(&Secp256k1::verification_only(), internal_key).expect("the tree is full")
}

/// The script of an output of [`tree`].
fn script_pubkey(info: &TaprootSpendInfo) -> ScriptBuf {
    ScriptBuf::new_p2tr_tweaked(info.output_key())
}
