//! A Trestle node, as a command sees it: [`crate::rpc`]'s methods, one after the other, and errors that say what to do.

use std::time::Duration;

use bitcoin::address::NetworkUnchecked;
use bitcoin::hex::DisplayHex;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{Address, Amount, Txid, XOnlyPublicKey};
use jsonrpsee::core::ClientError;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use tokio::runtime::Runtime;
use trestle_bridge::transactions::DepositTerms;

use crate::rpc::types::*;
use crate::rpc::{ApiClient, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES};

/// How long an answer may take: the committee's checks of a deposit are the slowest.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a node gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// The URL is none.
    #[error("\"{0}\" is no URL of a node: it looks like http://127.0.0.1:17080")]
    Url(String),
    /// Nothing answers.
    #[error("no Trestle node answers at {0}: start one with `trestle devnet`, or name another with --rpc")]
    Down(String),
    /// It took too long.
    #[error("the Trestle node at {0} did not answer within 30 seconds: try again")]
    Slow(String),
    /// Something answers that is no node, or one of another version.
    #[error("what answers at {url} is no Trestle node of this version ({why}): check --rpc")]
    Stranger {
        /// The URL.
        url: String,
        /// What was odd.
        why: String,
    },
    /// The node answered with an error.
    #[error("{line}")]
    Refused {
        /// The JSON-RPC code ([`crate::rpc::RpcError::code`]).
        code: i32,
        /// The node's line.
        line: String,
    },
    /// No thread for the connection.
    #[error("cannot start the connection's thread: {0}")]
    Runtime(String),
}

/// A connection to a node.
#[derive(Debug)]
pub struct Node {
    url: String,
    client: HttpClient,
    runtime: Runtime,
}

impl Node {
    /// Makes ready to talk to the node at `url`; nothing is sent yet.
    ///
    /// # Errors
    /// [`NodeError::Url`].
    pub fn new(url: &str) -> Result<Self, NodeError> {
        if !url.starts_with("http://") {
            return Err(NodeError::Url(url.into()));
        }
        let client = HttpClientBuilder::default()
            .max_request_size(MAX_REQUEST_BYTES)
            .max_response_size(MAX_RESPONSE_BYTES)
            .request_timeout(TIMEOUT)
            .build(url)
            .map_err(|_| NodeError::Url(url.into()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| NodeError::Runtime(e.to_string()))?;
        Ok(Self { url: url.into(), client, runtime })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn answer<T>(&self, call: impl Future<Output = Result<T, ClientError>>) -> Result<T, NodeError> {
        self.runtime.block_on(call).map_err(|error| match error {
            ClientError::Call(e) if e.code() == jsonrpsee::types::error::METHOD_NOT_FOUND_CODE => {
                NodeError::Stranger { url: self.url.clone(), why: e.message().into() }
            }
            ClientError::Call(e) => NodeError::Refused { code: e.code(), line: e.message().into() },
            ClientError::RequestTimeout => NodeError::Slow(self.url.clone()),
            ClientError::Transport(e) => match e.downcast_ref::<jsonrpsee::http_client::transport::Error>() {
                Some(jsonrpsee::http_client::transport::Error::Rejected { status_code }) => {
                    NodeError::Stranger { url: self.url.clone(), why: format!("HTTP status {status_code}") }
                }
                _ => NodeError::Down(self.url.clone()),
            },
            other => NodeError::Stranger { url: self.url.clone(), why: other.to_string() },
        })
    }

    /// [`crate::rpc::Backend::status`].
    pub fn status(&self) -> Result<Status, NodeError> {
        self.answer(self.client.status())
    }

    /// [`crate::rpc::Backend::account`].
    pub fn account(&self, account: XOnlyPublicKey) -> Result<AccountStatus, NodeError> {
        self.answer(self.client.account(account))
    }

    /// [`crate::rpc::Backend::submit`].
    pub fn submit(&self, transaction: &[u8]) -> Result<Hex32, NodeError> {
        self.answer(self.client.submit(transaction.to_lower_hex_string()))
    }

    /// [`crate::rpc::Backend::receipt`].
    pub fn receipt(&self, query: ReceiptQuery) -> Result<Receipt, NodeError> {
        self.answer(self.client.receipt(query))
    }

    /// [`crate::rpc::Backend::deposit`].
    pub fn deposit(&self, terms: DepositTerms, consent: Signature) -> Result<DepositStatus, NodeError> {
        self.answer(self.client.deposit(terms, consent))
    }

    /// [`crate::rpc::Backend::deposits`].
    pub fn deposits(&self, account: XOnlyPublicKey) -> Result<Vec<DepositStatus>, NodeError> {
        self.answer(self.client.deposits(account))
    }

    /// [`crate::rpc::Backend::withdrawals`].
    pub fn withdrawals(&self, query: WithdrawalQuery) -> Result<Vec<WithdrawalStatus>, NodeError> {
        self.answer(self.client.withdrawals(query))
    }

    /// [`crate::rpc::Backend::faucet`].
    pub fn faucet(&self, address: Address<NetworkUnchecked>, amount: Amount) -> Result<Txid, NodeError> {
        self.answer(self.client.faucet(address, amount.to_sat()))
    }

    /// [`crate::rpc::Backend::chain`].
    pub fn chain(&self) -> Result<ChainEndpoint, NodeError> {
        self.answer(self.client.chain())
    }
}
