//! The gadgets that verify signatures in Script.

use bitcoin::opcodes::all::*;
use bitcoin::script::{Builder, ScriptBuf};

use super::{DIGIT_BITS, Layout, Link, MAX_DIGIT, PublicKey};

/// A script that takes the items of [`super::Signature::witness`] and goes on only if `key` signed them: what
/// [`super::parse_witness`] reads, and nothing else.
///
/// Stack effect: consumes the items, leaves nothing; the alternative stack is as before. Size: about 65
/// bytes a digit. Peak: 3 items a digit and 9 more.
///
/// Digits out of range cannot pass. `far` is a boolean by the rule on OP_IF (BIP 342). An `index` below 0 stops
/// OP_PICK. One above 7 picks an item below the digit's own chain, which has to equal the end of that chain: an index
/// or `far` never does, being shorter than 20 bytes; and if another digit's link does, then one digit (the
/// last of those that reach for another's) has the end of somebody's chain for a link that leads to its own,
/// which [`PublicKey::check`] excludes. Below the items the caller must have nothing that can be 20 bytes long.
///
/// A link has 20 bytes. Otherwise any preimage of the right hash would do, and a signer that made its chains of values of more
/// than 80 bytes would sign what no transaction of the default policy can show again.
///
/// The sum of digits is checked as Σ w·(index + 8·(1 − far)) = 15·n, where w is 1 for the n digits of the message and
/// 16^j for digit j of the checksum.
pub fn script_commit(layout: &Layout, key: &PublicKey) -> ScriptBuf {
    let count = key.0.len();
    let mut script = Builder::new();
    for (place, end) in key.0.iter().enumerate() {
        script = hash_far_half(bound_link(script), place, weight(layout, place));
        script = match_link(script, 8 + 3 * (count - 1 - place), end);
    }
    script = add_indices(script, layout);
    let weights: i64 = (0..count).map(|place| weight(layout, place)).sum();
    // Σ w·index − 8·Σ w·far = 15·n − 8·Σ w
    script = script.push_opcode(OP_FROMALTSTACK);
    script = double(script, 3).push_opcode(OP_SUB).push_int(sum(layout) - 8 * weights);
    script.push_opcode(OP_NUMEQUALVERIFY).into_script()
}

/// [`script_commit`] with fewer items, and more bytes: it takes those of [`super::Signature::pairs`]. About 71 bytes a
/// digit. Peak: 2 items a digit and 9 more.
///
/// An item above 15 is read as 15, and below 0 OP_PICK stops.
pub fn script_commit_pairs(layout: &Layout, key: &PublicKey) -> ScriptBuf {
    let mut script = match_digits(Builder::new(), key, true).push_opcode(OP_FROMALTSTACK);
    for place in 1..key.0.len() {
        let shift = DIGIT_BITS * place.saturating_sub(layout.message_digits());
        script = double(script.push_opcode(OP_FROMALTSTACK), shift).push_opcode(OP_ADD);
    }
    script.push_int(sum(layout)).push_opcode(OP_NUMEQUALVERIFY).into_script()
}

/// [`script_read`] of one message whose links are bounded as in [`script_commit`]: what its signer sends and the script
/// reads at once.
pub fn script_commit_and_read(layout: &Layout, key: &PublicKey) -> ScriptBuf {
    take_digits(match_digits(Builder::new(), key, true), layout).into_script()
}

/// A script that takes the items of [`super::Signature::pairs`] of several messages, the last message's on top, goes on
/// only if the keys signed them, and leaves the digits: the first message's first digit deepest, the last one's last
/// digit on top. Checksums are dropped.
///
/// The alternative stack is as before. Size: about 65 bytes a digit. Peak: 2 items a digit of the checksums and messages,
/// and 9 more.
///
/// **What is left is what the keys' owner signed**, if it signed one message with each key: the same numbers, though perhaps
/// not minimally encoded, so arithmetic may read them and OP_EQUAL may not. Nothing in the script keeps a digit from above
/// 15, nor is anything said about what lies below the items; the checksum does both. Let s be what the owner
/// has signed, and d what the items say.
///
/// - d < 0: OP_PICK fails, and so it does for what is no number.
/// - 0 ≤ d ≤ 15: the item picked is H^(15 − d)(link), and it is the end of the chain. Who knows such a link has hashed what
///   the owner showed, which is 15 − s hashes before the end: d ≥ s. If nothing was signed, nobody but the owner
///   knows more than the end: d ≥ 15.
/// - d > 15: OP_PICK copies something below the chain, which may well be its end: it is public, and the items are their
///   spender's own. But then d > s, too.
///
/// So every d ≥ s, and as Σ w·d = 15·n = Σ w·s, every d = s. If nothing was signed the sum is at least 15·n and 15 for the
/// checksum: too much.
///
/// An owner who makes related chains, or signs twice, has more than one message read that is his: that is his
/// loss alone, and he cannot make it so that what [`script_commit`], [`script_commit_pairs`] or native code ([`super::verify`])
/// took from him is *not* read.
pub fn script_read(messages: &[(Layout, &PublicKey)]) -> ScriptBuf {
    let mut script = Builder::new();
    for (_, key) in messages.iter().rev() {
        script = match_digits(script, key, false);
    }
    for (layout, _) in messages {
        script = take_digits(script, layout);
    }
    script.into_script()
}

