//! Sequencers in one simulated network, what they have on disk, and what was ever seen of them.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Duration;

use commonware_cryptography::Signer as _;
use commonware_cryptography::ed25519::{PrivateKey, PublicKey};
use commonware_p2p::simulated::{Config as NetworkConfig, Link, Network, Oracle};
use commonware_runtime::{Clock, Handle, Quota, Supervisor as _, deterministic};
use commonware_utils::channel::mpsc;
use commonware_utils::{NZU32, NZUsize, Probability};
use trestle_rollup::{Ledger, Signatures, SignedTransaction};
use trestle_sequencer::Policy;
use trestle_sequencer::consensus::{self, Channels, Config, Orderer, Promise, Shared, Subject, Timings};

use crate::faults::{Character, Eye, Fault, Player, Wires, noise, spam, split};
use crate::support::{CONFIRMATIONS, World, key, parameters};

/// How long a leader waits for transactions.
const PATIENCE: Duration = Duration::from_millis(200);

pub type Context = deterministic::Context;

/// A sequencer's disk.
pub struct Disk {
    pub db: sled::Db,
    pub ledger: Ledger,
}

impl Disk {
    pub fn new(sequencers: usize) -> Self {
        let db = sled::Config::new().temporary(true).open().unwrap();
        let ledger = Ledger::open(&db, &parameters(sequencers)).unwrap();
        Self { db, ledger }
    }

    /// Follows the chain of the world up to `height`, also if it has left the blocks that this one knows.
    pub fn follow(&self, world: &World, height: usize) {
        let tip = self.ledger.tip().0;
        let known = tip.min(world.ledger.tip().0);
        let is_shared = |at: &u32| self.ledger.entry(*at).unwrap() == world.ledger.entry(*at).unwrap();
        let shared = (100..=known).rev().find(is_shared).unwrap();
        if shared < tip {
            self.ledger.rollback(shared).unwrap();
        }
        world.raw.iter().take(height).skip(shared as usize - 100).for_each(|raw| {
            self.ledger.extend(raw).unwrap();
        });
    }
}

/// A sequencer that runs.
pub struct Node {
    pub shared: Shared,
    handle: Handle<()>,
    certified: mpsc::UnboundedReceiver<Subject>,
}

pub fn network_key(index: usize) -> PrivateKey {
    PrivateKey::from_seed(index as u64)
}

fn members(sequencers: usize) -> Vec<PublicKey> {
    (0..sequencers).map(|index| network_key(index).public_key()).collect()
}

/// A sequencer's channels in the network of a set.
pub async fn channels(oracle: &Oracle<PublicKey, Context>, index: usize, set: u32) -> Wires {
    let control = oracle.control(network_key(index).public_key());
    let register = async |channel: u64| {
        let quota = Quota::per_second(NZU32!(10_000));
        control.register(u64::from(set) * 6 + channel, quota).await.unwrap()
    };
    Channels {
        votes: register(0).await,
        certificates: register(1).await,
        resolver: register(2).await,
        blocks: register(3).await,
        backfill: register(4).await,
        gossip: register(5).await,
    }
}

/// What survives a power cut.
pub struct Cluster {
    pub world: World,
    pub policy: Policy,
    pub sequencers: usize,
    /// One for each sequencer, and one more for each faulty one, whose twin may have it.
    pub disks: Vec<Disk>,
    /// What the last sequencers do wrong.
    pub faults: Vec<Fault>,
    pub eye: Eye,
    /// Which transactions were seen final at each height, ever and anywhere honest, and in which batch.
    pub contents: BTreeMap<u64, (u64, Vec<u8>)>,
    /// Which were seen in each batch that was cut.
    pub batches: BTreeMap<u64, Vec<SignedTransaction>>,
    /// Certificates that were verified, of what is seen above.
    verified: BTreeSet<(Subject, u32, Signatures)>,
}

impl Cluster {
    pub fn new(policy: Policy, sequencers: usize, faults: &[Fault]) -> Self {
        let world = World::new(&parameters(sequencers));
        let disks = (0..sequencers + faults.len()).map(|_| Disk::new(sequencers)).collect();
        let (contents, batches, verified) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self {
            world,
            policy,
            sequencers,
            disks,
            faults: faults.into(),
            eye: Eye::default(),
            contents,
            batches,
            verified,
        }
    }

