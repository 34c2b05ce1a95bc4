//! What a quorum's signatures prove, and what two of them prove against each other.

use trestle_rollup::{
    Certificate, Digest, SignatureCheck, Signatures, SignedTransaction, quorum, schnorr, tagged_hash,
};

/// What a final block adds to a batch, and, once a quorum signed it, what a user keeps: that these transactions are
/// executed in this batch, at this place.
///
/// ```text
/// set u32 ‖ number u64 ‖ first u32 ‖ count u8 ‖ count × (sequencer index u8 ‖ signature[64]) ‖ signed transactions
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "Vec<u8>", try_from = "Vec<u8>")]
pub struct Part {
    /// Number of the set of sequencers that promises it.
    pub set: u32,
    /// The batch.
    pub number: u64,
    /// How many transactions the batch has before these.
    pub first: u32,
    /// The signed transactions' encodings, one after the other.
    pub transactions: Vec<u8>,
    /// Signatures over [`Self::digest`].
    pub certificate: Signatures,
}

impl Part {
    /// What a sequencer signs: BIP 340's tagged hash, with the tag `Trestle/part`, of
    /// instance ‖ set ‖ number ‖ first ‖ transactions.
    #[must_use]
    pub fn digest(&self, instance: &Digest) -> Digest {
        let (set, number, first) = (self.set.to_le_bytes(), self.number.to_le_bytes(), self.first.to_le_bytes());
        tagged_hash("Trestle/part", &[instance, &set, &number, &first, &self.transactions])
    }

    /// The transactions, in order; none if the bytes are not exactly some.
    #[must_use]
    pub fn decoded(&self) -> Vec<SignedTransaction> {
        SignedTransaction::decode_all(&self.transactions).unwrap_or_default()
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.set.to_le_bytes().to_vec();
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.first.to_le_bytes());
        bytes.push(u8::try_from(self.certificate.len()).unwrap_or(u8::MAX));
        for (index, signature) in &self.certificate {
            bytes.push(*index);
            bytes.extend(signature);
        }
        bytes.extend(&self.transactions);
        bytes
    }

    /// From all of the bytes. The signatures may be worth nothing.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (set, rest) = bytes.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first()?;
        let (signatures, transactions) = rest.split_at_checked(usize::from(*count) * 65)?;
        let entry = |entry: &[u8; 65]| Some((entry[0], *entry.last_chunk()?));
        Some(Self {
            set: u32::from_le_bytes(*set),
            number: u64::from_le_bytes(*number),
            first: u32::from_le_bytes(*first),
            transactions: transactions.to_vec(),
            certificate: signatures.as_chunks().0.iter().map(entry).collect::<Option<_>>()?,
        })
    }
}

impl From<Part> for Vec<u8> {
    fn from(part: Part) -> Self {
        part.encode()
    }
}

impl TryFrom<Vec<u8>> for Part {
    type Error = &'static str;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        Self::decode(&bytes).ok_or("not a part of a batch")
    }
}

/// Whether a quorum of the sequencers, whose keys are in the order of their indices, signed the message.
pub(crate) fn is_signed(message: Digest, certificate: &[(u8, [u8; 64])], keys: &[[u8; 32]]) -> bool {
    let needed = u8::try_from(keys.len()).ok().and_then(quorum).map(usize::from);
    let ascends = certificate.is_sorted_by(|(one, _), (next, _)| one < next);
    let is_valid = |(index, signature): &(u8, [u8; 64])| {
        let key = keys.get(usize::from(*index));
        key.is_some_and(|key| schnorr::verify(&SignatureCheck { key: *key, message, signature: *signature }))
    };
    needed.is_some_and(|needed| certificate.len() >= needed) && ascends && certificate.iter().all(is_valid)
}

/// What a quorum can promise.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// That these transactions are in a batch, at this place.
    Part(Part),
    /// That the batch is this one.
    Batch(Certificate),
}

impl Promise {
    fn signatures(&self) -> &Signatures {
        match self {
            Self::Part(part) => &part.certificate,
            Self::Batch(batch) => &batch.signatures,
        }
    }

