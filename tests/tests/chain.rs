//! Both ways to reach the chain behave alike, on real servers: one suite over `dyn Chain`, run against bitcoind's RPC
//! and against ElectrumX on the same kind of node.

use std::sync::Arc;

use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use tempfile::TempDir;
use trestle_bridge::chain::{Auth, Bitcoind, BlockId, Chain, ChainError, Electrum, Located, connect};
use trestle_bridge::wallet::Funding;
use trestle_cli::regtest::{ElectrumServer, Miner, Node, RegtestError, wait_until};

/// A node, a miner on it, and one server under test.
struct Setup {
    node: Node,
    miner: Miner,
    electrum: Option<ElectrumServer>,
    chain: Arc<dyn Chain>,
    _directory: TempDir,
}

impl Setup {
    fn start(with_electrum: bool) -> Self {
        let node = Node::start().unwrap();
        let directory = TempDir::new().unwrap();
        let miner = Miner::open(&node, directory.path()).unwrap();
        let electrum = with_electrum.then(|| ElectrumServer::start(&node).unwrap());
        let chain: Arc<dyn Chain> = match &electrum {
            Some(server) => server.chain(),
            None => node.chain(),
        };
        Self { node, miner, electrum, chain, _directory: directory }
    }

    fn mine(&mut self, blocks: u32) {
        self.miner.mine(blocks).unwrap();
        self.wait();
    }

    /// Until the server has seen the node's tip: at once for the node itself.
    fn wait(&self) {
        if let Some(server) = &self.electrum {
            server.wait_for(&self.node).unwrap();
        }
    }

    /// Until the server has seen what was broadcast: see [`Chain::spender`].
    fn spender_seen(&self, outpoint: &OutPoint) -> Located {
        wait_until("the spender is seen", || Ok::<_, RegtestError>(self.chain.spender(outpoint)?)).unwrap()
    }

    fn script(&mut self) -> ScriptBuf {
        self.miner.wallet().new_address().unwrap().script_pubkey()
    }
}

fn rejected(result: Result<(), ChainError>) -> (Txid, String) {
    match result {
        Err(ChainError::Rejected { txid, reason }) => (txid, reason),
        other => panic!("expected a rejection, got {other:?}"),
    }
}

/// The questions, one after the other, on one node.
fn behaves(mut setup: Setup) {
    blocks_are_those_of_the_node(&mut setup);
    transactions_are_found_wherever_they_are(&mut setup);
    spenders_are_found_wherever_they_are(&mut setup);
    broadcast_takes_what_is_valid_and_says_why_not(&mut setup);
    a_package_lifts_a_parent_that_pays_nothing(&mut setup);
    the_fee_rate_is_what_the_mempool_takes(&mut setup);
    a_reorganisation_is_seen(&mut setup);
    a_server_that_was_down_is_used_again(&mut setup);
}

#[test]
fn bitcoind_behaves_as_a_chain() {
    behaves(Setup::start(false));
}

#[test]
fn electrum_behaves_as_a_chain() {
    behaves(Setup::start(true));
}

fn blocks_are_those_of_the_node(setup: &mut Setup) {
    // Blocks of 1, 2, 3, 4, 5 and 9 transactions: every shape of a small Merkle tree.
    for payments in [0, 1, 2, 3, 4, 8] {
        for _ in 0..payments {
            let script = setup.script();
            setup.miner.pay(script, Amount::from_sat(50_000)).unwrap();
        }
        setup.mine(1);
    }
    let (chain, node) = (&setup.chain, setup.node.chain());
    let tip = chain.tip().unwrap();
    assert_eq!(tip, node.tip().unwrap());
    assert_eq!(chain.block_hash(tip.height).unwrap(), Some(tip.hash));
    assert_eq!(chain.block_hash(tip.height + 1).unwrap(), None);
    for (back, transactions) in [(5, 1), (4, 2), (3, 3), (2, 4), (1, 5), (0, 9)] {
        let hash = chain.block_hash(tip.height - back).unwrap().unwrap();
        let block = chain.block(&hash).unwrap();
        assert_eq!(block.txdata.len(), transactions);
        assert_eq!(block, node.block(&hash).unwrap(), "with all witnesses");
    }
    let unknown = bitcoin::hashes::Hash::all_zeros();
    assert!(matches!(chain.block(&unknown), Err(ChainError::UnknownBlock(hash)) if hash == unknown));
    let genesis = chain.block_hash(0).unwrap().unwrap();
    assert_eq!(genesis, bitcoin::constants::genesis_block(Network::Regtest).block_hash());
}

fn transactions_are_found_wherever_they_are(setup: &mut Setup) {
    let script = setup.script();
    let (_, tx) = setup.miner.pay(script, Amount::from_sat(60_000)).unwrap();
    let txid = tx.compute_txid();
    assert_eq!(setup.chain.transaction(&txid).unwrap(), Some(Located { tx: tx.clone(), height: None }));
    setup.mine(2);
    let height = setup.chain.tip().unwrap().height - 1;
    assert_eq!(setup.chain.transaction(&txid).unwrap(), Some(Located { tx, height: Some(height) }));
    assert_eq!(setup.chain.transaction(&Txid::from_raw_hash(bitcoin::hashes::Hash::all_zeros())).unwrap(), None);
}

