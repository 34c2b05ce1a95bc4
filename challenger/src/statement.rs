//! What a claim says, and whether it is so.

use trestle_bridge::transactions::claim::Statement;
use trestle_rollup::SlotId;

use crate::Error;
use crate::view::View;

/// The statement about the block at a height, if the ledger has it and it does not come before the checkpoint.
pub(crate) fn statement_at(view: &dyn View, checkpoint: u32, height: u32) -> Result<Option<Statement>, Error> {
    let Some(n) = height.checked_sub(checkpoint).and_then(|n| u16::try_from(n).ok()) else {
        return Ok(None);
    };
    Ok(view.ledger().entry(height)?.map(|entry| {
        let [a, b, c, d, ..] = entry.block_hash;
        Statement { n, block_prefix: [a, b, c, d] }
    }))
}

/// Whether a statement about a slot holds on the ledger's chain (PROTOCOL §6).
pub(crate) fn holds(
    view: &dyn View,
    slot: SlotId,
    checkpoint: u32,
    statement: Statement,
    confirmations: u16,
) -> Result<bool, Error> {
    let height = checkpoint.saturating_add(u32::from(statement.n));
    if view.ledger().entry(height)?.is_none() {
        return Ok(false);
    }
    let state = view.ledger().state(height)?;
    Ok(state.claim_holds(slot, u32::from(confirmations), statement.block_prefix)?)
}
