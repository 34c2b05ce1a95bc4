//! Bitcoin Core's own code as the judge: a script is the only leaf of an output, and a real transaction spends it.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::serialize;
use bitcoin::key::XOnlyPublicKey;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::taproot::{LeafVersion, TaprootBuilder};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};

/// BIP 341's point that nobody knows the logarithm of.
const NUMS: [u8; 32] = [
    0x50, 0x92, 0x9b, 0x74, 0xc1, 0xa0, 0x49, 0x54, 0xb7, 0x8b, 0x4b, 0x60, 0x35, 0xe9, 0x7a, 0x5e, 0x07, 0x8a, 0x5a,
    0x0f, 0x28, 0xec, 0x96, 0xd5, 0x47, 0xbf, 0xee, 0x9a, 0xce, 0x80, 0x3a, 0xc0,
];

/// A transaction whose only input spends `script` with the items, and the output that it spends.
pub fn spend<T: AsRef<[u8]>>(script: &Script, items: &[T]) -> (Transaction, TxOut) {
    let key = XOnlyPublicKey::from_slice(&NUMS).unwrap();
    let tree = TaprootBuilder::new().add_leaf(0, script.to_owned()).unwrap();
    let info = tree.finalize(&Secp256k1::verification_only(), key).unwrap();
    let control = info.control_block(&(script.to_owned(), LeafVersion::TapScript)).unwrap();
    let spent =
        TxOut { value: Amount::from_sat(100_000), script_pubkey: ScriptBuf::new_p2tr_tweaked(info.output_key()) };
    let mut witness = Witness::from_slice(items);
    witness.push(script);
    witness.push(control.serialize());
    let input = TxIn { previous_output: OutPoint::null(), sequence: Sequence::ZERO, witness, ..TxIn::default() };
    let input = TxIn { previous_output: OutPoint { vout: 0, ..input.previous_output }, ..input };
    let output = TxOut { value: Amount::from_sat(1_000), script_pubkey: ScriptBuf::new_op_return([]) };
    let version = Version::TWO;
    (Transaction { version, lock_time: LockTime::ZERO, input: vec![input], output: vec![output] }, spent)
}

/// Whether Bitcoin Core, by the rules of its consensus, accepts that the items satisfy the script.
pub fn accepts<T: AsRef<[u8]>>(script: &Script, items: &[T]) -> bool {
    let (transaction, spent) = spend(script, items);
    let key = spent.script_pubkey.as_bytes();
    let value = spent.value.to_sat();
    let utxo =
        Utxo { script_pubkey: key.as_ptr(), script_pubkey_len: key.len().try_into().unwrap(), value: value as i64 };
    let flags = VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT;
    verify_with_flags(key, value, &serialize(&transaction), Some(&[utxo]), 0, flags).is_ok()
}
