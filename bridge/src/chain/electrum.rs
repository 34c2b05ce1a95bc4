//! The chain from an Electrum server, which is trusted to say which headers are best and whether it saw a
//! transaction, and for nothing else: blocks are rebuilt from their transactions and checked against their header.

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash, FeeRate, Network, OutPoint, Script, Transaction, Txid};
use electrum_client::raw_client::RawClient;
use electrum_client::{Batch, ElectrumApi, Error, Param, utils::validate_merkle_proof};
use serde_json::Value;

use super::rebuild::{self, BadBlock};
use super::{BlockId, Chain, ChainError, Located, fee_rate_from_btc_per_kvb, is_pay_to_anchor};

/// Servers answer one call at a time; a whole batch of transactions may take a while.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How many calls go out before their answers are read.
const BATCH: usize = 100;
/// How many blocks below the tip are searched for a block that nobody asked the height of: as many headers as a
/// server gives at once.
const SEARCH_DEPTH: u32 = 2_016;
/// How many block hashes to keep the heights of.
const REMEMBERED: usize = 20_000;

/// An Electrum server (`tcp://host:port`).
pub struct Electrum {
    url: String,
    network: Network,
    /// None before the first call and after the connection broke. Held during a call: the client library confuses
    /// the errors of calls that overlap.
    connection: Mutex<Option<RawClient<TcpStream>>>,
    /// Where blocks were last seen, since servers know them by height only.
    heights: Mutex<HashMap<BlockHash, u32>>,
}

/// A call that failed: refused by the server with a message, or before it could answer.
enum CallError {
    Server(String),
    Other(ChainError),
}

type Answer<T> = Result<T, CallError>;

impl Electrum {
    /// A server at `url` that is to be on `network`. Does not connect yet.
    pub fn new(url: &str, network: Network) -> Result<Self, ChainError> {
        let address = url.strip_prefix("tcp://").unwrap_or_default();
        if !address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
            return Err(ChainError::Address { url: url.into(), reason: "expected tcp://host:port".into() });
        }
        Ok(Self { url: url.into(), network, connection: Mutex::default(), heights: Mutex::default() })
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn bad_answer(&self, call: &str, reason: impl ToString) -> ChainError {
        ChainError::BadAnswer { server: self.url.clone(), call: call.into(), reason: reason.to_string() }
    }

    fn unreachable(&self, reason: impl ToString) -> ChainError {
        ChainError::Unreachable { server: self.url.clone(), reason: reason.to_string() }
    }

    fn connect(&self) -> Result<RawClient<TcpStream>, ChainError> {
        let address = self.url.trim_start_matches("tcp://");
        let client = RawClient::new(address, Some(TIMEOUT), None).map_err(|e| self.unreachable(first_cause(e)))?;
        let features = client.server_features().map_err(|e| self.unreachable(e))?;
        // Electrum shows hashes in reverse, as Core does.
        let mut genesis = features.genesis_hash;
        genesis.reverse();
        let genesis = BlockHash::from_byte_array(genesis);
        if genesis != genesis_block(self.network).block_hash() {
            let known = [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest];
            let found = known.into_iter().find(|n| genesis_block(n).block_hash() == genesis);
            let found = found.map_or(format!("the chain of genesis block {genesis}"), |n| n.to_string());
            return Err(ChainError::WrongNetwork { server: self.url.clone(), expected: self.network, found });
        }
        Ok(client)
    }

    /// One exchange with the server. A connection found broken is made anew once: the server may have closed it while
    /// it was idle.
    fn exchange<T>(&self, name: &str, ask: impl Fn(&RawClient<TcpStream>) -> Result<T, Error>) -> Answer<T> {
        let mut connection = self.connection.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(client) = connection.take() {
            match ask(&client) {
                Err(error) if is_broken(&error) && !is_timeout(&error) => {}
                answer => return self.settle(name, &mut connection, client, answer),
            }
        }
        let client = self.connect().map_err(CallError::Other)?;
        let answer = ask(&client);
        self.settle(name, &mut connection, client, answer)
    }

