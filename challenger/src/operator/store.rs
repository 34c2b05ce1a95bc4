//! What an operator must not forget, in one sled tree; every write is on disk before it returns.

use bitcoin::hashes::{Hash, sha256};
use bitcoin::{OutPoint, Transaction, Txid};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use trestle_bridge::transactions::claim::Statement;
use trestle_bridge::transactions::{ChallengerInRun, RunTerms};
use trestle_rollup::{SlotId, WithdrawalId};

use crate::Error;

/// A run from the moment its serial numbers were taken, which are never given out again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunRecord {
    pub first: SlotId,
    pub slots: u32,
    /// The digests of the keys of its lanes, by slot and challenger.
    pub lanes: Vec<Vec<sha256::Hash>>,
    /// None until the challengers have joined.
    pub challengers: Option<Vec<ChallengerInRun>>,
    /// None until the wallet has funded it.
    pub funded: Option<FundedRun>,
    /// Whether it was given up before it was signed.
    pub abandoned: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FundedRun {
    pub funding: Transaction,
    pub terms: RunTerms,
}

/// A withdrawal that is fronted in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Front {
    /// The slot.
    pub slot: SlotId,
    /// The withdrawal.
    pub withdrawal: WithdrawalId,
    /// The payout, once the wallet has made it.
    pub payout: Option<Transaction>,
    /// Whether it is being double-spent; it is never broadcast again then.
    pub cancelling: bool,
    /// How it ended, once that is deep.
    pub outcome: Option<Outcome>,
}

/// How fronting a withdrawal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The payout fulfilled the slot.
    Fulfilled,
    /// Another transaction spent its coins; nothing was paid.
    Cancelled,
    /// The payout was mined and does not count: the coins are gone. It was mined after the grace in spite of its
    /// cancellation, or beyond a reorganization deeper than K.
    Lost,
}

/// A payout that was mined and does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The slot that it named.
    pub slot: SlotId,
    /// The withdrawal that it paid.
    pub withdrawal: WithdrawalId,
    /// The payout.
    pub payout: Txid,
}

/// First byte of a key.
mod kind {
    /// → whose store it is
    pub const IDENTITY: u8 = b'i';
    /// ‖ slot → [`super::RunRecord`]
    pub const RUN: u8 = b'r';
    /// ‖ slot → [`super::Front`]
    pub const FRONT: u8 = b'f';
    /// ‖ slot ‖ payout → [`super::Loss`]
    pub const LOSS: u8 = b'l';
    /// ‖ slot → the one statement that its key signs: N ‖ prefix
    pub const STATEMENT: u8 = b's';
    /// ‖ slot → the vault chosen for it
    pub const VAULT: u8 = b'v';
    /// ‖ SHA-256 of the value → the public keys of a lane
    pub const LANE_KEYS: u8 = b'k';
}

#[derive(Clone)]
pub(super) struct Store(sled::Tree);

impl Store {
    /// Opens the store of the operator with this identity, and begins it if there is none.
    pub fn open(db: &sled::Db, identity: [u8; 32]) -> Result<Self, Error> {
        let tree = db.open_tree("operator")?;
        match tree.get([kind::IDENTITY])? {
            Some(found) if found != identity => {
                return Err(Error::Refused("the store is that of an operator with another key, seed or bridge".into()));
            }
            Some(_) => {}
            None => {
                tree.insert([kind::IDENTITY], &identity)?;
                tree.flush()?;
            }
        }
        Ok(Self(tree))
    }

    fn put(&self, key: Vec<u8>, value: &[u8]) -> Result<(), Error> {
        self.0.insert(key, value)?;
        self.0.flush()?;
        Ok(())
    }

    fn put_json<T: Serialize>(&self, key: Vec<u8>, value: &T) -> Result<(), Error> {
        self.put(key, &serde_json::to_vec(value).expect("records are plain data"))
    }

