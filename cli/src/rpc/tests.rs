//! The wire format, against a fake backend and a plain HTTP client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::user::node::{Node, NodeError};

const KEY: &str = "a407bf65f2e99c5eca122989073c987cd8025bbd1e792239ad073c4252e83d77";
const ID: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const ADDRESS: &str = "bcrt1q6rhpng9evdsfnn833a4f4vej0asu6dk5srld6x";

#[derive(Default)]
struct Fake {
    submitted: Mutex<Vec<Vec<u8>>>,
}

fn txid() -> Txid {
    "02".repeat(32).parse().expect("a txid")
}

impl Backend for Fake {
    fn status(&self) -> Result<Status, RpcError> {
        Err(RpcError::Unavailable("the node is at block 5\n of 9: try again".into()))
    }
    fn account(&self, account: XOnlyPublicKey) -> Result<AccountStatus, RpcError> {
        let (balance, available) = (bitcoin::Amount::from_sat(10), bitcoin::Amount::from_sat(7));
        Ok(AccountStatus { account, balance, nonce: 1, available, next_nonce: 2 })
    }
    fn submit(&self, transaction: &[u8]) -> Result<Hex32, RpcError> {
        self.submitted.lock().expect("no panic").push(transaction.to_vec());
        Ok(Hex32([1; 32]))
    }
    fn receipt(&self, query: ReceiptQuery) -> Result<Receipt, RpcError> {
        Ok(match query {
            ReceiptQuery::Submitted(_) => Receipt::Executed { height: 7, txid: Some(txid()), withdrawal: Some(3) },
            ReceiptQuery::Forced(_) => Receipt::Unknown,
        })
    }
    fn deposit(&self, terms: DepositTerms, _: Signature) -> Result<DepositStatus, RpcError> {
        Ok(DepositStatus { terms, state: DepositState::Waiting { confirmations: 1, needed: 6 } })
    }
    fn deposits(&self, _: XOnlyPublicKey) -> Result<Vec<DepositStatus>, RpcError> {
        Ok(vec![])
    }
    fn withdrawals(&self, query: WithdrawalQuery) -> Result<Vec<WithdrawalStatus>, RpcError> {
        let WithdrawalQuery::Destination(destination) = query else {
            return Err(RpcError::NotFound("there is no withdrawal 9".into()));
        };
        let status = |id, state| WithdrawalStatus {
            id,
            denomination: bitcoin::Amount::from_sat(1_000_000),
            destination: destination.clone(),
            requested_height: 4,
            state,
        };
        let pending = WithdrawalState::Pending { turn: Turn::Operator(1), until_height: 20 };
        let paid = WithdrawalState::Paid { txid: txid(), height: 5, by: Turn::Committee };
        Ok(vec![status(0, pending), status(1, paid)])
    }
    fn entry(&self, _: u32) -> Result<EntryStatus, RpcError> {
        panic!("a fault of the node")
    }
    fn faucet(&self, _: Address<NetworkUnchecked>, amount_sat: u64) -> Result<Txid, RpcError> {
        if amount_sat > 5 { Err(RpcError::Refused("the faucet gives 5 sat at most".into())) } else { Ok(txid()) }
    }
    fn chain(&self) -> Result<ChainEndpoint, RpcError> {
        Ok(ChainEndpoint { url: "tcp://127.0.0.1:1".into(), cookie_file: None })
    }
}

fn serving() -> (Serving, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    let serving = serve("127.0.0.1:0".parse().expect("an address"), fake.clone()).expect("listens");
    (serving, fake)
}

fn http(to: SocketAddr, host: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(to).expect("connects");
    let length = body.len();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    // A server that refuses a large request may close before it has read it all.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, answer.split("\r\n\r\n").nth(1).unwrap_or_default().into())
}

fn call(to: SocketAddr, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let (status, answer) = http(to, &to.to_string(), &body);
    assert_eq!(status, 200);
    serde_json::from_str(&answer).expect("a JSON answer")
}

