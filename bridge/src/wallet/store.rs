//! The wallet's files: `wallet.db`, an append-only log of `bdk_wallet`'s changes, and `lock`.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use bdk_wallet::file_store::{Store, StoreError};
use bdk_wallet::template::Bip86;
use bdk_wallet::{ChangeSet, KeychainKind, LoadWithPersistError, PersistedWallet};
use bitcoin::Network;
use bitcoin::bip32::Xpriv;

use super::{WalletError, internal};

const MAGIC: &[u8] = b"trestle wallet 1";

/// The open files of a wallet.
pub(super) struct Files {
    pub(super) directory: PathBuf,
    path: PathBuf,
    store: Store<ChangeSet>,
    /// The same file as `store`, to flush it to the disk.
    file: File,
    /// Locked while the wallet is open; the system unlocks it when the process ends.
    _lock: File,
}

impl Files {
    /// Writes down all changes; they are on the disk when this returns.
    pub(super) fn persist(&mut self, wallet: &mut PersistedWallet<Store<ChangeSet>>) -> Result<(), WalletError> {
        let written = wallet.persist(&mut self.store).map_err(|e| failed(&self.path, e))?;
        if written { self.file.sync_data().map_err(|e| failed(&self.path, e)) } else { Ok(()) }
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
) -> Result<(PersistedWallet<Store<ChangeSet>>, Files), WalletError> {
    std::fs::create_dir_all(directory).map_err(|e| failed(directory, e))?;
    let lock_path = directory.join("lock");
    let lock = File::create(&lock_path).map_err(|e| failed(&lock_path, e))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(WalletError::InUse { path: directory.into() }),
        Err(TryLockError::Error(e)) => return Err(failed(&lock_path, e)),
    }
    let path = directory.join("wallet.db");
    let mut store = open_log(&path)?;
    let loaded = PersistedWallet::load(
        &mut store,
        bdk_wallet::LoadParams::new()
            .descriptor(KeychainKind::External, Some(external.clone()))
            .descriptor(KeychainKind::Internal, Some(change.clone()))
            .check_network(network),
    );
    let wallet = match loaded {
        Ok(Some(wallet)) => wallet,
        Ok(None) => {
            let parameters = bdk_wallet::CreateParams::new(external, change).network(network);
            PersistedWallet::create(&mut store, parameters).map_err(|e| failed(&path, e))?
        }
        Err(LoadWithPersistError::Persist(e)) => return Err(failed(&path, e)),
        Err(LoadWithPersistError::InvalidChangeSet(e)) => {
            return Err(WalletError::OtherWallet { path: directory.into(), reason: e.to_string() });
        }
    };
    let file = File::open(&path).map_err(|e| failed(&path, e))?;
    file.sync_all().map_err(|e| failed(&path, e))?;
    Ok((wallet, Files { directory: directory.into(), path, store, file, _lock: lock }))
}

/// Opens the log. One that a crash cut short in its last entry loses that entry, which nobody was told of; anything
/// else that cannot be read is left for a person to see.
fn open_log(path: &Path) -> Result<Store<ChangeSet>, WalletError> {
    if !path.exists() || std::fs::metadata(path).is_ok_and(|m| m.len() < MAGIC.len() as u64) {
        let _ = std::fs::remove_file(path);
        return Store::create(MAGIC, path).map_err(|e| failed(path, e));
    }
    let (error, readable) = match Store::load(MAGIC, path) {
        Ok((store, _)) => return Ok(store),
        Err(error) => (error.error, error.changeset),
    };
    let is_cut_short = matches!(&error, StoreError::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof);
    if !is_cut_short {
        return Err(failed(path, error));
    }
    tracing::warn!(path = %path.display(), "the wallet's log ends in half an entry, from a crash; it is dropped");
    let mended = path.with_extension("mended");
    let _ = std::fs::remove_file(&mended);
    let mut store = Store::create(MAGIC, &mended).map_err(|e| failed(&mended, e))?;
    if let Some(changes) = readable {
        store.append(changes.as_ref()).map_err(|e| failed(&mended, e))?;
    }
    drop(store);
    File::open(&mended).and_then(|f| f.sync_all()).map_err(|e| failed(&mended, e))?;
    std::fs::rename(&mended, path).map_err(|e| failed(path, e))?;
    Store::load(MAGIC, path).map(|(store, _)| store).map_err(internal)
}
