//! The chain from a Bitcoin Core node's JSON-RPC.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Block, BlockHash, FeeRate, Network, OutPoint, Transaction, Txid};
use jsonrpc::http::simple_http::{self, SimpleHttpTransport};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{BlockId, Chain, ChainError, Located, fee_rate_from_btc_per_kvb};

/// A block is at most 8 MB of hex; a node that is catching up answers slowly.
const TIMEOUT: Duration = Duration::from_secs(60);

// Error codes of Bitcoin Core's src/rpc/protocol.h.
const MISC_ERROR: i32 = -1;
const INVALID_ADDRESS_OR_KEY: i32 = -5;
const INVALID_PARAMETER: i32 = -8;
const IN_WARMUP: i32 = -28;

/// As `maxfeerate`: no limit. The node's own, 0.1 BTC/kvB, is reached by a small child that lifts a large batch.
const ANY_FEE_RATE: u8 = 0;

/// How to prove to a node that one may command it.
#[derive(Clone)]
pub enum Auth {
    /// The file `.cookie` in the node's data directory, rewritten whenever the node starts.
    Cookie(PathBuf),
    /// A user of `rpcauth` or `rpcuser`.
    Password {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cookie(path) => f.debug_tuple("Cookie").field(path).finish(),
            Self::Password { user, .. } => f.debug_struct("Password").field("user", user).finish_non_exhaustive(),
        }
    }
}

/// A Bitcoin Core node with `txindex=1` and `txospenderindex=1`.
pub struct Bitcoind {
    url: String,
    auth: Auth,
    network: Network,
    /// None before the first call and after one that failed, so that the next reads the cookie anew.
    client: Mutex<Option<std::sync::Arc<jsonrpc::Client>>>,
    /// Whether the node at the other end was seen to be on `network` since the connection was made.
    on_network: AtomicBool,
}

#[derive(Deserialize)]
struct ChainInfo {
    chain: String,
    blocks: u32,
    bestblockhash: BlockHash,
}

#[derive(Deserialize)]
struct RawTransaction {
    hex: String,
    blockhash: Option<BlockHash>,
}

#[derive(Deserialize)]
struct HeaderInfo {
    height: u32,
    /// −1 for a block that is not in the best chain.
    confirmations: i64,
}

#[derive(Deserialize)]
struct Spending {
    spendingtx: Option<String>,
    blockhash: Option<BlockHash>,
}

#[derive(Deserialize)]
struct PackageResult {
    package_msg: String,
    #[serde(rename = "tx-results", default)]
    results: std::collections::BTreeMap<String, PackageTransaction>,
}

#[derive(Deserialize)]
struct PackageTransaction {
    txid: Txid,
    error: Option<String>,
}

#[derive(Deserialize)]
struct FeeEstimate {
    feerate: Option<f64>,
}

#[derive(Deserialize)]
struct MempoolInfo {
    mempoolminfee: f64,
}

/// A call that failed: in the node's own words and code, or before the node could answer.
enum CallError {
    Node { code: i32, message: String },
    Other(ChainError),
}

impl Bitcoind {
    /// A node at `url` (`http://host:port`) that is to be on `network`. Does not connect yet.
    pub fn new(url: &str, auth: Auth, network: Network) -> Result<Self, ChainError> {
        SimpleHttpTransport::builder()
            .url(url)
            .map_err(|e| ChainError::Address { url: url.into(), reason: e.to_string() })?;
        let (client, on_network) = (Mutex::new(None), AtomicBool::new(false));
        Ok(Self { url: url.into(), auth, network, client, on_network })
    }

    /// The node's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Any RPC of the node, for what the [`Chain`] does not cover (mining on regtest).
    pub fn call<T: DeserializeOwned>(&self, method: &str, parameters: &[Value]) -> Result<T, ChainError> {
        self.ask(method, parameters).map_err(|e| self.unexpected(method, e))
    }

    fn unreachable(&self, reason: impl ToString) -> ChainError {
        ChainError::Unreachable { server: self.url.clone(), reason: reason.to_string() }
    }

    fn bad_answer(&self, call: &str, reason: impl ToString) -> ChainError {
        ChainError::BadAnswer { server: self.url.clone(), call: call.into(), reason: reason.to_string() }
    }

    /// What an answer means that the caller has no meaning for.
    fn unexpected(&self, method: &str, error: CallError) -> ChainError {
        match error {
            CallError::Node { code: IN_WARMUP, message } => self.unreachable(format!("it is starting ({message})")),
            CallError::Node { code, message } => self.bad_answer(method, format!("{message} (code {code})")),
            CallError::Other(error) => error,
        }
    }

