//! A challenger's bond of a run: locked while the run lives, so that contesting for nothing is not free.
//!
//! The bond is an output that the challenger's wallet pays, once it holds the signatures of its way back:
//!
//! | | RetireChallenger |
//! | --- | --- |
//! | spends | the bond, by the leaf of the committee and the challenger, after h0 + 2^16 |
//! | pays | 0: the challenger; 1: an anchor |
//! | published by | the challenger alone: without its bond it can enter no lane |

use bitcoin::absolute::Height;
use bitcoin::key::Keypair;
use bitcoin::{Amount, OutPoint, TxOut, XOnlyPublicKey};

use super::draft::Draft;
use super::{BuildError, Presigned, TxKind};
use crate::connector::{Entry, OperatorConnector, sign_leaf};
use crate::parameters::Bridge;

/// The bond that a challenger's wallet pays.
pub fn output(bridge: &Bridge, entry: &Entry) -> TxOut {
    TxOut { value: bridge.parameters.challenger_bond, script_pubkey: entry.script_pubkey() }
}

/// The challenger's signature of RetireChallenger: what is above the committee's in the witness of its leaf
/// ([`super::Reveal::Leaf`] of [`Entry::challenger_leaf`]).
pub fn sign_retire(retire: &Presigned, entry: &Entry, challenger: &Keypair) -> Vec<u8> {
    sign_leaf(challenger, retire.leaf_message(0, entry.challenger_leaf().hash())).serialize().to_vec()
}

/// RetireChallenger of the bond at `bond`, of a run that ends at height `end`.
pub(super) fn retire(
    bridge: &Bridge,
    bond: OutPoint,
    end: Height,
    (entry, challenger): (&Entry, XOnlyPublicKey),
) -> Result<Presigned, BuildError> {
    let (rate, leaf) = (bridge.parameters.presigned_fee_rate, entry.challenger_leaf());
    Draft::new(TxKind::RetireChallenger, bond)
        .hashed_leaves(bond, output(bridge, entry), vec![leaf.hash()], leaf.witness_weight([64, 64]))
        .output(OperatorConnector(challenger).script_pubkey(), Amount::ZERO)
        .anchor()
        .lock_time(end)
        .change(0, rate)?
        .finish(&bridge.committee, rate)
}
