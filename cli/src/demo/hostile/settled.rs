//! What an operator has in the end, as Bitcoin's blocks tell.

use std::sync::Arc;

use bitcoin::{Amount, OutPoint, Script, ScriptBuf, Transaction};
use trestle_bridge::chain::{Chain, ChainError};
use trestle_bridge::connector::OperatorConnector;
use trestle_bridge::transactions::{FinalizeKind, RunGraph, contest, finalize};
use trestle_rollup::SlotId;

use super::super::{Error, Stage, checks};
use crate::runtime::{self, Runtime};

/// What became of a slot whose claim was contested.
pub struct Settled {
    slot: SlotId,
    /// How the claim ended, and what of the bond came back.
    kind: FinalizeKind,
    stake: Amount,
    back: Amount,
    /// What the payout has cost, if the operator's was mined.
    fronted: Amount,
    reimbursed: Amount,
    /// What was put into the pool of each challenger's bond, and what of it came to the operator; none if it is the challenger's still.
    bonds: Vec<(Amount, Option<Amount>)>,
}

/// The transaction in a block that spends an output.
fn spender(chain: &dyn Chain, outpoint: OutPoint) -> Result<Option<Transaction>, ChainError> {
    Ok(chain.spender(&outpoint)?.filter(|found| found.height.is_some()).map(|found| found.tx))
}

fn paid_to(tx: &Transaction, script: &Script) -> Amount {
    tx.output.iter().filter(|output| *output.script_pubkey == *script).map(|output| output.value).sum()
}

/// What is so once the operator is paid back and every challenger's bond is somebody's; none before.
///
/// # Errors
/// The bond was taken by somebody else, or the chain cannot be read.
pub fn read(stage: &Stage, slot: SlotId) -> Result<Option<Settled>, Error> {
    let world = stage.world();
    let chain = world.runtime.sender().chain().as_ref();
    let Some((run, own)) = run_of(&world.runtime, slot) else { return Ok(None) };
    let Some(graph) = run.slot(slot) else { return Ok(None) };

    let stake = graph.claim.prevouts.first().map(|output| output.value).unwrap_or_default();
    let from = graph.contest.outpoint(contest::BOND);
    let Some(ended) = spender(chain, from).map_err(runtime::Error::from)? else { return Ok(None) };
    let is_end = |kind: &FinalizeKind| graph.finalize(*kind).txid() == ended.compute_txid();
    let kind = FinalizeKind::ALL.into_iter().find(is_end);
    let kind = kind.ok_or_else(|| Error::Check(format!("the bond of {slot} is its operator's ({ended:?})")))?;
    let back = ended.output.get(finalize::BOND as usize).filter(|output| output.script_pubkey == own);
    let back = back.map(|output| output.value).ok_or_else(|| Error::Check(format!("{kind:?} pays the operator")))?;
    let connector = OutPoint::new(ended.compute_txid(), finalize::CONNECTOR);
    let Some(reimburse) = spender(chain, connector).map_err(runtime::Error::from)? else { return Ok(None) };

    let mut bonds = Vec::new();
    for part in &run.terms.challengers {
        let value = chain.transaction(&part.bond.txid).map_err(runtime::Error::from)?;
        let value = value.and_then(|found| found.tx.output.get(part.bond.vout as usize).map(|output| output.value));
        match won(chain, part.bond, &own).map_err(runtime::Error::from)? {
            Won::Nothing => bonds.push((value.unwrap_or_default(), None)),
            Won::All(won) => bonds.push((value.unwrap_or_default(), Some(won))),
            Won::NotYet => return Ok(None),
        }
    }
    // Of one that nobody has entered with the operator waits until it has taken it.
    if bonds.iter().all(|(_, won)| won.is_none()) {
        return Ok(None);
    }
    let fronted = fronted(&world.runtime, slot)?;
    Ok(Some(Settled { slot, kind, stake, back, fronted, reimbursed: paid_to(&reimburse, &own), bonds }))
}