    fn number(&self) -> u64 {
        match self {
            Self::Part(part) => part.number,
            Self::Batch(batch) => batch.number,
        }
    }

    /// Whether a quorum of the sequencers, whose keys are in the order of their indices, signed it.
    #[must_use]
    pub fn is_certified(&self, instance: &Digest, keys: &[[u8; 32]]) -> bool {
        match self {
            Self::Part(part) => is_signed(part.digest(instance), &part.certificate, keys),
            Self::Batch(batch) => batch.verify(instance, keys),
        }
    }

    /// The transactions' ids, after how many others of the batch they come, and whether the batch ends with them.
    fn content(&self, instance: &Digest) -> (usize, Vec<Digest>, bool) {
        match self {
            Self::Part(part) => {
                let ids = part.decoded().iter().map(|signed| signed.transaction.sighash(instance)).collect();
                (usize::try_from(part.first).unwrap_or(usize::MAX), ids, false)
            }
            Self::Batch(batch) => (0, batch.transactions.clone(), true),
        }
    }

    /// Whether both cannot be kept.
    fn contradicts(&self, other: &Self, instance: &Digest) -> bool {
        if self.number() != other.number() {
            return false;
        }
        let (start, one, one_ends) = self.content(instance);
        let (other_start, other, other_ends) = other.content(instance);
        let (end, other_end) = (start.saturating_add(one.len()), other_start.saturating_add(other.len()));
        let both = start.max(other_start)..end.min(other_end);
        let differ = both.into_iter().any(|at| one.get(at - start) != other.get(at - other_start));
        differ || (one_ends && other_end > end) || (other_ends && end > other_end)
    }
}

/// Two promises by quorums of the same sequencers of which one is broken.
///
/// Whoever signed both broke the one rule that a sequencer has: at least a third of the set did. It takes no trust in
/// whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Conflict {
    /// One of them.
    pub one: Promise,
    /// The other one.
    pub other: Promise,
}

impl Conflict {
    /// The conflict between two promises, if there is one.
    #[must_use]
    pub fn between(one: Promise, other: Promise, instance: &Digest, keys: &[[u8; 32]]) -> Option<Self> {
        let conflict = Self { one, other };
        conflict.verify(instance, keys).then_some(conflict)
    }

    /// Whether this is a conflict: one batch, two contents, two certificates.
    #[must_use]
    pub fn verify(&self, instance: &Digest, keys: &[[u8; 32]]) -> bool {
        self.one.contradicts(&self.other, instance)
            && self.one.is_certified(instance, keys)
            && self.other.is_certified(instance, keys)
    }

    /// The indices of those who signed both.
    pub fn culprits(&self) -> impl Iterator<Item = u8> + '_ {
        let signed_other = |index: &u8| self.other.signatures().iter().any(|(signer, _)| signer == index);
        self.one.signatures().iter().map(|(index, _)| *index).filter(signed_other)
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{Keypair, Secp256k1, SecretKey};
    use trestle_rollup::{Account, Transaction};

    use super::*;

    const INSTANCE: Digest = [9; 32];

    fn keypairs() -> Vec<Keypair> {
        let secret = |index: u8| SecretKey::from_slice(&[index + 1; 32]).unwrap();
        (0..4).map(|index| Keypair::from_secret_key(&Secp256k1::new(), &secret(index))).collect()
    }

    fn keys() -> Vec<[u8; 32]> {
        keypairs().iter().map(|key| key.x_only_public_key().0.serialize()).collect()
    }

    fn signatures(digest: Digest, signers: &[u8]) -> Signatures {
        signers.iter().map(|&index| (index, schnorr::sign(&digest, &keypairs()[usize::from(index)]))).collect()
    }

    fn payment(amount: &u64) -> Transaction {
        let (from, to) = (Account([1; 32]), Account([2; 32]));
        Transaction::Transfer { from, to, amount: *amount, fee: 0, nonce: 0 }
    }

