//! How an operator stands, for people.

use serde::Serialize;
use trestle_bridge::transactions::FinalizeKind;
use trestle_rollup::{SlotId, WithdrawalId};

use super::{Loss, Operator, Outcome, Run};
use crate::Error;
use crate::phase::Phase;
use crate::view::View;

/// All runs of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The runs, in the order in which they were opened.
    pub runs: Vec<RunStatus>,
    /// By denomination: the slots of runs on Bitcoin that were not used yet.
    pub unused: Vec<u32>,
    /// Payouts that were mined and do not count.
    pub lost: Vec<Loss>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunStatus {
    /// Its first slot.
    pub run: SlotId,
    /// How far it is.
    pub stage: RunStage,
    /// The height from which on its bond can only go back; none before it is funded.
    pub end: Option<u32>,
    /// Its slots, in order.
    pub slots: Vec<SlotStatus>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStage {
    /// The challengers are being asked.
    Inviting,
    /// The wallet has to fund it.
    Funding,
    /// The committee has to sign it.
    Signing,
    /// Its funding transaction is in no block.
    Publishing,
    /// Its slots are used, one after the other.
    Live,
    /// No slot of it will be used any more.
    Over,
    /// It was given up.
    Abandoned,
}

/// One slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SlotStatus {
    /// The slot.
    pub slot: SlotId,
    /// How far it is.
    pub stage: SlotStage,
}

/// How far a slot is. Heights are of the transaction that led there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotStage {
    /// The slots before it are not done, or never will be.
    Waiting,
    /// Its bond waits for a withdrawal.
    Idle,
    /// A withdrawal is being fronted.
    Fronting {
        /// Which one.
        withdrawal: WithdrawalId,
        /// Whether the payout is being double-spent.
        cancelling: bool,
    },
    /// It is fulfilled.
    PaidOut {
        /// The withdrawal.
        withdrawal: WithdrawalId,
        /// Height of the payout.
        height: u32,
    },
    /// Claimed.
    Claimed {
        /// Height of Claim.
        height: u32,
    },
    /// Contested.
    Contested {
        /// Height of Contest.
        height: u32,
    },
    /// Finalized.
    Finalized {
        /// How.
        kind: FinalizeKind,
        /// Height of Finalize.
        height: u32,
    },
    /// Reimbursed.
    Reimbursed {
        /// Height of Reimburse.
        height: u32,
    },
    /// The run's bond went back.
    Retired,
    /// Its bond was taken.
    Taken,
}

impl Operator {
    /// How everything stands.
    ///
    /// # Errors
    /// If the store, the ledger or the chain fails.
    pub fn status(&self, view: &dyn View) -> Result<Status, Error> {
        let unused = vec![0; self.bridge.parameters.denominations.len()];
        let mut status = Status { runs: Vec::new(), unused, lost: self.store.losses()? };
        for run in &self.runs {
            let of_run = self.run_status(run, view)?;
            let unused = |slot: &&SlotStatus| matches!(slot.stage, SlotStage::Waiting | SlotStage::Idle);
            if let (RunStage::Live, Some(count)) =
                (of_run.stage, status.unused.get_mut(usize::from(of_run.run.denomination)))
            {
                *count += of_run.slots.iter().filter(unused).count() as u32;
            }
            status.runs.push(of_run);
        }
        Ok(status)
    }

    fn run_status(&self, run: &Run, view: &dyn View) -> Result<RunStatus, Error> {
        let record = &run.record;
        let slot = |place: u32| SlotId { serial: record.first.serial.saturating_add(place), ..record.first };
        let waiting = (0..record.slots).map(|place| SlotStatus { slot: slot(place), stage: SlotStage::Waiting });
        let mut status =
            RunStatus { run: record.first, stage: RunStage::Inviting, end: None, slots: waiting.collect() };
        let Some(graph) = &run.graph else {
            status.stage = match record {
                _ if record.abandoned => RunStage::Abandoned,
                _ if record.challengers.is_some() => RunStage::Funding,
                _ => RunStage::Inviting,
            };
            return Ok(status);
        };
        status.end = Some(graph.terms.end()?.to_consensus_u32());
        if view.confirmed(&graph.terms.bond.txid)?.is_none() {
            status.stage = if run.signed { RunStage::Publishing } else { RunStage::Signing };
            return Ok(status);
        }
        status.stage = RunStage::Live;
        for (own, slot) in status.slots.iter_mut().zip(&graph.slots) {
            let phase = Phase::of(slot, view)?;
            own.stage = self.stage(slot.id, phase, view)?;
            let ends = match phase {
                Phase::Contested { .. } | Phase::Retired { .. } | Phase::Taken { .. } => true,
                Phase::Finalized { kind, .. } | Phase::Reimbursed { kind, .. } => kind != FinalizeKind::Fast,
                Phase::Waiting | Phase::Open { .. } | Phase::Claimed { .. } => false,
            };
            if ends {
                status.stage = RunStage::Over;
            }
            if ends || matches!(phase, Phase::Waiting | Phase::Open { .. } | Phase::Claimed { .. }) {
                break;
            }
        }
        let is_reimbursed = |last: &SlotStatus| matches!(last.stage, SlotStage::Reimbursed { .. });
        if status.slots.last().is_some_and(is_reimbursed) {
            status.stage = RunStage::Over;
        }
        Ok(status)
    }

    fn stage(&self, slot: SlotId, phase: Phase, view: &dyn View) -> Result<SlotStage, Error> {
        Ok(match phase {
            Phase::Waiting => SlotStage::Waiting,
            Phase::Open { .. } => match (view.ledger().state_at_tip().slot(slot)?, self.store.front(slot)?) {
                (Some(by), _) => SlotStage::PaidOut { withdrawal: by.withdrawal, height: by.height },
                (None, Some(front)) if !matches!(front.outcome, Some(Outcome::Cancelled | Outcome::Lost)) => {
                    SlotStage::Fronting { withdrawal: front.withdrawal, cancelling: front.cancelling }
                }
                (None, _) => SlotStage::Idle,
            },
            Phase::Claimed { since } => SlotStage::Claimed { height: since },
            Phase::Contested { since, .. } => SlotStage::Contested { height: since },
            Phase::Finalized { kind, since } => SlotStage::Finalized { kind, height: since },
            Phase::Reimbursed { since, .. } => SlotStage::Reimbursed { height: since },
            Phase::Retired { .. } => SlotStage::Retired,
            Phase::Taken { .. } => SlotStage::Taken,
        })
    }
}
