//! What a sequencer serves, by a set of one that runs on sockets of its own.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use bitcoin::hex::DisplayHex as _;
use jsonrpsee::core::client::{ClientT as _, Subscription, SubscriptionKind};
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use trestle_rollup::SignedTransaction;
use trestle_sequencer::Policy;
use trestle_sequencer::consensus::{Orderer, Running, Shared, Sockets, Timings, network_key, serve};

use self::support::{CONFIRMATIONS, World, key, parameters};
use super::super::rpc::{ApiClient as _, BlockStatus};
use super::super::server::{BEHIND, Server, Wake};
use super::super::{openrpc, pass_on};
use crate::rpc::{Offer, Serving, listen};

#[allow(dead_code, reason = "shared with the tests of the agreement")]
#[path = "../../../../sequencer/tests/posting/support/mod.rs"]
mod support;

/// Longest that anything may take on a machine with other work to do.
const PATIENCE: Duration = Duration::from_secs(60);

const USERS: usize = 4;

/// A sequencer that is its whole set.
struct Alone {
    world: World,
    server: Server,
    serving: Serving,
    shared: Shared,
    running: Running,
    woken: Receiver<Wake>,
    _directory: TempDir,
}

impl Alone {
    /// Its users have 1,000,000 sat each.
    fn start() -> Self {
        let mut world = World::new(&parameters(1));
        let mints = (0..USERS).map(|user| world.mint(user)).collect();
        world.mine(mints);
        (0..=CONFIRMATIONS).for_each(|_| world.mine(Vec::new()));
        let (key, directory) = (key("sequencer", 0), TempDir::new().unwrap());
        let orderer = Orderer::open(&world.db, key, world.ledger.clone(), CONFIRMATIONS, Policy::default()).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let sockets = Sockets {
            set: 0,
            key,
            members: vec![(network_key(&key), address)],
            listen: address,
            directory: directory.path().into(),
            local: true,
            timings: Timings::default(),
        };
        let (shared, certified) = Shared::new(orderer, Duration::from_millis(50));
        let running = serve(sockets, shared.clone()).unwrap();
        let (wake, woken) = std::sync::mpsc::channel();
        let name = key.x_only_public_key().0;
        let server = Server::new(world.ledger.clone(), &shared, name, false, wake.clone());
        let offer = Offer { methods: server.methods().unwrap(), subscriptions: true, metrics: Some(server.metrics()) };
        let serving = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), offer).unwrap();
        server.count(Some(running.metrics()));
        pass_on(certified, server.blocks(), wake);
        Self { world, server, serving, shared, running, woken, _directory: directory }
    }

    async fn client(&self, buffer: usize) -> WsClient {
        let builder = WsClientBuilder::default().max_buffer_capacity_per_subscription(buffer);
        builder.build(format!("ws://{}", self.serving.address())).await.unwrap()
    }

    /// Waits until so many listen.
    async fn until_listening(&self, count: usize) {
        let start = Instant::now();
        while self.server.blocks().receiver_count() != count {
            assert!(start.elapsed() < PATIENCE, "{} listen", self.server.blocks().receiver_count());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until deposits can be spent.
    async fn until_funded(&self, client: &WsClient) {
        let account = key("user", 0).x_only_public_key().0;
        let start = Instant::now();
        while client.account(account).await.unwrap().available.to_sat() == 0 {
            assert!(start.elapsed() < PATIENCE, "the deposits count");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Whether a block has this transaction, by the word of a quorum.
    fn proves(&self, block: &BlockStatus, signed: &SignedTransaction) -> bool {
        let parameters = self.world.ledger.parameters();
        block.proves(signed, &parameters.instance(), &parameters.sequencers)
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.serving.address()).unwrap();
        let host = self.serving.address();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

async fn next(blocks: &mut Subscription<BlockStatus>) -> BlockStatus {
    tokio::time::timeout(PATIENCE, blocks.next()).await.unwrap().unwrap().unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn who_subscribes_is_sent_each_block_with_its_certificate_until_it_unsubscribes() {
    let alone = Alone::start();
    runtime().block_on(async {
        let client = alone.client(16).await;
        let mut blocks = client.subscribe_blocks().await.unwrap();
        alone.until_funded(&client).await;
        let mut heights = Vec::new();
        for nonce in 0..3 {
            let signed = alone.world.transfer(0, 1, 5, 20, nonce);
            let id = client.submit(signed.encode().to_lower_hex_string()).await.unwrap();
            assert_eq!(id.0, alone.world.id(&signed));
            let block = next(&mut blocks).await;
            assert!(alone.proves(&block, &signed), "the block is certified");
            assert_eq!(client.block(block.height).await.unwrap(), Some(block.clone()));
            heights.push(block.height);
        }
        assert!(heights.is_sorted_by(|one, other| one < other), "each block comes once, in order: {heights:?}");

        // One who is told to stop stops, one who goes away is forgotten, and neither waits for another block.
        alone.until_listening(1).await;
        let SubscriptionKind::Subscription(id) = blocks.kind().clone() else { panic!("{blocks:?}") };
        let mut unsubscribed: Vec<bool> = Vec::new();
        for _ in 0..2 {
            unsubscribed.push(client.request("sequencer_unsubscribe_blocks", rpc_params![&id]).await.unwrap());
        }
        assert_eq!(unsubscribed, [true, false], "there is one subscription");
        alone.until_listening(0).await;
        let other = alone.client(16).await;
        let gone = other.subscribe_blocks().await.unwrap();
        alone.until_listening(1).await;
        drop((gone, other));
        alone.until_listening(0).await;
    });
    assert!(alone.running.is_alive());
}

#[test]
fn who_is_too_slow_misses_blocks_and_holds_up_nobody() {
    let alone = Alone::start();
    // What nobody drives reads nothing.
    let (slow, driven) = (runtime(), runtime());
    let client = driven.block_on(alone.client(2 * BEHIND));
    driven.block_on(alone.until_funded(&client));
    // A large block.
    let transfers = (0..USERS).flat_map(|user| (0..60).map(move |nonce| (user, nonce)));
    let transfers: Vec<_> = transfers.map(|(user, nonce)| alone.world.transfer(user, 0, 1, 20, nonce)).collect();
    let bytes: Vec<_> = transfers.iter().map(SignedTransaction::encode).collect();
    let mut fast = driven.block_on(client.subscribe_blocks()).unwrap();
    alone.shared.submit(&bytes).unwrap().iter().for_each(|answer| assert!(answer.is_ok()));
    let mut known: Vec<BlockStatus> = Vec::new();
    while known.iter().map(|block| block.transactions.len()).sum::<usize>() < transfers.len() {
        known.push(driven.block_on(next(&mut fast)));
    }
    let largest = known.iter().max_by_key(|block| block.transactions.len()).unwrap();

    let late = slow.block_on(alone.client(100 * BEHIND));
    let mut late = slow.block_on(late.subscribe_blocks()).unwrap();
    driven.block_on(alone.until_listening(2));
    let told = 4 * BEHIND;
    for _ in 0..8 {
        for _ in 0..told / 8 {
            alone.server.blocks().send(largest.height).unwrap();
        }
        for _ in 0..told / 8 {
            assert_eq!(driven.block_on(next(&mut fast)), *largest);
        }
    }
    // What it is told last is another one, by which it can see that it is at the end.
    let last = alone.world.transfer(0, 1, 1, 20, 60);
    driven.block_on(client.submit(last.encode().to_lower_hex_string())).unwrap();
    let last = driven.block_on(next(&mut fast));
    let mut count = 0;
    while slow.block_on(next(&mut late)) != last {
        count += 1;
    }
    println!("a client that reads nothing missed {} blocks of {told}", told - count);
    assert!((BEHIND - 1..2 * BEHIND).contains(&count), "{count} blocks of {told}");
}

#[test]
fn a_set_of_one_says_what_it_serves_and_how_it_stands() {
    let alone = Alone::start();
    runtime().block_on(async {
        let client = alone.client(16).await;
        let described: Value = client.request("rpc.discover", rpc_params![]).await.unwrap();
        assert_eq!(described, openrpc::document());
        alone.until_funded(&client).await;
        let signed = alone.world.transfer(0, 1, 5, 20, 0);
        client.submit(signed.encode().to_lower_hex_string()).await.unwrap();
        let start = Instant::now();
        // It has signed, and its signature is a quorum: the main thread may post.
        while client.batch(0).await.unwrap().is_none_or(|batch| batch.signatures.is_empty()) {
            assert!(start.elapsed() < PATIENCE, "a batch is certified");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(matches!(alone.woken.recv_timeout(PATIENCE), Ok(Wake::Work)));
        let status = client.status().await.unwrap();
        assert_eq!((status.index, status.batch, status.waiting), (Some(0), 1, 0));

        let answer = alone.get("/metrics");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let figure = |name: &str| {
            let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name} is among the figures: {answer}")).parse::<u64>().unwrap()
        };
        assert_eq!(figure("trestle_sequencer_bitcoin_height"), u64::from(status.bitcoin_height));
        assert!(figure("trestle_sequencer_height") >= status.height);
        assert_eq!(figure("trestle_sequencer_batch"), 1);
        assert_eq!(figure("trestle_sequencer_conflicts"), 0);
        assert!(answer.lines().any(|line| line.contains("simplex")), "the engine's figures follow: {answer}");
    });
    assert!(alone.get("/").starts_with("HTTP/1.1 405"), "nothing else is there to be read");
}
