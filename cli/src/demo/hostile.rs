//! A claim that is true, contested by challengers that know better: the operator keeps its bond, and is paid back what it fronted.

use std::path::Path;
use std::str::FromStr;

use bitcoin::Transaction;
use bitcoin::consensus::encode::serialize_hex;
use serde_json::{Value, json};
use trestle_bridge::transactions::payout;
use trestle_bridge::wallet::Funding;
use trestle_challenger::dispute::{Cell, Hostile, Twice, Way};
use trestle_challenger::operator::Front;
use trestle_rollup::SlotId;

use super::dispute::{self, Plan};
use super::report::Done;
use super::{DENOMINATION, Dispute, Error, Stage, TENTH, checks};
use crate::devnet::CAST;
use crate::output::Output;
use crate::runtime::{self, Cast, TimelineStep};

mod settled;
mod storm;

use storm::Storm;

/// What is done to an operator that has paid, and says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostileKind {
    /// A challenger lets one of its turns pass.
    Stall,
    /// One contests, and enters no lane.
    NoShow,
    /// One does anything.
    Random,
    /// One goes to a cell of the table of docs/protocol.md.
    Walk,
    /// One makes every choice once off chain, and otherwise on chain.
    Double,
    /// One names an access that is read off chain, and one that is written on chain, or the other way round.
    Access,
    /// One makes choices about what the operator has never said.
    Forward,
    /// One does everything in the last block.
    Late,
    /// One in every lane.
    EveryLane,
    /// One has the operator show the headers of a block that everybody knows.
    Fork,
    /// Another operator pays the withdrawal first, and a challenger stalls.
    FrontRun,
    /// Reorganizations of up to K blocks at every stage, and a challenger that does anything.
    Reorg,
}

impl HostileKind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Stall,
        Self::NoShow,
        Self::Random,
        Self::Walk,
        Self::Double,
        Self::Access,
        Self::Forward,
        Self::Late,
        Self::EveryLane,
        Self::Fork,
        Self::FrontRun,
        Self::Reorg,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stall => "hostile-stall",
            Self::NoShow => "hostile-noshow",
            Self::Random => "hostile-random",
            Self::Walk => "hostile-walk",
            Self::Double => "hostile-double",
            Self::Access => "hostile-access",
            Self::Forward => "hostile-forward",
            Self::Late => "hostile-late",
            Self::EveryLane => "hostile-every-lane",
            Self::Fork => "hostile-fork",
            Self::FrontRun => "hostile-frontrun",
            Self::Reorg => "hostile-reorg",
        }
    }

    const fn cast(self) -> Cast {
        match self {
            Self::EveryLane => Cast { challengers: 3, ..CAST },
            _ => CAST,
        }
    }

    /// What the last transaction of the lane is called, or begins with, where that does not depend on the seed.
    const fn last(self) -> &'static str {
        match self {
            Self::NoShow => "NoShow",
            Self::Walk | Self::Double | Self::Access | Self::Forward | Self::Late => {
                "OperatorWins {}, lane 0: NodeOpened"
            }
            Self::Fork => "OperatorWins {}, lane 0: Forked",
            Self::Stall | Self::Random | Self::EveryLane | Self::FrontRun | Self::Reorg => "OperatorWins",
        }
    }

    /// How the challenger with this index plays.
    fn challenger(self, index: usize, plan: Plan) -> Hostile {
        let Plan { seed, at, on_chain, .. } = plan;
        let at = at.unwrap_or(seed);
        let (asks, way) = if on_chain { (0, Way::Rounds) } else { (usize::MAX, Way::Forward) };
        let shortest = Hostile { seed, cell: None, asks, twice: Twice::Nothing, way, moves: usize::MAX, late: false };
        let openings = if on_chain { Way::Rounds } else { Way::Openings };
        match self {
            Self::Stall | Self::FrontRun => Hostile { moves: 1 + plan.at.unwrap_or(seed % 3) as usize, ..shortest },
            Self::NoShow => Hostile { moves: 0, ..shortest },
            Self::Random | Self::Reorg => Hostile { way: Way::Anyhow, ..shortest },
            Self::Walk => Hostile { cell: Some(Cell::new(at)), way: openings, ..shortest },
            Self::Double | Self::Access => {
                let twice = if self == Self::Double { Twice::Everything } else { Twice::Access };
                // All, or up to an opening, which the operator then makes on chain. What comes first differs from what comes later.
                let asks = [usize::MAX, 8, 31, 35].into_iter().nth(at as usize % 4).unwrap_or(usize::MAX);
                Hostile { asks, twice, cell: Some(Cell::new(seed % 7)), ..shortest }
            }
            // With a part of the history played, and contradicted, or with nothing played at all.
            Self::Forward => {
                Hostile { asks: if on_chain { 0 } else { 5 }, twice: Twice::Everything, way: Way::Forward, ..shortest }
            }
            Self::Late => Hostile { late: true, ..shortest },
            Self::EveryLane => match index {
                0 => Hostile { moves: 2, ..shortest },
                1 => Hostile { way: Way::Anyhow, ..shortest },
                _ => Hostile { cell: Some(Cell::new(at)), way: openings, ..shortest },
            },
            // The step from entry 0 or from the one before N: both blocks are there.
            Self::Fork => Hostile { cell: Some(Cell::new(at % (Cell::COUNT / 3))), way: Way::Fork, ..shortest },
        }
    }
}

