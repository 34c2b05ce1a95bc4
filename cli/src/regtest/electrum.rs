//! ElectrumX on a regtest node.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bitcoin::Network;
use tempfile::TempDir;
use trestle_bridge::chain::{Chain, ChainError, Electrum};

use super::process::{Process, free_port};
use super::{Node, RegtestError, executables, system, wait_until};

const PROGRAM: &str = "electrumx_server";
/// How often to try another port.
const PORTS: usize = 10;
/// How often ElectrumX asks its node for news, in milliseconds; 5 seconds by default.
const POLL_INTERVAL: &str = "50";
/// Runs ElectrumX (`sys.argv[1]`) without the second that version 2 waits before most answers, so that whoever
/// watches the wire learns less from their sizes. Here nobody watches, and a test asks hundreds of questions.
const WITHOUT_DELAY: &str = "
import runpy, sys
try:
    from electrumx.server.transport import PaddedRSTransport
    PaddedRSTransport.WAIT_FOR_BUFFER_GROWTH_SECONDS = 0
except ImportError:
    pass
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
";

/// An Electrum server. Killed when dropped.
pub struct ElectrumServer {
    process: Option<Process>,
    port: u16,
    node_url: String,
    chain: Arc<Electrum>,
    directory: TempDir,
}

impl ElectrumServer {
    /// A server on `node` that has seen its tip. The node needs one block at least.
    pub fn start(node: &Node) -> Result<Self, RegtestError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let directory =
                TempDir::with_prefix("trestle-electrumx-").map_err(system("creating a temporary directory"))?;
            let port = free_port()?;
            let chain = Arc::new(Electrum::new(&format!("tcp://127.0.0.1:{port}"), Network::Regtest)?);
            let mut server = Self { process: None, port, node_url: node.url_with_password(), chain, directory };
            match server.launch() {
                Ok(()) => {
                    server.wait_for(node)?;
                    return Ok(server);
                }
                Err(RegtestError::Failed { last_words, .. })
                    if tries < PORTS && last_words.contains("failed to listen") => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn launch(&mut self) -> Result<(), RegtestError> {
        let mut command = command(&executables::electrumx()?);
        command
            .env("COIN", "Bitcoin")
            .env("NET", "regtest")
            .env("DB_ENGINE", "leveldb")
            .env("DB_DIRECTORY", self.directory.path())
            .env("DAEMON_URL", &self.node_url)
            .env("SERVICES", format!("tcp://127.0.0.1:{}", self.port))
            .env("PEER_DISCOVERY", "off")
            .env("PEER_ANNOUNCE", "")
            .env("ALLOW_ROOT", "1")
            .env("COST_SOFT_LIMIT", "0")
            .env("COST_HARD_LIMIT", "0")
            .env("DAEMON_POLL_INTERVAL_BLOCKS", POLL_INTERVAL)
            .env("DAEMON_POLL_INTERVAL_MEMPOOL", POLL_INTERVAL);
        let mut process = Process::start(PROGRAM, &command, &self.directory.path().join("electrumx.log"))?;
        // Only the log tells it apart from another program that took the port.
        let ready = wait_until("ElectrumX listens", || {
            process.check_running()?;
            let output = process.output();
            if output.contains("failed to listen") {
                return Err(process.failed("could not listen"));
            }
            Ok::<_, RegtestError>(output.contains("server listening on").then_some(()))
        });
        match ready {
            Err(RegtestError::Timeout { .. }) => return Err(process.failed("did not listen in time")),
            other => other?,
        }
        self.process = Some(process);
        Ok(())
    }

    /// The chain as this server sees it.
    pub fn chain(&self) -> Arc<Electrum> {
        self.chain.clone()
    }

    /// Where it listens: `tcp://host:port`.
    pub fn url(&self) -> &str {
        self.chain.url()
    }

    /// Returns when the server has seen the node's tip.
    pub fn wait_for(&self, node: &Node) -> Result<(), RegtestError> {
        wait_until("ElectrumX has the node's tip", || match (self.chain.tip(), node.chain().tip()?) {
            (Ok(tip), target) => Ok((tip == target).then_some(())),
            (Err(ChainError::Unreachable { .. }), _) => Ok(None),
            (Err(error), _) => Err(RegtestError::from(error)),
        })
    }

    /// Kills the server, as a crash does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, on the same port, and returns when it has seen the node's tip.
    pub fn start_again(&mut self, node: &Node) -> Result<(), RegtestError> {
        if self.process.is_none() {
            self.launch()?;
        }
        self.wait_for(node)
    }
}

/// The program, by the Python of the virtual environment that it is installed in, if it is in one.
fn command(program: &Path) -> Command {
    let python = program.with_file_name("python3");
    if !python.is_file() {
        return Command::new(program);
    }
    let mut command = Command::new(python);
    command.args(["-c", WITHOUT_DELAY]).arg(program);
    command
}
