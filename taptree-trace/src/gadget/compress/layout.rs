//! Where the tables lie, and what is in them: the numbers that make a lookup a bare OP_PICK.
//!
//! An item of a table that lies `d` items under the top is copied by `d PICK`. So a number that is to select row x of a
//! table has to be the table's distance at that moment plus the table's stride times x, and every table holds its
//! values in the form in which they are used next: a digit is `DIGIT·n + first`, a part `SPREAD·s + offset`, an addend
//! `ADDEND·n + offset`. Where offsets do not add up to the distance, the script has to add a correction
//! ([`super::writer::Writer::look`] does it). The offsets below are a solution of as many of these equations as
//! possible, the most frequent ones first. Any others would be as right, and longer.

use super::super::stack::Stack;
use super::spread::{Part, SUMS, conjunction, parity, spread};

/// Distance of two rows of the columns, and so the weight of a digit.
pub(super) const DIGIT: i64 = COLUMNS.len() as i64;
/// Distance of two rows of the tables that are looked up by spreads: there are three, row by row.
pub(super) const SPREAD: i64 = 3;
/// Distance of two rows of the tables that are looked up by sums: there are two, row by row.
pub(super) const ADDEND: i64 = 2;
/// The greatest sum of a column of digits is 111: of a = T1 + T2, with the carry from the column below. T1 has h, W, K, Σ1
/// and Ch, T2 has Σ0 and Maj: 7·15 + 6.
const ROWS: i64 = 112;

/// What is looked up by a digit, column by column, and the offset of the column's values. Column c is the one that a
/// digit finds when c items lie above what always lies above the tables ([`ABOVE`]).
const COLUMNS: [(Part, i64); 16] = [
    (Part::Addend, 113),
    (Part::Whole, 98),
    (Part::Whole, -218),
    (Part::Whole, 414),
    (Part::Low(2), -12),
    (Part::High(2), 110),
    (Part::High(1), 88),
    (Part::Low(1), 12),
    (Part::High(2), 4),
    (Part::Both { low: 2, high: 3 }, 197),
    (Part::Low(3), 0),
    (Part::High(3), 104),
    (Part::Low(2), -5),
    (Part::High(2), 105),
    (Part::Highs(1, 3), 85),
    (Part::Lows(1, 3), 119),
];
/// The number of the first column.
const FIRST_COLUMN: i64 = 1;

/// What is looked up by a sum of spreads or of addends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// By spreads: the exclusive or, as a spread.
    Parity,
    /// By spreads: the exclusive or, as an addend.
    ParityAddend,
    /// By spreads: the conjunction, as an addend.
    Conjunction,
    /// By addends: the sum modulo 16, as a digit.
    Sum,
    /// By addends: the carry, as an addend.
    Carry,
}

/// Offsets of the tables' values.
const PARITY: i64 = 98;
const PARITY_ADDEND: i64 = 105;
const CONJUNCTION: i64 = 4;
/// What is added to every addend K, so that most sums of the two are pushed by one byte.
pub(super) const ROUND_CONSTANT: i64 = -16;

/// Items that always lie above the tables: 16 words of the schedule and 8 of the state.
pub(super) const ABOVE: i64 = 24 * 8;

/// Items of all tables. From the bottom: columns, sums, spreads.
const SIZE: i64 = COLUMN_SIZE + SUM_SIZE + 3 * SUMS;
const COLUMN_SIZE: i64 = 16 * DIGIT;
const SUM_SIZE: i64 = 2 * ROWS;
/// Where row 0 of the last column is, counted from the bottom. Row n of a table is n strides below row 0.
const LAST_COLUMN: i64 = COLUMN_SIZE - 1;

/// What is added to DIGIT·n to make a digit of n.
pub(super) const FIRST: i64 = SIZE + ABOVE - 2 - (LAST_COLUMN - (FIRST_COLUMN + DIGIT - 1));

impl Table {
    /// Where row 0 is, counted from the bottom.
    pub const fn row(self) -> i64 {
        match self {
            Self::Parity => SIZE - 2,
            Self::ParityAddend => SIZE - 1,
            Self::Conjunction => SIZE - 3,
            Self::Sum => COLUMN_SIZE + SUM_SIZE - 2,
            Self::Carry => COLUMN_SIZE + SUM_SIZE - 1,
        }
    }

    /// What is added to each of its values.
    pub const fn offset(self) -> i64 {
        match self {
            Self::Parity => PARITY,
            Self::ParityAddend => PARITY_ADDEND,
            Self::Conjunction => CONJUNCTION,
            Self::Sum => FIRST,
            Self::Carry => 0,
        }
    }
}

/// The columns for a part: where row 0 is, counted from the bottom, and what is added to the values.
pub(super) fn columns(part: Part) -> impl Iterator<Item = (i64, i64)> {
    let found = (0..).zip(COLUMNS).filter(move |(_, (other, _))| *other == part);
    found.map(|(column, (_, offset))| (LAST_COLUMN - (DIGIT - 1) + column, offset))
}

/// All tables, the deepest item first.
fn items() -> Vec<i64> {
    let mut items = vec![0; SIZE as usize];
    let mut put = |place: i64, value| items[place as usize] = value;
    for sum in 0..ROWS {
        put(Table::Sum.row() - ADDEND * sum, DIGIT * (sum % 16) + FIRST);
        put(Table::Carry.row() - ADDEND * sum, ADDEND * (sum / 16));
    }
    for (column, (part, offset)) in (0..).zip(COLUMNS) {
        for digit in 0..16 {
            let bits = part.bits(digit as u32);
            let value = if part == Part::Addend { ADDEND * digit } else { SPREAD * spread(bits) };
            put(LAST_COLUMN - (DIGIT - 1) + column - DIGIT * digit, value + offset);
        }
    }
    for sum in 0..SUMS {
        put(Table::Parity.row() - SPREAD * sum, SPREAD * spread(parity(sum)) + PARITY);
        put(Table::ParityAddend.row() - SPREAD * sum, ADDEND * i64::from(parity(sum)) + PARITY_ADDEND);
        put(Table::Conjunction.row() - SPREAD * sum, ADDEND * i64::from(conjunction(sum)) + CONJUNCTION);
    }
    items
}

/// `→ tables`: pushes them.
pub(super) fn push(stack: &mut Stack) {
    stack.push_all(&items());
}

/// `→ the sixteen digits`: row n is n items below the top.
pub(super) fn push_digits(stack: &mut Stack) {
    let digits: Vec<_> = (0..16).rev().map(|digit| DIGIT * digit + FIRST).collect();
    stack.push_all(&digits);
}
