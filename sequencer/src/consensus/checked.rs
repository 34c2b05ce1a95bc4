//! Which signatures were verified, so that none is verified twice: once when a transaction comes, again with its block.
//!
//! An entry is a transaction's id, which covers the account and all that it signed, and the signature. What is not found is
//! verified, so it matters to nobody's verdict what is in here.

use std::collections::HashMap;

use trestle_rollup::{Digest, SignedTransaction, schnorr};

/// Signatures in a generation: about 10 MB.
const GENERATION: usize = 1 << 16;

/// Signatures that are valid: two generations, of which the older is dropped when the newer is full.
pub(crate) struct Checked {
    instance: Digest,
    new: HashMap<Digest, [u8; 64]>,
    old: HashMap<Digest, [u8; 64]>,
}

impl Checked {
    pub fn new(instance: Digest) -> Self {
        Self { instance, new: HashMap::new(), old: HashMap::new() }
    }

    /// Whether a transaction's signature is valid.
    pub fn is_signed(&mut self, signed: &SignedTransaction) -> bool {
        let check = signed.check(&self.instance);
        let known = self.new.get(&check.message).or_else(|| self.old.get(&check.message));
        if known == Some(&check.signature) {
            return true;
        }
        let is_valid = schnorr::verify(&check);
        if is_valid {
            if self.new.len() >= GENERATION {
                self.old = std::mem::take(&mut self.new);
            }
            self.new.insert(check.message, check.signature);
        }
        is_valid
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{Keypair, Secp256k1, SecretKey};
    use trestle_rollup::{Account, Transaction};

    use super::*;

    #[test]
    fn only_the_very_signature_that_was_verified_is_known() {
        let instance = [9; 32];
        let key = Keypair::from_secret_key(&Secp256k1::new(), &SecretKey::from_slice(&[1; 32]).unwrap());
        let from = Account::from(key.x_only_public_key().0);
        let payment = |nonce| Transaction::Transfer { from, to: Account([2; 32]), amount: 1, fee: 0, nonce };
        let signed = payment(0).sign(&instance, &key);
        let mut forged = signed;
        forged.signature[40] ^= 1;
        let moved = SignedTransaction { transaction: payment(1), ..signed };
        let mut checked = Checked::new(instance);
        for _ in 0..2 {
            assert!(!checked.is_signed(&forged));
            assert!(checked.is_signed(&signed));
            assert!(!checked.is_signed(&moved));
        }
    }
}
