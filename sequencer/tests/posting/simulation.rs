//! Random certificates, blocks, reorganizations, deaths, restarts, lost duties and posters that break the rules, each run
//! from one seed: `TRESTLE_SEED=n` runs that one alone, `TRESTLE_SEEDS=n` the first n.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_sequencer::poster::Event;

use crate::posters::Posters;
use crate::support::CONFIRMATIONS;

struct Simulation {
    posters: Posters,
    rng: StdRng,
    /// Who does nothing now.
    dead: [bool; 4],
    /// How often each thing happened that may.
    happened: BTreeMap<&'static str, u64>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { posters: Posters::new(), rng, dead: [false; 4], happened: BTreeMap::new() }
    }

    fn note(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    /// Gives a poster a tip; it does some of its duties or none, and may be killed in between.
    fn work(&mut self, index: usize) {
        if self.dead[index] {
            return;
        }
        let mut duties = self.posters.process(index, Event::Tip);
        if self.rng.gen_bool(0.2) {
            let kept = self.rng.gen_range(0..=duties.len());
            if duties.len() > kept {
                self.note("duties lost");
            }
            duties.truncate(kept);
        }
        if self.rng.gen_bool(0.1) {
            self.note("restarts before duties");
            self.posters.restart(index);
        }
        self.posters.carry_out(index, duties);
    }

    fn step(&mut self) {
        match self.rng.gen_range(0..100) {
            0..20 if self.posters.batches.len() < 25 => self.posters.certify(),
            20..50 => {
                let index = self.rng.gen_range(0..4);
                self.work(index);
            }
            50..78 => {
                // Some of what waits, in any order that has commits before reveals, so that batches may come out of order.
                let waiting = std::mem::take(&mut self.posters.world.pool);
                let (mut mined, left): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|_| self.rng.gen_bool(0.6));
                if self.rng.gen_bool(0.3) {
                    mined.reverse();
                    mined.sort_by_key(|tx| tx.output.len() + usize::from(tx.input[0].witness.len() > 1));
                }
                self.posters.world.pool = left;
                self.posters.world.mine(mined);
            }
            78..84 => {
                let most = (self.posters.world.blocks.len() - 1).min(CONFIRMATIONS as usize);
                let depth = self.rng.gen_range(0..=most);
                self.posters.world.disconnect(depth);
                if depth > 0 {
                    self.note("reorganizations");
                }
                if self.rng.gen_bool(0.3) {
                    self.note("mempools forgotten");
                    self.posters.world.pool.clear();
                }
                (0..=depth).for_each(|_| self.posters.world.mine(Vec::new()));
            }
            84..90 => {
                let index = self.rng.gen_range(0..4);
                self.dead[index] = !self.dead[index];
                self.note("deaths and returns");
            }
            90..95 => {
                // Somebody posts what is not due: an old batch once more, or one that is far ahead.
                if let Some(batch) = self.posters.batches.get(self.rng.gen_range(0..25)).cloned() {
                    self.note("undue postings");
                    let payload = self.posters.world.payload(&batch);
                    let (commit, reveal) = self.posters.world.posting(payload);
                    self.posters.world.broadcast(commit);
                    self.posters.world.broadcast(reveal);
                }
            }
            _ => {
                let index = self.rng.gen_range(0..4);
                self.posters.restart(index);
            }
        }
        for index in 0..4 {
            if self.rng.gen_bool(0.5) {
                self.work(index);
            }
        }
    }

    /// Nothing goes wrong any more, except that up to three of the four are dead.
    fn settle(&mut self) {
        let alive = self.rng.gen_range(0..4);
        self.dead[alive] = false;
        for _ in 0..(25 * 8) {
            for index in (0..4).filter(|index| !self.dead[*index]) {
                self.posters.work(index);
            }
            self.posters.world.mine_pool();
        }
    }
}

/// Runs a seed; returns how often each thing happened.
fn simulate(seed: u64) -> BTreeMap<&'static str, u64> {
    let mut simulation = Simulation::new(seed);
    for _ in 0..120 {
        simulation.step();
    }
    simulation.settle();
    let count = simulation.posters.batches.len() as u64;
    let expected: Vec<_> = (1..=count).collect();
    assert_eq!(simulation.posters.paid(), expected, "seed {seed}");
    assert!(count > 5, "seed {seed}: too little happened");
    let mut posters: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (index, number) in &simulation.posters.made {
        posters.entry(*number).or_default().insert(*index);
    }
    let twice = posters.values().filter(|posters| posters.len() > 1).count() as u64;
    simulation.happened.insert("batches posted by two", twice);
    simulation.happened
}

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_happens_every_certified_batch_is_executed_once_and_in_order() {
    let seeds = match number_from("TRESTLE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number_from("TRESTLE_SEEDS").unwrap_or(60),
    };
    let (count, mut happened) = (seeds.end - seeds.start, BTreeMap::new());
    for seed in seeds {
        let run = std::panic::catch_unwind(|| simulate(seed));
        let Ok(run) = run else { panic!("seed {seed} failed: TRESTLE_SEED={seed} replays it") };
        run.into_iter().for_each(|(what, times)| *happened.entry(what).or_insert(0) += times);
    }
    println!("{count} seeds: {happened:?}");
    if count > 10 {
        assert!(happened.len() == 7 && happened.values().all(|times| *times > 0), "all of it happens: {happened:?}");
    }
}
