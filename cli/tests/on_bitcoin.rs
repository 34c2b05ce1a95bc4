//! The real binary with a real bitcoind, and a node that answers from memory: coins, records, and what survives a mishap.

mod fake;

use std::fs;
use std::sync::Arc;

use bitcoin::consensus::encode::serialize;
use bitcoin::{Amount, OutPoint, Transaction, Txid};
use fake::{Fake, Hand, Said};
use trestle_bridge::chain::{BlockId, Chain};
use trestle_bridge::parameters::Genesis;
use trestle_cli::regtest::{Miner, Node};
use trestle_cli::rpc::Serving;
use trestle_cli::rpc::types::ChainEndpoint;
use trestle_rollup::{Event, Ledger};

/// A chain, a bridge on it, and a person with one bitcoin.
struct World {
    hand: Hand,
    fake: Arc<Fake>,
    serving: Option<Serving>,
    miner: Miner,
    node: Node,
    genesis: BlockId,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let node = Node::start().expect("bitcoind runs; regtest/setup.sh installs it");
        let miner = Miner::open(&node, dir.path()).expect("a miner");
        let genesis = node.chain().tip().expect("a tip");
        let endpoint = ChainEndpoint { url: node.url().into(), cookie_file: Some(node.cookie_file()) };
        let fake = Fake::new(Genesis { height: genesis.height, hash: genesis.hash }, endpoint);
        let serving = fake.serve();
        let hand = Hand::new(&serving.url());
        let mut world = Self { hand, fake, serving: Some(serving), miner, node, genesis, _dir: dir };
        world.hand.does("wallet new");
        let address =
            world.hand.does("--json wallet address").json()["bitcoin_address"].as_str().expect("text").to_string();
        let address: bitcoin::Address<_> = address.parse().expect("an address");
        world.miner.fund(&address.assume_checked(), Amount::ONE_BTC).expect("funds");
        world
    }

    fn mine(&mut self, blocks: u32) {
        self.miner.mine(blocks).expect("mines");
    }

    fn found(&self, txid: &Txid) -> Option<Transaction> {
        self.node.chain().transaction(txid).expect("answers").map(|found| found.tx)
    }

    /// Confirmed and pending, in sat.
    fn coins(&self) -> (u64, u64) {
        let bitcoin = &self.hand.does("--json wallet balance").json()["bitcoin"];
        let sat = |name: &str| bitcoin[name].as_u64().expect("a number");
        (sat("confirmed_sat"), sat("pending_sat"))
    }

    fn deposit(&self) -> OutPoint {
        let said = self.hand.does("--json deposit 0.1 BTC").json();
        said["deposit"]["outpoint"].as_str().expect("text").parse().expect("an outpoint")
    }
}

fn says(said: &Said, line: &str) {
    assert_eq!((said.code, said.err.as_str()), (1, format!("error: {line}").as_str()));
}

#[test]
fn a_deposit_comes_back_when_its_timelock_has_run_out_and_no_sooner() {
    let mut world = World::new();
    assert_eq!(world.coins(), (100_000_000, 0));
    let outpoint = world.deposit();
    let funding = world.found(&outpoint.txid).expect("broadcast");
    assert_eq!(funding.output[0].value, Amount::from_sat(10_002_000));
    assert_eq!(world.fake.with(|f| f.deposits[0].outpoint), outpoint);

    let unconfirmed = format!(
        "{outpoint} is in no block yet, so its timelock has not begun: run `trestle resume`, and wait for a block"
    );
    says(&world.hand.types("refund"), &unconfirmed);
    world.mine(1);
    let height = world.node.chain().tip().expect("a tip").height + 59;
    let early = |remaining: u32, blocks: &str| {
        format!("{outpoint} cannot be refunded yet: {remaining} more {blocks} to go (from height {height} on)")
    };
    says(&world.hand.types("refund"), &early(59, "blocks"));
    world.mine(58);
    says(&world.hand.types(&format!("refund {outpoint}")), &early(1, "block"));
    world.mine(1);

    // The node is gone, and the refund needs it not.
    world.serving = None;
    let said = world.hand.does("--json refund").json();
    let refund: Txid = said["txid"].as_str().expect("text").parse().expect("a txid");
    assert_eq!(world.found(&refund).expect("broadcast").input[0].previous_output, outpoint);
    assert_eq!(world.found(&refund).expect("broadcast").vsize() as u64, said["vsize"].as_u64().expect("a number"));
    let spent = format!("{outpoint} is spent already, by {refund}: there is nothing to refund");
    says(&world.hand.types(&format!("refund {outpoint}")), &spent);
    says(
        &world.hand.types("refund"),
        "this wallet has no deposit that could be refunded: `trestle status` shows its deposits",
    );
    world.mine(1);
    let serving = world.fake.serve();
    world.hand.rpc = serving.url();
    let (confirmed, pending) = world.coins();
    assert!(confirmed > 100_000_000 - 2_000 && pending == 0, "{confirmed} {pending}");
}

