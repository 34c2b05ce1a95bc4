//! Where the programs are: as `regtest/setup.sh` says.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::RegtestError;

/// The program that an environment variable names; else the one that `regtest/setup.sh --env` names: it looks in
/// `PATH` and in the cache that it installs to.
fn find(variable: &'static str, program: &'static str) -> Result<PathBuf, RegtestError> {
    let (path, looked) = match std::env::var_os(variable) {
        Some(path) => (Some(PathBuf::from(path)), format!("{variable} names it")),
        None => {
            let path = by_setup().get(variable).map(PathBuf::from);
            let at =
                path.as_ref().map_or("and it is not in PATH".into(), |p| format!("and there is no {}", p.display()));
            (path, format!("{variable} is not set, {at}"))
        }
    };
    path.filter(|path| path.is_file()).ok_or(RegtestError::Missing { program, looked })
}

/// What `regtest/setup.sh --env` prints: `export NAME=path NAME=path`.
fn by_setup() -> &'static HashMap<String, String> {
    static PRINTED: OnceLock<HashMap<String, String>> = OnceLock::new();
    PRINTED.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../regtest/setup.sh");
        // The shell undoes the quoting of what it printed itself.
        let show = r#"eval "$("$0" --env)" && printf '%s\n%s\n' "$BITCOIND_EXE" "$ELECTRUMX_EXE""#;
        let output = Command::new("bash").arg("-c").arg(show).arg(&script).output();
        let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
        ["BITCOIND_EXE", "ELECTRUMX_EXE"].into_iter().map(str::to_owned).zip(text.lines().map(str::to_owned)).collect()
    })
}

/// The bitcoind to run.
pub(super) fn bitcoind() -> Result<PathBuf, RegtestError> {
    find("BITCOIND_EXE", "bitcoind")
}

/// The ElectrumX to run.
pub(super) fn electrumx() -> Result<PathBuf, RegtestError> {
    find("ELECTRUMX_EXE", "electrumx_server")
}
