//! What a signer has done about one sighash: the write-ahead record of MuSig2 (BIP 327), and its bytes on disk.
//!
//! A record only ever moves forward: `Nonce` → `Signed` → `Complete`. The seed of the secret nonce is in the first only, so
//! the write that records a partial signature is the write that erases the nonce it used.
//! The database may keep the overwritten bytes in its log for a while. The seed alone does not give the nonce: it is mixed
//! with the secret key (BIP 327, *NonceGen*).

use bitcoin::secp256k1::schnorr;
use musig2::{AggNonce, PartialSignature, PubNonce};
use trestle_bridge::transactions::{SignRequest, Tweak};

/// One sighash under one tweak of the committee's key: what a nonce is for, and the key of its record.
/// `'r' ‖ message (32) ‖ tweak (0 none, 1 key path, 2 key path with a merkle root ‖ root (32))`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey(Vec<u8>);

impl RecordKey {
    /// The record's key in the store.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&SignRequest> for RecordKey {
    fn from(request: &SignRequest) -> Self {
        let mut key = Vec::with_capacity(66);
        key.push(b'r');
        key.extend_from_slice(&request.message);
        match &request.tweak {
            Tweak::None => key.push(0),
            Tweak::KeyPath(None) => key.push(1),
            Tweak::KeyPath(Some(root)) => {
                key.push(2);
                key.extend_from_slice(root.as_ref());
            }
        }
        Self(key)
    }
}

/// How far this signer has gone with one sighash.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one is in memory at a time")]
pub enum Record {
    /// A nonce exists, and its public half may have been sent. It has signed nothing.
    Nonce {
        /// 32 bytes from the operating system, from which the secret nonce is derived.
        seed: [u8; 32],
    },
    /// The nonce is used and gone. A partial signature under any other aggregate nonce is refused for ever.
    Signed {
        /// This signer's public nonce, so that it can be sent again.
        public: PubNonce,
        /// The aggregate nonce that was signed under.
        aggregate: AggNonce,
        /// What may have been sent.
        partial: PartialSignature,
    },
    /// The final signature is held and was verified. Nothing is ever signed here again.
    Complete {
        /// BIP 340 signature under the tweaked key of the committee.
        signature: schnorr::Signature,
    },
}

const NONCE: u8 = 0;
const SIGNED: u8 = 1;
const COMPLETE: u8 = 2;

impl Record {
    /// The record's bytes: a kind, then its fields at fixed places.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Nonce { seed } => [&[NONCE][..], seed].concat(),
            Self::Signed { public, aggregate, partial } => {
                [&[SIGNED][..], &public.serialize(), &aggregate.serialize(), &partial.serialize()].concat()
            }
            Self::Complete { signature } => [&[COMPLETE][..], &signature.serialize()].concat(),
        }
    }

    /// Reads back what [`Record::encode`] wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, body) = bytes.split_first()?;
        match *kind {
            NONCE => Some(Self::Nonce { seed: body.try_into().ok()? }),
            SIGNED if body.len() == 66 + 66 + 32 => Some(Self::Signed {
                public: PubNonce::from_bytes(&body[..66]).ok()?,
                aggregate: AggNonce::from_bytes(&body[66..132]).ok()?,
                partial: PartialSignature::from_slice(&body[132..]).ok()?,
            }),
            COMPLETE => Some(Self::Complete { signature: schnorr::Signature::from_slice(body).ok()? }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes on disk, pinned: a signer that is upgraded must read what it wrote.
    #[test]
    fn the_format_on_disk_does_not_change() {
        let point = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let nonce = point.repeat(2);
        let cases = [
            (Record::Nonce { seed: [7; 32] }, format!("00{}", "07".repeat(32))),
            (
                Record::Signed {
                    public: nonce.parse().unwrap(),
                    aggregate: nonce.parse().unwrap(),
                    partial: PartialSignature::from_slice(&[3; 32]).unwrap(),
                },
                format!("01{nonce}{nonce}{}", "03".repeat(32)),
            ),
            (
                Record::Complete { signature: schnorr::Signature::from_slice(&[9; 64]).unwrap() },
                format!("02{}", "09".repeat(64)),
            ),
        ];
        for (record, hex) in cases {
            let bytes: Vec<u8> = bitcoin::hex::FromHex::from_hex(&hex).unwrap();
            assert_eq!(record.encode(), bytes);
            assert_eq!(Record::decode(&bytes), Some(record));
            assert_eq!(Record::decode(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(Record::decode(&[]), None);
    }

    #[test]
    fn two_tweaks_of_one_message_have_two_records() {
        let key = |tweak| RecordKey::from(&SignRequest { what: String::new(), message: [1; 32], tweak });
        let root = <bitcoin::TapNodeHash as bitcoin::hashes::Hash>::from_byte_array([2; 32]);
        let keys = [key(Tweak::None), key(Tweak::KeyPath(None)), key(Tweak::KeyPath(Some(root)))];
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    }
}
