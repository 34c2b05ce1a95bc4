//! What the bench prints about scripts (docs/figures.md).

use super::compress::{BLOCK_DIGITS, CHAINING_DIGITS, Compression, Digit};
use super::{Stack, StackError};
use crate::ots::{CLAIM_LANE, Field, KeyId, Layout, OtsError, SecretSeed, script_read};

/// Sizes of the gadgets that disputes pay most for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// `script.compress.bytes`: C(m, b) of a preimage that nobody signed, compared with a signed digest; what drops the
    /// rest of the stack is not counted.
    pub compress_bytes: usize,
    /// `script.compress.peak`: the most items on both stacks meanwhile.
    pub compress_peak: usize,
    /// `script.ots.weight_per_byte`: weight units of script and witness, at most, that a signed byte of a message of 32
    /// bytes takes, its digits being left on the stack.
    pub ots_weight_per_byte: f64,
    /// `script.ots.items_per_digit`: items of the witness that a signed digit takes.
    pub ots_items_per_digit: f64,
}

/// Why something could not be measured. It never happens: what is built depends on nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FiguresError {
    /// A gadget could not be built.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A message could not be signed.
    #[error(transparent)]
    Ots(#[from] OtsError),
}

impl Figures {
    /// Builds the gadgets and measures them.
    ///
    /// # Errors
    /// None, as the tests show.
    pub fn measure() -> Result<Self, FiguresError> {
        let (mut stack, items) = Stack::new(BLOCK_DIGITS + CHAINING_DIGITS + 64);
        let block = std::array::from_fn(|place| Digit::Unsigned(items[place]));
        let chaining = std::array::from_fn(|place| Digit::Unsigned(items[BLOCK_DIGITS + place]));
        let digest = &items[BLOCK_DIGITS + CHAINING_DIGITS..];
        let differs = Compression { chaining, block, digest, claimed: None }.write(&mut stack);
        let compress_bytes = stack.bytes();
        stack.keep(&[differs]);
        let compress_peak = stack.finish(&[differs])?.peak;

        const BYTES: usize = 32;
        const LAYOUT: Layout = Layout { name: "digest", fields: &[Field::bytes("digest", BYTES)] };
        let id = KeyId { instance: [0; 32], slot: [0; 6], lane: CLAIM_LANE, message: LAYOUT.name };
        let seed = SecretSeed::new([0; 32]);
        let key = seed.public_key(&LAYOUT, &id);
        let items = seed.sign(&LAYOUT, &id, &LAYOUT.encode(&[&[0xff; BYTES]])?)?.pairs().len();
        // A link and a digit, each with the byte that says how long it is.
        let witness = LAYOUT.signed_digits() * (1 + 20 + 1 + 1);
        let weight = script_read(&[(LAYOUT, &key)]).len() + witness;
        Ok(Self {
            compress_bytes,
            compress_peak,
            ots_weight_per_byte: weight as f64 / BYTES as f64,
            ots_items_per_digit: items as f64 / LAYOUT.signed_digits() as f64,
        })
    }
}
