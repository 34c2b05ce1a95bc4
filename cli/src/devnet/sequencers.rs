//! The sequencers of a devnet: processes that the world starts, kills and starts again.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bitcoin::{Amount, XOnlyPublicKey};
use jsonrpsee::core::ClientError;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use trestle_bridge::parameters::Bridge;
use trestle_sequencer::Policy;

use crate::regtest::free_port;
use crate::rpc::RpcError;
use crate::rpc::types::{ChainEndpoint, Hex32};
use crate::runtime::{self, Secrets};
use crate::sequencer::rpc::{ApiClient, BlockStatus, ReceiptStatus, SequencerAccount, SequencerStatus};
use crate::sequencer::{self, Peer};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why the sequencers stopped.
#[derive(Debug, thiserror::Error)]
pub enum SequencersError {
    /// The program is not where it should be.
    #[error("{0} is not there: run `cargo build -p trestle-cli` first")]
    Missing(PathBuf),
    /// A process did not come up.
    #[error("sequencer {index} does not come up; its last words in {log}:\n{words}", log = log.display())]
    Down {
        /// Which.
        index: usize,
        /// Its log.
        log: PathBuf,
        /// The end of it.
        words: String,
    },
    /// The system refused something.
    #[error("{0}")]
    System(String),
    /// Their files.
    #[error(transparent)]
    Set(#[from] sequencer::Error),
    /// Their keys.
    #[error(transparent)]
    Keys(#[from] runtime::Error),
    /// There is no such sequencer.
    #[error("there is no sequencer {0}")]
    NoSuch(usize),
}

fn system(what: &str) -> impl Fn(std::io::Error) -> SequencersError + '_ {
    move |error| SequencersError::System(format!("{what}: {error}"))
}

/// A process and how to talk to it. Killed when dropped, as by `kill -9`.
struct Running {
    child: Child,
    url: String,
    client: HttpClient,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A runtime that may be dropped where nothing may block.
struct Background(Option<tokio::runtime::Runtime>);

impl Background {
    fn block_on<F: Future>(&self, future: F) -> Option<F::Output> {
        self.0.as_ref().map(|runtime| runtime.block_on(future))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// All of them.
pub struct Sequencers {
    directories: Vec<PathBuf>,
    keys: Vec<XOnlyPublicKey>,
    running: Vec<Option<Running>>,
    program: PathBuf,
    arguments: Vec<String>,
    runtime: Background,
    /// Which is asked first.
    first: usize,
    /// Whether they had something to do when they were last asked.
    busy: bool,
}

/// The `trestle` binary: this program, or, in a test or a benchmark, the one that was built beside it.
fn program() -> Result<PathBuf, SequencersError> {
    let own = std::env::current_exe().map_err(system("looking for the own program"))?;
    let Some(dependencies) = own.parent().filter(|directory| directory.ends_with("deps")) else { return Ok(own) };
    let beside = dependencies.with_file_name("trestle");
    if beside.is_file() { Ok(beside) } else { Err(SequencersError::Missing(beside)) }
}

impl Sequencers {
    /// Starts the sequencers of a bridge, which keep their files in directories below `roles`. Where they find each other
    /// is written into `directory`, beside the parameters.
    ///
    /// # Errors
    /// Something does not start.
    pub fn start(
        directory: &Path,
        roles: &Path,
        bridge: &Bridge,
        endpoint: &ChainEndpoint,
    ) -> Result<Self, SequencersError> {
        let indices = 0..u32::try_from(bridge.parameters.sequencers.len()).unwrap_or(u32::MAX);
        let directories: Vec<_> =
            indices.map(|index| runtime::directory(roles, &runtime::name("sequencer", index))).collect();
        let peer = |directory: &PathBuf| {
            let port = free_port().map_err(|error| SequencersError::System(error.to_string()))?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            Ok::<_, SequencersError>(Peer::new(&bridge.instance, 0, &Secrets::open(directory)?.key()?, address))
        };
        let peers = directories.iter().map(peer).collect::<Result<Vec<_>, _>>()?;
        let keys = peers.iter().map(|peer| peer.key).collect();
        let set = directory.join("sequencers.json");
        sequencer::write(&set, &peers)?;
        let path = |path: &Path| path.display().to_string();
        let mut arguments = vec!["sequencer".into(), "--attached".into(), "--set".into(), path(&set)];
        arguments.extend(["--parameters".into(), path(&directory.join("parameters.json"))]);
        arguments.extend(["--chain".into(), endpoint.url.clone()]);
        if let Some(cookie) = &endpoint.cookie_file {
            arguments.extend(["--cookie".into(), path(cookie)]);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = Background(Some(runtime.map_err(system("starting a runtime"))?));
        let running = directories.iter().map(|_| None).collect();
        let mut all =
            Self { directories, keys, running, program: program()?, arguments, runtime, first: 0, busy: true };
        all.start_all(false)?;
        Ok(all)
    }

    /// Starts those that do not run; with `refuse` they take no transactions.
    ///
    /// # Errors
    /// One does not come up.
    pub fn start_all(&mut self, refuse: bool) -> Result<(), SequencersError> {
        let missing: Vec<_> = (0..self.running.len()).filter(|index| !self.is_running(*index)).collect();
        let option: &[&str] = if refuse { &["--refuse"] } else { &[] };
        let children = missing.iter().map(|index| self.spawn(*index, option)).collect::<Result<Vec<_>, _>>()?;
        for (index, child) in missing.into_iter().zip(children) {
            self.running[index] = Some(self.greet(index, child)?);
        }
        self.busy = true;
        Ok(())
    }

    /// Starts one.
    ///
    /// # Errors
    /// It does not come up.
    pub fn restart(&mut self, index: usize) -> Result<(), SequencersError> {
        let child = self.spawn(index, &[])?;
        self.running[index] = Some(self.greet(index, child)?);
        self.busy = true;
        Ok(())
    }

    /// Starts one more, in a directory that has its key, which joins the set that the others have handed over to.
    ///
    /// # Errors
    /// It does not come up.
    pub fn join(&mut self, directory: PathBuf) -> Result<usize, SequencersError> {
        let url = self.urls().into_iter().next().ok_or(SequencersError::NoSuch(0))?;
        let index = self.count();
        self.keys.push(Secrets::open(&directory)?.key()?.x_only_public_key().0);
        self.directories.push(directory);
        self.running.push(None);
        let child = self.spawn(index, &["--join", &url])?;
        self.running[index] = Some(self.greet(index, child)?);
        self.busy = true;
        Ok(index)
    }

    /// Their keys.
    pub fn keys(&self) -> &[XOnlyPublicKey] {
        &self.keys
    }

    /// Kills one, as by `kill -9`.
    pub fn kill(&mut self, index: usize) {
        if let Some(running) = self.running.get_mut(index) {
            *running = None;
        }
    }

    fn log(&self, index: usize) -> Result<PathBuf, SequencersError> {
        Ok(self.directories.get(index).ok_or(SequencersError::NoSuch(index))?.join("log"))
    }

    fn spawn(&self, index: usize, options: &[&str]) -> Result<Child, SequencersError> {
        let log = self.log(index)?;
        let file = File::create(&log).map_err(system("creating a log"))?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("--dir").arg(&self.directories[index]).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        // Ctrl-C in a terminal is for whoever holds this, who may have use for it until the end.
        command.process_group(0);
        command.spawn().map_err(system("starting a sequencer"))
    }

    /// Waits for the line by which a process says that it is up.
    fn greet(&self, index: usize, mut child: Child) -> Result<Running, SequencersError> {
        let mut line = String::new();
        let said = child.stdout.take().map(|output| BufReader::new(output).read_line(&mut line));
        let url = serde_json::from_str::<serde_json::Value>(&line).ok();
        let url = url.and_then(|line| line["rpc"].as_str().map(str::to_owned));
        let client = |url: String| Some((HttpClientBuilder::default().request_timeout(TIMEOUT).build(&url).ok()?, url));
        match (said, url.and_then(client)) {
            (Some(Ok(_)), Some((client, url))) => Ok(Running { child, url, client }),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                let log = self.log(index)?;
                let words = fs::read_to_string(&log).unwrap_or_default();
                Err(SequencersError::Down { index, log, words })
            }
        }
    }

    /// Whether one runs.
    pub fn is_running(&mut self, index: usize) -> bool {
        let running = self.running.get_mut(index).and_then(Option::as_mut);
        running.is_some_and(|running| running.child.try_wait().is_ok_and(|ended| ended.is_none()))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// Where those who run serve JSON-RPC.
    pub fn urls(&self) -> Vec<String> {
        self.running.iter().flatten().map(|running| running.url.clone()).collect()
    }

    /// The least fee that they take.
    pub fn fee_floor(&self) -> Amount {
        Policy::default().fee_floor
    }

    /// Waits until those who run have done what is due at this height of Bitcoin. Cheap if they had nothing to do.
    pub fn settle(&mut self, height: u32) {
        let running = (0..self.count()).filter(|index| self.is_running(*index)).count();
        let quorum = self.count() - self.count().saturating_sub(1) / 3;
        if self.busy && running >= quorum {
            let statuses = self.sync(height);
            // A batch that waits for Bitcoin keeps them busy at the next block.
            self.busy = statuses.iter().flatten().any(|status| status.busy || status.is_waiting());
        }
    }

    /// How each stands, once it has done what is due at this height of Bitcoin; none of one that does not answer. The one
    /// that is furthest is asked first from now on: one that was just started may be behind.
    pub fn sync(&mut self, height: u32) -> Vec<Option<SequencerStatus>> {
        let ask = |running: &Option<Running>| {
            let client = running.as_ref().map(|running| running.client.clone());
            async move { client?.sync(height).await.ok() }
        };
        let answers = self.runtime.block_on(async {
            // As tasks they are asked at once.
            let asked: Vec<_> = self.running.iter().map(ask).map(tokio::spawn).collect();
            let mut answers = Vec::new();
            for answer in asked {
                answers.push(answer.await.ok().flatten());
            }
            answers
        });
        let answers: Vec<Option<SequencerStatus>> = answers.unwrap_or_default();
        let heights = answers.iter().enumerate().filter_map(|(index, status)| Some((status.as_ref()?.height, index)));
        self.first = heights.max().map_or(self.first, |(_, furthest)| furthest);
        answers
    }

    /// The first answer that one of them gives; what one refuses, all refuse.
    fn ask<T>(&mut self, ask: impl AsyncFn(&HttpClient) -> Result<T, ClientError>) -> Result<T, RpcError> {
        let count = self.count();
        let mut refusal = None;
        for index in (0..count).map(|step| (self.first + step) % count) {
            let Some(running) = &self.running[index] else { continue };
            let Some(answer) = self.runtime.block_on(ask(&running.client)) else { continue };
            match answer {
                Ok(answer) => {
                    self.first = (index + 1) % count;
                    return Ok(answer);
                }
                Err(ClientError::Call(error)) => {
                    let line = error.message().to_owned();
                    refusal = Some(match error.code() {
                        -32602 => return Err(RpcError::Invalid(line)),
                        -32001 => return Err(RpcError::Refused(line)),
                        _ => RpcError::Unavailable(line),
                    });
                }
                // The next one may be up.
                Err(error) => tracing::debug!(index, %error, "a sequencer does not answer"),
            }
        }
        Err(refusal.unwrap_or_else(|| RpcError::Unavailable("no sequencer answers: use `trestle force`".into())))
    }

    /// Hands a transaction to one of them.
    ///
    /// # Errors
    /// It is refused, or none of them is there.
    pub fn submit(&mut self, transaction: &[u8]) -> Result<Hex32, RpcError> {
        self.busy = true;
        let transaction = bitcoin::hex::DisplayHex::to_lower_hex_string(transaction);
        self.ask(async |client| client.submit(transaction.clone()).await)
    }

    /// What became of a transaction, by the first that answers.
    ///
    /// # Errors
    /// None of them is there.
    pub fn receipt(&mut self, id: Hex32) -> Result<Option<ReceiptStatus>, RpcError> {
        self.ask(async |client| client.receipt(id).await)
    }

    /// An account, by the first that answers.
    ///
    /// # Errors
    /// None of them is there.
    pub fn account(&mut self, account: XOnlyPublicKey) -> Result<SequencerAccount, RpcError> {
        self.ask(async |client| client.account(account).await)
    }

    /// A final block, by the first that answers.
    ///
    /// # Errors
    /// None of them is there.
    pub fn block(&mut self, height: u64) -> Result<Option<BlockStatus>, RpcError> {
        self.ask(async |client| client.block(height).await)
    }
}
