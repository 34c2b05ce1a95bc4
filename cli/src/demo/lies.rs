//! What an operator does and says in each kind of dispute.

use bitcoin::{Amount, TxOut, Txid};
use serde_json::Value;
use trestle_bridge::transactions::payout;
use trestle_challenger::operator::lie::{Claim, History, Lie, MOVES, Opened, PathLie, Silence, Since};
use trestle_rollup::{Assignment, Event, Skip, SlotId, WithdrawalId};
use trestle_zkvm_adapter::layout::LEVELS;
use trestle_zkvm_adapter::{Fault, Kind, Place};

use super::dispute::Plan;
use super::{DENOMINATION, Error, Stage, TENTH, checks, text};
use crate::args::DisputeKind;
use crate::runtime;

/// Faults that are about memory.
const READ: [Kind; 7] = [Kind::Rs1, Kind::Store, Kind::Code, Kind::Pc, Kind::Rs2, Kind::Load, Kind::Root];
/// How far beyond the tip a claim's block is, if nothing else is said: further than a dispute takes.
const BEYOND: u64 = 300;
/// The user's only withdrawal, or the first of two.
const WITHDRAWAL: WithdrawalId = WithdrawalId(0);

impl DisputeKind {
    /// The operator that lies. The first withdrawal is operator 0's.
    pub(super) const fn liar(self) -> usize {
        if self.withdrawals() == 0 { 1 } else { 0 }
    }

    /// How many withdrawals there have to be.
    pub(super) const fn withdrawals(self) -> u32 {
        match self {
            Self::Double => 2,
            Self::Early | Self::Premature | Self::LatePayout | Self::Script | Self::Amount => 1,
            _ => 0,
        }
    }
}

impl Plan {
    /// What is false, but for what rests on a payout.
    fn lie(&self, confirmations: u16) -> Lie {
        let Self { kind, at, seed, on_chain } = *self;
        let place = match kind {
            DisputeKind::Silence | DisputeKind::Early => Place::Random(seed),
            _ => at.map_or(Place::Random(seed), Place::From),
        };
        let fault = |kind| Some(Fault { kind, place });
        let any = fault(by(seed, &Kind::ALL));
        let level = seed as usize % LEVELS;
        let path = |lie| Lie { fault: fault(by(seed, &READ)), opened: Some(Opened::Path(lie)), ..Lie::default() };
        let states = |since| Lie { history: History::States(since), fault: any, ..Lie::default() };
        // One header is wrong: with as much work as a chain has that nobody mines against there would be nothing else.
        let broken = (seed % (u64::from(confirmations) + 1)) as u16;
        let blocks = |since| Lie { history: History::Blocks(since, broken), ..Lie::default() };
        let lie = match kind {
            DisputeKind::Unpaid | DisputeKind::Hostile(_) => Lie::default(),
            DisputeKind::Trace(kind) => Lie { fault: fault(kind), ..Lie::default() },
            DisputeKind::Premature
            | DisputeKind::Double
            | DisputeKind::LatePayout
            | DisputeKind::Script
            | DisputeKind::Amount => Lie { fault: any, ..Lie::default() },
            DisputeKind::Early => {
                let deep = u16::try_from(at.unwrap_or(0)).unwrap_or(u16::MAX);
                Lie { claim: Claim::Early(deep), fault: any, ..Lie::default() }
            }
            DisputeKind::Beyond => {
                let ahead = u16::try_from(at.unwrap_or(BEYOND)).unwrap_or(u16::MAX);
                Lie { claim: Claim::Beyond(ahead), ..blocks(Since::Beyond(ahead)) }
            }
            DisputeKind::State(since) => states(since),
            DisputeKind::Fork => blocks(Since::Middle),
            DisputeKind::Path => path(PathLie::Bottom(level)),
            DisputeKind::Sibling => path(PathLie::Sibling(level)),
            DisputeKind::Direction => path(PathLie::Direction(level)),
            DisputeKind::OpeningBlock => Lie { opened: Some(Opened::TrueBlock), ..states(Since::Middle) },
            DisputeKind::OpeningStep => Lie { fault: any, opened: Some(Opened::TrueStep), ..Lie::default() },
            DisputeKind::OpeningNode => {
                Lie { fault: fault(by(seed, &READ)), opened: Some(Opened::TrueNode), ..Lie::default() }
            }
            DisputeKind::Silence => Lie { fault: fault(Kind::Rs1), ..Lie::default() },
        };
        let from = match kind {
            DisputeKind::Silence => Some(at.unwrap_or(1 + seed % u64::from(MOVES))),
            DisputeKind::Fork => at,
            _ => None,
        };
        let from = from.map(|from| u32::try_from(from).unwrap_or(u32::MAX));
        Lie { silence: Silence { off_chain: on_chain, from }, ..lie }
    }

    /// Has the liar lie, after whatever has to happen before.
    pub(super) fn begin(&self, stage: &mut Stage) -> Result<(), Error> {
        let confirmations = stage.world().runtime.bridge().parameters.confirmations;
        let (liar, lie) = (self.kind.liar(), self.lie(confirmations));
        if self.kind.withdrawals() > 0 {
            withdraw(stage, self.kind.withdrawals())?;
        }
        match self.kind {
            DisputeKind::Double => {
                stage.wait_step(&payout_of(liar))?;
                let (height, _) = paid(stage, liar)?;
                tell(stage, liar, Lie { claim: Claim::Paid(height), ..lie });
            }
            DisputeKind::Premature => {
                tell(stage, liar, Lie { claim: Claim::Waiting, ..lie });
                wait_turn(stage, liar)?;
                tell(stage, liar, lie);
                stage.wait_step("Claim")?;
                pay(stage, liar, |_| ())?;
                let fulfilled = stage.world().runtime.ledger().state_at_tip().slot(slot(liar));
                let fulfilled = fulfilled.map_err(runtime::Error::from)?.is_some();
                checks::check(fulfilled, || "the payout that follows counts".into())?;
            }
            DisputeKind::LatePayout | DisputeKind::Script | DisputeKind::Amount => self.pay_in_vain(stage, lie)?,
            _ => tell(stage, liar, lie),
        }
        Ok(())
    }

