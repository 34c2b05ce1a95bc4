//! A false claim, contested, disputed, and slashed.

use bitcoin::Amount;
use serde::Serialize;

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
    /// Decides what else there is to decide.
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
    pub txs: Vec<DisputeStep>,
    /// Their sizes together, in virtual bytes.
    pub vbytes: usize,
    /// Blocks from the one with Contest to the last, both counted.
    pub blocks: u32,
    /// Who won.
    pub winner: &'static str,
}

/// A transaction of a dispute.
#[derive(Clone, Debug, Serialize)]
pub struct DisputeStep {
    /// The transaction.
    #[serde(flatten)]
    pub step: TimelineStep,
    /// Whose coins its fee came from.
    pub paid_by: String,
    /// Blocks after the one with Contest.
    pub blocks: u32,
}

/// Plays a dispute to its end, which is Slash.
///
/// # Errors
/// It ends otherwise.
pub fn play(stage: &mut Stage, plan: Plan) -> Result<Dispute, Error> {
    plan.begin(stage)?;
    stage.wait_step("Slash")?;

    let mut steps = mined(stage);
    let contest = steps.iter().position(|step| step.action.starts_with("Contest"));
    let mut steps = steps.split_off(contest.unwrap_or(steps.len()));
    let slot = steps.first().map(|step| slot_of(&step.action).to_owned()).unwrap_or_default();
    steps.retain(|step| slot_of(&step.action) == slot);
    let ends_in_slash = steps.last().is_some_and(|step| step.action.starts_with("Slash"));
    checks::check(ends_in_slash, || format!("the dispute ends in Slash: {steps:?}"))?;
    checks::claim_was_judged_false(&stage.world().runtime)?;
    Ok(Dispute::told(plan.kind.name(), plan.on_chain, steps, plan.kind.liar(), "challenger"))
}

/// What was mined until now, in the order of the blocks.
pub fn mined(stage: &Stage) -> Vec<TimelineStep> {
    let mut steps = stage.world().runtime.timeline().steps();
    steps.retain(|step| step.height.is_some());
    steps.sort_by_key(|step| step.height);
    steps
}

/// The slot that a transaction is of: `Step 1/1/0, lane 0: …`.
fn slot_of(action: &str) -> &str {
    action.split([' ', ',']).nth(1).unwrap_or_default()
}

/// Whose coins a transaction's fee comes from.
fn payer(step: &TimelineStep, operator: usize) -> String {
    match step.action.split(' ').next() {
        _ if step.action.ends_with(", bumped") => format!("{}'s wallet", step.actor),
        // Of Slash the part that the challenger gets.
        Some("Contest" | "Slash" | "FinalizeUnentered" | "FinalizeSlow") => format!("operator {operator}'s bond"),
        Some("Reimburse") => "the vault".into(),
        _ => {
            let lane = step.action.split("lane ").nth(1).and_then(|rest| rest.split(':').next());
            format!("challenger {}'s bond", lane.unwrap_or("0"))
        }
    }
}

impl Dispute {
    /// What is told of these transactions, the first of which is Contest.
    pub fn told(
        kind: &'static str,
        on_chain: bool,
        steps: Vec<TimelineStep>,
        operator: usize,
        winner: &'static str,
    ) -> Self {
        let since = steps.first().and_then(|step| step.height).unwrap_or_default();
        let passed = |step: &TimelineStep| step.height.unwrap_or_default() - since;
        let told = |step| DisputeStep { paid_by: payer(&step, operator), blocks: passed(&step), step };
        let txs: Vec<_> = steps.into_iter().map(told).collect();
        let vbytes = txs.iter().map(|tx| tx.step.vsize).sum();
        let blocks = txs.last().map_or(0, |tx| tx.blocks + 1);
        Self { kind, on_chain, txs, vbytes, blocks, winner }
    }

    /// What there is to tell of it, a line each.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut lines = vec![format!("{:>9} {:>7} {:>7}  {:<24} what", "blocks", "vB", "fee sat", "paid by")];
        for DisputeStep { step, paid_by, blocks } in &self.txs {
            let fee = step.fee.to_sat();
            lines.push(format!("{blocks:>+9} {:>7} {fee:>7}  {paid_by:<24} {}", step.vsize, step.action));
        }
        let fees: Amount = self.txs.iter().map(|tx| tx.step.fee).sum();
        let (transactions, sat) = (self.txs.len(), fees.to_sat());
        lines.push(format!(
            "   {transactions} transactions, {} vB, {} blocks, {sat} sat of fees; the {} wins",
            self.vbytes, self.blocks, self.winner
        ));
        lines.join("\n")
    }
}
