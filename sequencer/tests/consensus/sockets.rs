//! Sequencers as processes on the loopback interface.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::process::{Process, USERS};

/// Longest that anything may take on a machine with other work to do.
const PATIENCE: Duration = Duration::from_secs(90);

struct Processes {
    directories: Vec<PathBuf>,
    ports: Vec<u16>,
    running: Vec<Option<Process>>,
    _home: tempfile::TempDir,
}

impl Processes {
    fn start(count: usize) -> Self {
        let home = tempfile::tempdir().unwrap();
        let directories: Vec<_> = (0..count).map(|index| home.path().join(index.to_string())).collect();
        let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        let mut processes = Self { directories, ports, running: Vec::new(), _home: home };
        for index in 0..count {
            let process = processes.process(index);
            processes.running.push(Some(process));
        }
        // The mints are there once a block with their anchor is final.
        let start = Instant::now();
        while (0..count).any(|index| processes.ask(index, "balance 0")[0] != "1000000") {
            assert!(start.elapsed() < PATIENCE, "no block is final");
        }
        processes
    }

    fn process(&self, index: usize) -> Process {
        std::fs::create_dir_all(&self.directories[index]).unwrap();
        Process::start(&self.directories[index], index, &self.ports)
    }

    fn kill(&mut self, index: usize) {
        self.running[index] = None;
    }

    fn restart(&mut self, index: usize) {
        self.running[index] = Some(self.process(index));
    }

    fn ask(&mut self, index: usize, command: &str) -> Vec<String> {
        self.running[index].as_mut().unwrap().ask(command)
    }

    /// How many transactions of user 0 are final at a sequencer.
    fn final_at(&mut self, index: usize) -> u64 {
        self.ask(index, "balance 0")[1].parse().unwrap()
    }

    /// Waits until all who run have `count` transactions of user 0 final and certified, and the same ones.
    fn wait_for(&mut self, count: u64) -> Duration {
        let start = Instant::now();
        loop {
            let up: Vec<_> = (0..self.running.len()).filter(|index| self.running[*index].is_some()).collect();
            let all = up.iter().all(|index| self.final_at(*index) == count);
            let states: Vec<_> = up.iter().map(|index| self.ask(*index, "state")).collect();
            if all && states.iter().all(|state| *state == states[0] && state[0] == state[1]) {
                return start.elapsed();
            }
            assert!(start.elapsed() < PATIENCE, "{count} transactions are not final everywhere: {states:?}");
        }
    }
}

/// User 0 pays user 1 one satoshi more than the nonce.
fn pay(processes: &mut Processes, index: usize, nonce: u64) {
    assert_eq!(processes.ask(index, &format!("pay 0 1 {} {nonce}", nonce + 1)), ["ok"]);
}

#[test]
fn one_process_is_a_set_and_loses_nothing_that_it_took_when_it_is_killed() {
    let mut processes = Processes::start(1);
    for nonce in 0..6 {
        pay(&mut processes, 0, nonce);
        if nonce % 2 == 0 {
            processes.wait_for(nonce + 1);
        }
        processes.kill(0);
        processes.restart(0);
    }
    processes.wait_for(6);
    assert_eq!(processes.ask(0, "balance 1")[0], (1_000_000 + 21).to_string(), "each payment was made once");
}

#[test]
fn four_processes_survive_one_that_is_killed_stop_for_two_and_lose_nothing() {
    let mut processes = Processes::start(4);
    pay(&mut processes, 0, 0);
    processes.wait_for(1);
    pay(&mut processes, 3, 1);
    processes.wait_for(2);

    processes.kill(1);
    pay(&mut processes, 0, 2);
    processes.wait_for(3);
    processes.restart(1);
    let recovery = processes.wait_for(3);
    println!("sequencer.recovery_seconds {:.2}", recovery.as_secs_f64());

    // What was accepted by one who is killed at once is not lost.
    processes.kill(2);
    pay(&mut processes, 1, 3);
    processes.kill(1);
    pay(&mut processes, 0, 4);
    std::thread::sleep(Duration::from_secs(2));
    assert!(processes.final_at(0) <= 4 && processes.final_at(3) <= 4, "two of four are no quorum");
    processes.restart(2);
    processes.restart(1);
    processes.wait_for(5);

    let balance = processes.ask(2, "balance 1")[0].parse::<u64>().unwrap();
    assert_eq!(balance, 1_000_000 + 1 + 2 + 3 + 4 + 5, "each payment was made once");

    let [rate, milliseconds] = load_wanted();
    let share = USERS / 4;
    for (index, process) in processes.running.iter_mut().enumerate() {
        let (first, last) = (index * share, (index + 1) * share);
        process.as_mut().unwrap().send(&format!("load {first} {last} {} {milliseconds}", rate / 4));
    }
    for process in &mut processes.running {
        let answer = process.as_mut().unwrap().answer();
        let figures: Vec<u64> = answer.iter().map(|figure| figure.parse().unwrap()).collect();
        let [sent, certified, refused, p50, p99, longest, all] = figures[..] else { panic!("{answer:?}") };
        println!(
            "sequencer.finality_ms p50 {p50} p99 {p99} longest {longest}; {sent} sent, {certified} certified in {all} ms"
        );
        assert_eq!((certified, refused), (sent, 0), "all of the load is final");
    }
}

/// Transactions a second of all four together, and milliseconds: `TRESTLE_LOAD=rate,milliseconds`.
fn load_wanted() -> [u64; 2] {
    let wanted = std::env::var("TRESTLE_LOAD").ok();
    let parse = |wanted: String| {
        let (rate, milliseconds) = wanted.split_once(',')?;
        Some([rate.parse().ok()?, milliseconds.parse().ok()?])
    };
    wanted.and_then(parse).unwrap_or([100, 2_000])
}
