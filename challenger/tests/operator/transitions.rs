//! A row a transition: what happened before, the event, and the duties. Before every event the operator is started again, so
//! what a row shows rests on the store and the chain alone.

use bitcoin::block::Header;
use bitcoin::{OutPoint, Txid};
use trestle_bridge::transactions::claim::Statement;
use trestle_challenger::operator::lie::{Claim as FalseClaim, History, Lie, Since};
use trestle_challenger::operator::{Duty, Event};
use trestle_challenger::view::Blocks;
use trestle_challenger::{Error, Mined, View, ViewError};
use trestle_rollup::Ledger;

use crate::steps::Step::{self, *};
use crate::steps::{run, steps};
use crate::world::{CANCEL, COOPERATIVE, DELTA1, DELTA2, FIRST, GRACE, K, WINDOW, World, key, seed, shown};

/// `before`, then the last step, whose duties are these.
fn row(before: &[Step], event: Step, duties: &[&str]) {
    let mut world = World::new();
    for step in before {
        run(&mut world, *step).unwrap_or_else(|error| panic!("{before:?}: {step:?}: {error}"));
    }
    let got = run(&mut world, event).unwrap_or_else(|error| panic!("{before:?}: {event:?}: {error}"));
    assert_eq!(shown(&got), duties, "{before:?} and then {event:?}");
}

/// `before`, then the last step, which is refused and changes nothing.
fn refused(before: &[Step], event: Step) {
    let mut world = World::new();
    for step in before {
        run(&mut world, *step).unwrap_or_else(|error| panic!("{before:?}: {step:?}: {error}"));
    }
    let due = run(&mut world, Tip).unwrap();
    let got = run(&mut world, event);
    assert!(matches!(got, Err(Error::Refused(_))), "{before:?} and then {event:?}: {got:?}");
    if !matches!(event, DeliverDepositWrong | DeliverDepositForeign) {
        assert_eq!(
            shown(&run(&mut world, Tip).unwrap()),
            shown(&due),
            "{before:?} and then {event:?} changed something"
        );
    }
}

#[test]
fn a_run_is_made_step_by_step() {
    row(&[], Tip, &[]);
    row(&[], NewRun, &["invite 0/0/0 2"]);
    row(&[NewRun], Tip, &["invite 0/0/0 2"]);
    row(&[NewRun], Join, &["fund run 0/0/0"]);
    row(&[NewRun, Join], Join, &[]);
    row(&[NewRun, Join], Tip, &["fund run 0/0/0"]);
    row(&[NewRun, Join], FundRun, &["request 0/0/0"]);
    row(&[NewRun, Join, FundRun], FundRun, &[]);
    row(&[NewRun, Join, FundRun], Tip, &["request 0/0/0"]);
    row(&[NewRun, Join, FundRun], DeliverRun, &["Run 0/0/0"]);
    row(&[NewRun, Join, FundRun, DeliverRun], DeliverRun, &[]);
    row(&[NewRun, Join, FundRun, DeliverRun], Tip, &["Run 0/0/0"]);
    // The bond waits for every lane.
    row(&[NewRun, Join, FundRun], DeliverRunWithoutLanes, &[]);
    row(&[NewRun, Join, FundRun, DeliverRunWithoutLanes], Tip, &["request 0/0/0"]);
    row(&[NewRun, Join, FundRun], DeliverRunWithoutLane, &[]);
    row(&[NewRun, Join, FundRun, DeliverRunWithoutLane], Tip, &["request 0/0/0"]);
    row(&[NewRun, Join, FundRun, DeliverRunWithoutLane], DeliverRun, &["Run 0/0/0"]);
    row(&[Run], Tip, &[]);
    row(&[Run, Disconnect(K + 1)], Tip, &["Run 0/0/0"]);
}

