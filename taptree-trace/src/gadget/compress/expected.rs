//! What the result should be.
//!
//! The result is X + m, word by word, X being the last state. It is compared in halves of 16 bits: before the rounds each
//! half of d − m becomes one item, after them each half of X has to be that, or 2^16 more and then the higher half 1
//! less. Halves are in the scale of digits: `DIGIT·half + FIRST·0x1111`, what adding up four digits gives.

use bitcoin::opcodes::all::{OP_0NOTEQUAL, OP_BOOLOR};

use super::super::stack::{Item, Stack};
use super::layout::{DIGIT, FIRST};
use super::rounds::Word;
use super::{Compression, Digit, input};

/// The weight of the digits' offset in a half.
const OFFSET: i64 = 0x1111 * FIRST;
/// 2^16, in the scale of digits.
const OVERFLOW: i64 = DIGIT << 16;

/// Whether no digit of the chaining value is an item.
pub(super) fn chaining_is_constant(compression: &Compression<'_>) -> bool {
    compression.chaining.iter().all(|digit| matches!(digit, Digit::Constant(_)))
}

/// `digest → ; alt: … → … halves`, the highest half of the first word on top: for a constant m.
pub(super) fn pack_constant(stack: &mut Stack, compression: &Compression<'_>) {
    let halves = compression.digest.chunks(4).zip(compression.chaining.chunks(4));
    for (digest, chaining) in halves.rev() {
        stack.take(digest[0]);
        for digit in &digest[1..] {
            stack.double(4);
            stack.take(*digit);
            stack.add();
        }
        const { assert!(DIGIT == 16) }
        stack.double(4);
        let constant = chaining
            .iter()
            .fold(0, |sum, digit| 16 * sum + if let Digit::Constant(value) = digit { i64::from(*value) } else { 0 });
        stack.add_constant(OFFSET - DIGIT * constant);
        stack.to_alt();
    }
}

/// `digest → ; alt: … → … digest`, the highest digit of the first word on top.
pub(super) fn put_away(stack: &mut Stack, digest: &[Item]) {
    for digit in digest.iter().rev() {
        stack.take(*digit);
        stack.to_alt();
    }
}

/// `table digits → table digits halves; alt: … digest → …`: for an m of which not all is constant. `chaining` is m as it was
/// converted; of a digit that is constant there is none.
pub(super) fn pack(stack: &mut Stack, compression: &Compression<'_>, converted: &[Item]) {
    let items = compression.chaining.iter().filter(|digit| !matches!(digit, Digit::Constant(_))).count();
    let mut items = converted[converted.len() - items..].iter();
    for half in compression.chaining[..compression.digest.len()].chunks(4) {
        for (place, digit) in half.iter().enumerate() {
            if place > 0 {
                stack.double(4);
            }
            stack.from_alt();
            input::read(stack);
            if let Digit::Constant(value) = digit {
                stack.add_constant(-DIGIT * i64::from(*value) - FIRST);
            } else if let Some(item) = items.next() {
                stack.copy(*item);
                stack.sub();
            }
            if place > 0 {
                stack.add();
            }
        }
        stack.add_constant(OFFSET);
    }
}

/// `… → … differs; alt: … halves → …`: whether some word of the state is not what is expected.
pub(super) fn compare(stack: &mut Stack, words: &[Word]) -> Item {
    for (place, word) in words.iter().enumerate() {
        let [high, low] = [7, 3].map(|first| {
            stack.copy(word[first]);
            for digit in (first - 3..first).rev() {
                stack.double(4);
                stack.copy(word[digit]);
                stack.add();
            }
            stack.from_alt();
            stack.sub()
        });
        // Both are multiples of DIGIT now: 0, or 2^16 if there was a carry.
        stack.copy(low);
        stack.op(OP_0NOTEQUAL, 1);
        stack.if_else(
            |stack| {
                stack.add_constant(-OVERFLOW);
                stack.push(DIGIT);
            },
            |stack| {
                stack.push(0);
            },
        );
        stack.take(high);
        let high = stack.add();
        stack.copy(high);
        stack.op(OP_0NOTEQUAL, 1);
        stack.if_true(|stack| {
            stack.add_constant(-OVERFLOW);
        });
        stack.op(OP_BOOLOR, 2);
        if place > 0 {
            stack.op(OP_BOOLOR, 2);
        }
    }
    let [differs] = stack.top();
    differs
}
