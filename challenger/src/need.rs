//! What a transaction that waits should pay.

use bitcoin::{Amount, FeeRate, Weight};

/// How much a transaction is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Need {
    /// The last block before something else can come in its place, if there is such a height.
    pub deadline: Option<u32>,
    /// What is lost if it is not mined by then, if that is known.
    pub stake: Option<Amount>,
}

/// From so many blocks before the deadline on the rate is doubled with every block.
const HURRY: u32 = 4;

impl Need {
    /// The fee rate for a package of this weight at this tip, where the chain asks for `estimate`: that, while there is time; twice as
    /// much for every block that is gone of the last four; and never so much that the package costs more than what is at stake.
    #[must_use]
    pub fn rate(self, tip: u32, estimate: FeeRate, package: Weight) -> FeeRate {
        let left = self.deadline.map_or(HURRY, |deadline| deadline.saturating_sub(tip));
        let doublings = HURRY.saturating_sub(left);
        let wanted = FeeRate::from_sat_per_kwu(estimate.to_sat_per_kwu().saturating_mul(1 << doublings));
        let most = self.stake.map_or(FeeRate::MAX, |stake| stake / package);
        wanted.min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: u32 = 100;
    const PACKAGE: Weight = Weight::from_wu(10_000);

    fn rate(tip: u32, estimate: u64, stake: Option<u64>) -> u64 {
        let need = Need { deadline: Some(DEADLINE), stake: stake.map(Amount::from_sat) };
        need.rate(tip, FeeRate::from_sat_per_kwu(estimate), PACKAGE).to_sat_per_kwu()
    }

    #[test]
    fn while_there_is_time_it_is_the_estimate_and_then_twice_as_much_with_every_block() {
        let rates: Vec<u64> = (90..=102).map(|tip| rate(tip, 500, None)).collect();
        assert_eq!(rates, [500, 500, 500, 500, 500, 500, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
        // What has no deadline does not get dearer.
        let patient = Need { deadline: None, stake: Some(Amount::MAX_MONEY) };
        assert_eq!(patient.rate(u32::MAX, FeeRate::from_sat_per_kwu(500), PACKAGE).to_sat_per_kwu(), 500);
    }

    #[test]
    fn a_package_never_costs_more_than_what_is_at_stake() {
        for stake in [0, 1, 999, 40_000, 1_000_000] {
            for tip in 90..=102 {
                for estimate in [0, 250, 5_000, u64::MAX / 2] {
                    let rate = rate(tip, estimate, Some(stake));
                    let fee = FeeRate::from_sat_per_kwu(rate).fee_wu(PACKAGE).unwrap();
                    assert!(fee.to_sat() <= stake, "{estimate} at {tip}: {fee} of {stake}");
                }
            }
            // And all of it, if that is what the chain asks for.
            assert_eq!(rate(DEADLINE, 1_000_000, Some(stake)), stake / 10);
        }
    }
}
