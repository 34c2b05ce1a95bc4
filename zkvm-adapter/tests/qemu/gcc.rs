//! C for RV32IM with nothing beneath it, by the gcc that `regtest/setup.sh` installs.

use std::path::Path;
use std::process::Command;

use super::{Temporary, installed};

/// Compiles and links sources, given relative to the tests' folder.
pub fn gcc(sources: &[&str], options: &[&str]) -> Vec<u8> {
    let out = Temporary::new(".gcc.elf");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut command = Command::new("riscv64-unknown-elf-gcc");
    command.args(["-march=rv32im", "-mabi=ilp32", "-static", "-nostdlib", "-ffreestanding", "-Wall", "-Wextra"]);
    command.args(["-Werror", "-Wl,--fatal-warnings"]);
    command.args(options).args(sources.iter().map(|source| tests.join(source))).arg("-lgcc").arg("-o").arg(&out.0);
    let done = installed(&mut command).wait_with_output().unwrap();
    assert!(done.status.success(), "gcc {sources:?} {options:?}:\n{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read(&out.0).unwrap()
}
