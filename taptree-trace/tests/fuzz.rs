//! The fuzz targets without cargo-fuzz: on the empty input, on inputs of random bytes, and on such that differ from
//! another in a byte or in where they end, as a fuzzer's do.

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

#[path = "../fuzz/src/lib.rs"]
mod targets;

fn run(target: fn(&[u8]), count: usize) {
    let mut rng = StdRng::seed_from_u64(1);
    target(&[]);
    for _ in 0..count {
        let mut bytes = vec![0; rng.gen_range(1..600)];
        rng.fill_bytes(&mut bytes);
        target(&bytes);
        for _ in 0..3 {
            let at = rng.gen_range(0..bytes.len());
            match rng.gen_range(0..3) {
                0 => bytes[at] = rng.r#gen(),
                1 => bytes[at..].fill(0),
                _ => bytes.truncate(at + 1),
            }
            target(&bytes);
        }
    }
}

#[test]
fn what_script_accepts_the_parser_reads_and_nothing_else() {
    run(targets::read_witness, 1_000);
}

#[test]
fn a_leaf_accepts_what_its_mirror_refutes_and_nothing_else() {
    run(targets::judge_leaf, 5_000);
}

#[test]
fn bytes_are_keys_if_they_are_as_many_and_nothing_else() {
    run(targets::operator_keys, 100);
}

#[test]
fn script_compresses_as_the_native_function_does() {
    run(targets::compress, 50);
}
