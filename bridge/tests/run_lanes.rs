//! What a run's terms say about its lanes, and what is refused as a lane's keys.

mod members;

use bitcoin::hashes::{Hash, sha256};
use members::Secrets;
use trestle_bridge::transactions::{LanePlace, RunError, RunGraph, RunLaneError, RunTerms, contest};
use trestle_rollup::SlotId;
use trestle_taptree_trace::lane::{LaneId, MessageId, OperatorKeys};

const SLOT: SlotId = SlotId { operator: 0, denomination: 0, serial: 0 };

#[test]
fn terms_without_the_keys_of_every_lane_make_no_run() {
    let s = Secrets::new(3, 3, |_| {});
    let refused = |change: &dyn Fn(&mut RunTerms)| {
        let mut terms = s.made_up_run(2);
        change(&mut terms);
        RunGraph::build(&s.bridge, terms).unwrap_err()
    };
    assert!(matches!(refused(&|t| drop(t.lanes.pop())), RunError::Count { list: "rows of lanes", .. }));
    assert!(matches!(refused(&|t| t.lanes[1].truncate(2)), RunError::Count { list: "lanes of a slot", .. }));
    assert!(matches!(refused(&|t| t.lanes[1][0] = t.lanes[0][2]), RunError::Reuse { slot: 1 }));
    let slots_of_keys = "slots of choice keys";
    assert!(
        matches!(refused(&|t| drop(t.challengers[0].choice_keys.pop())), RunError::Count { list, .. } if list == slots_of_keys)
    );
    assert!(matches!(
        refused(&|t| drop(t.challengers[2].choice_keys[1].pop())),
        RunError::Count { list: "choice keys of a lane", .. }
    ));
    assert!(matches!(
        refused(&|t| t.challengers[2].choice_keys[1][30].0.push([7; 20])),
        RunError::Count { list: "options of a choice", expected: 7, got: 8 }
    ));
    assert!(matches!(
        refused(&|t| t.challengers[2].choice_keys[1][3].0[2] = t.challengers[1].choice_keys[0][5].0[1]),
        RunError::Reuse { slot: 1 }
    ));
}

#[test]
fn a_run_with_more_lanes_than_its_terms_have_room_for_is_refused() {
    let s = Secrets::new(2, 3, |_| {});
    let mut terms = s.made_up_run(1);
    terms.slots = 667;
    terms.claim_keys = (0..667).map(|serial| s.claim_key(SlotId { serial, ..SLOT })).collect();
    terms.challengers.iter_mut().enumerate().for_each(|(challenger, part)| {
        let hash = |serial| {
            contest::secret(&s.bridge, &s.challenger_seed(challenger), challenger as u16, SlotId { serial, ..SLOT }).1
        };
        part.contest_hashes = (0..667).map(hash).collect();
    });
    assert_eq!(RunGraph::build(&s.bridge, terms), Err(RunError::Lanes(2_001)));
}

#[test]
fn a_lane_is_made_of_the_keys_that_the_terms_name_and_of_no_others() {
    let s = Secrets::new(2, 2, |_| {});
    let at = LanePlace { slot: 1, challenger: 1 };
    let keys = |seed: &str, slot| {
        let id = LaneId { slot, ..s.lane(SlotId { serial: 1, ..SLOT }, 1) };
        OperatorKeys::derive(&members::seed(seed), &id, s.bridge.parameters.confirmations)
    };
    let serial_1 = SlotId { serial: 1, ..SLOT }.to_bytes();
    let terms_for = |keys: &[u8]| {
        let mut terms = s.made_up_run(2);
        terms.lanes[1][1] = sha256::Hash::hash(keys);
        terms
    };
    let good = keys("operator 0", serial_1);
    let bytes = good.to_bytes();
    let terms = terms_for(&bytes);
    let lane = terms.lane(&s.bridge, at, &bytes).unwrap();
    assert_eq!(
        lane.keys.message(MessageId::StepLog),
        Some(&good.0[MessageId::all(6).iter().position(|id| *id == MessageId::StepLog).unwrap()])
    );
    assert_eq!((lane.constants.slot, lane.constants.checkpoint), (serial_1, [9; 32]));
    assert_eq!((lane.constants.target, lane.constants.challenger), ([0xff; 32], s.bridge.parameters.challengers[1]));

    let refused = |at, terms: &RunTerms, bytes: &[u8]| terms.lane(&s.bridge, at, bytes).unwrap_err();
    let mut other = bytes.clone();
    other[400] ^= 1;
    assert!(matches!(refused(at, &terms, &other), RunLaneError::OtherKeys { .. }));
    assert!(matches!(refused(LanePlace { slot: 0, ..at }, &terms, &bytes), RunLaneError::OtherKeys { .. }));
    for nowhere in [LanePlace { slot: 2, ..at }, LanePlace { challenger: 2, ..at }] {
        assert_eq!(refused(nowhere, &terms, &bytes), RunLaneError::NoLane(nowhere));
    }
    let short = &bytes[20..];
    assert!(matches!(refused(at, &terms_for(short), short), RunLaneError::Length(_)));
    let another_slots = keys("operator 0", [9; 6]).to_bytes();
    // The key of the claim has no lane in its id: only the slot's serial makes it another one.
    assert_eq!(refused(at, &terms_for(&another_slots), &another_slots), RunLaneError::ClaimKey);
    let mut related = bytes.clone();
    let claim = good.0[0].0.len() * 20;
    related.copy_within(claim..claim + 20, claim + 20);
    assert!(matches!(refused(at, &terms_for(&related), &related), RunLaneError::Keys(_)));
}
