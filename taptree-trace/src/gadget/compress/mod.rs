//! C(m, b): SHA-256's compression function, judged by Script. Its derivation is in docs/script.md.
//!
//! | part | what it does |
//! | --- | --- |
//! | `input` | makes digits of the chaining value and the block, from the witness, signatures or constants |
//! | `expected` | packs what the result should be, before; compares it with what it is, after |
//! | `layout` | the tables and where they lie |
//! | `spread` | what is in them |
//! | `writer` | a lookup |
//! | `rounds`, `schedule` | the function itself |

mod expected;
mod input;
mod layout;
mod rounds;
mod schedule;
mod spread;
mod writer;

use super::stack::{Item, Stack, StackError};
pub use input::unsigned_items;
use rounds::State;
use writer::Writer;

/// Digits of a chaining value, the highest of its first word first.
pub const CHAINING_DIGITS: usize = 64;
/// Digits of a block.
pub const BLOCK_DIGITS: usize = 128;

/// Where a digit of the chaining value or of the block comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digit {
    /// An item that is known to be 0 … 15: its signature was verified.
    Signed(Item),
    /// An item of the witness that nobody signed, made by [`unsigned_items`]. Whatever it is, the script reads it as some
    /// digit or fails.
    Unsigned(Item),
    /// A constant, 0 … 15.
    Constant(u8),
}

impl Digit {
    /// The digits of bytes, the high one of each byte first.
    pub fn constants(bytes: &[u8]) -> impl Iterator<Item = Self> {
        bytes.iter().flat_map(|byte| [Self::Constant(byte >> 4), Self::Constant(byte & 15)])
    }
}

/// A word of m ‖ b, chosen by the witness, and what somebody says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimedWord {
    /// Which of the 24 words, an item known to be 0 … 23.
    pub index: Item,
    /// The word's digits as UNHASH reads it (little-endian bytes), the highest first, each known to be 0 … 15.
    pub digits: [Item; 8],
}

/// The gadget.
///
/// | | |
/// | --- | --- |
/// | before | the items that are named here, and nothing else |
/// | after | a flag on top: whether the first words of C(m, b) are *not* `digest`; below it about 900 items to be dropped |
/// | size | 93,352 … 94,367 bytes, see docs/script.md |
/// | peak | 960 items, or fewer |
///
/// Cheapest is this order, the deepest first: the block's digits, those of the chaining value (unsigned ones in the
/// order of [`unsigned_items`]), the claimed word's digits and index, the digest's digits.
#[derive(Clone, Debug)]
pub struct Compression<'a> {
    /// m.
    pub chaining: [Digit; CHAINING_DIGITS],
    /// b.
    pub block: [Digit; BLOCK_DIGITS],
    /// The digits of the first words of what somebody says C(m, b) is, the highest of the first word first: 64, or 48 of
    /// a digest cut to 24 bytes. Each is known to be 0 … 15.
    pub digest: &'a [Item],
    /// If there is one, the script fails unless the word is *not* what is claimed of it. No digit is a constant then.
    pub claimed: Option<ClaimedWord>,
}

impl Compression<'_> {
    /// Appends the script. Gives the flag. What [`Stack::finish`] then says is wrong is an item that is not there, a digest that
    /// is not 1 … 8 words, or that there is something else on the stack.
    pub fn write(&self, stack: &mut Stack) -> Item {
        let whole_words = self.digest.len().is_multiple_of(8) && (8..=CHAINING_DIGITS).contains(&self.digest.len());
        // The claimed word is chosen among all digits, at one distance each.
        let has_constants = input::order(self).any(|digit| matches!(digit, Digit::Constant(_)));
        stack.require(whole_words && !(self.claimed.is_some() && has_constants), StackError::Operands);
        let constant = expected::chaining_is_constant(self);
        if constant {
            expected::pack_constant(stack, self);
        } else {
            expected::put_away(stack, self.digest);
        }
        input::put_away(stack, self);
        let converted = input::convert(stack, self);
        if self.claimed.is_some() {
            input::refute_word(stack);
        }
        if !constant {
            expected::pack(stack, self, &converted);
            self.digest.chunks(4).for_each(|_| stack.to_alt());
        }
        input::put_away_converted(stack, &converted);
        layout::push(stack);
        let (block, chaining) = input::place(stack, self);
        let [a, b, c, d, e, f, g, h] = chaining;
        let last = Writer::new(stack).rounds(block, State { a: [a, b, c, d], e: [e, f, g, h] });
        let words = [last.a, last.e].concat();
        expected::compare(stack, &words[..self.digest.len() / 8])
    }
}
