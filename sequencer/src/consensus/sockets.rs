//! A sequencer on real sockets and files: the engine on commonware's tokio runtime, in a thread of its own.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use bitcoin::secp256k1::Keypair;
use commonware_codec::DecodeExt as _;
use commonware_cryptography::ChaCha20Poly1305;
use commonware_cryptography::ed25519::{PrivateKey, PublicKey};
use commonware_macros::select;
use commonware_p2p::authenticated::lookup::{self, Network};
use commonware_p2p::{Address, AddressableManager as _};
use commonware_runtime::{Quota, Runner as _, Supervisor as _, tokio};
use commonware_stream::cups::{self, Cups};
use commonware_stream::sake::{self, Sake};
use commonware_utils::channel::{mpsc, oneshot};
use commonware_utils::ordered::Map;
use commonware_utils::{NZU32, NZUsize};
use trestle_rollup::tagged_hash;

use super::application::Shared;
use super::block::HEADER_BYTES;
use super::engine::{Channels, Config, Timings, start};
use super::message::Subject;
use super::orderer::Orderer;

/// Bytes that a message may have beside a block: certificates of votes, or transactions from users.
const BESIDE: usize = 128 << 10;

/// Where a sequencer finds the others.
#[derive(Clone, Debug)]
pub struct Sockets {
    /// Its key on the network.
    pub key: PrivateKey,
    /// All sequencers' network keys and addresses, in the order of their indices.
    pub members: Vec<(PublicKey, SocketAddr)>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where the engine keeps its files.
    pub directory: PathBuf,
    /// Whether sequencers have private addresses or share one, as on one machine.
    pub local: bool,
    /// How long things may take.
    pub timings: Timings,
    /// How long a leader waits for transactions before it proposes an empty block.
    pub patience: Duration,
}

/// A sequencer that runs. It stops when this is dropped.
pub struct Running {
    /// Its state machine.
    pub shared: Shared,
    /// Parts and batches, as they get their certificates.
    pub certified: mpsc::UnboundedReceiver<Subject>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Whether it still runs; if not, the log says why.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whoever waits for it is the engine's thread, or it has ended.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The network key of who has this key for certificates. The public part is to be told to the others.
///
/// # Panics
/// Never: every 32 bytes are a key.
#[must_use]
pub fn network_key(key: &Keypair) -> PrivateKey {
    let seed = tagged_hash("Trestle/sequencer network", &[&key.secret_bytes()]);
    PrivateKey::decode(bytes::Bytes::copy_from_slice(&seed)).expect("every 32 bytes are an Ed25519 seed")
}

/// Runs a sequencer in a thread of its own.
///
/// # Errors
/// If there can be no thread.
pub fn serve(sockets: Sockets, orderer: Orderer) -> io::Result<Running> {
    let (shared, duties) = Shared::new(orderer, sockets.patience);
    let (certified, heard) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel();
    let runtime = tokio::Config::new().with_storage_directory(&sockets.directory).with_tcp_nodelay(Some(true));
    let (runner, own) = (tokio::Runner::new(runtime), shared.clone());
    let thread = std::thread::Builder::new().name("sequencer".into()).spawn(move || {
        runner.start(|context| run(context, sockets, (own, duties), certified, stopped));
    })?;
    Ok(Running { shared, certified: heard, stop: Some(stop), thread: Some(thread) })
}

async fn run(
    context: tokio::Context,
    sockets: Sockets,
    (shared, duties): (Shared, mpsc::UnboundedReceiver<super::Duty>),
    certified: mpsc::UnboundedSender<Subject>,
    stopped: oneshot::Receiver<()>,
) {
    let Sockets { key, members, listen, local, timings, .. } = sockets;
    let (genesis, limit) = {
        let orderer = shared.orderer();
        (orderer.genesis().clone(), orderer.policy().block_bytes)
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
    let namespace = [b"trestle/network/", &genesis.inner().parent.0[..]].concat();
    let largest = u32::try_from(HEADER_BYTES + limit + BESIDE).unwrap_or(u32::MAX >> 1);
    let Some(count) = std::num::NonZeroUsize::new(members.len()) else { return };
    let create = if local { lookup::Config::local } else { lookup::Config::recommended };
    let network = create(handshake, &namespace, listen, count, largest, NZUsize!(1024));
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
    let config =
        Config { key, members, partition: "sequencer".into(), timings, blocker: oracle.clone(), provider: oracle };
    let application = shared.clone();
    let engine = start(context.child("engine"), config, (shared, duties), application, channels, certified).await;
    let network = network.start();
    select! {
        _ = stopped => {},
        _ = engine => tracing::error!("the sequencer's engine has ended"),
        _ = network => tracing::error!("the sequencer's network has ended"),
    }
}
