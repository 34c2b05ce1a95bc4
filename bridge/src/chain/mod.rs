//! Access to the Bitcoin chain: one trait, two ways to reach it.
//!
//! [`Chain`] is all that Trestle asks of Bitcoin. [`Bitcoind`] answers it from a node's RPC, [`Electrum`] from any
//! Electrum server; whoever holds a `dyn Chain` cannot tell which. Both are lazy: they connect at the first call and
//! again after the connection broke, so that a server which is down makes calls fail and nothing else, and both
//! refuse a server of another network.

mod electrum;
mod rebuild;
mod rpc;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::{Block, BlockHash, FeeRate, Network, OutPoint, Script, Transaction, Txid};
use serde::{Deserialize, Serialize};

pub use electrum::Electrum;
pub use rpc::{Auth, Bitcoind};

/// A block's place in the chain and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlockId {
    /// How many blocks came before it.
    pub height: u32,
    /// Hash of its header.
    pub hash: BlockHash,
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {} ({})", self.height, self.hash)
    }
}

/// A transaction and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The transaction, with its witnesses.
    pub tx: Transaction,
    /// The height of the block of the best chain that holds it; none while it waits in the mempool.
    pub height: Option<u32>,
}

/// The Bitcoin chain as one server sees it. Every call is one question answered now; nothing is remembered for the
/// caller. Two calls may see different tips: whoever needs a consistent view asks by block hash.
pub trait Chain: Send + Sync {
    /// The network this chain is on. What the caller asked for; a server of another one makes every call fail.
    fn network(&self) -> Network;

    /// The best block.
    fn tip(&self) -> Result<BlockId, ChainError>;

    /// The hash of the best chain's block at `height`, none above the tip.
    fn block_hash(&self, height: u32) -> Result<Option<BlockHash>, ChainError>;

    /// The header of the best chain's block at `height`, none above the tip.
    fn header(&self, height: u32) -> Result<Option<Header>, ChainError>;

    /// A whole block of the best chain, with witnesses. One that a reorganisation took out of the best chain may be
    /// [`ChainError::UnknownBlock`].
    fn block(&self, hash: &BlockHash) -> Result<Block, ChainError>;

    /// A transaction of the best chain or the mempool.
    fn transaction(&self, txid: &Txid) -> Result<Option<Located>, ChainError>;

    /// Who spends an output, in the best chain or the mempool. An Electrum server may take seconds to notice what
    /// was just broadcast.
    fn spender(&self, outpoint: &OutPoint) -> Result<Option<Located>, ChainError>;

    /// Hands transactions to the network: one alone, or two and more as a package, parents first and their one child
    /// last (BIP 331), so that the child may pay for parents below the minimum. What the server knows already, in its
    /// mempool or in a block, is no error: calling it twice is the same as once.
    fn broadcast(&self, transactions: &[&Transaction]) -> Result<(), ChainError>;

    /// The fee rate at which a transaction is expected to confirm within `target` blocks; where the server has no
    /// estimate, the least that its mempool takes.
    fn fee_rate(&self, target: u16) -> Result<FeeRate, ChainError>;
}