#[test]
fn every_answer_has_its_documented_shape() {
    let (serving, fake) = serving();
    let to = serving.address();
    let terms = json!({ "outpoint": format!("{}:1", txid()), "denomination": 2, "account": KEY, "refund_key": KEY });
    let mut waiting = terms.clone();
    waiting["state"] = json!("waiting");
    waiting["confirmations"] = json!(1);
    waiting["needed"] = json!(6);
    for (method, params, result) in [
        (
            "trestle_account",
            json!([KEY]),
            json!({ "account": KEY, "balance_sat": 10, "nonce": 1, "available_sat": 7, "next_nonce": 2 }),
        ),
        ("trestle_submit", json!(["00ff"]), json!(ID)),
        (
            "trestle_receipt",
            json!([{ "submitted": ID }]),
            json!({ "state": "executed", "height": 7, "txid": txid(), "withdrawal": 3 }),
        ),
        ("trestle_receipt", json!([{ "forced": txid() }]), json!({ "state": "unknown" })),
        ("trestle_deposit", json!([terms, "cd".repeat(64)]), waiting),
        ("trestle_deposits", json!([KEY]), json!([])),
        (
            "trestle_withdrawals",
            json!([{ "destination": ADDRESS }]),
            json!([
                {
                    "id": 0, "denomination_sat": 1_000_000, "destination": ADDRESS, "requested_height": 4,
                    "state": "pending", "turn": { "operator": 1 }, "until_height": 20,
                },
                {
                    "id": 1, "denomination_sat": 1_000_000, "destination": ADDRESS, "requested_height": 4,
                    "state": "paid", "txid": txid(), "height": 5, "by": "committee",
                },
            ]),
        ),
        ("trestle_faucet", json!([ADDRESS, 5]), json!(txid())),
        ("trestle_chain", json!([]), json!({ "url": "tcp://127.0.0.1:1" })),
    ] {
        assert_eq!(call(to, method, params)["result"], result, "{method}");
    }
    assert_eq!(*fake.submitted.lock().expect("no panic"), [vec![0, 255]]);
}

#[test]
fn every_error_has_a_code_and_one_line() {
    let (serving, _) = serving();
    for (method, params, code, line) in [
        ("trestle_status", json!([]), -32003, Some("the node is at block 5 of 9: try again")),
        ("trestle_submit", json!(["0g"]), -32602, Some("the transaction is not hexadecimal")),
        ("trestle_withdrawals", json!([{ "id": 9 }]), -32002, Some("there is no withdrawal 9")),
        ("trestle_faucet", json!([ADDRESS, 6]), -32001, Some("the faucet gives 5 sat at most")),
        ("trestle_account", json!(["00"]), -32602, None),
        ("trestle_account", json!(["ff".repeat(32)]), -32602, None),
        ("trestle_receipt", json!([ID]), -32602, None),
        ("trestle_entry", json!([1]), -32603, None),
        ("trestle_nothing", json!([]), -32601, None),
    ] {
        let error = &call(serving.address(), method, params)["error"];
        assert_eq!(error["code"], code, "{method}: {error}");
        if let Some(line) = line {
            assert_eq!(error["message"], line, "{method}");
        }
    }
}

#[test]
fn only_this_machine_is_served_and_only_under_its_own_name() {
    let fake: Arc<dyn Backend> = Arc::new(Fake::default());
    let everywhere = "0.0.0.0:0".parse().expect("an address");
    assert!(matches!(serve(everywhere, fake), Err(ServeError::NotLoopback(_))));
    let (serving, _) = serving();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "trestle_chain", "params": [] }).to_string();
    assert_eq!(http(serving.address(), "localhost:17080", &body).0, 200);
    assert_eq!(http(serving.address(), "example.com", &body).0, 403);
}

#[test]
fn a_request_that_is_too_large_is_refused() {
    let (serving, fake) = serving();
    let hex = "00".repeat(MAX_REQUEST_BYTES as usize);
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "trestle_submit", "params": [hex] }).to_string();
    assert_ne!(http(serving.address(), "localhost", &body).0, 200);
    assert!(fake.submitted.lock().expect("no panic").is_empty());
}

#[test]
fn the_client_reads_what_the_server_writes() {
    let (serving, _) = serving();
    let node = Node::new(&serving.url()).expect("a URL");
    let key: XOnlyPublicKey = KEY.parse().expect("a key");
    assert_eq!(node.account(key).expect("answers").next_nonce, 2);
    assert_eq!(node.submit(&[1, 2]), Ok(Hex32([1; 32])));
    let destination: Address<NetworkUnchecked> = ADDRESS.parse().expect("an address");
    let withdrawals = node.withdrawals(WithdrawalQuery::Destination(destination)).expect("answers");
    assert_eq!(withdrawals[1].state, WithdrawalState::Paid { txid: txid(), height: 5, by: Turn::Committee });
    let refused = node.status().expect_err("unavailable");
    assert_eq!(refused, NodeError::Refused { code: -32003, line: "the node is at block 5 of 9: try again".into() });
}

#[test]
fn a_node_that_is_down_is_named() {
    let (serving, _) = serving();
    let url = serving.url();
    drop(serving);
    assert_eq!(Node::new(&url).expect("a URL").chain(), Err(NodeError::Down(url)));
    assert!(matches!(Node::new("https://example.com"), Err(NodeError::Url(_))));
    assert!(matches!(Node::new("17080"), Err(NodeError::Url(_))));
}
