//! True claims on a real bitcoind, contested by hostile challengers, as `trestle demo --dispute hostile-…` plays them.
//!
//! The command itself checks by Bitcoin's blocks that the operator has its bond and every challenger's, and is paid back.

use std::process::{Command, Stdio};

use serde_json::Value;

/// Plays it; returns what the report says of it.
fn dispute(kind: &str, more: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_trestle"));
    command.args(["demo", "--dispute", kind, "--report"]).arg(&report).args(more).stdin(Stdio::null());
    let output = command.env_remove("RUST_LOG").output().unwrap();
    assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!((&report["ok"], &report["disputes"][0]["winner"]), (&Value::from(true), &Value::from("operator")));
    report["disputes"][0].clone()
}

/// How many transactions of the dispute do this.
fn count(dispute: &Value, action: &str) -> usize {
    let actions = dispute["txs"].as_array().unwrap().iter().map(|step| step["action"].as_str().unwrap());
    actions.filter(|name| name.split(' ').next() == Some(action)).count()
}

#[test]
fn who_contests_and_enters_no_lane_pays_the_operator() {
    let dispute = dispute("hostile-noshow", &[]);
    assert_eq!(["Contest", "FinalizeUnentered", "NoShow", "Reimburse"].map(|action| count(&dispute, action)), [1; 4]);
    assert_eq!(dispute["txs"].as_array().unwrap().len(), 4);
}

#[test]
fn who_chooses_otherwise_on_chain_than_off_chain_pays_the_operator() {
    // All rounds before the block opening are played off chain, and contradicted on chain before the block is opened.
    let dispute = dispute("hostile-double", &["--at", "1"]);
    let expected = ["Contest", "Challenge", "OperatorWins", "FinalizeSlow", "Reimburse"];
    assert_eq!(expected.map(|action| count(&dispute, action)), [1; 5]);
    assert_eq!(count(&dispute, "Step"), 4);
}
