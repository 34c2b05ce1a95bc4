//! A withdrawal from its request to the operator's money, with a restart after every event, and with every duty lost once.

use bitcoin::hashes::{Hash, sha256};
use trestle_challenger::operator::{Duty, Event, RunStage, SlotStage};

use crate::steps::Step::*;
use crate::steps::{run, steps};
use crate::world::{K, SLOTS, World};

/// Gives an event, with a restart before and after, and does what follows.
fn give_with_restarts(world: &mut World, event: Event) {
    world.restart();
    let duties = world.process(event).unwrap();
    world.restart();
    for duty in duties {
        if let Some(answer) = world.carry_out(&duty) {
            give_with_restarts(world, answer);
        }
    }
}

/// A world with a run of two slots and two vaults, and how `tip` processes a tip.
fn live_through(tip: impl Fn(&mut World, usize)) -> World {
    let mut world = World::new();
    give_with_restarts(&mut world, Event::NewRun { denomination: 0, slots: SLOTS });
    let mut tips = 0;
    let mut blocks = |world: &mut World, count: u32| {
        for _ in 0..count {
            tip(world, tips);
            tips += 1;
            world.mine();
        }
    };
    blocks(&mut world, 2 * K + 4);
    for _ in 0..SLOTS {
        drop(world.deposit());
    }
    blocks(&mut world, 2 * K);
    for _ in 0..SLOTS {
        world.withdraw();
    }
    blocks(&mut world, 200);
    world
}

fn assert_done(world: &World) {
    assert_eq!(world.reimbursements(), SLOTS as usize);
    assert!(world.alerts.is_empty(), "{:?}", world.alerts);
    let status = world.operator.status(&world.chain).unwrap();
    assert_eq!(status.runs.len(), 1);
    assert_eq!(status.runs[0].stage, RunStage::Over);
    assert!(status.runs[0].slots.iter().all(|slot| matches!(slot.stage, SlotStage::Reimbursed { .. })), "{status:?}");
    assert_eq!(status.unused, [0, 0, 0]);
    assert!(status.lost.is_empty());
    assert!(world.chain.ledger.state_at_tip().pending_withdrawals().unwrap().is_empty());
}

#[test]
fn every_fronted_withdrawal_is_reimbursed() {
    assert_done(&live_through(|world, _| world.tip()));
}

#[test]
fn a_restart_after_every_event_changes_nothing() {
    assert_done(&live_through(|world, _| give_with_restarts(world, Event::Tip)));
}

#[test]
fn a_tip_whose_duties_are_lost_changes_nothing() {
    assert_done(&live_through(|world, tips| match tips % 2 {
        0 => drop(world.process(Event::Tip).unwrap()),
        _ => world.tip(),
    }));
}

#[test]
fn duties_that_are_done_twice_change_nothing() {
    assert_done(&live_through(|world, _| {
        for duty in world.process(Event::Tip).unwrap() {
            let answer = world.carry_out(&duty);
            let Some(answer) = answer else {
                drop(world.carry_out(&duty));
                continue;
            };
            for event in [answer.clone(), answer] {
                for duty in world.process(event).unwrap() {
                    assert!(!matches!(duty, Duty::Alert(_)));
                    world.carry_out(&duty).into_iter().for_each(|answer| world.give(answer));
                }
            }
        }
    }));
}

#[test]
fn the_keys_of_its_lanes_are_to_be_had_by_their_digest_while_they_may_be_needed() {
    let mut world = World::new();
    steps(&mut world, &[NewRun, Join, FundRun]);
    let digests = world.operator.runs().next().unwrap().terms.lanes.concat();
    assert_eq!(digests.len(), 4);
    let are_there = |world: &World| digests.iter().all(|digest| world.operator.lane_keys(digest).unwrap().is_some());
    for step in [Tip, DeliverRun, Tip] {
        for digest in &digests {
            assert_eq!(sha256::Hash::hash(&world.operator.lane_keys(digest).unwrap().unwrap()), *digest);
        }
        run(&mut world, step).unwrap();
    }
    assert!(are_there(&world));
    assert_eq!(world.operator.lane_keys(&sha256::Hash::hash(b"another")).unwrap(), None);

    let mut world = World::new();
    steps(&mut world, &[NewRun, Join, FundRun]);
    assert!(are_there(&world), "the same keys for the same lanes");
    steps(&mut world, &[Abandon]);
    assert!(!digests.iter().any(|digest| world.operator.lane_keys(digest).unwrap().is_some()));

    let mut world = World::new();
    steps(&mut world, &[Run, TakeBond, Blocks(K - 1), Tip]);
    assert!(are_there(&world));
    steps(&mut world, &[Blocks(1), Tip]);
    assert!(!digests.iter().any(|digest| world.operator.lane_keys(digest).unwrap().is_some()), "the run is over");
}
