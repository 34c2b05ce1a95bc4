//! The committed executable is what its sources build, and its first state is the constant.

use std::process::Command;

use bitcoin::hashes::{Hash as _, sha256};
use trestle_zkvm_adapter::guest::{ELF, ROOT, image};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/guest");

#[test]
fn the_executable_is_the_one_with_the_recorded_hash() {
    let recorded = std::fs::read_to_string(format!("{FOLDER}/trestle-guest.elf.sha256")).unwrap();
    assert_eq!(recorded, format!("{}  trestle-guest.elf\n", sha256::Hash::hash(ELF)));
}

#[test]
fn the_first_state_is_the_constant() {
    let root = image().unwrap().root();
    assert_eq!(root, ROOT, "guest::ROOT should be {root:#04x?}");
}

/// Skipped, with the reason on stderr, where the recorded toolchain is not installed.
#[test]
fn the_sources_build_the_executable() {
    let output = Command::new(format!("{FOLDER}/build.sh")).arg("--check").output().expect("build.sh");
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => {}
        Some(3) => eprintln!("skipped: {said}"),
        code => panic!("build.sh --check: {code:?}\n{said}"),
    }
}
