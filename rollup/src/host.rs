//! What `apply` needs from whoever runs it: the preimages of state nodes, signature checks, and a place for results.

use alloc::vec::Vec;

use crate::aggregate::{self, HalfSignature};
use crate::compress::Digest;
use crate::event::Event;
use crate::schnorr;

/// One BIP 340 signature to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureCheck {
    /// The x-only public key.
    pub key: [u8; 32],
    /// The 32-byte message.
    pub message: Digest,
    /// The signature, `R.x ‖ s`.
    pub signature: [u8; 64],
}

/// The machine under [`apply`](crate::apply()).
///
/// A native node looks nodes up in its database and checks signatures with libsecp256k1 on all cores. The guest
/// answers [`preimage`](Self::preimage) by UNHASH (PROTOCOL §5) and keeps the default for the rest.
pub trait Host {
    /// Why a node could not be had.
    type Error;

    /// The chaining value `m` and block `b` with `C(m, b) = digest`.
    ///
    /// Only ever asked for digests of nodes of the state that the block is applied to.
    ///
    /// # Errors
    /// If the host does not know it.
    fn preimage(&mut self, digest: &Digest) -> Result<(Digest, [u8; 64]), Self::Error>;

    /// Whether each signature is valid by BIP 340, in order.
    ///
    /// Every host must accept exactly the same signatures: [`schnorr`] says which.
    fn verify(&mut self, checks: &[SignatureCheck]) -> Vec<bool> {
        checks.iter().map(schnorr::verify).collect()
    }

    /// Whether `sum` aggregates valid signatures, as [`aggregate::verify`] says, on which every host must agree, too.
    fn verify_aggregate(&mut self, signatures: &[HalfSignature], sum: &[u8; 32]) -> bool {
        aggregate::verify(signatures, sum)
    }

    /// Whether all the signatures are valid. As [`verify`](Self::verify) says, but it may stop at the first that is not.
    fn verify_all(&mut self, checks: &[SignatureCheck]) -> bool {
        checks.iter().all(schnorr::verify)
    }
}

/// Where [`apply`](crate::apply()) puts what it makes besides the new entry. The guest needs neither and passes `()`.
pub trait Sink {
    /// A node of the new state that the old one did not have: `digest = C(m, b)`.
    fn node(&mut self, digest: &Digest, m: &Digest, b: &[u8; 64]);

    /// What happened, in order.
    fn event(&mut self, event: Event);
}

impl Sink for () {
    fn node(&mut self, _: &Digest, _: &Digest, _: &[u8; 64]) {}
    fn event(&mut self, _: Event) {}
}
