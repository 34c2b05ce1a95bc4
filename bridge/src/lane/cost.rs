//! What a lane costs, at most.

use bitcoin::{Amount, FeeRate, Weight};

use crate::connector::anchor;
use crate::parameters::Bridge;

/// Weight and number of the transactions of the longest lane that has no fork: every round is on chain, every opening, and the
/// heaviest leaf. A bound: what a lane takes exactly is known when its keys are, and tests hold this against it.
const LONGEST: (Weight, u64) = (Weight::from_wu(790_000), 76);
/// The same of the longest way to a fork and its disproof, headers excluded.
const TO_FORK: (Weight, u64) = (Weight::from_wu(285_000), 22);
/// Weight of a header.
const HEADER: Weight = Weight::from_wu(37_000);

/// What a lane takes of a challenger's bond at most, before it is paid to anybody: fees, anchors, and a connector.
pub fn cost(bridge: &Bridge) -> Amount {
    let p = &bridge.parameters;
    let headers = u64::from(p.confirmations) + 1;
    let fork = (TO_FORK.0 + HEADER * headers, TO_FORK.1 + headers);
    let of = |(weight, transactions)| price(p.presigned_fee_rate, weight, transactions);
    of(LONGEST).max(of(fork)) + p.connector
}

/// The fees of so many transactions, of this weight together, and their anchors.
pub(super) fn price(rate: FeeRate, weight: Weight, transactions: u64) -> Amount {
    rate.fee_wu(weight).unwrap_or(Amount::MAX_MONEY) + anchor::VALUE * transactions
}
