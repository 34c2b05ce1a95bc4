//! What happens in the rows of the table of transitions.

use bitcoin::{OutPoint, ScriptBuf, Transaction};
use trestle_bridge::job::{Job, RunJob};
use trestle_bridge::transactions::{CooperativeTerms, Reveal, contest, payout};
use trestle_challenger::Error;
use trestle_challenger::operator::{Duty, Event};
use trestle_rollup::{SlotId, WithdrawalId};
use trestle_signer::event::Delivery;

use crate::chain::{output, spend};
use crate::world::{DELTA1, DESTINATION, FIRST, K, World, slot};

/// What happens in a row.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    NewRun,
    /// A run of a denomination that there is not, of no slots, and of too many.
    NewRunOf(u8, u32),
    Join,
    /// A challenger gave too few hashes.
    JoinShort,
    FundRun,
    /// The wallet made another transaction for the same run.
    FundRunAgain,
    /// The wallet funded something else.
    FundRunWrong,
    Abandon,
    DeliverRun,
    /// One signature is wrong.
    DeliverRunWrong,
    /// One signature is missing.
    DeliverRunShort,
    /// The terms are another run's.
    DeliverRunOther,
    /// The signatures of one lane are missing, or all of them.
    DeliverRunWithoutLane,
    DeliverRunWithoutLanes,
    /// One of a lane's signatures is wrong, or missing, or the run has no such lane.
    DeliverLaneWrong,
    DeliverLaneShort,
    DeliverNoLane,
    /// A vault is made, and nobody tells the operator.
    Deposit,
    /// A vault of ten times the value is made, which gives the user coins to withdraw.
    DepositLarge,
    /// A vault is made, and the committee's signatures come.
    DeliverDeposit,
    DeliverDepositWrong,
    /// A deposit that has only slots of others.
    DeliverDepositForeign,
    /// A job that is nothing to operators.
    DeliverCooperative,
    Tip,
    /// A run of two slots on Bitcoin, deep.
    Run,
    /// That, and two vaults, deep.
    Ready,
    Withdraw,
    /// Ready, a withdrawal, and its payout broadcast.
    Front,
    /// That, and the payout mined.
    Pay,
    /// That, and the claim mined.
    Claim,
    /// That, and FinalizeFast mined.
    Finalize,
    FundPayout(u32),
    FundPayoutAgain(u32),
    FundPayoutWrong(u32),
    /// What the operator wants broadcast is mined.
    Mine,
    /// What waits is mined, whatever the operator thinks of it now.
    MinePool,
    /// The tip's duties are done, and nothing is mined.
    Do,
    Blocks(u32),
    Disconnect(u32),
    TakeVault(usize),
    /// Somebody else pays the first withdrawal for slot 0.
    PayByStranger,
    /// Somebody else pays the third withdrawal for slot 0, out of spite.
    PayThirdByStranger,
    /// The other operator pays the second withdrawal.
    PayByRival,
    /// The committee pays the first withdrawal from the first vault.
    PayCooperatively,
    Contest,
    /// A challenger did something with its lane's entry.
    Enter,
    /// Slot 0's bond is taken by an unknown transaction.
    TakeBond,
    /// The chain is as high as the end of the run.
    RunEnd,
}
use Step::*;

