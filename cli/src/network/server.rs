//! The operator's end: strangers are asked who they are, challengers what they want.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use trestle_challenger::lane::Question;

use super::{Asked, Channel, Error, Identity, Inbox, Limits, Request, Response, authenticate_challenger};

/// How long nobody is let in when the system refuses to (it has no file descriptor left, say): there is nothing to wait for but time.
const PAUSE: Duration = Duration::from_secs(1);

/// An operator that listens.
pub(super) struct Door {
    pub identity: Identity,
    pub limits: Limits,
    pub inbox: Arc<Inbox>,
    /// The one connection of each challenger.
    pub seats: Mutex<BTreeMap<u16, AbortHandle>>,
}

impl Door {
    /// Lets in whoever connects, for as long as it is polled.
    pub async fn open(self: Arc<Self>, listener: TcpListener) {
        let mut strangers: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "nobody can connect");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            strangers.retain(|stranger| !stranger.is_finished());
            while strangers.len() >= self.limits.strangers.max(1) {
                if let Some(oldest) = strangers.pop_front() {
                    oldest.abort();
                }
            }
            strangers.push_back(tokio::spawn(Arc::clone(&self).greet(stream)).abort_handle());
        }
    }

    /// Gives a stranger its time to show which challenger it is.
    async fn greet(self: Arc<Self>, stream: TcpStream) {
        match timeout(self.limits.handshake, self.authenticate(stream)).await.unwrap_or(Err(Error::Late)) {
            Ok((challenger, channel)) => self.seat(challenger, channel),
            Err(error) => tracing::debug!(%error, "a stranger is turned away"),
        }
    }

    async fn authenticate(&self, stream: TcpStream) -> Result<(u16, Channel<TcpStream>), Error> {
        stream.set_nodelay(true)?;
        let mut channel = Channel::respond(stream).await?;
        let challenger = authenticate_challenger(&mut channel, &self.identity).await?;
        Ok((challenger, channel))
    }

    /// Listens to a challenger from now on, here and nowhere else.
    fn seat(self: Arc<Self>, challenger: u16, channel: Channel<TcpStream>) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let attend = Arc::clone(&self).attend(challenger, channel);
        if let Some(before) = seats.insert(challenger, tokio::spawn(attend).abort_handle()) {
            before.abort();
        }
    }

    async fn attend(self: Arc<Self>, challenger: u16, mut channel: Channel<TcpStream>) {
        if let Err(error) = self.answer(challenger, &mut channel).await {
            tracing::debug!(challenger, %error, "a challenger's connection ends");
        }
    }

    /// Answers one request after the other; ends when the challenger hangs up, or nobody replies to it.
    async fn answer(&self, challenger: u16, channel: &mut Channel<TcpStream>) -> Result<(), Error> {
        let confirmations = self.identity.bridge.parameters.confirmations;
        loop {
            let (kind, bytes) = channel.receive(self.limits.message, Request::limit).await?;
            let request = Request::decode(confirmations, kind, &bytes)?;
            let response = match self.refuse(challenger, &request) {
                Some(refusal) => refusal,
                None => match self.reply(challenger, request).await {
                    Some(response) => response,
                    None => return Ok(()),
                },
            };
            let (kind, bytes) = response.encode();
            timeout(self.limits.message, channel.send(kind, &bytes)).await??;
        }
    }

    /// A challenger is answered about its own lanes with this operator alone: what it has shown to be counts, not what it says.
    fn refuse(&self, challenger: u16, request: &Request) -> Option<Response> {
        let Request::Move(Question { slot, challenger: named, .. }) = request else { return None };
        if *named != challenger {
            return Some(Response::refused(format!(
                "challenger {challenger} asks about the lane of challenger {named}"
            )));
        }
        let operator = self.identity.index;
        let other = u16::from(slot.operator) != operator;
        other.then(|| Response::refused(format!("operator {operator} is asked about slot {slot}")))
    }

    /// What the operator says to it; none if it hangs up.
    async fn reply(&self, challenger: u16, request: Request) -> Option<Response> {
        let (reply, replied) = oneshot::channel();
        self.inbox.ask(Asked { operator: self.identity.index, challenger, request, reply });
        match timeout(self.limits.reply, replied).await {
            Ok(response) => response.ok(),
            Err(_) => Some(Response::Busy),
        }
    }
}
