//! What is left to do, and to tell, when a lane or its claim is over.

use bitcoin::{Amount, FeeRate, OutPoint, Weight};
use trestle_bridge::lane::{LaneTx, NodeId};
use trestle_bridge::transactions::{Reveal, challenger_bond};
use trestle_challenger::dispute::{Duty, End, LaneOperator, LaneWatchtower, Purpose, Settlement, Standing};
use trestle_challenger::{Need, View};
use trestle_zkvm_adapter::{Fault, Kind, Place};

use super::hands::{Challenger, Operator, Tower};
use super::table::{CHECKPOINT, DELTA1, DELTA2, TURN, Table};
use super::world::{Weather, World, thief};
use crate::liar::{Forgery, Side};
use crate::store::Disk;
use crate::toy::{CONFIRMATIONS, LANE, challenger_key, challenger_seed, entry, fulfilled, operator_seed};

const K: u32 = CONFIRMATIONS as u32;

/// An N at which the slot is fulfilled, or is not.
fn claimed(is_fulfilled: bool) -> u32 {
    (30..).find(|n| fulfilled(&entry(*n)) == is_fulfilled).unwrap()
}

/// A liar that answers, and who knows it.
fn caught() -> World {
    let n = claimed(false);
    let fault = Fault { kind: Kind::Instr, place: Place::From(20) };
    let operator = Operator::new(Side::liar(n, Forgery::Entries(5), Some(fault)));
    World::of_one(operator, Challenger::Tower(Box::new(Tower::new(Side::honest(n), 0))), Weather::fair(), 1)
}

/// A true claim, and somebody on the challenger's side.
fn accused(challenger: Challenger, weather: Weather) -> World {
    World::of_one(Operator::new(Side::honest(claimed(true))), challenger, weather, 1)
}

/// What the challenger tells its owner.
fn told(world: &World) -> Option<Settlement> {
    let board = Table::get().board(LANE.challenger).clone();
    let mut tower = LaneWatchtower::new(board, challenger_key(LANE.challenger), challenger_seed(), Disk::default(), 0);
    tower.tip(&world.chain, &mut Side::honest(claimed(true))).unwrap();
    tower.settlement(&world.chain).unwrap()
}

fn is_settled(world: &World) -> bool {
    let operator = LaneOperator::new(Table::get().board(LANE.challenger).clone(), operator_seed(), Disk::default());
    operator.is_settled(&world.chain).unwrap()
}

/// Plays until the lane is over; says how. When it is entered, the operator's bond may be gone already.
fn play(world: &mut World, mut stolen: bool) -> End {
    loop {
        if stolen && matches!(world.standing(LANE.challenger), Standing::At { .. }) {
            assert!(world.chain.mine(vec![thief()]).is_empty());
            stolen = false;
        }
        assert!(
            !is_settled(world) || matches!(world.standing(LANE.challenger), Standing::Ahead),
            "{:?}",
            world.standing(LANE.challenger)
        );
        world.block();
        if let Standing::Over { end, .. } = world.standing(LANE.challenger) {
            return end;
        }
    }
}

#[test]
fn what_came_of_a_lane_and_what_it_took_is_told_when_it_is_settled() {
    let slot = Table::get().slot();
    let doubting = || Challenger::Tower(Box::new(Tower::new(Side::doubting(claimed(true)), 0)));
    let others = Amount::ZERO;
    for (mut world, stolen, end, others) in [
        (caught(), false, End::Slashed, others),
        (caught(), true, End::Taken, slot.finalize_slow.fee()),
        (accused(doubting(), Weather::fair()), false, End::OperatorWon, others),
        (accused(Challenger::Absent, Weather::fair()), false, End::NoShow, slot.finalize_unentered.fee()),
    ] {
        assert_eq!(play(&mut world, stolen), end);
        let fees = world.chain.fees();
        for _ in 0..K {
            assert_eq!(told(&world), None, "it could be taken back");
            assert!(!is_settled(&world));
            world.chain.mine(Vec::new());
        }
        let settlement = told(&world).unwrap();
        assert!(is_settled(&world));
        assert_eq!((settlement.slot, settlement.end), (slot.id, end));
        assert_eq!(settlement.since + K, world.chain.height());

        // All that was paid for but the claim, and what others did; Contest is paid by the operator.
        let contest = slot.contest.fee();
        assert_eq!(slot.claim.fee() + contest + settlement.bond_fees() + others, fees, "{end:?}");
        let [first, .., last] = settlement.transactions.as_slice() else { panic!("{settlement:?}") };
        assert_eq!((first.txid, first.of_bond, first.own), (slot.contest.txid(), false, true));
        assert_eq!((last.height, last.own), (settlement.since, matches!(end, End::Slashed | End::Taken)));
        for played in &settlement.transactions {
            assert_eq!(world.chain.confirmed(&played.txid).unwrap(), Some(played.height), "{}", played.name);
            assert_eq!(played.handle.txid, played.txid);
        }
        let own = world.chain.transactions().flat_map(|tx| &tx.output);
        let own = own.filter(|output| output.script_pubkey == own_script()).map(|output| output.value).max();
        assert_eq!(settlement.received, own.unwrap_or_default());
        assert_eq!(settlement.wallet_fees(), Amount::ZERO);

        // Of what the wallet has spent only what is the lane's is counted, once.
        let fees = [first, last].map(|played| (played.handle, Amount::from_sat(500)));
        let other = (OutPoint::null(), Amount::from_sat(7));
        let paid = settlement.clone().with_children(&[fees[0], fees[1], other]);
        assert_eq!(paid.wallet_fees(), Amount::from_sat(1_000));
        assert_eq!(paid.bond_fees(), settlement.bond_fees());

        // On disk it is the same.
        let written = serde_json::to_vec(&paid).unwrap();
        assert_eq!(serde_json::from_slice::<Settlement>(&written).unwrap(), paid);
        // A lane that goes on is not told of any more.
        world.chain.disconnect(1 + K as usize);
        world.chain.mine(Vec::new());
        assert!(
            !matches!(world.standing(LANE.challenger), Standing::Over { .. }) && !is_settled(&world),
            "{:?}",
            world.standing(LANE.challenger)
        );
    }
}

