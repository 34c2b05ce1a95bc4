//! The engine: commonware's simplex, its marshal and its broadcast, wired to an orderer.
//!
//! ```text
//!  votes, certificates, resolver ─▶ simplex ──propose, verify──▶ Inline ─▶ Shared (the orderer)
//!                                      │ finalizations              ▲
//!                                      ▼                            │ final blocks, in order
//!  blocks, backfill ──────────────▶ marshal ────────────────────────┘
//!  gossip ◀──────────────────────────────────── duties, messages ──▶ Shared
//! ```
//!
//! Everything that waits takes the runtime's context, so the same wiring runs on real sockets and in a simulation that
//! one seed determines.

use std::num::{NonZeroU16, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use commonware_broadcast::buffered;
use commonware_consensus::Application;
use commonware_consensus::marshal::core::Actor;
use commonware_consensus::marshal::standard::{Inline, Standard};
use commonware_consensus::marshal::{self, Start};
use commonware_consensus::simplex::config::{Floor, ForwardPolicy, SkipBudget, SkipPolicy};
use commonware_consensus::simplex::elector::RoundRobin;
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::simplex::types::{Context, Finalization};
use commonware_consensus::simplex::{Engine, config};
use commonware_consensus::types::{Epoch, FixedEpocher, Height, ViewDelta};
use commonware_cryptography::certificate::{ConstantProvider, Verifier as _};
use commonware_cryptography::ed25519::{PrivateKey, PublicKey};
use commonware_cryptography::{Digestible as _, Sha256, Signer as _, sha256};
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::buffer::paged::CacheRef;
use commonware_runtime::{Clock, Handle, Metrics, Spawner, Storage};
use commonware_storage::archive::prunable;
use commonware_storage::translator::EightCap;
use commonware_utils::ordered::Set;
use commonware_utils::{NZU16, NZU64, NZUsize, NonZeroDuration};
use rand_core::CryptoRng;

use super::application::Shared;
use super::block::Block;
use super::gossip;

const MAILBOX: NonZeroUsize = NZUsize!(1024);
const BUFFER: NonZeroUsize = NZUsize!(64 << 10);
const PAGE: NonZeroU16 = NZU16!(4084);
const PAGES: NonZeroUsize = NZUsize!(256);
const SECTION: NonZeroU64 = NZU64!(1024);
const RETENTION: ViewDelta = ViewDelta::new(256);

/// Final blocks that are kept for sequencers that were away: some days' worth. Who was away for longer begins with a copy
/// of another one's engine directory.
const KEPT: u64 = 1_000_000;
/// How often older ones are removed.
const PRUNED: Duration = Duration::from_secs(60);

/// How long things may take. Values that the sequencers of one set should share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// From a view's start to the leader's block. More than the patience of [`Shared::new`].
    pub leader: Duration,
    /// From a view's start to a quorum's votes.
    pub certification: Duration,
    /// Between two votes to skip a view that goes on.
    pub retry: Duration,
    /// A leader not heard of for so long is skipped at once.
    pub skip: Duration,
    /// For an answer to a question.
    pub fetch: Duration,
    /// Between two ticks of the gossip.
    pub tick: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            leader: Duration::from_millis(1_000),
            certification: Duration::from_millis(2_000),
            retry: Duration::from_millis(2_000),
            skip: Duration::from_secs(10),
            fetch: Duration::from_millis(1_000),
            tick: Duration::from_millis(300),
        }
    }
}

/// One sequencer's place among the others of a set.
pub struct Config<B, P> {
    /// The set's number.
    pub set: u32,
    /// Its key on the network, by which it also votes. Not the key that certifies batches.
    pub key: PrivateKey,
    /// All network keys, in the order of the sequencers' indices.
    pub members: Vec<PublicKey>,
    /// Prefix of the names of what is stored.
    pub partition: String,
    /// How long things may take.
    pub timings: Timings,
    /// Cuts off who breaks the engine's protocol.
    pub blocker: B,
    /// Who is in the network.
    pub provider: P,
}

