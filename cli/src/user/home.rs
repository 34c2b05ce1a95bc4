//! The wallet's directory.
//!
//! | file | what |
//! | --- | --- |
//! | `mnemonic` | the twelve words; readable by the owner only, never overwritten |
//! | `network` | the Bitcoin network |
//! | `bridge.json` | the bridge it is used with and how it reads Bitcoin, from the first contact on |
//! | `journal.json` | what is on its way ([`super::journal`]) |
//! | `bitcoin/` | the coins ([`trestle_bridge::wallet`]) |
//! | `lock` | held while a command runs |

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bitcoin::Network;
use serde::{Deserialize, Serialize};
use trestle_bridge::parameters::BridgeParameters;
use trestle_bridge::wallet::{Lock, Mnemonic};

use super::journal::{Journal, JournalError};
use super::keys::Keys;
use crate::rpc::types::{ChainEndpoint, Hex32};

/// Why a wallet cannot be opened or created. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Nothing there.
    #[error("there is no wallet in {0}: create one with `trestle wallet new`, or name another with --wallet")]
    Missing(PathBuf),
    /// One is there already.
    #[error("there is a wallet in {0} already and it stays as it is: name another with --wallet")]
    Exists(PathBuf),
    /// Another command holds it.
    #[error("another trestle command is using the wallet in {0}: wait for it to end")]
    Busy(PathBuf),
    /// Neither HOME nor a directory.
    #[error("HOME is not set, so there is no place for wallets: give a directory with --wallet ./DIR")]
    NoHome,
    /// A file is there and makes no sense.
    #[error("{file} is damaged ({why}): restore it from a backup, or the wallet from its twelve words")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system refused.
    #[error("cannot use {file}: {source}")]
    Io {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The bridge that a wallet is used with, as it was at the first contact.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Binding {
    /// The hash of the parameters, for a person to compare.
    pub instance: Hex32,
    /// What the bridge was created with: enough to find and build everything that is the user's.
    pub parameters: BridgeParameters,
    /// How to read Bitcoin when the node does not answer.
    pub chain: ChainEndpoint,
}

/// An open wallet directory; no other command can open it meanwhile.
#[derive(Debug)]
pub struct Home {
    dir: PathBuf,
    network: Network,
    words: Mnemonic,
    _lock: Lock,
}

/// The directory that `--wallet` names: a name is one in `~/.trestle`, anything with a slash a directory.
///
/// # Errors
/// [`HomeError::NoHome`].
pub fn directory(wallet: &str) -> Result<PathBuf, HomeError> {
    let is_path = wallet.contains('/') || matches!(wallet, "." | "..");
    if is_path { Ok(PathBuf::from(wallet)) } else { Ok(trestle_dir()?.join(wallet)) }
}

/// `~/.trestle`, where wallets and the devnet live unless told otherwise.
///
/// # Errors
/// [`HomeError::NoHome`].
pub fn trestle_dir() -> Result<PathBuf, HomeError> {
    match std::env::var_os("HOME") {
        Some(home) if home != OsStr::new("") => Ok(PathBuf::from(home).join(".trestle")),
        _ => Err(HomeError::NoHome),
    }
}

impl Home {
    /// Creates a wallet in `dir` and opens it. Nothing that is there is overwritten; an interrupted creation can be repeated.
    ///
    /// # Errors
    /// [`HomeError::Exists`], or the system refuses.
    pub fn create(dir: &Path, network: Network, words: &Mnemonic) -> Result<Self, HomeError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error(dir))?;
        let lock = lock(dir)?;
        let file = dir.join("mnemonic");
        if file.exists() {
            return Err(HomeError::Exists(dir.into()));
        }
        replace(&dir.join("network"), format!("{network}\n").as_bytes())?;
        let draft = dir.join("mnemonic.new");
        write_private(&draft, format!("{words}\n").as_bytes())?;
        // A link, unlike a rename, fails if the name is taken.
        fs::hard_link(&draft, &file).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => HomeError::Exists(dir.into()),
            _ => HomeError::Io { file: file.clone(), source: e },
        })?;
        fs::remove_file(&draft).map_err(io_error(&draft))?;
        sync_dir(dir)?;
        Ok(Self { dir: dir.into(), network, words: words.clone(), _lock: lock })
    }

    /// Opens the wallet in `dir`.
    ///
    /// # Errors
    /// [`HomeError::Missing`], [`HomeError::Busy`], or a file is damaged.
    pub fn open(dir: &Path) -> Result<Self, HomeError> {
        let file = dir.join("mnemonic");
        if !file.exists() {
            return Err(HomeError::Missing(dir.into()));
        }
        let lock = lock(dir)?;
        let words = read(&file)?;
        let words = Mnemonic::parse(words.trim()).map_err(|e| damaged(&file, e))?;
        let file = dir.join("network");
        let network = read(&file)?.trim().parse().map_err(|e| damaged(&file, e))?;
        Ok(Self { dir: dir.into(), network, words, _lock: lock })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The Bitcoin network.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The twelve words.
    pub fn words(&self) -> &Mnemonic {
        &self.words
    }

    /// The keys that the words give.
    pub fn keys(&self) -> Keys {
        Keys::derive(&self.words, self.network)
    }

    /// The directory of the Bitcoin wallet.
    pub fn bitcoin_dir(&self) -> PathBuf {
        self.dir.join("bitcoin")
    }

    /// What is on its way.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn journal(&self) -> Result<Journal, HomeError> {
        Ok(Journal::open(&self.dir.join("journal.json"))?)
    }

    /// The bridge that this wallet is used with; `None` before the first contact.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn binding(&self) -> Result<Option<Binding>, HomeError> {
        let file = self.dir.join("bridge.json");
        if !file.exists() {
            return Ok(None);
        }
        serde_json::from_str(&read(&file)?).map(Some).map_err(|e| damaged(&file, e))
    }

    /// Remembers the bridge.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn bind(&self, binding: &Binding) -> Result<(), HomeError> {
        let text = serde_json::to_vec_pretty(binding).expect("a binding has string keys only");
        replace(&self.dir.join("bridge.json"), &text)
    }
}

