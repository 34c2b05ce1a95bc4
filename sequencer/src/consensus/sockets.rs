//! A sequencer on real sockets and files: the engine on commonware's tokio runtime, in a thread of its own.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use bitcoin::secp256k1::Keypair;
use commonware_codec::DecodeExt as _;
use commonware_cryptography::ed25519::{PrivateKey, PublicKey};
use commonware_cryptography::{ChaCha20Poly1305, Digestible as _, Signer as _};
use commonware_macros::select;
use commonware_p2p::authenticated::lookup::{self, Network};
use commonware_p2p::{Address, AddressableManager as _};
use commonware_runtime::{Metrics as _, Quota, Runner as _, Supervisor as _, tokio};
use commonware_stream::cups::{self, Cups};
use commonware_stream::sake::{self, Sake};
use commonware_utils::channel::oneshot;
use commonware_utils::ordered::Map;
use commonware_utils::{NZU32, NZUsize};
use trestle_rollup::tagged_hash;

use super::application::Shared;
use super::block::HEADER_BYTES;
use super::engine::{Channels, Config, Timings, start};

/// Bytes that a message may have beside a block: certificates of votes, or transactions from users.
const BESIDE: usize = 128 << 10;

/// How often who is not connected is called, among sequencers on one machine.
const REDIAL: Duration = Duration::from_millis(100);

/// Where a sequencer finds the others.
#[derive(Clone, Debug)]
pub struct Sockets {
    /// The set's number.
    pub set: u32,
    /// Its key for certificates.
    pub key: Keypair,
    /// All the set's [network keys](network_key) and addresses, in the order of their indices.
    pub members: Vec<([u8; 32], SocketAddr)>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where the engine keeps its files.
    pub directory: PathBuf,
    /// Whether sequencers have private addresses or share one, as on one machine.
    pub local: bool,
    /// How long things may take.
    pub timings: Timings,
}

/// A sequencer's part in the agreement of a set. It stops when this is dropped.
pub struct Running {
    metrics: Arc<OnceLock<tokio::Context>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Whether it still runs; if not, the log says why.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// What the engine and its network count, as Prometheus reads it.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics(Arc::clone(&self.metrics))
    }
}

/// What a sequencer's engine counts. Clones are of the same sequencer.
#[derive(Clone)]
pub struct Metrics(Arc<OnceLock<tokio::Context>>);

impl Metrics {
    /// As Prometheus reads it; nothing before the engine has started.
    #[must_use]
    pub fn encode(&self) -> String {
        self.0.get().map(|context| context.encode()).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whoever waits for it is the engine's thread, or it has ended.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The key on the network of who has this key for certificates: an Ed25519 key, of which the others are told this part.
///
/// # Panics
/// Never: an Ed25519 key has 32 bytes.
#[must_use]
pub fn network_key(key: &Keypair) -> [u8; 32] {
    secret_key(key).public_key().as_ref().try_into().expect("an Ed25519 key has 32 bytes")
}

fn secret_key(key: &Keypair) -> PrivateKey {
    let seed = tagged_hash("Trestle/sequencer network", &[&key.secret_bytes()]);
    PrivateKey::decode(bytes::Bytes::copy_from_slice(&seed)).expect("every 32 bytes are an Ed25519 seed")
}

/// Takes part in the agreement of a set, in a thread of its own.
///
/// # Errors
/// If there can be no thread, or one of the members' keys is none.
pub fn serve(sockets: Sockets, shared: Shared) -> io::Result<Running> {
    let member = |(key, address): &([u8; 32], SocketAddr)| {
        Some((PublicKey::decode(bytes::Bytes::copy_from_slice(key)).ok()?, *address))
    };
    let members = sockets.members.iter().map(member).collect::<Option<Vec<_>>>();
    let members = members.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a network key is not valid"))?;
    let (stop, stopped) = oneshot::channel();
    let runtime = tokio::Config::new().with_storage_directory(&sockets.directory).with_tcp_nodelay(Some(true));
    let runner = tokio::Runner::new(runtime);
    let metrics = Arc::new(OnceLock::new());
    let counted = Arc::clone(&metrics);
    let thread = std::thread::Builder::new().name("sequencer".into()).spawn(move || {
        runner.start(|context| {
            // Set once: here.
            let _ = counted.set(context.child("metrics"));
            run(context, sockets, members, shared, stopped)
        });
    })?;
    Ok(Running { metrics, stop: Some(stop), thread: Some(thread) })
}

async fn run(
    context: tokio::Context,
    sockets: Sockets,
    members: Vec<(PublicKey, SocketAddr)>,
    shared: Shared,
    stopped: oneshot::Receiver<()>,
) {
    let Sockets { set, key, listen, local, timings, .. } = sockets;
    let key = secret_key(&key);
    let (genesis, limit) = {
        let orderer = shared.orderer();
        (orderer.genesis(set), orderer.policy().block_bytes)
    };
    let Ok(Some(genesis)) = genesis else {
        tracing::error!(set, "this sequencer does not know what the set begins with");
        return;
    };
    let handshake = Cups::<_, ChaCha20Poly1305>::new(
        Sake {
            signer: key.clone(),
            synchrony_bound: Duration::from_secs(5),
            max_handshake_age: Duration::from_secs(10),
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    let namespace = [b"trestle/network/", &genesis.digest().0[..]].concat();
    let largest = u32::try_from(HEADER_BYTES + limit + BESIDE).unwrap_or(u32::MAX >> 1);
    let Some(count) = std::num::NonZeroUsize::new(members.len()) else { return };
    let create = if local { lookup::Config::local } else { lookup::Config::recommended };
    let mut network = create(handshake, &namespace, listen, count, largest, NZUsize!(1024));
    if local {
        // On one machine a refused connection costs nothing: whoever is back is found at once.
        (network.dial_frequency, network.peer_connection_cooldown) = (REDIAL, REDIAL);
    }
    let (mut network, mut oracle) = Network::new(context.child("network"), network);
    let peers = members.iter().map(|(key, address)| (key.clone(), Address::from(*address)));
    oracle.track(0, Map::from_iter_dedup(peers));
    let often = Quota::per_second(NZU32!(2_000));
    let seldom = Quota::per_second(NZU32!(200));
    let channels = Channels {
        votes: network.register(0, often),
        certificates: network.register(1, often),
        resolver: network.register(2, seldom),
        blocks: network.register(3, seldom),
        backfill: network.register(4, seldom),
        gossip: network.register(5, often),
    };
    let members = members.into_iter().map(|(key, _)| key).collect();
    let (partition, blocker) = ("sequencer".into(), oracle.clone());
    let config = Config { set, key, members, partition, timings, blocker, provider: oracle };
    let application = shared.clone();
    let engine = start(context.child("engine"), config, shared, application, channels).await;
    let network = network.start();
    select! {
        _ = stopped => {},
        _ = engine => tracing::error!("the sequencer's engine has ended"),
        _ = network => tracing::error!("the sequencer's network has ended"),
    }
}
