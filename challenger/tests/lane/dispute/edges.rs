//! Single situations: what is due, and from when on.

use bitcoin::Transaction;
use trestle_bridge::lane::{LaneTx, NodeId};
use trestle_challenger::View;
use trestle_challenger::dispute::{Board, Duty, End, Error, LaneOperator, Purpose, Standing};
use trestle_challenger::lane::Ask;
use trestle_taptree_trace::lane::Move;
use trestle_zkvm_adapter::{Fault, Kind, Place};

use super::hands::{Challenger, Operator, Tower, claim_tx};
use super::table::{CHECKPOINT, DELTA1, DELTA2, TURN, Table};
use super::world::{Weather, World, thief};
use crate::chain::Chain;
use crate::liar::{Forgery, Side};
use crate::store::Disk;
use crate::toy::{CONFIRMATIONS, LANE, entry, fulfilled, lane, operator_seed};

const K: u32 = CONFIRMATIONS as u32;

/// An N at which the slot is not fulfilled.
fn unfulfilled(from: u32) -> u32 {
    (from..).find(|n| !fulfilled(&entry(*n))).unwrap()
}

fn lying(n: u32) -> Operator {
    let fault = Fault { kind: Kind::Instr, place: Place::From(20) };
    Operator::new(Side::liar(n, Forgery::Entries(5), Some(fault)))
}

fn tower(n: u32, patience: u32) -> Challenger {
    Challenger::Tower(Box::new(Tower::new(Side::honest(n), patience)))
}

/// The challenger's duties.
fn due(world: &mut World) -> Vec<Duty> {
    let Some(Challenger::Tower(tower)) = world.challengers.last_mut() else { panic!("no tower") };
    tower.tip(&world.chain)
}

fn purposes(duties: &[Duty]) -> Vec<Purpose> {
    let purpose = |duty: &Duty| match duty {
        Duty::Broadcast { purpose, .. } => Some(*purpose),
        _ => None,
    };
    duties.iter().filter_map(purpose).collect()
}

fn transaction(duties: &[Duty]) -> Transaction {
    let tx = |duty: &Duty| match duty {
        Duty::Broadcast { tx, .. } => Some(tx.clone()),
        _ => None,
    };
    duties.iter().find_map(tx).unwrap()
}

/// The height of the deadline, if something is bumped.
fn bumped(duties: &[Duty]) -> Option<Option<u32>> {
    duties.iter().find_map(|duty| match duty {
        Duty::Bump { deadline, .. } => Some(*deadline),
        _ => None,
    })
}

/// A claim that was contested in the block after it.
fn contested(operator: Operator, challenger: Challenger) -> World {
    let mut world = World::of_one(operator, challenger, Weather::fair(), 1);
    world.chain.mine(vec![world.claim.clone()]);
    world.chain.mine(vec![world.contest.clone()]);
    world
}

#[test]
fn no_choice_is_signed_before_the_claim_is_settled() {
    let n = unfulfilled(30);
    let mut world = contested(lying(n), tower(n, 1));
    world.operator.answers = 0;
    let claimed = world.chain.height() - 1;
    for _ in 0..4 {
        let asks = due(&mut world).iter().any(|duty| matches!(duty, Duty::Ask(_)));
        assert_eq!(asks, world.chain.height() == claimed + K);
        world.chain.mine(Vec::new());
    }
    assert_eq!(purposes(&due(&mut world)), [Purpose::Lane(LaneTx::Challenge)]);
}

#[test]
fn a_claim_that_gave_way_to_another_has_had_no_choices() {
    let n = unfulfilled(30);
    let mut world = contested(lying(n), tower(n, 0));
    assert!(due(&mut world).is_empty());
    let gone = world.chain.disconnect(2);
    assert_eq!(gone, [world.claim.clone(), world.contest.clone()]);
    let other = unfulfilled(n + 1);
    world.operator = lying(other);
    world.claim = claim_tx(&world.operator);
    // The truth about another claim is another.
    let Some(Challenger::Tower(before)) = world.challengers.pop() else { panic!("no tower") };
    world.challengers.push(Challenger::Tower(Box::new(before.about(Side::honest(other)))));
    assert_eq!(world.play().ends.last(), Some(&Some(End::Slashed)));
}

#[test]
fn what_is_not_mined_is_bumped_when_half_of_its_time_is_over() {
    let n = unfulfilled(30);
    let mut world = contested(lying(n), tower(n, 0));
    world.operator.answers = 0;
    let since = world.chain.height();
    world.chain.mine(Vec::new());
    let challenge = loop {
        let (duties, tip) = (due(&mut world), world.chain.height());
        assert_eq!(purposes(&duties), [Purpose::Lane(LaneTx::Challenge)]);
        assert_eq!(bumped(&duties), (tip >= since + DELTA1 * 3 / 4).then_some(Some(since + DELTA1 - 1)));
        if tip == since + DELTA1 - 2 {
            break transaction(&duties);
        }
        world.chain.mine(Vec::new());
    };
    assert!(world.chain.mine(vec![challenge]).is_empty());
    let since = world.chain.height();
    for tip in since..since + 2 * TURN {
        let duties = due(&mut world);
        assert!(matches!(purposes(&duties)[..], [Purpose::Lane(LaneTx::Step(_))]));
        assert_eq!(bumped(&duties), (tip >= since + TURN / 2).then_some(Some(since + TURN - 1)));
        let wins = world.operator.tip(&world.chain, LANE.challenger);
        let due = [Purpose::Lane(LaneTx::OperatorWins(NodeId::ENTERED))];
        assert_eq!(purposes(&wins), due[..usize::from(tip + 1 >= since + TURN)]);
        assert_eq!(bumped(&wins), (tip >= since + TURN + TURN / 2).then_some(None));
        world.chain.mine(Vec::new());
    }
}