fn spenders_are_found_wherever_they_are(setup: &mut Setup) {
    let script = setup.script();
    let (outpoint, _) = setup.miner.pay(script, Amount::from_sat(70_000)).unwrap();
    setup.mine(1);
    assert_eq!(setup.chain.spender(&outpoint).unwrap(), None);
    let target = setup.script();
    let drain = setup.miner.wallet().drain(target, Funding::at(FeeRate::from_sat_per_vb_u32(1))).unwrap();
    assert!(drain.input.iter().any(|input| input.previous_output == outpoint));
    setup.miner.wallet().broadcast(&*setup.chain, &[&drain]).unwrap();
    assert_eq!(setup.spender_seen(&outpoint), Located { tx: drain.clone(), height: None });
    setup.mine(1);
    let height = setup.chain.tip().unwrap().height;
    assert_eq!(setup.chain.spender(&outpoint).unwrap(), Some(Located { tx: drain.clone(), height: Some(height) }));
    let nowhere = OutPoint::new(drain.compute_txid(), 99);
    assert_eq!(setup.chain.spender(&nowhere).unwrap(), None);
    // Many coins again, for what follows.
    setup.mine(10);
}

fn broadcast_takes_what_is_valid_and_says_why_not(setup: &mut Setup) {
    let output = TxOut { value: Amount::from_sat(80_000), script_pubkey: setup.script() };
    let funding = Funding::at(FeeRate::from_sat_per_vb_u32(3));
    let tx = setup.miner.wallet().fund(std::slice::from_ref(&output), funding).unwrap();
    setup.chain.broadcast(&[&tx]).unwrap();
    setup.chain.broadcast(&[&tx]).unwrap();

    let mut conflict = tx.clone();
    conflict.output.truncate(1);
    conflict.output[0].value = Amount::from_sat(79_000);
    let (txid, reason) = rejected(setup.chain.broadcast(&[&conflict]));
    assert_eq!(txid, conflict.compute_txid());
    assert!(reason.contains("Invalid Schnorr signature"), "{reason}");

    setup.miner.wallet().sent(&tx.compute_txid()).unwrap();
    setup.mine(1);
    setup.chain.broadcast(&[&tx]).unwrap();

    // Once all its outputs are spent, only the index of transactions still knows it.
    let target = setup.script();
    let drain = setup.miner.wallet().drain(target, funding).unwrap();
    setup.miner.wallet().broadcast(&*setup.chain, &[&drain]).unwrap();
    setup.mine(10);
    setup.chain.broadcast(&[&tx]).unwrap();
}

fn anchor() -> TxOut {
    TxOut { value: Amount::from_sat(240), script_pubkey: ScriptBuf::from_bytes(vec![0x51, 0x02, 0x4e, 0x73]) }
}

fn a_package_lifts_a_parent_that_pays_nothing(setup: &mut Setup) {
    // A version 3 transaction without a fee that pays everything to another anchor-like output and the wallet.
    let value = Amount::from_sat(100_000);
    let everyone = ScriptBuf::new_p2wsh(&ScriptBuf::from_bytes(vec![0x51]).wscript_hash());
    let (coin, _) = setup.miner.pay(everyone, value).unwrap();
    setup.mine(1);
    let mut witness = Witness::new();
    witness.push([0x51]);
    let back = TxOut { value: value - anchor().value, script_pubkey: setup.script() };
    let parent = Transaction {
        version: Version(3),
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: coin,
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness,
            ..Default::default()
        }],
        output: vec![back, anchor()],
    };
    let (txid, reason) = rejected(setup.chain.broadcast(&[&parent]));
    assert_eq!(txid, parent.compute_txid());
    assert!(reason.contains("min relay fee not met"), "{reason}");

    let target = FeeRate::from_sat_per_vb_u32(5);
    let child = setup.miner.wallet().bump_child(&parent, 1, Amount::ZERO, target, None).unwrap();
    rejected(setup.chain.broadcast(&[&child]));
    setup.miner.wallet().broadcast(&*setup.chain, &[&parent, &child]).unwrap();
    setup.chain.broadcast(&[&parent, &child]).unwrap();
    assert!(setup.chain.transaction(&parent.compute_txid()).unwrap().is_some());

    // A package of which one half is in a block already is the other half.
    setup.mine(1);
    setup.chain.broadcast(&[&parent, &child]).unwrap();
    let height = setup.chain.tip().unwrap().height;
    assert_eq!(setup.chain.transaction(&child.compute_txid()).unwrap().unwrap().height, Some(height));

    let mut worse = child.clone();
    worse.output[0].value += Amount::from_sat(1);
    rejected(setup.chain.broadcast(&[&parent, &worse]));
}

