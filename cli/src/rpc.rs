//! The devnet's JSON-RPC interface: what a node answers about the bridge, and what it takes from users.
//!
//! One trait, [`Api`], gives both ends their types; [`serve`] puts a [`Backend`] behind it. Every method is `trestle_…`
//! with positional parameters. Amounts are whole satoshi, keys and digests hexadecimal. An error is a code and one line
//! that says what to do ([`RpcError`]).
//!
//! The interface has no passwords, so [`serve`] takes a loopback address only, and answers only requests that were sent
//! to a loopback name: a web page that points its own name at 127.0.0.1 gets nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use bitcoin::address::NetworkUnchecked;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{Address, Txid, XOnlyPublicKey};
use jsonrpsee::Methods;
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::server::middleware::http::HostFilterLayer;
use jsonrpsee::server::{BatchRequestConfig, ServerBuilder, ServerConfig, ServerHandle};
use jsonrpsee::types::ErrorObjectOwned;
use trestle_bridge::transactions::DepositTerms;

mod text;
pub mod types;

pub use text::Text;
use text::TextLayer;
use types::*;

/// The largest request that is read, in bytes: the largest Layer 2 transaction fits a hundred times.
pub const MAX_REQUEST_BYTES: u32 = 64 * 1024;
/// The largest answer that is sent, in bytes.
pub const MAX_RESPONSE_BYTES: u32 = 4 * 1024 * 1024;
/// The most requests in one JSON-RPC batch.
pub const MAX_BATCH: u32 = 16;
/// Connections served at once.
pub const MAX_CONNECTIONS: u32 = 64;
/// Messages that wait for a client on WebSocket to read them; then whoever has more for it waits.
pub const MAX_WAITING: u32 = 16;

/// What a node answers; implemented by whatever runs the bridge. Methods may block: each call has a thread of its own.
pub trait Backend: Send + Sync + 'static {
    /// The bridge as it stands.
    fn status(&self) -> Result<Status, RpcError>;
    /// One Layer 2 account.
    fn account(&self, account: XOnlyPublicKey) -> Result<AccountStatus, RpcError>;
    /// Takes a signed Layer 2 transaction to the sequencers and gives its id ([`ReceiptQuery::Submitted`]), or says why
    /// they would not order it.
    fn submit(&self, transaction: &[u8]) -> Result<Hex32, RpcError>;
    /// What became of a Layer 2 transaction. One never heard of is [`Receipt::Unknown`], so is a forced one in no block.
    fn receipt(&self, query: ReceiptQuery) -> Result<Receipt, RpcError>;
    /// Takes the terms of a deposit, with their user's consent ([`trestle_signer::consent`]), to the committee, or says why
    /// it will not confirm it. The same terms again are no
    /// error: the answer is how far the deposit has come.
    fn deposit(&self, terms: DepositTerms, consent: Signature) -> Result<DepositStatus, RpcError>;
    /// The deposits registered for an account, oldest first.
    fn deposits(&self, account: XOnlyPublicKey) -> Result<Vec<DepositStatus>, RpcError>;
    /// The withdrawals that match, oldest first.
    fn withdrawals(&self, query: WithdrawalQuery) -> Result<Vec<WithdrawalStatus>, RpcError>;
    /// R_h and what it commits to.
    fn entry(&self, height: u32) -> Result<EntryStatus, RpcError>;
    /// Sends coins made from nothing; regtest only.
    fn faucet(&self, address: Address<NetworkUnchecked>, amount_sat: u64) -> Result<Txid, RpcError>;
    /// How a user's wallet can read Bitcoin and broadcast to it.
    fn chain(&self) -> Result<ChainEndpoint, RpcError>;
}

/// The methods on the wire; see [`Backend`] for what each does.
#[rpc(server, client, namespace = "trestle")]
pub trait Api {
    /// [`Backend::status`].
    #[method(name = "status", blocking)]
    fn status(&self) -> Result<Status, RpcError>;
    /// [`Backend::account`].
    #[method(name = "account", blocking)]
    fn account(&self, account: XOnlyPublicKey) -> Result<AccountStatus, RpcError>;
    /// [`Backend::submit`], the transaction in hexadecimal.
    #[method(name = "submit", blocking)]
    fn submit(&self, transaction: String) -> Result<Hex32, RpcError>;
    /// [`Backend::receipt`].
    #[method(name = "receipt", blocking)]
    fn receipt(&self, query: ReceiptQuery) -> Result<Receipt, RpcError>;
    /// [`Backend::deposit`].
    #[method(name = "deposit", blocking)]
    fn deposit(&self, terms: DepositTerms, consent: Signature) -> Result<DepositStatus, RpcError>;
    /// [`Backend::deposits`].
    #[method(name = "deposits", blocking)]
    fn deposits(&self, account: XOnlyPublicKey) -> Result<Vec<DepositStatus>, RpcError>;
    /// [`Backend::withdrawals`].
    #[method(name = "withdrawals", blocking)]
    fn withdrawals(&self, query: WithdrawalQuery) -> Result<Vec<WithdrawalStatus>, RpcError>;
    /// [`Backend::entry`].
    #[method(name = "entry", blocking)]
    fn entry(&self, height: u32) -> Result<EntryStatus, RpcError>;
    /// [`Backend::faucet`].
    #[method(name = "faucet", blocking)]
    fn faucet(&self, address: Address<NetworkUnchecked>, amount_sat: u64) -> Result<Txid, RpcError>;
    /// [`Backend::chain`].
    #[method(name = "chain", blocking)]
    fn chain(&self) -> Result<ChainEndpoint, RpcError>;
}