    fn client(&self) -> Result<std::sync::Arc<jsonrpc::Client>, ChainError> {
        let mut client = self.client.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let credentials = match &self.auth {
            Auth::Password { user, password } => format!("{user}:{password}"),
            Auth::Cookie(path) => std::fs::read_to_string(path).map_err(|e| {
                self.unreachable(format!("no cookie at {} ({e}): is bitcoind running?", path.display()))
            })?,
        };
        let transport = SimpleHttpTransport::builder()
            .timeout(TIMEOUT)
            .url(&self.url)
            .map_err(|e| ChainError::Address { url: self.url.clone(), reason: e.to_string() })?
            .cookie_auth(credentials.trim_end())
            .build();
        let made = std::sync::Arc::new(jsonrpc::Client::with_transport(transport));
        *client = Some(made.clone());
        Ok(made)
    }

    fn forget_client(&self) {
        *self.client.lock().unwrap_or_else(|e| e.into_inner()) = None;
        self.on_network.store(false, Ordering::Release);
    }

    /// Asks a node whose network was checked.
    fn ask<T: DeserializeOwned>(&self, method: &str, parameters: &[Value]) -> Result<T, CallError> {
        if !self.on_network.load(Ordering::Acquire) {
            let info = self.send("getblockchaininfo", &[])?;
            self.check_network(&info).map_err(CallError::Other)?;
        }
        self.send(method, parameters)
    }

    fn check_network(&self, info: &ChainInfo) -> Result<(), ChainError> {
        if info.chain != self.network.to_core_arg() {
            let (server, found) = (self.url.clone(), info.chain.clone());
            return Err(ChainError::WrongNetwork { server, expected: self.network, found });
        }
        self.on_network.store(true, Ordering::Release);
        Ok(())
    }

    fn send<T: DeserializeOwned>(&self, method: &str, parameters: &[Value]) -> Result<T, CallError> {
        match self.send_once(method, parameters) {
            // The node restarted and made another cookie.
            Err(CallError::Other(ChainError::Credentials { .. })) if matches!(self.auth, Auth::Cookie(_)) => {
                self.send_once(method, parameters)
            }
            answer => answer,
        }
    }

    fn send_once<T: DeserializeOwned>(&self, method: &str, parameters: &[Value]) -> Result<T, CallError> {
        let client = self.client().map_err(CallError::Other)?;
        let raw = jsonrpc::try_arg(parameters).map_err(|e| CallError::Other(self.bad_answer(method, e)))?;
        let answer = client.send_request(client.build_request(method, Some(&raw))).and_then(|answer| answer.result());
        answer.map_err(|error| match error {
            jsonrpc::Error::Rpc(error) => CallError::Node { code: error.code, message: error.message },
            jsonrpc::Error::Transport(error) => {
                self.forget_client();
                CallError::Other(match error.downcast_ref::<simple_http::Error>() {
                    Some(simple_http::Error::HttpErrorCode(401 | 403)) => self.refused(),
                    _ => self.unreachable(error),
                })
            }
            other => CallError::Other(self.bad_answer(method, other)),
        })
    }

    fn refused(&self) -> ChainError {
        let hint = match &self.auth {
            Auth::Cookie(path) => format!("is {} the cookie of this node?", path.display()),
            Auth::Password { user, .. } => format!("is the password of user {user} right?"),
        };
        ChainError::Credentials { server: self.url.clone(), hint }
    }

    fn decode<T: bitcoin::consensus::Decodable>(&self, call: &str, hex: &str) -> Result<T, ChainError> {
        deserialize_hex(hex).map_err(|e| self.bad_answer(call, e))
    }

    /// A transaction found in the block `hash`, or in the mempool; none where that block left the best chain.
    fn located(&self, call: &str, hex: &str, block: Option<BlockHash>) -> Result<Option<Located>, ChainError> {
        let tx = self.decode(call, hex)?;
        let Some(hash) = block else { return Ok(Some(Located { tx, height: None })) };
        let header: HeaderInfo = self.call("getblockheader", &[json!(hash)])?;
        Ok((header.confirmations > 0).then_some(Located { tx, height: Some(header.height) }))
    }

    fn send_package(&self, transactions: &[&Transaction]) -> Result<(), ChainError> {
        let hex: Vec<_> = transactions.iter().map(|tx| serialize_hex(*tx)).collect();
        let last = transactions[transactions.len() - 1].compute_txid();
        let rejected = |txid, reason| Err(ChainError::Rejected { txid, reason });
        match self.ask::<PackageResult>("submitpackage", &[json!(hex), ANY_FEE_RATE.into()]) {
            Ok(result) if result.package_msg == "success" => Ok(()),
            Ok(result) => {
                let blamed = transactions.iter().find_map(|tx| {
                    let txid = tx.compute_txid();
                    let of_it = result.results.values().find(|r| r.txid == txid)?;
                    Some((txid, of_it.error.clone()?))
                });
                let (txid, reason) = blamed.unwrap_or((last, result.package_msg));
                rejected(txid, reason)
            }
            Err(CallError::Node { code, message }) if code != IN_WARMUP => rejected(last, message),
            Err(error) => Err(self.unexpected("submitpackage", error)),
        }
    }