fn the_fee_rate_is_what_the_mempool_takes(setup: &mut Setup) {
    // Regtest has no history to estimate from: it is the least that Core relays, 0.1 sat/vB by default.
    let rate = setup.chain.fee_rate(6).unwrap();
    assert_eq!(rate, FeeRate::from_sat_per_kwu(25));
}

fn a_reorganisation_is_seen(setup: &mut Setup) {
    let script = setup.script();
    let (outpoint, tx) = setup.miner.pay(script, Amount::from_sat(90_000)).unwrap();
    setup.mine(2);
    let tip = setup.chain.tip().unwrap();
    let stale = setup.chain.block_hash(tip.height - 1).unwrap().unwrap();
    let spent = tx.input[0].previous_output;
    assert_eq!(setup.chain.spender(&spent).unwrap().unwrap().height, Some(tip.height - 1));

    setup.node.invalidate(&stale).unwrap();
    let address = setup.miner.address().clone();
    for _ in 0..3 {
        setup.node.mine_empty(&address).unwrap();
    }
    setup.wait();
    let now = setup.chain.tip().unwrap();
    assert_eq!(now.height, tip.height + 1);
    assert_ne!(setup.chain.block_hash(tip.height).unwrap(), Some(tip.hash));
    let block = setup.chain.block(&setup.chain.block_hash(tip.height).unwrap().unwrap()).unwrap();
    assert_eq!(block.txdata.len(), 1);
    // What was in the stale block waits again.
    wait_until("the transaction waits in the mempool", || {
        let found = setup.chain.transaction(&tx.compute_txid())?;
        Ok::<_, RegtestError>((found == Some(Located { tx: tx.clone(), height: None })).then_some(()))
    })
    .unwrap();
    assert_eq!(setup.spender_seen(&spent), Located { tx: tx.clone(), height: None });
    setup.mine(1);
    assert_eq!(setup.chain.spender(&spent).unwrap(), Some(Located { tx, height: Some(now.height + 1) }));
    assert_eq!(setup.chain.spender(&outpoint).unwrap(), None);
}

fn a_server_that_was_down_is_used_again(setup: &mut Setup) {
    let tip = setup.chain.tip().unwrap();
    match &mut setup.electrum {
        Some(server) => server.kill(),
        None => setup.node.kill(),
    }
    for _ in 0..2 {
        let error = setup.chain.tip().unwrap_err();
        assert!(matches!(error, ChainError::Unreachable { .. }) && error.is_transient(), "{error}");
    }
    match &mut setup.electrum {
        Some(server) => server.start_again(&setup.node).unwrap(),
        None => setup.node.start_again().unwrap(),
    }
    // A node that was killed may have lost what it had not written yet, and nothing else.
    let again: BlockId = setup.chain.tip().unwrap();
    assert!(again.height <= tip.height);
    setup.mine(1);
    assert!(setup.chain.block(&setup.chain.tip().unwrap().hash).is_ok());
    setup.node.restart().unwrap();
    setup.mine(1);
    assert!(setup.chain.tip().is_ok());
}

#[test]
fn a_server_of_another_network_or_with_other_credentials_is_refused() {
    let setup = Setup::start(true);
    let url = setup.node.url().to_owned();
    let cookie = setup.node.cookie_file();
    let wrong = Bitcoind::new(&url, Auth::Cookie(cookie.clone()), Network::Signet).unwrap();
    let found = |error: ChainError| match error {
        ChainError::WrongNetwork { found, expected: Network::Signet, .. } => found,
        other => panic!("{other}"),
    };
    assert_eq!(found(wrong.tip().unwrap_err()), "regtest");
    assert_eq!(found(wrong.fee_rate(1).unwrap_err()), "regtest");
    let wrong = Electrum::new(setup.electrum.as_ref().unwrap().url(), Network::Signet).unwrap();
    assert_eq!(found(wrong.tip().unwrap_err()), "regtest");

    let auth = Auth::Password { user: "nobody".into(), password: "guess".into() };
    let stranger = Bitcoind::new(&url, auth, Network::Regtest).unwrap();
    let error = stranger.tip().unwrap_err();
    assert!(matches!(error, ChainError::Credentials { .. }) && !error.is_transient(), "{error}");

    let by_address = |url: &str, cookie| connect(url, cookie, Network::Regtest);
    assert!(by_address(&setup.node.url_with_password(), None).unwrap().tip().is_ok());
    assert!(by_address(&url, Some(cookie.as_path())).unwrap().tip().is_ok());
    assert!(by_address(setup.electrum.as_ref().unwrap().url(), None).unwrap().tip().is_ok());
    for bad in ["127.0.0.1:18443", "http://127.0.0.1:18443", "ssl://host:50002", "tcp://host", "http://user@host:1"] {
        assert!(matches!(by_address(bad, None).err().unwrap(), ChainError::Address { .. }), "{bad}");
    }
}
