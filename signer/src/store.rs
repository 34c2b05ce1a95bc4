//! Where a signer remembers: a map of byte strings whose writes are atomic and durable.
//!
//! The only write is [`Store::commit`]: all of a batch or nothing, and on disk when it returns. Whatever a signer says to
//! anyone is said after the commit that covers it, so a crash leaves two cases only: the batch is there or it is not.
//!
//! A store must never be rolled back to an older copy (a restored backup, a virtual machine's snapshot): it would forget
//! that a nonce was used. A signer whose store is lost starts again with a new key, in a new committee.

/// The store failed, or holds what this program did not write. The signer must be dropped and opened again.
#[derive(Debug, thiserror::Error)]
#[error("store: {0}")]
pub struct StoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl StoreError {
    /// A record at `key` that does not decode.
    pub(crate) fn corrupt(key: &[u8]) -> Self {
        Self(format!("record {key:02x?} does not decode").into())
    }
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        Self(Box::new(error))
    }
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Writes that are made together: a key and its new value, `None` to remove it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(pub Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Batch {
    /// Adds a write of `value` at `key`.
    pub fn insert(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.0.push((key.into(), Some(value.into())));
    }

    /// Adds the removal of `key`.
    pub fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.0.push((key.into(), None));
    }
}

/// A durable map. Implemented by [`sled::Tree`].
pub trait Store {
    /// The value at `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Every key that starts with `prefix`, with its value, in the order of the keys.
    fn scan(&self, prefix: &[u8]) -> Result<Vec<Entry>, StoreError>;

    /// Makes every write of `batch` or none, and returns once they would survive a loss of power.
    fn commit(&self, batch: Batch) -> Result<(), StoreError>;
}

impl Store for sled::Tree {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(sled::Tree::get(self, key)?.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
        self.scan_prefix(prefix)
            .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(Into::into))
            .collect()
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.0.is_empty() {
            return Ok(());
        }
        let mut writes = sled::Batch::default();
        for (key, value) in batch.0 {
            match value {
                Some(value) => writes.insert(key, value),
                None => writes.remove(key),
            }
        }
        self.apply_batch(writes)?;
        self.flush()?;
        Ok(())
    }
}