    fn all<T: DeserializeOwned>(&self, kind: u8, what: &'static str) -> Result<Vec<T>, Error> {
        let read =
            |item: sled::Result<(_, sled::IVec)>| serde_json::from_slice(&item?.1).map_err(|_| Error::Damaged(what));
        self.0.scan_prefix([kind]).map(read).collect()
    }

    pub fn put_run(&self, run: &RunRecord) -> Result<(), Error> {
        self.put_json(key(kind::RUN, run.first), run)
    }

    pub fn runs(&self) -> Result<Vec<RunRecord>, Error> {
        self.all(kind::RUN, "a run")
    }

    pub fn put_lane_keys(&self, digest: &sha256::Hash, keys: &[u8]) -> Result<(), Error> {
        self.put(lane_keys_key(digest), keys)
    }

    pub fn lane_keys(&self, digest: &sha256::Hash) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(lane_keys_key(digest))?.map(|keys| keys.to_vec()))
    }

    pub fn remove_lane_keys<'d>(&self, digests: impl Iterator<Item = &'d sha256::Hash>) -> Result<(), Error> {
        let mut batch = sled::Batch::default();
        digests.for_each(|digest| batch.remove(lane_keys_key(digest)));
        self.0.apply_batch(batch)?;
        self.0.flush()?;
        Ok(())
    }

    pub fn put_front(&self, front: &Front) -> Result<(), Error> {
        self.put_json(key(kind::FRONT, front.slot), front)
    }

    pub fn front(&self, slot: SlotId) -> Result<Option<Front>, Error> {
        let Some(bytes) = self.0.get(key(kind::FRONT, slot))? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| Error::Damaged("a payout"))
    }

    pub fn fronts(&self) -> Result<Vec<Front>, Error> {
        self.all(kind::FRONT, "a payout")
    }

    /// Forgets a payout that never left.
    pub fn remove_front(&self, slot: SlotId) -> Result<(), Error> {
        self.0.remove(key(kind::FRONT, slot))?;
        self.0.flush()?;
        Ok(())
    }

    pub fn put_loss(&self, loss: &Loss) -> Result<(), Error> {
        let key = [&key(kind::LOSS, loss.slot)[..], loss.payout.as_ref()].concat();
        self.put_json(key, loss)
    }

    pub fn losses(&self) -> Result<Vec<Loss>, Error> {
        self.all(kind::LOSS, "a loss")
    }

    /// Fixes what the slot's one-time key signs. It is never changed: what was fixed before is returned.
    pub fn fix_statement(&self, slot: SlotId, statement: Statement) -> Result<Statement, Error> {
        if let Some(fixed) = self.statement(slot)? {
            return Ok(fixed);
        }
        let [high, low] = statement.n.to_be_bytes();
        let [a, b, c, d] = statement.block_prefix;
        self.put(key(kind::STATEMENT, slot), &[high, low, a, b, c, d])?;
        Ok(statement)
    }

    pub fn statement(&self, slot: SlotId) -> Result<Option<Statement>, Error> {
        let Some(bytes) = self.0.get(key(kind::STATEMENT, slot))? else { return Ok(None) };
        let [high, low, block_prefix @ ..]: [u8; 6] =
            bytes.as_ref().try_into().map_err(|_| Error::Damaged("a claim's statement"))?;
        Ok(Some(Statement { n: u16::from_be_bytes([high, low]), block_prefix }))
    }

    pub fn put_vault(&self, slot: SlotId, vault: OutPoint) -> Result<(), Error> {
        self.put_json(key(kind::VAULT, slot), &(slot, vault))
    }

    /// The vault that each slot has chosen.
    pub fn vaults(&self) -> Result<Vec<(SlotId, OutPoint)>, Error> {
        self.all(kind::VAULT, "a vault")
    }
}

fn key(kind: u8, slot: SlotId) -> Vec<u8> {
    [&[kind], &slot.to_bytes()[..]].concat()
}

fn lane_keys_key(digest: &sha256::Hash) -> Vec<u8> {
    [&[kind::LANE_KEYS], &digest.as_byte_array()[..]].concat()
}