#[test]
fn who_has_lost_is_slashed_as_long_as_there_is_something_to_slash() {
    let n = unfulfilled(30);
    let mut world = contested(lying(n), tower(n, 0));
    let since = world.chain.height();
    let on = loop {
        world.block();
        match world.standing(LANE.challenger) {
            Standing::Disproved { on, .. } => break on,
            Standing::Over { .. } => panic!("not yet"),
            _ => {}
        }
    };
    let duties = due(&mut world);
    assert_eq!(purposes(&duties), [Purpose::Lane(LaneTx::Slash(on))]);
    let slash = transaction(&duties);
    for _ in 0..TURN {
        world.chain.mine(Vec::new());
    }
    assert_eq!(bumped(&due(&mut world)), Some(Some(since + DELTA2 - 1)));
    // Another lane was faster, by all that can be told now.
    world.chain.mine(vec![thief()]);
    for _ in 0..K {
        assert!(due(&mut world).is_empty());
        world.chain.mine(Vec::new());
    }
    let duties = due(&mut world);
    assert_eq!(purposes(&duties), [Purpose::WinOnly(on)]);
    let mut other = world.chain.disconnect(K as usize + 1);
    other.clear();
    assert_eq!(purposes(&due(&mut world)), [Purpose::Lane(LaneTx::Slash(on))]);
    world.chain.mine(vec![slash]);
    assert!(due(&mut world).is_empty());
    assert!(matches!(world.standing(LANE.challenger), Standing::Over { end: End::Slashed, .. }));
}

#[test]
fn no_lane_is_entered_for_nothing() {
    let n = unfulfilled(30);
    let mut world = contested(lying(n), tower(n, 0));
    world.chain.mine(vec![thief()]);
    for _ in 0..DELTA1 {
        assert!(due(&mut world).is_empty());
        world.chain.mine(Vec::new());
    }
}

/// One that says of every block what is so once it is there, and something of those to come.
#[test]
fn a_claim_about_blocks_to_come_is_slashed() {
    for seed in 0..6 {
        let n = unfulfilled(300);
        let weather = Weather { above: -200, ..Weather::fair() };
        let from = |tip: u32| tip + 1 - CHECKPOINT;
        let side = |tip| Side::liar(n, Forgery::Blocks(from(tip), 0), None);
        let mut operator = Operator::new(side(CHECKPOINT + n - 200));
        if seed % 3 == 1 {
            operator.answers = 5 * seed as usize;
        }
        let mut world = World::of_one(operator, tower(n, 2), weather, seed);
        loop {
            if seed % 2 == 0 {
                world.operator.said = side(world.chain.height());
            }
            world.block();
            if let Standing::Over { end, .. } = world.standing(LANE.challenger) {
                assert_eq!(end, End::Slashed, "seed {seed}");
                break;
            }
            assert!(world.chain.height() < CHECKPOINT + n, "seed {seed}: {:?}", world.standing(LANE.challenger));
        }
    }
}

#[test]
fn nothing_is_answered_before_the_claim() {
    let n = unfulfilled(30);
    let mut world = World::of_one(lying(n), tower(n, 0), Weather::fair(), 1);
    let mut operator = LaneOperator::new(Table::get().board(LANE.challenger).clone(), operator_seed(), Disk::default());
    let ask = Ask { choices: Vec::new(), wanted: Move::Round(trestle_taptree_trace::lane::Search::History, 0) };
    let mut answered = |chain: &Chain| {
        assert!(operator.tip(chain, &mut Side::honest(n)).unwrap().is_empty());
        operator.answer(&ask, &mut Side::honest(n))
    };
    assert!(matches!(answered(&world.chain), Err(Error::NotAsked)));
    world.chain.mine(vec![world.claim.clone()]);
    assert!(answered(&world.chain).is_ok());
    world.chain.disconnect(1);
    assert!(matches!(answered(&world.chain), Err(Error::NotAsked)));
}

#[test]
fn a_lane_has_its_run_and_its_signatures() {
    let Table { bridge, run, .. } = Table::get();
    let (slot, own) = (run.slots[0].id, usize::from(LANE.challenger));
    let board = Board::new(bridge, run, slot, own, lane().clone(), Vec::new());
    assert!(matches!(board.err(), Some(Error::Signatures { got: 0, .. })));
    for (slot, challenger) in [(slot, own + 1), (trestle_rollup::SlotId { serial: slot.serial + 1, ..slot }, own)] {
        let board = Board::new(bridge, run, slot, challenger, lane().clone(), Vec::new());
        assert!(matches!(board.err(), Some(Error::NoLane { .. })));
    }
}
