//! C(m, b) in Script is C(m, b), wherever the digits come from and whatever is in the witness.

use bitcoin::opcodes::all::OP_NOT;
use bitcoin::script::ScriptBuf;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use trestle_rollup::compress;
use trestle_taptree_trace::gadget::compress::{
    BLOCK_DIGITS, CHAINING_DIGITS, ClaimedWord, Compression, Digit, unsigned_items,
};
use trestle_taptree_trace::gadget::{Figures, Gadget, Stack, StackError};
use trestle_taptree_trace::interpreter::{Rules, Value, run};

use crate::judge;

/// Digits of m ‖ b.
const DIGITS: usize = CHAINING_DIGITS + BLOCK_DIGITS;
/// Where the padding of a block begins that ends a message of 80 bytes, of 32 bytes.
const HEADER_END: usize = 32;
const HASH_END: usize = 64;

/// Where a digit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Signed,
    Unsigned,
    Constant,
}

/// A way to use the gadget: the block's digits, then those of the chaining value.
#[derive(Clone, Debug)]
pub struct Use {
    pub kinds: Vec<Kind>,
    pub digest_digits: usize,
    pub claimed: bool,
}

/// m ‖ b, what its constants are taken from, and what somebody says about it.
#[derive(Clone, Debug)]
pub struct Statement {
    pub m: [u8; 32],
    pub b: [u8; 64],
    pub digest: [u8; 32],
    pub claimed: (usize, u32),
}

fn digits(bytes: &[u8]) -> Vec<i64> {
    bytes.iter().flat_map(|byte| [i64::from(byte >> 4), i64::from(byte & 15)]).collect()
}

fn word_digits(word: u32) -> Vec<i64> {
    digits(&word.to_be_bytes())
}

/// What UNHASH reads.
fn word(m: &[u8; 32], b: &[u8; 64], index: usize) -> u32 {
    let all = [m.as_slice(), b].concat();
    u32::from_le_bytes(all.as_chunks().0[index])
}

pub fn items(numbers: &[i64]) -> Vec<Vec<u8>> {
    numbers.iter().map(|number| Value::Number(*number).to_bytes()).collect()
}

impl Statement {
    /// A true one.
    fn random(random: &mut StdRng) -> Self {
        let (mut m, mut b) = ([0; 32], [0; 64]);
        random.fill(&mut m);
        random.fill(&mut b[..]);
        Self::of(m, b, random.gen_range(0..24))
    }

    fn of(m: [u8; 32], b: [u8; 64], index: usize) -> Self {
        Self { m, b, digest: compress(&m, &b), claimed: (index, word(&m, &b, index)) }
    }

    fn preimage(&self) -> Vec<i64> {
        [digits(&self.b), digits(&self.m)].concat()
    }
}

impl Use {
    pub fn new(block: Vec<Kind>, chaining: Kind, digest_digits: usize) -> Self {
        Self { kinds: [block, vec![chaining; CHAINING_DIGITS]].concat(), digest_digits, claimed: false }
    }

    /// The whole preimage is unsigned.
    pub fn preimage() -> Self {
        Self::new(vec![Kind::Unsigned; BLOCK_DIGITS], Kind::Unsigned, 64)
    }

    /// As UNHASH needs it.
    pub fn claimed() -> Self {
        Self { claimed: true, ..Self::preimage() }
    }

    /// A node of the memory tree, or an entry: two signed digests, and one cut to 24 bytes.
    pub fn node() -> Self {
        Self::new(vec![Kind::Signed; BLOCK_DIGITS], Kind::Constant, 48)
    }

    /// The same with a whole digest.
    pub fn node_whole() -> Self {
        Self { digest_digits: 64, ..Self::node() }
    }

    /// The second compression of a header, and the third.
    pub fn header_end() -> Self {
        Self::new(padded(HEADER_END), Kind::Signed, 64)
    }
    pub fn header_hash() -> Self {
        Self::new(padded(HASH_END), Kind::Constant, 64)
    }

    /// The script, and how big it is without what drops the rest of the stack. It leaves whether the digest differs.
    pub fn write(&self, constants: &Statement) -> (Gadget, usize) {
        let count = self.kinds.iter().filter(|kind| **kind != Kind::Constant).count();
        let claimed = if self.claimed { 9 } else { 0 };
        let (mut stack, items) = Stack::new(count + claimed + self.digest_digits);
        let (preimage, rest) = items.split_at(count);
        let (claim, digest) = rest.split_at(claimed);
        let mut preimage = preimage.iter();
        let values = constants.preimage();
        let mut digit = |place: usize| match self.kinds[place] {
            Kind::Signed => Digit::Signed(*preimage.next().unwrap()),
            Kind::Unsigned => Digit::Unsigned(*preimage.next().unwrap()),
            Kind::Constant => Digit::Constant(values[place] as u8),
        };
        let block = std::array::from_fn(&mut digit);
        let chaining = std::array::from_fn(|place| digit(BLOCK_DIGITS + place));
        let claimed =
            claim.split_last().map(|(index, digits)| ClaimedWord { index: *index, digits: digits.try_into().unwrap() });
        let flag = Compression { chaining, block, digest, claimed }.write(&mut stack);
        let bytes = stack.bytes();
        stack.keep(&[flag]);
        (stack.finish(&[flag]).unwrap(), bytes)
    }

