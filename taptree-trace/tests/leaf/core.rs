//! Bitcoin Core's own code as the judge: a script is the only leaf of an output, and a real transaction spends it.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::serialize;
use bitcoin::key::{Secp256k1, TweakedPublicKey, XOnlyPublicKey};
use bitcoin::taproot::{ControlBlock, LeafVersion, Signature, TaprootBuilder};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};
use trestle_taptree_trace::leaf::LaneTree;

use crate::table::sign_transaction;

/// BIP 341's point that nobody knows the logarithm of.
const NUMS: [u8; 32] = [
    0x50, 0x92, 0x9b, 0x74, 0xc1, 0xa0, 0x49, 0x54, 0xb7, 0x8b, 0x4b, 0x60, 0x35, 0xe9, 0x7a, 0x5e, 0x07, 0x8a, 0x5a,
    0x0f, 0x28, 0xec, 0x96, 0xd5, 0x47, 0xbf, 0xee, 0x9a, 0xce, 0x80, 0x3a, 0xc0,
];

/// A transaction whose only input spends `script` with the items that `witness` makes of the challenger's signature, and
/// the output that it spends.
pub fn spend(script: &Script, witness: impl FnOnce(Signature) -> Vec<Vec<u8>>) -> (Transaction, TxOut) {
    let secp = Secp256k1::new();
    let tree = TaprootBuilder::new().add_leaf(0, script.to_owned()).unwrap();
    let info = tree.finalize(&secp, internal_key()).unwrap();
    let control = info.control_block(&(script.to_owned(), LeafVersion::TapScript)).unwrap();
    spend_output(info.output_key(), script, &control, witness)
}

/// The same for a leaf of a lane's tree, on the output that commits to all of them.
pub fn spend_leaf(
    tree: &LaneTree,
    index: usize,
    script: &Script,
    witness: impl FnOnce(Signature) -> Vec<Vec<u8>>,
) -> (Transaction, TxOut) {
    let secp = Secp256k1::new();
    let (output_key, _) = tree.hashes.output_key(&secp, internal_key());
    let control = tree.hashes.control_block(&secp, internal_key(), index).unwrap();
    spend_output(output_key, script, &control, witness)
}

fn internal_key() -> XOnlyPublicKey {
    XOnlyPublicKey::from_slice(&NUMS).unwrap()
}

fn spend_output(
    output_key: TweakedPublicKey,
    script: &Script,
    control: &ControlBlock,
    witness: impl FnOnce(Signature) -> Vec<Vec<u8>>,
) -> (Transaction, TxOut) {
    let spent = TxOut { value: Amount::from_sat(100_000), script_pubkey: ScriptBuf::new_p2tr_tweaked(output_key) };
    let outpoint = OutPoint { vout: 0, ..OutPoint::null() };
    let input = TxIn { previous_output: outpoint, sequence: Sequence::ZERO, ..TxIn::default() };
    let output = TxOut { value: Amount::from_sat(1_000), script_pubkey: ScriptBuf::new_op_return([]) };
    let (version, lock_time) = (Version::TWO, LockTime::ZERO);
    let mut transaction = Transaction { version, lock_time, input: vec![input], output: vec![output] };
    let signature = sign_transaction(&transaction, &spent, script);
    let mut items = Witness::from_slice(&witness(signature));
    items.push(script);
    items.push(control.serialize());
    transaction.input[0].witness = items;
    (transaction, spent)
}

/// Whether Bitcoin Core, by the rules of its consensus, accepts the spend.
pub fn is_valid(transaction: &Transaction, spent: &TxOut) -> bool {
    let key = spent.script_pubkey.as_bytes();
    let value = spent.value.to_sat();
    let script_pubkey_len = key.len().try_into().unwrap();
    let utxo = Utxo { script_pubkey: key.as_ptr(), script_pubkey_len, value: value as i64 };
    let flags = VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT;
    verify_with_flags(key, value, &serialize(transaction), Some(&[utxo]), 0, flags).is_ok()
}

/// Whether these items satisfy the script.
pub fn accepts<T: AsRef<[u8]>>(script: &Script, items: &[T]) -> bool {
    let items = items.iter().map(|item| item.as_ref().to_vec()).collect();
    let (transaction, spent) = spend(script, |_| items);
    is_valid(&transaction, &spent)
}
