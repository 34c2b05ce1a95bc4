//! Random faults, each run from one seed: `TRESTLE_SEED=n` runs that one alone, `TRESTLE_SEEDS=n` the first n. A run fails, too, if
//! a fault that it is about did not happen.

use std::collections::BTreeMap;
use std::time::Duration;

use commonware_runtime::deterministic;
use commonware_utils::probability;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_rollup::{Account, Digest, Event, SignedTransaction};
use trestle_sequencer::Policy;
use trestle_sequencer::consensus::{Fate, Part};

use crate::cluster::{Cluster, Node, Run, open_disk};
use crate::faults::{Eye, Fault};
use crate::support::{CONFIRMATIONS, account};

const USERS: usize = 4;

/// Longest that the healed network may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many sequencers there are, and what is wrong with the last of them: up to f of 3f + 1. A seed's set is the one at its
/// place, over and over.
const SETS: [(usize, &[Fault]); 11] = [
    (4, &[]),
    (4, &[Fault::Silent]),
    (4, &[Fault::Twins]),
    (4, &[Fault::Spam]),
    (4, &[Fault::Invalid]),
    (1, &[]),
    (7, &[Fault::Twins, Fault::Invalid]),
    (4, &[Fault::Twins]),
    (4, &[Fault::Noise]),
    (7, &[Fault::Spam, Fault::Twins]),
    (7, &[Fault::Silent, Fault::Invalid]),
];