    /// The witness of a statement.
    pub fn numbers(&self, statement: &Statement) -> Vec<i64> {
        let mut numbers = Vec::new();
        for (kind, digit) in self.kinds.iter().zip(statement.preimage()) {
            match kind {
                Kind::Signed => numbers.push(digit),
                Kind::Unsigned => numbers.push(numbers.len() as i64 + digit),
                Kind::Constant => {}
            }
        }
        if self.claimed {
            numbers.extend(word_digits(statement.claimed.1));
            numbers.push(statement.claimed.0 as i64);
        }
        numbers.extend(&digits(&statement.digest)[..self.digest_digits]);
        numbers
    }
}

fn padded(end: usize) -> Vec<Kind> {
    (0..BLOCK_DIGITS).map(|digit| if digit < end { Kind::Signed } else { Kind::Constant }).collect()
}

/// What the interpreter says: whether the digest differs, if the script ends.
fn differs(gadget: &Gadget, numbers: &[i64]) -> Option<bool> {
    let outcome = run(&gadget.script, &items(numbers), Rules::Standard).ok()?;
    assert_eq!(outcome.peak, gadget.peak);
    match outcome.stack.as_slice() {
        [Value::Number(flag @ 0..=1)] => Some(*flag == 1),
        other => panic!("{other:?}"),
    }
}

/// A statement with one digit of the digest changed that is compared.
fn with_wrong_digest(statement: &Statement, place: usize, by: u8) -> Statement {
    let mut wrong = statement.clone();
    wrong.digest[place / 2] ^= by << (4 * (1 - place % 2));
    wrong
}

#[test]
fn it_tells_the_right_digest_from_every_other() {
    let mut random = StdRng::seed_from_u64(1);
    for used in [Use::preimage(), Use::node(), Use::node_whole(), Use::header_end(), Use::header_hash()] {
        for _ in 0..8 {
            let statement = Statement::random(&mut random);
            let (gadget, _) = used.write(&statement);
            assert_eq!(differs(&gadget, &used.numbers(&statement)), Some(false));
            for _ in 0..4 {
                let (place, by) = (random.gen_range(0..used.digest_digits), random.gen_range(1..16));
                let wrong = with_wrong_digest(&statement, place, by);
                assert_eq!(differs(&gadget, &used.numbers(&wrong)), Some(true));
            }
        }
    }
}

#[test]
fn every_digit_of_the_digest_counts() {
    let statement = Statement::random(&mut StdRng::seed_from_u64(2));
    for used in [Use::node(), Use::preimage()] {
        let (gadget, _) = used.write(&statement);
        for place in 0..used.digest_digits {
            assert_eq!(
                differs(&gadget, &used.numbers(&with_wrong_digest(&statement, place, 1))),
                Some(true),
                "{place}"
            );
        }
    }
    // And of a digest that is cut, no more than is there.
    let used = Use::node();
    let (gadget, _) = used.write(&statement);
    for place in 48..64 {
        assert_eq!(differs(&gadget, &used.numbers(&with_wrong_digest(&statement, place, 1))), Some(false), "{place}");
    }
}

#[test]
fn every_digit_of_the_preimage_counts() {
    let mut random = StdRng::seed_from_u64(3);
    let statement = Statement::random(&mut random);
    for used in [Use::preimage(), Use::header_end()] {
        let (gadget, _) = used.write(&statement);
        for place in (0..used.numbers(&statement).len() - 64).step_by(3) {
            let mut numbers = used.numbers(&statement);
            let index = used.kinds[0] == Kind::Unsigned;
            let first = if index { place as i64 } else { 0 };
            numbers[place] = first + (numbers[place] - first + random.gen_range(1..16)) % 16;
            assert_eq!(differs(&gadget, &numbers), Some(true), "{place}");
        }
    }
}

