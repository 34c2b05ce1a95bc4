//! The network as a runtime has it: its operators' doors, its challengers' lines.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bitcoin::hashes::sha256;
use bitcoin::secp256k1::Keypair;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use trestle_bridge::parameters::Bridge;
use trestle_rollup::SlotId;

use super::server::Door;
use super::{Asked, Channel, Error, Event, Heard, Identity, Inbox, Limits, Request, Response, authenticate_operator};

/// What there is one request about at a time: a lane of the challenger's, or keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Lane(SlotId),
    Keys(sha256::Hash),
}

impl Subject {
    const fn of(request: &Request) -> Self {
        match request {
            Request::Move(question) => Self::Lane(question.slot),
            Request::LaneKeys(digest) => Self::Keys(*digest),
        }
    }
}

/// The connections of this process's roles. Dropping it closes them.
pub struct Network {
    bridge: Arc<Bridge>,
    limits: Limits,
    inbox: Arc<Inbox>,
    /// Where operators are.
    addresses: BTreeMap<u16, SocketAddr>,
    /// This process's challengers.
    challengers: BTreeMap<u16, Keypair>,
    /// By challenger and operator.
    lines: BTreeMap<(u16, u16), UnboundedSender<Request>>,
    waiting: HashSet<(u16, u16, Subject)>,
    // Taken when dropped: a runtime must not be dropped where it may not block.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Network {
    /// The network of a bridge, with nobody on it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(bridge: Arc<Bridge>, limits: Limits) -> io::Result<Self> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("network").enable_all().build()?;
        Ok(Self {
            bridge,
            limits,
            inbox: Arc::default(),
            addresses: BTreeMap::new(),
            challengers: BTreeMap::new(),
            lines: BTreeMap::new(),
            waiting: HashSet::new(),
            runtime: Some(runtime),
        })
    }

    /// An operator of this process listens from now on; port 0 is any that is free. Returns where it does.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen(&mut self, operator: u16, key: Keypair, at: SocketAddr) -> io::Result<SocketAddr> {
        let Some(runtime) = &self.runtime else { return Err(io::ErrorKind::NotConnected.into()) };
        let listener = std::net::TcpListener::bind(at)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let identity = Identity { bridge: Arc::clone(&self.bridge), index: operator, key };
        let (limits, inbox) = (self.limits, Arc::clone(&self.inbox));
        let door = Door { identity, limits, inbox, seats: Default::default() };
        let listener = {
            let _on = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        runtime.spawn(Arc::new(door).open(listener));
        Ok(address)
    }

    /// Where an operator is found from now on.
    pub fn find(&mut self, operator: u16, at: SocketAddr) {
        self.addresses.insert(operator, at);
        self.lines.retain(|(_, other), _| *other != operator);
    }

    /// A challenger of this process may ask from now on.
    pub fn join(&mut self, challenger: u16, key: Keypair) {
        self.challengers.insert(challenger, key);
    }

    /// Has a challenger of this process ask an operator. What becomes of it is an [`Event::Heard`], after a bounded time; until then
    /// nothing more is asked about the same.
    pub fn ask(&mut self, challenger: u16, operator: u16, request: Request) {
        if !self.waiting.insert((challenger, operator, Subject::of(&request))) {
            return;
        }
        let unsent = match self.line(challenger, operator) {
            Some(line) => line.send(request).err().map(|unsent| unsent.0),
            None => Some(request),
        };
        if let Some(request) = unsent {
            self.inbox.hear(Heard { challenger, operator, request, response: Err(Error::NoAddress(operator)) });
        }
    }

    fn line(&mut self, challenger: u16, operator: u16) -> Option<&UnboundedSender<Request>> {
        let (address, key) = (*self.addresses.get(&operator)?, *self.challengers.get(&challenger)?);
        let runtime = self.runtime.as_ref()?;
        Some(self.lines.entry((challenger, operator)).or_insert_with(|| {
            let own = Identity { bridge: Arc::clone(&self.bridge), index: challenger, key };
            let (sender, requests) = unbounded_channel();
            let line = Line { own, operator, address, limits: self.limits, channel: None };
            runtime.spawn(line.open(requests, Arc::clone(&self.inbox)));
            sender
        }))
    }

    /// What comes next, as long as a challenger of this process waits for something; none if nothing has come by then.
    pub fn next(&mut self, until: Instant) -> Option<Event> {
        if self.waiting.is_empty() || Instant::now() >= until {
            return None;
        }
        let event = self.inbox.next(until)?;
        if let Event::Heard(heard) = &event {
            self.waiting.remove(&(heard.challenger, heard.operator, Subject::of(&heard.request)));
        }
        Some(event)
    }

    /// What operators of this process are asked now.
    pub fn asked(&self) -> Vec<Asked> {
        self.inbox.asked()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A challenger's connection to an operator, made when it is needed.
struct Line {
    own: Identity,
    operator: u16,
    address: SocketAddr,
    limits: Limits,
    channel: Option<Channel<TcpStream>>,
}

impl Line {
    /// Asks one thing after the other, for as long as there may be more.
    async fn open(mut self, mut requests: UnboundedReceiver<Request>, inbox: Arc<Inbox>) {
        while let Some(request) = requests.recv().await {
            let response = self.ask(&request).await;
            inbox.hear(Heard { challenger: self.own.index, operator: self.operator, request, response });
        }
    }

    async fn ask(&mut self, request: &Request) -> Result<Response, Error> {
        let used = self.channel.is_some();
        match self.attempt(request).await {
            // The operator may have hung up, or started anew, since the last response.
            Err(Error::Io(_)) if used => self.attempt(request).await,
            response => response,
        }
    }

    /// Asks once. The connection is kept only if all went well.
    async fn attempt(&mut self, request: &Request) -> Result<Response, Error> {
        let mut channel = match self.channel.take() {
            Some(channel) => channel,
            None => timeout(self.limits.handshake, self.connect()).await??,
        };
        let response = timeout(self.limits.response(), self.exchange(&mut channel, request)).await??;
        self.channel = Some(channel);
        Ok(response)
    }

    async fn connect(&self) -> Result<Channel<TcpStream>, Error> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mut channel = Channel::initiate(stream).await?;
        authenticate_operator(&mut channel, &self.own, self.operator).await?;
        Ok(channel)
    }

    async fn exchange(&self, channel: &mut Channel<TcpStream>, request: &Request) -> Result<Response, Error> {
        let (kind, bytes) = request.encode();
        channel.send(kind, &bytes).await?;
        let confirmations = self.own.bridge.parameters.confirmations;
        let limit = |kind| Response::limit(request, confirmations, kind);
        let (kind, bytes) = channel.receive(self.limits.message, limit).await?;
        Response::decode(request, kind, bytes)
    }
}