struct Simulation {
    seed: u64,
    rng: StdRng,
    cluster: Cluster,
    /// Accepted by an honest sequencer.
    accepted: BTreeMap<Digest, SignedTransaction>,
    amounts: u64,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let (sequencers, faults) = SETS[seed as usize % SETS.len()];
        let batch_bytes = rng.gen_range(500..5_000);
        let block_bytes = rng.gen_range(500..=batch_bytes);
        let mut cluster = Cluster::new(Policy { batch_bytes, block_bytes, ..Policy::default() }, sequencers, faults);
        let mints: Vec<_> = (0..USERS).map(|user| cluster.world.mint(user)).collect();
        cluster.world.mine(mints);
        (0..4).for_each(|_| cluster.world.mine(Vec::new()));
        cluster.disks.iter().for_each(|disk| disk.follow(&cluster.world, usize::MAX));
        Self { seed, rng, cluster, accepted: BTreeMap::new(), amounts: 0 }
    }

    /// A user hands a transaction to a sequencer that is up, perhaps some nonces too early.
    fn submit(&mut self, run: &Run, earliness: u64) {
        let index = self.rng.gen_range(0..self.cluster.honest());
        let Some(node) = run.nodes.get(&index) else { return };
        self.amounts += 1;
        let (from, to) = (self.rng.gen_range(0..USERS), self.rng.gen_range(0..USERS));
        let state = node.shared.orderer().account(&account(from)).unwrap();
        let nonce = state.nonce + self.rng.gen_range(0..=earliness);
        let transaction = self.cluster.world.transfer(from, to, self.amounts, self.rng.gen_range(10..60), nonce);
        if let Ok(id) = node.shared.submit(&[transaction.encode()]).unwrap()[0] {
            self.accepted.insert(id, transaction);
        }
    }

    async fn step(&mut self, run: &mut Run) {
        let honest = self.cluster.honest();
        match self.rng.gen_range(0..100) {
            0..45 => {
                for _ in 0..self.rng.gen_range(1..6) {
                    self.submit(run, 3);
                }
            }
            45..55 => {
                let index = self.rng.gen_range(0..honest);
                match run.nodes.contains_key(&index) {
                    true => {
                        run.kill(index);
                        self.cluster.eye.seen().kills += 1;
                    }
                    false => {
                        run.start(&self.cluster, index).await;
                        self.cluster.eye.seen().restarts += 1;
                    }
                }
            }
            55..63 => {
                let side: Vec<bool> = (0..self.cluster.sequencers).map(|_| self.rng.gen_bool(0.5)).collect();
                let fast = (Duration::from_millis(10), Duration::from_millis(3), probability!(1.0));
                run.connect(|one, other| (side[one] == side[other]).then_some(fast)).await;
                self.cluster.eye.seen().partitions += u64::from(side.iter().any(|one| *one != side[0]));
            }
            63..73 => {
                let latency = Duration::from_millis(self.rng.gen_range(5..400));
                let jitter = latency / 3;
                let bad = [probability!(1.0), probability!(0.9), probability!(0.5)][self.rng.gen_range(0..3)];
                run.connect(|_, _| Some((latency, jitter, bad))).await;
                let mut seen = self.cluster.eye.seen();
                seen.slow += u64::from(latency > Duration::from_millis(100));
                seen.lossy += u64::from(bad != probability!(1.0));
            }
            73..80 => self.heal(run).await,
            80..83 => {
                // What the blocks held comes again, or others do without it.
                let world = &mut self.cluster.world;
                let depth = self.rng.gen_range(1..=CONFIRMATIONS as usize);
                world.disconnect(depth);
                if self.rng.gen_bool(0.3) {
                    world.pool.clear();
                }
                world.mine_pool();
                (0..depth).for_each(|_| world.mine(Vec::new()));
                self.cluster.eye.seen().reorganizations += 1;
            }
            83..91 => {
                // Blocks, which some see later than others.
                let mint = self.cluster.world.mint(self.amounts as usize % USERS);
                self.cluster.world.mine(vec![mint]);
                self.post(run);
            }
            _ => {
                let index = self.rng.gen_range(0..self.cluster.disks.len());
                self.cluster.disks[index].follow(&self.cluster.world, usize::MAX);
            }
        }
        let time = Duration::from_millis(self.rng.gen_range(20..1_500));
        run.pass(&mut self.cluster, time).await;
    }

    /// A block with the next batch, if any honest sequencer has its certificate.
    fn post(&mut self, run: &Run) {
        let next = self.cluster.world.ledger.state_at_tip().meta().unwrap().batches;
        let mut honest = run.nodes.range(..self.cluster.honest()).map(|(_, node)| node.shared.orderer());
        let Some(batch) = honest.find_map(|orderer| orderer.certified(0, next).unwrap()) else { return };
        let (commit, reveal) = {
            let payload = self.cluster.world.payload(&batch);
            self.cluster.world.posting(payload)
        };
        self.cluster.world.mine(vec![commit, reveal]);
    }

    async fn heal(&self, run: &Run) {
        let good = (Duration::from_millis(8), Duration::from_millis(2), probability!(1.0));
        run.connect(|_, _| Some(good)).await;
    }

    /// Runs from one power cut to the next.
    async fn segment(&mut self, context: deterministic::Context, steps: usize) {
        let mut run = self.begin(context).await;
        run.pass(&mut self.cluster, Duration::from_secs(2)).await;
        for _ in 0..steps {
            self.step(&mut run).await;
        }
        run.check_blocked(&self.cluster).await;
        self.cluster.eye.seen().power_cuts += 1;
    }

    async fn begin(&mut self, context: deterministic::Context) -> Run {
        let mut run = Run::new(context, self.cluster.sequencers).await;
        self.heal(&run).await;
        for index in 0..self.cluster.honest() {
            run.start(&self.cluster, index).await;
        }
        for (index, fault) in (self.cluster.honest()..).zip(&self.cluster.faults) {
            run.start_faulty(&self.cluster, index, *fault).await;
        }
        run
    }

    /// Nothing goes wrong any more: everything that was accepted becomes final, everywhere, with certificates.
    async fn settle(&mut self, context: deterministic::Context) {
        let mut run = self.begin(context).await;
        for disk in &self.cluster.disks {
            disk.follow(&self.cluster.world, usize::MAX);
        }
        self.wait(&mut run, |simulation, run| simulation.heights(run).iter().all(|height| *height > 0)).await;
        let (heights, before) = (self.heights(&run), self.cluster.contents.len());
        self.wait(&mut run, |simulation, run| {
            simulation.heights(run).iter().zip(&heights).all(|(now, then)| now > then)
        })
        .await;
        // Until whatever is to go wrong has gone wrong.
        let mut rounds = 0;
        while rounds < 5 || !self.had_its_faults() {
            run.pass(&mut self.cluster, Duration::from_secs(1)).await;
            run.check_blocked(&self.cluster).await;
            (0..4).for_each(|earliness| self.submit(&run, earliness));
            rounds += 1;
            assert!(rounds < 120, "seed {}: too little went wrong: {}", self.seed, self.describe(&run));
        }
        self.wait(&mut run, Self::is_settled).await;
        assert!(self.cluster.contents.len() > before, "seed {}: nothing became final", self.seed);
    }

    /// Lets time pass until something is true, which must not take long.
    async fn wait(&mut self, run: &mut Run, done: impl Fn(&Self, &Run) -> bool) {
        let (mut waited, step) = (Duration::ZERO, Duration::from_millis(500));
        while !done(self, run) {
            run.pass(&mut self.cluster, step).await;
            self.post(run);
            self.cluster.disks.iter().for_each(|disk| disk.follow(&self.cluster.world, usize::MAX));
            waited += step;
            assert!(waited < PATIENCE, "seed {}: it does not go on: {}", self.seed, self.describe(run));
        }
    }

    fn heights(&self, run: &Run) -> Vec<u64> {
        run.nodes.range(..self.cluster.honest()).map(|(_, node)| node.shared.orderer().height()).collect()
    }

    fn is_settled(&self, run: &Run) -> bool {
        let honest = || run.nodes.range(..self.cluster.honest()).map(|(_, node)| node.shared.orderer());
        let last = self.cluster.contents.keys().last().copied().unwrap_or_default();
        let count = self.cluster.batches.len() as u64;
        self.lost().is_none()
            && honest().all(|orderer| {
                let has_part = |height: &u64| orderer.certified_part(*height).unwrap().is_some();
                let has_batch = |number: &u64| orderer.certified(0, *number).unwrap().is_some();
                let is_there = orderer.height() >= last && orderer.next_number() == count;
                is_there && self.cluster.contents.keys().all(has_part) && self.cluster.batches.keys().all(has_batch)
            })
    }

    fn had_its_faults(&self) -> bool {
        let seen = self.cluster.eye.seen();
        self.cluster.faults.iter().all(|fault| seen.has(*fault))
    }

    fn describe(&self, run: &Run) -> String {
        let describe = |(index, node): (&usize, &Node)| {
            let orderer = node.shared.orderer();
            let open = (0..=orderer.height()).filter(|height| {
                orderer.part(*height).unwrap().is_some() && orderer.certified_part(*height).unwrap().is_none()
            });
            let (height, next, waiting) = (orderer.height(), orderer.next_number(), orderer.waiting());
            format!("{index}: height {height}, batches {next}, {} parts open, {waiting} waiting", open.count())
        };
        let nodes: Vec<_> = run.nodes.iter().map(describe).collect();
        let (faults, seen) = (&self.cluster.faults, self.cluster.eye.seen());
        format!("{faults:?}, {} batches; {}; {:?}", self.cluster.batches.len(), nodes.join("; "), seen.figures())
    }

    /// Which transaction is final for each nonce of each account, and in which block.
    fn places(&self) -> BTreeMap<(Account, u64), (Digest, u64)> {
        let mut places = BTreeMap::new();
        for (height, (number, content)) in &self.cluster.contents {
            let (number, transactions, certificate) = (*number, content.clone(), Vec::new());
            for signed in (Part { set: 0, number, first: 0, transactions, certificate }).decoded() {
                let turn = (signed.transaction.from(), signed.transaction.nonce());
                let first = places.insert(turn, (self.cluster.world.id(&signed), *height));
                assert_eq!(first, None, "seed {}: nonce {} is used twice", self.seed, turn.1);
            }
        }
        places
    }

    /// A transaction that was accepted, and is not final though its turn has come: no earlier nonce is missing.
    fn lost(&self) -> Option<&SignedTransaction> {
        let places = self.places();
        self.accepted.values().find(|signed| {
            let (from, nonce) = (signed.transaction.from(), signed.transaction.nonce());
            !places.contains_key(&(from, nonce)) && (0..nonce).all(|before| places.contains_key(&(from, before)))
        })
    }

    /// Everything that is final is where the sequencers' disks say.
    fn check(&self) {
        let places = self.places();
        let mut found = 0;
        for disk in self.cluster.disks.iter().take(self.cluster.honest()) {
            let orderer = open_disk(&self.cluster, disk);
            for (id, height) in places.values() {
                assert_eq!(orderer.fate(id).unwrap(), Some(Fate::Final { height: *height }), "seed {}", self.seed);
            }
            found = self.accepted.keys().filter(|id| places.values().any(|(winner, _)| winner == *id)).count();
        }
        for (number, content) in &self.cluster.batches {
            let parts = self.cluster.contents.values().filter(|(of, _)| of == number);
            let parts: Vec<u8> = parts.flat_map(|(_, part)| part.iter().copied()).collect();
            let content: Vec<u8> = content.iter().flat_map(SignedTransaction::encode).collect();
            assert_eq!(content, parts, "seed {}: batch {number} is what its parts promised", self.seed);
        }
        let ledger = &self.cluster.world.ledger;
        for event in (101..=ledger.tip().0).flat_map(|height| ledger.events(height).unwrap()) {
            if let Event::Batch { number, skipped, .. } = event {
                assert_eq!(skipped, 0, "seed {}: batch {number} is executed whole", self.seed);
            }
        }
        println!(
            "seed {}: {} sequencers, {:?}, {} blocks with transactions, {} batches, {found} accepted transactions in them",
            self.seed,
            self.cluster.sequencers,
            self.cluster.faults,
            self.cluster.contents.len(),
            self.cluster.batches.len()
        );
        assert!(found > 3, "seed {}: too little happened", self.seed);
    }
}

