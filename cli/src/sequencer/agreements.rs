//! The sets that a sequencer takes part in: for each an engine, on a network of its own.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use bitcoin::secp256k1::Keypair;
use trestle_rollup::{Digest, Ledger};
use trestle_sequencer::consensus::{Metrics, Running, Shared, Sockets, Timings, serve};

use super::{Error, set};
use crate::runtime;

/// See the [module](self).
pub struct Agreements {
    pub key: Keypair,
    pub instance: Digest,
    pub ledger: Ledger,
    /// Where the sequencers find each other.
    pub file: PathBuf,
    /// Where it listens, if not at the address in the file.
    pub listen: Option<IpAddr>,
    /// Where the engines keep their files, each in a directory that has the set's number.
    pub directory: PathBuf,
    running: BTreeMap<u32, Running>,
    /// Why the newest set's engine is not there, as it was said.
    missing: Option<String>,
}

impl Agreements {
    /// Of a sequencer with this key.
    pub fn new(key: Keypair, ledger: Ledger, file: PathBuf, listen: Option<IpAddr>, directory: PathBuf) -> Self {
        let instance = ledger.parameters().instance();
        Self { key, instance, ledger, file, listen, directory, running: BTreeMap::new(), missing: None }
    }

    /// Starts the engines of the sets that the sequencer has a seat in, as far as the file says where the others are, and
    /// stops those of sets that it has left.
    ///
    /// # Errors
    /// An engine does not start, or has ended by itself.
    pub fn follow(&mut self, shared: &Shared) -> Result<(), Error> {
        let seats = shared.orderer().seats();
        if !self.running.values().all(Running::is_alive) {
            return Err(Error::Ended);
        }
        for (set, index) in &seats {
            if self.running.contains_key(set) {
                continue;
            }
            match self.sockets(*set, *index) {
                Ok(sockets) => {
                    let running = serve(sockets, shared.clone()).map_err(|e| Error::file(&self.directory, e))?;
                    self.running.insert(*set, running);
                    self.missing = None;
                    tracing::info!(set, index, "takes part in the agreement");
                }
                Err(error) => {
                    let said = Some(error.to_string());
                    if self.missing != said {
                        tracing::error!(set, %error, "cannot take part in the agreement yet");
                        self.missing = said;
                    }
                }
            }
        }
        let left: Vec<_> =
            self.running.keys().filter(|set| !seats.iter().any(|(seat, _)| seat == *set)).copied().collect();
        for set in left {
            self.running.remove(&set);
            let directory = self.directory.join(set.to_string());
            fs::remove_dir_all(&directory).map_err(|e| Error::file(&directory, e))?;
            tracing::info!(set, "has left the agreement");
        }
        Ok(())
    }

    fn sockets(&self, set: u32, index: u8) -> Result<Sockets, Error> {
        let keys = self.ledger.state_at_tip().keys_of_set(set).map_err(runtime::Error::from)?;
        let members = set::members(&self.file, &self.instance, set, &keys)?;
        let (_, address) = *members.get(usize::from(index)).ok_or(Error::Ended)?;
        Ok(Sockets {
            set,
            key: self.key,
            listen: self.listen.map_or(address, |listen| SocketAddr::new(listen, address.port())),
            local: members.iter().all(|(_, address)| address.ip().is_loopback()),
            members,
            directory: self.directory.join(set.to_string()),
            timings: Timings::default(),
        })
    }

    /// What the newest set's engine counts; nothing while there is none.
    pub fn metrics(&self) -> Option<Metrics> {
        self.running.last_key_value().map(|(_, running)| running.metrics())
    }
}