    pub fn honest(&self) -> usize {
        self.sequencers - self.faults.len()
    }

    /// Checks what one honest sequencer holds against all that was seen before.
    pub fn observe(&mut self, shared: &Shared) {
        let mut orderer = shared.orderer();
        let keys = &self.world.ledger.parameters().sequencers;
        let instance = self.world.ledger.parameters().instance();
        // Most are looked at many times.
        let mut certified = |subject: Subject, first: u32, certificate: Signatures, promise: Promise| {
            let known = (subject, first, certificate);
            self.verified.contains(&known) || (promise.is_certified(&instance, keys) && self.verified.insert(known))
        };
        for height in orderer.height().saturating_sub(40)..=orderer.height() {
            let Some(part) = orderer.part(height).unwrap() else {
                assert_eq!(self.contents.get(&height), None, "block {height} has transactions and has none");
                continue;
            };
            let content = (part.number, part.transactions);
            let first = self.contents.entry(height).or_insert_with(|| content.clone());
            assert_eq!(*first, content, "two contents of block {height} are final");
            let Some(part) = orderer.certified_part(height).unwrap() else { continue };
            let (first, certificate) = (part.first, part.certificate.clone());
            let certified = certified(Subject::Part(height), first, certificate, Promise::Part(part));
            assert!(certified, "block {height} is badly certified");
        }
        for number in orderer.next_number().saturating_sub(5)..orderer.next_number() {
            let batch = orderer.batch(number).unwrap().unwrap();
            let first = self.batches.entry(number).or_insert_with(|| batch.transactions.clone());
            assert_eq!(*first, batch.transactions, "two contents of batch {number} are signed");
            let Some(batch) = orderer.certified(0, number).unwrap() else { continue };
            let promise = Promise::Batch(batch.to_certificate(&instance));
            let certified = certified(Subject::Batch(number), 0, batch.certificate, promise);
            assert!(certified, "batch {number} is badly certified");
        }
        let _ = orderer.account(&crate::support::account(0)).unwrap();
    }
}

/// The network of one run, and who is up.
pub struct Run {
    pub context: Context,
    pub oracle: Oracle<PublicKey, Context>,
    members: Vec<PublicKey>,
    pub nodes: BTreeMap<usize, Node>,
    starts: u64,
}

impl Run {
    pub async fn new(context: Context, sequencers: usize) -> Self {
        let config = NetworkConfig {
            max_size: 1 << 20,
            max_peers_per_set: NonZeroUsize::new(sequencers).unwrap(),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        };
        let members = members(sequencers);
        let (network, oracle) = Network::new_with_peers(context.child("network"), config, members.clone()).await;
        network.start();
        Self { context, oracle, members, nodes: BTreeMap::new(), starts: 0 }
    }

    /// Links all pairs for which `link` has something to say, and unlinks the others.
    pub async fn connect(&self, link: impl Fn(usize, usize) -> Option<(Duration, Duration, Probability)>) {
        for (one, from) in self.members.iter().enumerate() {
            for (other, to) in self.members.iter().enumerate().filter(|(other, _)| *other != one) {
                let _ = self.oracle.remove_link(from.clone(), to.clone()).await;
                if let Some((latency, jitter, success_rate)) = link(one, other) {
                    let link = Link { latency, jitter, success_rate };
                    let _ = self.oracle.add_link(from.clone(), to.clone(), link).await;
                }
            }
        }
    }

    /// Honest sequencers cut off faulty ones only; how many did.
    pub async fn check_blocked(&self, cluster: &Cluster) {
        let index = |key: &PublicKey| self.members.iter().position(|member| member == key).unwrap();
        for (by, whom) in self.oracle.blocked().await.unwrap() {
            let (by, whom) = (index(&by), index(&whom));
            if by < cluster.honest() {
                assert!(whom >= cluster.honest(), "sequencer {by} cut {whom} off, which did nothing wrong");
                cluster.eye.seen().caught += 1;
            }
        }
    }

    /// Starts the sequencer with this index as it should be.
    pub async fn start(&mut self, cluster: &Cluster, index: usize) {
        let channels = channels(&self.oracle, index, 0).await;
        self.launch(cluster, index, index, Character::Honest, channels).await;
    }

