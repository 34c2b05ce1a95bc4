//! Contest: a challenger's objection to a claim.
//!
//! | | |
//! | --- | --- |
//! | spends | K, by the challenger's leaf: the committee's signature and the challenger's secret for the slot |
//! | pays | 0: K′, the bond again; 1 … m: a lane entry E_j a challenger; m+1: an anchor |
//! | published by | any one challenger, within Δ1 of Claim |
//!
//! Whoever contests, the transaction is the same but for its witness: what follows is signed once.

use bitcoin::hashes::{Hash, hash160};
use bitcoin::{Amount, OutPoint, TxOut};
use trestle_rollup::SlotId;
use trestle_taptree_trace::ots::{KeyId, SecretSeed};

use super::draft::Draft;
use super::{BuildError, Presigned, TxKind};
use crate::connector::{Kill, anchor};
use crate::parameters::Bridge;

/// The output that carries the bond on.
pub const BOND: u32 = 0;

/// The lane entry of challenger j.
pub fn entry(challenger: usize) -> u32 {
    challenger as u32 + 1
}

/// The secret by which challenger `challenger` contests the slot's claim, and its hash for the run's terms.
pub fn secret(bridge: &Bridge, seed: &SecretSeed, challenger: u16, slot: SlotId) -> ([u8; 32], hash160::Hash) {
    let id = KeyId { instance: bridge.instance, slot: slot.to_bytes(), lane: challenger, message: "contest" };
    let secret = seed.secret(&id);
    (secret, hash160::Hash::hash(&secret))
}

/// Contest of the slot `id`, whose kill output is `kill` at `outpoint`.
pub(super) fn build(
    bridge: &Bridge,
    id: SlotId,
    outpoint: OutPoint,
    output: TxOut,
    kill: &Kill,
) -> Result<Presigned, BuildError> {
    let rate = bridge.parameters.presigned_fee_rate;
    draft(bridge, id, outpoint, output, kill).change(BOND as usize, rate)?.finish(&bridge.committee, rate)
}

/// What Contest takes of a bond: its fee, the connectors, the anchor.
pub(crate) fn cost(bridge: &Bridge) -> Amount {
    // Of different leaves, as they will be: of equal ones only the shallowest would count.
    let hashes = (0..bridge.parameters.challengers.len()).map(|index| hash160::Hash::hash(&index.to_le_bytes()));
    let kill = Kill::new(bridge.committee.key(), &hashes.collect::<Vec<_>>());
    let nothing = TxOut { value: Amount::ZERO, script_pubkey: kill.script_pubkey() };
    let id = SlotId { operator: 0, denomination: 0, serial: 0 };
    let draft = draft(bridge, id, OutPoint::null(), nothing, &kill);
    let connectors = bridge.parameters.connector * bridge.entries.len() as u64;
    draft.fee(bridge.parameters.presigned_fee_rate) + connectors + anchor::VALUE
}

fn draft(bridge: &Bridge, id: SlotId, outpoint: OutPoint, output: TxOut, kill: &Kill) -> Draft {
    let mut draft = Draft::new(TxKind::Contest, id)
        .leaves(outpoint, output, kill.contest_leaves().to_vec(), &Kill::CONTEST_ITEMS)
        .output(bridge.committee.script().clone(), Amount::ZERO);
    for entry in &bridge.entries {
        draft = draft.output(entry.script_pubkey(), bridge.parameters.connector);
    }
    draft.anchor()
}
