//! One sequencer of the set, as a process of its own: `trestle sequencer`.
//!
//! ```text
//!  the others ◀─sockets─▶ consensus (its own thread) ─▶ certified parts ─▶ subscribers
//!                               ▲ transactions      └─▶ certified batches ─┐
//!  users ──JSON-RPC──▶ server ──┘                                         ▼
//!                                          Bitcoin ◀────────────────── hands (the main thread)
//! ```

mod agreements;
mod hands;
mod join;
mod openrpc;
mod proof;
pub mod rpc;
mod server;
mod set;

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::time::Duration;

use serde_json::json;
use tokio::sync::broadcast;
use tokio::sync::mpsc::UnboundedReceiver;
use trestle_bridge::chain;
use trestle_bridge::parameters::{Bridge, BridgeParameters};
use trestle_sequencer::consensus::{Shared, Subject};

use crate::args::SequencerArgs;
use crate::commands;
use crate::output::{Output, Report};
use crate::rpc::{Offer, ServeError, listen};
use crate::runtime;

pub use proof::AccountProof;
pub use set::{Peer, members, read, write};

#[cfg(test)]
mod tests;

use agreements::Agreements;
use hands::Hands;
use server::{Server, Wake};

/// How often Bitcoin is looked at.
const POLL: Duration = Duration::from_millis(100);
/// How long a leader waits for transactions before it proposes an empty block.
const PATIENCE: Duration = Duration::from_millis(400);

/// Why a sequencer stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its hands.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// Its state machine.
    #[error(transparent)]
    Sequencer(#[from] trestle_sequencer::consensus::Error),
    /// What others know of the set.
    #[error("{0}")]
    Set(String),
    /// Its interface.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A file cannot be used.
    #[error("{file}: {why}")]
    File {
        /// The file.
        file: String,
        /// Why not.
        why: String,
    },
    /// The agreement has ended; the log says why.
    #[error("the sequencer's engine has ended: look at its log (RUST_LOG=info)")]
    Ended,
}

impl Error {
    fn file(file: &Path, why: impl std::fmt::Display) -> Self {
        Self::File { file: file.display().to_string(), why: why.to_string() }
    }

    /// Whether it may go away by itself.
    fn is_transient(&self) -> bool {
        use trestle_bridge::follow::FollowError;
        use trestle_bridge::wallet::WalletError;
        let Self::Runtime(error) = self else { return false };
        match error {
            runtime::Error::Chain(error)
            | runtime::Error::Follow(FollowError::Chain(error))
            | runtime::Error::Wallet(WalletError::Chain(error)) => error.is_transient(),
            _ => false,
        }
    }
}

/// Runs a sequencer until it is interrupted, or, if it is `--attached`, its standard input closes.
///
/// # Errors
/// Something does not start, or fails.
pub fn run(args: &SequencerArgs, output: &Output) -> Result<Report, commands::Error> {
    work(args, output).map_err(|error| commands::Error::Bridge(error.to_string()))
}

fn work(args: &SequencerArgs, output: &Output) -> Result<Report, Error> {
    let json = fs::read(&args.parameters).map_err(|e| Error::file(&args.parameters, e))?;
    let parameters: BridgeParameters = serde_json::from_slice(&json).map_err(|e| Error::file(&args.parameters, e))?;
    let bridge = Arc::new(Bridge::new(parameters).map_err(runtime::Error::Parameters)?);
    let network = bridge.parameters.network;
    let chain = chain::connect(&args.chain, args.cookie.as_deref(), network).map_err(runtime::Error::from)?;
    let mut hands = Hands::open(&args.dir, &bridge, &chain)?;
    let orderer = hands.orderer(args.join.as_deref())?;
    let (ledger, key) = (hands.ledger().clone(), *hands.key());
    let mut agreements =
        Agreements::new(key, ledger.clone(), args.set.clone(), args.listen, args.dir.join("consensus"));
    let (shared, certified) = Shared::new(orderer, PATIENCE);
    agreements.follow(&shared)?;

    let (wake, woken) = std::sync::mpsc::channel();
    let server = Server::new(ledger, &shared, key.x_only_public_key().0, args.refuse, wake.clone());
    server.count(agreements.metrics());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.rpc_port));
    let offer = Offer { methods: server.methods()?, subscriptions: true, metrics: Some(server.metrics()) };
    let serving = listen(address, offer)?;
    output.line(&json!({ "rpc": serving.url(), "seats": shared.orderer().seats() }).to_string());
    stop_when_told(args.attached, wake.clone());
    pass_on(certified, server.blocks(), wake);

    loop {
        match hands.work(&shared) {
            Ok(()) => server.has_done(hands.done()),
            Err(error) if error.is_transient() => tracing::warn!(%error, "Bitcoin does not answer"),
            Err(error) => return Err(error),
        }
        agreements.follow(&shared)?;
        server.count(agreements.metrics());
        if shared.orderer().seats().is_empty() {
            let text = "this sequencer is in no set any more, and nothing of it is needed".into();
            return Ok(Report { text, json: json!({ "left": true }) });
        }
        match woken.recv_timeout(POLL) {
            Ok(Wake::Work) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    drop(serving);
    Ok(Report { text: "stopped".into(), json: json!({ "stopped": true }) })
}

/// Tells subscribers of what has its certificate, and the main thread.
fn pass_on(mut certified: UnboundedReceiver<Subject>, blocks: broadcast::Sender<u64>, wake: Sender<Wake>) {
    std::thread::spawn(move || {
        while let Some(subject) = certified.blocking_recv() {
            let told = match subject {
                // Nobody may be listening.
                Subject::Part(height) => blocks.send(height).map(drop).or(Ok(())),
                Subject::Batch(_) | Subject::Handover(_) => wake.send(Wake::Work),
            };
            if told.is_err() {
                break;
            }
        }
    });
}

/// Ctrl-C stops it, and whoever started it by closing its standard input, also by dying.
fn stop_when_told(attached: bool, wake: Sender<Wake>) {
    let told = wake.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime
            && runtime.block_on(tokio::signal::ctrl_c()).is_ok()
        {
            // Nobody is listening any more if this fails.
            let _ = told.send(Wake::Stop);
        }
    });
    if attached {
        std::thread::spawn(move || {
            let mut rest = Vec::new();
            let _ = std::io::stdin().read_to_end(&mut rest);
            let _ = wake.send(Wake::Stop);
        });
    }
}
