//! Fees rise: what was signed long ago at a low fee gets through with a child.

use trestle_bridge::chain::Chain;
use trestle_cli::rpc::types::{Turn, WithdrawalState};

use super::play::{Play, TENTH, TENTH_SAT};

#[test]
fn presigned_transactions_get_through_with_a_child_when_the_least_fee_is_above_theirs() {
    let mut play = Play::new(2, &["bob"]);
    for _ in 0..2 {
        play.user("bob", &["deposit", TENTH]);
    }
    play.until_balance("bob", 2 * TENTH_SAT);
    play.take_down(Some(1));
    // They pay 2 sat/vB.
    play.seen()
        .world()
        .node_mut()
        .restart_with(&["-minrelaytxfee=0.00010000", "-incrementalrelayfee=0.00001000"])
        .unwrap();
    let rate = play.seen().world().node().chain().fee_rate(3).unwrap();
    assert_eq!(rate.to_sat_per_vb_floor(), 10);

    let withdrawn = play.user("bob", &["withdraw", TENTH]);
    play.until_reimbursed(&withdrawn);
    let steps = play.seen().world().runtime.timeline().steps();
    let mined = |action: &str| steps.iter().any(|step| step.action.starts_with(action) && step.height.is_some());
    for action in ["Claim", "FinalizeFast", "Reimburse"] {
        assert!(mined(action), "{action} is mined: {steps:#?}");
        let child = steps.iter().find(|step| step.action.starts_with(action) && step.action.ends_with(", bumped"));
        let child = child.unwrap_or_else(|| panic!("{action} has a child: {steps:#?}"));
        assert!(child.height.is_some(), "{child:?}");
    }
    play.take_down(None);
    play.mine();
    play.settled(&[&withdrawn]);
}

#[test]
fn batches_and_cooperative_payouts_that_pay_the_least_fee_are_relayed() {
    let mut play = Play::new(2, &["bob"]);
    play.user("bob", &["deposit", TENTH]);
    play.user("bob", &["deposit", TENTH]);
    play.until_balance("bob", 2 * TENTH_SAT);
    play.seen().world().node_mut().restart_with(&["-minrelaytxfee=0.00007000"]).unwrap();
    let withdrawn = play.user("bob", &["withdraw", TENTH]);
    let by = play.until("the committee pays", |play| match play.withdrawal(&withdrawn)?.state {
        WithdrawalState::Paid { by, .. } => Some(by),
        WithdrawalState::Pending { .. } => None,
    });
    assert_eq!(by, Turn::Committee);
    assert_eq!(play.payments(&withdrawn).len(), 1);
}
