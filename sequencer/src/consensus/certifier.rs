//! From a final batch to its certificate: the own signature out, the others' in.

use std::collections::BTreeMap;

use bitcoin::secp256k1::Keypair;
use trestle_rollup::{Batch, Digest, SignatureCheck, quorum, schnorr};

use super::message::Message;

/// How far ahead of the last final batch a signature is kept.
const WINDOW: u64 = 256;

/// How many batches are asked for at once.
const ASKED: usize = 8;

/// The sequencers' keys, the own one among them.
pub(crate) struct Certifier {
    key: Keypair,
    own: u8,
    instance: Digest,
    keys: Vec<[u8; 32]>,
    needed: usize,
    /// Signed by this sequencer, and by fewer than a quorum.
    open: BTreeMap<u64, Batch>,
    /// Signatures of batches that are not final here yet, unchecked.
    early: BTreeMap<u64, BTreeMap<u8, [u8; 64]>>,
    /// The open batches of the last tick.
    seen: Vec<u64>,
}

impl Certifier {
    /// `None` if the own key is not in the set, or the set has more than 255 members.
    pub fn new(key: Keypair, instance: Digest, keys: Vec<[u8; 32]>, open: Vec<Batch>) -> Option<Self> {
        let me = key.x_only_public_key().0.serialize();
        let own = u8::try_from(keys.iter().position(|key| *key == me)?).ok()?;
        let needed = usize::from(quorum(u8::try_from(keys.len()).ok()?)?);
        let open = open.into_iter().map(|batch| (batch.number, batch)).collect();
        Some(Self { key, own, instance, keys, needed, open, early: BTreeMap::new(), seen: Vec::new() })
    }

    pub fn instance(&self) -> &Digest {
        &self.instance
    }

    pub fn keys(&self) -> &[[u8; 32]] {
        &self.keys
    }

    pub fn is_complete(&self, batch: &Batch) -> bool {
        batch.certificate.len() >= self.needed
    }

    /// Signs a batch and adds what others sent before.
    pub fn sign(&self, mut batch: Batch) -> Batch {
        let digest = batch.digest(&self.instance);
        batch.certify(self.own, schnorr::sign(&digest, &self.key));
        let early = self.early.get(&batch.number).into_iter().flatten();
        for (index, signature) in early.map(|(index, signature)| (*index, *signature)) {
            self.add(&mut batch, &digest, index, signature);
        }
        batch
    }

    /// Takes over what [`sign`](Self::sign) returned, once it is on disk. The duty is to tell the own signature.
    pub fn signed(&mut self, batch: Batch) -> Option<Message> {
        let own = self.own_signature(&batch);
        self.early = self.early.split_off(&(batch.number + 1));
        if !self.is_complete(&batch) {
            self.open.insert(batch.number, batch);
        }
        own
    }

    fn own_signature(&self, batch: &Batch) -> Option<Message> {
        let (_, signature) = batch.certificate.iter().find(|(index, _)| *index == self.own)?;
        Some(Message::Signature { number: batch.number, signature: *signature })
    }

    /// Takes signatures; the batch if they completed it. `next` is the number of the batch that is final next.
    pub fn hear(&mut self, number: u64, signatures: &[(u8, [u8; 64])], next: u64) -> Option<Batch> {
        if number >= next {
            if number - next < WINDOW {
                let known = |index: &u8| usize::from(*index) < self.keys.len();
                let signatures = signatures.iter().copied().filter(|(index, _)| known(index));
                self.early.entry(number).or_default().extend(signatures);
            }
            return None;
        }
        let mut batch = self.open.remove(&number)?;
        let digest = batch.digest(&self.instance);
        for (index, signature) in signatures {
            self.add(&mut batch, &digest, *index, *signature);
        }
        if self.is_complete(&batch) {
            return Some(batch);
        }
        self.open.insert(number, batch);
        None
    }

    fn add(&self, batch: &mut Batch, digest: &Digest, index: u8, signature: [u8; 64]) {
        let Some(key) = self.keys.get(usize::from(index)) else { return };
        let known = batch.certificate.iter().any(|(signer, _)| *signer == index);
        let check = SignatureCheck { key: *key, message: *digest, signature };
        if !known && !self.is_complete(batch) && schnorr::verify(&check) {
            batch.certify(index, signature);
        }
    }

    /// An answer to who lacks signatures of a batch.
    pub fn answer(&self, batch: &Batch) -> Option<Message> {
        if self.is_complete(batch) {
            return Some(Message::Certificate { number: batch.number, signatures: batch.certificate.clone() });
        }
        self.own_signature(batch)
    }

    /// What to say again about batches that were open at the last tick and still are.
    pub fn tick(&mut self) -> Vec<Message> {
        let still: Vec<_> = self.open.values().filter(|batch| self.seen.contains(&batch.number)).take(ASKED).collect();
        let again = still
            .into_iter()
            .flat_map(|batch| self.own_signature(batch).into_iter().chain([Message::Ask { number: batch.number }]));
        let again = again.collect();
        self.seen = self.open.keys().copied().take(ASKED).collect();
        again
    }
}
