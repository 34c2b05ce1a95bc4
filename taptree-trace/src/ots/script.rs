//! The gadget that verifies a signature in Script and drops it.

use bitcoin::opcodes::all::*;
use bitcoin::script::{Builder, ScriptBuf};

use super::{DIGIT_BITS, Layout, Link, MAX_DIGIT, PublicKey};

/// A script that takes the items of [`super::Signature::witness`] and goes on only if `key` signed them.
///
/// Stack effect: consumes the items, leaves nothing; the alternative stack is as before. Size: about 59
/// bytes a digit. Peak: 3 items a digit and 9 more.
///
/// Digits out of range cannot pass. `upper` is a boolean by the rule on OP_IF (BIP 342). An `index` below 0 stops
/// OP_PICK. One above 7 picks an item below the digit's own chain, which has to equal the end of that chain: an index
/// or `upper` never does, being shorter than 20 bytes; and if another digit's link does, then one digit (the
/// last of those that reach for another's) has the end of somebody's chain for a link that leads to its own,
/// which [`PublicKey::check`] excludes. Below the items the caller must have nothing that can be 20 bytes long.
///
/// The sum of digits is checked as Σ w·(7 − index + 8·upper) = 15·n, where w is 1 for the n digits of the
/// message and 16^j for digit j of the checksum.
pub fn script_verify(layout: &Layout, key: &PublicKey) -> ScriptBuf {
    let count = key.0.len();
    let mut script = Builder::new();
    for (place, end) in key.0.iter().enumerate() {
        let weight = weight(layout, place);
        script = hash_upper_half(script, place, weight);
        script = match_link(script, 8 + 3 * (count - 1 - place), end);
    }
    script = add_indices(script, layout);
    let n = layout.message_digits() as i64;
    let weights: i64 = (0..count).map(|place| weight(layout, place)).sum();
    // Σ w·index − 8·Σ w·upper = 7·Σ w − 15·n
    script = script.push_opcode(OP_FROMALTSTACK);
    script = double(script, 3).push_opcode(OP_SUB).push_int(7 * weights - i64::from(MAX_DIGIT) * n);
    script.push_opcode(OP_NUMEQUALVERIFY).into_script()
}

/// The weight in the sum of the digit at `place`.
fn weight(layout: &Layout, place: usize) -> i64 {
    place.checked_sub(layout.message_digits()).map_or(1, |j| 1 << (DIGIT_BITS * j))
}

/// `… link upper → … H^(8·upper)(link)`, and adds upper·weight to the number on the alternative stack
/// (which the digit at place 0, whose weight is 1, puts there).
fn hash_upper_half(mut script: Builder, place: usize, weight: i64) -> Builder {
    if place == 0 {
        script = script.push_opcode(OP_DUP).push_opcode(OP_TOALTSTACK);
    }
    script = script.push_opcode(OP_IF);
    for _ in 0..8 {
        script = script.push_opcode(OP_HASH160);
    }
    if place > 0 {
        script = script.push_opcode(OP_FROMALTSTACK);
        script = if weight == 1 { script.push_opcode(OP_1ADD) } else { script.push_int(weight).push_opcode(OP_ADD) };
        script = script.push_opcode(OP_TOALTSTACK);
    }
    script.push_opcode(OP_ENDIF)
}

/// `… index … link → … index …`: fails unless H^(7 − index)(link) is `end`. `depth` is how deep the index
/// lies under the eight values of the chain.
fn match_link(mut script: Builder, depth: usize, end: &Link) -> Builder {
    for _ in 0..7 {
        script = script.push_opcode(OP_DUP).push_opcode(OP_HASH160);
    }
    script = script.push_int(depth as i64).push_opcode(OP_PICK).push_opcode(OP_PICK);
    script = script.push_slice(end).push_opcode(OP_EQUALVERIFY);
    for _ in 0..4 {
        script = script.push_opcode(OP_2DROP);
    }
    script
}

/// `… index_0 … index_last → … Σ w·index`: the checksum's digits, highest first, then the message's.
fn add_indices(mut script: Builder, layout: &Layout) -> Builder {
    for _ in 1..layout.checksum_digits() {
        script = double(script, DIGIT_BITS).push_opcode(OP_ADD);
    }
    for _ in 0..layout.message_digits() {
        script = script.push_opcode(OP_ADD);
    }
    script
}

/// `x → x·2^times`.
fn double(mut script: Builder, times: usize) -> Builder {
    for _ in 0..times {
        script = script.push_opcode(OP_DUP).push_opcode(OP_ADD);
    }
    script
}
