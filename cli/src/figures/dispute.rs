//! How long a side of a dispute thinks about a full block.

use std::time::Instant;

use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize;
use bitcoin::hashes::Hash;
use trestle_challenger::lane::{Challenger, Defender, LedgerTestimony, Next};
use trestle_challenger::operator::lie::{History, Lie, Lying, Since};
use trestle_rollup::{Digest, Ledger, SlotId};
use trestle_taptree_trace::lane::{Lane, LaneConstants, MessageId, sign};
use trestle_zkvm_adapter::{Fault, Kind, Place, guest};

use super::rollup::{MAINNET_BLOCK, ledger, parameters};
use super::script::{self, CONFIRMATIONS, LANE, seeds};
use super::{Figure, FiguresError};

/// N: the claim is about the block itself, the first after the checkpoint.
const N: u16 = 1;

/// Plays a dispute about a block of Bitcoin's main chain off chain, with everything on disk before it leaves: the slowest move.
pub fn measure(progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    progress("a dispute about a block of Bitcoin's main chain");
    let failed = |error: &dyn std::error::Error| FiguresError::Unexpected(error.to_string());
    let header: Header = deserialize(MAINNET_BLOCK.get(..80).unwrap_or_default()).map_err(|error| failed(&error))?;
    let parameters = parameters(header.prev_blockhash.to_byte_array());
    let (directory, ledger) = ledger(&parameters)?;
    ledger.extend(MAINNET_BLOCK)?;

    let [operator, challenger] = seeds();
    let (checkpoint, hash) = (parameters.genesis_height, header.block_hash().to_byte_array());
    let prefix = [hash[0], hash[1], hash[2], hash[3]];
    let lane = lane(&ledger, checkpoint)?;
    let claim = sign(&operator, &LANE, MessageId::Claim, &[&N.to_be_bytes(), &prefix]);
    let claim = claim.map_err(|error| failed(&error))?;

    let block = |_: &Digest| Ok(MAINNET_BLOCK.to_vec());
    let slot = SlotId::from_bytes(LANE.slot);
    let testimony = || LedgerTestimony::new(ledger.clone(), block, checkpoint, (N, prefix), slot, CONFIRMATIONS);
    let fault = Fault { kind: Kind::Store, place: Place::Random(1) };
    let lie = Lie { history: History::States(Since::Last), fault: Some(fault), ..Lie::default() };
    let mut truth = testimony()?;
    let mut said = Lying::new(testimony()?, lie, &ledger, checkpoint, N, CONFIRMATIONS)?;

    let db = sled::open(directory.path().join("players"))?;
    let mut challenger = Challenger::open(lane.clone(), LANE, challenger, claim.clone(), db.open_tree("challenger")?)
        .map_err(|error| failed(&error))?;
    let mut operator =
        Defender::open(lane, LANE, operator, claim, db.open_tree("operator")?).map_err(|error| failed(&error))?;
    let mut slowest = 0f64;
    loop {
        let start = Instant::now();
        let next = challenger.next(&mut truth).map_err(|error| failed(&error))?;
        slowest = slowest.max(start.elapsed().as_secs_f64());
        match next {
            Next::Ask(ask) => {
                let start = Instant::now();
                let answer = operator.answer(&ask, &mut said).map_err(|error| failed(&error))?;
                slowest = slowest.max(start.elapsed().as_secs_f64());
                challenger.receive(ask.wanted, &answer).map_err(|error| failed(&error))?;
            }
            Next::Disprove(_) => return Ok(vec![Figure::new("dispute.answer_seconds", slowest, "s")]),
            other => return Err(FiguresError::Unexpected(format!("a lie ends in {other:?}"))),
        }
    }
}

/// The lane of a claim about this ledger.
fn lane(ledger: &Ledger, checkpoint: u32) -> Result<Lane, FiguresError> {
    let image = guest::image().map_err(|error| FiguresError::Unexpected(error.to_string()))?;
    let entry = ledger.entry(checkpoint)?;
    let entry = entry.ok_or_else(|| FiguresError::Unexpected("a ledger has no checkpoint".into()))?;
    let Lane { keys, constants } = script::lane(CONFIRMATIONS)?;
    let (checkpoint, code) = (entry.digest(), image.code.clone());
    Ok(Lane { keys, constants: LaneConstants { checkpoint, code, first_state: guest::ROOT, ..constants } })
}
