//! The set changes while sequencers crash, links fail and one of each set is faulty, each run from one seed:
//! `TRESTLE_SEED=n` runs that one alone, `TRESTLE_SEEDS=n` the first n.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use commonware_cryptography::Signer as _;
use commonware_p2p::simulated::{Config as NetworkConfig, Link, Network, Oracle};
use commonware_runtime::{Clock as _, Handle, Supervisor as _, deterministic};
use commonware_utils::channel::mpsc;
use commonware_utils::{NZUsize, Probability, probability};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_rollup::{Account, Digest, Event, Ledger, SignedTransaction};
use trestle_sequencer::Policy;
use trestle_sequencer::consensus::{Config, Error, Orderer, Promise, Shared, Subject, Timings, start};

use crate::cluster::{Context, Disk, channels, network_key};
use crate::faults::{Character, Eye, Fault, Player, spam};
use crate::simulation::number_from;
use crate::support::{CONFIRMATIONS, World, account, key, parameters};

/// The first set, and the second: one leaves, one joins.
const SETS: [[usize; 4]; 2] = [[0, 1, 2, 3], [4, 1, 2, 3]];
const SEQUENCERS: usize = 5;
/// Who is faulty, and how: one of each set, be it the one that leaves, the one that joins or one that stays. A seed's are
/// those at its place, over and over.
const FAULTS: [&[(usize, Fault)]; 7] = [
    &[],
    &[(3, Fault::Silent)],
    &[(3, Fault::Invalid)],
    &[(3, Fault::Spam)],
    &[(0, Fault::Invalid), (4, Fault::Silent)],
    &[(0, Fault::Silent), (4, Fault::Invalid)],
    &[(0, Fault::Spam), (4, Fault::Spam)],
];
const USERS: usize = 4;
/// Longest that the healed network may take for anything.
const PATIENCE: Duration = Duration::from_secs(240);

type Key = commonware_cryptography::ed25519::PublicKey;

struct Node {
    shared: Shared,
    engines: BTreeMap<u32, Handle<()>>,
    _certified: mpsc::UnboundedReceiver<Subject>,
}

/// The network from one power cut to the next, and who is up.
struct Run {
    context: Context,
    oracle: Oracle<Key, Context>,
    nodes: BTreeMap<usize, Node>,
    starts: u64,
}

struct Simulation {
    seed: u64,
    rng: StdRng,
    world: World,
    policy: Policy,
    disks: Vec<Disk>,
    faults: BTreeMap<usize, Fault>,
    eye: Eye,
    /// Accepted by honest ones who stay.
    accepted: BTreeMap<Digest, SignedTransaction>,
    /// Nonces for which the one that leaves accepted something, which may have replaced what the others had. It tells them,
    /// but it may be away for as long as they listen.
    left: BTreeSet<(Account, u64)>,
    /// Which transactions were seen final at each height, and in which batch.
    contents: BTreeMap<u64, (u64, Vec<u8>)>,
    amounts: u64,
    /// Who joined the second set with a handover.
    joined: BTreeSet<usize>,
}

fn public(index: usize) -> Key {
    network_key(index).public_key()
}