/// The weight in the sum of the digit at `place`.
fn weight(layout: &Layout, place: usize) -> i64 {
    place.checked_sub(layout.message_digits()).map_or(1, |j| 1 << (DIGIT_BITS * j))
}

/// What message and checksum add up to, each digit of the checksum with its weight: `15·n`.
fn sum(layout: &Layout) -> i64 {
    i64::from(MAX_DIGIT) * layout.message_digits() as i64
}

/// `… link far → … H^(8·far)(link)`, and adds far·weight to the number on the alternative stack
/// (which the digit at place 0, whose weight is 1, puts there).
fn hash_far_half(mut script: Builder, place: usize, weight: i64) -> Builder {
    if place == 0 {
        script = script.push_opcode(OP_DUP).push_opcode(OP_TOALTSTACK);
    }
    script = hash(script.push_opcode(OP_IF), 8);
    if place > 0 {
        script = script.push_opcode(OP_FROMALTSTACK);
        script = if weight == 1 { script.push_opcode(OP_1ADD) } else { script.push_int(weight).push_opcode(OP_ADD) };
        script = script.push_opcode(OP_TOALTSTACK);
    }
    script.push_opcode(OP_ENDIF)
}

/// `… index … link → … index …`: fails unless H^(7 − index)(link) is `end`. `depth` is how deep the index
/// lies under the eight values of the chain.
fn match_link(script: Builder, depth: usize, end: &Link) -> Builder {
    let script = chain_of_eight(script).push_int(depth as i64).push_opcode(OP_PICK);
    pick_end(script, end)
}

/// `… links and digits → …`: fails unless they lead to the key's ends, and puts the digits on the alternative stack, the
/// first on top.
fn match_digits(script: Builder, key: &PublicKey, bounded: bool) -> Builder {
    key.0.iter().rev().fold(script, |script, end| {
        // Of one who may want to sign in a form that another script reads differently.
        let script = if bounded { bound_digit(bound_link(script)) } else { script };
        match_digit(script, end)
    })
}

/// `… link item → … link item`: fails if the link is longer or shorter than it should be.
fn bound_link(script: Builder) -> Builder {
    let script = script.push_opcode(OP_SWAP).push_opcode(OP_SIZE).push_int(size_of::<Link>() as i64);
    script.push_opcode(OP_EQUALVERIFY).push_opcode(OP_SWAP)
}

/// `… item → … digit`: makes a number of the item, and 15 of what is above.
fn bound_digit(script: Builder) -> Builder {
    script.push_int(i64::from(MAX_DIGIT)).push_opcode(OP_MIN)
}

/// `… link digit → …`: fails unless H^(15 − digit)(link) is `end`, and puts the digit on the alternative stack. A digit
/// above 15 is taken for right if the item `digit − 8` below the top, once eight values of the chain lie there instead of link and
/// digit, is `end` ([`script_read`]).
fn match_digit(mut script: Builder, end: &Link) -> Builder {
    script = script.push_opcode(OP_DUP).push_opcode(OP_TOALTSTACK);
    script = script.push_opcode(OP_DUP).push_int(8).push_opcode(OP_LESSTHAN).push_opcode(OP_IF);
    script = hash(script.push_opcode(OP_TOALTSTACK), 8);
    script = script.push_opcode(OP_ELSE).push_int(8).push_opcode(OP_SUB).push_opcode(OP_TOALTSTACK);
    script = chain_of_eight(script.push_opcode(OP_ENDIF)).push_opcode(OP_FROMALTSTACK);
    pick_end(script, end)
}

/// `… value → … H^0(value) … H^7(value)`.
fn chain_of_eight(script: Builder) -> Builder {
    (0..7).fold(script, |script, _| script.push_opcode(OP_DUP).push_opcode(OP_HASH160))
}

/// `… eight values index → …`: fails unless the value at the index, counted from the top, is `end`.
fn pick_end(script: Builder, end: &Link) -> Builder {
    let script = script.push_opcode(OP_PICK).push_slice(end).push_opcode(OP_EQUALVERIFY);
    (0..4).fold(script, |script, _| script.push_opcode(OP_2DROP))
}

/// `→ digits`, from the alternative stack: the message's, then the checksum's, whose lowest is first. Fails unless the
/// checksum is right.
fn take_digits(mut script: Builder, layout: &Layout) -> Builder {
    script = script.push_opcode(OP_FROMALTSTACK).push_opcode(OP_DUP);
    for _ in 1..layout.message_digits() {
        script = script.push_opcode(OP_FROMALTSTACK).push_opcode(OP_TUCK).push_opcode(OP_ADD);
    }
    script = script.push_opcode(OP_FROMALTSTACK).push_opcode(OP_ADD);
    for place in 1..layout.checksum_digits() {
        script = double(script.push_opcode(OP_FROMALTSTACK), DIGIT_BITS * place).push_opcode(OP_ADD);
    }
    script.push_int(sum(layout)).push_opcode(OP_NUMEQUALVERIFY)
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

/// HASH160 `times` times.
fn hash(script: Builder, times: usize) -> Builder {
    (0..times).fold(script, |script, _| script.push_opcode(OP_HASH160))
}

/// `x → x·2^times`.
fn double(script: Builder, times: usize) -> Builder {
    (0..times).fold(script, |script, _| script.push_opcode(OP_DUP).push_opcode(OP_ADD))
}
