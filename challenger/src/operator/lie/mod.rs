//! An operator that lies, to see that it is caught: for demonstrations and tests, with a bond that may be lost.
//!
//! Whatever a liar does it does by the honest operator's code. What differs is what that is told: which claim there is to make, what is
//! so ([`Lying`], its testimony in a lane), and which of the duties that come of it are carried out.

mod history;
mod path;
mod silence;
mod testimony;
mod trace;

use trestle_bridge::transactions::RunGraph;
use trestle_bridge::transactions::claim::Statement;
use trestle_rollup::SlotId;
use trestle_zkvm_adapter::Fault;

use super::Operator;
use super::settle::Found;
use crate::view::View;
use crate::{Error, is_deep};
use history::Forged;

pub use history::{History, Since};
pub use path::PathLie;
pub use silence::{MOVES, Silence};
pub use testimony::Lying;
pub use trace::{Misled, Opened};

/// What is lied about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lie {
    /// Which claim is made.
    pub claim: Claim,
    /// What is false in the history, before the end: that the claim holds there.
    pub history: History,
    /// The lie in the trace by which the guest comes to accept what is false. Without one the trace just ends so.
    pub fault: Option<Fault>,
    /// What is false in the openings; none if they say what the rounds do.
    pub opened: Option<Opened>,
    /// When nothing is said.
    pub silence: Silence,
}

/// Which false claim is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Claim {
    /// Of a slot that is not used, about the last block that is deep.
    #[default]
    Unpaid,
    /// The same, about the block in which a payout that was mined at this height would be deep, if it counted.
    Paid(u32),
    /// The same, about the block that is so many after the tip.
    Beyond(u16),
    /// Of a slot that is used, about the block that is so many after its payout's, as soon as that is there.
    Early(u16),
    /// None yet, nor does it front anything.
    Waiting,
}

impl Lie {
    /// Whether there is anything to lie about of a slot that is used, or is not.
    pub(super) fn is_about(&self, used: bool) -> bool {
        used == matches!(self.claim, Claim::Early(_))
    }
}

impl Operator {
    /// Lies from now on.
    pub fn lie(&mut self, lie: Lie) {
        self.lie = Some(lie);
    }

    /// What a liar claims, once it can.
    pub(super) fn false_statement(
        &self,
        lie: &Lie,
        view: &dyn View,
        graph: &RunGraph,
        slot: SlotId,
    ) -> Result<Found, Error> {
        let (confirmations, tip) = (self.bridge.parameters.confirmations, view.height());
        let k = u32::from(confirmations);
        let height = match lie.claim {
            Claim::Unpaid => tip.saturating_sub(k),
            Claim::Paid(height) if is_deep(height + k, confirmations, tip) => height + k,
            Claim::Paid(_) | Claim::Waiting => return Ok(Found::NotYet),
            Claim::Beyond(blocks) => tip + u32::from(blocks),
            Claim::Early(blocks) => match view.ledger().state_at_tip().slot(slot)? {
                Some(fulfilment) => fulfilment.height + u32::from(blocks),
                None => return Ok(Found::NotYet),
            },
        };
        let checkpoint = graph.terms.checkpoint.height;
        let n = height.checked_sub(checkpoint).filter(|n| *n > 0).and_then(|n| u16::try_from(n).ok());
        let Some(n) = n else { return Ok(Found::NotYet) };
        let forged = Forged::new(lie.history, view.ledger(), checkpoint, n, confirmations)?;
        let entry = forged.entry(u32::from(n), view.ledger().entry(height)?);
        Ok(entry.map_or(Found::NotYet, |entry| {
            let [a, b, c, d, ..] = entry.block_hash;
            Found::Yes(Statement { n, block_prefix: [a, b, c, d] })
        }))
    }
}
