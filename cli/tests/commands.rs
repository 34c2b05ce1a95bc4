//! The real binary against a node that answers from memory: what it says, and what it leaves behind, when things go wrong.

mod fake;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network};
use fake::{Fake, Hand, key};
use trestle_bridge::parameters::Genesis;
use trestle_cli::rpc::types::ChainEndpoint;
use trestle_cli::user::address::Layer2Address;
use trestle_rollup::SignedTransaction;

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A node whose Bitcoin nobody answers for.
fn without_bitcoin() -> Arc<Fake> {
    let genesis = Genesis { height: 101, hash: BlockHash::from_byte_array([9; 32]) };
    Fake::new(genesis, ChainEndpoint { url: "tcp://127.0.0.1:1".into(), cookie_file: None })
}

/// A Layer 2 address of somebody else on `network`.
fn address(network: Network) -> String {
    Layer2Address { network, account: key(9).x_only_public_key().0 }.to_string()
}

/// Everything in a directory but locks, to see that nothing changed.
fn snapshot(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("reads").map(|e| e.expect("an entry").path()) {
            if entry.is_dir() {
                dirs.push(entry);
            } else if entry.file_name().is_none_or(|n| n != "lock") {
                files.push((entry.display().to_string(), fs::read(&entry).expect("reads")));
            }
        }
    }
    files.sort();
    files
}

/// Each line fails with this exit code and exactly this line on standard error, and the wallet is as it was.
fn fails(hand: &Hand, table: &[(&str, i32, &str)]) {
    for (line, code, error) in table {
        let before = snapshot(hand.home.path());
        let said = hand.types(line);
        assert_eq!((said.code, said.err.as_str()), (*code, format!("error: {error}").as_str()), "trestle {line}");
        assert_eq!(said.out, "", "trestle {line}");
        assert!(snapshot(hand.home.path()) == before, "trestle {line} left something behind");
    }
}

#[test]
fn a_command_line_that_makes_no_sense_gets_one_line_and_exit_code_2() {
    fails(
        &Hand::new(NOWHERE),
        &[
            (
                "deposit 0.1",
                2,
                "\"0.1\" has no unit: write 0.1BTC or 0.1sat, whichever you mean (see `trestle deposit --help`)",
            ),
            (
                "deposit 5apples",
                2,
                "\"apples\" is no unit: amounts are in BTC or sat, for example 0.1BTC or 10000sat (see `trestle deposit --help`)",
            ),
            (
                "deposit",
                2,
                "the following required arguments were not provided: <AMOUNT> (see `trestle deposit --help`)",
            ),
            ("deposti 1BTC", 2, "unrecognized subcommand 'deposti' (see `trestle --help`)"),
            (
                "wallet new --network moon",
                2,
                "\"moon\" is no network: choose regtest, signet, testnet, testnet4 or bitcoin (see `trestle wallet new --help`)",
            ),
            (
                "refund 12",
                2,
                "\"12\" is no deposit: write TXID:INDEX, as `trestle status` shows it (see `trestle refund --help`)",
            ),
            ("deposit 1BTC --moon", 2, "unexpected argument '--moon' found (see `trestle deposit --help`)"),
        ],
    );
}

