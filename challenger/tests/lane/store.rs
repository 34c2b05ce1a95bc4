//! A store in memory that outlives its player, and fails when it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use trestle_signer::store::{Batch, Entry, Store, StoreError};

#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Whether the machine dies at the next write, and then whether what it was writing is on disk.
    dies: Option<bool>,
}

impl Disk {
    /// Dies at the next write.
    pub fn dies(&self, written: bool) {
        self.0.lock().unwrap().dies = Some(written);
    }

    /// Does not die any more.
    pub fn lives(&self) {
        self.0.lock().unwrap().dies = None;
    }
}

impl Store for Disk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap().entries.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
        let state = self.0.lock().unwrap();
        let entries = state.entries.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(entries.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut state = self.0.lock().unwrap();
        let dead = state.dies.take();
        if dead != Some(false) {
            for (key, value) in batch.0 {
                match value {
                    Some(value) => state.entries.insert(key, value),
                    None => state.entries.remove(&key),
                };
            }
        }
        if dead.is_some() {
            return Err(StoreError("the machine died".into()));
        }
        Ok(())
    }
}