#[test]
fn a_wallet_restored_from_its_words_refunds_a_deposit_it_has_no_record_of() {
    let mut world = World::new();
    let outpoint = world.deposit();
    world.mine(60);
    let wallet = world.hand.home.path().join(".trestle/default");
    for lost in ["journal.json", "bridge.json", "bitcoin/wallet.db"] {
        fs::remove_file(wallet.join(lost)).expect("was there");
    }
    let said = world.hand.does("--json refund").json();
    assert_eq!(said["deposit"], outpoint.to_string());
}

#[test]
fn an_interrupted_deposit_is_neither_lost_nor_made_twice() {
    let mut world = World::new();
    says(
        &world.hand.types("deposit 1BTC"),
        "too little money on Bitcoin: the wallet has 1 BTC, and 2112 sat is missing for 1.00002 BTC and the fees: `trestle \
         faucet` brings more",
    );

    // The journal cannot be written: nothing is sent, and the coins are free again.
    let wallet = world.hand.home.path().join(".trestle/default");
    fs::create_dir(wallet.join("journal.draft")).expect("makes a directory in the way");
    let said = world.hand.types("deposit 0.1BTC");
    assert!(
        said.err.starts_with("error: cannot write $HOME/.trestle/default/journal.json, so nothing was sent"),
        "{said:?}"
    );
    fs::remove_dir(wallet.join("journal.draft")).expect("removes it");
    assert_eq!(world.coins(), (100_000_000, 0));

    // The node refuses after the coins are on the way.
    world.fake.with(|f| f.refuses = true);
    says(
        &world.hand.types("deposit 0.1BTC"),
        "the committee is closed: try tomorrow (the deposit is on record and not lost: `trestle resume` sends it again)",
    );
    let status = world.hand.does("--json status").json();
    assert_eq!(status["wallet"]["deposits"][0]["state"], "unregistered");
    world.fake.with(|f| f.refuses = false);
    let said = world.hand.does("--json resume").json();
    assert_eq!(
        (said["sent"].as_array().map(Vec::len), said["registered"].as_array().map(Vec::len)),
        (Some(1), Some(1))
    );
    assert_eq!(world.fake.with(|f| f.deposits.len()), 1);
    world.mine(1);
    assert_eq!(world.hand.does("resume").out, "Nothing was left behind.");
}

#[test]
fn a_forced_transaction_reaches_the_layer_2_through_a_block() {
    let mut world = World::new();
    let said = world.hand.does("--json force withdraw 0.1BTC").json();
    let again = world.hand.does("--json force withdraw 0.1BTC").json();
    assert_ne!(said["id"], again["id"], "the second one has the next nonce");
    world.mine(1);
    let height = world.node.chain().tip().expect("a tip").height;
    let parameters = world.fake.with(|f| f.parameters.rollup().expect("keys aggregate"));
    let directory = tempfile::tempdir().expect("a directory");
    let ledger = Ledger::open(&sled::open(directory.path()).expect("opens"), &parameters).expect("opens");
    let mut events = Vec::new();
    for height in world.genesis.height + 1..=height {
        let hash = world.node.chain().block_hash(height).expect("answers").expect("a block");
        let block = world.node.chain().block(&hash).expect("answers");
        events.extend(ledger.extend(&serialize(&block)).expect("extends"));
    }
    // The account has nothing on this chain, so the transactions are read and not executed.
    for said in [said, again] {
        let reveal: Txid = said["reveal"].as_str().expect("text").parse().expect("a txid");
        assert!(events.contains(&Event::Forced { txid: reveal.into(), applied: false }), "{events:?}");
    }
    assert!(world.fake.with(|f| f.submitted.is_empty()), "no sequencer was asked");
}
