//! bitcoind in regtest mode.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
use bitcoin::{Address, BlockHash, Network};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use trestle_bridge::chain::{Auth, Bitcoind, Chain, ChainError};

use super::process::{Process, free_port};
use super::{RegtestError, executables, system, wait_until};

const PROGRAM: &str = "bitcoind";
/// How often to try another port.
const PORTS: usize = 10;
/// An RPC user for programs that cannot follow the cookie when the node restarts. Only this machine can connect.
const USER: &str = "trestle";
const PASSWORD: &str = "regtest";

/// How a node differs from the usual one.
#[derive(Debug, Clone, Default)]
pub struct NodeOptions {
    /// Its data directory, kept when it stops; a temporary one if none.
    pub directory: Option<PathBuf>,
    /// Its RPC port; a free one if none.
    pub rpc_port: Option<u16>,
}

/// A node with its default policy, `txindex` and `txospenderindex`, and no peers. When dropped it is stopped in good order if its
/// directory is to stay, as a killed one forgets the blocks that it did not save yet, and killed if not.
pub struct Node {
    process: Option<Process>,
    port: u16,
    directory: PathBuf,
    arguments: Vec<String>,
    chain: Arc<Bitcoind>,
    temporary: Option<TempDir>,
}

impl Node {
    /// A node with a chain of its own, ready to be asked.
    pub fn start() -> Result<Self, RegtestError> {
        Self::start_with(NodeOptions::default())
    }

