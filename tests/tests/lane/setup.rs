//! A node, a miner with coins and a bridge: what tests of transactions need.

#![allow(dead_code)] // each test file uses a part

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Amount, FeeRate, OutPoint, Transaction, TxOut};
use serde_json::{Value, json};
use tempfile::TempDir;
use trestle_bridge::chain::Chain;
use trestle_bridge::connector::sign_key_path;
use trestle_bridge::transactions::claim::Statement;
use trestle_bridge::transactions::{
    DepositTerms, FinalizeKind, Presigned, Reveal, RunGraph, SlotGraph, Vault, challenger_bond, contest, reimburse,
};
use trestle_cli::regtest::{Miner, Node};
use trestle_rollup::Account;

use crate::members::Secrets;

/// A node, a miner with coins and a bridge.
pub struct Setup {
    pub node: Node,
    pub miner: Miner,
    pub secrets: Secrets,
    _directory: TempDir,
}

/// What children pay for together with their parents.
pub const TARGET: FeeRate = FeeRate::from_sat_per_vb_u32(20);

impl Setup {
    pub fn new() -> Self {
        Self::with(Secrets::new(3, 3, |_| {}))
    }

    pub fn with(secrets: Secrets) -> Self {
        let node = Node::start().unwrap();
        let directory = TempDir::new().unwrap();
        let miner = Miner::open(&node, directory.path()).unwrap();
        Setup { node, miner, secrets, _directory: directory }
    }

    pub fn mine(&mut self, blocks: u32) {
        self.miner.mine(blocks).unwrap();
    }

    /// Pays and mines an output.
    pub fn pay(&mut self, output: &TxOut) -> OutPoint {
        let (outpoint, _) = self.miner.pay(output.script_pubkey.clone(), output.value).unwrap();
        self.mine(1);
        outpoint
    }

    /// Why the node does not want a transaction in its mempool; `None` if it does.
    pub fn refusal(&self, tx: &Transaction) -> Option<String> {
        let answer: Value = self.node.call("testmempoolaccept", &[json!([serialize_hex(tx)])]).unwrap();
        match answer[0]["allowed"].as_bool().unwrap() {
            true => None,
            false => Some(format!("{} {}", answer[0]["reject-reason"], answer[0]["reject-details"])),
        }
    }

    pub fn assert_refused(&self, tx: &Transaction, why: &str) {
        let refusal = self.refusal(tx).unwrap_or_else(|| panic!("accepted, not refused for {why}"));
        assert!(refusal.contains(why), "refused for {refusal}, not for {why}");
    }

    /// Whether a block with the transaction is valid: consensus, not policy. The block is mined if so.
    pub fn fits_in_a_block(&self, tx: &Transaction) -> bool {
        let address = self.miner.address().to_string();
        self.node.call::<Value>("generateblock", &[json!(address), json!([serialize_hex(tx)])]).is_ok()
    }

    /// Publishes and mines a transaction together with a child on its output `vout`.
    pub fn mine_with_child(&mut self, tx: &Transaction, fee: Amount, vout: u32, owner: Option<&bitcoin::key::Keypair>) {
        assert_eq!(self.refusal(tx), None);
        let child = self.miner.wallet().bump_child(tx, vout, fee, TARGET, owner).unwrap();
        assert!(child.vsize() <= 1_000);
        self.node.chain().broadcast(&[tx, &child]).unwrap();
        let entry: Value = self.node.call("getmempoolentry", &[json!(child.compute_txid())]).unwrap();
        let (ancestors, fees) = (entry["ancestorsize"].as_u64().unwrap(), entry["fees"]["ancestor"].as_f64().unwrap());
        assert!(fees * 1e8 / ancestors as f64 >= 19.9, "the package pays {fees} for {ancestors} vB");
        self.mine(1);
        assert!(self.node.chain().transaction(&tx.compute_txid()).unwrap().unwrap().height.is_some());
    }

