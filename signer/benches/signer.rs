//! What a committee of ten costs: `cargo bench -p trestle-signer`. One JSON line a figure.
//!
//! Ten whole signers in one process and one thread, each with its own sled store on disk, exchange real messages.
//!
//! * `committee.signatures_per_deposit`: final signatures for one deposit with 20 open slots, everything included.
//! * `committee.bytes_per_deposit`: those signatures as they are kept and handed to operators.
//! * `committee.wire_bytes_per_deposit`: what one signer (not the leader) sends and receives for it.
//! * `committee.sign_slot_seconds`: all of one slot's graph, from the operator's request to the last signer's last flush.
//! * `committee.sign_deposit_seconds`: one deposit with 20 open slots, in the same way.
#![allow(missing_docs, reason = "a benchmark")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::VecDeque;
use std::time::Instant;

use bitcoin::secp256k1::schnorr::Signature;
use support::members::Everyone;
use support::world::World;
use trestle_bridge::job::Job;
use trestle_signer::{Delivery, Duty, Event, LEADER, Message, Receiver, Signer};

const SIGNERS: usize = 10;
const SLOTS: u32 = 10;
const RUNS: usize = 9;

/// A committee whose messages are all delivered, in order.
struct Committee {
    world: World,
    signers: Vec<Signer<sled::Tree>>,
    mail: VecDeque<(usize, usize, Vec<u8>)>,
    /// Bytes that signer 1 sent and received.
    wire: usize,
    delivered: Vec<Delivery>,
}

impl Committee {
    fn new(everyone: &Everyone, directory: &std::path::Path) -> Self {
        let open = |(index, key): (usize, _)| {
            let db = sled::open(directory.join(index.to_string())).unwrap();
            Signer::open(db.open_tree("signer").unwrap(), key, everyone.bridge.clone()).unwrap()
        };
        let signers = everyone.signers.iter().enumerate().map(open).collect();
        let world = World::new(everyone.bridge.clone());
        Self { world, signers, mail: VecDeque::new(), wire: 0, delivered: Vec::new() }
    }

    fn give(&mut self, to: usize, event: Event) {
        for duty in self.signers[to].process(event, &self.world.view(0)).unwrap() {
            match duty {
                Duty::Send { to: next, message } => {
                    let bytes = message.encode();
                    self.wire += if to == 1 || next == 1 { bytes.len() } else { 0 };
                    self.mail.push_back((to, next, bytes));
                }
                Duty::Broadcast { transaction, .. } => self.world.broadcast(&transaction),
                Duty::Deliver { to: receiver, delivery } => {
                    if matches!((receiver, &delivery.job), (Receiver::Operator(_), Job::Run(_))) {
                        self.world.pay(&delivery.job);
                    }
                    self.delivered.push(delivery);
                }
                Duty::Watch { .. } => {}
                duty => panic!("{duty:?}"),
            }
        }
    }

    fn request(&mut self, (job, consents): (Job, Vec<Signature>)) {
        self.give(LEADER, Event::Requested { job: Box::new(job), consents });
        while let Some((from, to, bytes)) = self.mail.pop_front() {
            let message = Message::decode(&bytes).unwrap();
            self.give(to, Event::Message { from, message });
        }
    }
}

fn figure(name: &str, value: f64, unit: &str) {
    println!(r#"{{"name":"{name}","value":{value},"unit":"{unit}"}}"#);
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    (seconds[seconds.len() / 2] * 1e4).round() / 1e4
}

fn main() {
    let everyone = Everyone::new(SIGNERS, 1, |_| {});
    let directory = tempfile::tempdir().unwrap();
    let mut committee = Committee::new(&everyone, directory.path());
    let checkpoint = committee.world.checkpoint();

    // One slot: a run of one, each time by a fresh committee.
    let mut slot = Vec::new();
    for run in 0..RUNS {
        let fresh = tempfile::tempdir().unwrap();
        let mut committee = Committee::new(&everyone, fresh.path());
        let request = everyone.run(0, run as u32, 1, checkpoint);
        let start = Instant::now();
        committee.request(request);
        slot.push(start.elapsed().as_secs_f64());
        assert_eq!(committee.delivered.len(), 2 * SIGNERS);
    }

    // 20 open slots: two operators with ten each.
    for operator in 0..2 {
        committee.request(everyone.run(operator, 0, SLOTS, checkpoint));
    }
    let mut seconds = Vec::new();
    let mut kept = Vec::new();
    for run in 0..RUNS {
        let request = everyone.deposit(&format!("user {run}"));
        committee.world.pay(&request.0);
        (0..6).for_each(|_| committee.world.mine());
        committee.delivered.clear();
        committee.wire = 0;
        let start = Instant::now();
        committee.request(request);
        seconds.push(start.elapsed().as_secs_f64());
        assert_eq!(committee.delivered.len(), 2 * SIGNERS);
        kept = committee.delivered[0].signatures.concat();
        committee.world.mine();
    }
    figure("committee.signatures_per_deposit", kept.len() as f64, "signatures");
    figure("committee.bytes_per_deposit", (kept.len() * 64) as f64, "bytes");
    figure("committee.wire_bytes_per_deposit", committee.wire as f64, "bytes");
    figure("committee.sign_slot_seconds", median(slot), "s");
    figure("committee.sign_deposit_seconds", median(seconds), "s");
}
