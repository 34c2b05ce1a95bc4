//! What a watchtower must not forget, in one sled tree; every write is on disk before it returns.

use bitcoin::Transaction;
use bitcoin::hashes::{Hash, sha256};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use trestle_bridge::transactions::RunTerms;
use trestle_bridge::transactions::claim::Statement;
use trestle_rollup::SlotId;

use super::{Report, Settlement};
use crate::Error;

/// A run, from the moment it was proposed or known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunRecord {
    pub first: SlotId,
    pub slots: u32,
    /// Pays this challenger's bond; none until the wallet has made it.
    pub bond: Option<Transaction>,
    /// None until they are known.
    pub terms: Option<RunTerms>,
}

/// First byte of a key.
mod kind {
    /// ‖ slot → [`super::RunRecord`]
    pub const RUN: u8 = b'r';
    /// ‖ slot ‖ height of the claim ‖ statement → [`super::Report`]
    pub const REPORT: u8 = b'v';
    /// ‖ slot → [`super::Settlement`]
    pub const SETTLEMENT: u8 = b's';
    /// ‖ SHA-256 of the value → the operator's keys of a lane
    pub const LANE_KEYS: u8 = b'k';
}

pub(super) struct Store(sled::Tree);

impl Store {
    pub fn open(db: &sled::Db) -> Result<Self, Error> {
        Ok(Self(db.open_tree("watchtower")?))
    }

    fn put<T: Serialize>(&self, key: Vec<u8>, value: &T) -> Result<(), Error> {
        self.0.insert(key, serde_json::to_vec(value).expect("records are plain data"))?;
        self.0.flush()?;
        Ok(())
    }

    fn all<T: DeserializeOwned>(&self, kind: u8, what: &'static str) -> Result<Vec<T>, Error> {
        let read =
            |item: sled::Result<(_, sled::IVec)>| serde_json::from_slice(&item?.1).map_err(|_| Error::Damaged(what));
        self.0.scan_prefix([kind]).map(read).collect()
    }

    pub fn put_run(&self, run: &RunRecord) -> Result<(), Error> {
        self.put([&[kind::RUN], &run.first.to_bytes()[..]].concat(), run)
    }

    pub fn runs(&self) -> Result<Vec<RunRecord>, Error> {
        self.all(kind::RUN, "a run")
    }

    pub fn put_lane_keys(&self, digest: &sha256::Hash, keys: &[u8]) -> Result<(), Error> {
        self.0.insert(lane_keys_key(digest), keys)?;
        self.0.flush()?;
        Ok(())
    }

    pub fn lane_keys(&self, digest: &sha256::Hash) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(lane_keys_key(digest))?.map(|keys| keys.to_vec()))
    }

    pub fn put_report(&self, statement: Option<Statement>, report: &Report) -> Result<(), Error> {
        self.put(report_key(report.slot, statement, report.claimed), report)
    }

    /// What was found about this statement in a claim at this height: after a reorganization the claim of the slot may say
    /// something else, or stand where it says something else about the future.
    pub fn report(&self, slot: SlotId, statement: Option<Statement>, claimed: u32) -> Result<Option<Report>, Error> {
        let Some(bytes) = self.0.get(report_key(slot, statement, claimed))? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| Error::Damaged("a verdict"))
    }

    pub fn put_settlement(&self, settlement: &Settlement) -> Result<(), Error> {
        self.put([&[kind::SETTLEMENT], &settlement.slot.to_bytes()[..]].concat(), settlement)
    }

    pub fn settlement(&self, slot: SlotId) -> Result<Option<Settlement>, Error> {
        let Some(bytes) = self.0.get([&[kind::SETTLEMENT], &slot.to_bytes()[..]].concat())? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| Error::Damaged("a dispute's end"))
    }

    pub fn settlements(&self) -> Result<Vec<Settlement>, Error> {
        self.all(kind::SETTLEMENT, "a dispute's end")
    }

    pub fn reports(&self) -> Result<Vec<Report>, Error> {
        self.all(kind::REPORT, "a verdict")
    }
}

fn report_key(slot: SlotId, statement: Option<Statement>, claimed: u32) -> Vec<u8> {
    let mut key = [&[kind::REPORT], &slot.to_bytes()[..], &claimed.to_be_bytes()].concat();
    if let Some(Statement { n, block_prefix }) = statement {
        key.extend(n.to_be_bytes());
        key.extend(block_prefix);
    }
    key
}

fn lane_keys_key(digest: &sha256::Hash) -> Vec<u8> {
    [&[kind::LANE_KEYS], &digest.as_byte_array()[..]].concat()
}
