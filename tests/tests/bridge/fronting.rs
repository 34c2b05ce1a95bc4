//! Operators in trouble: each withdrawal is paid once, and whoever paid is paid back.

use serde_json::Value;
use trestle_rollup::WithdrawalId;

use super::play::{Play, TENTH, TENTH_SAT};

/// A bridge in which Bob has withdrawn, with a signer down.
fn withdrawn(slots: u32) -> (Play, Value) {
    let mut play = Play::new(slots, &["bob"]);
    for _ in 0..2 {
        play.user("bob", &["deposit", TENTH]);
    }
    play.until_balance("bob", 2 * TENTH_SAT);
    play.take_down(Some(1));
    let withdrawn = play.user("bob", &["withdraw", TENTH]);
    (play, withdrawn)
}

/// Until a payout waits in the mempool.
fn until_fronted(play: &mut Play, withdrawn: &Value) {
    play.until("a payout is sent", |play| (!play.payments(withdrawn).is_empty()).then_some(()));
}

#[test]
fn an_operator_that_restarts_between_payout_and_claim_pays_once() {
    let (mut play, withdrawn) = withdrawn(2);
    until_fronted(&mut play, &withdrawn);
    let sent = play.payments(&withdrawn);
    // Before the payout is in a block, when it is, and all the way to Claim.
    for _ in 0..3 {
        play.restart();
        play.mine_empty();
        assert_eq!(play.payments(&withdrawn), sent);
    }
    for _ in 0..16 {
        play.restart();
        play.mine();
    }
    play.until_reimbursed(&withdrawn);
    play.take_down(None);
    play.mine();
    play.settled(&[&withdrawn]);
}

#[test]
fn a_payout_that_is_not_mined_in_time_is_cancelled_and_the_next_operator_pays() {
    let (mut play, withdrawn) = withdrawn(2);
    until_fronted(&mut play, &withdrawn);
    let first = first_front(&play);
    // Nothing is mined until the operator gives up.
    play.until_empty("the payout is cancelled", |play| play.payments(&withdrawn).is_empty());
    let slot = play.until_reimbursed(&withdrawn);
    assert_ne!(slot.operator, first, "the next operator paid");
    let payments = play.payments(&withdrawn);
    assert_eq!(payments.len(), 1, "{payments:?}");
    play.take_down(None);
    play.mine();
    play.settled(&[&withdrawn]);
}

/// The operator that fronts withdrawal 0.
fn first_front(play: &Play) -> u8 {
    let world = play.seen().world();
    let mut operators = world.runtime.operators.iter();
    let fronts = |operator: &&trestle_cli::runtime::OperatorRole| {
        operator.machine().fronts().unwrap().iter().any(|front| front.withdrawal == WithdrawalId(0))
    };
    operators.find(fronts).unwrap().machine().index()
}
