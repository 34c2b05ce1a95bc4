//! The history and its states on disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::apply::{Entry, Error, apply};
use crate::compress::Digest;
use crate::event::Event;
use crate::host::{Host, Sink};
use crate::identifiers::WithdrawalId;
use crate::native::block::RawBlock;
use crate::native::codec;
use crate::native::store::{LedgerError, Row, Store, Writes};
use crate::native::view::View;
use crate::parameters::Parameters;

/// The Layer 2 as derived from Bitcoin's blocks so far, kept in a sled tree.
///
/// It follows one chain: [`extend`](Self::extend) takes the tip's child, and after a reorganization
/// [`rollback`](Self::rollback) goes back to the last common block first. Each is one atomic write, on disk when it
/// returns. Clones are cheap and share everything.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Store,
    parameters: Arc<Parameters>,
    tip: Arc<Mutex<(u32, Row)>>,
}

impl Ledger {
    /// Opens the bridge's ledger in a database, and begins it at the genesis if there is none.
    ///
    /// # Errors
    /// If the parameters make no bridge or differ from those that the ledger was begun with, or the database fails.
    pub fn open(db: &sled::Db, parameters: &Parameters) -> Result<Self, LedgerError> {
        let store = Store::open(db)?;
        let genesis_height = parameters.genesis_height;
        let mut sink = Changes::default();
        let entry = parameters.genesis(&mut sink)?;
        match store.parameters()? {
            Some(known) if *known != *parameters.encode() => {
                return Err(LedgerError::OtherParameters);
            }
            Some(_) => {}
            None => {
                let mut writes = sink.writes;
                writes.parameters(&parameters.encode());
                writes.row(genesis_height, &Row { entry, pending: Vec::new() });
                writes.events(genesis_height, codec::encode(&[]));
                writes.tip(genesis_height);
                store.write(writes)?;
            }
        }
        let height = store.tip()?;
        let row = store.row(height)?.ok_or_else(|| LedgerError::Corrupt("the tip has no entry".into()))?;
        let tip = Arc::new(Mutex::new((height, row)));
        Ok(Self { store, parameters: Arc::new(parameters.clone()), tip })
    }

    /// The parameters that it was opened with.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn lock(&self) -> MutexGuard<'_, (u32, Row)> {
        // The tip is replaced in one assignment, after the write that it stands for.
        self.tip.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The height of the last block, and its entry.
    #[must_use]
    pub fn tip(&self) -> (u32, Entry) {
        let tip = self.lock();
        (tip.0, tip.1.entry)
    }

    /// The entry at a height, if it is between the genesis and the tip. Its digest is `R_h`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn entry(&self, height: u32) -> Result<Option<Entry>, LedgerError> {
        Ok(self.store.row(height)?.map(|row| row.entry))
    }

    /// Applies the tip's child, in Bitcoin's serialization, and returns what happened.
    ///
    /// # Errors
    /// If the bytes are not a block that is the tip's child, or the database fails. Nothing has changed then.
    pub fn extend(&self, raw_block: &[u8]) -> Result<Vec<Event>, LedgerError> {
        let mut block = RawBlock::parse(raw_block)?;
        let mut tip = self.lock();
        let (mut changes, mut store) = (Changes::default(), self.store.clone());
        let applied = apply(&tip.1.entry, &mut block, &mut store, &mut changes).map_err(|error| match error {
            Error::NotChild => LedgerError::NotChild { tip: tip.0 },
            Error::State(error) => error.into(),
            Error::Block(never) => match never {},
        })?;
        let row = Row { entry: applied.entry, pending: pending_after(&tip.1.pending, &changes.events) };
        let mut writes = changes.writes;
        writes.row(applied.height, &row);
        writes.events(applied.height, codec::encode(&changes.events));
        writes.tip(applied.height);
        self.store.write(writes)?;
        *tip = (applied.height, row);
        Ok(changes.events)
    }

    /// The nodes of every state that the ledger has been in, for whoever applies a block to one on its own.
    #[must_use]
    pub fn nodes(&self) -> impl Host<Error = LedgerError> + use<> {
        self.store.clone()
    }

    /// Forgets the entries above a height.
    ///
    /// # Errors
    /// If there is no entry at that height, or the database fails. Nothing has changed then.
    pub fn rollback(&self, height: u32) -> Result<(), LedgerError> {
        let mut tip = self.lock();
        let row = self.store.row(height)?.filter(|_| height <= tip.0).ok_or(LedgerError::NoEntry(height))?;
        let mut writes = Writes::default();
        (height..=tip.0).skip(1).for_each(|above| writes.forget(above));
        writes.tip(height);
        self.store.write(writes)?;
        *tip = (height, row);
        Ok(())
    }

    /// What happened in the block at a height.
    ///
    /// # Errors
    /// If there is no entry at that height, or the database fails.
    pub fn events(&self, height: u32) -> Result<Vec<Event>, LedgerError> {
        let bytes = self.store.events(height)?.ok_or(LedgerError::NoEntry(height))?;
        codec::decode(&bytes).ok_or_else(|| LedgerError::Corrupt(format!("the events at height {height}")))
    }

    /// The state after the block at a height.
    ///
    /// # Errors
    /// If there is no entry at that height, or the database fails.
    pub fn state(&self, height: u32) -> Result<View, LedgerError> {
        let row = self.store.row(height)?.ok_or(LedgerError::NoEntry(height))?;
        Ok(View::new(self.store.clone(), height, row.entry, row.pending))
    }

    /// The state after the last block.
    #[must_use]
    pub fn state_at_tip(&self) -> View {
        let tip = self.lock();
        View::new(self.store.clone(), tip.0, tip.1.entry, tip.1.pending.clone())
    }
}

/// The pending withdrawals after a block, in the order of their numbers.
fn pending_after(before: &[WithdrawalId], events: &[Event]) -> Vec<WithdrawalId> {
    let requested = events.iter().filter_map(|event| match event {
        Event::WithdrawalRequested { id, .. } => Some(*id),
        _ => None,
    });
    let mut pending: Vec<_> = before.iter().copied().chain(requested).collect();
    for event in events {
        if let Event::Paid { id, .. } | Event::PaidCooperatively { id, .. } = event
            && let Ok(at) = pending.binary_search(id)
        {
            pending.remove(at);
        }
    }
    pending
}

/// What a block changes.
#[derive(Default)]
struct Changes {
    writes: Writes,
    events: Vec<Event>,
}

impl Sink for Changes {
    fn node(&mut self, digest: &Digest, m: &Digest, b: &[u8; 64]) {
        self.writes.node(digest, m, b);
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}
