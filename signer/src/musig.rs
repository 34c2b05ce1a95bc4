//! MuSig2 (BIP 327) for one signer, with a record on disk ahead of everything that it says.
//!
//! A secret nonce that signs under two aggregate nonces gives the secret key away, so the rules are:
//! 1. a public nonce is told only after its seed is on disk; asked again, the same nonce is told;
//! 2. a partial signature is told only after the aggregate nonce it was made under is on disk and the seed is erased;
//!    asked again under the same aggregate nonce the same partial is told, under another one nothing is, ever;
//! 3. a final signature is used only after it verified under the tweaked key.
//!
//! The message is known before the nonce is made, and a nonce is bound to it, so a peer that lies about nonces can stop
//! a signature but gains nothing by it. Everything is done in batches: one commit to the store for a whole stage of a job.

use std::collections::{BTreeSet, HashMap};

use bitcoin::TapNodeHash;
use bitcoin::hashes::Hash;
use bitcoin::key::TapTweak;
use bitcoin::secp256k1::{self, Keypair, Secp256k1, VerifyOnly, XOnlyPublicKey, schnorr};
use musig2::secp::{Point, Scalar};
use musig2::{AggNonce, CompactSignature, KeyAggContext, PartialSignature, PubNonce, SecNonce};
use rand::rngs::OsRng;
use rand::{CryptoRng, RngCore};
use trestle_bridge::transactions::{SignRequest, Tweak};

use crate::record::{Record, RecordKey};
use crate::store::{Batch, Store, StoreError};

/// Mixed into every nonce, so that another program with the same key and seed makes other nonces.
const NONCE_DOMAIN: &[u8] = b"Trestle/signer/nonce";

/// Why a step of signing was not taken. Nothing was written, unless the store failed.
#[derive(Debug, thiserror::Error)]
pub enum MusigError {
    /// The store failed; this signer must be opened again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys do not aggregate, or the secret key is not one of them.
    #[error("committee: {0}")]
    Committee(String),
    /// The store was made with another key or another committee.
    #[error("the store belongs to another key or another committee")]
    ForeignStore,
    /// The operating system gave no randomness.
    #[error("no entropy: {0}")]
    Entropy(String),
    /// One batch asks twice for one sighash.
    #[error("{what}: asked twice in one batch")]
    Twice {
        /// The transaction and input.
        what: String,
    },
    /// A list of nonces, partials or signatures is not as long as the list of requests.
    #[error("{got} given, {wanted} wanted")]
    Count {
        /// How many there were.
        got: usize,
        /// How many there should have been.
        wanted: usize,
    },
    /// A partial signature was asked for where this signer never made a nonce.
    #[error("{what}: no nonce was made")]
    NoNonce {
        /// The transaction and input.
        what: String,
    },
    /// A second, different aggregate nonce for a sighash that is already signed. Refused for ever: somebody cheats, or lost
    /// its store.
    #[error("{what}: already signed under another aggregate nonce")]
    SecondAggregate {
        /// The transaction and input.
        what: String,
    },
    /// The final signature is already held: nothing is signed here any more.
    #[error("{what}: already complete")]
    Complete {
        /// The transaction and input.
        what: String,
    },
    /// This signer sent a partial signature that does not verify.
    #[error("{what}: bad partial signature of signer {signer}")]
    BadPartial {
        /// Index into the committee.
        signer: usize,
        /// The transaction and input.
        what: String,
    },
    /// A final signature does not verify under the tweaked key.
    #[error("{what}: bad final signature")]
    BadSignature {
        /// The transaction and input.
        what: String,
    },
    /// The signature library refused, which no input of a peer can bring about.
    #[error("{what}: {why}")]
    Signing {
        /// The transaction and input.
        what: String,
        /// The library's reason.
        why: String,
    },
}

/// The aggregate key under one tweak: what signing needs, and what verifying needs.
struct Tweaked {
    context: KeyAggContext,
    output_key: XOnlyPublicKey,
}

/// Where seeds of nonces come from: the operating system, or a simulation that has to be repeatable.
pub trait Entropy: RngCore + CryptoRng + Send {}

impl<T: RngCore + CryptoRng + Send> Entropy for T {}

