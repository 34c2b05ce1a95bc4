//! The committee's signatures that a party holds, by what they sign.
//!
//! Whoever delivers them is not trusted: each is verified before it is kept. What a transaction needs is looked up by its
//! sighashes, so it makes no difference in which job, or how often, a signature came.

use std::collections::HashMap;

use bitcoin::Transaction;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Message, Secp256k1, VerifyOnly, XOnlyPublicKey};
use trestle_bridge::connector::{Committee, Tweak};
use trestle_bridge::transactions::{LanePlace, Presigned, Reveal, SignRequest, TxKind};

use crate::Error;

/// What the committee signs, and its signature of it.
pub(crate) type Signed = (SignRequest, Signature);

/// Names the lane of a run by the terms' digest and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneName(pub sha256::Hash, pub LanePlace);

impl LaneName {
    /// Longer than a message, by which every other signature is kept.
    fn key(&self) -> Vec<u8> {
        [&self.0.as_byte_array()[..], &self.1.to_bytes()].concat()
    }
}

/// Bytes of all records of a tree.
pub(crate) fn tree_bytes(tree: &sled::Tree) -> Result<usize, Error> {
    tree.iter().try_fold(0, |bytes, item| item.map(|(key, value)| bytes + key.len() + value.len())).map_err(Into::into)
}

/// Signatures in a sled tree. Those of a lane, which are used together, are in one record.
pub(crate) struct Signatures {
    tree: sled::Tree,
    committee: Committee,
    secp: Secp256k1<VerifyOnly>,
    keys: HashMap<Tweak, XOnlyPublicKey>,
}

impl Signatures {
    pub fn open(db: &sled::Db, name: &str, committee: Committee) -> Result<Self, Error> {
        let tree = db.open_tree(name)?;
        Ok(Self { tree, committee, secp: Secp256k1::verification_only(), keys: HashMap::new() })
    }

    /// Keeps signatures, all of them or none.
    ///
    /// # Errors
    /// [`Error::Refused`] if one is not the committee's.
    pub fn deliver(&mut self, signatures: &[Signed], lanes: &[(LaneName, Vec<Signed>)]) -> Result<(), Error> {
        let mut batch = sled::Batch::default();
        for (request, signature) in signatures {
            self.verify(request, signature)?;
            batch.insert(&request.message, &signature.serialize()[..]);
        }
        for (name, signed) in lanes {
            let mut record = Vec::with_capacity(64 * signed.len());
            for (request, signature) in signed {
                self.verify(request, signature)?;
                record.extend(signature.serialize());
            }
            batch.insert(name.key(), record);
        }
        self.tree.apply_batch(batch)?;
        self.tree.flush()?;
        Ok(())
    }

    fn verify(&mut self, request: &SignRequest, signature: &Signature) -> Result<(), Error> {
        let (committee, tweak) = (&self.committee, request.tweak);
        let key = self.keys.entry(tweak).or_insert_with(|| committee.verifying_key(tweak));
        let verified = self.secp.verify_schnorr(signature, &Message::from_digest(request.message), key);
        verified.map_err(|_| Error::Refused(format!("the committee's signature of {} is wrong", request.what)))
    }

    /// Whether every signature of a lane is held.
    pub fn holds_lane(&self, name: &LaneName) -> Result<bool, Error> {
        Ok(self.tree.contains_key(name.key())?)
    }

    /// Bytes of the record with the signatures of a lane.
    pub fn lane_bytes(&self, name: &LaneName) -> Result<usize, Error> {
        Ok(self.tree.get(name.key())?.map_or(0, |record| name.key().len() + record.len()))
    }

    /// The signatures of a lane, in the order in which the committee makes them; none while they are not all here.
    pub fn lane(&self, name: &LaneName) -> Result<Option<Vec<Signature>>, Error> {
        let Some(record) = self.tree.get(name.key())? else { return Ok(None) };
        let read = record.chunks(64).map(Signature::from_slice).collect::<Result<_, _>>();
        read.map(Some).map_err(|_| Error::Damaged("a lane's signatures"))
    }

    fn get(&self, message: &[u8; 32]) -> Result<Option<Signature>, Error> {
        let Some(bytes) = self.tree.get(message)? else { return Ok(None) };
        Signature::from_slice(&bytes).map(Some).map_err(|_| Error::Damaged("a signature"))
    }

    /// Whether every signature that the transaction needs is held.
    pub fn holds(&self, presigned: &Presigned) -> Result<bool, Error> {
        for request in presigned.requests() {
            if !self.tree.contains_key(request.message)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The transaction with its witnesses; none while signatures that it uses are missing.
    pub fn complete(&self, presigned: &Presigned, reveal: Reveal) -> Result<Option<Transaction>, Error> {
        let held =
            presigned.requests().iter().map(|request| self.get(&request.message)).collect::<Result<Vec<_>, _>>()?;
        // Of Contest's leaves only the challenger's own is used; what stands for the others is not looked at.
        let unused = match (presigned.kind, reveal) {
            (TxKind::Contest, Reveal::Contest(own, _)) => held.get(own).copied().flatten(),
            _ => None,
        };
        let Some(signatures) = held.into_iter().map(|signature| signature.or(unused)).collect::<Option<Vec<_>>>()
        else {
            return Ok(None);
        };
        Ok(Some(presigned.complete(&signatures, reveal)?))
    }
}