#[test]
fn what_makes_no_run_is_refused() {
    refused(&[], NewRunOf(3, 1));
    refused(&[], NewRunOf(0, 0));
    refused(&[], NewRunOf(0, 1_001));
    refused(&[], Abandon);
    refused(&[], Join);
    refused(&[NewRun], NewRun);
    refused(&[NewRun], JoinShort);
    refused(&[NewRun, Join], FundRunWrong);
    refused(&[NewRun, Join, FundRun], FundRunAgain);
    refused(&[NewRun, Join, FundRun], NewRun);
    refused(&[NewRun, Join, FundRun], DeliverRunWrong);
    refused(&[NewRun, Join, FundRun], DeliverRunShort);
    refused(&[NewRun, Join, FundRun], DeliverRunOther);
    refused(&[NewRun, Join, FundRun], DeliverLaneWrong);
    refused(&[NewRun, Join, FundRun], DeliverLaneShort);
    refused(&[NewRun, Join, FundRun], DeliverNoLane);
    refused(&[NewRun, Join, FundRun, DeliverRun], Abandon);
}

#[test]
fn no_serial_number_is_used_twice() {
    row(&[NewRun, Abandon], Tip, &[]);
    row(&[NewRun, Abandon], NewRun, &["invite 0/0/2 2"]);
    row(&[NewRun, Join, FundRun, Abandon], NewRun, &["invite 0/0/2 2"]);
    row(&[NewRun, NewRunOf(1, 3)], Tip, &["invite 0/0/0 2", "invite 0/1/0 3"]);
    row(&[Run], NewRun, &["invite 0/0/2 2"]);
}

#[test]
fn lost_signatures_are_asked_for_again() {
    row(&[Run, Deposit], Tip, &["request 0/0/0"]);
    row(&[Run, DeliverDeposit], Tip, &[]);
    row(&[Run, Deposit, DeliverRun], Tip, &[]);
    refused(&[Run], DeliverDepositWrong);
    refused(&[Run], DeliverDepositForeign);
    refused(&[Run, Deposit], DeliverCooperative);
}

#[test]
fn a_withdrawal_is_fronted_in_its_time() {
    let in_time = "fund payout of 0 by 0/0/0";
    row(&[Ready, Withdraw], Tip, &[]);
    row(&[Ready, Withdraw, Blocks(FIRST - 1)], Tip, &[]);
    row(&[Ready, Withdraw, Blocks(FIRST)], Tip, &[in_time]);
    // A quarter of the window must be left.
    row(&[Ready, Withdraw, Blocks(COOPERATIVE + WINDOW - 1 - WINDOW / 4)], Tip, &[in_time]);
    row(&[Ready, Withdraw, Blocks(COOPERATIVE + WINDOW - WINDOW / 4)], Tip, &[]);
    row(&[Ready, Withdraw, Blocks(FIRST), Disconnect(1)], Tip, &[]);
    // The second withdrawal is the other operator's first, and then this one's.
    row(&[Ready, Withdraw, Withdraw, Blocks(FIRST)], Tip, &[in_time]);
    row(&[Ready, Withdraw, Withdraw, Blocks(FIRST + WINDOW + GRACE)], Tip, &["fund payout of 1 by 0/0/0"]);
}

#[test]
fn a_withdrawal_is_fronted_only_if_a_vault_pays_it_back() {
    row(&[Ready, TakeVault(0), Withdraw, Blocks(FIRST)], Tip, &["fund payout of 0 by 0/0/0"]);
    row(&[Ready, TakeVault(0), TakeVault(1), Withdraw, Blocks(FIRST)], Tip, &[]);
    // The committee has paid one withdrawal, and that from a vault.
    let three = [Ready, DeliverDeposit, Withdraw, PayCooperatively, Withdraw, Withdraw, Blocks(FIRST)];
    row(&three, Tip, &["fund payout of 2 by 0/0/0"]);
    // The withdrawal before it will take the last vault.
    row(&[&three[..], &[TakeVault(1)]].concat(), Tip, &[]);
    // Larger vaults pay nothing back, and what is left has been promised to the other operator.
    let ready = [Run, DeliverDeposit, DeliverDeposit, DepositLarge, Blocks(K)];
    let requests = [Withdraw, PayCooperatively, Withdraw, Blocks(COOPERATIVE)];
    let third = [Withdraw, Blocks(FIRST)];
    row(&[&ready[..], &requests, &third].concat(), Tip, &[]);
    row(&[&ready[..], &requests, &[PayByRival], &third].concat(), Tip, &[]);
    row(&[&ready[..], &requests, &[PayByRival, DeliverDeposit], &third].concat(), Tip, &["fund payout of 2 by 0/0/0"]);
    // Nothing is signed for the vault.
    row(&[Run, Deposit, Withdraw, Blocks(FIRST)], Tip, &["request 0/0/0"]);
    row(&[Run, DeliverDeposit, Withdraw, Blocks(FIRST)], Tip, &["fund payout of 0 by 0/0/0"]);
}