/// The keys by which a set certifies.
fn keys_of(set: u32) -> Vec<[u8; 32]> {
    SETS[set as usize].iter().map(|index| key("sequencer", *index).x_only_public_key().0.serialize()).collect()
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let batch_bytes = rng.gen_range(500..3_000);
        let policy = Policy { batch_bytes, block_bytes: rng.gen_range(500..=batch_bytes), ..Policy::default() };
        let mut world = World::new(&parameters(4));
        let mints: Vec<_> = (0..USERS).map(|user| world.mint(user)).collect();
        world.mine(mints);
        (0..4).for_each(|_| world.mine(Vec::new()));
        let disks: Vec<_> = (0..SEQUENCERS).map(|_| Disk::new(4)).collect();
        disks.iter().for_each(|disk| disk.follow(&world, usize::MAX));
        let (accepted, contents) = (BTreeMap::new(), BTreeMap::new());
        let (left, joined) = (BTreeSet::new(), BTreeSet::new());
        let faults = FAULTS[seed as usize % FAULTS.len()].iter().copied().collect();
        let eye = Eye::default();
        Self { seed, rng, world, policy, disks, faults, eye, accepted, left, contents, amounts: 0, joined }
    }

    fn open(&self, index: usize) -> Result<Orderer, Error> {
        let Disk { db, ledger } = &self.disks[index];
        Orderer::open(db, key("sequencer", index), ledger.clone(), CONFIRMATIONS, self.policy)
    }

    /// The honest ones of the second set.
    fn honest(&self) -> impl Iterator<Item = usize> {
        SETS[1].into_iter().filter(|index| !self.faults.contains_key(index))
    }

    /// Starts a sequencer, if there is a set for it and it is to take part in any.
    fn start(&mut self, run: &mut Run, index: usize) {
        if matches!(self.faults.get(&index), Some(Fault::Silent | Fault::Spam)) {
            return;
        }
        let opened = self.open(index);
        let orderer = match opened {
            // It was away until nobody was in the first set any more: it joins as the new one does.
            Ok(orderer) if orderer.set() == 0 && run.has_left_alone(index) => {
                drop(orderer);
                self.join(run, index)
            }
            Ok(orderer) => Some(orderer),
            Err(Error::NotAMember) => self.join(run, index),
            Err(error) => panic!("seed {}: {error}", self.seed),
        };
        let Some(orderer) = orderer else { return };
        let (shared, certified) = Shared::new(orderer, Duration::from_millis(200));
        run.nodes.insert(index, Node { shared, engines: BTreeMap::new(), _certified: certified });
    }

    /// Asks those who are up for what the second set begins with.
    fn join(&mut self, run: &Run, index: usize) -> Option<Orderer> {
        let (handover, parts) = run.nodes.values().find_map(|node| {
            let orderer = node.shared.orderer();
            let handover = orderer.handover(1).unwrap()?;
            let parts = handover.pending.iter().map(|height| orderer.part(*height).unwrap());
            let parts: Vec<_> = parts.collect::<Option<_>>()?;
            Some((handover, parts))
        })?;
        let Disk { db, ledger } = &self.disks[index];
        let (key, ledger) = (key("sequencer", index), ledger.clone());
        match Orderer::join(db, key, ledger, CONFIRMATIONS, self.policy, (&handover, &parts)) {
            Ok(orderer) => {
                self.joined.insert(index);
                Some(orderer)
            }
            // Its Layer 2 is not there yet, or it is the one that left.
            Err(Error::NotAMember | Error::Handover(_)) => None,
            Err(error) => panic!("seed {}: {error}", self.seed),
        }
    }

    /// Every sequencer that is up takes part in the sets in which it has a seat, and leaves those that it does not need.
    async fn manage(&mut self, run: &mut Run) {
        for index in 0..SEQUENCERS {
            let Some(node) = run.nodes.get(&index) else { continue };
            let shared = node.shared.clone();
            let seats = {
                let mut orderer = shared.orderer();
                orderer.leave().unwrap();
                orderer.seats()
            };
            for (set, _) in &seats {
                if !run.nodes[&index].engines.contains_key(set) {
                    let is_liar = self.faults.contains_key(&index);
                    let player = Player {
                        shared: shared.clone(),
                        character: if is_liar { Character::Liar } else { Character::Honest },
                        eye: self.eye.clone(),
                        ledger: self.disks[index].ledger.clone(),
                    };
                    let engine = run.engine(index, *set, player).await;
                    run.nodes.get_mut(&index).unwrap().engines.insert(*set, engine);
                }
            }
            let node = run.nodes.get_mut(&index).unwrap();
            node.engines.retain(|set, engine| {
                let stays = seats.iter().any(|(seat, _)| seat == set);
                if !stays {
                    engine.abort();
                }
                stays
            });
        }
    }

    /// A user hands a transaction to one of these, perhaps some nonces too early.
    fn submit(&mut self, run: &Run, to_whom: &[usize], earliness: u64) {
        let index = to_whom[self.rng.gen_range(0..to_whom.len())];
        let Some(node) = run.nodes.get(&index).filter(|_| !self.faults.contains_key(&index)) else { return };
        self.amounts += 1;
        let (from, to) = (self.rng.gen_range(0..USERS), self.rng.gen_range(0..USERS));
        let nonce = node.shared.orderer().account(&account(from)).unwrap().nonce + self.rng.gen_range(0..=earliness);
        let transaction = self.world.transfer(from, to, self.amounts, self.rng.gen_range(10..60), nonce);
        if let Ok(id) = node.shared.submit(&[transaction.encode()]).unwrap()[0] {
            match index {
                0 => drop(self.left.insert((account(from), nonce))),
                _ => drop(self.accepted.insert(id, transaction)),
            }
        }
    }

    /// A block with the next batch, if anybody has the certificate that counts.
    fn mine(&mut self, run: &Run) {
        let state = self.world.ledger.state_at_tip();
        let next = state.meta().unwrap().batches;
        let (set, _) = state.sequencers().unwrap().at(state.height() + 1);
        let mut nodes = run.nodes.values();
        let batch = nodes.find_map(|node| node.shared.orderer().certified(set, next).unwrap());
        let mut transactions = Vec::new();
        if let Some(batch) = batch {
            let payload = self.world.payload(&batch);
            let (commit, reveal) = self.world.posting(payload);
            transactions.extend([commit, reveal]);
        }
        self.world.mine(transactions);
    }

    async fn step(&mut self, run: &mut Run) {
        match self.rng.gen_range(0..100) {
            0..35 => (0..self.rng.gen_range(1..5)).for_each(|_| self.submit(run, &[0, 1, 2, 3, 4], 2)),
            35..50 => {
                let index = self.rng.gen_range(0..SEQUENCERS);
                match run.nodes.contains_key(&index) {
                    true => run.kill(index),
                    false => self.start(run, index),
                }
            }
            50..56 => {
                let side: Vec<bool> = (0..SEQUENCERS).map(|_| self.rng.gen_bool(0.5)).collect();
                let fast = (10, probability!(1.0));
                run.connect(|one, other| (side[one] == side[other]).then_some(fast)).await;
            }
            56..64 => {
                let (latency, bad) = (self.rng.gen_range(5..300), self.rng.gen_bool(0.5));
                let rate = if bad { probability!(0.7) } else { probability!(1.0) };
                run.connect(|_, _| Some((latency, rate))).await;
            }
            64..72 => run.heal().await,
            72..86 => self.mine(run),
            _ => {
                let index = self.rng.gen_range(0..SEQUENCERS);
                self.disks[index].follow(&self.world, usize::MAX);
            }
        }
        let time = Duration::from_millis(self.rng.gen_range(20..1_200));
        self.pass(run, time).await;
    }

    async fn pass(&mut self, run: &mut Run, time: Duration) {
        self.manage(run).await;
        run.context.sleep(time).await;
        for node in run.nodes.values() {
            let orderer = node.shared.orderer();
            for height in orderer.height().saturating_sub(40)..=orderer.height() {
                let Some(part) = orderer.part(height).unwrap() else { continue };
                let content = (part.number, part.transactions);
                let first = self.contents.entry(height).or_insert_with(|| content.clone());
                assert_eq!(*first, content, "seed {}: two contents of block {height} are final", self.seed);
            }
        }
    }

    async fn begin(&mut self, context: Context) -> Run {
        let mut run = Run::new(context).await;
        run.heal().await;
        for (index, _) in self.faults.iter().filter(|(_, fault)| **fault == Fault::Spam) {
            for (set, _) in (0..).zip(SETS).filter(|(_, members)| members.contains(index)) {
                spam(&run.context, &self.eye, channels(&run.oracle, *index, set).await);
            }
        }
        (0..SEQUENCERS).for_each(|index| self.start(&mut run, index));
        self.manage(&mut run).await;
        run
    }

    async fn segment(&mut self, context: Context, steps: usize, change: Option<usize>) {
        let mut run = self.begin(context).await;
        for step in 0..steps {
            if change == Some(step) {
                let (commit, reveal) = self.world.change(&SETS[1]);
                self.world.mine(vec![commit, reveal]);
            }
            self.step(&mut run).await;
        }
    }

    /// Nothing goes wrong any more: the second set goes on with everything that was accepted, Bitcoin executes it, and nothing
    /// of the first set is needed.
    async fn settle(&mut self, context: Context) {
        let mut run = self.begin(context).await;
        self.disks.iter().for_each(|disk| disk.follow(&self.world, usize::MAX));
        self.wait(&mut run, Self::is_settled).await;
        let before = self.contents.len();
        (0..8).for_each(|_| self.submit(&run, &SETS[1], 0));
        let (mut waited, step) = (Duration::ZERO, Duration::from_millis(500));
        while self.contents.len() == before {
            self.pass(&mut run, step).await;
            waited += step;
            assert!(waited < PATIENCE, "seed {}: nothing becomes final: {}", self.seed, self.describe(&run));
        }
        self.wait(&mut run, Self::is_settled).await;
        let has_left = |run: &Run| run.nodes.get(&0).is_none_or(|node| node.shared.orderer().seats().is_empty());
        self.wait(&mut run, |_, run| has_left(run)).await;
    }

    /// Until all is as it should be, which must not take long.
    async fn wait(&mut self, run: &mut Run, done: impl Fn(&Self, &Run) -> bool) {
        let (mut waited, step) = (Duration::ZERO, Duration::from_millis(500));
        while !done(self, run) {
            self.mine(run);
            self.disks.iter().for_each(|disk| disk.follow(&self.world, usize::MAX));
            for index in 0..SEQUENCERS {
                let is_first = run.nodes.get(&index).is_some_and(|node| node.shared.orderer().set() == 0);
                if is_first && run.has_left_alone(index) {
                    run.kill(index);
                }
                if !run.nodes.contains_key(&index) {
                    self.start(run, index);
                }
            }
            self.pass(run, step).await;
            waited += step;
            assert!(waited < PATIENCE, "seed {}: it does not go on: {}", self.seed, self.describe(run));
        }
    }

    fn is_settled(&self, run: &Run) -> bool {
        let executed = self.world.ledger.state_at_tip().meta().unwrap().batches;
        self.lost().is_none()
            && self.honest().all(|index| {
                run.nodes.get(&index).is_some_and(|node| {
                    let orderer = node.shared.orderer();
                    orderer.seats().iter().all(|(set, _)| *set == 1)
                        && (orderer.set(), orderer.count(), orderer.next_number()) == (1, 0, executed)
                })
            })
    }

    /// A transaction that was accepted, and is not final though its turn has come: it was not replaced, and no earlier
    /// nonce is missing.
    fn lost(&self) -> Option<&SignedTransaction> {
        let places = self.places();
        self.accepted.values().find(|signed| {
            let (from, nonce) = (signed.transaction.from(), signed.transaction.nonce());
            let is_due = (0..nonce).all(|before| places.contains_key(&(from, before)));
            is_due && !places.contains_key(&(from, nonce)) && !self.left.contains(&(from, nonce))
        })
    }

    /// Which transaction is final for each nonce of each account.
    fn places(&self) -> BTreeMap<(Account, u64), Digest> {
        let mut places = BTreeMap::new();
        for signed in self.contents.values().flat_map(|(_, bytes)| SignedTransaction::decode_all(bytes).unwrap()) {
            let turn = (signed.transaction.from(), signed.transaction.nonce());
            assert_eq!(places.insert(turn, self.world.id(&signed)), None, "seed {}: a nonce is used twice", self.seed);
        }
        places
    }

    fn describe(&self, run: &Run) -> String {
        let describe = |(index, node): (&usize, &Node)| {
            let orderer = node.shared.orderer();
            let (set, height, next) = (orderer.set(), orderer.height(), orderer.next_number());
            let (waiting, tip) = (orderer.waiting(), self.disks[*index].ledger.tip().0);
            format!(
                "{index}: seats {:?}, set {set}, height {height}, batch {next}, {waiting} waiting, Bitcoin {tip}",
                orderer.seats()
            )
        };
        let nodes: Vec<_> = run.nodes.iter().map(describe).collect();
        let executed = self.world.ledger.state_at_tip().meta().unwrap().batches;
        let tip = self.world.ledger.tip().0;
        let lost = self.lost().map(|signed| {
            let id = self.world.id(signed);
            let fate = |node: &Node| node.shared.orderer().fate(&id).unwrap();
            let fates: Vec<_> = run.nodes.values().map(fate).collect();
            (signed.transaction, fates)
        });
        format!("{executed} batches executed at {tip}; lost: {lost:?}; {}", nodes.join("; "))
    }

    fn check(&self) {
        let (ledger, instance): (&Ledger, _) = (&self.world.ledger, self.world.ledger.parameters().instance());
        let mut sets = BTreeSet::new();
        for index in self.honest() {
            let orderer = self.open(index).unwrap();
            for height in self.contents.keys() {
                // Who joined has nothing that was executed before, and no certificates of the first set.
                let has_joined = self.joined.contains(&index);
                let Some(part) = orderer.part(*height).unwrap() else {
                    assert!(has_joined, "seed {}: sequencer {index} lost block {height}", self.seed);
                    continue;
                };
                sets.insert(part.set);
                let (set, is_old) = (part.set, part.set == 0);
                let is_certified = Promise::Part(part).is_certified(&instance, &keys_of(set));
                assert!(is_certified || is_old, "seed {}: {index} lacks signatures of {height}", self.seed);
            }
        }
        let (mut executed, mut changed) = (0, false);
        for event in (101..=ledger.tip().0).flat_map(|height| ledger.events(height).unwrap()) {
            match event {
                Event::Batch { number, skipped, .. } => {
                    assert_eq!((number, skipped), (executed, 0), "seed {}", self.seed);
                    executed += 1;
                }
                Event::SequencersChanged { .. } => changed = true,
                _ => {}
            }
        }
        println!(
            "seed {}: {:?}, {} blocks with transactions, {executed} batches, {} accepted, joined {:?}",
            self.seed,
            self.faults,
            self.contents.len(),
            self.accepted.len(),
            self.joined
        );
        let has_joined = self.joined.contains(&4) || self.faults.contains_key(&4);
        assert!(changed && sets.contains(&1) && has_joined, "seed {}: the set changed: {sets:?}", self.seed);
    }
}

