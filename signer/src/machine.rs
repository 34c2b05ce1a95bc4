//! The signer as a state machine: events in, duties out, nothing touched but its own store.
//!
//! Level-triggered: on every new tip the signer looks again at what is due, and says again whatever nobody has answered. Nothing
//! depends on a message that arrives, or arrives once. How jobs are taken up is in `jobs`, what
//! becomes of them in `results`; what only the leader does in `leader` and `proposals`, what the others do in `follower`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bitcoin::OutPoint;
use bitcoin::secp256k1::Keypair;
use bitcoin::secp256k1::schnorr::Signature;
use trestle_bridge::job::Job;
use trestle_bridge::lane::{LaneWork, Lanes as RealLanes};
use trestle_bridge::parameters::Bridge;

use crate::book::{Book, Known, Progress};
use crate::consent;
use crate::event::{Duty, Event};
use crate::lanes::Lanes;
use crate::leader::{Claimed, Queued, Waiting};
use crate::message::{JobId, Message};
use crate::musig::{Entropy, Musig, MusigError};
use crate::policy::{CheckError, Refusal};
use crate::session::{Session, SessionError};
use crate::store::{Batch, Store, StoreError};
use crate::view::{View, ViewError};

/// The most jobs that are signed at one time; more are refused until some are done.
pub const MAX_SESSIONS: usize = 64;

/// The signer that proposes jobs and adds up what the others send.
pub const LEADER: usize = 0;

/// What stops a signer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed. The signer must be dropped and opened again: what it has in memory may be ahead of the disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An earlier event failed on the store.
    #[error("the store failed before: open the signer again")]
    Broken,
    /// The view failed. Nothing is lost: give the event again.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The key is not in the committee, the store is another signer's, or there is no randomness.
    #[error(transparent)]
    Musig(MusigError),
}

impl From<MusigError> for Error {
    fn from(error: MusigError) -> Self {
        match error {
            MusigError::Store(error) => Self::Store(error),
            error => Self::Musig(error),
        }
    }
}

/// A session's error, if it is about what was sent; what is the signer's own trouble goes on as [`Error`].
pub(crate) fn blame(error: SessionError) -> Result<SessionError, Error> {
    match error {
        SessionError::Musig(MusigError::Store(error)) => Err(error.into()),
        SessionError::Musig(error @ MusigError::Entropy(_)) => Err(Error::Musig(error)),
        error => Ok(error),
    }
}

/// A refusal, if that is what it is; a failing view goes on as [`Error`].
pub(crate) fn refusal(result: Result<(), CheckError>) -> Result<Option<Refusal>, Error> {
    match result {
        Ok(()) => Ok(None),
        Err(CheckError::Refused(refusal)) => Ok(Some(refusal)),
        Err(CheckError::View(error)) => Err(error.into()),
    }
}

/// One signer of the committee.
pub struct Signer<S> {
    pub(crate) bridge: Bridge,
    pub(crate) musig: Musig<S>,
    /// What a ticket is burned with; everything else is signed by `musig`.
    pub(crate) keypair: Keypair,
    pub(crate) book: Book,
    /// What is signed for the lanes of runs.
    pub(crate) lanes: Lanes<S>,
    /// Runs that were taken up and wait for the keys of their lanes.
    pub(crate) awaiting: BTreeSet<JobId>,
    /// The jobs that are being signed.
    pub(crate) sessions: BTreeMap<JobId, Session>,
    /// Height at which a job's session was begun, or taken up again.
    pub(crate) since: BTreeMap<JobId, u32>,
    /// Leader: deposits that wait until they are deep enough.
    pub(crate) waiting: BTreeMap<Claimed, Waiting>,
    /// Leader: runs that wait for the keys of their lanes, or until no deposit of their denomination is being signed.
    pub(crate) queue: VecDeque<Queued>,
    pub(crate) archive: VecDeque<(JobId, Session)>,
    broken: bool,
}

impl<S: Store + Clone> Signer<S> {
    /// The signer with this key, as its store left it. Give it [`Event::Restarted`] next.
    ///
    /// Fails if the key is not in the committee, or the store cannot be read or is another signer's.
    pub fn open(store: S, keypair: &Keypair, bridge: Bridge) -> Result<Self, Error> {
        let musig = Musig::open(store, keypair, &bridge.parameters.signers)?;
        let book = Book::load(musig.store(), &bridge)?;
        let waiting = Waiting::load(musig.store())?;
        let lanes = Lanes::new(musig.store().clone(), Arc::new(RealLanes));
        // The queue was in memory only.
        let current = book.runs().filter(|(_, _, known)| known.progress != Progress::Ended);
        lanes.keep_only(current.map(|(_, terms, _)| terms))?;
        let mut signer = Self {
            bridge,
            musig,
            keypair: *keypair,
            book,
            lanes,
            awaiting: BTreeSet::new(),
            sessions: BTreeMap::new(),
            since: BTreeMap::new(),
            waiting,
            queue: VecDeque::new(),
            archive: VecDeque::new(),
            broken: false,
        };
        for id in signer.book.current() {
            let Some(known) = signer.book.get(&id).filter(|known| known.progress != Progress::Complete) else {
                continue;
            };
            if signer.lacks_keys(&known.job)? {
                signer.awaiting.insert(id);
            } else {
                signer.take_session(id)?;
            }
        }
        Ok(signer)
    }

