//! The signing of one job between all signers: which batch of sighashes is next, and what has arrived for it.
//!
//! A job is a list of stages, a stage a list of [`SignRequest`]s. A stage is signed in batches of at most [`BATCH`], one after
//! the other; a batch is begun only when every final signature before it is held, verified and on disk. A batch is named by its
//! *position*: how many of the job's signatures come before it. Every signer finds the batches for itself.
//!
//! Signer 0 leads. Per batch: each signer sends its public nonces, the leader sends their sums, each signer sends its partial
//! signatures, the leader sends the final ones. Where somebody already holds a final signature (another job asked for
//! the same sighash) it is passed on in place of a nonce.
//!
//! Everything said can be said again with the same bytes: nonces and partials come out of the records ([`crate::record`]). So the
//! leader keeps what arrives in memory only, and asks again after a restart.

use bitcoin::secp256k1::schnorr::Signature;
use musig2::{AggNonce, PartialSignature, PubNonce};
use serde::{Deserialize, Serialize};
use trestle_bridge::transactions::SignRequest;

use crate::musig::{Musig, MusigError, aggregate};
use crate::store::{Batch, Store, StoreError};

/// The largest number of sighashes that are signed together; bounds the size of a message.
pub const BATCH: usize = 1024;

/// The stages of a job. Later stages may depend on the signatures of earlier ones.
pub trait Plan {
    /// How many stages there are.
    fn stages(&self) -> usize;

    /// What is signed in stage `index`, given the signatures of every stage before it. Must give the same answer to everyone.
    fn stage(&self, index: usize, before: &[Vec<Signature>]) -> Result<Vec<SignRequest>, String>;
}

/// A nonce for a sighash, or its final signature where that is already held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offer<N> {
    /// Sign with this nonce.
    Nonce(N),
    /// Nothing to sign any more.
    Signature(Signature),
}

/// Why a session did not take a step.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The MuSig2 core refused.
    #[error(transparent)]
    Musig(#[from] MusigError),
    /// The job does not say what to sign next.
    #[error("no plan: {0}")]
    Plan(String),
    /// A signer sent other public nonces after their sum was announced.
    #[error("signer {signer} changed its nonces")]
    NoncesChanged {
        /// Index into the committee.
        signer: usize,
    },
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> Self {
        Self::Musig(error.into())
    }
}

/// What the leader has of the batch, by signer.
#[derive(Default)]
struct Round {
    nonces: Vec<Option<Vec<Offer<PubNonce>>>>,
    partials: Vec<Option<Vec<PartialSignature>>>,
    /// Set once every nonce is there and the leader has signed under them.
    offers: Option<Vec<Offer<AggNonce>>>,
}

impl Round {
    fn new(signers: usize) -> Self {
        Self { nonces: vec![None; signers], partials: vec![None; signers], offers: None }
    }
}

/// How far one signer is with one job.
pub struct Session {
    stages: usize,
    /// Final signatures of the stages that are complete.
    held: Vec<Vec<Signature>>,
    /// What is signed in the current stage.
    requests: Vec<SignRequest>,
    /// Final signatures of the current stage's earlier batches.
    got: Vec<Signature>,
    round: Round,
}

impl Session {
    /// Takes up a job where the store says it was left.
    pub fn open(plan: &dyn Plan, musig: &Musig<impl Store>) -> Result<Self, SessionError> {
        let round = Round::new(musig.signers());
        let mut session =
            Self { stages: plan.stages(), held: Vec::new(), requests: Vec::new(), got: Vec::new(), round };
        if session.stages > 0 {
            session.requests = plan.stage(0, &[]).map_err(SessionError::Plan)?;
        }
        session.advance(plan, musig)?;
        Ok(session)
    }

    /// Looks whether signatures have come in by another job. What arrived for the current batch is kept if it is still the current one.
    pub fn refresh(&mut self, plan: &dyn Plan, musig: &Musig<impl Store>) -> Result<(), SessionError> {
        if !self.done() && musig.signatures(self.batch())?.is_some() {
            self.advance(plan, musig)?;
        }
        Ok(())
    }

    /// How many of the job's signatures come before the batch that is now being signed.
    pub fn position(&self) -> u32 {
        (self.held.iter().map(Vec::len).sum::<usize>() + self.got.len()) as u32
    }

    /// True once every signature of the job is held.
    pub fn done(&self) -> bool {
        self.held.len() == self.stages
    }

    /// True while the last stage is being signed: what is released now can make the job's outcome final.
    pub fn in_last_stage(&self) -> bool {
        self.held.len() + 1 == self.stages
    }

    /// The signatures of every complete stage.
    pub fn signatures(&self) -> &[Vec<Signature>] {
        &self.held
    }

    /// True if a partial signature of the current batch may have been released.
    pub fn signed_any(&self, musig: &Musig<impl Store>) -> Result<bool, StoreError> {
        musig.signed_any(self.batch())
    }

