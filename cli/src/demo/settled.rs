//! A dispute that is over: what the challenger tells its owner, and what both sides have kept.

use bitcoin::Amount;
use trestle_challenger::dispute::{End, Settlement};

use super::{Error, Stage, checks};
use crate::figures::Figure;
use crate::runtime;

/// Waits until the dispute is settled, and says what the challenger tells. Returns how much each side has kept of the lane, at most.
///
/// # Errors
/// It is not told, or is not what happened.
pub fn settle(stage: &mut Stage) -> Result<Figure, Error> {
    let confirmations = stage.world().runtime.bridge().parameters.confirmations;
    stage.mine(confirmations.into())?;
    let settlements = stage.world().runtime.challengers[0].settlements()?;
    let [settlement] = settlements.as_slice() else {
        return Err(Error::Check(format!("one dispute is settled: {settlements:?}")));
    };
    checks::check(settlement.end == End::Slashed, || format!("the liar was slashed: {settlement:?}"))?;
    let steps = stage.world().runtime.timeline().steps();
    for played in &settlement.transactions {
        let known = steps.iter().any(|step| step.txid == played.txid && step.fee == played.fee);
        checks::check(known, || format!("{} was sent, and paid {}", played.name, played.fee))?;
    }
    let bumps = steps.iter().filter(|step| step.height.is_some() && step.action.ends_with(", bumped"));
    let bumps: Amount = bumps
        .filter(|step| settlement.moves().any(|played| step.action.starts_with(&played.name)))
        .map(|s| s.fee)
        .sum();
    let paid = settlement.wallet_fees();
    checks::check(paid == bumps, || format!("the wallet paid {bumps} for children, and not {paid}"))?;
    stage.say(&told(settlement));

    let world = stage.world();
    let (slot, roles) = (settlement.slot, &world.runtime);
    let operator = roles.operators[usize::from(slot.operator)].machine().lane_bytes(slot, 0);
    let stored = [operator.map_err(runtime::Error::from)?, roles.challengers[0].lane_bytes(slot)?];
    Ok(Figure::count("lane.bytes", stored[0].max(stored[1]), "B"))
}

fn told(settlement: &Settlement) -> String {
    let [bond, wallet, back] =
        [settlement.bond_fees(), settlement.wallet_fees(), settlement.received].map(Amount::to_sat);
    format!(
        "   the challenger tells its owner: {:?} at height {}, by {} moves of its own; {bond} sat of fees out of the bond and {wallet} \
         out of the wallet, {back} sat back",
        settlement.end,
        settlement.since,
        settlement.moves().count(),
    )
}
