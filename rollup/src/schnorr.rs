//! Which signatures are valid: BIP 340, with one corner written down.
//!
//! Two implementations must agree to the bit, or a native node and the machine would derive different histories.
//! The guest uses k256 ([`verify_portable`]), native nodes libsecp256k1 ([`verify`] with the `std` feature). They
//! differ in one case that nobody can reach: BIP 340 allows `s = 0`, k256 does not. A signature with `s = 0` needs
//! `R = −e·P` with `e` a hash of `R` and `P`, a preimage of SHA-256; both functions refuse it all the same.

use crate::host::SignatureCheck;

/// Whether the signature is valid, by portable code that needs no operating system.
#[must_use]
pub fn verify_portable(check: &SignatureCheck) -> bool {
    use k256::schnorr::{Signature, VerifyingKey};
    let Ok(key) = VerifyingKey::from_slice(&check.key) else {
        return false;
    };
    let Ok(signature) = Signature::try_from(&check.signature[..]) else {
        return false;
    };
    key.verify_raw(&check.message, &signature).is_ok()
}

#[cfg(not(feature = "std"))]
pub use verify_portable as verify;

/// Whether the signature is valid, by libsecp256k1.
#[cfg(feature = "std")]
#[must_use]
pub fn verify(check: &SignatureCheck) -> bool {
    use bitcoin::secp256k1::{Message, Secp256k1, VerifyOnly, XOnlyPublicKey, schnorr::Signature};
    static CONTEXT: std::sync::LazyLock<Secp256k1<VerifyOnly>> = std::sync::LazyLock::new(Secp256k1::verification_only);
    let Ok(key) = XOnlyPublicKey::from_slice(&check.key) else {
        return false;
    };
    let Ok(signature) = Signature::from_slice(&check.signature) else {
        return false;
    };
    let s_is_zero = check.signature.last_chunk() == Some(&[0u8; 32]);
    !s_is_zero && CONTEXT.verify_schnorr(&signature, &Message::from_digest(check.message), &key).is_ok()
}

/// Signs a message by BIP 340, without auxiliary randomness: the same signature every time.
#[cfg(feature = "std")]
#[must_use]
pub fn sign(message: &crate::Digest, key: &bitcoin::secp256k1::Keypair) -> [u8; 64] {
    use bitcoin::secp256k1::{Message, Secp256k1, SignOnly};
    static CONTEXT: std::sync::LazyLock<Secp256k1<SignOnly>> = std::sync::LazyLock::new(Secp256k1::signing_only);
    CONTEXT.sign_schnorr_no_aux_rand(&Message::from_digest(*message), key).serialize()
}