    /// The same, with seeds of nonces from another source than the operating system ([`Musig::with_entropy`]).
    pub fn with_entropy(self, entropy: Box<dyn Entropy>) -> Self {
        Self { musig: self.musig.with_entropy(entropy), ..self }
    }

    /// The same, with lanes that are made otherwise: less of them in a simulation, or once for several roles.
    pub fn with_lanes(mut self, work: Arc<dyn LaneWork>) -> Self {
        self.lanes.work = work;
        self
    }

    /// This signer's place in the committee.
    pub fn index(&self) -> usize {
        self.musig.index()
    }

    /// Every job that the signer has taken up, and how far it is.
    pub fn jobs(&self) -> impl Iterator<Item = (&JobId, &Job, Progress)> {
        self.book.jobs().map(|(id, known)| (id, &known.job, known.progress))
    }

    /// Takes in one event and says what to do about it. Everything that the duties rest on is on disk when this returns.
    ///
    /// Nothing that a peer sends is an error: it is answered, ignored, or reported as a duty. After [`Error::Store`] the signer
    /// must be opened again.
    pub fn process(&mut self, event: Event, view: &dyn View) -> Result<Vec<Duty>, Error> {
        if self.broken {
            return Err(Error::Broken);
        }
        let mut duties = Vec::new();
        let result = self.handle(event, view, &mut duties);
        self.broken = matches!(result, Err(Error::Store(_)));
        result.map(|()| duties)
    }

    fn handle(&mut self, event: Event, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        match event {
            Event::Message { from, message } => {
                if from >= self.musig.signers() || from == self.index() {
                    return Ok(());
                }
                self.message(from, message, view, out)
            }
            Event::Tip => self.tip(view, out),
            Event::Restarted => {
                for (_, known) in self.book.jobs().filter(|(_, known)| known.progress != Progress::Ended) {
                    out.push(Duty::Watch { outpoints: self.book.outpoints(known) });
                }
                let waiting: Vec<OutPoint> = self.waiting.keys().map(|(outpoint, _)| *outpoint).collect();
                out.push(Duty::Watch { outpoints: waiting });
                self.tip(view, out)
            }
            Event::Requested { job, consents } => self.requested(*job, consents, view, out),
            Event::LaneKeys(keys) => self.keys_came(&keys, view, out),
        }
    }

    fn message(&mut self, from: usize, message: Message, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let leading = self.index() == LEADER;
        match message {
            Message::Propose { job, at, consents } if from == LEADER => self.proposed(*job, at, consents, view, out),
            Message::AggregateNonces { job, at, nonces } if from == LEADER => {
                self.announced(job, at, nonces, view, out)
            }
            Message::Nonces { job, at, nonces } if leading => self.nonces_from(job, from, at, nonces, view, out),
            Message::Partials { job, at, partials } if leading => {
                self.partials_from(job, from, at, partials, view, out)
            }
            Message::Signatures { job, at, signatures } => self.signatures_from(job, from, at, signatures, view, out),
            Message::Refuse { job, reason } => self.refused_by(job, from, reason, out),
            Message::Propose { .. }
            | Message::AggregateNonces { .. }
            | Message::Nonces { .. }
            | Message::Partials { .. } => Ok(()),
        }
    }

    fn tip(&mut self, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        for id in self.book.current() {
            self.settle(id, view, out)?;
        }
        if self.index() == LEADER { self.lead_all(view, out) } else { self.follow_all(view, out) }
    }

    fn refused_by(&mut self, id: JobId, from: usize, mut reason: String, out: &mut Vec<Duty>) -> Result<(), Error> {
        reason = reason.chars().filter(|c| !c.is_control()).take(200).collect();
        if self.book.get(&id).is_none() {
            return Ok(());
        }
        out.push(Duty::Refused { job: id, by: from, reason });
        if from == LEADER {
            self.forget(&id)?;
        }
        Ok(())
    }

    fn requested(
        &mut self,
        job: Job,
        consents: Vec<Signature>,
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let id = JobId::of(&self.bridge, &job);
        let by = self.index();
        let refuse = |reason: String| Duty::Refused { job: id, by, reason };
        if let Err(error) = consent::check(&self.bridge, &job, &consents) {
            out.push(refuse(error.to_string()));
            return Ok(());
        }
        match &job {
            Job::Admin(_) => {
                if self.book.get(&id).is_none() {
                    let mut batch = Batch::default();
                    let known = Known { job, consents, progress: Progress::Open, vault: None, slots_held: false };
                    self.book.insert(&self.bridge, id, known, &mut batch);
                    self.musig.store().commit(batch)?;
                }
            }
            Job::Cooperative(_) => {
                out.push(refuse("the leader proposes payouts by itself".into()));
                return Ok(());
            }
            Job::Deposit(_) | Job::Run(_) if by != LEADER => {
                out.push(refuse(format!("ask signer {LEADER}")));
                return Ok(());
            }
            Job::Deposit(_) => self.await_deposit(id, job, consents, view, out)?,
            Job::Run(_) => self.await_run(id, job, consents, view, out)?,
        }
        if by == LEADER { self.lead_all(view, out) } else { Ok(()) }
    }
}
