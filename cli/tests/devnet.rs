//! The devnet as a person uses it: the real binary in one process, the commands in others.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything here may take before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(240);
const PAUSE: Duration = Duration::from_millis(50);

fn trestle() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trestle"));
    command.stdin(Stdio::null());
    for variable in ["TRESTLE_WALLET", "TRESTLE_RPC", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// A program that is not left behind.
struct Running(Child);

impl Running {
    /// Its end, within the deadline.
    fn wait(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A devnet, its files, and people with wallets.
struct Devnet {
    process: Option<Running>,
    port: u16,
    electrum: bool,
    directory: TempDir,
}

impl Devnet {
    fn start(electrum: bool) -> Self {
        let directory = TempDir::with_prefix("trestle-devnet-").unwrap();
        // Free a moment ago; the test needs one that stays the same when the devnet starts again.
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut devnet = Self { process: None, port, electrum, directory };
        devnet.start_again();
        devnet
    }

    fn start_again(&mut self) {
        let mut command = trestle();
        command.args(["devnet", "--block-time", "0.2", "--slots", "2", "--rpc-port", &self.port.to_string(), "--dir"]);
        command.arg(self.directory.path().join("devnet"));
        if self.electrum {
            command.arg("--electrum");
        }
        let log = std::fs::File::create(self.directory.path().join("devnet.log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let mut process = Running(command.spawn().unwrap());
        let start = Instant::now();
        while !self.log().contains("the bridge is up") {
            assert!(process.0.try_wait().unwrap().is_none(), "the devnet ended: {}", self.log());
            assert!(start.elapsed() < PATIENCE, "the devnet does not come up: {}", self.log());
            std::thread::sleep(PAUSE);
        }
        self.process = Some(process);
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("devnet.log")).unwrap_or_default()
    }

    fn alive(&mut self) -> &mut Running {
        self.process.as_mut().unwrap()
    }

    /// As a crash does.
    fn kill(&mut self) {
        self.process = None;
    }

    /// As Ctrl-C does.
    fn interrupt(&mut self) -> Option<i32> {
        let id = self.alive().0.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let code = self.alive().wait();
        self.process = None;
        code
    }

    fn command(&self, who: &str, line: &str) -> Command {
        let mut command = trestle();
        let home = self.directory.path().join("home");
        std::fs::create_dir_all(&home).unwrap();
        command.env("HOME", home).env("TRESTLE_RPC", format!("http://127.0.0.1:{}", self.port));
        command.args(["--wallet", who]).args(line.split_whitespace());
        command
    }

    /// Somebody types `trestle …`, and waits for the answer until the deadline.
    fn types(&self, who: &str, line: &str) -> Output {
        let mut command = self.command(who, line);
        let mut running = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        let code = running.wait();
        let output = |pipe: &mut dyn std::io::Read| {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).unwrap();
            bytes
        };
        let (stdout, stderr) = (running.0.stdout.take(), running.0.stderr.take());
        let status = running.0.wait().unwrap();
        assert_eq!(status.code(), code);
        Output { status, stdout: output(&mut stdout.unwrap()), stderr: output(&mut stderr.unwrap()) }
    }

    /// It works, and says so as one JSON object and nothing else.
    fn does(&self, who: &str, line: &str) -> Value {
        let said = self.types(who, &format!("{line} --json"));
        let text = String::from_utf8(said.stdout.clone()).unwrap();
        assert!(said.status.success(), "{line}: {text}\n{}", self.log());
        assert!(said.stderr.is_empty(), "{line}: {said:?}");
        assert_eq!(text.lines().count(), 1, "{line}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// It fails with this code, in one line on standard error, and in JSON with the same code; nothing on standard output otherwise.
    fn refuses(&self, who: &str, line: &str, code: &str) {
        let said = self.types(who, line);
        let text = String::from_utf8(said.stderr.clone()).unwrap();
        assert!(!said.status.success() && said.stdout.is_empty(), "{line}: {said:?}");
        assert!(text.starts_with("error: ") && text.lines().count() == 1, "{line}: {text}");
        let said = self.types(who, &format!("{line} --json"));
        let json: Value = serde_json::from_slice(&said.stdout).unwrap();
        assert!(!said.status.success(), "{line}");
        assert_eq!(json["error"]["code"], code, "{line}: {json}");
    }

    fn balance(&self, who: &str) -> u64 {
        self.does(who, "wallet balance")["layer2"]["balance_sat"].as_u64().unwrap()
    }

    /// The sequencers let somebody spend this much: its deposits are deep.
    fn until_available(&self, who: &str, sat: u64) {
        let start = Instant::now();
        while self.does(who, "wallet balance")["layer2"]["available_sat"].as_u64().unwrap() < sat {
            assert!(start.elapsed() < PATIENCE, "{who} cannot spend {sat}\n{}", self.log());
            std::thread::sleep(PAUSE);
        }
    }

    fn until_balance(&self, who: &str, sat: u64) {
        let start = Instant::now();
        while self.balance(who) != sat {
            assert!(start.elapsed() < PATIENCE, "{who} has {} and not {sat}\n{}", self.balance(who), self.log());
            std::thread::sleep(PAUSE);
        }
    }
}

/// No bitcoind and no ElectrumX has this directory in its command line or environment any more.
fn until_nobody_runs_in(directory: &Path) {
    let name = directory.display().to_string();
    let start = Instant::now();
    loop {
        let running = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&name)
        });
        if !running {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "something still runs in {name}");
        std::thread::sleep(PAUSE);
    }
}

const TENTH: u64 = 10_000_000;

#[test]
fn a_person_uses_the_devnet_through_a_crash_and_a_restart() {
    let mut devnet = Devnet::start(false);
    for who in ["alice", "bob"] {
        assert_eq!(devnet.does(who, "wallet new")["network"], "regtest");
    }
    // Too little money, and amounts that are none.
    devnet.refuses("alice", "deposit 0.1BTC", "too_little_money");
    assert_eq!(devnet.does("alice", "faucet 1BTC")["amount_sat"], 100_000_000);
    devnet.does("bob", "faucet 0.1BTC");
    devnet.refuses("alice", "deposit 0.2BTC", "no_denomination");
    devnet.refuses("alice", "withdraw 0.1BTC", "too_little_money");
    devnet.refuses("alice", "faucet 1000BTC", "refused");
    devnet.refuses("nobody", "wallet balance", "wallet_missing");

    let deposited = devnet.does("alice", "deposit 0.1BTC --wait");
    assert_eq!(deposited["deposit"]["state"], "minted", "{deposited}");
    assert_eq!(devnet.balance("alice"), TENTH);
    let status = devnet.does("alice", "status");
    let bridge = status["instance"].clone();
    let fee = status["minimum_fee_sat"].as_u64().unwrap_or_else(|| panic!("{status}"));

    // On the way when the devnet crashes: a second deposit, and a payment that the sequencer took.
    devnet.does("alice", "deposit 0.1BTC");
    let bob = devnet.does("bob", "wallet address")["layer2_address"].as_str().unwrap().to_owned();
    devnet.refuses("alice", &format!("send {bob} 5BTC"), "too_little_money");
    devnet.until_available("alice", TENTH);
    devnet.does("alice", &format!("send {bob} 0.04BTC"));
    devnet.kill();
    devnet.refuses("alice", "status", "node_down");
    devnet.refuses("alice", "deposit 0.1BTC", "node_down");
    devnet.start_again();
    assert_eq!(devnet.does("alice", "status")["instance"], bridge);
    devnet.until_balance("alice", 2 * TENTH - 4_000_000 - fee);
    devnet.until_balance("bob", 4_000_000);

    let forced = devnet.does("alice", &format!("force send {bob} 0.03BTC --wait"));
    assert!(forced["height"].is_u64(), "{forced}");
    assert_eq!(devnet.balance("bob"), 7_000_000);
    devnet.until_available("alice", 2 * TENTH - 7_000_000 - fee);
    let withdrawn = devnet.does("alice", "withdraw 0.1BTC --wait");
    assert_eq!(withdrawn["withdrawal"]["state"], "paid", "{withdrawn}");
    assert_eq!(devnet.balance("alice"), TENTH - 7_000_000 - 2 * fee);
    let status = devnet.does("alice", "status");
    assert_eq!(status["layer2"]["pending_withdrawals"], 0, "{status}");

    // Without --json it is for people.
    let said = devnet.types("alice", "wallet balance");
    assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("BTC"), "{said:?}");

    // Ctrl-C, and on.
    assert_eq!(devnet.interrupt(), Some(0), "{}", devnet.log());
    let before = status["bitcoin"]["height"].as_u64().unwrap();
    devnet.start_again();
    let status = devnet.does("bob", "status");
    assert!(status["bitcoin"]["height"].as_u64().unwrap() >= before, "{status}");
    assert_eq!(devnet.balance("bob"), 7_000_000);
    devnet.kill();
    until_nobody_runs_in(devnet.directory.path());
}

#[test]
fn a_wallet_reads_bitcoin_through_electrum() {
    let mut devnet = Devnet::start(true);
    devnet.does("alice", "wallet new");
    devnet.does("alice", "faucet 1BTC");
    devnet.does("alice", "deposit 0.01BTC --wait");
    assert_eq!(devnet.balance("alice"), 1_000_000);
    let balance = devnet.does("alice", "wallet balance");
    let bitcoin = balance["bitcoin"]["confirmed_sat"].as_u64().unwrap();
    assert!(bitcoin < 99_000_000 && bitcoin > 98_900_000, "{balance}");
    devnet.does("alice", "force withdraw 0.01BTC --wait");
    assert_eq!(devnet.balance("alice"), 0);
    assert_eq!(devnet.interrupt(), Some(0));
    until_nobody_runs_in(devnet.directory.path());
}