    /// Keeps the connection for the next exchange, unless the answer casts doubt on it.
    fn settle<T>(
        &self,
        name: &str,
        connection: &mut Option<RawClient<TcpStream>>,
        client: RawClient<TcpStream>,
        answer: Result<T, Error>,
    ) -> Answer<T> {
        if matches!(answer, Ok(_) | Err(Error::Protocol(_))) {
            *connection = Some(client);
        }
        answer.map_err(|error| match error {
            Error::Protocol(error) => CallError::Server(message(&error)),
            error if is_broken(&error) => CallError::Other(self.unreachable(error)),
            error => CallError::Other(self.bad_answer(name, error)),
        })
    }

    /// An exchange whose refusal has no meaning to the caller.
    fn ask<T>(&self, name: &str, ask: impl Fn(&RawClient<TcpStream>) -> Result<T, Error>) -> Result<T, ChainError> {
        self.exchange(name, ask).map_err(|error| match error {
            CallError::Server(message) => self.bad_answer(name, message),
            CallError::Other(error) => error,
        })
    }

    /// The same method asked of many parameters.
    fn ask_many(&self, method: &str, parameters: &[Vec<Param>]) -> Result<Vec<String>, ChainError> {
        let mut answers = Vec::with_capacity(parameters.len());
        for chunk in parameters.chunks(BATCH) {
            let values = self.ask(method, |client| {
                let mut batch = Batch::default();
                chunk.iter().for_each(|p| batch.raw(method.into(), p.clone()));
                client.batch_call(&batch)
            })?;
            for value in values {
                let Value::String(text) = value else { return Err(self.bad_answer(method, "no string")) };
                answers.push(text);
            }
        }
        Ok(answers)
    }

    fn remember(&self, header: &Header, height: u32) -> Result<BlockId, ChainError> {
        let hash = header
            .validate_pow(header.target())
            .map_err(|_| self.bad_answer("block header", format!("header {height} lacks the work it claims")))?;
        let mut heights = self.heights.lock().unwrap_or_else(|e| e.into_inner());
        if heights.len() >= REMEMBERED {
            heights.clear();
        }
        heights.insert(hash, height);
        Ok(BlockId { height, hash })
    }

    /// The height and header of a block, if the server has it in its best chain.
    fn find(&self, hash: &BlockHash) -> Result<(u32, Header), ChainError> {
        let remembered = self.heights.lock().unwrap_or_else(|e| e.into_inner()).get(hash).copied();
        if let Some(height) = remembered
            && let Some(header) = self.header(height)?
            && header.block_hash() == *hash
        {
            return Ok((height, header));
        }
        let tip = self.tip()?;
        let start = (tip.height + 1).saturating_sub(SEARCH_DEPTH);
        let name = "blockchain.block.headers";
        let headers = self.ask(name, |client| client.block_headers(start as usize, SEARCH_DEPTH as usize))?.headers;
        for (height, header) in (start..).zip(headers) {
            if header.block_hash() == *hash {
                self.remember(&header, height)?;
                return Ok((height, header));
            }
        }
        Err(ChainError::UnknownBlock(*hash))
    }

    /// The names of a block's transactions, as the server gives them.
    fn txids(&self, height: u32, header: &Header) -> Result<Vec<String>, ChainError> {
        let name = "blockchain.transaction.id_from_pos";
        let first = self.ask(name, |client| client.txid_from_pos_with_merkle(height as usize, 0))?;
        // A tree of depth d has more than 2^(d-1) leaves and at most 2^d; the server refuses positions past the last.
        let depth = first.merkle.len() as u32;
        if depth > rebuild::MAX_DEPTH {
            return Err(self.bad_answer(name, format!("a Merkle tree of depth {depth}")));
        }
        let (mut known, mut past) = (1usize << depth.saturating_sub(1), (1usize << depth) + 1);
        while past - known > 1 {
            let middle = known + (past - known) / 2;
            match self.exchange(name, |client| client.txid_from_pos(height as usize, middle - 1)) {
                Ok(_) => known = middle,
                Err(CallError::Server(_)) => past = middle,
                Err(CallError::Other(error)) => return Err(error),
            }
        }
        tracing::trace!(height, block = %header.block_hash(), transactions = known, "rebuilding a block");
        let positions: Vec<_> = (0..known).map(|p| vec![Param::Usize(height as usize), Param::Usize(p)]).collect();
        self.ask_many(name, &positions)
    }