#[test]
fn extreme_values_carry_as_they_should() {
    let edges = [0x00, 0xff, 0x0f, 0xf0, 0x80, 0x01, 0x7f];
    for m in edges {
        for b in edges {
            let statement = Statement::of([m; 32], [b; 64], 0);
            let (gadget, _) = Use::node().write(&statement);
            assert_eq!(differs(&gadget, &Use::node().numbers(&statement)), Some(false));
        }
    }
    // Words of the result that are 0, and those that leave no carry or one, in d − m.
    let mut random = StdRng::seed_from_u64(4);
    let (gadget, _) = Use::preimage().write(&Statement::random(&mut random));
    for digest in [[0; 32], [0xff; 32]] {
        for _ in 0..5 {
            let statement = Statement { digest, ..Statement::random(&mut random) };
            assert_eq!(differs(&gadget, &Use::preimage().numbers(&statement)), Some(true));
        }
    }
}

#[test]
fn digits_of_any_origin_may_be_mixed() {
    let mut random = StdRng::seed_from_u64(5);
    for round in 0..12 {
        let kinds = [Kind::Signed, Kind::Unsigned, Kind::Constant];
        let kinds = (0..DIGITS).map(|_| *kinds.choose(&mut random).unwrap()).collect();
        let used = Use { kinds, digest_digits: 8 * (round % 8 + 1), claimed: false };
        let statement = Statement::random(&mut random);
        let (gadget, _) = used.write(&statement);
        assert_eq!(differs(&gadget, &used.numbers(&statement)), Some(false));
        let place = random.gen_range(0..used.digest_digits);
        assert_eq!(differs(&gadget, &used.numbers(&with_wrong_digest(&statement, place, 8))), Some(true));
    }
}

/// What the script reads an unsigned item as: the small table has its row 0 on top, below what was read before.
fn read_unsigned(numbers: &[i64]) -> Option<Vec<i64>> {
    let mut read: Vec<i64> = Vec::new();
    for number in numbers {
        let number = usize::try_from(*number).ok()?;
        let digit = match number.checked_sub(read.len()) {
            None => read[read.len() - 1 - number],
            Some(row @ 0..16) => row as i64,
            Some(_) => return None,
        };
        read.push(digit);
    }
    Some(read)
}

#[test]
fn whatever_an_unsigned_item_is_it_is_read_as_a_digit_or_refused() {
    let mut random = StdRng::seed_from_u64(6);
    let used = Use::preimage();
    let statement = Statement::random(&mut random);
    let (gadget, _) = used.write(&statement);
    let (mut refused, mut read) = (0, 0);
    for round in 0..250 {
        let mut numbers = unsigned_items(&statement.m, &statement.b);
        for _ in 0..random.gen_range(1..4) {
            let place = random.gen_range(0..DIGITS);
            numbers[place] = match random.gen_range(0..4) {
                0 => random.gen_range(-20..20),
                1 => place as i64 + random.gen_range(-2..20),
                2 => random.gen_range(0..1 << 31),
                _ => random.gen_range(0..place as i64 + 16),
            };
        }
        let digits = read_unsigned(&numbers);
        let expected = digits.as_ref().map(|digits| {
            let bytes: Vec<u8> = digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
            compress(bytes[64..].try_into().unwrap(), bytes[..64].try_into().unwrap())
        });
        if let (Some(true_digest), true) = (expected, round % 2 == 0) {
            // The digest of what was read is right.
            let honest = Statement { digest: true_digest, ..statement.clone() };
            let numbers = [numbers.clone(), self::digits(&honest.digest)].concat();
            assert_eq!(differs(&gadget, &numbers), Some(false));
        }
        let numbers = [numbers, self::digits(&statement.digest)].concat();
        assert_eq!(differs(&gadget, &numbers), expected.map(|digest| digest != statement.digest));
        match expected {
            None => refused += 1,
            Some(_) => read += 1,
        }
    }
    assert!(refused > 50 && read > 50, "{refused} {read}");
}

#[test]
fn items_that_are_no_numbers_are_refused_and_long_forms_of_numbers_read() {
    let statement = Statement::random(&mut StdRng::seed_from_u64(7));
    let (gadget, _) = Use::preimage().write(&statement);
    let honest = items(&Use::preimage().numbers(&statement));
    for place in [0, 1, 63, 127, 128, 191] {
        for (item, reads) in [(vec![0; 5], false), (vec![1; 20], false), (vec![0x80; 5], false), (Vec::new(), true)] {
            let mut items = honest.clone();
            let number = unsigned_items(&statement.m, &statement.b)[place];
            items[place] = if reads { vec![number as u8, 0, 0, 0] } else { item };
            assert_eq!(run(&gadget.script, &items, Rules::Consensus).is_ok(), reads);
            assert!(run(&gadget.script, &items, Rules::Standard).is_err());
            let accepted = run(&gadget.script, &items, Rules::Consensus).is_ok_and(|outcome| outcome.accepts());
            assert_eq!(judge::accepts(&gadget.script, &items), accepted);
        }
    }
}

