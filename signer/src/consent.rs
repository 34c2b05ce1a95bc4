//! The signatures of those whom a job binds.
//!
//! A leader could ask the committee to mint a user's deposit to an account of its own, or make a run in which a challenger's
//! secrets are not the challenger's: neither shows on the chain. So the terms are signed, and every signer checks:
//!
//! | job | who signs its terms |
//! | --- | --- |
//! | deposit | the user, with the refund key of the deposit output |
//! | run | the operator, then every challenger in the order of the parameters |
//! | cooperative payout | nobody: the Layer 2 says what is owed |
//! | administration | nobody, but a person of every signer approves it there |
//!
//! A consent is a BIP 340 signature over tagged hash "Trestle/consent" (instance ‖ kind ‖ SHA-256 of the terms as JSON). What the leader
//! adds to the terms (slots, vaults) is not in it.

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Keypair, Message, Secp256k1, XOnlyPublicKey};
use serde::Serialize;
use trestle_bridge::job::Job;
use trestle_bridge::parameters::Bridge;
use trestle_rollup::tagged_hash;

/// A consent is missing or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsentError {
    /// There are not as many as parties.
    #[error("{got} consents, {wanted} wanted")]
    Count {
        /// How many were given.
        got: usize,
        /// How many parties there are.
        wanted: usize,
    },
    /// One does not verify.
    #[error("the consent of {0} is wrong")]
    Wrong(XOnlyPublicKey),
}

/// Whose consent `job` needs, in order.
pub fn parties(bridge: &Bridge, job: &Job) -> Vec<XOnlyPublicKey> {
    match job {
        Job::Deposit(deposit) => vec![deposit.terms.refund_key],
        Job::Run(run) => {
            let operator =
                bridge.parameters.operators.get(usize::from(run.terms.operator)).map(|operator| operator.key);
            operator.into_iter().chain(bridge.parameters.challengers.iter().copied()).collect()
        }
        Job::Cooperative(_) | Job::Admin(_) => Vec::new(),
    }
}

/// The consent of `key` to the terms of `job`.
pub fn sign(bridge: &Bridge, job: &Job, key: &Keypair) -> Signature {
    Secp256k1::signing_only().sign_schnorr(&message(bridge, job), key)
}

/// Checks that every party has consented.
pub fn check(bridge: &Bridge, job: &Job, consents: &[Signature]) -> Result<(), ConsentError> {
    let parties = parties(bridge, job);
    if parties.len() != consents.len() {
        return Err(ConsentError::Count { got: consents.len(), wanted: parties.len() });
    }
    let secp = Secp256k1::verification_only();
    let message = message(bridge, job);
    let wrong =
        parties.iter().zip(consents).find(|(key, consent)| secp.verify_schnorr(consent, &message, key).is_err());
    wrong.map_or(Ok(()), |(key, _)| Err(ConsentError::Wrong(*key)))
}

fn message(bridge: &Bridge, job: &Job) -> Message {
    let (kind, terms) = match job {
        Job::Deposit(deposit) => (b'd', digest(&deposit.terms)),
        Job::Run(run) => (b'r', digest(&run.terms)),
        Job::Cooperative(terms) => (b'c', digest(terms)),
        Job::Admin(terms) => (b'a', digest(terms)),
    };
    Message::from_digest(tagged_hash("Trestle/consent", &[&bridge.instance, &[kind], &terms]))
}

fn digest(terms: &impl Serialize) -> [u8; 32] {
    let json = serde_json::to_vec(terms).expect("terms are plain data");
    sha256::Hash::hash(&json).to_byte_array()
}
