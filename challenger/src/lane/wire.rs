//! What the two sides of a lane send each other off chain.
//!
//! The transport says who sends it; nothing here is believed before the one-time keys of the lane have been asked.
//!
//! Both have one form as bytes, whose length follows from the move: a question is the lane (slot, then challenger, big-endian), the
//! number of the move (4 bytes, big-endian) and the choices that lead to it, each its option and its secret; an answer
//! is the signatures of the move's messages, each digit as its link and the digit.

use trestle_rollup::SlotId;
use trestle_taptree_trace::lane::{MessageId, Move, Search, SignedChoice};
use trestle_taptree_trace::ots::{Link, MAX_DIGIT, OtsError, PublicKey, Signature};

use super::Error;
use super::path::{leading, signed_by};

/// The challenger asks for a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The choices that lead to it, all of them, in the order of [`super::leading`]: there are 34 at most.
    pub choices: Vec<SignedChoice>,
    /// The move.
    pub wanted: Move,
}

/// What is asked, and about which lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The slot whose claim is disputed.
    pub slot: SlotId,
    /// Index of the challenger.
    pub challenger: u16,
    /// What it asks.
    pub ask: Ask,
}

/// The operator's move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it signs, in the order of [`super::signed_by`].
    pub signatures: Vec<SignatureBytes>,
}

/// A one-time signature: for each digit its link and the digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureBytes(pub Vec<u8>);

/// Bytes that are no question, or no answer to what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The lane has no move of this number.
    #[error("the lane has no move {0}")]
    NoSuchMove(u32),
    /// There are more or fewer bytes than the move has.
    #[error("{expected} bytes are expected, not {got}")]
    Length {
        /// Bytes expected.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
}

/// Bytes of a link and its digit.
const DIGIT_BYTES: usize = 21;

/// Bytes of an option and its secret.
const CHOICE_BYTES: usize = 1 + size_of::<Link>();

/// Bytes of a question without its choices.
const LANE_AND_MOVE: usize = 6 + 2 + 4;

/// Every move of a lane with K = `confirmations`; its place here is its number. A greater K only adds some at the end.
fn moves(confirmations: u16) -> impl Iterator<Item = Move> {
    let searches = [Search::History, Search::Trace, Search::Read, Search::Write];
    let rounds =
        searches.into_iter().flat_map(|search| (0..search.rounds()).map(move |round| Move::Round(search, round)));
    let openings = [Move::Block, Move::Step, Move::ReadNode, Move::WriteNode];
    rounds.chain(openings).chain((0..=confirmations).map(Move::Header))
}

impl Question {
    /// The question as bytes. One for a move that no lane has is read by nobody.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let number = (0u32..).zip(moves(u16::MAX)).find(|(_, each)| *each == self.ask.wanted);
        let number = number.map_or(u32::MAX, |(number, _)| number);
        let mut bytes = [&self.slot.to_bytes()[..], &self.challenger.to_be_bytes(), &number.to_be_bytes()].concat();
        for choice in &self.ask.choices {
            bytes.push(choice.option);
            bytes.extend(choice.secret);
        }
        bytes
    }

    /// Reads a question about a lane with K = `confirmations`.
    ///
    /// # Errors
    /// If the lane has no such move, or there are not just the choices that lead to it.
    pub fn decode(confirmations: u16, bytes: &[u8]) -> Result<Self, WireError> {
        let wrong = |choices| WireError::Length { expected: LANE_AND_MOVE + CHOICE_BYTES * choices, got: bytes.len() };
        let (slot, rest) = bytes.split_first_chunk().ok_or_else(|| wrong(0))?;
        let (challenger, rest) = rest.split_first_chunk().ok_or_else(|| wrong(0))?;
        let (number, choices) = rest.split_first_chunk().ok_or_else(|| wrong(0))?;
        let number = u32::from_be_bytes(*number);
        let wanted = (0u32..).zip(moves(confirmations)).find(|(each, _)| *each == number);
        let (_, wanted) = wanted.ok_or(WireError::NoSuchMove(number))?;
        let expected = leading(wanted).len();
        let (choices, []) = choices.as_chunks::<CHOICE_BYTES>() else { return Err(wrong(expected)) };
        if choices.len() != expected {
            return Err(wrong(expected));
        }
        let choices = choices.iter().map(|[option, secret @ ..]| SignedChoice { option: *option, secret: *secret });
        let ask = Ask { choices: choices.collect(), wanted };
        Ok(Self { slot: SlotId::from_bytes(*slot), challenger: u16::from_be_bytes(*challenger), ask })
    }

    /// Bytes of the longest question about a lane.
    #[must_use]
    pub fn longest() -> usize {
        let choices = moves(0).map(|wanted| leading(wanted).len()).max();
        LANE_AND_MOVE + CHOICE_BYTES * choices.unwrap_or(0)
    }
}

impl Answer {
    /// The answer as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signatures.iter().flat_map(|signature| &signature.0).copied().collect()
    }

    /// Reads the answer to who asked for this move. Whether the operator signed it is for [`super::Challenger::receive`] to say.
    ///
    /// # Errors
    /// If there are more or fewer bytes than it has.
    pub fn decode(wanted: Move, bytes: &[u8]) -> Result<Self, WireError> {
        let wrong = || WireError::Length { expected: Self::length(wanted), got: bytes.len() };
        let (mut signatures, mut rest) = (Vec::new(), bytes);
        for id in signed_by(wanted) {
            let (signature, after) = rest.split_at_checked(signature_bytes(id)).ok_or_else(wrong)?;
            signatures.push(SignatureBytes(signature.to_vec()));
            rest = after;
        }
        if rest.is_empty() { Ok(Self { signatures }) } else { Err(wrong()) }
    }

    /// Bytes of an answer to who asks for this move.
    #[must_use]
    pub fn length(wanted: Move) -> usize {
        signed_by(wanted).into_iter().map(signature_bytes).sum()
    }
}

/// Bytes of a message's signature.
fn signature_bytes(id: MessageId) -> usize {
    DIGIT_BYTES * id.layout().signed_digits()
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
        let expected = signature_bytes(id);
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
