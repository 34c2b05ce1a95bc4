//! What has to hold after the demo's steps.

use std::path::Path;
use std::sync::Arc;

use bitcoin::{Amount, OutPoint, Txid};
use serde_json::Value;
use trestle_bridge::follow::Follower;
use trestle_challenger::watchtower::Verdict;
use trestle_rollup::{Event, Ledger};

use super::Error;
use crate::devnet::World;
use crate::runtime::{self, Runtime};

pub(super) fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Check(what())) }
}

/// Every role that is up has derived the same R_h at every height.
///
/// # Errors
/// It does not hold, or could not be looked at.
pub fn everyone_agrees(world: &mut World) -> Result<(), Error> {
    sequencers_agree(world)?;
    let runtime = &world.runtime;
    let (tip, _) = runtime.ledger().tip();
    for height in runtime.bridge().parameters.genesis.height..=tip {
        let entries = runtime.entries(height)?;
        let first = entries.first().and_then(|(_, entry)| *entry);
        for (name, entry) in &entries {
            check(entry.is_some() && *entry == first, || format!("{name} derives the same R at height {height}"))?;
        }
    }
    Ok(())
}

/// Every sequencer that is up has derived the R at the tip that the others have; R commits to all before it.
fn sequencers_agree(world: &mut World) -> Result<(), Error> {
    let (tip, entry) = world.runtime.ledger().tip();
    for (index, status) in world.sequencers.sync(tip).into_iter().enumerate() {
        let is_running = world.sequencers.is_running(index);
        let agrees = status.is_some_and(|status| (status.bitcoin_height, status.entry.0) == (tip, entry.digest()));
        check(agrees || !is_running, || format!("sequencer {index} derives the same R at height {tip}"))?;
    }
    Ok(())
}

/// A challenger has judged a claim, and every claim to be true.
///
/// # Errors
/// It does not hold, or could not be looked at.
pub fn claims_were_judged_true(runtime: &Runtime) -> Result<(), Error> {
    for challenger in &runtime.challengers {
        let reports = challenger.reports()?;
        let all_true = !reports.is_empty() && reports.iter().all(|report| report.verdict == Verdict::True);
        check(all_true, || format!("{} judged every claim true: {reports:?}", challenger.role.name))?;
    }
    Ok(())
}

/// Every challenger has judged a claim to be false.
///
/// # Errors
/// It does not hold, or could not be looked at.
pub fn claim_was_judged_false(runtime: &Runtime) -> Result<(), Error> {
    for challenger in &runtime.challengers {
        let reports = challenger.reports()?;
        let one_false = reports.iter().any(|report| report.verdict != Verdict::True);
        check(one_false, || format!("{} judged a claim false: {reports:?}", challenger.role.name))?;
    }
    Ok(())
}

/// A command failed, and its line says this.
///
/// # Errors
/// It does not hold, or could not be looked at.
pub fn refuses(answer: Result<Value, Error>, line: &str) -> Result<(), Error> {
    match answer {
        Err(Error::User { error, .. }) if error.contains(line) => Ok(()),
        other => Err(Error::Check(format!("the command is refused with \"{line}\": {other:?}"))),
    }
}

/// A ledger that begins with nothing derives the same R at every height; returns how many there are.
///
/// # Errors
/// It does not hold, or could not be looked at.
pub fn rederives(world: &mut World, directory: &Path) -> Result<u32, Error> {
    sequencers_agree(world)?;
    let runtime = &world.runtime;
    let db = sled::open(directory).map_err(|e| Error::file(directory, e))?;
    let ledger = Ledger::open(&db, &runtime.bridge().rollup).map_err(runtime::Error::from)?;
    let mut follower = Follower::new(Arc::clone(runtime.sender().chain()), ledger.clone());
    while follower.step().map_err(runtime::Error::from)?.is_some() {}
    let (first, last) = (runtime.bridge().parameters.genesis.height, runtime.ledger().tip().0);
    for height in first..=last {
        let again = ledger.entry(height).map_err(runtime::Error::from)?.map(|entry| entry.digest());
        for (name, entry) in runtime.entries(height)? {
            check(again.is_some() && again == entry, || format!("R at height {height} is again what {name} had"))?;
        }
    }
    Ok(last - first + 1)
}

/// The vaults that hold coins are worth exactly the Layer 2's supply and what it owes; returns how many there are.
///
/// # Errors
/// It does not hold, or could not be looked at.
pub fn vaults_cover_supply(runtime: &Runtime) -> Result<usize, Error> {
    let (ledger, chain) = (runtime.ledger(), runtime.sender().chain());
    let denominations = &runtime.bridge().parameters.denominations;
    let (mut held, mut count) = (Amount::ZERO, 0);
    for height in runtime.bridge().parameters.genesis.height..=ledger.tip().0 {
        for event in ledger.events(height).map_err(runtime::Error::from)? {
            let Event::Minted { txid, denomination, .. } = event else { continue };
            let vault = OutPoint::new(Txid::from(txid), 0);
            let spender = chain.spender(&vault).map_err(runtime::Error::from)?;
            if spender.is_none_or(|spender| spender.height.is_none()) {
                held += denominations.get(usize::from(denomination)).copied().unwrap_or_default();
                count += 1;
            }
        }
    }
    let state = ledger.state_at_tip();
    let mut owed = Amount::from_sat(state.meta().map_err(runtime::Error::from)?.supply);
    for (_, withdrawal) in state.pending_withdrawals().map_err(runtime::Error::from)? {
        owed += denominations.get(usize::from(withdrawal.denomination)).copied().unwrap_or_default();
    }
    check(held == owed, || format!("the vaults hold {owed}; they hold {held}"))?;
    Ok(count)
}
