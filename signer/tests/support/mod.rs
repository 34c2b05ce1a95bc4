//! What the tests of the signer stand on: a disk that loses power, people with keys, a chain, a network that loses and reorders.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod lanes;
pub mod members;
pub mod network;
pub mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use trestle_signer::store::{Batch, Entry, Store, StoreError};

/// Where a loss of power strikes, counted in commits from now.
#[derive(Clone, Copy, Debug)]
pub enum Crash {
    /// The commit is lost, and with it everything in memory.
    Before(u32),
    /// The commit is on disk; the process dies before it learns that.
    After(u32),
}

#[derive(Default)]
struct Platter {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    crash: Option<Crash>,
    dead: bool,
}

/// A disk in memory whose power can be cut at any commit. Clones are the same disk.
#[derive(Clone, Default)]
pub struct Disk(Rc<RefCell<Platter>>);

impl Disk {
    /// Plans a loss of power.
    pub fn crash(&self, crash: Crash) {
        self.0.borrow_mut().crash = Some(crash);
    }

    /// Power is back; what was committed is there.
    pub fn restart(&self) {
        let mut platter = self.0.borrow_mut();
        platter.dead = false;
        platter.crash = None;
    }

    /// True between a loss of power and the restart.
    pub fn dead(&self) -> bool {
        self.0.borrow().dead
    }

    /// Looks at what is on the disk, power or no power.
    pub fn look(&self, at: impl FnOnce(&Self)) {
        let dead = std::mem::replace(&mut self.0.borrow_mut().dead, false);
        at(self);
        self.0.borrow_mut().dead = dead;
    }

    /// Every byte on the disk, for a test to look for what must not be there.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().entries.iter().flat_map(|(key, value)| [key.clone(), value.clone()].concat()).collect()
    }
}

fn no_power() -> StoreError {
    StoreError("power lost".into())
}

impl Store for Disk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let platter = self.0.borrow();
        if platter.dead { Err(no_power()) } else { Ok(platter.entries.get(key).cloned()) }
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
        let platter = self.0.borrow();
        if platter.dead {
            return Err(no_power());
        }
        let from = platter.entries.range(prefix.to_vec()..);
        Ok(from.take_while(|(key, _)| key.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut platter = self.0.borrow_mut();
        if platter.dead {
            return Err(no_power());
        }
        if batch.0.is_empty() {
            return Ok(());
        }
        let lost = matches!(platter.crash, Some(Crash::Before(0)));
        let dies = lost || matches!(platter.crash, Some(Crash::After(0)));
        platter.crash = match platter.crash {
            Some(Crash::Before(n)) => Some(Crash::Before(n.wrapping_sub(1))),
            Some(Crash::After(n)) => Some(Crash::After(n.wrapping_sub(1))),
            None => None,
        };
        if !lost {
            for (key, value) in batch.0 {
                match value {
                    Some(value) => platter.entries.insert(key, value),
                    None => platter.entries.remove(&key),
                };
            }
        }
        if dies {
            platter.dead = true;
            return Err(no_power());
        }
        Ok(())
    }
}
