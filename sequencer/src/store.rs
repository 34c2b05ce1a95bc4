//! What the stores of a sequencer have in common: sled trees whose rows are changed together.

use trestle_rollup::Digest;

/// Why the store could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the sequencer's store: {0}")]
    Database(#[from] sled::Error),
    /// A stored value is not what was once written there.
    #[error("the sequencer's store is damaged: {0}")]
    Damaged(&'static str),
}

/// Changes that become durable together.
#[derive(Default)]
pub(crate) struct Changes(sled::Batch, bool);

impl Changes {
    pub fn put(&mut self, key: Vec<u8>, value: &[u8]) {
        self.0.insert(key, value);
        self.1 = true;
    }

    pub fn remove(&mut self, key: Vec<u8>) {
        self.0.remove(key);
        self.1 = true;
    }

    /// Writes all the changes or none, and returns once they are on disk.
    pub fn commit(self, tree: &sled::Tree) -> Result<(), StoreError> {
        if self.1 {
            tree.apply_batch(self.0)?;
            tree.flush()?;
        }
        Ok(())
    }
}

/// The key of a kind of value that has a number.
pub(crate) fn numbered(kind: u8, number: u64) -> Vec<u8> {
    [&[kind][..], &number.to_be_bytes()].concat()
}

/// The key of a kind of value that has a transaction's id.
pub(crate) fn identified(kind: u8, id: &Digest) -> Vec<u8> {
    [&[kind][..], id].concat()
}
