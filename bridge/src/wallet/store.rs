//! The wallet's files: `lock`, and `wallet.db`, to which every change is appended.
//!
//! The log is a first line that says what it is, then frames: length and first four bytes of the SHA-256 of what
//! follows, both of 4 bytes, then a change as JSON. A frame that a crash left half written is the last one; nobody was
//! told of it, and it is dropped. Anything else that cannot be read is left for a person to see.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bdk_wallet::chain::Merge;
use bdk_wallet::template::Bip86;
use bdk_wallet::{ChangeSet, KeychainKind, LoadWithPersistError, PersistedWallet, WalletPersister};
use bitcoin::Network;
use bitcoin::bip32::Xpriv;
use bitcoin::hashes::{Hash, sha256};

use super::WalletError;

const FIRST_LINE: &[u8] = b"trestle wallet 1\n";
/// Length and checksum.
const HEADER: usize = 8;
/// A log of more frames is written anew when it is opened.
const LONG: usize = 1_000;

/// The open files of a wallet.
pub(super) struct Files {
    pub(super) directory: PathBuf,
    log: Log,
    /// Held while the wallet is open.
    _lock: Lock,
}

impl Files {
    /// Writes down all changes; they are on the disk when this returns.
    pub(super) fn persist(&mut self, wallet: &mut PersistedWallet<Log>) -> Result<(), WalletError> {
        wallet.persist(&mut self.log).map(|_| ()).map_err(|e| failed(&self.log.path, e))
    }
}

/// A file that is locked while this lives; the system unlocks it when the process ends.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Locks `path`, which is made where there is none.
    ///
    /// # Errors
    /// Another has locked it, or the system refuses.
    pub fn take(path: &Path) -> Result<Self, TryLockError> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    // Closing is not enough: a child that another thread is just starting has the file open until it runs its program.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "a lock file stays locked until the process ends");
        }
    }
}

fn failed(path: &Path, reason: impl ToString) -> WalletError {
    WalletError::Store { path: path.into(), reason: reason.to_string() }
}

/// The wallet in a directory, made where there is none.
pub(super) fn open(
    directory: &Path,
    network: Network,
    [external, change]: [Bip86<Xpriv>; 2],
) -> Result<(PersistedWallet<Log>, Files), WalletError> {
    std::fs::create_dir_all(directory).map_err(|e| failed(directory, e))?;
    let lock_path = directory.join("lock");
    let lock = Lock::take(&lock_path).map_err(|e| match e {
        TryLockError::WouldBlock => WalletError::InUse { path: directory.into() },
        TryLockError::Error(e) => failed(&lock_path, e),
    })?;
    let path = directory.join("wallet.db");
    let mut log = Log::open(&path).map_err(|e| failed(&path, e))?;
    let expected = bdk_wallet::LoadParams::new()
        .descriptor(KeychainKind::External, Some(external.clone()))
        .descriptor(KeychainKind::Internal, Some(change.clone()))
        .check_network(network);
    let wallet = match PersistedWallet::load(&mut log, expected) {
        Ok(Some(wallet)) => wallet,
        Ok(None) => {
            let parameters = bdk_wallet::CreateParams::new(external, change).network(network);
            PersistedWallet::create(&mut log, parameters).map_err(|e| failed(&path, e))?
        }
        Err(LoadWithPersistError::Persist(e)) => return Err(failed(&path, e)),
        Err(LoadWithPersistError::InvalidChangeSet(e)) => {
            return Err(WalletError::OtherWallet { path: directory.into(), reason: e.to_string() });
        }
    };
    Ok((wallet, Files { directory: directory.into(), log, _lock: lock }))
}

/// An append-only log of changes.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// Length of what is written whole; an append that failed may have left more.
    length: u64,
}

impl Log {
    /// Opens a log, made where there is none, and mends its end.
    fn open(path: &Path) -> io::Result<Self> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(e),
        };
        let contents = Contents::read(&bytes)?;
        if contents.length != bytes.len() {
            let lost = bytes.len() - contents.length;
            tracing::warn!(path = %path.display(), lost, "the wallet's log ends in half a change, from a crash; it is dropped");
        }
        if contents.length == 0 || contents.length != bytes.len() || contents.frames > LONG {
            return Self::write_anew(path, &contents.merged);
        }
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { path: path.into(), file, length: contents.length as u64 })
    }

    /// Replaces a log by one with a single frame, at once.
    fn write_anew(path: &Path, merged: &ChangeSet) -> io::Result<Self> {
        let new = path.with_extension("new");
        let mut bytes = FIRST_LINE.to_vec();
        if !merged.is_empty() {
            bytes.extend(frame(merged)?);
        }
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { path: path.into(), file, length: bytes.len() as u64 })
    }
}

impl WalletPersister for Log {
    type Error = io::Error;

    fn initialize(log: &mut Self) -> io::Result<ChangeSet> {
        Contents::read(&std::fs::read(&log.path)?).map(|contents| contents.merged)
    }