/// For how many blocks nothing comes any more: the lanes are over, and the claim's time is not. None if that is not known yet.
///
/// # Errors
/// The chain cannot be read.
pub fn quiet(stage: &Stage, slot: SlotId) -> Result<Option<u32>, Error> {
    let world = stage.world();
    let chain = world.runtime.sender().chain().as_ref();
    let Some((run, own)) = run_of(&world.runtime, slot) else { return Ok(None) };
    let Some(graph) = run.slot(slot) else { return Ok(None) };
    for part in &run.terms.challengers {
        if !matches!(won(chain, part.bond, &own).map_err(runtime::Error::from)?, Won::All(_)) {
            return Ok(None);
        }
    }
    let contest = chain.transaction(&graph.contest.txid()).map_err(runtime::Error::from)?;
    let since = contest.and_then(|found| found.height).unwrap_or(0);
    let open = spender(chain, graph.contest.outpoint(contest::BOND)).map_err(runtime::Error::from)?.is_none();
    let until = if open { since + u32::from(world.runtime.bridge().parameters.delta2.value()) } else { 0 };
    Ok(Some(until.saturating_sub(world.height()? + 2)))
}

/// The run that a slot is of, and where its operator is paid.
fn run_of(runtime: &Runtime, slot: SlotId) -> Option<(Arc<RunGraph>, ScriptBuf)> {
    let role = runtime.operators.get(usize::from(slot.operator))?;
    let run = role.machine().runs().find(|run| run.slot(slot).is_some())?;
    Some((Arc::clone(run), OperatorConnector(role.key().x_only_public_key().0).script_pubkey()))
}

/// What a challenger's bond became.
enum Won {
    /// Nobody has taken it.
    Nothing,
    /// It is in a lane.
    NotYet,
    /// So much of it is the operator's.
    All(Amount),
}

/// Follows a challenger's bond through its lane.
fn won(chain: &dyn Chain, bond: OutPoint, own: &ScriptBuf) -> Result<Won, ChainError> {
    let (mut at, mut entered) = (bond, false);
    while let Some(tx) = spender(chain, at)? {
        entered = true;
        let paid = paid_to(&tx, own);
        if paid > Amount::ZERO {
            return Ok(Won::All(paid));
        }
        at = OutPoint::new(tx.compute_txid(), 0);
    }
    Ok(if entered { Won::NotYet } else { Won::Nothing })
}

/// What the operator's payouts have cost it, with those that it has taken back.
fn fronted(runtime: &Runtime, slot: SlotId) -> Result<Amount, Error> {
    let name =
        runtime.operators.get(usize::from(slot.operator)).map(|role| role.role.name.as_str()).unwrap_or_default();
    let mut sum = Amount::ZERO;
    for step in runtime.timeline().steps().into_iter().filter(|step| step.actor == name && step.height.is_some()) {
        if step.action.starts_with("Payout") {
            let found = runtime.sender().chain().transaction(&step.txid).map_err(runtime::Error::from)?;
            sum += found.and_then(|found| found.tx.output.first().map(|output| output.value)).unwrap_or_default();
        }
        if ["Payout", "Cancel"].iter().any(|what| step.action.starts_with(what)) {
            sum += step.fee;
        }
    }
    Ok(sum)
}

impl Settled {
    /// What the operator has won by all of it, in satoshis.
    fn balance(&self) -> i64 {
        let won: Amount = self.bonds.iter().filter_map(|(_, won)| *won).sum();
        let signed = |amount: Amount| amount.to_sat() as i64;
        signed(self.back + self.reimbursed + won) - signed(self.stake + self.fronted)
    }

    /// The operator has lost nothing, and every challenger its bond.
    pub fn check(&self) -> Result<(), Error> {
        let all = self.bonds.iter().all(|(_, won)| won.is_some());
        checks::check(all, || format!("every challenger of {} loses its bond: {:?}", self.slot, self.bonds))?;
        checks::check(self.balance() > 0, || format!("the operator wins something: {} sat", self.balance()))
    }

    /// What there is to tell of it.
    pub fn lines(&self) -> Vec<String> {
        let sat = |amount: Amount| amount.to_sat();
        let mut lines = vec![
            format!(
                "the operator's bond of {} sat: {} sat came back by Finalize{:?}",
                sat(self.stake),
                sat(self.back),
                self.kind
            ),
            format!("it fronted {} sat with fees, and was reimbursed {} sat", sat(self.fronted), sat(self.reimbursed)),
        ];
        for (index, (bond, won)) in self.bonds.iter().enumerate() {
            lines.push(match won {
                Some(won) => format!(
                    "challenger {index} lost its bond of {} sat: {} sat are the operator's",
                    sat(*bond),
                    sat(*won)
                ),
                None => format!("challenger {index} has its bond"),
            });
        }
        lines.push(format!("in all the operator has {} sat more than before", self.balance()));
        lines
    }
}
