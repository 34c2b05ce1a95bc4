//! What is asked of parameters: everything that a person could get wrong.

use std::collections::HashSet;

use bitcoin::FeeRate;
use trestle_taptree_trace::turn::Turn;

use super::{Bridge, BridgeParameters, MAX_CHALLENGERS, ParametersError};
use crate::lane;
use crate::transactions::{confirm, contest, cooperative};

pub(super) fn keys(parameters: &BridgeParameters) -> Result<(), ParametersError> {
    let count = |list, count, most| match (1..=most).contains(&count) {
        true => Ok(()),
        false => Err(ParametersError::Count { list, count, most }),
    };
    count("signers", parameters.signers.len(), 255)?;
    count("operators", parameters.operators.len(), 255)?;
    count("challengers", parameters.challengers.len(), MAX_CHALLENGERS)?;
    count("sequencers", parameters.sequencers.len(), 255)?;
    let signers: Vec<_> = parameters.signers.iter().map(|key| key.x_only_public_key().0).collect();
    let operators: Vec<_> = parameters.operators.iter().map(|operator| operator.key).collect();
    let lists = [
        ("signer", &signers),
        ("operator", &operators),
        ("challenger", &parameters.challengers),
        ("sequencer", &parameters.sequencers),
    ];
    for (list, keys) in lists {
        let mut seen = HashSet::new();
        if let Some(index) = keys.iter().position(|key| !seen.insert(key)) {
            return Err(ParametersError::DuplicateKey { list, index });
        }
    }
    Ok(())
}

pub(super) fn blocks(p: &BridgeParameters) -> Result<(), ParametersError> {
    let k = u32::from(p.confirmations);
    let delta1 = u32::from(p.delta1.value());
    // A turn is longer than K, and there are more than K: with more than 255 no delta2 is long enough.
    let turns = Turn::Entered.longest(p.confirmations.min(255));
    let blocks = [
        ("confirmations", k, 1, "a block that nothing was built on is not settled"),
        (
            "delta1",
            delta1,
            k + 1,
            "a challenger looks at a claim when it is `confirmations` deep, and needs time to contest",
        ),
        (
            "turn",
            u32::from(p.turn.value()),
            k + 3,
            "a move can have to wait until another is `confirmations` deep, and must then be mined itself, though a reorganisation may leave it out",
        ),
        (
            "delta2",
            u32::from(p.delta2.value()),
            p.least_delta2(turns),
            "a lane is entered within delta1, each of its turns can take `turn` blocks, and then Slash has to be mined",
        ),
        (
            "refund_delay",
            u32::from(p.refund_delay.value()),
            3 * k,
            "a deposit is confirmed when it is `confirmations` deep",
        ),
        (
            "operator_window",
            u32::from(p.operator_window),
            2 * k + 1,
            "an operator fronts only what a reorganisation of `confirmations` blocks could not put before its turn",
        ),
        ("grace", u32::from(p.grace), k, "a payout made at the end of the window has to be mined"),
    ];
    for (name, got, least, why) in blocks {
        if got < least {
            return Err(ParametersError::TooShort { name, got, least, why });
        }
    }
    Ok(())
}

pub(super) fn amounts(bridge: &Bridge) -> Result<(), ParametersError> {
    let p = &bridge.parameters;
    let rates = FeeRate::from_sat_per_kwu(250)..=FeeRate::from_sat_per_kwu(250_000);
    if !rates.contains(&p.presigned_fee_rate) {
        return Err(ParametersError::FeeRate(p.presigned_fee_rate));
    }
    let dust = bridge.vault_script().minimal_non_dust();
    let contest = contest::cost(bridge);
    let amounts = [
        ("connector", p.connector, dust, "less is dust, and not relayed"),
        ("deposit_fee", p.deposit_fee, confirm::cost(bridge), "it pays for Confirm, its anchor and the ticket"),
        (
            "withdrawal_fee",
            p.withdrawal_fee,
            cooperative::fee(bridge, bridge.vault_script(), p.presigned_fee_rate),
            "it pays for a cooperative payout",
        ),
        (
            "bond",
            p.bond,
            contest + dust * 2,
            "it pays for Contest, with a connector for every challenger, and can be halved",
        ),
        ("challenger_bond", p.challenger_bond, contest, "a challenger must not contest for nothing"),
        ("challenger_bond", p.challenger_bond, lane::cost(bridge) + dust, "it pays for a whole lane on chain"),
    ];
    for (name, got, least, why) in amounts {
        if got < least {
            return Err(ParametersError::TooSmall { name, got, least, why });
        }
    }
    Ok(())
}
