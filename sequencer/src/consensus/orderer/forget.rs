//! Letting go of what Bitcoin executed long ago, a little with each final block.

use super::super::message::Subject;
use super::{Error, Orderer};
use crate::store::{Changes, StoreError};

/// Parts, and batches, that are let go of at once. A block adds one of each at most.
const AT_ONCE: usize = 4;

impl Orderer {
    /// Lets go of some batches that were executed [`Policy::history`](crate::Policy::history) Bitcoin blocks ago or more:
    /// first of their parts and the places of the parts' transactions, then of what else there is, but for evidence.
    pub(super) fn forget_old(&mut self, changes: &mut Changes) -> Result<(), Error> {
        // A sequencer that is behind has yet to take as final what Bitcoin has executed.
        let end = self.chain.executed_long_ago(self.pool.policy().history)?.min(self.chain.head().number);
        if self.store.batches().next().transpose()?.is_none_or(|first| first >= end) || self.is_handing_over()? {
            return Ok(());
        }
        let (mut gone, mut kept) = (0, end);
        for part in self.store.parts_from(0) {
            let (height, part) = part?;
            kept = part.number.min(end);
            if part.number >= end || gone == AT_ONCE {
                break;
            }
            for signed in part.decoded() {
                let id = signed.transaction.sighash(&self.instance);
                if self.store.place(&id)? == Some(height) {
                    changes.remove_place(&id);
                }
            }
            changes.remove_part(height);
            self.ask_no_more(Subject::Part(height), changes);
            (gone, kept) = (gone + 1, end);
        }
        let batches: Vec<_> = self.store.batches().take(AT_ONCE).collect::<Result<_, StoreError>>()?;
        for number in batches.into_iter().filter(|number| *number < kept) {
            self.sets.keys().for_each(|set| changes.remove_batch(*set, number));
            self.ask_no_more(Subject::Batch(number), changes);
        }
        Ok(())
    }

    /// Whether a set's end waits for its certificate, which is about parts.
    fn is_handing_over(&self) -> Result<bool, Error> {
        for set in self.certifiers.keys() {
            if self.store.open_subjects(*set)?.iter().any(|subject| matches!(subject, Subject::Handover(_))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn ask_no_more(&mut self, subject: Subject, changes: &mut Changes) {
        for (set, certifier) in &mut self.certifiers {
            if certifier.forget(&subject) {
                changes.put_open(*set, subject, false);
            }
        }
    }
}