/// One signer's half of MuSig2 over its store.
pub struct Musig<S> {
    store: S,
    entropy: Box<dyn Entropy>,
    secret: Scalar,
    index: usize,
    keys: Vec<Point>,
    internal_key: XOnlyPublicKey,
    untweaked: KeyAggContext,
    tweaked: HashMap<Tweak, Tweaked>,
    secp: Secp256k1<VerifyOnly>,
}

impl<S: Store> Musig<S> {
    /// A signer with `keypair` in the committee of `keys` (in their BIP 327 order), remembering in `store`.
    ///
    /// Fails if the keypair is not in the committee, or the store was made for another key or committee.
    pub fn open(store: S, keypair: &Keypair, keys: &[secp256k1::PublicKey]) -> Result<Self, MusigError> {
        let committee = |error: &dyn std::fmt::Display| MusigError::Committee(error.to_string());
        let points = keys
            .iter()
            .map(|key| Point::from_slice(&key.serialize()).map_err(|error| committee(&error)))
            .collect::<Result<Vec<_>, _>>()?;
        let index = keys
            .iter()
            .position(|key| *key == keypair.public_key())
            .ok_or_else(|| committee(&"the key is not one of its signers"))?;
        let secret = Scalar::from_slice(&keypair.secret_bytes()).map_err(|error| committee(&error))?;
        let untweaked = KeyAggContext::new(points.iter().copied()).map_err(|error| committee(&error))?;
        let internal_key = x_only(&untweaked);

        let identity = [&internal_key.serialize()[..], &keypair.public_key().serialize()].concat();
        match store.get(b"i")? {
            Some(stored) if stored == identity => {}
            Some(_) => return Err(MusigError::ForeignStore),
            None => {
                let mut batch = Batch::default();
                batch.insert(*b"i", identity);
                store.commit(batch)?;
            }
        }
        Ok(Self {
            store,
            entropy: Box::new(OsRng),
            secret,
            index,
            keys: points,
            internal_key,
            untweaked,
            tweaked: HashMap::new(),
            secp: Secp256k1::verification_only(),
        })
    }

    /// The same, with seeds of nonces from another source than the operating system. The source must never repeat itself, not even
    /// after a restart.
    pub fn with_entropy(self, entropy: Box<dyn Entropy>) -> Self {
        Self { entropy, ..self }
    }

    /// This signer's place in the committee.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many signers there are.
    pub fn signers(&self) -> usize {
        self.keys.len()
    }

    /// The committee's key `P`, untweaked.
    pub fn internal_key(&self) -> XOnlyPublicKey {
        self.internal_key
    }

    /// The store, for what else a signer remembers. Keys that start with `r` and `i` are taken.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// This signer's public nonces for `requests`, in their order: made and recorded the first time, the same ones later.
    /// `None` in place of a nonce whose signature is already complete. `also` is written in the same commit.
    pub fn public_nonces(
        &mut self,
        requests: &[SignRequest],
        also: Batch,
    ) -> Result<Vec<Option<PubNonce>>, MusigError> {
        let keys = distinct_keys(requests)?;
        let mut batch = also;
        let mut nonces = Vec::with_capacity(requests.len());
        for (request, key) in requests.iter().zip(&keys) {
            nonces.push(match self.record(key)? {
                Some(Record::Nonce { seed }) => Some(self.secret_nonce(request, seed)?.public_nonce()),
                Some(Record::Signed { public, .. }) => Some(public),
                Some(Record::Complete { .. }) => None,
                None => {
                    let mut seed = [0; 32];
                    self.entropy.try_fill_bytes(&mut seed).map_err(|error| MusigError::Entropy(error.to_string()))?;
                    batch.insert(key.bytes(), Record::Nonce { seed }.encode());
                    Some(self.secret_nonce(request, seed)?.public_nonce())
                }
            });
        }
        self.store.commit(batch)?;
        Ok(nonces)
    }

