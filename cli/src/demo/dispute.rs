//! A false claim, contested, disputed, and slashed.

use bitcoin::Amount;
use serde::Serialize;
use trestle_challenger::operator::Lie;
use trestle_zkvm_adapter::{Fault, Place};

use super::{Error, Stage, checks};
use crate::args::DisputeKind;
use crate::runtime::TimelineStep;

/// Which dispute is played.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The lie.
    pub kind: DisputeKind,
    /// Its step; by the seed, if there is none.
    pub at: Option<u64>,
    /// Decides the step.
    pub seed: u64,
    /// Whether the operator answers nobody off chain.
    pub on_chain: bool,
}

/// A dispute that was played.
#[derive(Clone, Debug, Serialize)]
pub struct Dispute {
    /// The lie.
    pub kind: &'static str,
    /// Whether all was played on chain.
    pub on_chain: bool,
    /// Its transactions, from Contest to the end.
    pub txs: Vec<TimelineStep>,
    /// Their sizes together, in virtual bytes.
    pub vbytes: usize,
    /// Blocks from the one with Contest to the last, both counted.
    pub blocks: u32,
    /// Who won.
    pub winner: &'static str,
}

/// The operator that lies.
const LIAR: usize = 1;

/// Plays a dispute to its end, which is Slash.
///
/// # Errors
/// It ends otherwise.
pub fn play(stage: &mut Stage, plan: Plan) -> Result<Dispute, Error> {
    let fault = match plan.kind {
        DisputeKind::Unpaid | DisputeKind::Hostile(_) => None,
        DisputeKind::Trace(kind) => {
            let place = plan.at.map_or(Place::Random(plan.seed), Place::From);
            Some(Fault { kind, place })
        }
    };
    stage.world().runtime.operators[LIAR].lie(Lie { fault, silent: plan.on_chain });
    let is_liars = |action: &str| action.split([' ', ',']).any(|word| word.starts_with(&format!("{LIAR}/")));
    stage.wait_step("Slash")?;

    let steps = stage.world().runtime.timeline().steps();
    let of_lane = |step: &TimelineStep| {
        is_liars(&step.action) && !["Run", "Claim", "Challenger"].iter().any(|other| step.action.starts_with(other))
    };
    let mut txs: Vec<TimelineStep> = steps.into_iter().filter(|step| step.height.is_some() && of_lane(step)).collect();
    txs.sort_by_key(|step| step.height);
    let heights = || txs.iter().filter_map(|step| step.height);
    let blocks = heights().max().unwrap_or(0) + 1 - heights().min().unwrap_or(0);
    let ends_in_slash = txs.last().is_some_and(|step| step.action.starts_with("Slash"));
    checks::check(ends_in_slash, || format!("the dispute ends in Slash: {txs:?}"))?;
    checks::claim_was_judged_false(&stage.world().runtime)?;
    Ok(Dispute {
        kind: plan.kind.name(),
        on_chain: plan.on_chain,
        vbytes: txs.iter().map(|step| step.vsize).sum(),
        blocks,
        winner: "challenger",
        txs,
    })
}

impl Dispute {
    /// What there is to tell of it.
    #[must_use]
    pub fn summary(&self) -> String {
        let fees: Amount = self.txs.iter().map(|step| step.fee).sum();
        let (transactions, sat) = (self.txs.len(), fees.to_sat());
        format!(
            "   {transactions} transactions, {} vB, {} blocks, {sat} sat of fees; the {} wins",
            self.vbytes, self.blocks, self.winner
        )
    }
}