/// Starts the operator again, and does the step; returns the duties, if it gives an event.
pub fn run(world: &mut World, step: Step) -> Result<Vec<Duty>, Error> {
    world.restart();
    match step {
        NewRun => return world.process(Event::NewRun { denomination: 0, slots: 2 }),
        NewRunOf(denomination, slots) => return world.process(Event::NewRun { denomination, slots }),
        Join => {
            let joined = world.joined(first(world), 2);
            return world.process(joined);
        }
        JoinShort => {
            let Event::Joined { run, mut challengers } = world.joined(first(world), 2) else { unreachable!() };
            challengers[1].contest_hashes.pop();
            return world.process(Event::Joined { run, challengers });
        }
        FundRun | FundRunAgain | FundRunWrong => {
            let output = world.process(Event::Tip).unwrap().into_iter().find_map(|duty| match duty {
                Duty::FundRun { output, .. } => Some(output),
                _ => None,
            });
            let known = world.operator.runs().next().map(|run| run.terms.bond_output(&world.bridge).unwrap());
            let mut output = output.or(known).unwrap();
            if matches!(step, FundRunWrong) {
                output.value -= bitcoin::Amount::ONE_SAT;
            }
            let coin = if matches!(step, FundRunAgain) { world.chain.coin() } else { OutPoint::null() };
            return world.process(Event::RunFunded { run: first(world), tx: spend(coin, vec![output]) });
        }
        Abandon => return world.process(Event::AbandonRun { run: first(world) }),
        DeliverRun
        | DeliverRunWrong
        | DeliverRunShort
        | DeliverRunOther
        | DeliverRunWithoutLane
        | DeliverRunWithoutLanes
        | DeliverLaneWrong
        | DeliverLaneShort
        | DeliverNoLane => {
            let terms = world.operator.runs().next().unwrap().terms.clone();
            let job = Job::Run(RunJob { terms, vaults: world.vaults.clone() });
            let mut delivery = world.committee.deliver(job, &[]);
            match (step, &mut delivery.job) {
                (DeliverRunWrong, _) => delivery.signatures[0].swap(2, 3),
                (DeliverRunShort, _) => drop(delivery.signatures[0].pop()),
                (DeliverRunWithoutLane, _) => drop(delivery.lanes.remove(2)),
                (DeliverRunWithoutLanes, _) => delivery.lanes.clear(),
                (DeliverLaneWrong, _) => delivery.lanes[1].signatures.swap(0, 1),
                (DeliverLaneShort, _) => delivery.lanes[1].signatures.truncate(1),
                (DeliverNoLane, _) => delivery.lanes[1].at.slot = 2,
                (DeliverRunOther, Job::Run(run)) => run.terms.checkpoint.height -= 1,
                _ => {}
            }
            return world.process(Event::Delivered(Box::new(delivery)));
        }
        Deposit => drop(world.deposit()),
        DepositLarge => drop(world.deposit_of(1, Vec::new())),
        DeliverDeposit | DeliverDepositWrong | DeliverDepositForeign => {
            let mut delivery = world.deposit();
            match (step, &mut delivery.job) {
                (DeliverDepositWrong, _) => delivery.signatures[1].swap(0, 1),
                (DeliverDepositForeign, Job::Deposit(deposit)) => {
                    deposit.slots.iter_mut().for_each(|slot| slot.operator = 1);
                }
                _ => {}
            }
            return world.process(Event::Delivered(Box::new(delivery)));
        }
        DeliverCooperative => {
            let job = Job::Cooperative(cooperative(world));
            return world.process(Event::Delivered(Box::new(Delivery {
                job,
                signatures: Vec::new(),
                lanes: Vec::new(),
            })));
        }
        Tip => return world.process(Event::Tip),
        Run => world.make_run(2),
        Ready => {
            world.make_run(2);
            world.deposit_and_deliver();
            world.deposit_and_deliver();
            world.mine_empty(K);
        }
        Withdraw => world.withdraw(),
        Front => {
            steps(world, &[Ready, Withdraw, Blocks(FIRST)]);
            world.tip();
        }
        Pay => steps(world, &[Front, MinePool]),
        Claim => steps(world, &[Pay, Blocks(2 * K), Mine]),
        Finalize => steps(world, &[Claim, Blocks(DELTA1 - 1), Mine]),
        FundPayout(id) | FundPayoutAgain(id) | FundPayoutWrong(id) => {
            let outputs =
                payout::outputs(&world.bridge, WithdrawalId(id), DESTINATION.script_pubkey(), slot(0)).unwrap();
            let mut tx = spend(world.chain.coin(), outputs.to_vec());
            if !matches!(step, FundPayoutAgain(_)) {
                tx.input[0].previous_output = OutPoint::null();
            }
            if matches!(step, FundPayoutWrong(_)) {
                tx.output.swap(0, 1);
            }
            return world.process(Event::PayoutFunded { slot: slot(0), tx });
        }
        Mine => world.live(1),
        MinePool => world.mine(),
        Do => world.tip(),
        Blocks(count) => world.mine_empty(count),
        Disconnect(depth) => drop(world.chain.disconnect(depth as usize)),
        TakeVault(place) => world.take_vault(place),
        PayByStranger | PayByRival | PayThirdByStranger => {
            let (id, slot) = match step {
                PayByRival => (1, SlotId { operator: 1, ..slot(0) }),
                PayThirdByStranger => (2, slot(0)),
                _ => (0, slot(0)),
            };
            let outputs = payout::outputs(&world.bridge, WithdrawalId(id), DESTINATION.script_pubkey(), slot).unwrap();
            let tx = spend(world.chain.coin(), outputs.to_vec());
            world.chain.mine(vec![tx]);
        }
        PayCooperatively => {
            let presigned = cooperative(world).build(&world.bridge).unwrap();
            let tx = world.committee.complete(&presigned, Reveal::Nothing);
            world.chain.mine(vec![tx]);
        }
        Contest => {
            let tx = world.contest(0);
            world.chain.mine(vec![tx]);
        }
        Enter => {
            let entry = world.graph(0).slots[0].contest.outpoint(contest::entry(0));
            world.chain.mine(vec![stranger(entry)]);
        }
        TakeBond => {
            let bond = world.graph(0).terms.bond;
            world.chain.mine(vec![stranger(bond)]);
        }
        RunEnd => {
            let end = world.graph(0).terms.end().unwrap().to_consensus_u32();
            world.chain.ahead = end - world.height();
        }
    }
    Ok(Vec::new())
}

/// Does the steps, one after the other.
pub fn steps(world: &mut World, steps: &[Step]) {
    for step in steps {
        drop(run(world, *step));
    }
}

fn cooperative(world: &World) -> CooperativeTerms {
    let destination = DESTINATION.script_pubkey();
    let fee = world.bridge.parameters.withdrawal_fee;
    CooperativeTerms { withdrawal: WithdrawalId(0), vault: world.vaults[0], destination, fee }
}

fn stranger(input: OutPoint) -> Transaction {
    spend(input, vec![output(1_000, ScriptBuf::new())])
}

fn first(world: &World) -> SlotId {
    world.operator.status(&world.chain).unwrap().runs.last().map_or(slot(0), |run| run.run)
}
