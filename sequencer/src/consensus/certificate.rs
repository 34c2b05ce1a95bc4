//! What a quorum's signatures prove, and what two of them prove against each other.

use trestle_rollup::{Batch, Certificate, Digest};

/// Whether a quorum of the sequencers, whose keys are in the order of their indices, signed the batch.
#[must_use]
pub fn is_certified(batch: &Batch, instance: &Digest, keys: &[[u8; 32]]) -> bool {
    batch.to_certificate(instance).verify(instance, keys)
}

/// Two different batches that quorums of the same sequencers certified for one number.
///
/// Whoever signed both broke the one rule that a sequencer has: at least a third of the set did. It takes no trust in
/// whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Conflict {
    /// One of them.
    pub one: Certificate,
    /// The other one.
    pub other: Certificate,
}

impl Conflict {
    /// The conflict between two batches, if there is one.
    #[must_use]
    pub fn between(one: &Certificate, other: &Certificate, instance: &Digest, keys: &[[u8; 32]]) -> Option<Self> {
        let conflict = Self { one: one.clone(), other: other.clone() };
        conflict.verify(instance, keys).then_some(conflict)
    }

    /// Whether this is a conflict: one number, two contents, two certificates.
    #[must_use]
    pub fn verify(&self, instance: &Digest, keys: &[[u8; 32]]) -> bool {
        self.one.number == self.other.number
            && self.one.transactions != self.other.transactions
            && self.one.verify(instance, keys)
            && self.other.verify(instance, keys)
    }

    /// The indices of those who signed both.
    pub fn culprits(&self) -> impl Iterator<Item = u8> + '_ {
        let signed_other = |index: &u8| self.other.signatures.iter().any(|(signer, _)| signer == index);
        self.one.signatures.iter().map(|(index, _)| *index).filter(signed_other)
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{Keypair, Secp256k1, SecretKey};
    use trestle_rollup::schnorr;

    use super::*;

    const INSTANCE: Digest = [9; 32];

    fn keypairs() -> Vec<Keypair> {
        let secret = |index: u8| SecretKey::from_slice(&[index + 1; 32]).unwrap();
        (0..4).map(|index| Keypair::from_secret_key(&Secp256k1::new(), &secret(index))).collect()
    }

    fn certificate(number: u64, content: u8, signers: &[u8]) -> Certificate {
        let mut certificate = Certificate { number, transactions: vec![[content; 32]; 3], signatures: Vec::new() };
        let digest = certificate.digest(&INSTANCE);
        let sign = |index: &u8| (*index, schnorr::sign(&digest, &keypairs()[usize::from(*index)]));
        certificate.signatures = signers.iter().map(sign).collect();
        certificate
    }

    #[test]
    fn only_two_certified_contents_of_one_number_are_a_conflict() {
        let keys: Vec<_> = keypairs().iter().map(|key| key.x_only_public_key().0.serialize()).collect();
        let good = certificate(5, 1, &[0, 1, 2]);
        let mut forged = certificate(5, 2, &[1, 2, 3]);
        forged.signatures[0].1[7] ^= 1;
        let rows = [
            (certificate(5, 2, &[1, 2, 3]), true),
            (certificate(5, 1, &[1, 2, 3]), false),
            (certificate(6, 2, &[1, 2, 3]), false),
            (certificate(5, 2, &[2, 3]), false),
            (forged, false),
        ];
        for (other, expected) in rows {
            let conflict = Conflict::between(&good, &other, &INSTANCE, &keys);
            assert_eq!(conflict.is_some(), expected, "{other:?}");
            if let Some(conflict) = conflict {
                assert_eq!(conflict.culprits().collect::<Vec<_>>(), [1, 2]);
                assert!(!conflict.verify(&[8; 32], &keys), "it counts in its own bridge only");
            }
        }
    }
}
