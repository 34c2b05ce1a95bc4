//! A bridge with two operators and two challengers, and who should not be there.

mod frames;
mod handshake;
mod hostile;
mod talk;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::hashes::Hash;
use bitcoin::key::{Keypair, Secp256k1};
use bitcoin::secp256k1::SecretKey;
use bitcoin::{BlockHash, XOnlyPublicKey};
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use trestle_bridge::parameters::{Bridge, BridgeParameters, Genesis, Members};
use trestle_challenger::lane::{Ask, Question};
use trestle_rollup::SlotId;
use trestle_taptree_trace::lane::{Move, Search};

use super::*;

/// Long enough for whatever does come, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

const LIMITS: Limits = Limits { handshake: PATIENCE, message: PATIENCE, reply: PATIENCE, strangers: 8 };

fn key(secret: u8) -> Keypair {
    Keypair::from_secret_key(&Secp256k1::new(), &SecretKey::from_slice(&[secret; 32]).unwrap())
}

fn operator_key(index: u8) -> Keypair {
    key(10 + index)
}

fn challenger_key(index: u8) -> Keypair {
    key(20 + index)
}

/// The bridge with these challengers that begins after a block with this hash.
fn bridge_of(challengers: [Keypair; 2], block: u8) -> Arc<Bridge> {
    let x_only = |keys: [Keypair; 2]| -> Vec<XOnlyPublicKey> { keys.map(|key| key.x_only_public_key().0).to_vec() };
    let members = Members {
        signers: [key(1), key(2)].iter().map(Keypair::public_key).collect(),
        operators: x_only([operator_key(0), operator_key(1)]),
        challengers: x_only(challengers),
        sequencers: vec![key(3).x_only_public_key().0],
    };
    let genesis = Genesis { height: 100, hash: BlockHash::from_byte_array([block; 32]) };
    Arc::new(Bridge::new(BridgeParameters::regtest(members, genesis)).unwrap())
}

fn bridge() -> Arc<Bridge> {
    bridge_of([challenger_key(0), challenger_key(1)], 7)
}

fn identity(index: u16, key: Keypair) -> Identity {
    Identity { bridge: bridge(), index, key }
}

/// A challenger asks an operator for the first round.
fn first_round(challenger: u16, operator: u8) -> Request {
    let slot = SlotId { operator, denomination: 0, serial: 5 };
    let ask = Ask { choices: Vec::new(), wanted: Move::Round(Search::History, 0) };
    Request::Move(Question { slot, challenger, ask })
}

/// A network with operator 0, which listens at the address, and challenger 0, which knows where.
fn network(limits: Limits) -> (Network, SocketAddr) {
    let mut network = Network::new(bridge(), limits).unwrap();
    let address = network.listen(0, operator_key(0), SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    network.find(0, address);
    network.join(0, challenger_key(0));
    (network, address)
}

fn next(network: &mut Network) -> Event {
    network.next(Instant::now() + PATIENCE).expect("something comes")
}

fn asked(network: &mut Network) -> Asked {
    match next(network) {
        Event::Asked(asked) => asked,
        Event::Heard(heard) => panic!("{heard:?}"),
    }
}

fn heard(network: &mut Network) -> Result<Response, Error> {
    match next(network) {
        Event::Heard(heard) => heard.response,
        Event::Asked(asked) => panic!("{asked:?}"),
    }
}

/// That challenger 0 is served.
fn is_served(network: &mut Network) {
    network.ask(0, 0, first_round(0, 0));
    loop {
        match next(network) {
            Event::Asked(asked) => {
                assert_eq!((asked.operator, asked.challenger, &asked.request), (0, 0, &first_round(0, 0)));
                asked.reply(Response::Busy);
            }
            Event::Heard(heard) => return assert!(matches!(heard.response, Ok(Response::Busy)), "{heard:?}"),
        }
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Both ends of a stream in memory, with a handshake behind them.
async fn channels() -> (Channel<DuplexStream>, Channel<DuplexStream>) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let (near, far) = tokio::join!(Channel::initiate(near), Channel::respond(far));
    (near.unwrap(), far.unwrap())
}

/// Connects as a challenger.
async fn connect(address: SocketAddr, challenger: u16) -> Channel<TcpStream> {
    let mut channel = Channel::initiate(TcpStream::connect(address).await.unwrap()).await.unwrap();
    let own = identity(challenger, challenger_key(challenger as u8));
    authenticate_operator(&mut channel, &own, 0).await.unwrap();
    channel
}