/// A sender and a receiver for each of the network's channels.
pub struct Channels<S, R> {
    /// Votes.
    pub votes: (S, R),
    /// Certificates of votes.
    pub certificates: (S, R),
    /// Questions for such certificates.
    pub resolver: (S, R),
    /// Proposed blocks.
    pub blocks: (S, R),
    /// Questions for blocks.
    pub backfill: (S, R),
    /// [`Message`](super::Message)s.
    pub gossip: (S, R),
}

/// Starts a sequencer's part in the agreement of a set. The handle ends when that stops, and stops it when it is aborted.
///
/// `application` is `shared`, or what stands before it in a test.
pub async fn start<E, A, B, P, S, R>(
    context: E,
    config: Config<B, P>,
    shared: Shared,
    application: A,
    channels: Channels<S, R>,
) -> Handle<()>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    A: Application<E, SigningScheme = Scheme, Context = Context<sha256::Digest, PublicKey>, Block = Block, Input = ()>,
    B: Blocker<PublicKey = PublicKey> + Sync,
    P: Provider<PublicKey = PublicKey> + Sync,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    context.spawn(move |context| run(context, config, shared, application, channels))
}

async fn run<E, A, B, P, S, R>(
    context: E,
    config: Config<B, P>,
    shared: Shared,
    application: A,
    channels: Channels<S, R>,
) where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    A: Application<E, SigningScheme = Scheme, Context = Context<sha256::Digest, PublicKey>, Block = Block, Input = ()>,
    B: Blocker<PublicKey = PublicKey> + Sync,
    P: Provider<PublicKey = PublicKey> + Sync,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    let Config { set, key, members, partition, timings, blocker, provider } = config;
    let (genesis, limit) = {
        let orderer = shared.orderer();
        (orderer.genesis(set), orderer.policy().block_bytes)
    };
    let Ok(Some(genesis)) = genesis else {
        tracing::error!(set, "this sequencer does not know what the set begins with");
        return;
    };
    // The genesis hashes the bridge's instance and all sets before: votes count in one set of one bridge only.
    let namespace = [b"trestle/", &genesis.digest().0[..]].concat();
    let participants = Set::from_iter_dedup(members.iter().cloned());
    let Some(scheme) = Scheme::signer(&namespace, participants, key.clone()) else {
        tracing::error!("this sequencer's network key is not in the set");
        return;
    };
    let page_cache = CacheRef::new(PAGE, PAGES);
    let fetch_timeout = NonZeroDuration::new_panic(timings.fetch);

    let resolver = marshal::resolver::p2p::Config {
        public_key: key.public_key(),
        peer_provider: provider.clone(),
        blocker: blocker.clone(),
        mailbox_size: MAILBOX,
        fetch_timeout,
        fetch_retry_delay: timings.fetch / 10,
        priority_requests: false,
        priority_responses: false,
    };
    let resolver = marshal::resolver::p2p::init(context.child("backfill"), resolver, channels.backfill);

    let buffer = buffered::Config {
        public_key: key.public_key(),
        mailbox_size: MAILBOX,
        deque_size: 16,
        priority: false,
        codec_config: limit,
        peer_provider: provider,
        strategy: Sequential,
    };
    let (broadcast, buffer) = buffered::Engine::<_, _, Block, _, _>::new(context.child("blocks"), buffer);
    let broadcast = broadcast.start(channels.blocks);

    let archive = |name: &str| (format!("{partition}-{name}-metadata"), format!("{partition}-{name}-keys"));
    let (metadata_partition, key_partition) = archive("finalizations");
    let finalizations = prunable::Config {
        translator: EightCap,
        metadata_partition,
        key_partition,
        key_page_cache: page_cache.clone(),
        value_partition: format!("{partition}-finalizations-values"),
        compression: None,
        codec_config: scheme.certificate_codec_config(),
        items_per_section: SECTION,
        key_write_buffer: BUFFER,
        value_write_buffer: BUFFER,
        replay_buffer: BUFFER,
    };
    let finalizations = prunable::Archive::<_, _, _, Finalization<Scheme, sha256::Digest>>::init(
        context.child("finalizations"),
        finalizations,
    );
    let (metadata_partition, key_partition) = archive("final-blocks");
    let blocks = prunable::Config {
        translator: EightCap,
        metadata_partition,
        key_partition,
        key_page_cache: page_cache.clone(),
        value_partition: format!("{partition}-final-blocks-values"),
        compression: None,
        codec_config: limit,
        items_per_section: SECTION,
        key_write_buffer: BUFFER,
        value_write_buffer: BUFFER,
        replay_buffer: BUFFER,
    };
    let blocks = prunable::Archive::init(context.child("final_blocks"), blocks);
    let (finalizations, blocks) = match futures::try_join!(finalizations, blocks) {
        Ok(archives) => archives,
        Err(error) => {
            tracing::error!(%error, "the archives of the sequencer cannot be read");
            return;
        }
    };

    let epocher = FixedEpocher::new(NonZeroU64::MAX);
    let marshal = marshal::Config {
        provider: ConstantProvider::new(scheme.clone()),
        epocher: epocher.clone(),
        start: Start::Genesis(genesis.clone()),
        partition_prefix: format!("{partition}-marshal"),
        mailbox_size: MAILBOX,
        view_retention: RETENTION,
        prunable_items_per_section: SECTION,
        page_cache: page_cache.clone(),
        replay_buffer: BUFFER,
        key_write_buffer: BUFFER,
        value_write_buffer: BUFFER,
        block_codec_config: limit,
        max_repair: NZUsize!(16),
        max_pending_acks: NZUsize!(16),
        strategy: Sequential,
    };
    let (actor, mailbox, _) =
        Actor::<_, Standard<Block>, _, _, _, _, _>::init(context.child("marshal"), finalizations, blocks, marshal)
            .await;
    let marshal = actor.start(shared.clone(), buffer, resolver);

    let (pruned, own, base) = (mailbox.clone(), shared.clone(), genesis.inner().base);
    let pruner = context.child("pruner").spawn(move |context| async move {
        loop {
            context.sleep(PRUNED).await;
            let height = own.orderer().height().saturating_sub(base);
            pruned.prune(Height::new(height.saturating_sub(KEPT)));
        }
    });

    let inline = Inline::new(context.child("application"), application, mailbox, epocher);
    let simplex = config::Config {
        scheme,
        elector: RoundRobin::<Sha256>::default(),
        blocker,
        automaton: inline.clone(),
        relay: inline.clone(),
        reporter: inline,
        track_historical_votes: false,
        strategy: Sequential,
        partition: format!("{partition}-simplex"),
        mailbox_size: MAILBOX,
        epoch: Epoch::zero(),
        floor: Floor::Genesis(genesis.digest()),
        replay_buffer: BUFFER,
        write_buffer: BUFFER,
        page_cache,
        leader_timeout: timings.leader,
        certification_timeout: timings.certification,
        timeout_retry: timings.retry,
        view_retention: RETENTION,
        skip: SkipPolicy::Enabled { timeout: timings.skip, budget: SkipBudget::Participants },
        fetch_timeout,
        fetch_retry_delay: timings.fetch / 10,
        forward: ForwardPolicy::SilentVoters,
    };
    let simplex = Engine::new(context.child("simplex"), simplex);
    let simplex = simplex.start(channels.votes, channels.certificates, channels.resolver);

    let gossip = gossip::run(context.child("gossip_clock"), shared, set, members, timings.tick, channels.gossip);
    let gossip = context.child("gossip").spawn(move |_| gossip);
    // None of them ends while the sequencer is well.
    let ended = futures::future::select_all([broadcast, marshal, simplex, gossip, pruner]).await;
    tracing::info!(part = ended.1, "the sequencer has stopped");
}
