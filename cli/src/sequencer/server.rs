//! What a sequencer answers.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bitcoin::hashes::Hash as _;
use bitcoin::hex::FromHex;
use bitcoin::{Amount, BlockHash, XOnlyPublicKey};
use jsonrpsee::Methods;
use jsonrpsee::core::{SubscriptionResult, async_trait};
use jsonrpsee::server::{PendingSubscriptionSink, SubscriptionMessage};
use tokio::sync::{broadcast, mpsc, oneshot};
use trestle_rollup::{Account, Digest, Ledger};
use trestle_sequencer::consensus::{Conflict, Fate, Metrics, Shared};
use trestle_sequencer::{Receipt, Rejection};

use super::hands::{Done, Hands};
use super::proof::{self, AccountProof};
use super::rpc::{
    ApiServer, BatchStatus, BlockStatus, HandoverStatus, ReceiptStatus, SequencerAccount, SequencerStatus,
};
use super::{Error, openrpc};
use crate::rpc::types::{EntryStatus, Hex32};
use crate::rpc::{RpcError, Text};

/// The longest that `sync` waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often `sync` looks.
const PAUSE: Duration = Duration::from_millis(5);
/// Transactions that are taken at once, with one write to disk.
const AT_ONCE: usize = 1_000;
/// Final blocks that a slow subscriber may be behind.
pub(super) const BEHIND: usize = 1_000;

/// What the main thread is woken for.
#[derive(Clone, Copy, Debug)]
pub enum Wake {
    /// There may be something to do.
    Work,
    /// It is over.
    Stop,
}

type Submission = (Vec<u8>, oneshot::Sender<Result<Digest, RpcError>>);

/// See the [module](self). Clones share everything.
#[derive(Clone)]
pub struct Server {
    shared: Shared,
    ledger: Ledger,
    key: XOnlyPublicKey,
    counted: Arc<Mutex<Option<Metrics>>>,
    refuses: bool,
    done: Arc<Mutex<Option<Done>>>,
    wake: Sender<Wake>,
    blocks: broadcast::Sender<u64>,
    submissions: mpsc::Sender<Submission>,
}

fn internal(error: impl std::fmt::Display) -> RpcError {
    RpcError::Internal(format!("the sequencer failed: {error}; look at its log"))
}

impl Server {
    /// Answers for a sequencer that runs.
    pub fn new(ledger: Ledger, shared: &Shared, key: XOnlyPublicKey, refuses: bool, wake: Sender<Wake>) -> Self {
        let (blocks, _) = broadcast::channel(BEHIND);
        let (submissions, taken) = mpsc::channel(AT_ONCE);
        let (shared, done, counted) = (shared.clone(), Arc::default(), Arc::default());
        let own = shared.clone();
        // Ends when the last server is dropped.
        std::thread::spawn(move || take(&own, taken));
        Self { shared, ledger, key, counted, refuses, done, wake, blocks, submissions }
    }

    /// The methods on the wire.
    pub fn methods(&self) -> Result<Methods, Error> {
        let mut module = self.clone().into_rpc();
        let described = module.register_method("rpc.discover", |_, _, _| openrpc::document());
        described.map_err(|error| Error::Set(error.to_string()))?;
        Ok(module.into())
    }

    /// Where the heights of certified blocks are to be sent.
    pub fn blocks(&self) -> broadcast::Sender<u64> {
        self.blocks.clone()
    }

    /// Notes whose figures are shown beside the sequencer's own.
    pub fn count(&self, metrics: Option<Metrics>) {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = metrics;
    }