/// Why a node does not do what it was asked; the text is one line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// The request makes no sense. Code -32602.
    #[error("{0}")]
    Invalid(String),
    /// The request makes sense and is refused: too little money, a wrong nonce, no room for a deposit. Code -32001.
    #[error("{0}")]
    Refused(String),
    /// There is no such thing. Code -32002.
    #[error("{0}")]
    NotFound(String),
    /// Not now: the node is behind, or a part of it is down. Code -32003.
    #[error("{0}")]
    Unavailable(String),
    /// The node has failed. Code -32603.
    #[error("{0}")]
    Internal(String),
}

impl RpcError {
    /// The JSON-RPC error code.
    pub fn code(&self) -> i32 {
        match self {
            Self::Invalid(_) => -32602,
            Self::Refused(_) => -32001,
            Self::NotFound(_) => -32002,
            Self::Unavailable(_) => -32003,
            Self::Internal(_) => -32603,
        }
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        let line = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        ErrorObjectOwned::owned(error.code(), line, None::<()>)
    }
}

struct Served(Arc<dyn Backend>);

impl ApiServer for Served {
    fn status(&self) -> Result<Status, RpcError> {
        self.0.status()
    }
    fn account(&self, account: XOnlyPublicKey) -> Result<AccountStatus, RpcError> {
        self.0.account(account)
    }
    fn submit(&self, transaction: String) -> Result<Hex32, RpcError> {
        let bytes = <Vec<u8> as bitcoin::hex::FromHex>::from_hex(&transaction)
            .map_err(|_| RpcError::Invalid("the transaction is not hexadecimal".into()))?;
        self.0.submit(&bytes)
    }
    fn receipt(&self, query: ReceiptQuery) -> Result<Receipt, RpcError> {
        self.0.receipt(query)
    }
    fn deposit(&self, terms: DepositTerms, consent: Signature) -> Result<DepositStatus, RpcError> {
        self.0.deposit(terms, consent)
    }
    fn deposits(&self, account: XOnlyPublicKey) -> Result<Vec<DepositStatus>, RpcError> {
        self.0.deposits(account)
    }
    fn withdrawals(&self, query: WithdrawalQuery) -> Result<Vec<WithdrawalStatus>, RpcError> {
        self.0.withdrawals(query)
    }
    fn entry(&self, height: u32) -> Result<EntryStatus, RpcError> {
        self.0.entry(height)
    }
    fn faucet(&self, address: Address<NetworkUnchecked>, amount_sat: u64) -> Result<Txid, RpcError> {
        self.0.faucet(address, amount_sat)
    }
    fn chain(&self) -> Result<ChainEndpoint, RpcError> {
        self.0.chain()
    }
}

/// Why the interface could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is reachable from other machines.
    #[error("{0} is not on this machine: the interface has no passwords and is bound to 127.0.0.1 only")]
    NotLoopback(SocketAddr),
    /// The port is taken, or the like.
    #[error("cannot listen on {0}: {1}; choose another port with --rpc-port")]
    Listen(SocketAddr, std::io::Error),
    /// No thread could be started.
    #[error("cannot start the JSON-RPC server: {0}")]
    Runtime(std::io::Error),
}

/// A running interface; dropping it closes it.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    handle: ServerHandle,
    // Taken when dropped: a runtime must not be dropped where it may not block.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Serving {
    /// Where it listens; the port is the real one where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as `--rpc` takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // An error here only says that it has stopped already.
        let _ = self.handle.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Opens the interface at `address`, which has to be on this machine.
///
/// # Errors
/// [`ServeError`]: the address is no loopback address, or cannot be listened on.
pub fn serve(address: SocketAddr, backend: Arc<dyn Backend>) -> Result<Serving, ServeError> {
    listen(address, Offer { methods: Served(backend).into_rpc().into(), subscriptions: false, metrics: None })
}

/// What is served at an address.
pub struct Offer {
    /// The methods.
    pub methods: Methods,
    /// Whether over WebSocket too, as subscriptions need.
    pub subscriptions: bool,
    /// What `GET /metrics` answers.
    pub metrics: Option<Text>,
}

/// Serves `offer` at `address`, which has to be on this machine.
///
/// # Errors
/// [`ServeError`]: the address is no loopback address, or cannot be listened on.
pub fn listen(address: SocketAddr, offer: Offer) -> Result<Serving, ServeError> {
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("rpc")
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let config = ServerConfig::builder()
        .max_request_body_size(MAX_REQUEST_BYTES)
        .max_response_body_size(MAX_RESPONSE_BYTES)
        .max_connections(MAX_CONNECTIONS)
        .set_message_buffer_capacity(MAX_WAITING)
        .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH));
    let config = if offer.subscriptions { config.build() } else { config.http_only().build() };
    let names = HostFilterLayer::new(["localhost:*", "127.0.0.1:*", "[::1]:*"]).expect("three well-formed authorities");
    let layers = tower::ServiceBuilder::new().layer(names).layer(TextLayer::new("/metrics", offer.metrics));
    let (address, handle) = runtime
        .block_on(async {
            let server = ServerBuilder::with_config(config).set_http_middleware(layers).build(address).await?;
            Ok((server.local_addr()?, server.start(offer.methods)))
        })
        .map_err(|e| ServeError::Listen(address, e))?;
    Ok(Serving { address, handle, runtime: Some(runtime) })
}

#[cfg(test)]
mod tests;
