//! C(m, b) in Script is C(m, b).

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_taptree_trace::gadget::compress::{Compression, Digit, unsigned_items};
use trestle_taptree_trace::gadget::{Gadget, Stack};
use trestle_taptree_trace::interpreter::{Rules, Value, run};

fn native(m: &[u8; 32], b: &[u8; 64]) -> [u8; 32] {
    use bitcoin::hashes::{HashEngine, sha256};
    let mut engine = sha256::HashEngine::from_midstate(sha256::Midstate::from_byte_array(*m), 64);
    engine.input(b);
    engine.midstate().to_byte_array()
}

fn digits(bytes: &[u8]) -> Vec<i64> {
    bytes.iter().flat_map(|byte| [i64::from(byte >> 4), i64::from(byte & 15)]).collect()
}

fn witness(numbers: &[i64]) -> Vec<Vec<u8>> {
    numbers.iter().map(|number| Value::Number(*number).to_bytes()).collect()
}

/// Unsigned b and m, signed digest.
fn unsigned() -> Gadget {
    let (mut stack, items) = Stack::new(192 + 64);
    let chaining = std::array::from_fn(|digit| Digit::Unsigned(items[128 + digit]));
    let block = std::array::from_fn(|digit| Digit::Unsigned(items[digit]));
    let compression = Compression { chaining, block, digest: &items[192..], claimed: None };
    let flag = compression.write(&mut stack);
    println!("gadget {}", stack.bytes());
    stack.keep(&[flag]);
    stack.finish(&[flag]).unwrap()
}

#[test]
fn it_is_right() {
    let gadget = unsigned();
    println!("{} bytes, peak {}", gadget.script.len(), gadget.peak);
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..20 {
        let (mut m, mut b) = ([0; 32], [0; 64]);
        random.fill(&mut m);
        random.fill(&mut b[..]);
        let mut d = native(&m, &b);
        for wrong in [false, true] {
            if wrong {
                d[random.gen_range(0..32)] ^= 1 << random.gen_range(0..8);
            }
            let items = witness(&[unsigned_items(&m, &b), digits(&d)].concat());
            let outcome = run(&gadget.script, &items, Rules::Standard).unwrap();
            assert_eq!(outcome.stack, [Value::Number(i64::from(wrong))]);
            assert_eq!(outcome.peak, gadget.peak);
        }
    }
}