    fn raw_transactions(&self, txids: &[String]) -> Result<Vec<Transaction>, ChainError> {
        let name = "blockchain.transaction.get";
        let parameters: Vec<_> = txids.iter().map(|txid| vec![Param::String(txid.clone())]).collect();
        let mut transactions = Vec::with_capacity(txids.len());
        for (txid, hex) in txids.iter().zip(self.ask_many(name, &parameters)?) {
            let tx: Transaction =
                bitcoin::consensus::encode::deserialize_hex(&hex).map_err(|e| self.bad_answer(name, e))?;
            if tx.compute_txid().to_string() != *txid {
                return Err(self.bad_answer(name, format!("another transaction than {txid}")));
            }
            transactions.push(tx);
        }
        Ok(transactions)
    }

    /// A transaction that the server has, wherever it is.
    fn raw_transaction(&self, txid: &Txid) -> Result<Option<Transaction>, ChainError> {
        let name = "blockchain.transaction.get";
        match self.exchange(name, |client| client.transaction_get(txid)) {
            Ok(tx) if tx.compute_txid() == *txid => Ok(Some(tx)),
            Ok(_) => Err(self.bad_answer(name, format!("another transaction than {txid}"))),
            // No protocol code for "unknown": servers pass on Core's words, or their own.
            Err(CallError::Server(message)) if is_unknown_transaction(&message) => Ok(None),
            Err(CallError::Server(message)) => Err(self.bad_answer(name, message)),
            Err(CallError::Other(error)) => Err(error),
        }
    }

    /// Transactions that pay to or spend from a script, oldest first, with the height of those confirmed.
    fn history(&self, script: &Script) -> Result<Vec<(Txid, Option<u32>)>, ChainError> {
        let history = self.ask("blockchain.scripthash.get_history", |client| client.script_get_history(script))?;
        // 0 and −1 say: in the mempool.
        Ok(history.into_iter().map(|h| (h.tx_hash, u32::try_from(h.height).ok().filter(|h| *h > 0))).collect())
    }

    /// Checks that a transaction is where the server says.
    fn located(&self, tx: Transaction, height: Option<u32>) -> Result<Located, ChainError> {
        if let Some(height) = height {
            let (name, txid) = ("blockchain.transaction.get_merkle", tx.compute_txid());
            let proof = self.ask(name, |client| client.transaction_get_merkle(&txid, height as usize))?;
            let header = self.header(height)?.ok_or_else(|| self.bad_answer(name, "a height above the tip"))?;
            if !validate_merkle_proof(&txid, &header.merkle_root, &proof) {
                return Err(self.bad_answer(name, format!("{txid} is not in block {height}")));
            }
        }
        Ok(Located { tx, height })
    }

    /// A script whose history holds the transaction: of an output that servers index and that is not shared with the
    /// whole world, as pay-to-anchor is; of the output its first input spends where there is none.
    fn telling_script(&self, tx: &Transaction) -> Result<Option<bitcoin::ScriptBuf>, ChainError> {
        let telling = |o: &&bitcoin::TxOut| !o.script_pubkey.is_op_return() && !is_pay_to_anchor(&o.script_pubkey);
        if let Some(output) = tx.output.iter().find(telling) {
            return Ok(Some(output.script_pubkey.clone()));
        }
        let spent = tx.input[0].previous_output;
        let parent = self.raw_transaction(&spent.txid)?;
        Ok(parent.and_then(|parent| Some(parent.output.get(spent.vout as usize)?.script_pubkey.clone())))
    }