/// Runs a seed; what it returns is the same every time.
fn simulate(seed: u64) -> (String, Eye) {
    let mut simulation = Simulation::new(seed);
    let config = deterministic::Config::new().with_seed(seed).with_timeout(Some(Duration::from_secs(3_600)));
    let mut runner = deterministic::Runner::new(config);
    for _ in 0..2 {
        let steps = simulation.rng.gen_range(15..45);
        let ((), checkpoint) = runner.start_and_recover(|context| simulation.segment(context, steps));
        runner = deterministic::Runner::from(checkpoint);
    }
    let ((), checkpoint) = runner.start_and_recover(|context| simulation.settle(context));
    simulation.check();
    (checkpoint.auditor().state(), simulation.cluster.eye)
}

pub fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_happens_there_is_one_order_and_it_goes_on_once_healed() {
    let seeds = match number_from("TRESTLE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number_from("TRESTLE_SEEDS").unwrap_or(40),
    };
    let (count, mut happened) = (seeds.end - seeds.start, BTreeMap::new());
    for seed in seeds {
        let run = std::panic::catch_unwind(|| simulate(seed));
        let Ok((_, eye)) = run else { panic!("seed {seed} failed: TRESTLE_SEED={seed} replays it") };
        for (what, times) in eye.seen().figures() {
            *happened.entry(what).or_insert(0) += times;
        }
    }
    println!("{count} seeds: {happened:?}");
    // One run has the faults of its set alone.
    if count >= 2 * SETS.len() as u64 {
        happened.iter().for_each(|(what, times)| assert!(*times > 0, "there were no {what}"));
    }
}

#[test]
fn a_seed_replays() {
    let audit = |seed| simulate(seed).0;
    assert_eq!(audit(7), audit(7));
    assert_ne!(audit(7), audit(8));
}