impl Run {
    async fn new(context: Context) -> Self {
        let config = NetworkConfig {
            max_size: 1 << 20,
            max_peers_per_set: NZUsize!(SEQUENCERS),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        };
        let peers: Vec<_> = (0..SEQUENCERS).map(public).collect();
        let (network, oracle) = Network::new_with_peers(context.child("network"), config, peers).await;
        network.start();
        Self { context, oracle, nodes: BTreeMap::new(), starts: 0 }
    }

    fn kill(&mut self, index: usize) {
        let node = self.nodes.remove(&index);
        node.into_iter().flat_map(|node| node.engines.into_values()).for_each(|engine| engine.abort());
    }

    /// Whether nobody but this sequencer is in the first set any more, though some are up.
    fn has_left_alone(&self, index: usize) -> bool {
        let mut others = self.nodes.iter().filter(|(other, _)| **other != index).peekable();
        others.peek().is_some() && others.all(|(_, node)| node.shared.orderer().seats().iter().all(|(set, _)| *set > 0))
    }

    /// A sequencer's part in a set, on channels of that set.
    async fn engine(&mut self, index: usize, set: u32, player: Player) -> Handle<()> {
        self.starts += 1;
        let context = self.context.child("sequencer").with_attribute("start", self.starts);
        let channels = channels(&self.oracle, index, set).await;
        let config = Config {
            set,
            key: network_key(index),
            members: SETS[set as usize].iter().map(|member| public(*member)).collect(),
            partition: format!("disk{index}-{set}"),
            timings: Timings::default(),
            blocker: self.oracle.control(public(index)),
            provider: self.oracle.manager(),
        };
        start(context, config, player.shared.clone(), player, channels).await
    }

