//! What every role has for itself: a directory with its secrets, its database, its own Layer 2.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::secp256k1::{Keypair, Secp256k1, SecretKey};
use trestle_bridge::chain::Chain;
use trestle_bridge::follow::{Follower, Step};
use trestle_bridge::parameters::BridgeParameters;
use trestle_bridge::wallet::{Mnemonic, Wallet, new_mnemonic};
use trestle_challenger::ChainView;
use trestle_rollup::Ledger;
use trestle_taptree_trace::ots::SecretSeed;

use super::Error;
use crate::user::home;

/// How long a database that another has open is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A role's secrets, each in a file of its own that only the owner can read, made when first asked for.
#[derive(Clone, Debug)]
pub struct Secrets {
    directory: PathBuf,
}

impl Secrets {
    /// The secrets in `directory`, which is made where there is none.
    ///
    /// # Errors
    /// The system refuses.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        fs::create_dir_all(directory).map_err(|e| Error::file(directory, e))?;
        Ok(Self { directory: directory.into() })
    }

    /// The key that names the role.
    ///
    /// # Errors
    /// The file cannot be read, written, or understood.
    pub fn key(&self) -> Result<Keypair, Error> {
        let bytes = self.bytes("key")?;
        let secret = SecretKey::from_slice(&bytes).map_err(|e| Error::file(&self.directory.join("key"), e))?;
        Ok(Keypair::from_secret_key(&Secp256k1::new(), &secret))
    }

    /// The seed of its one-time keys and secrets.
    ///
    /// # Errors
    /// As [`Self::key`].
    pub fn seed(&self) -> Result<SecretSeed, Error> {
        Ok(SecretSeed::new(self.bytes("seed")?))
    }

    /// The words of its Bitcoin wallet.
    ///
    /// # Errors
    /// As [`Self::key`].
    pub fn words(&self) -> Result<Mnemonic, Error> {
        let text = self.text("mnemonic", || new_mnemonic().to_string())?;
        text.parse().map_err(|e| Error::file(&self.directory.join("mnemonic"), e))
    }

    fn bytes(&self, name: &str) -> Result<[u8; 32], Error> {
        let fresh = || SecretKey::new(&mut rand::rngs::OsRng).secret_bytes().to_lower_hex_string();
        let text = self.text(name, fresh)?;
        <[u8; 32]>::from_hex(&text).map_err(|e| Error::file(&self.directory.join(name), e))
    }

    fn text(&self, name: &str, fresh: impl FnOnce() -> String) -> Result<String, Error> {
        let file = self.directory.join(name);
        if !file.exists() {
            home::replace(&file, fresh().as_bytes())?;
        }
        Ok(fs::read_to_string(&file).map_err(|e| Error::file(&file, e))?.trim().to_owned())
    }
}

/// A role's own view of Bitcoin and of the Layer 2.
pub struct Role {
    /// Its name in the timeline, such as `operator 0`.
    pub name: String,
    /// Its directory.
    pub directory: PathBuf,
    /// Its secrets.
    pub secrets: Secrets,
    /// Its database.
    pub db: sled::Db,
    /// What it knows.
    pub view: ChainView,
    follower: Follower,
}

impl Role {
    /// Opens the role called `name` in a directory of that name.
    ///
    /// # Errors
    /// Its files.
    pub fn open(home: &Path, name: &str, parameters: &BridgeParameters, chain: &Arc<dyn Chain>) -> Result<Self, Error> {
        Self::open_in(directory(home, name), name, parameters, chain)
    }

    /// Opens a role in `directory`.
    ///
    /// # Errors
    /// Its files.
    pub fn open_in(
        directory: PathBuf,
        name: &str,
        parameters: &BridgeParameters,
        chain: &Arc<dyn Chain>,
    ) -> Result<Self, Error> {
        let secrets = Secrets::open(&directory)?;
        let db = database(&directory.join("db"))?;
        let rollup = parameters.rollup().map_err(|e| Error::Parameters(e.into()))?;
        let ledger = Ledger::open(&db, &rollup)?;
        let follower = Follower::new(Arc::clone(chain), ledger.clone());
        let view = ChainView { ledger, chain: Arc::clone(chain) };
        Ok(Self { name: name.into(), directory, secrets, db, view, follower })
    }

    /// Its Layer 2.
    pub fn ledger(&self) -> &Ledger {
        &self.view.ledger
    }

    /// Its Bitcoin wallet.
    ///
    /// # Errors
    /// The wallet's files.
    pub fn wallet(&self, parameters: &BridgeParameters) -> Result<Wallet, Error> {
        let (network, words) = (parameters.network, self.secrets.words()?);
        Ok(Wallet::open(&self.directory.join("wallet"), network, &words, parameters.genesis.height)?)
    }

    /// Catches up with the chain, showing each step to `seen`.
    ///
    /// # Errors
    /// The chain cannot be read, or the database fails.
    pub fn follow(&mut self, mut seen: impl FnMut(&Step)) -> Result<(), Error> {
        while let Some(step) = self.follower.step()? {
            seen(&step);
        }
        Ok(())
    }
}

/// Opens a database. One that a process is just letting go of, or that a child has open which another thread is just
/// starting, is waited for.
fn database(path: &Path) -> Result<sled::Db, Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match sled::open(path) {
            // Sled's kind for a lock that another has.
            Err(sled::Error::Io(e)) if e.kind() == io::ErrorKind::Other && Instant::now() < deadline => {
                std::thread::sleep(PATIENCE / 100);
            }
            opened => return opened.map_err(|e| Error::file(path, e)),
        }
    }
}

/// Where the role called `name` keeps its files.
pub fn directory(home: &Path, name: &str) -> PathBuf {
    home.join(name.replace(' ', "-"))
}