    pub fn complete(&self, presigned: &Presigned, reveal: Reveal) -> Transaction {
        presigned.complete(&self.secrets.sign_all(&presigned.requests()), reveal).unwrap()
    }

    /// Completes, publishes and mines a pre-signed transaction with a child on its anchor.
    pub fn run(&mut self, presigned: &Presigned, reveal: Reveal) -> Transaction {
        let tx = self.complete(presigned, reveal);
        self.mine_with_child(&tx, presigned.fee(), presigned.anchor().unwrap().vout, None);
        tx
    }

    /// The same for one that has to wait `delay` blocks after its parent, which is in the last block but one.
    pub fn run_after(&mut self, presigned: &Presigned, delay: u32) {
        let tx = self.complete(presigned, Reveal::Nothing);
        self.mine(delay - 2);
        self.assert_refused(&tx, "non-BIP68-final");
        self.mine(1);
        self.run(presigned, Reveal::Nothing);
    }

    pub fn deposit(&mut self) -> DepositTerms {
        let refund_key = self.secrets.user.x_only_public_key().0;
        let mut terms =
            DepositTerms { outpoint: OutPoint::null(), denomination: 0, account: Account([3; 32]), refund_key };
        terms.outpoint = self.pay(&terms.deposit_output(&self.secrets.bridge).unwrap());
        terms
    }

    /// A vault that is there, without the ceremony.
    pub fn vault(&mut self) -> Vault {
        let value = self.secrets.bridge.denomination(0).unwrap();
        let script_pubkey = self.secrets.bridge.vault_script().clone();
        Vault { outpoint: self.pay(&TxOut { value, script_pubkey }), denomination: 0 }
    }

    /// A vault with its ticket: a deposit that was confirmed.
    pub fn confirmed(&mut self) -> Vault {
        let terms = self.deposit();
        let bridge = self.secrets.bridge.clone();
        let mint = self.secrets.sign(&terms.mint_request(&bridge).unwrap());
        self.run(&terms.confirm(&bridge, &mint).unwrap(), Reveal::Nothing);
        terms.vault(&bridge, &mint).unwrap()
    }

    /// A run whose bonds are there, from the genesis block.
    pub fn graph(&mut self, slots: u32) -> RunGraph {
        let bridge = self.secrets.bridge.clone();
        let bonds: Vec<_> =
            bridge.entries.iter().map(|entry| self.pay(&challenger_bond::output(&bridge, entry))).collect();
        let mut terms = self.secrets.run(slots, 0, OutPoint::null(), &bonds);
        terms.bond = self.pay(&terms.bond_output(&bridge).unwrap());
        RunGraph::build(&bridge, terms).unwrap()
    }

    pub fn claim(&mut self, slot: &SlotGraph) -> Transaction {
        let statement = Statement { n: 0x01f0, block_prefix: [0, 0xff, 7, 8] };
        let signature = self.secrets.claim(slot.id, statement);
        let tx = self.run(&slot.claim, Reveal::Claim(&signature));
        assert_eq!(Statement::read(&self.secrets.claim_key(slot.id), &tx).unwrap(), statement);
        tx
    }

    pub fn contest(&mut self, slot: &SlotGraph, challenger: usize) -> Transaction {
        let seed = self.secrets.challenger_seed(challenger);
        let (secret, _) = contest::secret(&self.secrets.bridge, &seed, challenger as u16, slot.id);
        self.run(&slot.contest, Reveal::Contest(challenger, &secret))
    }

    pub fn reimburse(&mut self, vault: Vault, slot: &SlotGraph, kind: FinalizeKind) {
        let presigned = reimburse(&self.secrets.bridge, &vault, slot, kind).unwrap();
        let operator = self.secrets.operators[0];
        let own = sign_key_path(&operator, presigned.party_message().unwrap());
        let tx = self.complete(&presigned, Reveal::Party(&own));
        self.mine_with_child(&tx, presigned.fee(), 0, Some(&operator));
    }
}

pub const SCRIPT_FAILED: &str = "script-verify-flag-failed";