    /// Links all pairs for which `link` has something to say, and unlinks the others.
    async fn connect(&self, link: impl Fn(usize, usize) -> Option<(u64, Probability)>) {
        for (one, other) in (0..SEQUENCERS).flat_map(|one| (0..SEQUENCERS).map(move |other| (one, other))) {
            if one == other {
                continue;
            }
            let _ = self.oracle.remove_link(public(one), public(other)).await;
            if let Some((latency, success_rate)) = link(one, other) {
                let latency = Duration::from_millis(latency);
                let link = Link { latency, jitter: latency / 3, success_rate };
                let _ = self.oracle.add_link(public(one), public(other), link).await;
            }
        }
    }

    async fn heal(&self) {
        self.connect(|_, _| Some((8, probability!(1.0)))).await;
    }
}

/// Runs a seed; what was seen of the faulty ones.
fn simulate(seed: u64) -> Eye {
    let mut simulation = Simulation::new(seed);
    let config = deterministic::Config::new().with_seed(seed).with_timeout(Some(Duration::from_secs(3_600)));
    let mut runner = deterministic::Runner::new(config);
    for segment in 0..3 {
        let steps = simulation.rng.gen_range(15..40);
        let change = (segment == 0).then(|| simulation.rng.gen_range(0..15));
        let ((), checkpoint) = runner.start_and_recover(|context| simulation.segment(context, steps, change));
        runner = deterministic::Runner::from(checkpoint);
    }
    let ((), _) = runner.start_and_recover(|context| simulation.settle(context));
    simulation.check();
    simulation.eye
}

#[test]
fn whatever_happens_one_set_follows_the_other_with_all_that_was_promised() {
    let seeds = match number_from("TRESTLE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number_from("TRESTLE_SEEDS").unwrap_or(14),
    };
    let (count, mut happened) = (seeds.end - seeds.start, [0; 3]);
    for seed in seeds {
        let run = std::panic::catch_unwind(|| simulate(seed));
        let Ok(eye) = run else { panic!("seed {seed} failed: TRESTLE_SEED={seed} replays it") };
        let seen = eye.seen();
        let figures = [seen.lies, seen.refusals, seen.spam];
        happened.iter_mut().zip(figures).for_each(|(all, more)| *all += more);
    }
    println!("{count} seeds: lies, refusals, spam: {happened:?}");
    if count >= FAULTS.len() as u64 {
        assert!(happened.iter().all(|times| *times > 0), "too little went wrong: {happened:?}");
    }
}