impl FromStr for HostileKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| format!("no such kind: {text}"))
    }
}

/// Plays it to its end, and checks by Bitcoin's blocks that the operator has lost nothing.
///
/// # Errors
/// It has, or it did not end.
pub(super) fn play(directory: &Path, output: &Output, kind: HostileKind, plan: Plan) -> Result<Done, Error> {
    let cast = kind.cast();
    let mut stage = Stage::with_cast(directory, *output, cast)?;
    stage.title("The bridge is set up, and Alice deposits 0.1 BTC");
    // As the runway has it: one slot, and one more of each run for every challenger but one.
    stage.world().open_runs(&[DENOMINATION], cast.challengers)?;
    stage.user("alice", &["wallet", "new"])?;
    stage.user("alice", &["faucet", "1BTC"])?;
    let said = stage.user("alice", &["deposit", TENTH])?;
    stage.note("alice", "Deposit", &said["txid"])?;
    stage.wait_balance("alice", 10_000_000)?;

    stage.title("A signer is down. Alice withdraws; an operator pays her and claims; what it claims is contested");
    let mut cells = Vec::new();
    for (index, challenger) in stage.world().runtime.challengers.iter_mut().enumerate() {
        let hostile = kind.challenger(index, plan);
        cells.extend(hostile.cell.map(|cell| format!("   challenger {index} steers to {cell}")));
        challenger.oppose(hostile);
    }
    cells.iter().for_each(|line| stage.say(line));
    if let Some(signer) = stage.world().runtime.signers.signers.last_mut() {
        signer.online = false;
    }
    // That takes no fee on the Layer 2, where she has just so much.
    let forced = stage.user("alice", &["force", "withdraw", TENTH])?;
    stage.note("alice", "Withdrawal, commit", &forced["commit"])?;
    stage.note("alice", "Withdrawal, reveal", &forced["reveal"])?;
    let mut storm = (kind == HostileKind::Reorg).then(|| Storm::new(plan.seed));
    let (operator, front, payment) = until(&mut stage, &mut storm, "an operator pays", payout_made)?;
    if kind == HostileKind::FrontRun {
        front_run(&mut stage, operator, &front, &payment, plan.at.unwrap_or(plan.seed))?;
    }
    let slot = front.slot;
    let rest = until(&mut stage, &mut storm, "every lane is over", |stage| settled::quiet(stage, slot))?;
    stage.world().miner().mine(rest).map_err(crate::devnet::Error::from)?;
    let settled = until(&mut stage, &mut storm, "the operator is paid back", |stage| settled::read(stage, slot))?;
    checks::claims_were_judged_true(&stage.world().runtime)?;
    settled.check()?;
    let dispute = told(&stage, kind, plan.on_chain, slot);
    let last = kind.last().replace("{}", &slot.to_string());
    let ends_so = dispute.txs.iter().any(|tx| tx.step.action.starts_with(&last));
    checks::check(ends_so, || format!("the lane ends with {last}: {:?}", dispute.txs))?;
    stage.show();
    stage.say(&dispute.summary());
    for line in settled.lines() {
        stage.say(&format!("   {line}"));
    }
    if let Some(storm) = &storm {
        stage.say(&format!("   {}", storm.summary()));
    }
    stage.done(Vec::new(), vec![dispute], None)
}