    fn refused(&self, name: &str, txid: Txid, error: CallError) -> ChainError {
        match error {
            CallError::Server(message) if is_overload(&message) => self.bad_answer(name, message),
            CallError::Server(message) => ChainError::Rejected { txid, reason: core_reason(&message) },
            CallError::Other(error) => error,
        }
    }

    fn send(&self, transactions: &[&Transaction]) -> Result<(), ChainError> {
        let last = transactions[transactions.len() - 1].compute_txid();
        if let [tx] = transactions {
            let name = "blockchain.transaction.broadcast";
            let sent = self.exchange(name, |client| client.transaction_broadcast(tx));
            return sent.map(|_| ()).map_err(|e| self.refused(name, last, e));
        }
        let name = "blockchain.transaction.broadcast_package";
        let raw: Vec<_> = transactions.iter().map(|tx| bitcoin::consensus::serialize(*tx)).collect();
        let sent = self.exchange(name, |client| client.transaction_broadcast_package_raw(&raw));
        let result = sent.map_err(|e| self.refused(name, last, e))?;
        if result.success {
            return Ok(());
        }
        let blamed = transactions.iter().find_map(|tx| result.errors.iter().find(|e| e.txid == tx.compute_txid()));
        let (txid, reason) = blamed.map_or((last, "the package failed".into()), |e| (e.txid, e.error.clone()));
        Err(ChainError::Rejected { txid, reason })
    }
}

impl Chain for Electrum {
    fn network(&self) -> Network {
        self.network
    }

    fn tip(&self) -> Result<BlockId, ChainError> {
        let tip = self.ask("blockchain.headers.subscribe", |client| {
            let tip = client.block_headers_subscribe()?;
            // Subscribing is the only way to ask; what it sends from now on is not used.
            while client.block_headers_pop_raw()?.is_some() {}
            Ok(tip)
        })?;
        let height = u32::try_from(tip.height).map_err(|e| self.bad_answer("blockchain.headers.subscribe", e))?;
        self.remember(&tip.header, height)
    }

    fn block_hash(&self, height: u32) -> Result<Option<BlockHash>, ChainError> {
        Ok(self.header(height)?.map(|header| header.block_hash()))
    }

    fn header(&self, height: u32) -> Result<Option<Header>, ChainError> {
        let name = "blockchain.block.header";
        match self.exchange(name, |client| client.block_header(height as usize)) {
            Ok(header) => self.remember(&header, height).map(|_| Some(header)),
            Err(CallError::Server(message)) => {
                // Above the tip, or the server cannot say: the tip tells which.
                if self.tip()?.height < height { Ok(None) } else { Err(self.bad_answer(name, message)) }
            }
            Err(CallError::Other(error)) => Err(error),
        }
    }

    fn block(&self, hash: &BlockHash) -> Result<Block, ChainError> {
        let (height, header) = self.find(hash)?;
        let block = self.txids(height, &header).and_then(|txids| {
            let transactions = self.raw_transactions(&txids)?;
            rebuild::block(header, transactions).map_err(|e: BadBlock| self.bad_answer("block", e))
        });
        // A reorganisation in the middle looks like a server that lies.
        if block.is_err() && self.header(height)?.is_none_or(|now| now.block_hash() != *hash) {
            return Err(ChainError::UnknownBlock(*hash));
        }
        block
    }

    fn transaction(&self, txid: &Txid) -> Result<Option<Located>, ChainError> {
        let Some(tx) = self.raw_transaction(txid)? else { return Ok(None) };
        let Some(script) = self.telling_script(&tx)? else { return Ok(Some(Located { tx, height: None })) };
        let height = self.history(&script)?.into_iter().find(|(id, _)| id == txid).and_then(|(_, height)| height);
        self.located(tx, height).map(Some)
    }

