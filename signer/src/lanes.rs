//! What is signed for the lanes of runs: worked out once from the operator's keys, then kept.
//!
//! A run's terms name the operator's one-time keys by their digest, lane by lane; a signer asks for those that it lacks
//! ([`Duty::FetchLaneKeys`](crate::Duty::FetchLaneKeys)) and takes them from anybody. A lane takes a fraction of a second to build
//! and has some 500 sighashes, so they are on disk, by the digest of the terms, for as long as the signer knows the run.
//! The keys themselves are not kept: nothing else is done with them here.
//!
//! ```text
//! 'l' ‖ SHA-256 of the terms (32) ‖ place of the slot (4) ‖ challenger (2)
//!   → per sighash: message (32) ‖ 0, 1, or 2 ‖ merkle root (32) ‖ length of the name (2) ‖ name
//! ```

use std::sync::Arc;

use bitcoin::TapNodeHash;
use bitcoin::hashes::{Hash, sha256};
use trestle_bridge::lane::LaneWork;
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::{LanePlace, RunGraph, RunLaneError, RunTerms, SignRequest, Tweak};

use crate::plan::LaneRequests;
use crate::store::{Batch, Store, StoreError};

/// First byte of a key.
const KIND: u8 = b'l';

/// The lanes whose sighashes are known.
pub(crate) struct Lanes<S> {
    store: S,
    pub work: Arc<dyn LaneWork>,
}

impl<S: Store> Lanes<S> {
    pub fn new(store: S, work: Arc<dyn LaneWork>) -> Self {
        Self { store, work }
    }

    /// The lanes of a run that are not known yet, with the digests of their keys, in order.
    pub fn missing(&self, terms: &RunTerms) -> Result<Vec<(LanePlace, sha256::Hash)>, StoreError> {
        let digest = terms.digest();
        let mut missing = Vec::new();
        for at in terms.lane_places() {
            if self.store.get(&key(&digest, at))?.is_none()
                && let Some(keys) = terms.lane_digest(at)
            {
                missing.push((at, keys));
            }
        }
        Ok(missing)
    }

    /// Works out a lane from the operator's keys and keeps it. The inner error says what is wrong with the keys; nothing is kept then.
    pub fn learn(
        &self,
        bridge: &Bridge,
        graph: &RunGraph,
        at: LanePlace,
        keys: &[u8],
    ) -> Result<Result<(), RunLaneError>, StoreError> {
        let requests = match self.work.requests(bridge, graph, at, keys) {
            Ok(requests) => requests,
            Err(error) => return Ok(Err(error)),
        };
        let mut batch = Batch::default();
        batch.insert(key(&graph.terms.digest(), at), encode(&requests));
        self.store.commit(batch)?;
        Ok(Ok(()))
    }

    /// Forgets the lanes of a run.
    pub fn forget(&self, terms: &RunTerms) -> Result<(), StoreError> {
        let digest = terms.digest();
        let mut batch = Batch::default();
        terms.lane_places().for_each(|at| batch.remove(key(&digest, at)));
        self.store.commit(batch)
    }

    /// Forgets every lane of runs that are not among these.
    pub fn keep_only<'t>(&self, terms: impl Iterator<Item = &'t RunTerms>) -> Result<(), StoreError> {
        let kept: Vec<sha256::Hash> = terms.map(RunTerms::digest).collect();
        let mut batch = Batch::default();
        for (key, _) in self.store.scan(&[KIND])? {
            if !kept.iter().any(|digest| key.get(1..33) == Some(digest.as_byte_array())) {
                batch.remove(key);
            }
        }
        self.store.commit(batch)
    }
}

impl<S: Store> LaneRequests for Lanes<S> {
    fn requests(&self, terms: &RunTerms, at: LanePlace) -> Result<Vec<SignRequest>, String> {
        let key = key(&terms.digest(), at);
        let bytes = self.store.get(&key).map_err(|error| error.to_string())?;
        let bytes = bytes.ok_or("the operator's keys of a lane are missing")?;
        decode(&bytes).ok_or_else(|| StoreError::corrupt(&key).to_string())
    }
}

fn key(terms: &sha256::Hash, at: LanePlace) -> Vec<u8> {
    [&[KIND][..], terms.as_byte_array(), &at.to_bytes()].concat()
}

fn encode(requests: &[SignRequest]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for SignRequest { what, message, tweak } in requests {
        bytes.extend(message);
        match tweak {
            Tweak::None => bytes.push(0),
            Tweak::KeyPath(None) => bytes.push(1),
            Tweak::KeyPath(Some(root)) => {
                bytes.push(2);
                bytes.extend(root.as_byte_array());
            }
        }
        // A name is for people to read.
        let length = u16::try_from(what.len()).ok().filter(|_| what.len() <= MAX_NAME);
        bytes.extend(length.unwrap_or(0).to_le_bytes());
        bytes.extend(length.map_or(&[][..], |_| what.as_bytes()));
    }
    bytes
}

/// The longest name that is kept, in bytes.
const MAX_NAME: usize = 1_000;

fn decode(mut bytes: &[u8]) -> Option<Vec<SignRequest>> {
    fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
        let (taken, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(*taken)
    }
    let mut requests = Vec::new();
    while !bytes.is_empty() {
        let message = take(&mut bytes)?;
        let tweak = match take(&mut bytes)? {
            [0] => Tweak::None,
            [1] => Tweak::KeyPath(None),
            [2] => Tweak::KeyPath(Some(TapNodeHash::from_byte_array(take(&mut bytes)?))),
            _ => return None,
        };
        let length = u16::from_le_bytes(take(&mut bytes)?);
        let (name, rest) = bytes.split_at_checked(usize::from(length))?;
        requests.push(SignRequest { what: std::str::from_utf8(name).ok()?.into(), message, tweak });
        bytes = rest;
    }
    Some(requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<SignRequest> {
        let root = TapNodeHash::from_byte_array([9; 32]);
        let tweaks = [Tweak::None, Tweak::KeyPath(None), Tweak::KeyPath(Some(root))];
        let request = |(i, tweak)| SignRequest { what: format!("Challenge {i}"), message: [i; 32], tweak };
        (0..).zip(tweaks).map(request).collect()
    }

    /// The bytes on disk, pinned: a signer that is upgraded must read what it wrote.
    #[test]
    fn the_format_on_disk_does_not_change() {
        let name = |i: u8| [&[11, 0][..], b"Challenge ", &[b'0' + i]].concat();
        let expected = [
            [&[0; 32][..], &[0], &name(0)].concat(),
            [&[1; 32][..], &[1], &name(1)].concat(),
            [&[2; 32][..], &[2], &[9; 32], &name(2)].concat(),
        ];
        assert_eq!(encode(&requests()), expected.concat());
        assert_eq!(decode(&expected.concat()), Some(requests()));
    }

    #[test]
    fn bytes_that_were_cut_are_no_lane() {
        let bytes = encode(&requests());
        let first = encode(&requests()[..1]).len();
        let second = encode(&requests()[..2]).len();
        for cut in (1..bytes.len()).filter(|cut| *cut != first && *cut != second) {
            assert_eq!(decode(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(decode(&[&[0; 32][..], &[3, 0, 0]].concat()), None);
    }

    #[test]
    fn a_name_that_is_too_long_is_left_out() {
        let long = SignRequest { what: "x".repeat(MAX_NAME + 1), message: [1; 32], tweak: Tweak::None };
        let short = SignRequest { what: String::new(), ..long.clone() };
        assert_eq!(decode(&encode(&[long])), Some(vec![short]));
    }
}