    /// The same, with `options`.
    pub fn start_with(options: NodeOptions) -> Result<Self, RegtestError> {
        let (directory, temporary) = match options.directory {
            Some(directory) => {
                std::fs::create_dir_all(&directory).map_err(system(format!("creating {}", directory.display())))?;
                (directory, None)
            }
            None => {
                let made =
                    TempDir::with_prefix("trestle-bitcoind-").map_err(system("creating a temporary directory"))?;
                (made.path().to_owned(), Some(made))
            }
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let port = options.rpc_port.map_or_else(free_port, Ok)?;
            let cookie = Auth::Cookie(directory.join("regtest/.cookie"));
            let chain = Arc::new(Bitcoind::new(&format!("http://127.0.0.1:{port}"), cookie, Network::Regtest)?);
            let mut node = Self {
                process: None,
                port,
                directory: directory.clone(),
                arguments: Vec::new(),
                chain,
                temporary: None,
            };
            match node.launch_when_free() {
                Ok(()) => {
                    node.temporary = temporary;
                    return Ok(node);
                }
                Err(RegtestError::Failed { last_words, .. })
                    if options.rpc_port.is_none() && tries < PORTS && last_words.contains("Unable to bind") => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// As [`Self::launch`]; waits while the node of someone who was killed still saves what it has in the same directory.
    fn launch_when_free(&mut self) -> Result<(), RegtestError> {
        wait_until("the directory's last bitcoind has stopped", || match self.launch() {
            Ok(()) => Ok(Some(())),
            Err(RegtestError::Failed { last_words, .. }) if last_words.contains("Cannot obtain a lock") => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn launch(&mut self) -> Result<(), RegtestError> {
        let mut command = Command::new(executables::bitcoind()?);
        command.arg("-regtest").arg(format!("-datadir={}", self.directory.display()));
        command.arg(format!("-rpcport={}", self.port)).arg(format!("-rpcauth={}", rpcauth()));
        command.args([
            "-txindex=1",
            "-txospenderindex=1",
            "-listen=0",
            "-listenonion=0",
            "-dnsseed=0",
            "-fixedseeds=0",
        ]);
        command.args(["-printtoconsole=1", "-nodebuglogfile", "-server=1", "-dbcache=16"]);
        command.args(&self.arguments);
        // A cookie of a run that was killed would be refused, and look like the wrong node.
        let _ = std::fs::remove_file(self.cookie_file());
        let mut process = Process::start(PROGRAM, &command, &self.directory.join("bitcoind.log"))?;
        let ready = wait_until("bitcoind answers", || {
            process.check_running()?;
            match self.chain.tip() {
                Ok(_) => Ok(Some(())),
                Err(ChainError::Unreachable { .. } | ChainError::Credentials { .. }) => Ok(None),
                Err(error) => Err(RegtestError::from(error)),
            }
        });
        match ready {
            Err(RegtestError::Timeout { .. }) => return Err(process.failed("did not answer in time")),
            other => other?,
        }
        self.process = Some(process);
        Ok(())
    }

    /// The chain as this node sees it.
    pub fn chain(&self) -> Arc<Bitcoind> {
        self.chain.clone()
    }

    /// Where it answers RPC.
    pub fn url(&self) -> &str {
        self.chain.url()
    }

    /// The file with the user and password that it made when it started.
    pub fn cookie_file(&self) -> PathBuf {
        self.directory.join("regtest/.cookie")
    }

    /// The address for a program that takes user and password in it, valid also after a restart.
    pub fn url_with_password(&self) -> String {
        format!("http://{USER}:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// Its data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Any of its RPCs.
    pub fn call<T: DeserializeOwned>(&self, method: &str, parameters: &[Value]) -> Result<T, RegtestError> {
        Ok(self.chain.call(method, parameters)?)
    }

    /// Mines blocks on the tip, with all that the mempool holds; the coins go to `address`.
    pub fn mine(&self, blocks: u32, address: &Address) -> Result<Vec<BlockHash>, RegtestError> {
        self.call("generatetoaddress", &[json!(blocks), json!(address.to_string())])
    }

    /// Mines one empty block: what waits in the mempool goes on waiting.
    pub fn mine_empty(&self, address: &Address) -> Result<BlockHash, RegtestError> {
        let block: Value = self.call("generateblock", &[json!(address.to_string()), json!([])])?;
        Ok(serde_json::from_value(block["hash"].clone()).map_err(|e| ChainError::BadAnswer {
            server: self.url().into(),
            call: "generateblock".into(),
            reason: e.to_string(),
        })?)
    }

    /// Takes a block, and all on it, out of the best chain, as a reorganisation does; what they held is in the
    /// mempool again as far as it can be.
    pub fn invalidate(&self, hash: &BlockHash) -> Result<(), RegtestError> {
        self.call("invalidateblock", &[json!(hash)])
    }

    /// Stops the node in good order; what it holds of the chain stays.
    pub fn stop(&mut self) -> Result<(), RegtestError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        self.call::<Value>("stop", &[])?;
        wait_until("bitcoind has stopped", || Ok::<_, RegtestError>(process.has_ended().then_some(())))
    }

    /// Kills the node, as a crash does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, on the same port.
    pub fn start_again(&mut self) -> Result<(), RegtestError> {
        if self.process.is_none() { self.launch() } else { Ok(()) }
    }

    /// Stops and starts it.
    pub fn restart(&mut self) -> Result<(), RegtestError> {
        self.stop()?;
        self.start_again()
    }

    /// Stops it and starts it with further arguments, such as `-minrelaytxfee=0.0001`, instead of those of the last time.
    pub fn restart_with(&mut self, arguments: &[&str]) -> Result<(), RegtestError> {
        self.stop()?;
        self.arguments = arguments.iter().map(ToString::to_string).collect();
        self.start_again()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.temporary.is_none() {
            // One that does not stop is killed with its process.
            let _ = self.stop();
        }
    }
}

/// `user:salt$HMAC-SHA256(salt, password)`, as Core's share/rpcauth makes it.
fn rpcauth() -> String {
    const SALT: &str = "0123456789abcdef";
    let mut engine = HmacEngine::<sha256::Hash>::new(SALT.as_bytes());
    engine.input(PASSWORD.as_bytes());
    format!("{USER}:{SALT}${}", Hmac::<sha256::Hash>::from_engine(engine))
}