#[test]
fn a_slot_is_used_when_its_bond_is_deep() {
    let run = [NewRun, Join, FundRunAgain, DeliverRun];
    let before = [&[Deposit, Blocks(K)][..], &run, &[Withdraw, Blocks(FIRST), Mine]].concat();
    row(&before, Tip, &[]);
    row(&[&before[..], &[Blocks(K - 1)]].concat(), Tip, &[]);
    row(&[&before[..], &[Blocks(K)]].concat(), Tip, &["fund payout of 0 by 0/0/0"]);
}

#[test]
fn two_runs_do_not_front_one_withdrawal() {
    let before = [Run, Run, DeliverDeposit, DeliverDeposit, Blocks(K), Withdraw, Blocks(FIRST)];
    row(&before, Tip, &["fund payout of 0 by 0/0/0"]);
    row(&[&before[..], &[Tip]].concat(), Tip, &["fund payout of 0 by 0/0/0"]);
}

#[test]
fn what_is_not_deep_can_be_undone_without_a_restart() {
    let mut world = World::new();
    steps(&mut world, &[Finalize, Mine]);
    assert!(world.process(Event::Tip).unwrap().is_empty());
    world.chain.disconnect(1);
    assert_eq!(shown(&world.process(Event::Tip).unwrap()), ["Reimburse 0/0/0"]);

    let mut world = World::new();
    steps(&mut world, &[Run, Deposit]);
    assert_eq!(shown(&world.process(Event::Tip).unwrap()), ["request 0/0/0"]);
    world.chain.disconnect(1);
    world.mine_empty(2);
    assert!(world.process(Event::Tip).unwrap().is_empty(), "the vault is gone");
}

#[test]
fn a_payout_is_published_once() {
    let asked = [Ready, Withdraw, Blocks(FIRST), Tip];
    row(&asked, FundPayout(0), &["Payout of withdrawal 0 by 0/0/0"]);
    row(&asked, Tip, &["fund payout of 0 by 0/0/0"]);
    refused(&asked, FundPayoutWrong(0));
    refused(&asked, FundPayout(1));
    let funded = [Ready, Withdraw, Blocks(FIRST), Tip, FundPayout(0)];
    row(&funded, FundPayout(0), &[]);
    row(&funded, Tip, &["Payout of withdrawal 0 by 0/0/0"]);
    refused(&funded, FundPayoutAgain(0));
    // What is not wanted any more is forgotten if it never left.
    row(&[Ready, Withdraw, Blocks(FIRST), Tip, PayByStranger], FundPayout(0), &[]);
    row(&[Ready, Withdraw, Blocks(FIRST), Tip, Blocks(COOPERATIVE + WINDOW)], FundPayout(0), &[]);
    row(&[Ready, Withdraw, Blocks(FIRST), Tip, Blocks(COOPERATIVE + WINDOW)], Tip, &[]);
    row(&[Ready], FundPayout(0), &[]);
}

