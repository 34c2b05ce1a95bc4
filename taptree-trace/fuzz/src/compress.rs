//! The compression of SHA-256.

use std::sync::OnceLock;

use bitcoin::ScriptBuf;
use trestle_taptree_trace::gadget::Stack;
use trestle_taptree_trace::gadget::compress::{BLOCK_DIGITS, CHAINING_DIGITS, Compression, Digit};
use trestle_taptree_trace::interpreter::{Rules, Value, run};
use trestle_taptree_trace::leaf::{digits_of, item};

use super::input::Input;

/// Block, chaining value and digest, all signed; it leaves whether the digest is another.
fn script() -> &'static ScriptBuf {
    static SCRIPT: OnceLock<ScriptBuf> = OnceLock::new();
    SCRIPT.get_or_init(|| {
        let (mut stack, items) = Stack::new(BLOCK_DIGITS + 2 * CHAINING_DIGITS);
        let (block, rest) = items.split_at(BLOCK_DIGITS);
        let (chaining, digest) = rest.split_at(CHAINING_DIGITS);
        let compression = Compression {
            chaining: std::array::from_fn(|place| Digit::Signed(chaining[place])),
            block: std::array::from_fn(|place| Digit::Signed(block[place])),
            digest,
            claimed: None,
        };
        let flag = compression.write(&mut stack);
        stack.keep(&[flag]);
        stack.finish(&[flag]).expect("all is consumed").script
    })
}

/// Whatever m, b and what somebody says C(m, b) is: Script and the native function agree.
pub fn compress(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (m, b) = (input.array(), input.array());
    let mut digest = trestle_rollup::compress(&m, &b);
    let right = digest;
    // One byte of it is another, or none is.
    let at = input.below(32);
    digest[at] ^= input.byte();
    let items: Vec<Vec<u8>> =
        [&b[..], &m, &digest].iter().flat_map(|bytes| digits_of(bytes)).map(|digit| item(digit.into())).collect();
    let outcome = run(script(), &items, Rules::Standard).expect("digits are digits");
    assert_eq!(outcome.stack, [Value::Number(i64::from(digest != right))]);
}
