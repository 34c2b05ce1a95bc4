//! Every disproof leaf on a real bitcoind with its default policy: whoever has the lie gets its transaction relayed, and
//! whoever touches it does not.

// What is signed in these tests, and by whom, is that of taptree-trace's own.
#[path = "../../taptree-trace/tests/leaf/cases.rs"]
#[expect(dead_code, reason = "nothing is corrupted here")]
mod cases;
#[path = "../../taptree-trace/tests/leaf/table.rs"]
#[expect(dead_code, reason = "no challenger chooses here")]
mod table;
#[path = "../../taptree-trace/tests/leaf/world.rs"]
mod world;

use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::key::Secp256k1;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, XOnlyPublicKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use trestle_cli::regtest::{Miner, Node};
use trestle_taptree_trace::leaf::{Disproof, LaneTree, Said, Tree, script, witness};

use cases::{CLAIMED, satisfying};

/// Why the node does not want a transaction in its mempool; `None` if it does.
fn refusal(node: &Node, transaction: &Transaction) -> Option<String> {
    let answer: Value = node.call("testmempoolaccept", &[json!([serialize_hex(transaction)])]).unwrap();
    match answer[0]["allowed"].as_bool().unwrap() {
        true => None,
        false => Some(format!("{} {}", answer[0]["reject-reason"], answer[0]["reject-details"])),
    }
}

/// A spend of a leaf, all but the items.
fn unsigned(outpoint: OutPoint, to: &TxOut) -> Transaction {
    let input = TxIn { previous_output: outpoint, sequence: Sequence::ZERO, ..TxIn::default() };
    let output = TxOut { value: Amount::from_sat(500_000), script_pubkey: to.script_pubkey.clone() };
    Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: vec![input], output: vec![output] }
}

#[test]
fn the_default_policy_relays_every_disproof() {
    let node = Node::start().unwrap();
    let directory = TempDir::new().unwrap();
    let mut miner = Miner::open(&node, directory.path()).unwrap();
    let secp = Secp256k1::new();
    let internal: XOnlyPublicKey = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0".parse().unwrap();
    let lane = table::lane(CLAIMED.constants());
    let cases = satisfying();
    let mut largest: Option<Transaction> = None;

    for tree in Tree::ALL {
        let built = LaneTree::build(tree, &lane, &[]).unwrap();
        let (output, _) = built.hashes.output_key(&secp, internal);
        let spent = TxOut { value: Amount::from_sat(1_000_000), script_pubkey: ScriptBuf::new_p2tr_tweaked(output) };
        let (outpoint, _) = miner.pay(spent.script_pubkey.clone(), spent.value).unwrap();
        miner.mine(1).unwrap();
        for (index, leaf) in built.leaves().iter().enumerate() {
            let leaf: &dyn Disproof = leaf.as_ref();
            let name = leaf.name();
            let statements = &cases[&name].said;
            let preimage = Some(&cases[&name].step.preimage);
            let said = Said { statements, constants: &lane.constants, preimage };
            let script = script(leaf, &lane).unwrap();
            let mut spend = unsigned(outpoint, &spent);
            let signature = table::sign_transaction(&spend, &spent, &script);
            let transcript = table::signed(statements, leaf.reads());
            let hints = leaf.refutes(&said).unwrap();
            let mut items = Witness::from_slice(&witness(leaf, hints, &transcript, &signature).unwrap());
            items.push(&script);
            items.push(built.hashes.control_block(&secp, internal, index).unwrap().serialize());
            spend.input[0].witness = items;
            assert_eq!(refusal(&node, &spend), None, "{name}");
            assert!(spend.weight().to_wu() < 400_000, "{name}");

            // The challenger signs what the coins are for.
            let mut other = spend.clone();
            other.output[0].value += Amount::from_sat(1);
            let why = refusal(&node, &other).unwrap();
            assert!(why.contains("script-verify-flag") || why.contains("mandatory"), "{name}: {why}");
            if largest.as_ref().is_none_or(|largest| largest.weight() < spend.weight()) {
                largest = Some(spend);
            }
        }
    }

    // The largest of all is mined.
    let largest = largest.unwrap();
    let id: String = node.call("sendrawtransaction", &[json!(serialize_hex(&largest)), json!(0), json!("1")]).unwrap();
    assert_eq!(id, largest.compute_txid().to_string());
    miner.mine(1).unwrap();
    let mined: Value = node.call("getrawtransaction", &[json!(id), json!(1)]).unwrap_or(Value::Null);
    let left: Vec<String> = node.call("getrawmempool", &[]).unwrap();
    assert!(left.is_empty(), "{mined}");
}