    /// This signer's partial signatures over `requests` under `aggregates`, all of them or none. `also` is written in the
    /// same commit.
    ///
    /// Fails with [`MusigError::SecondAggregate`] if one of them was signed under another aggregate nonce before.
    pub fn sign(
        &mut self,
        requests: &[SignRequest],
        aggregates: &[AggNonce],
        also: Batch,
    ) -> Result<Vec<PartialSignature>, MusigError> {
        expect_count(aggregates.len(), requests.len())?;
        let keys = distinct_keys(requests)?;
        let mut batch = also;
        let mut partials = Vec::with_capacity(requests.len());
        for ((request, key), aggregate) in requests.iter().zip(&keys).zip(aggregates) {
            let what = || request.what.clone();
            partials.push(match self.record(key)? {
                None => return Err(MusigError::NoNonce { what: what() }),
                Some(Record::Complete { .. }) => return Err(MusigError::Complete { what: what() }),
                Some(Record::Signed { aggregate: signed, partial, .. }) if signed == *aggregate => partial,
                Some(Record::Signed { .. }) => return Err(MusigError::SecondAggregate { what: what() }),
                Some(Record::Nonce { seed }) => {
                    let nonce = self.secret_nonce(request, seed)?;
                    let public = nonce.public_nonce();
                    let secret = self.secret;
                    let context = &self.tweaked(request)?.context;
                    let partial: PartialSignature =
                        musig2::sign_partial(context, secret, nonce, aggregate, request.message)
                            .map_err(|error| MusigError::Signing { what: what(), why: error.to_string() })?;
                    let record = Record::Signed { public, aggregate: aggregate.clone(), partial };
                    batch.insert(key.bytes(), record.encode());
                    partial
                }
            });
        }
        self.store.commit(batch)?;
        Ok(partials)
    }

    /// The final signatures, from every signer's nonces and partial signatures (outer index: signer). Each was verified under
    /// its tweaked key. Nothing is written: [`Musig::complete`] does that.
    ///
    /// Fails with [`MusigError::BadPartial`], which names the first signer whose partial is wrong.
    pub fn combine(
        &mut self,
        requests: &[SignRequest],
        nonces: &[&[PubNonce]],
        partials: &[&[PartialSignature]],
    ) -> Result<Vec<schnorr::Signature>, MusigError> {
        expect_count(nonces.len(), self.keys.len())?;
        expect_count(partials.len(), self.keys.len())?;
        for signer in 0..self.keys.len() {
            expect_count(nonces[signer].len(), requests.len())?;
            expect_count(partials[signer].len(), requests.len())?;
        }
        let keys = self.keys.clone();
        let mut signatures = Vec::with_capacity(requests.len());
        for (i, request) in requests.iter().enumerate() {
            let aggregate = AggNonce::sum(nonces.iter().map(|nonces| &nonces[i]));
            let context = &self.tweaked(request)?.context;
            let shares = partials.iter().map(|partials| partials[i]);
            // Partial signatures are looked at one by one only if their sum is wrong: that costs one verification a
            // signature instead of n + 1.
            let combined: Result<CompactSignature, _> =
                musig2::aggregate_partial_signatures(context, &aggregate, shares, request.message);
            let Ok(combined) = combined else {
                let liar = (0..keys.len()).find(|&signer| {
                    let (partial, nonce) = (partials[signer][i], &nonces[signer][i]);
                    musig2::verify_partial(context, partial, &aggregate, keys[signer], nonce, request.message).is_err()
                });
                return Err(match liar {
                    Some(signer) => MusigError::BadPartial { signer, what: request.what.clone() },
                    None => MusigError::BadSignature { what: request.what.clone() },
                });
            };
            signatures.push(self.verified(request, &combined.serialize())?);
        }
        Ok(signatures)
    }

    /// Verifies the final signatures of `requests`, whoever they came from, and records them: from then on nothing is signed
    /// for these sighashes. `also` is written in the same commit.
    pub fn complete(
        &mut self,
        requests: &[SignRequest],
        signatures: &[schnorr::Signature],
        also: Batch,
    ) -> Result<(), MusigError> {
        expect_count(signatures.len(), requests.len())?;
        let keys = distinct_keys(requests)?;
        let mut batch = also;
        for ((request, key), signature) in requests.iter().zip(&keys).zip(signatures) {
            let signature = self.verified(request, &signature.serialize())?;
            batch.insert(key.bytes(), Record::Complete { signature }.encode());
        }
        self.store.commit(batch)?;
        Ok(())
    }

    /// The final signatures of `requests`, if every one is held.
    pub fn signatures(&self, requests: &[SignRequest]) -> Result<Option<Vec<schnorr::Signature>>, StoreError> {
        let mut signatures = Vec::with_capacity(requests.len());
        for request in requests {
            match self.record(&RecordKey::from(request))? {
                Some(Record::Complete { signature }) => signatures.push(signature),
                _ => return Ok(None),
            }
        }
        Ok(Some(signatures))
    }

