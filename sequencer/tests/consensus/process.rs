//! A sequencer in a process of its own: it reads a command from each line of its input and answers each with a line.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use commonware_utils::channel::mpsc;
use trestle_rollup::{Digest, Ledger, tagged_hash};
use trestle_sequencer::Policy;
use trestle_sequencer::consensus::{Orderer, Running, Shared, Sockets, Subject, Timings, network_key, serve};

use crate::support::{CONFIRMATIONS, World, account, key, parameters};

pub const USERS: usize = 64;

const VARIABLE: &str = "TRESTLE_SEQUENCER_PROCESS";

/// First byte of an answer: other lines are the test harness's.
const ANSWER: char = '@';

/// The parent's end of a process.
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts the sequencer with this index on its directory.
    pub fn start(directory: &Path, index: usize, ports: &[u16]) -> Self {
        let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "process::a_process_of_its_own", "--nocapture", "--test-threads=1"])
            .env(VARIABLE, format!("{index} {} {}", ports.join(","), directory.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    pub fn send(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
    }

    pub fn answer(&mut self) -> Vec<String> {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the process has ended");
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return answer.split_whitespace().map(str::to_owned).collect();
            }
        }
    }

    pub fn ask(&mut self, command: &str) -> Vec<String> {
        self.send(command);
        self.answer()
    }
}

/// As `kill -9`.
impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "the body of a process that other tests start"]
fn a_process_of_its_own() {
    let variable = std::env::var(VARIABLE).expect("started by another test");
    let [index, ports, directory] = variable.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{variable}") };
    let index: usize = index.parse().unwrap();
    let policy = Policy { account_limit: 100_000, ..Policy::default() };
    let parameters = parameters(ports.split(',').count());
    let mut world = World::new(&parameters);
    let mints: Vec<_> = (0..USERS).map(|user| world.mint(user)).collect();
    world.mine(mints);
    (0..4).for_each(|_| world.mine(Vec::new()));
    let db = sled::open(Path::new(directory).join("db")).unwrap();
    let ledger = Ledger::open(&db, &parameters).unwrap();
    world.raw.iter().skip(ledger.tip().0 as usize - 100).for_each(|raw| {
        ledger.extend(raw).unwrap();
    });
    let orderer = Orderer::open(&db, key("sequencer", index), ledger, CONFIRMATIONS, policy).unwrap();
    let member = |(index, port): (usize, &str)| {
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        (network_key(&key("sequencer", index)), address)
    };
    let members: Vec<_> = ports.split(',').enumerate().map(member).collect();
    let sockets = Sockets {
        set: 0,
        key: key("sequencer", index),
        listen: members[index].1,
        members,
        directory: Path::new(directory).join("engine"),
        local: true,
        timings: Timings::default(),
    };
    let (shared, certified) = Shared::new(orderer, Duration::from_millis(200));
    let running = serve(sockets, shared.clone()).unwrap();
    let mut sequencer = Sequencer { shared, certified, running };
    for line in std::io::stdin().lines() {
        let answer = obey(&world, &mut sequencer, &line.unwrap());
        println!("{ANSWER} {answer}");
    }
}

struct Sequencer {
    shared: Shared,
    certified: mpsc::UnboundedReceiver<Subject>,
    running: Running,
}

fn obey(world: &World, running: &mut Sequencer, command: &str) -> String {
    assert!(running.running.is_alive());
    let words: Vec<_> = command.split_whitespace().collect();
    let number = |at: usize| words[at].parse::<usize>().unwrap();
    match words[0] {
        "pay" => {
            let transaction = world.transfer(number(1), number(2), number(3) as u64, 20, number(4) as u64);
            let answers = running.shared.submit(&[transaction.encode()]).unwrap();
            if answers[0].is_ok() { "ok" } else { "refused" }.to_owned()
        }
        "state" => {
            let orderer = running.shared.orderer();
            let (mut contents, mut parts, mut certified) = (Vec::new(), 0, 0);
            for height in 0..=orderer.height() {
                let Some(part) = orderer.part(height).unwrap() else { continue };
                parts += 1;
                certified += usize::from(orderer.certified_part(height).unwrap().is_some());
                contents.extend(part.transactions);
            }
            let digest = tagged_hash("contents", &[&contents]);
            format!("{parts} {certified} {:02x?}", digest).replace(", ", "")
        }
        "balance" => {
            let state = running.shared.orderer().account(&account(number(1))).unwrap();
            format!("{} {}", state.balance, state.nonce)
        }
        "load" => load(world, running, number(1)..number(2), number(3) as f64, Duration::from_millis(number(4) as u64)),
        other => panic!("{other}"),
    }
}

/// Submits transfers of these users at a rate a second, whatever becomes of them, and says how many were sent, how many
/// were certified in the end, and how long that took in milliseconds: median, 99th percentile, longest, and all.
fn load(world: &World, running: &mut Sequencer, users: std::ops::Range<usize>, rate: f64, time: Duration) -> String {
    let mut nonces: BTreeMap<_, _> =
        users.clone().map(|user| (user, running.shared.orderer().account(&account(user)).unwrap().nonce)).collect();
    let total = (rate * time.as_secs_f64()) as usize;
    // Signed before the clock starts: that is the users' work.
    let mut prepared = users.cycle().take(total).map(|user| {
        let nonce = nonces.get_mut(&user).unwrap();
        *nonce += 1;
        world.transfer(user, (user + 1) % USERS, 1, 10, *nonce - 1)
    });
    let prepared: Vec<_> = prepared.by_ref().map(|signed| (world.id(&signed), signed.encode())).collect();
    while running.certified.try_recv().is_ok() {}
    let mut sent: HashMap<Digest, Instant> = HashMap::new();
    let (mut next, mut refused, mut latencies) = (0, 0, Vec::new());
    let start = Instant::now();
    let mut last = start;
    while start.elapsed() < time + Duration::from_secs(20) && (next < total || !sent.is_empty()) {
        let due = ((start.elapsed().as_secs_f64() * rate) as usize).min(total);
        if next < due {
            let group: Vec<_> = prepared[next..due].iter().map(|(_, bytes)| bytes.clone()).collect();
            let now = Instant::now();
            sent.extend(prepared[next..due].iter().map(|(id, _)| (*id, now)));
            for answer in running.shared.submit(&group).unwrap() {
                refused += usize::from(answer.is_err());
            }
            next = due;
        }
        while let Ok(subject) = running.certified.try_recv() {
            let Subject::Part(height) = subject else { continue };
            let part = running.shared.orderer().certified_part(height).unwrap().unwrap();
            last = Instant::now();
            for signed in part.decoded() {
                if let Some(since) = sent.remove(&world.id(&signed)) {
                    latencies.push(since.elapsed().as_millis());
                }
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    latencies.sort_unstable();
    let at = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied().unwrap_or_default();
    let longest = latencies.last().copied().unwrap_or_default();
    let all = last.duration_since(start).as_millis();
    format!("{next} {} {refused} {} {} {longest} {all}", latencies.len(), at(0.5), at(0.99))
}
