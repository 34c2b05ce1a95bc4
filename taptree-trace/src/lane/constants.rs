//! What is constant in a lane: fixed when the committee signs it, and so written into its scripts.

use std::ops::Range;

use bitcoin::XOnlyPublicKey;
use serde::{Deserialize, Serialize};
use trestle_rollup::Digest;

/// The constants of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneConstants {
    /// X_0, the entry R_{h0} that the run starts from.
    pub checkpoint: Digest,
    /// S_0, the first state of the program.
    pub first_state: Digest,
    /// Where the program's code is.
    pub code: Range<u32>,
    /// The slot's id, encoded.
    pub slot: [u8; 6],
    /// K: how deep what a claim rests on must be.
    pub confirmations: u16,
    /// What the hash of a header of a fork must not be above, as it is written by SHA-256 (the last byte is the highest).
    pub target: [u8; 32],
    /// The challenger's key: nobody else can spend a disproof leaf.
    pub challenger: XOnlyPublicKey,
}