#[test]
fn a_slow_payout_is_bumped_and_then_cancelled() {
    let publish = "Payout of withdrawal 0 by 0/0/0";
    // Blocks of the window that are left when the payout is made.
    let window = COOPERATIVE + WINDOW - 1 - FIRST;
    row(&[Front, Blocks(window - WINDOW / 4 - 1)], Tip, &[publish]);
    row(&[Front, Blocks(window - WINDOW / 4)], Tip, &[publish, "bump 0/0/0"]);
    row(&[Front, Blocks(window + GRACE - CANCEL - 1)], Tip, &[publish, "bump 0/0/0"]);
    row(&[Front, Blocks(window + GRACE - CANCEL)], Tip, &["cancel 0/0/0"]);
    row(&[Front, Blocks(window + GRACE + WINDOW)], Tip, &["cancel 0/0/0"]);
    // Mined in spite of that, and in time.
    row(&[Front, Blocks(window + GRACE - CANCEL), Tip, MinePool], Tip, &[]);
    row(&[Front, Blocks(window + GRACE - CANCEL), Tip, MinePool, Blocks(2 * K)], Tip, &["Claim 0/0/0"]);
    // A reorganization that gives the withdrawal time again does not bring a cancelled payout back.
    row(&[Front, Blocks(window + GRACE - CANCEL), Tip, Disconnect(K)], Tip, &["cancel 0/0/0"]);
}

#[test]
fn a_slot_is_free_again_when_the_cancellation_is_deep() {
    let late = COOPERATIVE + WINDOW - 1 - FIRST + GRACE - CANCEL;
    let cancelled = [Front, Blocks(late), Do, Mine];
    row(&cancelled, Tip, &[]);
    let third = [Withdraw, Withdraw, Blocks(FIRST)];
    let before = [Ready, DeliverDeposit, Withdraw, Blocks(FIRST), Do, Blocks(late - FIRST - 2)];
    let cancelled_before = [&before[..], &third, &[Do, Mine]].concat();
    row(&cancelled_before, Tip, &[]);
    row(&[&cancelled_before[..], &[Blocks(K - 1)]].concat(), Tip, &[]);
    row(&[&cancelled_before[..], &[Blocks(K)]].concat(), Tip, &["fund payout of 2 by 0/0/0"]);
    // One turn later the withdrawal comes round again.
    row(&[&cancelled[..], &[Blocks(WINDOW + GRACE + GRACE)]].concat(), Tip, &["fund payout of 0 by 0/0/0"]);
    row(&[&cancelled[..], &[Disconnect(1)]].concat(), Tip, &["cancel 0/0/0"]);
}

#[test]
fn a_payout_that_came_to_nothing_is_cancelled() {
    row(&[Front, PayByStranger], Tip, &["cancel 0/0/0"]);
    row(&[Front, PayByStranger, Do, Mine, Blocks(2 * K)], Tip, &["Claim 0/0/0"]);
    row(
        &[Ready, DeliverDeposit, Withdraw, Withdraw, Withdraw, Blocks(FIRST), Do, PayThirdByStranger],
        Tip,
        &["cancel 0/0/0"],
    );
}

/// The ledger of a chain, of which transactions are told up to a height alone.
struct Behind<'a>(&'a dyn View, u32);

impl View for Behind<'_> {
    fn ledger(&self) -> &Ledger {
        self.0.ledger()
    }

    fn header(&self, height: u32) -> Result<Option<Header>, ViewError> {
        self.0.header(height)
    }

    fn spender(&self, outpoint: &OutPoint) -> Result<Option<Mined>, ViewError> {
        Ok(self.0.spender(outpoint)?.filter(|mined| mined.height <= self.1))
    }

    fn confirmed(&self, txid: &Txid) -> Result<Option<u32>, ViewError> {
        Ok(self.0.confirmed(txid)?.filter(|height| *height <= self.1))
    }

    fn blocks(&self) -> Blocks {
        self.0.blocks()
    }
}

#[test]
fn a_payout_that_counts_is_not_cancelled_while_blocks_are_told_late() {
    let mut world = World::new();
    steps(&mut world, &[Pay]);
    let behind = Behind(&world.chain, world.height() - 1);
    assert_eq!(shown(&world.operator.process(Event::Tip, &behind).unwrap()), [""; 0]);
    steps(&mut world, &[Disconnect(1)]);
    assert_eq!(shown(&run(&mut world, Tip).unwrap()), ["Payout of withdrawal 0 by 0/0/0"]);
}