    fn persist(log: &mut Self, change: &ChangeSet) -> io::Result<()> {
        let bytes = frame(change)?;
        // What a failed append left behind would hide all that follows it.
        log.file.set_len(log.length)?;
        log.file.write_all(&bytes)?;
        log.file.sync_data()?;
        log.length += bytes.len() as u64;
        Ok(())
    }
}

fn frame(change: &ChangeSet) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(change)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    Ok([&length.to_be_bytes()[..], &checksum(&body), &body].concat())
}

fn checksum(body: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256::Hash::hash(body).to_byte_array();
    [a, b, c, d]
}

/// What is in a log.
struct Contents {
    merged: ChangeSet,
    frames: usize,
    /// Bytes up to the end of the last whole frame; 0 where not even the first line is whole.
    length: usize,
}

impl Contents {
    fn read(bytes: &[u8]) -> io::Result<Self> {
        let mut contents = Self { merged: ChangeSet::default(), frames: 0, length: 0 };
        let Some(mut rest) = bytes.strip_prefix(FIRST_LINE) else {
            let is_cut_short = FIRST_LINE.starts_with(bytes);
            return if is_cut_short { Ok(contents) } else { Err(io::Error::other("it is no wallet of this version")) };
        };
        while !rest.is_empty() {
            let Some((body, sum, after)) = split_frame(rest) else { break };
            if checksum(body) != sum {
                if after.is_empty() || rest.iter().all(|byte| *byte == 0) {
                    break;
                }
                return Err(io::Error::other(format!("change {} is damaged", contents.frames)));
            }
            contents.merged.merge(serde_json::from_slice(body)?);
            contents.frames += 1;
            rest = after;
        }
        contents.length = bytes.len() - rest.len();
        Ok(contents)
    }
}

/// The body of a frame that is there in full length, its checksum, and what comes after it.
fn split_frame(bytes: &[u8]) -> Option<(&[u8], [u8; 4], &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let [a, b, c, d, sum @ ..] = *header;
    let (body, after) = rest.split_at_checked(u32::from_be_bytes([a, b, c, d]) as usize)?;
    Some((body, sum, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(height: u32) -> ChangeSet {
        let mut change = ChangeSet::default();
        change.local_chain.blocks.insert(height, Some(bitcoin::BlockHash::all_zeros()));
        change
    }

    #[test]
    fn a_lock_that_is_dropped_is_free_whoever_else_has_the_file_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let lock = Lock::take(&path).unwrap();
        let inherited = lock.0.try_clone().unwrap();
        assert!(matches!(Lock::take(&path), Err(TryLockError::WouldBlock)));
        drop(lock);
        Lock::take(&path).unwrap();
        drop(inherited);
    }

    #[test]
    fn a_log_cut_anywhere_holds_the_changes_before_the_cut() {
        let frames: Vec<_> = (0..3).map(|height| frame(&change(height)).unwrap()).collect();
        let whole = [FIRST_LINE, &frames.concat()].concat();
        for cut in 0..=whole.len() {
            let contents = Contents::read(&whole[..cut]).unwrap();
            let mut end = FIRST_LINE.len();
            let ends: Vec<_> = frames
                .iter()
                .map(|frame| {
                    end += frame.len();
                    end
                })
                .collect();
            assert_eq!(contents.frames, ends.iter().filter(|end| **end <= cut).count());
            assert_eq!(contents.merged.local_chain.blocks.len(), contents.frames);
            assert!(contents.length <= cut);
        }
        let zeros = [&whole[..], &[0; 100]].concat();
        assert_eq!(Contents::read(&zeros).unwrap().length, whole.len());
    }

    #[test]
    fn a_log_that_is_damaged_before_its_end_is_refused() {
        let mut log = [FIRST_LINE, &frame(&change(0)).unwrap(), &frame(&change(1)).unwrap()].concat();
        log[FIRST_LINE.len() + HEADER + 5] ^= 1;
        assert!(Contents::read(&log).is_err());
        assert!(Contents::read(b"something else").is_err());
    }

    #[test]
    fn a_long_log_is_written_anew_with_the_same_contents() {
        let directory = std::env::temp_dir().join(format!("trestle-wallet-log-{:x}", rand::random::<u64>()));
        std::fs::create_dir(&directory).unwrap();
        let path = directory.join("wallet.db");
        let mut log = Log::open(&path).unwrap();
        let changes = LONG as u32 + 1;
        (0..changes).for_each(|height| log.file.write_all(&frame(&change(height)).unwrap()).unwrap());
        let long = std::fs::metadata(&path).unwrap().len();
        let mut log = Log::open(&path).unwrap();
        assert!(log.length < long);
        Log::persist(&mut log, &change(changes)).unwrap();
        let merged = Log::initialize(&mut log).unwrap();
        assert_eq!(merged.local_chain.blocks.len(), LONG + 2);
        assert_eq!(Contents::read(&std::fs::read(&path).unwrap()).unwrap().frames, 2);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
