//! What disputes take of Bitcoin Script: gadgets, leaves, and the trees of a lane.

use std::ops::Range;
use std::time::Instant;

use bitcoin::key::{Keypair, Secp256k1};
use bitcoin::secp256k1::SecretKey;
use trestle_taptree_trace::gadget;
use trestle_taptree_trace::lane::{Lane, LaneConstants, LaneId, LaneKeys, challenger_keys, operator_keys};
use trestle_taptree_trace::leaf::{Family, LaneTree, Tree};
use trestle_taptree_trace::ots::SecretSeed;

use super::{Figure, FiguresError, median};

/// BitVM's `sha256_u4_stack` with its largest tables.
const BITVM_COMPRESS_BYTES: f64 = 210_892.0;
/// The same gadget's most items.
const BITVM_COMPRESS_PEAK: f64 = 732.0;
/// BitVM's Winternitz signature of 32 bytes: script and witness, by the byte.
const BITVM_WEIGHT_PER_BYTE: f64 = (4_972.0 + 1_500.0) / 32.0;
/// BitVM's Winternitz signature takes a link and a digit.
const BITVM_ITEMS_PER_DIGIT: f64 = 2.0;
/// The whole UNHASH leaf of the prototype, which Bitcoin Core accepts.
const PROTOTYPE_UNHASH_WEIGHT: f64 = 112_545.0;

/// Everything that has a size.
pub struct Sizes {
    /// The gadgets.
    pub gadgets: gadget::Figures,
    /// The leaves.
    pub families: Vec<Family>,
    /// The lane that has them.
    pub lane: Lane,
}

impl Sizes {
    /// Measures a lane with K = `confirmations`.
    ///
    /// # Errors
    /// If something does not work, which is a bug.
    pub fn measure(confirmations: u16) -> Result<Self, FiguresError> {
        let lane = lane(confirmations)?;
        Ok(Self { gadgets: gadget::Figures::measure()?, families: Family::all(&lane)?, lane })
    }
}

/// The code of the machine that the lane is about: a megabyte, several times the guest's. How long its ends are as numbers is
/// all that a script has of them.
const CODE: Range<u32> = 0x0001_0000..0x0011_0000;

pub(super) const LANE: LaneId = LaneId { instance: [1; 32], slot: [2; 6], challenger: 0 };

/// The operator's, and the challenger's.
pub(super) fn seeds() -> [SecretSeed; 2] {
    [[3; 32], [4; 32]].map(SecretSeed::new)
}

/// A lane of which the measurement holds every secret.
pub(super) fn lane(confirmations: u16) -> Result<Lane, FiguresError> {
    let [operator, challenger] = seeds();
    let operator = operator_keys(&operator, &LANE, confirmations);
    let keys = LaneKeys::new(confirmations, operator, challenger_keys(&challenger, &LANE))?;
    let secret = SecretKey::from_slice(&[5; 32]).map_err(|error| FiguresError::Unexpected(error.to_string()))?;
    let constants = LaneConstants {
        checkpoint: [6; 32],
        first_state: [7; 32],
        code: CODE,
        slot: LANE.slot,
        confirmations,
        target: [8; 32],
        challenger: Keypair::from_secret_key(&Secp256k1::new(), &secret).x_only_public_key().0,
    };
    Ok(Lane { keys, constants })
}

/// As a bridge on Bitcoin's main chain would have it.
pub const CONFIRMATIONS: u16 = 6;
/// How often trees are built.
const RUNS: usize = 5;

pub(super) fn measure(progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    progress("Script: gadgets and leaves");
    let Sizes { gadgets, families, lane } = Sizes::measure(CONFIRMATIONS)?;
    let mut figures = vec![
        Figure::count("script.compress.bytes", gadgets.compress_bytes, "bytes").against(BITVM_COMPRESS_BYTES),
        Figure::count("script.compress.peak", gadgets.compress_peak, "items").against(BITVM_COMPRESS_PEAK),
        Figure::new("script.ots.weight_per_byte", gadgets.ots_weight_per_byte, "WU").against(BITVM_WEIGHT_PER_BYTE),
        Figure::new("script.ots.items_per_digit", gadgets.ots_items_per_digit, "items").against(BITVM_ITEMS_PER_DIGIT),
    ];
    for family in &families {
        let tree = family.tree.name();
        let name =
            if family.name.starts_with("twice") { format!("{tree}.{}", family.name) } else { family.name.clone() };
        let figure = Figure::count(format!("script.leaf.{name}.weight"), family.size.witness, "WU");
        figures.push(if name == "value.unhash" { figure.against(PROTOTYPE_UNHASH_WEIGHT) } else { figure });
    }
    let largest = families.iter().map(|family| family.size.witness).max().unwrap_or_default();
    figures.push(Figure::count("script.leaf.max", largest, "WU"));

    progress("Script: the trees of a lane");
    let seconds = median(RUNS, || {
        let start = Instant::now();
        for tree in Tree::ALL {
            LaneTree::build(tree, &lane, &[])?;
        }
        Ok(start.elapsed().as_secs_f64())
    })?;
    figures.push(Figure::new("lane.tree.seconds", seconds, "s"));
    figures.push(Figure::count("lane.tree.leaves", families.iter().map(|family| family.leaves).sum(), "leaves"));
    figures.push(Figure::count("lane.keys.bytes", lane.keys.bytes(), "bytes"));
    Ok(figures)
}
