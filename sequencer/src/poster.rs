//! The state machine that brings certified batches to Bitcoin: tips in, postings out.
//!
//! ```text
//! Tip ─▶ Post ─▶ Funded ─▶ Broadcast ─▶ Bump …           one batch
//! ```
//!
//! - All sequencers of the set that counts in the next block have the same certified batches, and take turns: batch n is for
//!   the sequencer n mod N at first, and if
//!   the Layer 2 still waits for it after [`Policy::patience`](crate::Policy::patience) blocks, for the next one as well,
//!   and so on. Whichever posting comes first on Bitcoin counts; the others are skipped there.
//! - One batch is posted at a time. Two in one block could be mined in the wrong order, and the later one be skipped.
//! - What was posted once is posted again after a reorganization, the same bytes, until the batch is as deep as the
//!   bridge's confirmations.

use bitcoin::consensus::encode;
use bitcoin::{Transaction, Txid};
use trestle_rollup::{Batch, Event as LedgerEvent, Ledger};

use crate::consensus::Error;
use crate::history::deep;
use crate::store::{Changes, StoreError, numbered};

/// The tree's name within the database.
const TREE: &str = "posting";

/// `number` (8 bytes, big-endian) → the posting in force.
const POSTING: u8 = b'p';
/// → the batch that the Layer 2 waits for, the set that can post it, and since which height it could.
const WATCH: u8 = b'w';

/// What happens to a poster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The chain moved on, a batch got its certificate, or the poster was just opened.
    Tip,
    /// The caller built, signed and did not broadcast what [`Duty::Post`] asked for.
    Funded {
        /// The batch.
        number: u64,
        /// Pays the output that commits to the envelope.
        commit: Transaction,
        /// Spends it by the envelope's leaf.
        reveal: Transaction,
    },
    /// The posting can never be mined: the coins of its commit transaction went elsewhere.
    Lost {
        /// The batch.
        number: u64,
        /// The transaction that cannot be mined.
        reveal: Txid,
    },
}

/// What the caller is to do. Each may be done any number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Build and sign the two transactions that put this batch on Bitcoin, and hand them back as [`Event::Funded`]
    /// without broadcasting them.
    Post {
        /// The batch's number.
        number: u64,
        /// The envelope's payload: the batch in short, certificate included.
        payload: Vec<u8>,
    },
    /// Broadcast both, unless they are known. If the network says that the first spends what is spent, and the caller's
    /// wallet agrees, [`Event::Lost`] is the answer.
    Broadcast {
        /// The batch's number.
        number: u64,
        /// Pays the output that commits to the envelope.
        commit: Transaction,
        /// Spends it by the envelope's leaf.
        reveal: Transaction,
    },
    /// The posting is slow: pay more for it by a child of the reveal.
    Bump {
        /// The batch's number.
        number: u64,
        /// The transaction to be helped.
        reveal: Transaction,
        /// Blocks since it was taken over.
        waited: u32,
    },
}

/// The two Bitcoin transactions that put a batch on Bitcoin, and since when they are wanted there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Posting {
    commit: Transaction,
    reveal: Transaction,
    /// Whose certificate it has.
    set: u32,
    /// Height of the tip when the posting was taken over.
    since: u32,
}

impl Posting {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.set.to_le_bytes().to_vec();
        bytes.extend(self.since.to_le_bytes());
        bytes.extend(encode::serialize(&self.commit));
        bytes.extend(encode::serialize(&self.reveal));
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        const DAMAGED: StoreError = StoreError::Damaged("a posting");
        let (set, rest) = bytes.split_first_chunk().ok_or(DAMAGED)?;
        let (since, rest) = rest.split_first_chunk().ok_or(DAMAGED)?;
        let (commit, used) = encode::deserialize_partial(rest).map_err(|_| DAMAGED)?;
        let reveal = encode::deserialize(rest.get(used..).ok_or(DAMAGED)?).map_err(|_| DAMAGED)?;
        Ok(Self { commit, reveal, set: u32::from_le_bytes(*set), since: u32::from_le_bytes(*since) })
    }
}

/// A sequencer's place in the set that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The set's number.
    pub set: u32,
    /// The sequencer's index.
    pub index: u8,
    /// How many sequencers there are.
    pub sequencers: u8,
}

impl Seat {
    /// How many of the others are to post a batch before this sequencer does.
    fn before(&self, number: u64) -> u32 {
        let sequencers = u64::from(self.sequencers.max(1));
        let before = (u64::from(self.index) + sequencers - number % sequencers) % sequencers;
        u32::try_from(before).unwrap_or(u32::MAX)
    }
}

/// How long a poster waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Blocks after which the next one posts as well, and after which a posting is bumped.
    pub patience: u32,
    /// The depth at which the bridge takes a block for final.
    pub confirmations: u32,
}

/// A sequencer's poster. See the [module](self).
pub struct Poster {
    tree: sled::Tree,
    pace: Pace,
}