/// Puts `bytes` into `file`, which has them all or is as it was, whenever the machine stops.
///
/// # Errors
/// [`HomeError::Io`].
pub fn replace(file: &Path, bytes: &[u8]) -> Result<(), HomeError> {
    let draft = file.with_extension("draft");
    write_private(&draft, bytes)?;
    fs::rename(&draft, file).map_err(io_error(file))?;
    sync_dir(file.parent().unwrap_or(Path::new(".")))
}

fn write_private(file: &Path, bytes: &[u8]) -> Result<(), HomeError> {
    let mut to =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file).map_err(io_error(file))?;
    to.write_all(bytes).and_then(|()| to.sync_all()).map_err(io_error(file))
}

fn sync_dir(dir: &Path) -> Result<(), HomeError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(io_error(dir))
}

fn lock(dir: &Path) -> Result<Lock, HomeError> {
    let path = dir.join("lock");
    Lock::take(&path).map_err(|e| match e {
        TryLockError::WouldBlock => HomeError::Busy(dir.into()),
        TryLockError::Error(source) => HomeError::Io { file: path, source },
    })
}

fn read(file: &Path) -> Result<String, HomeError> {
    fs::read_to_string(file).map_err(io_error(file))
}

fn io_error(file: &Path) -> impl FnOnce(io::Error) -> HomeError {
    let file = file.to_path_buf();
    move |source| HomeError::Io { file, source }
}

fn damaged(file: &Path, why: impl std::fmt::Display) -> HomeError {
    HomeError::Damaged { file: file.into(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn words(byte: u8) -> Mnemonic {
        Mnemonic::from_entropy(&[byte; 16]).expect("16 bytes")
    }

    #[test]
    fn a_wallet_is_created_once_and_opens_with_the_same_words() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path().join("alice");
        assert!(matches!(Home::open(&dir), Err(HomeError::Missing(_))));
        drop(Home::create(&dir, Network::Regtest, &words(1)).expect("creates"));
        assert!(matches!(Home::create(&dir, Network::Bitcoin, &words(2)), Err(HomeError::Exists(_))));
        let home = Home::open(&dir).expect("opens");
        assert_eq!((home.words(), home.network()), (&words(1), Network::Regtest));
        let mode = fs::metadata(dir.join("mnemonic")).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn an_interrupted_creation_can_be_repeated() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("network"), "bitcoin\n").expect("writes");
        fs::write(dir.path().join("mnemonic.new"), "half").expect("writes");
        let home = Home::create(dir.path(), Network::Regtest, &words(1)).expect("creates");
        assert_eq!(home.network(), Network::Regtest);
        assert!(!dir.path().join("mnemonic.new").exists());
    }

    #[test]
    fn two_commands_cannot_use_one_wallet_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Home::create(dir.path(), Network::Regtest, &words(1)).expect("creates");
        assert!(matches!(Home::open(dir.path()), Err(HomeError::Busy(_))));
        drop(first);
        assert!(Home::open(dir.path()).is_ok());
    }

    #[test]
    fn a_name_is_a_wallet_at_home_and_a_path_is_a_directory() {
        assert!(directory("bob").expect("HOME is set").ends_with(".trestle/bob"));
        for path in ["./bob", "/tmp/bob", ".", ".."] {
            assert_eq!(directory(path).expect("a path"), PathBuf::from(path));
        }
    }
}