    fn spender(&self, outpoint: &OutPoint) -> Result<Option<Located>, ChainError> {
        let Some(parent) = self.raw_transaction(&outpoint.txid)? else { return Ok(None) };
        let Some(output) = parent.output.get(outpoint.vout as usize) else { return Ok(None) };
        let history = self.history(&output.script_pubkey)?;
        // Nothing spends an output before the block that made it.
        let made = history.iter().find(|(txid, _)| *txid == outpoint.txid).and_then(|(_, height)| *height);
        let later: Vec<_> = history
            .into_iter()
            .filter(|(txid, height)| {
                *txid != outpoint.txid && height.is_none_or(|h| made.is_some_and(|made| h >= made))
            })
            .collect();
        for chunk in later.chunks(BATCH) {
            let txids: Vec<_> = chunk.iter().map(|(txid, _)| txid.to_string()).collect();
            let transactions = self.raw_transactions(&txids)?;
            let spends = |tx: &Transaction| tx.input.iter().any(|input| input.previous_output == *outpoint);
            if let Some((tx, (_, height))) = transactions.into_iter().zip(chunk).find(|(tx, _)| spends(tx)) {
                return self.located(tx, *height).map(Some);
            }
        }
        Ok(None)
    }

    fn broadcast(&self, transactions: &[&Transaction]) -> Result<(), ChainError> {
        super::broadcast(self, transactions, |missing| self.send(missing))
    }

    fn fee_rate(&self, target: u16) -> Result<FeeRate, ChainError> {
        let estimate = self.ask("blockchain.estimatefee", |client| client.estimate_fee(target.max(1).into(), None))?;
        // From protocol 1.6 on; older servers say only what they relay.
        let least = match self.exchange("mempool.get_info", |client| client.mempool_get_info()) {
            Ok(info) => info.mempoolminfee,
            Err(CallError::Server(_)) => self.ask("blockchain.relayfee", |client| client.relay_fee())?,
            Err(CallError::Other(error)) => return Err(error),
        };
        let least = fee_rate_from_btc_per_kvb(least)
            .ok_or_else(|| self.bad_answer("mempool.get_info", "the minimum fee is no amount"))?;
        // −1 where there is no estimate.
        Ok(fee_rate_from_btc_per_kvb(estimate).filter(|_| estimate > 0.0).map_or(least, |rate| rate.max(least)))
    }
}

/// The text of an error of the protocol: an object with a message, or a bare string.
fn message(error: &Value) -> String {
    error.get("message").and_then(Value::as_str).or(error.as_str()).map_or_else(|| error.to_string(), str::to_owned)
}

/// The library wraps the reason for a failed connection in a list.
fn first_cause(error: Error) -> Error {
    match error {
        Error::AllAttemptsErrored(mut causes) if !causes.is_empty() => first_cause(causes.swap_remove(0)),
        error => error,
    }
}

fn is_broken(error: &Error) -> bool {
    matches!(error, Error::IOError(_) | Error::SharedIOError(_) | Error::Mpsc | Error::CouldntLockReader)
}

fn is_timeout(error: &Error) -> bool {
    let kind = match error {
        Error::IOError(e) => e.kind(),
        Error::SharedIOError(e) => e.kind(),
        _ => return false,
    };
    matches!(kind, std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

fn is_unknown_transaction(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("no such mempool") || message.contains("not found") || message.contains("missing transaction")
}

fn is_overload(message: &str) -> bool {
    message.contains("excessive resource usage") || message.contains("server busy")
}

/// Core's words out of ElectrumX's: `the transaction was rejected by network rules.\n\n<words>\n[<raw transaction>]`.
fn core_reason(message: &str) -> String {
    let words = message.split_once("network rules.\n\n").map_or(message, |(_, words)| words);
    words.split("\n[").next().unwrap_or(words).trim().to_owned()
}
