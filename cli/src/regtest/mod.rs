//! A Bitcoin chain of one's own: bitcoind in regtest mode, an Electrum server on it, and somebody who mines.
//!
//! What is started here lives in a directory of its own, listens on ports that the system picked, and dies with
//! whoever started it, also where that is killed. `regtest/setup.sh` installs the programs.

mod electrum;
mod executables;
mod miner;
mod node;
mod process;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use trestle_bridge::chain::ChainError;
use trestle_bridge::wallet::WalletError;

pub use electrum::ElectrumServer;
pub use miner::Miner;
pub use node::{Node, NodeOptions};
pub(crate) use process::free_port;

/// Why there is no regtest.
#[derive(Debug, thiserror::Error)]
pub enum RegtestError {
    /// A program is not installed.
    #[error("{program} is not there ({looked}): run regtest/setup.sh")]
    Missing {
        /// `bitcoind` or `electrumx_server`.
        program: &'static str,
        /// Where it was looked for.
        looked: String,
    },
    /// A program ended, or did not become ready.
    #[error("{program} {what}; its last words in {log}:\n{last_words}", log = log.display())]
    Failed {
        /// `bitcoind` or `electrumx_server`.
        program: &'static str,
        /// What happened.
        what: String,
        /// The end of its log.
        last_words: String,
        /// Its log.
        log: PathBuf,
    },
    /// What was waited for did not come true.
    #[error("waited {waited:?} in vain until {what}")]
    Timeout {
        /// What was to become true.
        what: String,
        /// For how long.
        waited: Duration,
    },
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The node or the Electrum server answered with an error.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The miner's wallet failed.
    #[error(transparent)]
    Wallet(#[from] WalletError),
}

/// How long anything here may take before it counts as broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until the answer is there, at most for [`PATIENCE`]. For what nobody announces: a server
/// that has caught up, a file that appears.
pub fn wait_until<T, E>(what: &str, mut ask: impl FnMut() -> Result<Option<T>, E>) -> Result<T, E>
where
    E: From<RegtestError>,
{
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        let waited = start.elapsed();
        if waited > PATIENCE {
            return Err(RegtestError::Timeout { what: what.into(), waited }.into());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> RegtestError {
    let what = what.into();
    |source| RegtestError::System { what, source }
}
