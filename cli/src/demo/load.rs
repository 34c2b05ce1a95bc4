//! How fast four sequencers are, as processes on one machine: an open load of signed transfers, through their JSON-RPC.
//!
//! Each rate is tried for a few seconds, whatever becomes of the transfers meanwhile; one is sustained if all of them are
//! final soon after the last was sent. A transfer is final when the sequencer that took it shows its block with a
//! quorum's signatures.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bitcoin::hex::{DisplayHex as _, FromHex as _};
use bitcoin::key::Keypair;
use bitcoin::secp256k1::{Secp256k1, SecretKey};
use jsonrpsee::core::client::{BatchResponse, ClientT as _};
use jsonrpsee::core::params::BatchRequestBuilder;
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use trestle_rollup::{Account, Digest, SignedTransaction, Transaction, tagged_hash};

use super::{DENOMINATION, Error, Stage, TENTH};
use crate::figures::{Figure, FiguresError, apply_rate};
use crate::output::Output;
use crate::rpc::MAX_BATCH;
use crate::rpc::types::Hex32;
use crate::sequencer::rpc::{ApiClient as _, SequencerStatus};
use crate::user::address::Layer2Address;

/// How many sequencers a devnet has.
const SEQUENCERS: usize = 4;
/// Accounts that pay each other.
const USERS: usize = 128;
/// What each begins with, in satoshis, and what a transfer pays.
const BALANCE: u64 = 60_000;
const FEE: u64 = 10;
/// How long a rate is tried.
const TIME: Duration = Duration::from_secs(4);
/// How long it may take until all is final, after the last was sent, for the rate to count as sustained.
const SLACK: Duration = Duration::from_secs(1);
/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Transfers a second: each is tried while the one before was sustained.
const RATES: [usize; 10] = [1_000, 2_000, 4_000, 6_000, 7_000, 8_000, 9_000, 10_000, 12_000, 14_000];
/// How often transfers are sent.
const TICK: Duration = Duration::from_millis(10);

fn check(error: impl std::fmt::Display) -> Error {
    Error::Check(format!("the load can be put on: {error}"))
}

/// Measures the sequencers; within three minutes.
///
/// # Errors
/// They do not do what they should.
pub fn measure(progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    progress("what one ledger applies alone, and four at once");
    let (one, four) = (apply_rate(1)?, apply_rate(SEQUENCERS)?);
    progress("four sequencers under load");
    let directory = tempfile::tempdir()?;
    let measured = play(directory.path(), progress);
    let measured = measured.map_err(|error| FiguresError::Unexpected(error.to_string()))?;
    let Measured { sustained, outcome, recovery } = measured;
    Ok(vec![
        Figure::count("sequencer.tps_to_one_ledger", sustained, "tx/s").against(one),
        Figure::count("sequencer.tps_to_four_ledgers", sustained, "tx/s").against(four),
        Figure::count("sequencer.tps", sustained, "tx/s"),
        Figure::count("sequencer.finality_ms.p50", outcome.at(50), "ms"),
        Figure::count("sequencer.finality_ms.p99", outcome.at(99), "ms"),
        Figure::seconds("sequencer.recovery_seconds", recovery),
    ])
}

fn play(directory: &std::path::Path, progress: &dyn Fn(&str)) -> Result<Measured, Error> {
    let mut stage = Stage::open(directory, Output::new(true))?;
    stage.world().open_runs(&[DENOMINATION], 1)?;
    stage.user("alice", &["wallet", "new"])?;
    stage.user("alice", &["faucet", "1BTC"])?;
    stage.user("alice", &["deposit", TENTH])?;
    stage.wait_available("alice", 10_000_000)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(check)?;
    let instance = stage.world().runtime.bridge().instance;
    let mut users = Users::new(instance);
    let first = Layer2Address { network: bitcoin::Network::Regtest, account: users.keys[0].x_only_public_key().0 };
    stage.user("alice", &["send", &first.to_string(), "0.099BTC"])?;

    let urls = stage.world().sequencers.urls();
    let mut load = runtime.block_on(Load::connect(&urls))?;
    runtime.block_on(users.spread(&load))?;
    // Accounts that are deep are named by their indices: so more transfers fit into the batches that Bitcoin has yet to take.
    let deep = u32::from(stage.world().runtime.bridge().parameters.confirmations) + 4;
    stage.mine(deep)?;
    let (mut sustained, mut outcome) = (0, None);
    for rate in RATES {
        drain(&mut stage)?;
        let transfers = users.transfers(rate * usize::try_from(TIME.as_secs()).unwrap_or(1));
        let tried = runtime.block_on(load.put(transfers, rate))?;
        progress(&format!("{rate} transfers a second: {tried:?}"));
        if tried.refused > 0 || tried.behind > SLACK {
            break;
        }
        (sustained, outcome) = (rate, Some(tried));
    }
    let outcome = outcome.ok_or_else(|| Error::Check(format!("{} transfers a second are sustained", RATES[0])))?;

    // A sequencer is killed and comes back, once Bitcoin has what was ordered: what it has not is worked out again.
    drain(&mut stage)?;
    stage.mine(deep)?;
    stage.world().sequencers.kill(1);
    let mut played = super::sequencers::Played::default();
    stage.mine(1)?;
    played.restart(&mut stage, 1)?;
    let recovery = played.recovery_seconds.first().copied().unwrap_or_default();
    Ok(Measured { sustained, outcome, recovery })
}