    fn send_transaction(&self, tx: &Transaction) -> Result<(), ChainError> {
        match self.ask::<Value>("sendrawtransaction", &[json!(serialize_hex(tx)), ANY_FEE_RATE.into()]) {
            Ok(_) => Ok(()),
            Err(CallError::Node { code, message }) if code != IN_WARMUP => {
                Err(ChainError::Rejected { txid: tx.compute_txid(), reason: message })
            }
            Err(error) => Err(self.unexpected("sendrawtransaction", error)),
        }
    }
}

impl Chain for Bitcoind {
    fn network(&self) -> Network {
        self.network
    }

    fn tip(&self) -> Result<BlockId, ChainError> {
        let info: ChainInfo =
            self.send("getblockchaininfo", &[]).map_err(|e| self.unexpected("getblockchaininfo", e))?;
        self.check_network(&info)?;
        Ok(BlockId { height: info.blocks, hash: info.bestblockhash })
    }

    fn block_hash(&self, height: u32) -> Result<Option<BlockHash>, ChainError> {
        match self.ask("getblockhash", &[json!(height)]) {
            Ok(hash) => Ok(Some(hash)),
            Err(CallError::Node { code: INVALID_PARAMETER, .. }) => Ok(None),
            Err(error) => Err(self.unexpected("getblockhash", error)),
        }
    }

    fn header(&self, height: u32) -> Result<Option<Header>, ChainError> {
        let Some(hash) = self.block_hash(height)? else { return Ok(None) };
        match self.ask::<String>("getblockheader", &[json!(hash), json!(false)]) {
            Ok(hex) => self.decode("getblockheader", &hex).map(Some),
            Err(CallError::Node { code: INVALID_ADDRESS_OR_KEY, .. }) => Err(ChainError::UnknownBlock(hash)),
            Err(error) => Err(self.unexpected("getblockheader", error)),
        }
    }

    fn block(&self, hash: &BlockHash) -> Result<Block, ChainError> {
        match self.ask::<String>("getblock", &[json!(hash), json!(0)]) {
            Ok(hex) => self.decode("getblock", &hex),
            Err(CallError::Node { code: INVALID_ADDRESS_OR_KEY, .. }) => Err(ChainError::UnknownBlock(*hash)),
            Err(error) => Err(self.unexpected("getblock", error)),
        }
    }

    fn transaction(&self, txid: &Txid) -> Result<Option<Located>, ChainError> {
        match self.ask::<RawTransaction>("getrawtransaction", &[json!(txid), json!(1)]) {
            Ok(found) => self.located("getrawtransaction", &found.hex, found.blockhash),
            Err(CallError::Node { code: INVALID_ADDRESS_OR_KEY, message }) => {
                if message.contains("-txindex") {
                    return Err(ChainError::MissingIndex { server: self.url.clone(), index: "txindex" });
                }
                if message.contains("still in the process of being indexed") {
                    return Err(self.unreachable(message));
                }
                Ok(None)
            }
            Err(error) => Err(self.unexpected("getrawtransaction", error)),
        }
    }

    fn spender(&self, outpoint: &OutPoint) -> Result<Option<Located>, ChainError> {
        const CALL: &str = "gettxspendingprevout";
        let outputs = json!([{ "txid": outpoint.txid, "vout": outpoint.vout }]);
        let options = json!({ "mempool_only": false, "return_spending_tx": true });
        match self.ask::<Vec<Spending>>(CALL, &[outputs, options]) {
            Ok(found) => match found.into_iter().next() {
                Some(Spending { spendingtx: Some(hex), blockhash }) => self.located(CALL, &hex, blockhash),
                _ => Ok(None),
            },
            Err(CallError::Node { code: MISC_ERROR, message })
                if message.contains("txospenderindex is unavailable") =>
            {
                Err(ChainError::MissingIndex { server: self.url.clone(), index: "txospenderindex" })
            }
            Err(error) => Err(self.unexpected(CALL, error)),
        }
    }

    fn broadcast(&self, transactions: &[&Transaction]) -> Result<(), ChainError> {
        super::broadcast(self, transactions, |missing| match missing {
            [tx] => self.send_transaction(tx),
            package => self.send_package(package),
        })
    }

    fn fee_rate(&self, target: u16) -> Result<FeeRate, ChainError> {
        let mempool: MempoolInfo = self.call("getmempoolinfo", &[])?;
        let estimate: FeeEstimate = self.call("estimatesmartfee", &[json!(target.max(1))])?;
        let least = fee_rate_from_btc_per_kvb(mempool.mempoolminfee)
            .ok_or_else(|| self.bad_answer("getmempoolinfo", "mempoolminfee is no amount"))?;
        Ok(estimate.feerate.and_then(fee_rate_from_btc_per_kvb).map_or(least, |rate| rate.max(least)))
    }
}
