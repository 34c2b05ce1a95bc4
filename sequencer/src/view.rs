//! What a sequencer reads of the chain.

use trestle_bridge::watch::Watch;
use trestle_rollup::Ledger;

/// The chain as this node follows it. Both parts must have taken in the same blocks.
#[derive(Clone)]
pub struct View {
    /// The Layer 2.
    pub ledger: Ledger,
    /// The transactions and outputs that [`Duty::Broadcast`](crate::Duty::Broadcast) asks to be watched.
    pub watch: Watch,
}

impl View {
    /// Height of the tip.
    pub fn height(&self) -> u32 {
        self.ledger.tip().0
    }
}