    async fn launch<S, R>(
        &mut self,
        cluster: &Cluster,
        index: usize,
        disk: usize,
        character: Character,
        channels: Channels<S, R>,
    ) where
        S: commonware_p2p::Sender<PublicKey = PublicKey>,
        R: commonware_p2p::Receiver<PublicKey = PublicKey>,
    {
        self.starts += 1;
        let context = self.context.child("sequencer").with_attribute("start", self.starts);
        let config = Config {
            set: 0,
            key: network_key(index),
            members: self.members.clone(),
            partition: format!("disk{disk}"),
            timings: Timings::default(),
            blocker: self.oracle.control(network_key(index).public_key()),
            provider: self.oracle.manager(),
        };
        let (shared, certified) = Shared::new(open(cluster, index, disk), PATIENCE);
        let player = Player {
            shared: shared.clone(),
            character,
            eye: cluster.eye.clone(),
            ledger: cluster.disks[disk].ledger.clone(),
        };
        let handle = consensus::start(context, config, shared.clone(), player, channels).await;
        self.nodes.insert(disk, Node { shared, handle, certified });
    }

    /// Starts the sequencer with this index as its fault has it.
    pub async fn start_faulty(&mut self, cluster: &Cluster, index: usize, fault: Fault) {
        match fault {
            Fault::Silent => {}
            Fault::Spam => spam(&self.context, &cluster.eye, channels(&self.oracle, index, 0).await),
            Fault::Noise => noise(&self.context, &cluster.eye, channels(&self.oracle, index, 0).await),
            Fault::Invalid => {
                let channels = channels(&self.oracle, index, 0).await;
                self.launch(cluster, index, index, Character::Liar, channels).await;
            }
            Fault::Twins => {
                let Channels { votes, certificates, resolver, blocks, backfill, gossip } =
                    channels(&self.oracle, index, 0).await;
                let members = self.members.clone();
                let split = |channel| split(&self.context, (&members, cluster.honest()), channel);
                let [[v1, v2], [c1, c2], [r1, r2], [b1, b2], [f1, f2], [g1, g2]] =
                    [split(votes), split(certificates), split(resolver), split(blocks), split(backfill), split(gossip)];
                let first =
                    Channels { votes: v1, certificates: c1, resolver: r1, blocks: b1, backfill: f1, gossip: g1 };
                let second =
                    Channels { votes: v2, certificates: c2, resolver: r2, blocks: b2, backfill: f2, gossip: g2 };
                let twin = index + cluster.faults.len();
                for (disk, channels) in [(index, first), (twin, second)] {
                    self.launch(cluster, index, disk, Character::Twin { index, disk }, channels).await;
                }
            }
        }
    }

    /// Kills a sequencer between two instructions. What it wrote stays.
    pub fn kill(&mut self, index: usize) {
        if let Some(node) = self.nodes.remove(&index) {
            node.handle.abort();
        }
    }

    /// Lets time pass, and looks at what the honest ones have.
    pub async fn pass(&mut self, cluster: &mut Cluster, time: Duration) {
        self.context.sleep(time).await;
        for (index, node) in self.nodes.range_mut(..cluster.honest()) {
            while let Ok(subject) = node.certified.try_recv() {
                let orderer = node.shared.orderer();
                let certified = match subject {
                    Subject::Part(height) => orderer.certified_part(height).unwrap().is_some(),
                    Subject::Batch(number) => orderer.certified(0, number).unwrap().is_some(),
                    Subject::Handover(set) => orderer.handover(set as u32).unwrap().is_some(),
                };
                assert!(certified, "sequencer {index} has no certificate of {subject:?}");
            }
            cluster.observe(&node.shared);
        }
    }
}

fn open(cluster: &Cluster, index: usize, disk: usize) -> Orderer {
    let Disk { db, ledger } = &cluster.disks[disk];
    Orderer::open(db, key("sequencer", index), ledger.clone(), CONFIRMATIONS, cluster.policy).unwrap()
}

/// What a disk says, whoever's it is.
pub fn open_disk(cluster: &Cluster, disk: &Disk) -> Orderer {
    Orderer::open(&disk.db, key("sequencer", 0), disk.ledger.clone(), CONFIRMATIONS, cluster.policy).unwrap()
}
