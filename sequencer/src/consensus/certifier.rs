//! From something final to its certificate: the own signature out, the others' in.

use std::collections::BTreeMap;

use bitcoin::secp256k1::Keypair;
use trestle_rollup::{Digest, SignatureCheck, Signatures, quorum, schnorr};

use super::message::{Message, Subject};

/// How far ahead of what is final a signature is kept.
const WINDOW: u64 = 256;

/// About how many subjects are asked at once.
const ASKED: usize = 8;

/// Signed by this sequencer, with the signatures known.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub digest: Digest,
    pub certificate: Signatures,
}

/// The keys of a set of sequencers, the own one among them.
pub(crate) struct Certifier {
    key: Keypair,
    own: u8,
    keys: Vec<[u8; 32]>,
    needed: usize,
    /// Signed by fewer than a quorum.
    open: BTreeMap<Subject, Signed>,
    /// Signatures of what is not final here yet, unchecked.
    early: BTreeMap<Subject, BTreeMap<u8, [u8; 64]>>,
    /// What was open at the last tick.
    seen: Vec<Subject>,
}

impl Certifier {
    /// `None` if the own key is not in the set, or the set has more than 255 members.
    pub fn new(key: Keypair, keys: Vec<[u8; 32]>) -> Option<Self> {
        let me = key.x_only_public_key().0.serialize();
        let own = u8::try_from(keys.iter().position(|key| *key == me)?).ok()?;
        let needed = usize::from(quorum(u8::try_from(keys.len()).ok()?)?);
        let (open, early) = (BTreeMap::new(), BTreeMap::new());
        Some(Self { key, own, keys, needed, open, early, seen: Vec::new() })
    }

    pub fn own(&self) -> u8 {
        self.own
    }

    /// Whether anything lacks signatures.
    pub fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    pub fn is_complete(&self, certificate: &Signatures) -> bool {
        certificate.len() >= self.needed
    }

    /// Signs, and adds what others sent before.
    pub fn sign(&self, subject: Subject, digest: Digest) -> Signed {
        let mut signed = Signed { digest, certificate: vec![(self.own, schnorr::sign(&digest, &self.key))] };
        for (index, signature) in self.early.get(&subject).into_iter().flatten() {
            self.add(&mut signed, *index, *signature);
        }
        signed
    }

    /// Takes over what [`sign`](Self::sign) returned, once it is on disk. The answer is to be told to all.
    pub fn signed(&mut self, subject: Subject, signed: Signed) -> Option<Message> {
        self.early.remove(&subject);
        let own = self.own_signature(subject, &signed.certificate);
        if !self.is_complete(&signed.certificate) {
            self.open.insert(subject, signed);
        }
        own
    }

    fn own_signature(&self, subject: Subject, certificate: &Signatures) -> Option<Message> {
        let (_, signature) = certificate.iter().find(|(index, _)| *index == self.own)?;
        Some(Message::Signature { subject, signature: *signature })
    }

    /// Takes a sequencer's signature of something that is not final here yet, `ahead` of what is.
    pub fn hear_early(&mut self, subject: Subject, index: u8, signature: [u8; 64], ahead: u64) {
        if ahead < WINDOW {
            self.early.entry(subject).or_default().insert(index, signature);
        }
    }

    /// Forgets what came early and never became final, since something else did.
    pub fn forget_early(&mut self, is_past: impl Fn(&Subject) -> bool) {
        self.early.retain(|subject, _| !is_past(subject));
    }

    /// Forgets what lacks signatures; whether it did.
    pub fn forget(&mut self, subject: &Subject) -> bool {
        self.open.remove(subject).is_some()
    }

    /// Takes signatures of something that is final here; the certificate if they completed it.
    pub fn hear(&mut self, subject: Subject, signatures: &Signatures) -> Option<Signatures> {
        let mut signed = self.open.remove(&subject)?;
        for (index, signature) in signatures {
            self.add(&mut signed, *index, *signature);
        }
        if self.is_complete(&signed.certificate) {
            return Some(signed.certificate);
        }
        self.open.insert(subject, signed);
        None
    }

    fn add(&self, signed: &mut Signed, index: u8, signature: [u8; 64]) {
        let Some(key) = self.keys.get(usize::from(index)) else { return };
        let place = signed.certificate.binary_search_by_key(&index, |(signer, _)| *signer);
        let check = SignatureCheck { key: *key, message: signed.digest, signature };
        if let Err(place) = place
            && !self.is_complete(&signed.certificate)
            && schnorr::verify(&check)
        {
            signed.certificate.insert(place, (index, signature));
        }
    }

    /// An answer to who lacks signatures of something.
    pub fn answer(&self, subject: Subject, certificate: &Signatures) -> Option<Message> {
        if self.is_complete(certificate) {
            return Some(Message::Certificate { subject, signatures: certificate.clone() });
        }
        self.own_signature(subject, certificate)
    }

    /// What to say again about what was open at the last tick and still is.
    pub fn tick(&mut self) -> Vec<Message> {
        let still = self.open.iter().filter(|(subject, _)| self.seen.contains(subject)).take(ASKED);
        let again = still.flat_map(|(subject, signed)| {
            let own = self.own_signature(*subject, &signed.certificate);
            own.into_iter().chain([Message::Ask { subject: *subject }])
        });
        let again = again.collect();
        self.seen = self.open.keys().copied().take(ASKED).collect();
        again
    }
}