    fn batch(number: u64, amounts: &[u64], signers: &[u8]) -> Promise {
        let transactions = amounts.iter().map(|amount| payment(amount).sighash(&INSTANCE)).collect();
        let mut batch = Certificate { number, transactions, signatures: Vec::new() };
        batch.signatures = signatures(batch.digest(&INSTANCE), signers);
        Promise::Batch(batch)
    }

    fn part(number: u64, first: u32, amounts: &[u64], signers: &[u8]) -> Promise {
        let encode = |amount| SignedTransaction { transaction: payment(amount), signature: [0; 64] }.encode();
        let transactions = amounts.iter().flat_map(encode).collect();
        let mut part = Part { set: 0, number, first, transactions, certificate: Vec::new() };
        part.certificate = signatures(part.digest(&INSTANCE), signers);
        assert_eq!(Part::decode(&part.encode()), Some(part.clone()));
        Promise::Part(part)
    }

    #[test]
    fn only_two_certified_promises_that_contradict_each_other_are_a_conflict() {
        const ONE: &[u8] = &[0, 1, 2];
        const OTHER: &[u8] = &[1, 2, 3];
        let mut forged = batch(5, &[2], OTHER);
        if let Promise::Batch(batch) = &mut forged {
            batch.signatures[0].1[7] ^= 1;
        }
        let rows = [
            ("two batches", batch(5, &[1], ONE), batch(5, &[2], OTHER), true),
            ("the same batch", batch(5, &[1], ONE), batch(5, &[1], OTHER), false),
            ("another number", batch(5, &[1], ONE), batch(6, &[2], OTHER), false),
            ("no quorum", batch(5, &[1], ONE), batch(5, &[2], &[2, 3]), false),
            ("forged", batch(5, &[1], ONE), forged, false),
            ("a part that is in it", batch(5, &[1, 2, 3], ONE), part(5, 1, &[2, 3], OTHER), false),
            ("a part that is not", batch(5, &[1, 2, 3], ONE), part(5, 1, &[3], OTHER), true),
            ("a part that was left out", batch(5, &[1], ONE), part(5, 1, &[2], OTHER), true),
            ("a part of another batch", batch(5, &[1], ONE), part(6, 0, &[2], OTHER), false),
            ("two parts that meet", part(5, 0, &[1], ONE), part(5, 1, &[2], OTHER), false),
            ("two parts apart", part(5, 0, &[1], ONE), part(5, 9, &[2], OTHER), false),
            ("two parts of one place", part(5, 0, &[1, 2], ONE), part(5, 1, &[3], OTHER), true),
            ("one part twice", part(5, 0, &[1, 2], ONE), part(5, 1, &[2, 3], OTHER), false),
            ("no quorum for a part", part(5, 0, &[1, 2], ONE), part(5, 1, &[3], &[3]), false),
        ];
        for (name, one, other, expected) in rows {
            for (one, other) in [(one.clone(), other.clone()), (other, one)] {
                let conflict = Conflict::between(one, other, &INSTANCE, &keys());
                assert_eq!(conflict.is_some(), expected, "{name}");
                if let Some(conflict) = conflict {
                    assert_eq!(conflict.culprits().collect::<Vec<_>>(), [1, 2]);
                    assert!(!conflict.verify(&[8; 32], &keys()), "it counts in its own bridge only");
                }
            }
        }
    }

    #[test]
    fn a_sequencer_counts_once_for_a_certificate() {
        let mut twice = batch(0, &[1], &[0, 1]);
        if let Promise::Batch(batch) = &mut twice {
            batch.signatures.push(batch.signatures[1]);
        }
        assert!(!twice.is_certified(&INSTANCE, &keys()));
        assert!(!twice.is_certified(&INSTANCE, &[]), "nobody certifies nothing");
    }

    #[test]
    fn a_part_is_read_from_all_of_the_bytes() {
        let Promise::Part(part) = part(1, 2, &[3], &[0]) else { unreachable!() };
        let bytes = part.encode();
        for length in 0..17 + 65 {
            assert_eq!(Part::decode(&bytes[..length]), None, "{length} bytes are no part");
        }
        let cut = Part::decode(&bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(cut.decoded(), [], "half a transaction is none");
    }
}
