//! Programs in C as gcc compiles them, at several levels of optimisation: all of their data, stack included, must be
//! the same in the end.

use super::assembler::Form;
use super::gcc::gcc;
use super::*;

/// How a program is compiled: without optimisation, for speed, for size; and high up in the address space, too.
const WAYS: [&[&str]; 4] = [&["-O0"], &["-O2"], &["-Os"], &["-O3", "-Wl,-Ttext-segment=0x7fffe000"]];

/// Compares a program compiled in all ways. It leaves in its memory what `expected` is, whatever the way.
fn compare(name: &str, expected: &[u8]) {
    for way in WAYS {
        // Or gcc finds that `memcpy` copies memory, for which there is a function.
        let options = [&["-fno-tree-loop-distribute-patterns"], way].concat();
        let file = gcc(&["programs/runtime.c", &format!("programs/{name}.c")], &options);
        let mut steps = 0;
        let mut kinds = std::collections::BTreeSet::new();
        let written = agree(&file, &mut |step| {
            steps += 1;
            kinds.extend(Form::of(step.instruction).map(|form| form.name));
        });
        let written = written.unwrap_or_else(|why| panic!("{name} {way:?}: {why}"));
        eprintln!("{name} {way:?}: {steps} steps, {} instructions of the 48", kinds.len());
        assert!(steps > 10_000, "{name} {way:?}: {steps} steps");
        let has_it = written.windows(expected.len()).any(|window| window == expected);
        assert!(has_it, "{name} {way:?}: its result is not what is known of it");
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// `next_random` of runtime.c.
fn numbers() -> impl Iterator<Item = u32> {
    std::iter::successors(Some(0x2545_f491_u32), |state| {
        let state = state ^ state << 13;
        let state = state ^ state >> 17;
        Some(state ^ state << 5)
    })
    .skip(1)
}

#[test]
fn hashes() {
    let abc = [
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, //
        0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
    ];
    compare("sha256", &abc);
}

#[test]
fn sorts() {
    let numbers = numbers().take(300).enumerate();
    let mut numbers: Vec<i32> = numbers.map(|(i, n)| if i % 3 == 0 { n % 10 } else { n } as i32).collect();
    numbers.sort_unstable();
    compare("sort", &words(&numbers.into_iter().map(|number| number as u32).collect::<Vec<_>>()));
}

#[test]
fn large_integers() {
    let factorial =
        "71569457046263802294811533723186532165584657342365752577109445058227039255480148842668944867280814080";
    let digits: Vec<u8> = std::iter::repeat_n(b'0', 18).chain(factorial.bytes().rev()).chain([b'0'; 40]).collect();
    compare("bigint", &digits);
}

#[test]
fn division_of_64_bits() {
    let (a, b) = (0x1234_5678_9abc_def0_u64, 0xffff_ffff_0000_0000_u64);
    let (signed_a, signed_b) = (a as i64, b as i64);
    let unsigned = [a / b, a % b, a.wrapping_mul(b), (signed_a / signed_b) as u64, (signed_a % signed_b) as u64];
    compare("division", &unsigned.map(u64::to_le_bytes).concat());
}

#[test]
fn text() {
    compare("strings", b"-2147483648 2147483647 4294967295 0000beef <text%\n0:");
}

#[test]
fn recursion() {
    compare("recursion", &words(&[1, 0, 0, 2, 10, 4]));
}

#[test]
fn jumps_through_tables() {
    let factorial = (1..=30).fold(1, u32::wrapping_mul);
    compare("dispatch", &words(&[0, 465, factorial]));
}

#[test]
fn floating_point_by_integers() {
    let (a, b) = (f32::from_bits(0x4049_0fdb), f32::from_bits(0x4b7f_ffff));
    compare("softfloat", &[a + b, a - b, a * b, a / b].map(f32::to_le_bytes).concat());
}

#[test]
fn small_types() {
    type Matrix = [[i32; 9]; 9];
    let mut numbers = numbers().skip(16 + 64 + 32);
    let matrix: Matrix = [(); 9].map(|()| [(); 9].map(|()| (numbers.next().unwrap() % 7) as i32 - 3));
    let product = |a: &Matrix, b: &Matrix| -> Matrix {
        std::array::from_fn(|i| std::array::from_fn(|j| (0..9).map(|k| a[i][k] * b[k][j]).sum()))
    };
    let power = (1..6).fold(matrix, |power, _| product(&power, &matrix));
    compare("layout", &power.as_flattened().iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>());
}