impl Poster {
    /// Opens the poster with what it stored in `db`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn open(db: &sled::Db, pace: Pace) -> Result<Self, Error> {
        Ok(Self { tree: db.open_tree(TREE).map_err(StoreError::from)?, pace })
    }

    /// Takes an event in and returns what is to be done about it, once everything that it rests on is on disk. `seat` is in
    /// the set that counts in the next block, if the sequencer is in it; `certified` answers with that set's batch of a
    /// number.
    ///
    /// # Errors
    /// If a store fails.
    pub fn process(
        &mut self,
        event: Event,
        seat: Option<Seat>,
        ledger: &Ledger,
        certified: &dyn Fn(u64) -> Result<Option<Batch>, Error>,
    ) -> Result<Vec<Duty>, Error> {
        let number = ledger.state_at_tip().meta()?.batches;
        let Some(seat) = seat else { return Ok(Vec::new()) };
        let Some(batch) = certified(number)? else { return Ok(Vec::new()) };
        match event {
            Event::Tip => self.forget_deep(ledger)?,
            Event::Funded { number: of, commit, reveal } => {
                let commits = reveal.input.first().map(|input| input.previous_output.txid);
                if of == number && self.posting(number)?.is_none() && commits == Some(commit.compute_txid()) {
                    let mut changes = Changes::default();
                    let posting = Posting { commit, reveal, set: seat.set, since: ledger.tip().0 };
                    changes.put(numbered(POSTING, number), &posting.encode());
                    changes.commit(&self.tree)?;
                }
            }
            Event::Lost { number: of, reveal } => {
                if self.posting(of)?.is_some_and(|posting| posting.reveal.compute_txid() == reveal) {
                    self.forget_posting(of)?;
                }
            }
        }
        self.post(seat, ledger, &batch)
    }

    /// What is to be done for the batch that the Layer 2 waits for.
    fn post(&mut self, seat: Seat, ledger: &Ledger, batch: &Batch) -> Result<Vec<Duty>, Error> {
        let (number, tip) = (batch.number, ledger.tip().0);
        let since = self.watch(seat.set, number, tip)?;
        let mut posting = self.posting(number)?;
        if let Some(old) = &posting
            && (old.set != seat.set || self.was_skipped(ledger, old)?)
        {
            self.forget_posting(number)?;
            posting = None;
        }
        let Some(Posting { commit, reveal, since, .. }) = posting else {
            if tip.saturating_sub(since) < seat.before(number).saturating_mul(self.pace.patience) {
                return Ok(Vec::new());
            }
            // Accounts are named by indices that no reorganization takes away.
            let names = deep(ledger, self.pace.confirmations)?;
            let instance = ledger.parameters().instance();
            let payload = batch.compact(&instance, |account| Ok::<_, Error>(names.account(account)?.index))?;
            return Ok(vec![Duty::Post { number, payload }]);
        };
        let mut duties = vec![Duty::Broadcast { number, commit, reveal: reveal.clone() }];
        let waited = tip.saturating_sub(since);
        if waited >= self.pace.patience {
            duties.push(Duty::Bump { number, reveal, waited });
        }
        Ok(duties)
    }

    /// Since which height the batch could be posted.
    fn watch(&self, set: u32, number: u64, tip: u32) -> Result<u32, StoreError> {
        const DAMAGED: StoreError = StoreError::Damaged("the watch");
        let watched = [&number.to_le_bytes()[..], &set.to_le_bytes()].concat();
        if let Some(bytes) = self.tree.get([WATCH])? {
            let (before, since) = bytes.split_last_chunk().ok_or(DAMAGED)?;
            let since = u32::from_le_bytes(*since);
            // After a reorganization the chain may be shorter than it was.
            if before == watched && since <= tip {
                return Ok(since);
            }
        }
        let mut changes = Changes::default();
        changes.put(vec![WATCH], &[&watched[..], &tip.to_le_bytes()].concat());
        changes.commit(&self.tree)?;
        Ok(tip)
    }

    fn posting(&self, number: u64) -> Result<Option<Posting>, StoreError> {
        self.tree.get(numbered(POSTING, number))?.map(|bytes| Posting::decode(&bytes)).transpose()
    }

    fn forget_posting(&self, number: u64) -> Result<(), StoreError> {
        let mut changes = Changes::default();
        changes.remove(numbered(POSTING, number));
        changes.commit(&self.tree)
    }

    /// Lets go of the postings of batches that no reorganization takes back.
    fn forget_deep(&self, ledger: &Ledger) -> Result<(), Error> {
        let done = deep(ledger, self.pace.confirmations)?.meta()?.batches;
        let mut changes = Changes::default();
        for key in self.tree.range(numbered(POSTING, 0)..numbered(POSTING, done)).keys() {
            changes.remove(key.map_err(StoreError::from)?.to_vec());
        }
        Ok(changes.commit(&self.tree)?)
    }

    /// Whether a posting was mined and did nothing, since it came before the batch that it follows. A reorganization may
    /// have put it lower than the tip was when it was taken over.
    fn was_skipped(&self, ledger: &Ledger, posting: &Posting) -> Result<bool, Error> {
        let reveal = posting.reveal.compute_txid();
        let genesis = ledger.parameters().genesis_height;
        for height in posting.since.saturating_sub(self.pace.confirmations).max(genesis)..=ledger.tip().0 {
            let events = ledger.events(height)?;
            if events.iter().any(|event| matches!(event, LedgerEvent::Skipped { txid, .. } if *txid == reveal.into())) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