    /// Has the liar pay what counts for nothing, and say that it counts.
    fn pay_in_vain(&self, stage: &mut Stage, lie: Lie) -> Result<(), Error> {
        let liar = self.kind.liar();
        tell(stage, liar, Lie { claim: Claim::Waiting, ..lie });
        wait_turn(stage, liar)?;
        if self.kind == DisputeKind::LatePayout {
            wait_turn(stage, 1 - liar)?;
        }
        let own = stage.world().runtime.bridge().operator(liar as u8);
        let (height, txid) = pay(stage, liar, |output| match (self.kind, own) {
            (DisputeKind::Script, Some(own)) => output.script_pubkey = own.script_pubkey(),
            (DisputeKind::Amount, _) => output.value -= Amount::ONE_SAT,
            _ => {}
        })?;
        let why = match self.kind {
            DisputeKind::Script => Skip::WrongScript,
            DisputeKind::Amount => Skip::TooLittle,
            _ => Skip::NotAssigned,
        };
        let skipped = Event::Skipped { txid: txid.into(), why };
        let events = stage.world().runtime.ledger().events(height).map_err(runtime::Error::from)?;
        checks::check(events.contains(&skipped), || format!("the payout counts for nothing: {skipped:?}"))?;
        tell(stage, liar, Lie { claim: Claim::Paid(height), history: History::States(Since::Height(height)), ..lie });
        Ok(())
    }
}

fn by<T: Copy>(seed: u64, of: &[T]) -> T {
    of[seed as usize % of.len()]
}

fn tell(stage: &Stage, liar: usize, lie: Lie) {
    stage.world().runtime.operators[liar].lie(lie);
}

/// The liar's first slot.
const fn slot(liar: usize) -> SlotId {
    SlotId { operator: liar as u8, denomination: DENOMINATION, serial: 0 }
}

/// Alice deposits enough and, with a signer down so that operators have to pay, withdraws: always to the same address.
fn withdraw(stage: &mut Stage, times: u32) -> Result<(), Error> {
    stage.user("alice", &["wallet", "new"])?;
    stage.user("alice", &["faucet", "1BTC"])?;
    for _ in 0..=times {
        let deposited = stage.user("alice", &["deposit", TENTH])?;
        stage.note("alice", "Deposit", &deposited["txid"])?;
    }
    stage.wait_available("alice", 10_000_000 * u64::from(times + 1))?;
    stage.world().runtime.signers.signers[2].online = false;
    let mut address: Option<String> = None;
    for _ in 0..times {
        let mut words = vec!["withdraw", TENTH];
        words.extend(address.as_deref());
        let withdrawn: Value = stage.user("alice", &words)?;
        address = Some(text(&withdrawn["destination"])?.to_owned());
    }
    let all = move |stage: &Stage| -> Result<bool, Error> {
        let state = stage.world().runtime.ledger().state_at_tip();
        Ok(state.meta().map_err(runtime::Error::from)?.withdrawals >= times)
    };
    stage.wait("the withdrawals are requested", all)
}

/// Mines until the next block is in the operator's time, grace included.
fn wait_turn(stage: &mut Stage, operator: usize) -> Result<(), Error> {
    stage.wait(&format!("it is the turn of operator {operator}"), |stage| {
        let turn =
            stage.world().runtime.ledger().state_at_tip().assignment(WITHDRAWAL).map_err(runtime::Error::from)?;
        Ok(matches!(turn, Some(Assignment::Operator { index, .. }) if usize::from(index) == operator))
    })
}

/// The liar pays the withdrawal, or nearly.
fn pay(stage: &mut Stage, liar: usize, change: impl FnOnce(&mut TxOut)) -> Result<(u32, Txid), Error> {
    {
        let mut world = stage.world();
        let state = world.runtime.ledger().state_at_tip();
        let withdrawal = state.withdrawal(WITHDRAWAL).map_err(runtime::Error::from)?;
        let withdrawal = withdrawal.ok_or_else(|| Error::Check("there is a withdrawal".into()))?;
        let script = withdrawal.destination.script_pubkey();
        let outputs = payout::outputs(world.runtime.bridge(), WITHDRAWAL, script, slot(liar));
        let mut outputs = outputs.map_err(runtime::Error::from)?;
        change(&mut outputs[0]);
        world.runtime.pay(liar, &payout_of(liar), &outputs)?;
    }
    stage.mine(1)?;
    paid(stage, liar)
}

/// What the liar's payout is called.
fn payout_of(liar: usize) -> String {
    format!("Payout of withdrawal {WITHDRAWAL} by {}", slot(liar))
}

/// Height and txid of the liar's payout.
fn paid(stage: &Stage, liar: usize) -> Result<(u32, Txid), Error> {
    let steps = stage.world().runtime.timeline().steps();
    let payout = steps.into_iter().find(|step| step.action == payout_of(liar));
    let mined = payout.and_then(|step| Some((step.height?, step.txid)));
    mined.ok_or_else(|| Error::Check("the payout is mined".into()))
}
