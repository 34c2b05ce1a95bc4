//! Amounts as a person writes and reads them: always with a unit, `0.1BTC` or `10_000 sats`.
//!
//! A bare number is refused. `0.1` and `1000` look alike and differ by a factor of ten million: which one was meant is
//! not for a program that moves money to guess.

use std::fmt;
use std::str::FromStr;

use bitcoin::{Amount, Denomination};

/// The units that are understood, as they are compared: in lower case.
const BTC: &str = "btc";
const SAT: [&str; 2] = ["sat", "sats"];

/// From this amount on, [`Shown`] writes BTC; below it, sat.
const SHOWN_IN_BTC_FROM: Amount = Amount::from_sat(100_000);

/// An amount read from the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmountArg(pub Amount);

/// Why a text is no amount. Each says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// A bare number.
    #[error("\"{0}\" has no unit: write {0}BTC or {0}sat, whichever you mean")]
    NoUnit(String),
    /// A number followed by something that is no unit.
    #[error("\"{0}\" is no unit: amounts are in BTC or sat, for example 0.1BTC or 10000sat")]
    Unit(String),
    /// No number in front of the unit.
    #[error("\"{0}\" is no amount: write a number and a unit, for example 0.1BTC or 10000sat")]
    Number(String),
    /// A fraction of a satoshi.
    #[error("\"{0}\" is finer than one satoshi: BTC has at most 8 decimals, sat has none")]
    TooFine(String),
    /// More than there can be.
    #[error("\"{0}\" is more than the 21000000 BTC that can exist")]
    TooMuch(String),
    /// Nothing.
    #[error("\"{0}\" is nothing: the amount has to be at least 1sat")]
    Zero(String),
}

impl FromStr for AmountArg {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let text = text.trim();
        let split = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
        let (number, unit) = (text[..split].trim_end(), text[split..].to_lowercase());
        let digits = digits(number).ok_or_else(|| AmountError::Number(text.into()))?;
        let denomination = match unit.as_str() {
            "" => return Err(AmountError::NoUnit(text.into())),
            BTC => Denomination::Bitcoin,
            u if SAT.contains(&u) => Denomination::Satoshi,
            _ => return Err(AmountError::Unit(text[split..].into())),
        };
        let decimals = digits.split_once('.').map_or("", |(_, d)| d).trim_end_matches('0').len();
        if decimals > if denomination == Denomination::Bitcoin { 8 } else { 0 } {
            return Err(AmountError::TooFine(text.into()));
        }
        // `Amount` refuses trailing zeros past its precision; they say nothing.
        let exact = match digits.split_once('.') {
            Some((whole, d)) if d.trim_end_matches('0').is_empty() => whole,
            Some(_) => digits.trim_end_matches('0'),
            None => digits.as_str(),
        };
        match Amount::from_str_in(exact, denomination) {
            Ok(Amount::ZERO) => Err(AmountError::Zero(text.into())),
            Ok(amount) if amount <= Amount::MAX_MONEY => Ok(Self(amount)),
            _ => Err(AmountError::TooMuch(text.into())),
        }
    }
}

/// The number without its `_` separators, if it is `digits` or `digits.digits` with every `_` between two digits.
fn digits(number: &str) -> Option<String> {
    let group = |s: &str| {
        !s.is_empty() && s.split('_').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let well_formed = match number.split_once('.') {
        Some((whole, decimals)) => group(whole) && group(decimals),
        None => group(number),
    };
    well_formed.then(|| number.replace('_', ""))
}

/// Writes an amount with its unit, in the shape that [`AmountArg`] reads: `0.1 BTC`, `1500 sat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown(pub Amount);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < SHOWN_IN_BTC_FROM {
            return write!(f, "{} sat", self.0.to_sat());
        }
        let btc = self.0.to_string_in(Denomination::Bitcoin);
        let btc = if btc.contains('.') { btc.trim_end_matches('0').trim_end_matches('.') } else { &btc };
        write!(f, "{btc} BTC")
    }
}

/// The words of a command line, a unit that stands alone joined to the number before it: `deposit 0.1 BTC` is
/// `deposit 0.1BTC`.
pub fn join_units(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for word in words {
        let unit = word.to_lowercase();
        let is_unit = unit == BTC || SAT.contains(&unit.as_str());
        match joined.last_mut() {
            Some(number) if is_unit && digits(number).is_some() => number.push_str(&word),
            _ => joined.push(word),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sat(text: &str) -> Result<u64, AmountError> {
        text.parse().map(|AmountArg(a)| a.to_sat())
    }

    #[test]
    fn every_spelling_of_a_unit_is_read() {
        for (text, amount) in [
            ("0.1BTC", 10_000_000),
            ("0.1 BTC", 10_000_000),
            (" 0.1 btc ", 10_000_000),
            ("1BTC", 100_000_000),
            ("0.00000001BTC", 1),
            ("0.10000000000BTC", 10_000_000),
            ("10000sat", 10_000),
            ("10_000 sats", 10_000),
            ("10_000.0 SAT", 10_000),
            ("21_000_000BTC", 2_100_000_000_000_000),
        ] {
            assert_eq!(sat(text), Ok(amount), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_the_reason() {
        for (text, why) in [
            ("0.1", AmountError::NoUnit("0.1".into())),
            ("1000", AmountError::NoUnit("1000".into())),
            ("1mBTC", AmountError::Unit("mBTC".into())),
            ("1 bitcoin", AmountError::Unit("bitcoin".into())),
            ("", AmountError::Number("".into())),
            ("BTC", AmountError::Number("BTC".into())),
            ("-1BTC", AmountError::Number("-1BTC".into())),
            ("1,5BTC", AmountError::Number("1,5BTC".into())),
            (".5BTC", AmountError::Number(".5BTC".into())),
            ("5.BTC", AmountError::Number("5.BTC".into())),
            ("_5sat", AmountError::Number("_5sat".into())),
            ("1 0sat", AmountError::Number("1 0sat".into())),
            ("0.000000001BTC", AmountError::TooFine("0.000000001BTC".into())),
            ("0.5sat", AmountError::TooFine("0.5sat".into())),
            ("21000000.00000001BTC", AmountError::TooMuch("21000000.00000001BTC".into())),
            ("99999999999999999999999sat", AmountError::TooMuch("99999999999999999999999sat".into())),
            ("0BTC", AmountError::Zero("0BTC".into())),
        ] {
            assert_eq!(sat(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_unit_that_stands_alone_belongs_to_the_number_before_it() {
        let join = |line: &str| join_units(line.split(' ').map(String::from)).join(" ");
        assert_eq!(join("trestle withdraw 0.1 BTC bcrt1q"), "trestle withdraw 0.1BTC bcrt1q");
        assert_eq!(join("trestle send x 10_000 sats"), "trestle send x 10_000sats");
        assert_eq!(join("trestle deposit sats"), "trestle deposit sats");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_as_the_same_amount(sats in 1..=Amount::MAX_MONEY.to_sat()) {
            prop_assert_eq!(sat(&Shown(Amount::from_sat(sats)).to_string()), Ok(sats));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,24}") {
            let _ = text.parse::<AmountArg>();
        }

        #[test]
        fn numbers_of_any_shape_are_read_exactly(whole in 0u64..1000, part in 0u64..100_000_000) {
            prop_assume!(whole + part > 0);
            prop_assert_eq!(sat(&format!("{whole}.{part:08}BTC")), Ok(whole * 100_000_000 + part));
        }
    }
}