/// Bitcoin takes what was ordered: there is room for so many batches only.
fn drain(stage: &mut Stage) -> Result<(), Error> {
    let start = Instant::now();
    let is_ahead = |status: &SequencerStatus| status.filled > 0 || status.batch > status.executed;
    while stage.world().sequencers.sync(0).iter().flatten().any(is_ahead) {
        within(start, "Bitcoin takes what was ordered")?;
        stage.mine(1)?;
    }
    Ok(())
}

/// What was seen of the sequencers.
struct Measured {
    /// The highest rate that was sustained, in transfers a second.
    sustained: usize,
    /// What came of it.
    outcome: Tried,
    /// Seconds that a killed one took to catch up.
    recovery: f64,
}

/// Who pays whom, and what their next nonces are.
struct Users {
    instance: Digest,
    keys: Vec<Keypair>,
    nonces: Vec<u64>,
    next: usize,
}

impl Users {
    fn new(instance: Digest) -> Self {
        let key = |index: usize| {
            let secret = tagged_hash("Trestle/load", &[&index.to_le_bytes()]);
            SecretKey::from_slice(&secret).map(|secret| Keypair::from_secret_key(&Secp256k1::new(), &secret))
        };
        let keys: Vec<_> = (0..USERS).filter_map(|index| key(index).ok()).collect();
        let nonces = vec![0; keys.len()];
        Self { instance, keys, nonces, next: 0 }
    }

    fn account(&self, user: usize) -> Account {
        Account::from(self.keys[user % USERS].x_only_public_key().0)
    }

    fn transfer(&mut self, user: usize, to: usize, amount: u64) -> SignedTransaction {
        let (from, to) = (self.account(user), self.account(to));
        let nonce = self.nonces[user];
        self.nonces[user] += 1;
        Transaction::Transfer { from, to, amount, fee: FEE, nonce }.sign(&self.instance, &self.keys[user])
    }

    /// The first user, who has something, gives to the others.
    async fn spread(&mut self, load: &Load) -> Result<(), Error> {
        let start = Instant::now();
        let client = load.clients.first().ok_or_else(|| check("nobody to ask"))?;
        let first = self.keys[0].x_only_public_key().0;
        while client.account(first).await.map_err(check)?.available.to_sat() < BALANCE * USERS as u64 {
            within(start, "the first user has coins")?;
        }
        for user in 1..USERS {
            let transfer = self.transfer(0, user, BALANCE);
            // No account may have more waiting than this.
            while client.submit(transfer.encode().to_lower_hex_string()).await.is_err() {
                within(start, "the first user pays the others")?;
                tokio::time::sleep(TICK).await;
            }
        }
        let last = self.keys[USERS - 1].x_only_public_key().0;
        for client in &load.clients {
            while client.account(last).await.map_err(check)?.available.to_sat() < BALANCE {
                within(start, "the last user has coins")?;
                tokio::time::sleep(TICK).await;
            }
        }
        Ok(())
    }

    /// Signed before the clock starts: that is the users' work.
    fn transfers(&mut self, count: usize) -> Vec<SignedTransaction> {
        (0..count)
            .map(|_| {
                self.next = (self.next + 1) % USERS;
                self.transfer(self.next, self.next + 1, 1)
            })
            .collect()
    }
}

fn within(start: Instant, what: &str) -> Result<(), Error> {
    if start.elapsed() < PATIENCE { Ok(()) } else { Err(Error::Check(format!("{what} within {PATIENCE:?}"))) }
}

/// What came of a rate.
struct Tried {
    sent: usize,
    refused: usize,
    final_count: usize,
    /// From the last that was sent to the last that became final.
    behind: Duration,
    /// Milliseconds to finality, ascending.
    latencies: Vec<usize>,
}

impl std::fmt::Debug for Tried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sent, refused, final_count, behind, .. } = self;
        write!(
            f,
            "{final_count} of {sent} final, {refused} refused, p50 {} ms, p99 {} ms, {behind:?} behind",
            self.at(50),
            self.at(99)
        )
    }
}

