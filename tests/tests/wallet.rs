//! The wallet against a real node: what it funds is taken, what it holds it does not spend twice, and no crash or
//! reorganisation makes it lose a coin.

use std::path::PathBuf;

use bitcoin::absolute::LockTime;
use bitcoin::key::{Keypair, Secp256k1, TapTweak};
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use tempfile::TempDir;
use trestle_bridge::chain::Chain;
use trestle_bridge::wallet::{Balance, Funding, Mnemonic, Wallet, WalletError, new_mnemonic};
use trestle_cli::regtest::{Miner, Node};

const RATE: FeeRate = FeeRate::from_sat_per_vb_u32(2);

fn sats(sats: u64) -> Amount {
    Amount::from_sat(sats)
}

struct Setup {
    node: Node,
    miner: Miner,
    mnemonic: Mnemonic,
    birthday: u32,
    directory: TempDir,
}

impl Setup {
    fn start() -> Self {
        let node = Node::start().unwrap();
        let directory = TempDir::new().unwrap();
        let miner = Miner::open(&node, &directory.path().join("miner")).unwrap();
        let birthday = node.chain().tip().unwrap().height + 1;
        Self { node, miner, mnemonic: new_mnemonic(), birthday, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(&self, name: &str) -> Wallet {
        self.try_open(name).unwrap()
    }

    fn try_open(&self, name: &str) -> Result<Wallet, WalletError> {
        Wallet::open(&self.path(name), Network::Regtest, &self.mnemonic, self.birthday)
    }

    /// A wallet with as many confirmed coins of a million satoshis.
    fn with_coins(&mut self, name: &str, coins: usize) -> Wallet {
        let mut wallet = self.open(name);
        for _ in 0..coins {
            let script = wallet.new_address().unwrap().script_pubkey();
            self.miner.pay(script, sats(1_000_000)).unwrap();
        }
        self.mine(1, &mut wallet);
        wallet
    }

    fn mine(&mut self, blocks: u32, wallet: &mut Wallet) {
        self.miner.mine(blocks).unwrap();
        self.sync(wallet);
    }

    fn sync(&self, wallet: &mut Wallet) {
        let tip = wallet.sync(&*self.node.chain()).unwrap();
        assert_eq!(tip, self.node.chain().tip().unwrap());
    }

    fn in_mempool(&self, txid: &Txid) -> bool {
        let mempool: Vec<Txid> = self.node.call("getrawmempool", &[]).unwrap();
        mempool.contains(txid)
    }
}

/// An output that nobody in particular can spend: `OP_TRUE` behind a hash.
fn everyone() -> ScriptBuf {
    ScriptBuf::new_p2wsh(&ScriptBuf::from_bytes(vec![0x51]).wscript_hash())
}

fn pay(script: ScriptBuf, value: u64) -> TxOut {
    TxOut { value: sats(value), script_pubkey: script }
}

fn anchor() -> TxOut {
    pay(ScriptBuf::from_bytes(vec![0x51, 0x02, 0x4e, 0x73]), 240)
}

/// A version 3 transaction without a fee that spends an [`everyone`] output.
fn parent(coin: OutPoint, output: Vec<TxOut>) -> Transaction {
    let witness = Witness::from_slice(&[[0x51]]);
    let input =
        TxIn { previous_output: coin, sequence: Sequence::ENABLE_RBF_NO_LOCKTIME, witness, ..Default::default() };
    Transaction { version: Version(3), lock_time: LockTime::ZERO, input: vec![input], output }
}

fn spent(tx: &Transaction) -> Vec<OutPoint> {
    tx.input.iter().map(|input| input.previous_output).collect()
}

fn fee_rate(fee: Amount, vsize: usize) -> f64 {
    fee.to_sat() as f64 / vsize as f64
}

#[test]
fn a_funded_transaction_has_the_outputs_asked_for_first_and_the_fee_rate_asked_for() {
    let mut setup = Setup::start();
    let mut wallet = setup.with_coins("wallet", 3);
    assert_eq!(wallet.balance(), Balance { confirmed: sats(3_000_000), ..Default::default() });
    let data = ScriptBuf::new_op_return([7; 75]);
    let outputs = [pay(everyone(), 1_200_000), pay(data, 0), pay(everyone(), 5_000), anchor()];
    for funding in [Funding::at(RATE), Funding::at(RATE).version_3()] {
        let tx = wallet.fund(&outputs, funding).unwrap();
        assert_eq!(tx.output[..4], outputs);
        assert_eq!(tx.output.len(), 5, "and change");
        let fee = wallet.fee_of(&tx.compute_txid()).unwrap();
        let rate = fee_rate(fee, tx.vsize());
        assert!((2.0..2.1).contains(&rate), "{rate}");
        wallet.broadcast(&*setup.node.chain(), &[&tx]).unwrap();
        assert!(setup.in_mempool(&tx.compute_txid()));
        setup.mine(1, &mut wallet);
        // Coins for the second round.
        let script = wallet.new_address().unwrap().script_pubkey();
        setup.miner.pay(script, sats(2_000_000)).unwrap();
        setup.mine(1, &mut wallet);
    }
    assert_eq!(wallet.unconfirmed(), []);
}

#[test]
fn coins_are_held_for_one_transaction_until_it_is_released_also_over_a_restart() {
    let mut setup = Setup::start();
    let mut wallet = setup.with_coins("wallet", 2);
    let first = wallet.fund(&[pay(everyone(), 10_000)], Funding::at(RATE)).unwrap();
    let second = wallet.fund(&[pay(everyone(), 10_000)], Funding::at(RATE)).unwrap();
    assert!(spent(&first).iter().all(|coin| !spent(&second).contains(coin)));
    // All coins are taken, and the change of what may never be sent is not spent.
    drop(wallet);
    let mut wallet = setup.open("wallet");
    let error = wallet.fund(&[pay(everyone(), 10_000)], Funding::at(RATE)).unwrap_err();
    assert!(matches!(error, WalletError::InsufficientFunds { missing } if missing > sats(10_000)), "{error}");
    assert!(wallet.is_held(&first.compute_txid()) && wallet.is_held(&second.compute_txid()));
    assert_eq!(wallet.rebroadcast(&*setup.node.chain()).unwrap(), []);
    assert!(!setup.in_mempool(&first.compute_txid()), "what is held is not sent");

    assert_eq!(wallet.release(&first.compute_txid()).unwrap(), [first.compute_txid()]);
    drop(wallet);
    let mut wallet = setup.open("wallet");
    let third = wallet.fund(&[pay(everyone(), 20_000)], Funding::at(RATE)).unwrap();
    assert_eq!(spent(&third), spent(&first));

    // Change of what was sent may be spent before it confirms, unless only confirmed coins are wanted.
    wallet.broadcast(&*setup.node.chain(), &[&second]).unwrap();
    let error = wallet.release(&second.compute_txid()).unwrap_err();
    assert!(matches!(error, WalletError::NotHeld(_)));
    let error = wallet.fund(&[pay(everyone(), 10_000)], Funding::at(RATE).confirmed_only()).unwrap_err();
    assert!(matches!(error, WalletError::InsufficientFunds { .. }));
    let fourth = wallet.fund(&[pay(everyone(), 10_000)], Funding::at(RATE)).unwrap();
    assert_eq!(spent(&fourth)[0].txid, second.compute_txid());
    wallet.broadcast(&*setup.node.chain(), &[&fourth]).unwrap();
    setup.mine(1, &mut wallet);
    assert_eq!(wallet.unconfirmed(), [third]);
}

#[test]
fn what_others_sent_or_the_wallet_forgot_to_note_is_known_from_its_block() {
    let mut setup = Setup::start();
    let mut wallet = setup.with_coins("wallet", 1);
    let tx = wallet.fund(&[pay(everyone(), 10_000)], Funding::at(RATE)).unwrap();
    setup.node.chain().broadcast(&[&tx]).unwrap();
    setup.mine(1, &mut wallet);
    assert!(!wallet.is_held(&tx.compute_txid()));
    wallet.fund(&[pay(everyone(), 10_000)], Funding::at(RATE)).unwrap();

    // The same words in another directory, from the chain alone.
    let mut again = setup.open("again");
    again.sync(&*setup.node.chain()).unwrap();
    let fee = wallet.fee_of(&tx.compute_txid()).unwrap();
    assert_eq!(again.balance().confirmed, sats(1_000_000 - 10_000) - fee);
    assert_eq!(again.tip(), setup.node.chain().tip().unwrap());
}

#[test]
fn requests_that_cannot_be_met_say_what_is_wrong() {
    let mut setup = Setup::start();
    let mut wallet = setup.with_coins("wallet", 1);
    let fee = sats(2 * 154);
    match wallet.fund(&[pay(everyone(), 1_500_000)], Funding::at(RATE)).unwrap_err() {
        WalletError::InsufficientFunds { missing } => {
            assert!(missing > sats(500_000) && missing <= sats(500_000) + fee)
        }
        other => panic!("{other}"),
    }
    let error = wallet.fund(&[pay(everyone(), 10_000), pay(everyone(), 100)], Funding::at(RATE)).unwrap_err();
    assert!(matches!(error, WalletError::Dust { index: 1 }), "{error}");
    let tx = parent(OutPoint::null(), vec![pay(everyone(), 10_000)]);
    let error = wallet.bump_child(&tx, 0, Amount::ZERO, RATE, None).unwrap_err();
    assert!(matches!(error, WalletError::CannotBump { .. }), "{error}");
    let error = wallet.bump_child(&tx, 1, Amount::ZERO, RATE, None).unwrap_err();
    assert!(matches!(error, WalletError::CannotBump { .. }), "{error}");
    let all = wallet.drain(everyone(), Funding::at(RATE)).unwrap();
    assert_eq!(all.output.len(), 1);
    assert_eq!(wallet.balance().total(), Amount::ZERO);

    assert!(matches!(setup.try_open("wallet"), Err(WalletError::InUse { .. })));
    drop(wallet);
    setup.mnemonic = new_mnemonic();
    assert!(matches!(setup.try_open("wallet"), Err(WalletError::OtherWallet { .. })));
}

#[test]
fn a_child_brings_its_parent_to_the_fee_rate_and_a_second_one_replaces_it() {
    let mut setup = Setup::start();
    let mut wallet = setup.with_coins("wallet", 2);
    let (coin, _) = setup.miner.pay(everyone(), sats(50_000)).unwrap();
    setup.mine(1, &mut wallet);
    let tx = parent(coin, vec![pay(everyone(), 50_000 - 240), anchor()]);
    let chain = setup.node.chain();
    let mut before: Option<(Transaction, Amount)> = None;
    for target in [3, 4, 20] {
        let rate = FeeRate::from_sat_per_vb_u32(target);
        let child = wallet.bump_child(&tx, 1, Amount::ZERO, rate, None).unwrap();
        assert_eq!(child.version, Version(3));
        assert!(child.vsize() <= 1_000);
        let fee = wallet.fee_of(&child.compute_txid()).unwrap();
        let reached = fee_rate(fee, tx.vsize() + child.vsize());
        assert!(reached >= f64::from(target), "{reached}");
        // The first time it pays what is needed; a replacement pays for being relayed, too.
        if before.is_none() {
            assert!(reached < f64::from(target) + 0.1, "{reached}");
        }
        wallet.broadcast(&*chain, &[&tx, &child]).unwrap();
        assert!(setup.in_mempool(&child.compute_txid()));
        if let Some((before, before_fee)) = before {
            assert!(!setup.in_mempool(&before.compute_txid()), "replaced");
            assert!(fee > before_fee);
        }
        assert_eq!(wallet.unconfirmed(), std::slice::from_ref(&child));
        before = Some((child, fee));
    }
    setup.mine(1, &mut wallet);
    let fee = before.unwrap().1;
    assert_eq!(wallet.balance().confirmed, sats(2_000_000 + 240) - fee);
}

#[test]
fn a_child_spends_an_output_of_the_wallet_or_of_a_key_without_other_coins() {
    let mut setup = Setup::start();
    let mut wallet = setup.open("wallet");
    let secp = Secp256k1::new();
    let key = Keypair::new(&secp, &mut rand::thread_rng());
    let internal = ScriptBuf::new_p2tr(&secp, key.x_only_public_key().0, None);
    let raw = ScriptBuf::new_p2tr_tweaked(key.x_only_public_key().0.dangerous_assume_tweaked());
    let own = wallet.new_address().unwrap().script_pubkey();
    let chain = setup.node.chain();
    for (script, key) in [(own, None), (internal, Some(&key)), (raw, Some(&key))] {
        let (coin, _) = setup.miner.pay(everyone(), sats(50_000)).unwrap();
        setup.mine(1, &mut wallet);
        let tx = parent(coin, vec![pay(script.clone(), 50_000)]);
        let child = wallet.bump_child(&tx, 0, Amount::ZERO, RATE, key).unwrap();
        assert_eq!(child.input.len(), 1);
        wallet.broadcast(&*chain, &[&tx, &child]).unwrap();
        setup.mine(1, &mut wallet);
        assert!(chain.transaction(&child.compute_txid()).unwrap().unwrap().height.is_some());
        // The value is the wallet's. Leave it with nothing for the next round.
        let drain = wallet.drain(everyone(), Funding::at(RATE)).unwrap();
        wallet.broadcast(&*chain, &[&drain]).unwrap();
    }
}

#[test]
fn a_child_whose_anchor_a_stranger_spent_gives_its_coins_back() {
    let mut setup = Setup::start();
    let mut wallet = setup.with_coins("wallet", 1);
    let (coin, _) = setup.miner.pay(everyone(), sats(50_000)).unwrap();
    setup.mine(1, &mut wallet);
    let tx = parent(coin, vec![pay(everyone(), 50_000 - 240), anchor()]);
    let child = wallet.bump_child(&tx, 1, Amount::ZERO, RATE, None).unwrap();
    wallet.sent(&child.compute_txid()).unwrap();
    let rate = FeeRate::from_sat_per_vb_u32(30);
    let rival = setup.miner.wallet().bump_child(&tx, 1, Amount::ZERO, rate, None).unwrap();
    let chain = setup.node.chain();
    setup.miner.wallet().broadcast(&*chain, &[&tx, &rival]).unwrap();
    let stale = setup.miner.mine(1).unwrap()[0];
    setup.sync(&mut wallet);
    assert_eq!(wallet.unconfirmed(), []);
    assert_eq!(wallet.balance().confirmed, sats(1_000_000));

    // Where the block with the stranger's leaves the chain, the wallet's own counts again.
    setup.node.invalidate(&stale).unwrap();
    let address = setup.miner.address().clone();
    setup.node.mine_empty(&address).unwrap();
    setup.node.mine_empty(&address).unwrap();
    setup.sync(&mut wallet);
    assert_eq!(wallet.unconfirmed(), [child]);
}

#[test]
fn a_transaction_that_left_the_chain_or_the_mempool_is_sent_again() {
    let mut setup = Setup::start();
    let mut wallet = setup.with_coins("wallet", 1);
    let chain = setup.node.chain();
    let tx = wallet.fund(&[pay(everyone(), 10_000)], Funding::at(RATE)).unwrap();
    let txid = tx.compute_txid();
    wallet.broadcast(&*chain, &[&tx]).unwrap();
    let child = wallet.fund(&[pay(everyone(), 20_000)], Funding::at(RATE)).unwrap();
    wallet.broadcast(&*chain, &[&child]).unwrap();
    let stale = setup.miner.mine(1).unwrap()[0];
    setup.sync(&mut wallet);
    assert_eq!(wallet.unconfirmed(), []);
    let owned = wallet.balance();

    setup.node.invalidate(&stale).unwrap();
    let address = setup.miner.address().clone();
    setup.node.mine_empty(&address).unwrap();
    setup.node.mine_empty(&address).unwrap();
    setup.sync(&mut wallet);
    assert_eq!(wallet.unconfirmed(), [tx.clone(), child.clone()], "parents first");
    assert_eq!(wallet.balance(), Balance { unconfirmed: owned.confirmed, ..Default::default() });

    // A node that crashes forgets its mempool; one that lags behind is waited for.
    setup.node.kill();
    setup.node.start_again().unwrap();
    while chain.tip().unwrap().height < wallet.tip().height {
        setup.node.mine_empty(&address).unwrap();
    }
    wallet.sync(&*chain).unwrap();
    assert_eq!(wallet.rebroadcast(&*chain).unwrap(), []);
    assert!(setup.in_mempool(&txid) && setup.in_mempool(&child.compute_txid()));
    setup.mine(1, &mut wallet);
    assert_eq!(wallet.balance(), owned);
}

#[test]
fn a_log_that_a_crash_cut_short_loses_only_its_last_entry() {
    let mut setup = Setup::start();
    let wallet = setup.with_coins("wallet", 1);
    let balance = wallet.balance();
    drop(wallet);
    let log = setup.path("wallet").join("wallet.db");
    let whole = std::fs::read(&log).unwrap();
    let mut wallet = setup.open("wallet");
    let tx = wallet.fund(&[pay(everyone(), 10_000)], Funding::at(RATE)).unwrap();
    drop(wallet);
    let longer = std::fs::read(&log).unwrap();
    assert!(longer.len() > whole.len() + 10);
    for cut in [whole.len() + 1, whole.len() + 9, longer.len() - 1] {
        std::fs::write(&log, &longer[..cut]).unwrap();
        let wallet = setup.open("wallet");
        assert_eq!(wallet.balance(), balance);
        assert!(!wallet.is_held(&tx.compute_txid()));
    }
}