    /// The final signatures of the batch at `position`, if it is one and they are held.
    pub fn batch_at(&self, position: u32) -> Option<&[Signature]> {
        let mut start = 0;
        let position = position as usize;
        for stage in self.held.iter().chain([&self.got]) {
            if let Some(offset) = position.checked_sub(start)
                && offset < stage.len()
            {
                let end = stage.len().min(offset + BATCH);
                return (offset % BATCH == 0).then_some(&stage[offset..end]);
            }
            start += stage.len();
        }
        None
    }

    /// This signer's nonces for the current batch. `also` is written in the same commit.
    pub fn nonces(&self, musig: &mut Musig<impl Store>, also: Batch) -> Result<Vec<Offer<PubNonce>>, SessionError> {
        let nonces = musig.public_nonces(self.batch(), also)?;
        nonces
            .into_iter()
            .zip(self.batch())
            .map(|(nonce, request)| match nonce {
                Some(nonce) => Ok(Offer::Nonce(nonce)),
                None => {
                    let held = musig.signatures(std::slice::from_ref(request))?;
                    let signature = held.and_then(|held| held.first().copied());
                    signature.map(Offer::Signature).ok_or(MusigError::NoNonce { what: request.what.clone() }.into())
                }
            })
            .collect()
    }

    /// This signer's partial signatures for the current batch, one for each nonce among `offers`; signatures among
    /// them are verified and kept. `also` is written in the same commit as the record of what was signed.
    pub fn sign(
        &mut self,
        musig: &mut Musig<impl Store>,
        offers: &[Offer<AggNonce>],
        also: Batch,
    ) -> Result<Vec<PartialSignature>, SessionError> {
        self.expect_batch(offers.len())?;
        let mut known = (Vec::new(), Vec::new());
        let mut wanted = (Vec::new(), Vec::new());
        for (request, offer) in self.batch().iter().zip(offers) {
            match offer {
                Offer::Signature(signature) => {
                    known.0.push(request.clone());
                    known.1.push(*signature);
                }
                Offer::Nonce(nonce) => {
                    wanted.0.push(request.clone());
                    wanted.1.push(nonce.clone());
                }
            }
        }
        musig.complete(&known.0, &known.1, Batch::default())?;
        Ok(musig.sign(&wanted.0, &wanted.1, also)?)
    }

    /// Verifies and keeps the final signatures of the current batch, and goes on to the next that is not yet complete.
    /// `also` is written in the same commit.
    pub fn complete(
        &mut self,
        plan: &dyn Plan,
        musig: &mut Musig<impl Store>,
        signatures: &[Signature],
        also: Batch,
    ) -> Result<(), SessionError> {
        musig.complete(self.batch(), signatures, also)?;
        self.advance(plan, musig)
    }

    /// Leader: signer `from` sent its nonces. Returns the sums once all are there, and every time after that.
    /// The leader's own partial signatures are then recorded, with `also` in the same commit.
    pub fn nonces_from(
        &mut self,
        musig: &mut Musig<impl Store>,
        from: usize,
        nonces: Vec<Offer<PubNonce>>,
        also: Batch,
    ) -> Result<Option<Vec<Offer<AggNonce>>>, SessionError> {
        self.expect_batch(nonces.len())?;
        if let Some(offers) = &self.round.offers {
            // A signer may meanwhile hold more final signatures than it did: only nonces must not change.
            let changed = self.round.nonces[from].iter().flatten().zip(&nonces).any(|(old, new)| match (old, new) {
                (Offer::Nonce(old), Offer::Nonce(new)) => old != new,
                _ => false,
            });
            return if changed { Err(SessionError::NoncesChanged { signer: from }) } else { Ok(Some(offers.clone())) };
        }
        let signed_before = nonces.iter().zip(self.batch()).filter_map(|(offer, request)| match offer {
            Offer::Signature(signature) => Some((request.clone(), *signature)),
            Offer::Nonce(_) => None,
        });
        let (requests, signatures): (Vec<_>, Vec<_>) = signed_before.unzip();
        musig.complete(&requests, &signatures, Batch::default())?;
        self.round.nonces[from] = Some(nonces);
        let me = musig.index();
        self.round.nonces[me] = Some(self.nonces(musig, Batch::default())?);
        if self.round.nonces.iter().any(Option::is_none) {
            return Ok(None);
        }
        let offers = self.sum()?;
        let partials = match self.sign(musig, &offers, also) {
            Ok(partials) => partials,
            Err(error) => {
                // Somebody's nonces are not those of last time: all are asked for again.
                self.round = Round::new(musig.signers());
                return Err(error);
            }
        };
        self.round.partials[me] = Some(partials);
        self.round.offers = Some(offers.clone());
        Ok(Some(offers))
    }

