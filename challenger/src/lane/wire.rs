//! What the two sides of a lane send each other off chain.
//!
//! The transport says who sends it; nothing here is believed before the one-time keys of the lane have been asked.

use bitcoin::hex::{DisplayHex, FromHex};
use serde::{Deserialize, Serialize};
use trestle_taptree_trace::lane::{MessageId, Move, SignedChoice};
use trestle_taptree_trace::ots::{MAX_DIGIT, OtsError, PublicKey, Signature};

use super::Error;

/// The challenger asks for a move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The choices that lead to it, all of them, in the order of [`super::leading`]: there are 34 at most.
    pub choices: Vec<SignedChoice>,
    /// The move.
    pub wanted: Move,
}

/// The operator's move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What it signs, in the order of [`super::signed_by`].
    pub signatures: Vec<SignatureBytes>,
}

/// A one-time signature: for each digit its link and the digit, as one text of hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SignatureBytes(pub Vec<u8>);

/// Bytes of a link and its digit.
const DIGIT_BYTES: usize = 21;

impl From<SignatureBytes> for String {
    fn from(bytes: SignatureBytes) -> Self {
        bytes.0.to_lower_hex_string()
    }
}

impl TryFrom<String> for SignatureBytes {
    type Error = bitcoin::hex::HexToBytesError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Vec::from_hex(&text).map(Self)
    }
}

impl From<&Signature> for SignatureBytes {
    fn from(signature: &Signature) -> Self {
        let pairs = signature.pairs();
        let digits = signature.digits();
        let links = pairs.iter().step_by(2);
        Self(links.zip(digits).flat_map(|(link, digit)| link.iter().copied().chain([*digit])).collect())
    }
}

impl SignatureBytes {
    /// The signature, if the key made it.
    pub(super) fn read(&self, id: MessageId, key: &PublicKey) -> Result<Signature, Error> {
        let layout = id.layout();
        let expected = DIGIT_BYTES * layout.signed_digits();
        if self.0.len() != expected {
            return Err(Error::Length { message: id, expected, got: self.0.len() });
        }
        // Script takes what is above for the greatest digit; nobody has to send it.
        if self.0.chunks(DIGIT_BYTES).any(|pair| pair.last().is_some_and(|digit| *digit > MAX_DIGIT)) {
            return Err(OtsError::Witness("a digit is not one").into());
        }
        let pair = |bytes: &[u8]| match bytes.split_last() {
            Some((0, link)) => [link.to_vec(), Vec::new()],
            Some((digit, link)) => [link.to_vec(), vec![*digit]],
            None => [Vec::new(), Vec::new()],
        };
        let items: Vec<Vec<u8>> = self.0.chunks(DIGIT_BYTES).flat_map(pair).collect();
        Ok(Signature::from_pairs(&layout, key, &items)?)
    }
}
