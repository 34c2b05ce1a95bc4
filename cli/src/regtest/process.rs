//! A program that runs for as long as somebody holds it.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use super::{RegtestError, system};

/// Runs the program `$@` and ends as it ends. Standard input is a pipe. A line on it kills the program. It closes when whoever
/// holds the other end lets go of it or dies, however it dies: the program is then asked to end, so that it saves what it has,
/// and killed if it has not ended after a while.
const SUPERVISE: &str = r#"
exec 3<&0 </dev/null
"$@" 3<&- & program=$!
{
    if ! read -r _ <&3; then
        kill -TERM $program
        for _ in {1..300}; do kill -0 $program || exit; sleep 0.1; done
    fi
    kill -KILL $program
} 2>/dev/null & watcher=$!
exec 3<&-
wait $program; status=$?
kill $watcher 2>/dev/null
exit $status
"#;

/// A running program. Killed when dropped.
pub(super) struct Process {
    program: &'static str,
    supervisor: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with all that it prints in the file `log`.
    pub(super) fn start(program: &'static str, command: &Command, log: &Path) -> Result<Self, RegtestError> {
        // A program that was started before may still be ending, and writes on to the file that it has.
        let _ = std::fs::remove_file(log);
        let output = File::create(log).map_err(system(format!("creating {}", log.display())))?;
        let errors = output.try_clone().map_err(system("duplicating a file handle"))?;
        let mut supervisor = Command::new("bash");
        supervisor.args(["-c", SUPERVISE, program]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => supervisor.env(name, value),
                None => supervisor.env_remove(name),
            };
        }
        supervisor.stdin(Stdio::piped()).stdout(output).stderr(errors);
        // Ctrl-C in a terminal is for whoever holds this, who may have use for the program until the end.
        supervisor.process_group(0);
        let supervisor = supervisor.spawn().map_err(system(format!("starting {program}")))?;
        Ok(Self { program, supervisor, log: log.into() })
    }

    /// All that the program printed so far.
    pub(super) fn output(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// An error if the program has ended.
    pub(super) fn check_running(&mut self) -> Result<(), RegtestError> {
        match self.supervisor.try_wait().map_err(system(format!("waiting for {}", self.program)))? {
            None => Ok(()),
            Some(status) => Err(self.failed(format!("ended with {status}"))),
        }
    }

    /// Whether the program has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.supervisor.try_wait().is_ok_and(|status| status.is_some())
    }

    /// An error that shows the end of the program's log.
    pub(super) fn failed(&self, what: impl Into<String>) -> RegtestError {
        let output = self.output();
        let lines: Vec<_> = output.lines().collect();
        let last_words = lines[lines.len().saturating_sub(15)..].join("\n");
        RegtestError::Failed { program: self.program, what: what.into(), last_words, log: self.log.clone() }
    }

    /// Kills the program, if it still runs, and returns when it is gone.
    pub(super) fn kill(&mut self) {
        if let Some(mut stdin) = self.supervisor.stdin.take() {
            // Nobody reads it if the program has ended.
            let _ = stdin.write_all(b"\n");
        }
        let _ = self.supervisor.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that was free a moment ago and was not given out by this process before. Somebody else may take it first:
/// the program then fails to listen, and is to be started again with another.
pub(crate) fn free_port() -> Result<u16, RegtestError> {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap_or_else(|e| e.into_inner());
    loop {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(system("asking for a free port"))?;
        let port = listener.local_addr().map_err(system("asking for a free port"))?.port();
        if given.get_or_insert_default().insert(port) {
            return Ok(port);
        }
    }
}
