//! What sequencers tell each other beside the engine's own messages.
//!
//! ```text
//! 0 ‖ signed transactions           taken from users
//! 1 ‖ subject ‖ signature[64]       the sender's
//! 2 ‖ subject                       the sender lacks signatures of this
//! 3 ‖ subject ‖ count × (index u8 ‖ signature[64])
//! ```
//!
//! A subject is `0 ‖ height u64`, `1 ‖ number u64` or `2 ‖ set u64`.
//!
//! The network, of which each set has its own, authenticates the sender; nothing else in a message is to be believed
//! unchecked.

use trestle_rollup::{Signatures, SignedTransaction};

/// Most bytes of transactions in one message.
pub(crate) const TRANSACTIONS_BYTES: usize = 64 << 10;

/// What sequencers certify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The part of a batch that is the final block at this height.
    Part(u64),
    /// The batch of this number.
    Batch(u64),
    /// What the set of this number begins with; the set before certifies it.
    Handover(u64),
}

impl Subject {
    pub(crate) fn encode(self) -> [u8; 9] {
        let (kind, number) = match self {
            Self::Part(height) => (0, height),
            Self::Batch(number) => (1, number),
            Self::Handover(set) => (2, set),
        };
        let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
        [kind, a, b, c, d, e, f, g, h]
    }

    pub(crate) fn decode([kind, number @ ..]: [u8; 9]) -> Option<Self> {
        let number = u64::from_le_bytes(number);
        match kind {
            0 => Some(Self::Part(number)),
            1 => Some(Self::Batch(number)),
            2 => Some(Self::Handover(number)),
            _ => None,
        }
    }
}

/// One message. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Transactions that users handed in, encoded one after the other.
    Transactions(Vec<u8>),
    /// The sender's signature.
    Signature {
        /// Of what.
        subject: Subject,
        /// By BIP 340.
        signature: [u8; 64],
    },
    /// The sender asks for signatures.
    Ask {
        /// Of what.
        subject: Subject,
    },
    /// A certificate.
    Certificate {
        /// Of what.
        subject: Subject,
        /// Sequencers' indices and signatures.
        signatures: Signatures,
    },
}

impl Message {
    /// Messages that carry all of the transactions, none larger than the network takes.
    pub(crate) fn spread(transactions: &[SignedTransaction]) -> Vec<Self> {
        let mut messages = Vec::new();
        let mut bytes = Vec::new();
        for signed in transactions {
            let encoded = signed.encode();
            if bytes.len() + encoded.len() > TRANSACTIONS_BYTES {
                messages.push(Self::Transactions(std::mem::take(&mut bytes)));
            }
            bytes.extend(encoded);
        }
        if !bytes.is_empty() {
            messages.push(Self::Transactions(bytes));
        }
        messages
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Transactions(transactions) => [&[0][..], transactions].concat(),
            Self::Signature { subject, signature } => [&[1][..], &subject.encode(), signature].concat(),
            Self::Ask { subject } => [&[2][..], &subject.encode()].concat(),
            Self::Certificate { subject, signatures } => {
                let mut bytes = [&[3][..], &subject.encode()].concat();
                for (index, signature) in signatures {
                    bytes.push(*index);
                    bytes.extend(signature);
                }
                bytes
            }
        }
    }

    /// From all of the bytes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        if *kind == 0 {
            return (rest.len() <= TRANSACTIONS_BYTES).then(|| Self::Transactions(rest.to_vec()));
        }
        let (subject, rest) = rest.split_first_chunk()?;
        let subject = Subject::decode(*subject)?;
        match kind {
            1 => Some(Self::Signature { subject, signature: rest.try_into().ok()? }),
            2 => rest.is_empty().then_some(Self::Ask { subject }),
            3 => {
                let (entries, []) = rest.as_chunks::<65>() else { return None };
                let entry = |entry: &[u8; 65]| Some((entry[0], *entry.last_chunk()?));
                let signatures = entries.iter().map(entry).collect::<Option<Vec<_>>>()?;
                (signatures.len() <= usize::from(u8::MAX)).then_some(Self::Certificate { subject, signatures })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written_and_no_other_way() {
        let messages = [
            Message::Transactions(vec![1, 2, 3]),
            Message::Signature { subject: Subject::Part(7), signature: [3; 64] },
            Message::Ask { subject: Subject::Batch(u64::MAX) },
            Message::Ask { subject: Subject::Handover(1) },
            Message::Certificate { subject: Subject::Batch(1), signatures: vec![(0, [1; 64]), (3, [2; 64])] },
        ];
        for message in messages {
            let bytes = message.encode();
            assert_eq!(Message::decode(&bytes), Some(message.clone()));
            if !matches!(message, Message::Transactions(_)) {
                assert_eq!(Message::decode(&[&bytes[..], &[0]].concat()), None);
                assert_eq!(Message::decode(&bytes[..bytes.len() - 1]), None);
            }
        }
        assert_eq!(Message::decode(&[]), None);
        assert_eq!(Message::decode(&[4; 80]), None);
        assert_eq!(Message::decode(&[&[2], &[3; 9][..]].concat()), None, "no subject");
        assert_eq!(Message::decode(&vec![0; TRANSACTIONS_BYTES + 2]), None);
    }
}