#[test]
fn without_a_wallet_or_a_node_a_command_says_how_to_get_one() {
    let hand = Hand::new(NOWHERE);
    let missing = "there is no wallet in $HOME/.trestle/default: create one with `trestle wallet new`, or name another with --wallet";
    let down = "no Trestle node answers at $RPC: start one with `trestle devnet`, or name another with --rpc";
    fails(
        &hand,
        &[("deposit 0.1BTC", 1, missing), ("refund", 1, missing), ("wallet address", 1, missing), ("status", 1, down)],
    );
    hand.does("wallet new");
    fails(
        &hand,
        &[
            ("deposit 0.1BTC", 1, down),
            ("withdraw 0.1 BTC", 1, down),
            ("wallet balance", 1, down),
            ("status", 1, down),
            ("refund", 1, down),
            ("resume", 1, down),
            ("faucet 1BTC", 1, down),
            ("--rpc 17080 status", 1, "\"17080\" is no URL of a node: it looks like http://127.0.0.1:17080"),
            (
                "wallet new",
                1,
                "there is a wallet in $HOME/.trestle/default already and it stays as it is: name another with --wallet",
            ),
        ],
    );
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_done() {
    let fake = without_bitcoin();
    let serving = fake.serve();
    let hand = Hand::new(&serving.url());
    hand.does("wallet new");
    hand.does("--wallet real wallet new --network bitcoin");
    hand.does("status"); // the first contact leaves bridge.json behind
    let (to, elsewhere) = (address(Network::Regtest), address(Network::Bitcoin));
    let denominations = "choose 0.01 BTC, 0.1 BTC or 1 BTC";
    let own = "bcrt1q6rhpng9evdsfnn833a4f4vej0asu6dk5srld6x";
    let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    fails(
        &hand,
        &[
            ("deposit 0.2BTC", 1, &format!("0.2 BTC is no denomination of this bridge: {denominations}")),
            ("withdraw 12sat", 1, &format!("12 sat is no denomination of this bridge: {denominations}")),
            ("force withdraw 0.2BTC", 1, &format!("0.2 BTC is no denomination of this bridge: {denominations}")),
            (
                "withdraw 1BTC",
                1,
                "too little money on the Layer 2: this takes 1.0000001 BTC, the account has 0.200001 BTC, 0.7999991 BTC is \
                 missing: `trestle deposit` brings more",
            ),
            (
                &format!("send {to} 20000100sat"),
                1,
                "too little money on the Layer 2: this takes 0.2000011 BTC, the account has 0.200001 BTC, 10 sat is missing: \
                 `trestle deposit` brings more",
            ),
            (
                &format!("send {to} 5sat --fee 9sat"),
                1,
                "the sequencers take no fee below 10 sat: raise --fee, or leave it out",
            ),
            (
                "send trert1qqqq 5sat",
                1,
                "\"trert1qqqq\" is not a Layer 2 address: copy it again from the receiver's `trestle wallet address`",
            ),
            (
                &format!("send {own} 5sat"),
                1,
                &format!("\"{own}\" is a Bitcoin address: to pay it, use `trestle withdraw`"),
            ),
            (
                &format!("send {elsewhere} 5sat"),
                1,
                &format!("\"{elsewhere}\" is a Layer 2 address of bitcoin, and this wallet is for regtest"),
            ),
            (
                &format!("withdraw 0.1BTC {to}"),
                1,
                &format!("\"{to}\" is a Layer 2 address: to pay it, use `trestle send`"),
            ),
            (
                &format!("withdraw 0.1BTC {mainnet}"),
                1,
                &format!("\"{mainnet}\" is not an address of regtest, which this wallet is for"),
            ),
            ("--wallet real faucet 1BTC", 1, "there is a faucet on regtest only, and this wallet is for bitcoin"),
            (
                "--wallet real deposit 0.1BTC",
                1,
                "the wallet is for bitcoin, and the node at $RPC is on regtest: use a wallet for regtest, or another --rpc",
            ),
            (
                &format!("refund {}:0", "ab".repeat(32)),
                1,
                &format!("{}:0 is no deposit of this wallet: `trestle status` shows those that are", "ab".repeat(32)),
            ),
            ("refund", 1, "this wallet has no deposit that could be refunded: `trestle status` shows its deposits"),
        ],
    );
    fake.with(|f| f.room = 0);
    let full = "the bridge takes no deposit of 0.1 BTC now, since no free slot is left to pay it back: try again later";
    fails(&hand, &[("deposit 0.1BTC", 1, full)]);
    assert!(fake.with(|f| f.submitted.is_empty() && f.deposits.is_empty()));
}

#[test]
fn a_wallet_keeps_to_its_bridge() {
    let (first, second) = (without_bitcoin(), without_bitcoin());
    second.with(|f| f.parameters.genesis.height += 1);
    let serving = first.serve();
    let mut hand = Hand::new(&serving.url());
    hand.does("wallet new");
    let known = hand.does("--json status").json()["instance"].as_str().expect("a string").to_string();
    let other = second.serve();
    hand.rpc = other.url();
    let said = hand.types("--json deposit 0.1BTC");
    assert_eq!((said.code, &said.json()["error"]["code"]), (1, &"other_bridge".into()));
    let message = said.json()["error"]["message"].as_str().expect("a string").to_string();
    assert!(message.contains(&known) && message.contains("--wallet"), "{message}");
}

#[test]
fn bitcoin_that_does_not_answer_stops_a_deposit_before_it_begins() {
    let fake = without_bitcoin();
    let serving = fake.serve();
    let hand = Hand::new(&serving.url());
    hand.does("wallet new");
    let said = hand.types("deposit 0.1BTC");
    assert_eq!(said.code, 1);
    assert!(said.err.starts_with("error: cannot reach tcp://127.0.0.1:1"), "{said:?}");
    assert!(!hand.home.path().join(".trestle/default/journal.json").exists());
    assert!(fake.with(|f| f.deposits.is_empty()));
}

#[test]
fn what_is_signed_is_what_was_asked_for() {
    let fake = without_bitcoin();
    let serving = fake.serve();
    let hand = Hand::new(&serving.url());
    let account = hand.does("--json wallet new").json()["account"].as_str().expect("a string").to_string();
    fake.with(|f| f.nonce = 4);
    let said = hand.does(&format!("--json send {} 2500 sats --fee 12sat", address(Network::Regtest))).json();
    assert_eq!((&said["amount_sat"], &said["fee_sat"], &said["nonce"]), (&2500.into(), &12.into(), &4.into()));
    let said = hand.does("--json withdraw 0.1BTC").json();
    assert_eq!((&said["denomination_sat"], &said["payout_sat"]), (&10_000_000.into(), &9_990_000.into()));
    let (submitted, parameters) = fake.with(|f| (f.submitted.clone(), f.parameters.clone()));
    let instance = parameters.rollup().expect("keys aggregate").instance();
    assert_eq!(submitted.len(), 2);
    for bytes in submitted {
        let signed = SignedTransaction::decode(&bytes).expect("a transaction");
        assert!(signed.is_signed(&instance));
        assert_eq!((signed.transaction.from().to_string(), signed.transaction.nonce()), (account.clone(), 4));
    }
    let status = hand.does("--json status").json();
    assert_eq!(status["wallet"]["withdrawals"][0]["receipt"]["state"], "pending");
}

#[test]
fn a_node_that_refuses_is_quoted() {
    let fake = without_bitcoin();
    fake.with(|f| f.refuses = true);
    let serving = fake.serve();
    let hand = Hand::new(&serving.url());
    hand.does("wallet new");
    let said = hand.types(&format!("send {} 5sat", address(Network::Regtest)));
    assert_eq!((said.code, said.err.as_str()), (1, "error: the committee is closed: try tomorrow"));
}

#[test]
fn with_json_there_is_one_object_whatever_happens() {
    let fake = without_bitcoin();
    let serving = fake.serve();
    let hand = Hand::new(&serving.url());
    for (line, code, error) in [
        ("wallet new --json", 0, None),
        ("wallet new --json", 1, Some("wallet_exists")),
        ("wallet address --json", 0, None),
        ("status --json", 0, None),
        ("faucet 1BTC --json", 0, None),
        ("deposit 0.2BTC --json", 1, Some("no_denomination")),
        ("deposit 0.2 --json", 2, Some("usage")),
        ("--json --rpc http://127.0.0.1:9 status", 1, Some("node_down")),
    ] {
        let said = hand.types(line);
        assert_eq!((said.code, said.err.as_str()), (code, ""), "{line}: {said:?}");
        let object = said.json();
        assert_eq!(object["error"]["code"].as_str(), error, "{line}");
    }
}

#[test]
fn a_wallet_is_private_and_its_words_restore_it() {
    let hand = Hand::new(NOWHERE);
    let new = hand.does("--json wallet new").json();
    let file = hand.home.path().join(".trestle/default/mnemonic");
    assert_eq!(fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o600);
    let words = fs::File::open(&file).expect("opens");
    let restored = std::process::Command::new(env!("CARGO_BIN_EXE_trestle"))
        .args(["--json", "--wallet", &format!("{}/again", hand.home.path().display()), "wallet", "new", "--restore"])
        .stdin(words)
        .output()
        .expect("runs");
    let restored: serde_json::Value = serde_json::from_slice(&restored.stdout).expect("JSON");
    assert_eq!(restored["layer2_address"], new["layer2_address"]);
    let said = hand.types("--wallet none wallet new --restore");
    assert_eq!(said.code, 1);
    assert!(said.err.starts_with("error: these are not the words of a wallet"), "{said:?}");
}

#[test]
fn every_command_helps_in_plain_text_and_a_reader_may_leave() {
    let hand = Hand::new(NOWHERE);
    for line in ["--help", "wallet --help", "wallet new --help", "deposit --help", "force send --help", "help refund"] {
        let said = hand.does(line);
        assert!(said.out.contains("xample") || line != "deposit --help", "{line}");
        assert!(said.out.len() > 200 && said.err.is_empty(), "{line}");
    }
    let quiet = std::process::Command::new("sh")
        .args(["-c", "\"$0\" --help | head -1 >/dev/null", env!("CARGO_BIN_EXE_trestle")])
        .output()
        .expect("sh runs");
    assert!(quiet.stderr.is_empty(), "{quiet:?}");
}
