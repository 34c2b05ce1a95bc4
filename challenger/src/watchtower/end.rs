//! The end of a run: until nothing can be claimed in it any more, a challenger's bond may be needed for a last, false claim.

use bitcoin::Amount;
use trestle_bridge::transactions::{FinalizeKind, Presigned, Reveal, RunGraph};

use super::{Duty, Purpose, Watchtower};
use crate::phase::Phase;
use crate::view::View;
use crate::{Error, is_deep};

impl Watchtower {
    /// Whether nothing can be claimed in a run any more, and that is deep. Ends the run where the operator has not, which needs the
    /// committee's signatures alone; it is `waited` blocks past its end.
    pub(super) fn has_ended(
        &self,
        view: &dyn View,
        graph: &RunGraph,
        waited: u32,
        duties: &mut Vec<Duty>,
    ) -> Result<bool, Error> {
        let mut ended = None;
        for slot in &graph.slots {
            let (goes_on, since) = match Phase::of(slot, view)? {
                Phase::Open { .. } => {
                    if let Some(tx) = self.signatures.complete(&slot.retire, Reveal::Nothing)? {
                        let time = (waited >= self.patience, None, value(&slot.retire));
                        self.broadcast(Purpose::End(slot.id), &slot.retire, tx, time, duties);
                    }
                    return Ok(false);
                }
                Phase::Waiting | Phase::Claimed { .. } | Phase::Contested { .. } => return Ok(false),
                Phase::Finalized { kind, since } | Phase::Reimbursed { kind, since } => {
                    (kind == FinalizeKind::Fast, since)
                }
                Phase::Retired { since } | Phase::Taken { since } => (false, since),
            };
            ended = Some(since);
            if !goes_on {
                break;
            }
        }
        Ok(ended.is_some_and(|since| is_deep(since, self.bridge.parameters.confirmations, view.height())))
    }
}

/// What a transaction pays by its first output.
pub(super) fn value(of: &Presigned) -> Amount {
    of.tx.output.first().map_or(Amount::ZERO, |output| output.value)
}