#[test]
fn a_payout_that_does_not_count_is_reported() {
    let lost = |world: &World| {
        let (_, payout) = world.sent.iter().find(|(name, _)| name.starts_with("Payout")).unwrap();
        let payout = payout.compute_txid();
        format!("! payout {payout} of withdrawal 0 by 0/0/0 was mined and does not count: it is lost")
    };
    let mut world = World::new();
    steps(&mut world, &[Front, Blocks(COOPERATIVE + WINDOW + GRACE), MinePool]);
    assert!(shown(&run(&mut world, Tip).unwrap()).is_empty());
    steps(&mut world, &[Blocks(K)]);
    let expected = lost(&world);
    assert_eq!(shown(&run(&mut world, Tip).unwrap()), std::slice::from_ref(&expected));
    assert_eq!(world.operator.status(&world.chain).unwrap().lost.len(), 1);
    // The slot is free, and the withdrawal still owed.
    steps(&mut world, &[Blocks(WINDOW + GRACE - 2 * K)]);
    let duties = shown(&run(&mut world, Tip).unwrap());
    assert_eq!(duties, ["fund payout of 0 by 0/0/0".into(), expected]);
}

#[test]
fn a_slot_is_claimed_when_that_is_settled() {
    row(&[Pay], Tip, &[]);
    row(&[Pay, Blocks(2 * K - 1)], Tip, &[]);
    row(&[Pay, Blocks(2 * K)], Tip, &["Claim 0/0/0"]);
    row(&[Pay, Blocks(2 * K), Tip, Blocks(5)], Tip, &["Claim 0/0/0"]);
    row(&[Pay, Blocks(2 * K), Tip, Disconnect(K)], Tip, &[]);
    row(&[Claim], Tip, &[]);
    // Whoever fulfilled it, and were it before the run.
    row(&[Deposit, Withdraw, Blocks(COOPERATIVE), PayByStranger, Blocks(4 * K), Run, Blocks(K)], Tip, &["Claim 0/0/0"]);
    row(&[Ready, Withdraw, Blocks(FIRST), PayByStranger, Blocks(2 * K)], Tip, &["Claim 0/0/0"]);
}

#[test]
fn a_key_that_has_signed_signs_nothing_else() {
    let gone = "! what was signed for 0/0/0 about height";
    let claimed = [Pay, Blocks(2 * K), Do];
    for (before, fulfilled_again) in [(&claimed[..], false), (&[Claim], false), (&claimed, true)] {
        let mut world = World::new();
        steps(&mut world, before);
        steps(&mut world, &[Disconnect(4 * K)]);
        if fulfilled_again {
            steps(&mut world, &[Withdraw, Withdraw, Blocks(FIRST), PayByStranger]);
        }
        steps(&mut world, &[Blocks(8 * K)]);
        let duties = shown(&run(&mut world, Tip).unwrap());
        let claims = duties.iter().filter(|duty| duty.starts_with("Claim") || duty.starts_with("fund payout")).count();
        assert_eq!(claims, 0, "{before:?}: {duties:?}");
        assert!(duties.iter().any(|duty| duty.starts_with(gone)), "{before:?}: {duties:?}");
    }
}

#[test]
fn a_claim_is_finalized_as_soon_as_it_can_be() {
    row(&[Claim, Blocks(DELTA1 - 2)], Tip, &[]);
    row(&[Claim, Blocks(DELTA1 - 1)], Tip, &["FinalizeFast 0/0/0"]);
    let contested = |world: &World| format!("! the claim of 0/0/0 was contested at height {}", world.height());
    let mut world = World::new();
    steps(&mut world, &[Claim, Contest]);
    let alert = contested(&world);
    assert_eq!(shown(&run(&mut world, Tip).unwrap()), std::slice::from_ref(&alert));
    steps(&mut world, &[Blocks(DELTA1 - 1)]);
    assert_eq!(shown(&run(&mut world, Tip).unwrap()), [alert.clone(), "FinalizeUnentered 0/0/0".into()]);
    steps(&mut world, &[Enter]);
    assert_eq!(shown(&run(&mut world, Tip).unwrap()), std::slice::from_ref(&alert));
    steps(&mut world, &[Blocks(DELTA2 - DELTA1 - 1)]);
    assert_eq!(shown(&run(&mut world, Tip).unwrap()), [alert, "FinalizeSlow 0/0/0".into()]);
    steps(&mut world, &[Mine]);
    assert_eq!(shown(&run(&mut world, Tip).unwrap()), ["Reimburse 0/0/0"]);
    steps(&mut world, &[Mine, Blocks(K)]);
    assert!(shown(&run(&mut world, Tip).unwrap()).is_empty());
    row(&[Run, TakeBond], Tip, &["! the bond of 0/0/0 was taken"]);
}