    /// Notes what the hands have done everything for.
    pub fn has_done(&self, done: Option<Done>) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = done;
    }

    fn is_busy(&self) -> Result<bool, Error> {
        let due = Hands::due(&self.ledger, &self.shared)?;
        let done = *self.done.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(done != Some(due) || self.shared.orderer().is_busy()?)
    }

    fn entry_at(&self, height: u32) -> Result<EntryStatus, RpcError> {
        let entry = self.ledger.entry(height).map_err(internal)?;
        let entry = entry.ok_or_else(|| {
            let (first, last) = (self.ledger.parameters().genesis_height, self.ledger.tip().0);
            RpcError::NotFound(format!("the Layer 2 has no height {height}: it goes from {first} to {last}"))
        })?;
        Ok(EntryStatus {
            height,
            block_hash: BlockHash::from_byte_array(entry.block_hash),
            state_root: Hex32(entry.state_root),
            entry: Hex32(entry.digest()),
        })
    }

    /// Whoever has left the set does not see what the others order.
    fn is_in_the_set(&self) -> Result<(), RpcError> {
        let orderer = self.shared.orderer();
        let is_in = orderer.seats().iter().any(|(set, _)| *set == orderer.set());
        if is_in { Ok(()) } else { Err(refused(Rejection::LeftTheSet)) }
    }

    fn block_at(&self, height: u64) -> Result<Option<BlockStatus>, RpcError> {
        let part = self.shared.orderer().part(height).map_err(internal)?;
        Ok(part.map(|part| BlockStatus::new(height, &part)))
    }

    /// What Prometheus reads: the sequencer's own figures, then its engine's.
    pub fn metrics(&self) -> Text {
        let server = self.clone();
        Arc::new(move || {
            let status = match server.status() {
                Ok(status) => status,
                Err(error) => return format!("# {error}\n"),
            };
            let conflicts = server.shared.orderer().conflicts().map_or(0, |conflicts| conflicts.len());
            let figures = [
                ("bitcoin_height", "Height of the last Bitcoin block applied", u64::from(status.bitcoin_height)),
                ("set", "Number of the set whose agreement goes on", u64::from(status.set)),
                ("height", "Height of the last final Layer 2 block", status.height),
                ("batch", "Number of the batch that is being filled", status.batch),
                ("filled", "Transactions in it", u64::from(status.filled)),
                ("waiting", "Transactions that wait for a block", status.waiting as u64),
                ("conflicts", "Promises that a quorum broke", conflicts as u64),
            ];
            let mut text = String::new();
            for (name, help, value) in figures {
                text += &format!(
                    "# HELP trestle_sequencer_{name} {help}.\n# TYPE trestle_sequencer_{name} gauge\n\
                     trestle_sequencer_{name} {value}\n"
                );
            }
            let counted = server.counted.lock().unwrap_or_else(PoisonError::into_inner);
            text + &counted.as_ref().map(Metrics::encode).unwrap_or_default()
        })
    }
}

/// Takes what users submit, as many as there are with one write.
fn take(shared: &Shared, mut taken: mpsc::Receiver<Submission>) {
    let mut waiting = Vec::new();
    while taken.blocking_recv_many(&mut waiting, AT_ONCE) > 0 {
        let (transactions, tellers): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
        let answers = match shared.submit(&transactions) {
            Ok(answers) => answers.into_iter().map(|answer| answer.map_err(refused)).collect(),
            Err(error) => vec![Err(internal(error)); tellers.len()],
        };
        for (answer, teller) in answers.into_iter().zip(tellers) {
            // Who asked may have gone.
            let _ = teller.send(answer);
        }
    }
}

fn refused(rejection: Rejection) -> RpcError {
    match rejection {
        Rejection::Malformed => RpcError::Invalid(rejection.to_string()),
        Rejection::MempoolFull { .. } => RpcError::Unavailable(format!("{rejection}: try again")),
        Rejection::LeftTheSet => RpcError::Unavailable(rejection.to_string()),
        _ => RpcError::Refused(format!("the sequencers refuse it: {rejection}")),
    }
}

#[async_trait]
impl ApiServer for Server {
    fn status(&self) -> Result<SequencerStatus, RpcError> {
        let (bitcoin_height, entry) = self.ledger.tip();
        let executed = self.ledger.state_at_tip().meta().map_err(internal)?.batches;
        let busy = self.is_busy().map_err(internal)?;
        let orderer = self.shared.orderer();
        Ok(SequencerStatus {
            set: orderer.set(),
            index: orderer.seats().iter().find(|(set, _)| *set == orderer.set()).map(|(_, index)| *index),
            key: self.key,
            bitcoin_height,
            entry: Hex32(entry.digest()),
            height: orderer.height(),
            batch: orderer.next_number(),
            filled: orderer.count(),
            executed,
            waiting: orderer.waiting(),
            minimum_fee: orderer.policy().fee_floor,
            refuses: self.refuses,
            busy,
        })
    }