impl Tried {
    fn at(&self, percent: usize) -> usize {
        self.latencies.get(self.latencies.len() * percent / 100).copied().unwrap_or_default()
    }
}

type Sent = Arc<Mutex<HashMap<Vec<u8>, Instant>>>;

/// Connections to all of them.
struct Load {
    clients: Vec<Arc<WsClient>>,
    /// When each transfer was sent that is not final, by the sequencer that took it.
    sent: Vec<Sent>,
    finals: tokio::sync::mpsc::UnboundedReceiver<Duration>,
}

impl Load {
    async fn connect(urls: &[String]) -> Result<Self, Error> {
        let (tell, finals) = tokio::sync::mpsc::unbounded_channel();
        let (mut clients, mut sent) = (Vec::new(), Vec::new());
        for url in urls {
            let url = url.replace("http://", "ws://");
            let builder = WsClientBuilder::default()
                .max_response_size(1 << 22)
                .max_concurrent_requests(10_000)
                .max_buffer_capacity_per_subscription(1_000);
            let client = Arc::new(builder.build(url).await.map_err(check)?);
            let mut blocks = client.subscribe_blocks().await.map_err(check)?;
            let (tell, own) = (tell.clone(), Sent::default());
            sent.push(Arc::clone(&own));
            tokio::spawn(async move {
                while let Some(Ok(block)) = blocks.next().await {
                    let mut sent = own.lock().unwrap_or_else(PoisonError::into_inner);
                    for transaction in block.transactions {
                        let transaction = Vec::from_hex(&transaction).unwrap_or_default();
                        if let Some(since) = sent.remove(&transaction) {
                            // Nobody counts any more if this fails.
                            let _ = tell.send(since.elapsed());
                        }
                    }
                }
            });
            clients.push(client);
        }
        Ok(Self { clients, sent, finals })
    }

    /// Sends transfers at a rate, whatever becomes of them, and then waits until all are final, but not for long.
    async fn put(&mut self, transfers: Vec<SignedTransaction>, rate: usize) -> Result<Tried, Error> {
        let encoded: Vec<_> = transfers.iter().map(SignedTransaction::encode).collect();
        let (total, start) = (encoded.len(), Instant::now());
        let (mut next, mut asked) = (0, Vec::new());
        while next < total {
            #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            let due = ((start.elapsed().as_secs_f64() * rate as f64) as usize).min(total);
            for group in encoded[next..due].chunks(MAX_BATCH as usize * self.clients.len()) {
                // An account's transfers go to one sequencer, or a later one could come first.
                let mut shares: Vec<BatchRequestBuilder<'_>> = Vec::new();
                shares.resize_with(self.clients.len(), BatchRequestBuilder::new);
                for transfer in group {
                    let at = self.share(next);
                    next += 1;
                    let mut sent = self.sent[at].lock().unwrap_or_else(PoisonError::into_inner);
                    sent.insert(transfer.clone(), Instant::now());
                    shares[at]
                        .insert("sequencer_submit", rpc_params![transfer.to_lower_hex_string()])
                        .map_err(check)?;
                }
                for (client, share) in self.clients.iter().zip(shares) {
                    if share.iter().next().is_some() {
                        let client = Arc::clone(client);
                        asked.push(tokio::spawn(async move {
                            let answer: Result<BatchResponse<'_, Hex32>, _> = client.batch_request(share).await;
                            answer.map(|answer| answer.num_failed_calls())
                        }));
                    }
                }
            }
            tokio::time::sleep(TICK).await;
        }
        let last_sent = Instant::now();
        let mut refused = 0;
        for answer in asked {
            refused += answer.await.map_err(check)?.map_err(check)?;
        }
        let mut latencies = Vec::new();
        while latencies.len() + refused < total {
            let left = PATIENCE.saturating_sub(last_sent.elapsed());
            let Ok(Some(latency)) = tokio::time::timeout(left, self.finals.recv()).await else { break };
            latencies.push(usize::try_from(latency.as_millis()).unwrap_or(usize::MAX));
        }
        let behind = last_sent.elapsed();
        latencies.sort_unstable();
        Ok(Tried { sent: total, refused, final_count: latencies.len(), behind, latencies })
    }

    fn share(&self, transfer: usize) -> usize {
        transfer % USERS % self.clients.len()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    #[ignore = "two minutes of load: `make bench` puts it on an optimized build"]
    fn a_rate_is_sustained_and_a_killed_sequencer_comes_back() {
        let figures = super::measure(&|line| println!("{line}")).unwrap();
        for figure in &figures {
            println!("{}", serde_json::to_string(figure).unwrap());
        }
        assert!(figures.iter().all(|figure| figure.value > 0.0));
    }
}