/// Why the chain did not answer, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// No connection, or it broke, or the server is starting. The next call tries again.
    #[error("cannot reach {server}: {reason}")]
    Unreachable {
        /// The server's address.
        server: String,
        /// What the connection said.
        reason: String,
    },
    /// The server follows another chain.
    #[error("{server} is on {found}, not on {expected}: give the address of a server of {expected}")]
    WrongNetwork {
        /// The server's address.
        server: String,
        /// The network that was asked for.
        expected: Network,
        /// What the server calls its own.
        found: String,
    },
    /// The server refused the user, password or cookie.
    #[error("{server} refused the credentials: {hint}")]
    Credentials {
        /// The server's address.
        server: String,
        /// What to check.
        hint: String,
    },
    /// The address given for the server cannot be used.
    #[error("{url}: {reason}")]
    Address {
        /// The address as given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The node lacks an index.
    #[error("{server} cannot look that up: start bitcoind with -{index}=1, and let it finish building the index")]
    MissingIndex {
        /// The server's address.
        server: String,
        /// Bitcoin Core's name of the index.
        index: &'static str,
    },
    /// The network does not take the transaction, by consensus or policy.
    #[error("transaction {txid} was rejected: {reason}")]
    Rejected {
        /// The transaction, in a package the first one with a reason of its own.
        txid: Txid,
        /// Bitcoin Core's words, for instance `min relay fee not met, 0 < 11`.
        reason: String,
    },
    /// No such block, or it is no longer in the best chain.
    #[error("the server has no block {0} in its best chain")]
    UnknownBlock(BlockHash),
    /// The server's answer makes no sense, or fails a check that does not trust it.
    #[error("{server} gave a bad answer to {call}: {reason}")]
    BadAnswer {
        /// The server's address.
        server: String,
        /// The question.
        call: String,
        /// What was wrong with the answer.
        reason: String,
    },
}

impl ChainError {
    /// Whether asking again later, with nothing changed by a person, can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::UnknownBlock(_) | Self::BadAnswer { .. })
    }
}

/// A chain by its server's address: `http://[user:password@]host:port` is a bitcoind (with `cookie` where the address
/// holds no password), `tcp://host:port` an Electrum server. Does not connect yet.
pub fn connect(url: &str, cookie: Option<&Path>, network: Network) -> Result<Arc<dyn Chain>, ChainError> {
    let address = |reason: &str| ChainError::Address { url: url.into(), reason: reason.into() };
    if let Some(rest) = url.strip_prefix("http://") {
        let (auth, host) = match (rest.rsplit_once('@'), cookie) {
            (Some((user, host)), _) => {
                let (user, password) =
                    user.split_once(':').ok_or_else(|| address("expected user:password before the @"))?;
                (Auth::Password { user: user.into(), password: password.into() }, host)
            }
            (None, Some(cookie)) => (Auth::Cookie(cookie.into()), rest),
            (None, None) => return Err(address("a bitcoind needs user:password@ in its address, or a cookie file")),
        };
        Ok(Arc::new(Bitcoind::new(&format!("http://{host}"), auth, network)?))
    } else if url.starts_with("tcp://") {
        Ok(Arc::new(Electrum::new(url, network)?))
    } else {
        Err(address("expected http:// for a bitcoind or tcp:// for an Electrum server"))
    }
}

/// A fee rate from what both kinds of server state it in, BTC per 1,000 vbytes; rounded up.
fn fee_rate_from_btc_per_kvb(btc: f64) -> Option<FeeRate> {
    let per_kvb = bitcoin::Amount::from_btc(btc).ok()?;
    Some(FeeRate::from_sat_per_kwu(per_kvb.to_sat().div_ceil(4)))
}

/// What both kinds of server do to broadcast, given how to `send` one transaction or a package: where one is
/// rejected, those that the server knows already are left out and the others sent again.
fn broadcast(
    chain: &dyn Chain,
    transactions: &[&Transaction],
    send: impl Fn(&[&Transaction]) -> Result<(), ChainError>,
) -> Result<(), ChainError> {
    let mut missing = transactions.to_vec();
    while !missing.is_empty() {
        let Err(rejected) = send(&missing) else { return Ok(()) };
        if !matches!(rejected, ChainError::Rejected { .. }) {
            return Err(rejected);
        }
        let before = missing.len();
        let mut unknown = Vec::new();
        for tx in missing {
            if chain.transaction(&tx.compute_txid())?.is_none() {
                unknown.push(tx);
            }
        }
        if unknown.len() == before {
            return Err(rejected);
        }
        missing = unknown;
    }
    Ok(())
}

/// Whether an output can be spent by anybody with an empty witness: `OP_1 <4e73>`.
pub(crate) fn is_pay_to_anchor(script: &Script) -> bool {
    script.as_bytes() == [0x51, 0x02, 0x4e, 0x73]
}
