//! Four sequencers in one simulated network, what they have on disk, and what was ever seen of them.

use std::collections::BTreeMap;
use std::time::Duration;

use commonware_consensus::Application;
use commonware_consensus::marshal::ancestry::Ancestry;
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::simplex::types::Context as View;
use commonware_cryptography::ed25519::{PrivateKey, PublicKey};
use commonware_cryptography::{Digested, Digestible as _, Signer as _, sha256};
use commonware_p2p::Recipients;
use commonware_p2p::simulated::{
    Config as NetworkConfig, Control, Link, Network, Oracle, Receiver, Sender, SplitForwarder, SplitOrigin, SplitTarget,
};
use commonware_runtime::{Clock, Handle, Quota, Supervisor as _, deterministic};
use commonware_utils::channel::mpsc;
use commonware_utils::{NZU32, NZUsize, Probability};
use trestle_rollup::{Ledger, SignedTransaction};
use trestle_sequencer::Policy;
use trestle_sequencer::consensus::{self, Block, Channels, Config, Orderer, Promise, Shared, Subject, Timings};

use crate::support::{CONFIRMATIONS, World, key, parameters};

pub const SEQUENCERS: usize = 4;

/// How long a leader waits for transactions.
const PATIENCE: Duration = Duration::from_millis(200);

pub type Context = deterministic::Context;

/// What the fourth sequencer does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It says nothing.
    Silent,
    /// It is two that share a key, and tells either half of the others something else.
    Twins,
    /// It says everything to everybody.
    Spam,
    /// It proposes what is not valid.
    Invalid,
}

/// A sequencer's disk.
pub struct Disk {
    pub db: sled::Db,
    pub ledger: Ledger,
}

impl Disk {
    fn new() -> Self {
        let db = sled::Config::new().temporary(true).open().unwrap();
        let ledger = Ledger::open(&db, &parameters(SEQUENCERS)).unwrap();
        Self { db, ledger }
    }