    /// Leader: signer `from` sent its partial signatures. Returns the final signatures of the batch once all are there and
    /// right; they are verified, not yet kept ([`Session::complete`] does that).
    ///
    /// Fails with [`MusigError::BadPartial`] if one is wrong; that signer's partials are forgotten, so that it may send better.
    pub fn partials_from(
        &mut self,
        musig: &mut Musig<impl Store>,
        from: usize,
        partials: Vec<PartialSignature>,
    ) -> Result<Option<Vec<Signature>>, SessionError> {
        let Some(offers) = &self.round.offers else { return Ok(None) };
        let wanted: Vec<usize> =
            offers.iter().enumerate().filter(|(_, offer)| matches!(offer, Offer::Nonce(_))).map(|(i, _)| i).collect();
        if partials.len() != wanted.len() {
            return Err(MusigError::Count { got: partials.len(), wanted: wanted.len() }.into());
        }
        self.round.partials[from] = Some(partials);
        if self.round.partials.iter().any(Option::is_none) {
            return Ok(None);
        }
        let requests: Vec<SignRequest> = wanted.iter().map(|&i| self.batch()[i].clone()).collect();
        let nonce = |offers: &Vec<Offer<PubNonce>>, i: usize| match &offers[i] {
            Offer::Nonce(nonce) => Some(nonce.clone()),
            Offer::Signature(_) => None,
        };
        let nonces: Vec<Vec<PubNonce>> = self
            .round
            .nonces
            .iter()
            .flatten()
            .map(|offers| wanted.iter().filter_map(|&i| nonce(offers, i)).collect())
            .collect();
        let nonces: Vec<&[PubNonce]> = nonces.iter().map(Vec::as_slice).collect();
        let partials: Vec<&[PartialSignature]> = self.round.partials.iter().flatten().map(Vec::as_slice).collect();
        let combined = match musig.combine(&requests, &nonces, &partials) {
            Ok(combined) => combined,
            Err(error) => {
                if let MusigError::BadPartial { signer, .. } = error {
                    self.round.partials[signer] = None;
                }
                return Err(error.into());
            }
        };
        let mut combined = combined.into_iter();
        let all = offers.iter().map(|offer| match offer {
            Offer::Signature(signature) => Some(*signature),
            Offer::Nonce(_) => combined.next(),
        });
        Ok(all.collect())
    }

    /// Leader: the sums, if they were announced.
    pub fn announced(&self) -> Option<&[Offer<AggNonce>]> {
        self.round.offers.as_deref()
    }

    /// Leader: what signer `from` still has to send.
    pub fn missing(&self, from: usize) -> Missing {
        if self.round.nonces[from].is_none() {
            Missing::Nonces
        } else if self.round.offers.is_some() && self.round.partials[from].is_none() {
            Missing::Partials
        } else {
            Missing::Nothing
        }
    }

    fn batch(&self) -> &[SignRequest] {
        let start = self.got.len();
        &self.requests[start..self.requests.len().min(start + BATCH)]
    }

    fn expect_batch(&self, got: usize) -> Result<(), MusigError> {
        let wanted = self.batch().len();
        if got == wanted && wanted > 0 { Ok(()) } else { Err(MusigError::Count { got, wanted }) }
    }

    /// The sum of everyone's nonces where a signature is still wanted; the leader holds the others.
    fn sum(&self) -> Result<Vec<Offer<AggNonce>>, SessionError> {
        let me_first: Vec<&Vec<Offer<PubNonce>>> = self.round.nonces.iter().flatten().collect();
        (0..self.batch().len())
            .map(|i| {
                let mut nonces = Vec::with_capacity(me_first.len());
                for offers in &me_first {
                    match &offers[i] {
                        Offer::Signature(signature) => return Ok(Offer::Signature(*signature)),
                        Offer::Nonce(nonce) => nonces.push(std::slice::from_ref(nonce)),
                    }
                }
                let sum = aggregate(&nonces).pop().ok_or(MusigError::Count { got: 0, wanted: 1 })?;
                Ok(Offer::Nonce(sum))
            })
            .collect()
    }

    /// Skips every batch whose signatures are all held, and every stage that is over.
    fn advance(&mut self, plan: &dyn Plan, musig: &Musig<impl Store>) -> Result<(), SessionError> {
        while !self.done() {
            if self.got.len() == self.requests.len() {
                self.held.push(std::mem::take(&mut self.got));
                self.requests.clear();
                if !self.done() {
                    self.requests = plan.stage(self.held.len(), &self.held).map_err(SessionError::Plan)?;
                }
            } else if let Some(signatures) = musig.signatures(self.batch())? {
                self.got.extend(signatures);
            } else {
                break;
            }
        }
        self.round = Round::new(musig.signers());
        Ok(())
    }
}

/// What the leader waits for from one signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Its public nonces.
    Nonces,
    /// Its partial signatures.
    Partials,
    /// Nothing.
    Nothing,
}
