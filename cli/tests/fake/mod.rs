//! A node that answers from memory, and a hand that types commands.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use bitcoin::address::NetworkUnchecked;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use bitcoin::{Address, Amount, BlockHash, Txid, XOnlyPublicKey};
use serde_json::Value;
use tempfile::TempDir;
use trestle_bridge::parameters::{BridgeParameters, Genesis, Members};
use trestle_bridge::transactions::DepositTerms;
use trestle_cli::rpc::types::*;
use trestle_cli::rpc::{Backend, RpcError, Serving, serve};

/// A key that is somebody's.
pub fn key(byte: u8) -> PublicKey {
    SecretKey::from_slice(&[byte; 32]).expect("a scalar").public_key(&Secp256k1::new())
}

fn xonly(byte: u8) -> XOnlyPublicKey {
    key(byte).x_only_public_key().0
}

/// The parameters of a small bridge.
pub fn parameters(genesis: Genesis) -> BridgeParameters {
    let members = Members {
        signers: vec![key(1), key(2), key(3)],
        operators: vec![xonly(4), xonly(5)],
        challengers: vec![xonly(6)],
        sequencers: vec![xonly(7)],
    };
    BridgeParameters::regtest(members, genesis)
}

/// What the node says, for tests to change.
#[derive(Clone)]
pub struct Facts {
    pub parameters: BridgeParameters,
    pub balance: Amount,
    pub nonce: u64,
    pub room: u32,
    pub endpoint: ChainEndpoint,
    /// Whether deposits and transactions are refused.
    pub refuses: bool,
    pub deposits: Vec<DepositTerms>,
    pub submitted: Vec<Vec<u8>>,
}

pub struct Fake(pub Mutex<Facts>);

impl Fake {
    /// A node of a bridge that begins at `genesis`, whose users read Bitcoin at `endpoint`.
    pub fn new(genesis: Genesis, endpoint: ChainEndpoint) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Facts {
            parameters: parameters(genesis),
            balance: Amount::from_sat(20_000_100),
            nonce: 0,
            room: 3,
            endpoint,
            refuses: false,
            deposits: vec![],
            submitted: vec![],
        })))
    }

    pub fn serve(self: &Arc<Self>) -> Serving {
        serve("127.0.0.1:0".parse().expect("an address"), self.clone()).expect("listens")
    }

    pub fn with<T>(&self, f: impl FnOnce(&mut Facts) -> T) -> T {
        f(&mut self.0.lock().expect("no test panicked here"))
    }

    fn accepted(&self) -> Result<(), RpcError> {
        let refuses = self.with(|f| f.refuses);
        if refuses { Err(RpcError::Refused("the committee is closed: try tomorrow".into())) } else { Ok(()) }
    }
}

impl Backend for Fake {
    fn status(&self) -> Result<Status, RpcError> {
        let facts = self.with(|f| f.clone());
        let runway = |denomination: &Amount| Runway {
            denomination: *denomination,
            open_slots: 5,
            vaults: 2,
            withdrawals: 1,
            blocks: 1000,
            room: facts.room,
        };
        Ok(Status {
            bitcoin: BitcoinTip { height: 120, hash: BlockHash::from_byte_array([8; 32]) },
            layer2: Layer2Tip { height: 120, entry: Hex32([7; 32]), supply: facts.balance, pending_withdrawals: 0 },
            minimum_fee: Amount::from_sat(10),
            sequencers: vec![facts.parameters.sequencers.clone()],
            runway: facts.parameters.denominations.iter().map(runway).collect(),
            roles: vec![Role { role: "signer".into(), index: 0, key: key(1).to_string(), state: "ready".into() }],
            parameters: facts.parameters,
        })
    }
    fn account(&self, account: XOnlyPublicKey) -> Result<AccountStatus, RpcError> {
        let (balance, nonce) = self.with(|f| (f.balance, f.nonce));
        Ok(AccountStatus { account, balance, nonce, available: balance, next_nonce: nonce })
    }
    fn submit(&self, transaction: &[u8]) -> Result<Hex32, RpcError> {
        self.accepted()?;
        self.with(|f| f.submitted.push(transaction.to_vec()));
        Ok(Hex32([1; 32]))
    }
    fn receipt(&self, _: ReceiptQuery) -> Result<Receipt, RpcError> {
        Ok(Receipt::Pending)
    }
    fn deposit(&self, terms: DepositTerms, _: Signature) -> Result<DepositStatus, RpcError> {
        self.accepted()?;
        self.with(|f| f.deposits.push(terms));
        Ok(DepositStatus { terms, state: DepositState::Unseen })
    }
    fn deposits(&self, _: XOnlyPublicKey) -> Result<Vec<DepositStatus>, RpcError> {
        let deposits = self.with(|f| f.deposits.clone());
        Ok(deposits.into_iter().map(|terms| DepositStatus { terms, state: DepositState::Unseen }).collect())
    }
    fn withdrawals(&self, _: WithdrawalQuery) -> Result<Vec<WithdrawalStatus>, RpcError> {
        Ok(vec![])
    }
    fn entry(&self, _: u32) -> Result<EntryStatus, RpcError> {
        Err(RpcError::NotFound("there is no such block yet".into()))
    }
    fn faucet(&self, _: Address<NetworkUnchecked>, _: u64) -> Result<Txid, RpcError> {
        Ok(Txid::from_byte_array([6; 32]))
    }
    fn chain(&self) -> Result<ChainEndpoint, RpcError> {
        Ok(self.with(|f| f.endpoint.clone()))
    }
}

/// What a command left behind.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A person with a home directory.
pub struct Hand {
    pub home: TempDir,
    pub rpc: String,
}

impl Hand {
    pub fn new(rpc: &str) -> Self {
        Self { home: tempfile::tempdir().expect("a directory"), rpc: rpc.into() }
    }

    /// Types `trestle …`; `$HOME` in the line is the person's.
    pub fn types(&self, line: &str) -> Said {
        let words = line.split_whitespace().map(|w| w.replace("$HOME", &self.home.path().display().to_string()));
        let done = Command::new(env!("CARGO_BIN_EXE_trestle"))
            .args(words)
            .env_clear()
            .env("HOME", self.home.path())
            .env("TRESTLE_RPC", &self.rpc)
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs");
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).expect("UTF-8").trim_end().to_string();
            text.replace(&self.home.path().display().to_string(), "$HOME").replace(&self.rpc, "$RPC")
        };
        Said { code: done.status.code().unwrap_or(-1), out: text(done.stdout), err: text(done.stderr) }
    }

    /// Types it and insists that it works.
    pub fn does(&self, line: &str) -> Said {
        let said = self.types(line);
        assert_eq!(said.code, 0, "{line}: {said:?}");
        said
    }
}