#[test]
fn a_word_is_refuted_if_and_only_if_it_is_another() {
    let mut random = StdRng::seed_from_u64(8);
    let used = Use::claimed();
    let (gadget, _) = used.write(&Statement::random(&mut random));
    for index in 0..24 {
        let (m, b) = (Statement::random(&mut random).m, Statement::random(&mut random).b);
        let statement = Statement::of(m, b, index);
        assert_eq!(differs(&gadget, &used.numbers(&statement)), None, "word {index} is what it is");
        for _ in 0..2 {
            let mut lie = statement.clone();
            lie.claimed.1 ^= 1 << random.gen_range(0..32);
            assert_eq!(differs(&gadget, &used.numbers(&lie)), Some(false), "word {index} is not what is claimed");
        }
        let mut both = with_wrong_digest(&statement, 5, 1);
        both.claimed.1 ^= 0x1000;
        assert_eq!(differs(&gadget, &used.numbers(&both)), Some(true));
    }
}

#[test]
fn what_the_gadget_cannot_judge_is_no_script() {
    let attempt = |items: usize, digest: std::ops::Range<usize>, claimed: bool| {
        let (mut stack, items) = Stack::new(items);
        let chaining = [Digit::Constant(0); CHAINING_DIGITS];
        let block = std::array::from_fn(|place| Digit::Unsigned(items[place]));
        let claimed = claimed.then(|| ClaimedWord { index: items[128], digits: items[129..137].try_into().unwrap() });
        let flag = Compression { chaining, block, digest: &items[digest], claimed }.write(&mut stack);
        stack.keep(&[flag]);
        stack.finish(&[flag])
    };
    assert!(attempt(192, 128..192, false).is_ok());
    assert_eq!(attempt(175, 128..175, false), Err(StackError::Operands));
    assert_eq!(attempt(128, 128..128, false), Err(StackError::Operands));
    // An index could read what else is there.
    assert_eq!(attempt(193, 128..192, false), Err(StackError::NotEmpty));
    assert_eq!(attempt(201, 137..201, true), Err(StackError::Operands));
}

/// The script that accepts the true digest instead.
fn negated(gadget: &Gadget) -> ScriptBuf {
    ScriptBuf::from_bytes([gadget.script.as_bytes(), &[OP_NOT.to_u8()]].concat())
}

#[test]
fn bitcoin_core_judges_the_same() {
    let mut random = StdRng::seed_from_u64(9);
    let all = [Use::preimage(), Use::claimed(), Use::node(), Use::node_whole(), Use::header_end(), Use::header_hash()];
    for used in all {
        for _ in 0..3 {
            let mut statement = Statement::random(&mut random);
            let (gadget, _) = used.write(&statement);
            if used.claimed {
                assert!(!judge::accepts(&negated(&gadget), &items(&used.numbers(&statement))));
                statement.claimed.1 ^= 1;
            }
            let wrong = with_wrong_digest(&statement, random.gen_range(0..used.digest_digits), 1);
            let [honest, wrong] = [&statement, &wrong].map(|statement| items(&used.numbers(statement)));
            assert!(judge::accepts(&negated(&gadget), &honest) && !judge::accepts(&gadget.script, &honest));
            assert!(judge::accepts(&gadget.script, &wrong) && !judge::accepts(&negated(&gadget), &wrong));
            // An index beyond the table, a negative one, and one of a digit that comes later.
            for bad in [used.kinds.len() as i64 + 16, -1] {
                let mut numbers = used.numbers(&statement);
                numbers[40] = bad;
                if used.kinds[40] == Kind::Unsigned {
                    assert!(!judge::accepts(&negated(&gadget), &items(&numbers)));
                    assert!(!judge::accepts(&gadget.script, &items(&numbers)));
                }
            }
        }
    }
}

#[test]
fn its_size_is_pinned() {
    let statement = Statement::of([0x5a; 32], [0xc3; 64], 0);
    let size = |used: Use| {
        let (gadget, bytes) = used.write(&statement);
        (bytes, gadget.script.len(), gadget.peak)
    };
    // Bytes of the gadget, with what drops the rest of the stack, and the peak.
    assert_eq!(size(Use::preimage()), (94_226, 94_686, 960));
    assert_eq!(size(Use::claimed()), (94_367, 94_827, 960));
    assert_eq!(size(Use::node()), (93_425, 93_885, 956));
    assert_eq!(size(Use::node_whole()), (93_827, 94_287, 960));
    assert_eq!(size(Use::header_end()), (94_003, 94_463, 960));
    assert_eq!(size(Use::header_hash()), (93_352, 93_812, 960));
}

#[test]
fn the_figures_are_what_was_measured() {
    let figures = Figures::measure().unwrap();
    assert_eq!((figures.compress_bytes, figures.compress_peak), (94_226, 960));
    assert!(figures.ots_weight_per_byte <= 195.0, "{}", figures.ots_weight_per_byte);
    assert_eq!(figures.ots_items_per_digit, 2.0);
}
