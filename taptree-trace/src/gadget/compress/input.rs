//! Digits of the chaining value and of the block, from wherever they come, to the form in which the rounds take them.
//!
//! A small table holds the sixteen digits in that form. All items to be converted wait on the alternative stack, so that
//! the main stack has the table and what was converted, and nothing else. Then whatever OP_PICK copies is some digit:
//! of an item that nobody signed, any index is as good as any other, negative ones and those beyond the bottom fail, and
//! no range is checked. The index of row n is n and the number of digits that were converted before.

use bitcoin::opcodes::all::{OP_BOOLAND, OP_LESSTHAN, OP_NOT, OP_NUMEQUAL, OP_PICK, OP_VERIFY};

use super::super::stack::{Item, Stack, StackError};
use super::layout::{DIGIT, FIRST, push_digits};
use super::rounds::Word;
use super::{BLOCK_DIGITS, CHAINING_DIGITS, ClaimedWord, Compression, Digit};

/// Digits of the small table.
const ROWS: usize = 16;

/// The digits as they lie under the rounds, the deepest first: the block, then the chaining value.
pub(super) fn order(compression: &Compression<'_>) -> impl DoubleEndedIterator<Item = Digit> {
    compression.block.into_iter().chain(compression.chaining)
}

/// The items to put in a witness for a preimage that nobody signed, the deepest first: the block's digits, then those of
/// the chaining value, as numbers.
#[must_use]
pub fn unsigned_items(chaining: &[u8; 32], block: &[u8; 64]) -> Vec<i64> {
    let bytes = block.iter().chain(chaining);
    let digits = bytes.flat_map(|byte| [byte >> 4, byte & 15]);
    (0..).zip(digits).map(|(before, digit)| before + i64::from(digit)).collect()
}

/// `… → …; alt: … → … digits`: moves what is to be converted away.
pub(super) fn put_away(stack: &mut Stack, compression: &Compression<'_>) {
    if let Some(ClaimedWord { index, digits }) = &compression.claimed {
        for item in digits.iter().rev().chain([index]) {
            stack.take(*item);
            stack.to_alt();
        }
    }
    for digit in order(compression).rev() {
        if let Digit::Signed(item) | Digit::Unsigned(item) = digit {
            stack.take(item);
            stack.to_alt();
        }
    }
}

/// `→ table digits; alt: digits →`.
pub(super) fn convert(stack: &mut Stack, compression: &Compression<'_>) -> Vec<Item> {
    stack.require(stack.height() == 0, StackError::NotEmpty);
    push_digits(stack);
    let mut converted = Vec::new();
    for digit in order(compression) {
        match digit {
            Digit::Signed(_) => {
                stack.from_alt();
                converted.push(read(stack));
            }
            Digit::Unsigned(_) => {
                stack.from_alt();
                converted.push(stack.op(OP_PICK, 1));
            }
            Digit::Constant(_) => {}
        }
    }
    converted
}

/// `digit → converted`, of a digit known to be 0 … 15.
pub(super) fn read(stack: &mut Stack) -> Item {
    stack.add_constant((stack.height() - ROWS - 1) as i64);
    stack.op(OP_PICK, 1)
}

/// `…; alt: … digits index → …`: fails if the word of the preimage at the index is what is claimed of it. All digits of
/// m ‖ b were converted.
pub(super) fn refute_word(stack: &mut Stack) {
    let above = stack.height();
    stack.from_alt();
    // The block lies below the chaining value: words 8 … 23 of m ‖ b, then 0 … 7. What is left on the stack is how many
    // digits lie above the word.
    stack.dup_many(1);
    stack.push(8);
    stack.op(OP_LESSTHAN, 2);
    stack.if_true(|stack| {
        stack.add_constant(24);
    });
    let [word] = stack.top();
    stack.push(31);
    stack.take(word);
    stack.sub();
    let higher = stack.double(3);
    for place in (0..8).rev() {
        stack.from_alt();
        read(stack);
        stack.copy(higher);
        // Byte n of the word is byte 3 − n of the word that SHA-256 reads.
        let digit = (place ^ 6) as i64;
        stack.add_constant(digit + (stack.height() - 1 - above) as i64);
        stack.op(OP_PICK, 1);
        stack.op(OP_NUMEQUAL, 2);
        if place < 7 {
            stack.op(OP_BOOLAND, 2);
        }
    }
    stack.op(OP_NOT, 1);
    stack.verify(OP_VERIFY, 1);
    stack.drop(1);
}

/// `table digits → …; alt: … → … digits`.
pub(super) fn put_away_converted(stack: &mut Stack, converted: &[Item]) {
    converted.iter().for_each(|_| stack.to_alt());
    stack.drop(ROWS);
}

/// `… → … digits; alt: … digits → …`: the block and the chaining value.
pub(super) fn place(stack: &mut Stack, compression: &Compression<'_>) -> ([Word; 16], [Word; 8]) {
    let mut items = Vec::with_capacity(BLOCK_DIGITS + CHAINING_DIGITS);
    let mut constants = Vec::new();
    for digit in order(compression) {
        if let Digit::Constant(value) = digit {
            constants.push(DIGIT * i64::from(value) + FIRST);
        } else {
            items.extend(stack.push_all(&std::mem::take(&mut constants)));
            items.push(stack.from_alt());
        }
    }
    items.extend(stack.push_all(&constants));
    let word = |word: usize| std::array::from_fn(|digit| items[8 * word + 7 - digit]);
    (std::array::from_fn(word), std::array::from_fn(|index| word(16 + index)))
}