/// Blocks within which all of it has to happen: more than a lane may take.
const PATIENCE: u32 = 2_000;

/// Mines until there is an answer.
fn until<T>(
    stage: &mut Stage,
    storm: &mut Option<Storm>,
    what: &str,
    answer: impl Fn(&Stage) -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    for _ in 0..PATIENCE {
        if let Some(answer) = answer(stage)? {
            return Ok(answer);
        }
        stage.mine(1)?;
        if let Some(storm) = storm {
            storm.break_out(stage)?;
        }
    }
    Err(Error::Check(format!("within {PATIENCE} blocks {what}")))
}

/// The operator that pays, by its index, what it fronts, and its payout, which waits for a block or is in one.
fn payout_made(stage: &Stage) -> Result<Option<(usize, Front, Transaction)>, Error> {
    let world = stage.world();
    for (index, operator) in world.runtime.operators.iter().enumerate() {
        for front in operator.machine().fronts().map_err(runtime::Error::from)? {
            if let Some(payout) = front.payout.clone() {
                return Ok(Some((index, front, payout)));
            }
        }
    }
    Ok(None)
}

/// The other operator pays the withdrawal before this one's payout is mined: by a slot of its own, whose time it is not; by the slot of
/// the one that pays; or so in one block with the payout, just before it.
fn front_run(stage: &mut Stage, operator: usize, front: &Front, payout: &Transaction, how: u64) -> Result<(), Error> {
    let mut world = stage.world();
    let Some(rival) = (0..world.runtime.operators.len()).find(|index| *index != operator) else {
        return Err(Error::Check("there is another operator".into()));
    };
    let run = world.runtime.operators.get(rival).and_then(|rival| rival.machine().runs().next().cloned());
    let own = run.map(|run| run.terms.slot(0)).ok_or_else(|| Error::Check("the other operator has a run".into()))?;
    let slot = if how.is_multiple_of(3) { own } else { front.slot };
    let destination = payout.output.first().map(|output| output.script_pubkey.clone()).unwrap_or_default();
    let outputs = payout::outputs(world.runtime.bridge(), front.withdrawal, destination, slot);
    let outputs = outputs.map_err(runtime::Error::from)?;
    let rate = world.runtime.sender().fee_rate().map_err(runtime::Error::from)?;
    let Some(role) = world.runtime.operators.get_mut(rival) else { return Ok(()) };
    let tx = role.wallet().fund(&outputs, Funding::at(rate)).map_err(runtime::Error::from)?;
    let (name, action) =
        (role.role.name.clone(), format!("Payout of withdrawal {} by {slot}, the rival's", front.withdrawal));
    world.runtime.sender().note(&name, &action, &tx).map_err(runtime::Error::from)?;
    let mut block = vec![serialize_hex(&tx)];
    if how % 3 == 2 {
        block.push(serialize_hex(payout));
    }
    let address = world.miner().address().to_string();
    world.node().call::<Value>("generateblock", &[json!(address), json!(block)])?;
    world.step()?;
    Ok(())
}

/// What is told of it: all from Contest on.
fn told(stage: &Stage, kind: HostileKind, on_chain: bool, slot: SlotId) -> Dispute {
    let (name, before) = (slot.to_string(), ["Run", "Claim", "Challenger's", "Payout", "Cancel"]);
    let is_of = |step: &TimelineStep| {
        step.action.split([' ', ',', ':']).any(|word| word == name)
            && !before.iter().any(|other| step.action.starts_with(other))
    };
    let mut steps = dispute::mined(stage);
    steps.retain(is_of);
    Dispute::told(kind.name(), on_chain, steps, slot.operator.into(), "operator")
}