#[test]
fn an_operator_is_paid_from_a_vault_that_is_there() {
    row(&[Finalize], Tip, &["Reimburse 0/0/0"]);
    let vault_of = |world: &mut World| {
        let duties = run(world, Tip).unwrap();
        let Some(Duty::Broadcast { tx, .. }) = duties.first() else { panic!("{:?}", shown(&duties)) };
        world.vaults.iter().position(|vault| vault.outpoint == tx.input[0].previous_output).unwrap()
    };
    let mut world = World::new();
    steps(&mut world, &[Finalize]);
    let vault = vault_of(&mut world);
    // More vaults do not change its mind; the loss of the one that it chose does.
    steps(&mut world, &[DeliverDeposit]);
    assert_eq!(vault_of(&mut world), vault);
    world.take_vault(vault);
    let next = vault_of(&mut world);
    assert_ne!(next, vault);
    steps(&mut world, &[Disconnect(1)]);
    assert_eq!(vault_of(&mut world), next, "it is not asked to be paid twice");
    world.take_vault(vault);
    world.take_vault(next);
    let last = vault_of(&mut world);
    assert!(![vault, next].contains(&last));
    world.take_vault(last);
    let nothing = "! 0/0/0 is finalized, and there is no vault to be reimbursed from";
    assert_eq!(shown(&run(&mut world, Tip).unwrap()), [nothing]);
    steps(&mut world, &[DeliverDeposit]);
    vault_of(&mut world);
    row(&[Finalize, Mine], Tip, &[]);
    row(&[Finalize, Mine, Disconnect(1)], Tip, &["Reimburse 0/0/0"]);
}

#[test]
fn the_next_slot_is_used_when_the_last_one_is_finalized_and_deep() {
    row(&[Finalize, Withdraw, Withdraw, Blocks(FIRST)], Tip, &["Reimburse 0/0/0"]);
    let mut world = World::new();
    steps(&mut world, &[Finalize, Mine]);
    while world.chain.ledger.state_at_tip().meta().unwrap().withdrawals < 2 {
        steps(&mut world, &[Withdraw]);
    }
    steps(&mut world, &[Blocks(FIRST + WINDOW + GRACE)]);
    assert_eq!(shown(&run(&mut world, Tip).unwrap()), ["fund payout of 1 by 0/0/1"]);
}

#[test]
fn a_run_is_retired_after_its_end() {
    row(&[Run, RunEnd], Tip, &["Retire 0/0/0"]);
    row(&[Front, RunEnd], Tip, &["cancel 0/0/0"]);
    let mut world = World::new();
    steps(&mut world, &[Ready, Withdraw, Blocks(FIRST)]);
    // Not enough is left of the run to claim what would be fronted now.
    let end = world.graph(0).terms.end().unwrap().to_consensus_u32();
    world.chain.ahead = end - world.height() - 1;
    assert_eq!(shown(&run(&mut world, Tip).unwrap()).len(), 0);
}

#[test]
fn a_store_serves_only_its_operator() {
    let world = World::new();
    assert!(matches!(world.open(1, key("operator"), seed()), Err(Error::Stranger { .. })));
    assert!(matches!(world.open(2, key("operator"), seed()), Err(Error::Stranger { .. })));
    assert!(matches!(world.open(1, key("other operator"), seed()), Err(Error::Refused(_))));
    let other = trestle_taptree_trace::ots::SecretSeed::new([9; 32]);
    assert!(matches!(world.open(0, key("operator"), other), Err(Error::Refused(_))));
    assert!(world.open(0, key("operator"), seed()).is_ok());
}