fn own_script() -> bitcoin::ScriptBuf {
    trestle_bridge::connector::OperatorConnector(challenger_key(LANE.challenger).x_only_public_key().0).script_pubkey()
}

/// A claim that was contested and finalized, and a lane that nobody has entered.
fn finalized() -> World {
    let late = Weather { late: 2 * DELTA2, ..Weather::fair() };
    let mut world = accused(Challenger::Absent, late);
    for _ in 0..DELTA2 + 10 {
        world.block();
    }
    assert_eq!(world.finalized(), Some(trestle_bridge::transactions::FinalizeKind::Slow));
    assert!(matches!(world.standing(LANE.challenger), Standing::Open { .. }));
    world
}

#[test]
fn an_operator_plays_a_lane_that_is_entered_when_its_claim_is_long_settled() {
    let mut world = finalized();
    let table = Table::get();
    let graph = &table.board(LANE.challenger).graph;
    for _ in 0..2 * K {
        assert!(!is_settled(&world), "the bond is there, and so is the entry");
        assert!(world.operator.tip(&world.chain, LANE.challenger).is_empty());
        world.chain.mine(Vec::new());
    }
    let part = table.part(LANE.challenger, LaneTx::Challenge);
    assert!(world.chain.mine(vec![graph.challenge(part, &challenger_key(LANE.challenger)).unwrap()]).is_empty());
    let since = world.chain.height();
    let wins = loop {
        assert!(!is_settled(&world));
        let duties = world.operator.tip(&world.chain, LANE.challenger);
        let broadcast = duties.into_iter().find_map(|duty| match duty {
            Duty::Broadcast { purpose, tx, .. } => Some((purpose, tx)),
            _ => None,
        });
        match broadcast {
            Some((purpose, tx)) => {
                assert_eq!(purpose, Purpose::Lane(LaneTx::OperatorWins(NodeId::ENTERED)));
                break tx;
            }
            None => drop(world.chain.mine(Vec::new())),
        }
    };
    assert_eq!(world.chain.height() + 1, since + TURN);
    assert!(world.chain.mine(vec![wins]).is_empty());
    for _ in 0..K {
        assert!(!is_settled(&world));
        world.chain.mine(Vec::new());
    }
    assert!(is_settled(&world));
}

#[test]
fn nothing_can_come_of_a_lane_whose_bond_is_gone_and_deep() {
    let mut world = finalized();
    let table = Table::get();
    let (retire, entry) = (
        &table.run.challenger_retires[usize::from(LANE.challenger)],
        &table.bridge.entries[usize::from(LANE.challenger)],
    );
    let own = challenger_bond::sign_retire(retire, entry, &challenger_key(LANE.challenger));
    let tx = table.complete(retire, Reveal::Leaf(0, entry.challenger_leaf(), [&[], &[own]]));
    assert!(world.chain.mine(vec![tx]).is_empty());
    for _ in 0..K {
        assert!(!is_settled(&world));
        world.chain.mine(Vec::new());
    }
    assert!(is_settled(&world));
    world.chain.disconnect(1);
    assert!(!is_settled(&world));
}

/// Blocks in which only what pays eight times the estimate is mined: by the estimate alone the turn would be lost.
#[test]
fn what_is_needed_more_as_its_deadline_nears_is_mined_before_it_on_a_chain_that_got_dear() {
    let mut world = caught();
    world.operator.answers = 0;
    world.chain.mine(vec![world.claim.clone()]);
    world.chain.mine(vec![world.contest.clone()]);
    let estimate = FeeRate::from_sat_per_kwu(1_000);
    let mut rates = Vec::new();
    let mined = loop {
        let World { challengers, chain, .. } = &mut world;
        let Some(Challenger::Tower(tower)) = challengers.last_mut() else { unreachable!() };
        let duties = tower.tip(chain);
        let bump = duties.iter().find_map(|duty| match duty {
            Duty::Bump { tx, deadline: Some(deadline), stake, .. } => Some((tx.clone(), *deadline, *stake)),
            _ => None,
        });
        let Some((tx, deadline, stake)) = bump else {
            world.chain.mine(Vec::new());
            continue;
        };
        assert!(chain.height() < deadline, "too late");
        let package = tx.weight() + Weight::from_wu(4_000);
        let rate = Need { deadline: Some(deadline), stake: Some(stake) }.rate(chain.height(), estimate, package);
        rates.push(rate.to_sat_per_kwu());
        if rate >= estimate.checked_mul(8).unwrap() {
            assert!(rate.fee_wu(package).unwrap() <= stake);
            assert!(chain.mine(vec![tx]).is_empty());
            break chain.height() <= deadline;
        }
        world.chain.mine(Vec::new());
    };
    assert!(mined, "in time");
    assert!(rates.is_sorted() && rates.starts_with(&[1_000]) && rates.ends_with(&[2_000, 4_000, 8_000]), "{rates:?}");
    assert!(matches!(world.standing(LANE.challenger), Standing::At { node: NodeId::ENTERED, .. }));
    assert!(world.chain.height() > CHECKPOINT + DELTA1);
}
