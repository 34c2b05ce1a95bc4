//! The verdict on UNHASH: the disprover supplies m and b with C(m, b) = the opened leaf, which nobody has signed. Nobody
//! knows two such pairs.

use bitcoin::opcodes::all::*;
use bitcoin::script::{Builder, ScriptBuf};

use super::Semantics;
use super::judge::{DIGITS, Judge, RS1, VALUE};
use crate::gadget::compress::{BLOCK_DIGITS, CHAINING_DIGITS, ClaimedWord, Compression, Digit, unsigned_items};
use crate::gadget::{Item, Stack, StackError};
use crate::interpreter::Value;
use crate::lane::{DIGEST_DIGITS, LaneConstants};
use crate::leaf::{Body, Frame};

/// How many unsigned items there are: the digits of the block and of the chaining value.
pub(super) const ITEMS: usize = BLOCK_DIGITS + CHAINING_DIGITS;

/// The unsigned items for a preimage.
pub(super) fn items(m: &[u8; 32], b: &[u8; 64]) -> Vec<Vec<u8>> {
    unsigned_items(m, b).into_iter().map(|number| Value::Number(number).to_bytes()).collect()
}

/// Goes on if and only if the step goes on with an UNHASH to a register that is not x0, C(m, b) is the leaf, which is the second
/// message, and the value is not word x\[rs1\] of m ‖ b.
pub(super) fn body(frame: &Frame, constants: &LaneConstants) -> Body {
    let mut judge = Judge::new(frame);
    judge.verdict(Semantics::Unhash, constants);
    let [index, value] = [judge.place_of(RS1, 0), judge.place_of(VALUE, DIGITS - 1)];
    let guard = judge.body().script;
    // Never fails: the tests write it.
    let word = word_differs(frame.height(), index, value).unwrap_or_else(|_| never());
    Body { script: [guard.into_bytes(), word.into_bytes()].concat().into(), left: 0 }
}

/// The same where the step goes on with an UNHASH; it leaves nothing. `index` is the place of the lowest digit of x\[rs1\], `value`
/// that of the value's highest.
fn word_differs(height: usize, index: usize, value: usize) -> Result<ScriptBuf, StackError> {
    let (mut stack, items) = Stack::new(height);
    let (unsigned, signed) = items.split_at(ITEMS);
    let (log, leaf) = signed.split_at(signed.len() - DIGEST_DIGITS);
    let missing = StackError::Left;
    let digits = items.get(value..).and_then(|items| items.first_chunk()).ok_or(missing)?;
    let [high, low] = items.get(index - 1..).and_then(|items| items.first_chunk()).ok_or(missing)?;

    // The leaf, the value and the index wait on the other stack until nothing else of the log is left.
    put_away(&mut stack, leaf);
    put_away(&mut stack, digits);
    stack.take(*high);
    stack.double(4);
    stack.take(*low);
    let index = stack.add();
    stack.to_alt();
    stack.drop(log.len() - DIGITS - 2);
    for _ in 0..1 + DIGITS + DIGEST_DIGITS {
        stack.from_alt();
    }

    let digit = |place: usize| unsigned.get(place).map_or(Digit::Constant(0), |item| Digit::Unsigned(*item));
    let compression = Compression {
        chaining: std::array::from_fn(|place| digit(BLOCK_DIGITS + place)),
        block: std::array::from_fn(digit),
        digest: leaf,
        claimed: Some(ClaimedWord { index, digits: *digits }),
    };
    compression.write(&mut stack);
    stack.op(OP_NOT, 1);
    stack.verify(OP_VERIFY, 1);
    stack.keep(&[]);
    Ok(stack.finish(&[])?.script)
}

fn put_away(stack: &mut Stack, items: &[Item]) {
    for item in items.iter().rev() {
        stack.take(*item);
        stack.to_alt();
    }
}

/// A script that nothing satisfies.
fn never() -> ScriptBuf {
    Builder::new().push_opcode(OP_RETURN).into_script()
}