#[test]
fn a_damaged_store_is_an_error() {
    for kind in [b'r', b'f', b'l', b'v'] {
        let mut world = World::new();
        steps(&mut world, &[Finalize]);
        world.damage(kind);
        let opened = world.open(0, key("operator"), seed());
        let opened = opened.and_then(|mut operator| operator.process(Event::Tip, &world.chain));
        assert!(matches!(opened, Err(Error::Damaged(_))), "{}: {opened:?}", char::from(kind));
    }
}

/// What an operator claims of slot 0 that lies so, as the height of the claim's block; whether the hash is that block's.
fn lied(before: &[Step], lie: impl Fn(&World) -> Lie) -> Option<(u32, bool)> {
    let mut world = World::new();
    steps(&mut world, before);
    world.restart();
    let lie = lie(&world);
    world.operator.lie(lie);
    let duties = world.process(Event::Tip).unwrap();
    assert!(!duties.iter().any(|duty| matches!(duty, Duty::FundPayout { .. })), "a liar pays nobody: {duties:?}");
    let claim = duties.into_iter().find_map(|duty| match duty {
        Duty::Broadcast { name, tx, .. } if name == "Claim 0/0/0" => Some(tx),
        _ => None,
    })?;
    let terms = &world.graph(0).terms;
    let said = Statement::read(&terms.claim_keys[0], &claim).unwrap();
    let height = terms.checkpoint.height + u32::from(said.n);
    let entry = world.chain.ledger.entry(height).unwrap();
    Some((height, entry.is_some_and(|entry| entry.block_hash[..4] == said.block_prefix)))
}

#[test]
fn a_liar_claims_what_its_lie_says() {
    let told = |claim| move |_: &World| Lie { claim, ..Lie::default() };
    let height = |before: &[Step]| {
        let mut world = World::new();
        steps(&mut world, before);
        world.height()
    };
    let waiting = [Ready, Withdraw, Blocks(FIRST)];
    assert_eq!(lied(&waiting, told(FalseClaim::Unpaid)), Some((height(&waiting) - K, true)));
    assert_eq!(lied(&waiting, told(FalseClaim::Waiting)), None);
    // No block is there to tell the hash of, unless it is made up.
    assert_eq!(lied(&waiting, told(FalseClaim::Beyond(9))), None);
    let invented = |_: &World| Lie {
        claim: FalseClaim::Beyond(9),
        history: History::Blocks(Since::Beyond(9), 1),
        ..Lie::default()
    };
    assert_eq!(lied(&waiting, invented), Some((height(&waiting) + 9, false)));
    let forked = |_: &World| Lie { history: History::Blocks(Since::Last, 1), ..Lie::default() };
    assert_eq!(lied(&waiting, forked), Some((height(&waiting) - K, false)));
    // A payout that counts for nothing is claimed as one that counts would be.
    let paid =
        |before: u32| move |world: &World| Lie { claim: FalseClaim::Paid(world.height() - before), ..Lie::default() };
    assert_eq!(lied(&waiting, paid(2 * K - 1)), None);
    assert_eq!(lied(&waiting, paid(2 * K)), Some((height(&waiting) - K, true)));
    // Of a slot that is used the others say the truth, in its time.
    assert_eq!(lied(&[Pay], told(FalseClaim::Early(0))), Some((height(&[Pay]), true)));
    assert_eq!(lied(&[Pay], told(FalseClaim::Early(1))), None);
    assert_eq!(lied(&[Pay, Blocks(1)], told(FalseClaim::Early(1))), Some((height(&[Pay]) + 1, true)));
    assert_eq!(lied(&[Pay], told(FalseClaim::Unpaid)), None);
    assert_eq!(lied(&[Pay, Blocks(2 * K)], told(FalseClaim::Unpaid)), Some((height(&[Pay]) + K, true)));
}