    async fn sync(&self, bitcoin_height: u32) -> Result<SequencerStatus, RpcError> {
        let start = Instant::now();
        loop {
            if self.wake.send(Wake::Work).is_err() {
                return Err(RpcError::Unavailable("the sequencer is being stopped".into()));
            }
            let status = self.status()?;
            if (status.bitcoin_height >= bitcoin_height && !status.busy) || start.elapsed() > PATIENCE {
                return Ok(status);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn submit(&self, transaction: String) -> Result<Hex32, RpcError> {
        if self.refuses {
            return Err(RpcError::Unavailable("the sequencer takes nothing now: use `trestle force`".into()));
        }
        let bytes = <Vec<u8> as FromHex>::from_hex(&transaction)
            .map_err(|_| RpcError::Invalid("the transaction is not hexadecimal".into()))?;
        let stopped = || RpcError::Unavailable("the sequencer is being stopped".into());
        let (teller, answer) = oneshot::channel();
        self.submissions.send((bytes, teller)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?.map(Hex32)
    }

    fn receipt(&self, id: Hex32) -> Result<Option<ReceiptStatus>, RpcError> {
        let orderer = self.shared.orderer();
        let confirmations = orderer.confirmations();
        let receipt = trestle_sequencer::receipt(&orderer, &self.ledger, confirmations, &id.0).map_err(internal)?;
        let place = match orderer.fate(&id.0).map_err(internal)? {
            Some(Fate::Final { height }) => Some(height),
            _ => None,
        };
        drop(orderer);
        let block = place.map(|height| self.block_at(height)).transpose()?.flatten();
        Ok(match (receipt, block) {
            (None, _) => {
                self.is_in_the_set()?;
                None
            }
            (Some(Receipt::Failed { reason }), _) => Some(ReceiptStatus::Failed { why: reason.to_string() }),
            (Some(Receipt::Ordered { .. }), Some(block)) => Some(ReceiptStatus::Ordered { block }),
            (Some(Receipt::Executed { height, deep }), Some(block)) => {
                Some(ReceiptStatus::Executed { height, deep, block })
            }
            (Some(_), _) => Some(ReceiptStatus::Pending),
        })
    }

    fn account(&self, account: XOnlyPublicKey) -> Result<SequencerAccount, RpcError> {
        self.is_in_the_set()?;
        let state = self.shared.orderer().pending(&Account::from(account)).map_err(internal)?;
        Ok(SequencerAccount { account, available: Amount::from_sat(state.balance), next_nonce: state.nonce })
    }

    fn block(&self, height: u64) -> Result<Option<BlockStatus>, RpcError> {
        self.block_at(height)
    }

    fn batch(&self, number: u64) -> Result<Option<BatchStatus>, RpcError> {
        let batch = self.shared.orderer().batch(number).map_err(internal)?;
        let instance = self.ledger.parameters().instance();
        Ok(batch.map(|batch| batch.to_certificate(&instance).into()))
    }

    fn handover(&self, set: u32) -> Result<Option<HandoverStatus>, RpcError> {
        let handover = self.shared.orderer().handover(set).map_err(internal)?;
        Ok(handover.as_ref().map(HandoverStatus::new))
    }

    fn entry(&self, height: u32) -> Result<EntryStatus, RpcError> {
        self.entry_at(height)
    }

    fn proof(&self, account: XOnlyPublicKey, height: u32) -> Result<AccountProof, RpcError> {
        proof::prove(&self.ledger, account, self.entry_at(height)?).map_err(internal)
    }

    fn conflicts(&self) -> Result<Vec<Conflict>, RpcError> {
        self.shared.orderer().conflicts().map_err(internal)
    }

    async fn subscribe_blocks(&self, pending: PendingSubscriptionSink) -> SubscriptionResult {
        let mut blocks = self.blocks.subscribe();
        let sink = pending.accept().await?;
        loop {
            let told = tokio::select! {
                told = blocks.recv() => told,
                () = sink.closed() => return Ok(()),
            };
            let height = match told {
                Ok(height) => height,
                // Whoever is too slow sees from the heights what it missed.
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            };
            let Some(block) = self.block_at(height)? else { continue };
            let message = serde_json::value::to_raw_value(&block)?;
            if sink.send(SubscriptionMessage::from(message)).await.is_err() {
                return Ok(());
            }
        }
    }
}