    /// Follows the chain of the world up to `height`.
    pub fn follow(&self, world: &World, height: usize) {
        let known = self.ledger.tip().0 as usize - 100;
        world.raw.iter().take(height).skip(known).for_each(|raw| {
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

pub fn members() -> Vec<PublicKey> {
    (0..SEQUENCERS).map(|index| network_key(index).public_key()).collect()
}

/// What survives a power cut.
pub struct Cluster {
    pub world: World,
    pub policy: Policy,
    /// One for each sequencer, and one for the second twin.
    pub disks: Vec<Disk>,
    pub fault: Fault,
    /// Which transactions were seen final at each height, ever and anywhere honest, and in which batch.
    pub contents: BTreeMap<u64, (u64, Vec<u8>)>,
    /// Which were seen in each batch that was cut.
    pub batches: BTreeMap<u64, Vec<SignedTransaction>>,
}

impl Cluster {
    pub fn new(policy: Policy, fault: Fault) -> Self {
        let world = World::new(&parameters(SEQUENCERS));
        let disks = (0..=SEQUENCERS).map(|_| Disk::new()).collect();
        Self { world, policy, disks, fault, contents: BTreeMap::new(), batches: BTreeMap::new() }
    }

    pub fn honest(&self) -> usize {
        if self.fault == Fault::None { SEQUENCERS } else { SEQUENCERS - 1 }
    }

    /// Checks what one honest sequencer holds against all that was seen before.
    pub fn observe(&mut self, shared: &Shared) {
        let mut orderer = shared.orderer();
        let keys = &self.world.ledger.parameters().sequencers;
        let instance = self.world.ledger.parameters().instance();
        let certified = |promise: Promise| promise.is_certified(&instance, keys);
        for height in orderer.height().saturating_sub(40)..=orderer.height() {
            let Some(part) = orderer.part(height).unwrap() else {
                assert_eq!(self.contents.get(&height), None, "block {height} has transactions and has none");
                continue;
            };
            let content = (part.number, part.transactions);
            let first = self.contents.entry(height).or_insert_with(|| content.clone());
            assert_eq!(*first, content, "two contents of block {height} are final");
            let part = orderer.certified_part(height).unwrap();
            assert!(part.is_none_or(|part| certified(Promise::Part(part))), "block {height} is badly certified");
        }
        for number in orderer.next_number().saturating_sub(5)..orderer.next_number() {
            let batch = orderer.batch(number).unwrap().unwrap();
            let first = self.batches.entry(number).or_insert_with(|| batch.transactions.clone());
            assert_eq!(*first, batch.transactions, "two contents of batch {number} are signed");
            let batch = orderer.certified(number).unwrap();
            let batch = batch.map(|batch| batch.to_certificate(&instance));
            assert!(batch.is_none_or(|batch| certified(Promise::Batch(batch))), "batch {number} is badly certified");
        }
        let _ = orderer.account(&crate::support::account(0)).unwrap();
    }
}

/// The network of one run, and who is up.
pub struct Run {
    pub context: Context,
    pub oracle: Oracle<PublicKey, Context>,
    pub nodes: BTreeMap<usize, Node>,
    starts: u64,
}

impl Run {
    pub async fn new(context: Context) -> Self {
        let config = NetworkConfig {
            max_size: 1 << 20,
            max_peers_per_set: NZUsize!(SEQUENCERS),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        };
        let (network, oracle) = Network::new_with_peers(context.child("network"), config, members()).await;
        network.start();
        Self { context, oracle, nodes: BTreeMap::new(), starts: 0 }
    }

    /// Links all pairs for which `link` has something to say, and unlinks the others.
    pub async fn connect(&self, link: impl Fn(usize, usize) -> Option<(Duration, Duration, Probability)>) {
        for (one, other) in (0..SEQUENCERS).flat_map(|one| (0..SEQUENCERS).map(move |other| (one, other))) {
            if one == other {
                continue;
            }
            let (from, to) = (network_key(one).public_key(), network_key(other).public_key());
            let _ = self.oracle.remove_link(from.clone(), to.clone()).await;
            if let Some((latency, jitter, success_rate)) = link(one, other) {
                let _ = self.oracle.add_link(from, to, Link { latency, jitter, success_rate }).await;
            }
        }
    }

    async fn channels(&self, index: usize) -> Channels<Sender<PublicKey, Context>, Receiver<PublicKey>> {
        let control: Control<_, _> = self.oracle.control(network_key(index).public_key());
        let quota = Quota::per_second(NZU32!(10_000));
        Channels {
            votes: control.register(0, quota).await.unwrap(),
            certificates: control.register(1, quota).await.unwrap(),
            resolver: control.register(2, quota).await.unwrap(),
            blocks: control.register(3, quota).await.unwrap(),
            backfill: control.register(4, quota).await.unwrap(),
            gossip: control.register(5, quota).await.unwrap(),
        }
    }

    /// Starts the sequencer with this index as it should be.
    pub async fn start(&mut self, cluster: &Cluster, index: usize) {
        let channels = self.channels(index).await;
        let orderer = open(cluster, index, index);
        let (shared, duties) = Shared::new(orderer, PATIENCE);
        let node = self.launch(index, index, shared.clone(), duties, shared, channels).await;
        self.nodes.insert(index, node);
    }

    async fn launch<A, S, R>(
        &mut self,
        index: usize,
        disk: usize,
        shared: Shared,
        duties: mpsc::UnboundedReceiver<consensus::Duty>,
        application: A,
        channels: Channels<S, R>,
    ) -> Node
    where
        A: Application<
                Context,
                SigningScheme = Scheme,
                Context = View<sha256::Digest, PublicKey>,
                Block = Block,
                Input = (),
            >,
        S: commonware_p2p::Sender<PublicKey = PublicKey>,
        R: commonware_p2p::Receiver<PublicKey = PublicKey>,
    {
        self.starts += 1;
        let context = self.context.child("sequencer").with_attribute("start", self.starts);
        let config = Config {
            key: network_key(index),
            members: members(),
            partition: format!("disk{disk}"),
            timings: Timings::default(),
            blocker: self.oracle.control(network_key(index).public_key()),
            provider: self.oracle.manager(),
        };
        let (sender, certified) = mpsc::unbounded_channel();
        let handle = consensus::start(context, config, (shared.clone(), duties), application, channels, sender).await;
        Node { shared, handle, certified }
    }

    /// Starts the fourth sequencer as the cluster's fault wants it.
    pub async fn start_faulty(&mut self, cluster: &Cluster) {
        let index = SEQUENCERS - 1;
        match cluster.fault {
            Fault::None => self.start(cluster, index).await,
            Fault::Silent => {}
            Fault::Spam => spam::start(self.context.child("spam"), self.channels(index).await),
            Fault::Invalid => {
                let channels = self.channels(index).await;
                let (shared, duties) = Shared::new(open(cluster, index, index), PATIENCE);
                let liar = Liar { honest: shared.clone(), lies: 0 };
                let node = self.launch(index, index, shared, duties, liar, channels).await;
                self.nodes.insert(index, node);
            }
            Fault::Twins => {
                let Channels { votes, certificates, resolver, blocks, backfill, gossip } = self.channels(index).await;
                let split = |(sender, receiver)| split(&self.context, sender, receiver);
                let [[v1, v2], [c1, c2], [r1, r2], [b1, b2], [f1, f2], [g1, g2]] =
                    [split(votes), split(certificates), split(resolver), split(blocks), split(backfill), split(gossip)];
                let first =
                    Channels { votes: v1, certificates: c1, resolver: r1, blocks: b1, backfill: f1, gossip: g1 };
                let second =
                    Channels { votes: v2, certificates: c2, resolver: r2, blocks: b2, backfill: f2, gossip: g2 };
                for (disk, channels) in [(index, first), (index + 1, second)] {
                    let (shared, duties) = Shared::new(open(cluster, index, disk), PATIENCE);
                    let node = self.launch(index, disk, shared.clone(), duties, shared, channels).await;
                    self.nodes.insert(disk, node);
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
                    Subject::Batch(number) => orderer.certified(number).unwrap().is_some(),
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

type Half<F> = (commonware_p2p::simulated::SplitSender<PublicKey, Context, F>, Receiver<PublicKey>);

/// The first twin talks with sequencers 0 and 1, the second with 1 and 2.
fn split(
    context: &Context,
    sender: Sender<PublicKey, Context>,
    receiver: Receiver<PublicKey>,
) -> [Half<impl SplitForwarder<PublicKey>>; 2] {
    let members = members();
    let forward = move |origin, recipients: &Recipients<PublicKey>, _: &_| {
        let circle = match origin {
            SplitOrigin::Primary => &members[..2],
            SplitOrigin::Secondary => &members[1..3],
        };
        let wanted = |member: &&PublicKey| match recipients {
            Recipients::All => true,
            Recipients::Some(some) => some.contains(member),
            Recipients::One(one) => one == *member,
        };
        Some(Recipients::Some(circle.iter().filter(wanted).cloned().collect()))
    };
    let route = |(from, _): &(PublicKey, _)| match network_index(from) {
        0 => SplitTarget::Primary,
        2 => SplitTarget::Secondary,
        _ => SplitTarget::Both,
    };
    let ((first, second), (third, fourth)) =
        (sender.split_with(forward), receiver.split_with(context.child("split"), route));
    [(first, third), (second, fourth)]
}

fn network_index(key: &PublicKey) -> usize {
    members().iter().position(|member| member == key).unwrap()
}

/// Proposes what is not valid, in a different way each time.
#[derive(Clone)]
struct Liar {
    honest: Shared,
    lies: usize,
}

impl Application<Context> for Liar {
    type SigningScheme = Scheme;
    type Context = View<sha256::Digest, PublicKey>;
    type Block = Block;
    type Input = ();

    async fn propose(
        &mut self,
        context: (Context, Self::Context),
        ancestry: impl Ancestry<Block>,
        input: (),
    ) -> Option<Digested<Block>> {
        let honest = self.honest.propose(context, ancestry, input).await?;
        let mut block = honest.inner().clone();
        // A clone proposes each time: the height says which lie's turn it is.
        self.lies = block.height as usize;
        match self.lies % 9 {
            0 => block.number += 1,
            6 => block.first += 1,
            7 => block.filled ^= 1,
            8 => {
                block.cut = true;
                block.transactions.truncate(block.transactions.len() / 2);
            }
            1 => block.anchor.hash[0] ^= 1,
            2 => block.anchor.height = u32::MAX,
            3 => block.transactions.extend([1; 50]),
            4 => block.transactions = [&block.transactions[..], &block.transactions[..]].concat(),
            _ => {
                if let Some(byte) = block.transactions.last_mut() {
                    *byte ^= 1;
                }
            }
        }
        let digest = block.digest();
        Some(Digested::precomputed(block, digest))
    }

    async fn verify(&mut self, context: (Context, Self::Context), ancestry: impl Ancestry<Block>) -> bool {
        self.honest.verify(context, ancestry).await
    }
}

mod spam {
    use commonware_p2p::{Receiver as _, Sender as _};
    use commonware_runtime::{IoBuf, Spawner as _};
    use trestle_sequencer::consensus::Message;

    use super::*;

    /// Repeats what it hears on all channels, bent and straight, and makes things up.
    pub fn start(context: Context, channels: Channels<Sender<PublicKey, Context>, Receiver<PublicKey>>) {
        let Channels { votes, certificates, resolver, blocks, backfill, gossip } = channels;
        let mut number = 0u64;
        for (channel, (mut sender, mut receiver)) in
            [gossip, blocks, votes, certificates, resolver, backfill].into_iter().enumerate()
        {
            context.child("channel").with_attribute("channel", channel).spawn(move |_| async move {
                while let Ok((_, heard)) = receiver.recv().await {
                    number += 1;
                    let mut bent: Vec<u8> = heard.as_ref().to_vec();
                    if let Some(byte) = bent.get_mut(number as usize % 90) {
                        *byte ^= 1 << (number % 8);
                    }
                    if channel == 0 {
                        let lies = [
                            Message::Signature { subject: Subject::Batch(number), signature: [number as u8; 64] },
                            Message::Signature { subject: Subject::Part(number), signature: [number as u8; 64] },
                            Message::Ask { subject: Subject::Part(number / 3) },
                            Message::Certificate {
                                subject: Subject::Batch(number / 2),
                                signatures: vec![(0, [1; 64]), (9, [2; 64])],
                            },
                            Message::Transactions(bent.clone()),
                        ];
                        for lie in lies {
                            sender.send(Recipients::All, IoBuf::from(lie.encode()), false);
                        }
                    }
                    sender.send(Recipients::All, heard, false);
                    if number.is_multiple_of(7) || channel < 2 {
                        sender.send(Recipients::All, IoBuf::from(bent), false);
                    }
                }
            });
        }
    }
}
