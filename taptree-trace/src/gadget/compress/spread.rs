//! What a digit contributes to a rotation, in the base in which bits can be added.
//!
//! A digit's four bits, taken as the digits of a number in base 3, are its *spread*. Spreads of different digits add without
//! carry as long as no place gets more than 2, and then the sum still says of each place how many of its bits were set:
//! 0, 1 or 2. From that one lookup reads the exclusive or (how many are odd) or the conjunction (2) of all four places.

/// Rows of a table that is looked up by a sum of spreads.
pub(super) const SUMS: i64 = 81;
/// The sum of spreads whose places are all 1.
pub(super) const ONES: i64 = 40;

/// What is looked up by a digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The digit itself, as an addend ([`super::layout::ADDEND`] times it).
    Addend,
    /// Its bits where they are.
    Whole,
    /// Its highest 3, 2 or 1 bits, moved down to the lowest places: the part of a rotation by 1, 2 or 3 that stays.
    High(u32),
    /// Its lowest 1, 2 or 3 bits, moved up to the highest places: the part that goes to the digit below. The number is
    /// that of the rotation.
    Low(u32),
    /// Of a digit that is the low part of one rotation and the high part of another: both. The numbers are the two
    /// rotations'; bits of both at one place cancel.
    Both {
        /// The rotation that takes the low part.
        low: u32,
        /// The rotation that takes the high part.
        high: u32,
    },
    /// The high parts of two rotations, or the low parts.
    Highs(u32, u32),
    /// The low parts of two rotations.
    Lows(u32, u32),
}

impl Part {
    /// Which bits of the part are set if the digit is `digit`.
    pub fn bits(self, digit: u32) -> u32 {
        let high = |rotation| digit >> rotation;
        let low = |rotation| digit << (4 - rotation) & 15;
        match self {
            Self::Addend | Self::Whole => digit,
            Self::High(rotation) => high(rotation),
            Self::Low(rotation) => low(rotation),
            Self::Both { low: a, high: b } => low(a) ^ high(b),
            Self::Highs(a, b) => high(a) ^ high(b),
            Self::Lows(a, b) => low(a) ^ low(b),
        }
    }
}

/// The four lowest bits of a number as digits in base 3.
pub(super) fn spread(bits: u32) -> i64 {
    (0..4).rev().fold(0, |sum, place| 3 * sum + i64::from(bits >> place & 1))
}

/// Of the places of a sum of spreads, which satisfy a condition.
fn places(sum: i64, holds: impl Fn(i64) -> bool) -> u32 {
    let mut rest = sum;
    let mut bits = 0;
    for place in 0..4 {
        bits |= u32::from(holds(rest % 3)) << place;
        rest /= 3;
    }
    bits
}

/// The exclusive or of what was added.
pub(super) fn parity(sum: i64) -> u32 {
    places(sum, |count| count == 1)
}

/// The conjunction of the two that were added.
pub(super) fn conjunction(sum: i64) -> u32 {
    places(sum, |count| count == 2)
}