    /// True if this signer may have released a partial signature for one of `requests`.
    pub fn signed_any(&self, requests: &[SignRequest]) -> Result<bool, StoreError> {
        for request in requests {
            if !matches!(self.record(&RecordKey::from(request))?, None | Some(Record::Nonce { .. })) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let Some(bytes) = self.store.get(key.bytes())? else { return Ok(None) };
        Record::decode(&bytes).map(Some).ok_or_else(|| StoreError::corrupt(key.bytes()))
    }

    /// BIP 327 *NonceGen* with every optional argument, so that a bad seed alone is not fatal.
    fn secret_nonce(&mut self, request: &SignRequest, seed: [u8; 32]) -> Result<SecNonce, MusigError> {
        let secret = self.secret;
        let key: Point = self.tweaked(request)?.context.aggregated_pubkey();
        Ok(SecNonce::generate(seed, secret, key, request.message, NONCE_DOMAIN))
    }

    fn verified(&mut self, request: &SignRequest, signature: &[u8; 64]) -> Result<schnorr::Signature, MusigError> {
        let bad = || MusigError::BadSignature { what: request.what.clone() };
        let signature = schnorr::Signature::from_slice(signature).map_err(|_| bad())?;
        let key = self.tweaked(request)?.output_key;
        let message = secp256k1::Message::from_digest(request.message);
        self.secp.verify_schnorr(&signature, &message, &key).map_err(|_| bad())?;
        Ok(signature)
    }

    /// The key aggregation context under the request's tweak. There are as many tweaks as there are kinds of output with
    /// script leaves; contexts are cached, and forgotten all at once if a thousand of them have gathered.
    fn tweaked(&mut self, request: &SignRequest) -> Result<&Tweaked, MusigError> {
        const CACHED: usize = 1000;
        if !self.tweaked.contains_key(&request.tweak) {
            if self.tweaked.len() >= CACHED {
                self.tweaked.clear();
            }
            let made =
                self.tweak(&request.tweak).map_err(|why| MusigError::Signing { what: request.what.clone(), why })?;
            self.tweaked.insert(request.tweak, made);
        }
        Ok(&self.tweaked[&request.tweak])
    }

    /// The output key is taken from rust-bitcoin, so that the two libraries have to agree about the tweak (BIP 341).
    fn tweak(&self, tweak: &Tweak) -> Result<Tweaked, String> {
        let root: Option<TapNodeHash> = match tweak {
            Tweak::None => {
                return Ok(Tweaked { context: self.untweaked.clone(), output_key: self.internal_key });
            }
            Tweak::KeyPath(root) => *root,
        };
        let context = match root {
            Some(root) => self.untweaked.clone().with_taproot_tweak(root.as_byte_array()),
            None => self.untweaked.clone().with_unspendable_taproot_tweak(),
        }
        .map_err(|error| error.to_string())?;
        let output_key = self.internal_key.tap_tweak(&self.secp, root).0.to_x_only_public_key();
        if output_key != x_only(&context) {
            return Err("the tweaked keys differ".into());
        }
        Ok(Tweaked { context, output_key })
    }
}

/// Adds up every signer's public nonces (outer index: signer), one aggregate a request.
pub fn aggregate(nonces: &[&[PubNonce]]) -> Vec<AggNonce> {
    let requests = nonces.iter().map(|nonces| nonces.len()).min().unwrap_or(0);
    (0..requests).map(|i| AggNonce::sum(nonces.iter().map(|nonces| &nonces[i]))).collect()
}

fn x_only(context: &KeyAggContext) -> XOnlyPublicKey {
    let key: Point = context.aggregated_pubkey();
    XOnlyPublicKey::from_slice(&key.serialize_xonly()).expect("the x coordinate of a point on the curve")
}

fn expect_count(got: usize, wanted: usize) -> Result<(), MusigError> {
    if got == wanted { Ok(()) } else { Err(MusigError::Count { got, wanted }) }
}

/// The record keys of `requests`, which must all differ: a nonce serves one request.
fn distinct_keys(requests: &[SignRequest]) -> Result<Vec<RecordKey>, MusigError> {
    let mut seen = BTreeSet::new();
    requests
        .iter()
        .map(|request| {
            let key = RecordKey::from(request);
            if seen.insert(key.clone()) { Ok(key) } else { Err(MusigError::Twice { what: request.what.clone() }) }
        })
        .collect()
}
