//! Disputes on a real bitcoind, as `trestle demo --dispute` plays them: committee, operators and challenger as they run.
//!
//! The command itself checks by Bitcoin's blocks what each side has in the end.

use std::process::{Command, Stdio};

use serde_json::Value;

/// Plays a dispute; returns what the report says of it.
fn dispute(kind: &str, more: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_trestle"));
    command.args(["demo", "--dispute", kind, "--report"]).arg(&report).args(more).stdin(Stdio::null());
    let output = command.env_remove("RUST_LOG").output().unwrap();
    assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["ok"], true);
    report["disputes"][0].clone()
}

/// What the transactions of a dispute do, less what they are of.
fn actions(dispute: &Value) -> Vec<String> {
    let first = |step: &Value| step["action"].as_str().unwrap().split(' ').next().unwrap().to_string();
    dispute["txs"].as_array().unwrap().iter().map(first).collect()
}

#[test]
fn a_false_claim_is_slashed_by_six_transactions_when_the_operator_plays_off_chain() {
    for (kind, most) in [("unpaid", 15_000), ("instr", 15_000), ("input", 15_000), ("unhash", 45_000)] {
        let dispute = dispute(kind, &[]);
        assert_eq!(actions(&dispute), ["Contest", "Challenge", "Step", "Step", "Disproved", "Slash"], "{kind}");
        assert_eq!(dispute["winner"], "challenger");
        // All rounds are played at one tip: the one at which the claim is K deep.
        assert_eq!(dispute["blocks"], 12, "{kind}");
        assert!(dispute["vbytes"].as_u64().unwrap() <= most, "{kind}: {}", dispute["vbytes"]);
    }
}

#[test]
fn a_lie_about_memory_takes_a_node_opening_more() {
    for kind in ["rs1", "store"] {
        let dispute = dispute(kind, &["--seed", "3"]);
        let expected = ["Contest", "Challenge", "Step", "Step", "Step", "Step", "Disproved", "Slash"];
        assert_eq!(actions(&dispute), expected, "{kind}");
        assert!(dispute["vbytes"].as_u64().unwrap() <= 45_000, "{kind}: {}", dispute["vbytes"]);
    }
}

#[test]
fn an_operator_that_answers_nobody_is_slashed_by_the_chain_alone() {
    let dispute = dispute("code", &["--on-chain"]);
    let actions = actions(&dispute);
    let steps = actions.iter().filter(|action| *action == "Step").count();
    // Every round and its choice, the way in, three openings, and what was named between.
    assert_eq!((steps, actions.len()), (2 * (8 + 22 + 3) + 1 + 3 + 2, 76));
    assert_eq!(dispute["on_chain"], true);
    assert!(dispute["vbytes"].as_u64().unwrap() <= 180_000, "{}", dispute["vbytes"]);
}

#[test]
fn a_payout_that_counts_for_nothing_is_no_reason_to_claim() {
    let dispute = dispute("script", &[]);
    let expected = ["Contest", "Challenge", "Step", "Step", "Step", "Step", "Disproved", "Slash"];
    assert_eq!(actions(&dispute), expected);
    let payers: Vec<&str> =
        dispute["txs"].as_array().unwrap().iter().map(|tx| tx["paid_by"].as_str().unwrap()).collect();
    assert_eq!(payers[..2], ["operator 0's bond", "challenger 0's bond"]);
    let passed: Vec<u64> = dispute["txs"].as_array().unwrap().iter().map(|tx| tx["blocks"].as_u64().unwrap()).collect();
    assert!(passed[0] == 0 && passed.is_sorted() && passed.last().unwrap() + 1 == dispute["blocks"].as_u64().unwrap());
}

#[test]
fn invented_blocks_have_to_be_a_chain() {
    let dispute = dispute("fork", &["--seed", "3"]);
    // The way in, the block opening, the question for headers, and K + 1 of them.
    let steps = actions(&dispute).iter().filter(|action| *action == "Step").count();
    assert_eq!((steps, actions(&dispute).len()), (2 + 1 + 7, 14));
}

#[test]
fn an_operator_that_falls_silent_is_slashed_by_its_turn_alone() {
    let dispute = dispute("silence", &["--at", "34"]);
    // It has opened the block and the step, and the first round of a path.
    let actions = actions(&dispute);
    assert!(!actions.contains(&"Disproved".to_string()), "{actions:?}");
    let last = dispute["txs"].as_array().unwrap().last().unwrap();
    assert!(last["action"].as_str().unwrap().ends_with("Round(Path, 1)"), "{last}");
}

/// How many transactions of the dispute do this.
fn count(dispute: &Value, action: &str) -> usize {
    let actions = dispute["txs"].as_array().unwrap().iter().map(|step| step["action"].as_str().unwrap());
    actions.filter(|name| name.split(' ').next() == Some(action)).count()
}

#[test]
fn who_contests_and_enters_no_lane_pays_the_operator() {
    let dispute = dispute("hostile-noshow", &[]);
    assert_eq!(dispute["winner"], "operator");
    assert_eq!(["Contest", "FinalizeUnentered", "NoShow", "Reimburse"].map(|action| count(&dispute, action)), [1; 4]);
    assert_eq!(dispute["txs"].as_array().unwrap().len(), 4);
}

#[test]
fn who_chooses_otherwise_on_chain_than_off_chain_pays_the_operator() {
    // All rounds before the block opening are played off chain, and contradicted on chain before the block is opened.
    let dispute = dispute("hostile-double", &["--at", "1"]);
    assert_eq!(dispute["winner"], "operator");
    let expected = ["Contest", "Challenge", "OperatorWins", "FinalizeSlow", "Reimburse"];
    assert_eq!(expected.map(|action| count(&dispute, action)), [1; 5]);
    assert_eq!(count(&dispute, "Step"), 4);
}
