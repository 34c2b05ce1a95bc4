//! The signer as a state machine: events in, duties out, nothing touched but its own store.
//!
//! Level-triggered: on every new tip the signer looks again at what is due, and says again whatever nobody has answered. Nothing
//! depends on a message that arrives, or arrives once. What only the leader does is in `leader`, what the others do in `follower`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bitcoin::OutPoint;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Keypair, Message as Digest, Secp256k1};
use trestle_bridge::job::{Job, RunJob};
use trestle_bridge::lane::{LaneWork, Lanes as RealLanes};
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::{Burn, RunTerms, Vault};

use crate::book::{Book, Known, Progress};
use crate::consent;
use crate::event::{Delivery, Duty, Event, Receiver};
use crate::lanes::Lanes;
use crate::leader::{Claimed, Queued, Waiting};
use crate::message::{JobId, Message};
use crate::musig::{Entropy, Musig, MusigError};
use crate::plan::{self, JobPlan, outcome, vault};
use crate::policy::{CheckError, Knowledge, Refusal};
use crate::session::{Session, SessionError};
use crate::store::{Batch, Store, StoreError};
use crate::view::{View, ViewError};

/// The most jobs that are signed at one time; more are refused until some are done.
pub const MAX_SESSIONS: usize = 64;

/// How many finished jobs are kept at hand for signers that lag behind.
const ARCHIVE: usize = 8;

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
    keypair: Keypair,
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
    archive: VecDeque<(JobId, Session)>,
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

    /// The same, with lanes that are made otherwise: for a simulation of signers, to whom they are lists of hashes.
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

    /// The final signatures that concern the run with this bond: its own, and those of every deposit that covers one of its slots.
    /// Only jobs that are complete are in it.
    pub fn signatures_for(&mut self, bond: &OutPoint) -> Result<Vec<Delivery>, Error> {
        let mut ids = BTreeSet::new();
        for (id, run, known) in self.book.runs().filter(|(_, run, _)| run.bond == *bond) {
            if known.progress == Progress::Complete {
                ids.insert(*id);
            }
            let covers = |known: &Known| match &known.job {
                Job::Deposit(deposit) => deposit.slots.iter().any(|slot| {
                    slot.operator == run.operator
                        && slot.denomination == run.denomination
                        && (run.first_serial..run.first_serial.saturating_add(run.slots)).contains(&slot.serial)
                }),
                _ => false,
            };
            let complete = self.book.jobs().filter(|(_, known)| known.progress == Progress::Complete);
            ids.extend(complete.filter(|(_, known)| covers(known)).map(|(id, _)| *id));
        }
        let mut deliveries = Vec::with_capacity(ids.len());
        for id in ids {
            deliveries.extend(self.delivery(&id)?);
        }
        Ok(deliveries)
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

    /// Looks at one job again: whether it is over, or can be dropped, or has something to broadcast.
    fn settle(&mut self, id: JobId, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        // Another job may have brought the signatures that this one still lacked.
        if self.sessions.contains_key(&id) {
            self.take_session(id)?;
            self.finish_if_done(id, view, out)?;
        }
        let Some(known) = self.book.get(&id) else { return Ok(()) };
        let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
        if knowledge.over(known)? {
            let change = |known: &mut Known| known.progress = Progress::Ended;
            self.musig.store().commit(self.book.staged(&id, change))?;
            let run = run_of(known);
            self.book.apply(&id, change);
            self.sessions.remove(&id);
            self.awaiting.remove(&id);
            if let Some(terms) = run {
                self.forget_lanes(&terms)?;
            }
            return Ok(());
        }
        if let Job::Cooperative(terms) = &known.job
            && knowledge.must_burn(known)?
        {
            // A payout and its replacements have one ticket.
            let duty = self.burn(&terms.vault);
            let duty = duty.filter(|duty| !out.contains(duty));
            out.extend(duty);
            return Ok(());
        }
        match known.progress {
            Progress::Open if self.sessions.contains_key(&id) || self.awaiting.contains(&id) => {
                let again = knowledge.check(&id, &known.job);
                if let Some(refusal) = refusal(again)? {
                    self.drop_job(id, &refusal.to_string(), out)?;
                }
            }
            Progress::Complete => self.broadcast(&id, view, out)?,
            _ => {}
        }
        Ok(())
    }

    /// Forgets a job that binds nobody here, and tells those who may care.
    pub(crate) fn drop_job(&mut self, id: JobId, reason: &str, out: &mut Vec<Duty>) -> Result<(), Error> {
        if !self.forget(&id)? {
            return Ok(());
        }
        let to = if self.index() == LEADER { 1..self.musig.signers() } else { LEADER..LEADER + 1 };
        for to in to {
            out.push(Duty::Send { to, message: Message::Refuse { job: id, reason: reason.into() } });
        }
        out.push(Duty::Refused { job: id, by: self.index(), reason: reason.into() });
        Ok(())
    }

    /// Forgets a job unless this signer is bound by it. What its own person approved stays approved.
    fn forget(&mut self, id: &JobId) -> Result<bool, Error> {
        let Some(known) = self.book.get(id).filter(|known| known.progress == Progress::Open) else { return Ok(false) };
        let run = run_of(known);
        if !matches!(known.job, Job::Admin(_)) {
            let mut batch = Batch::default();
            self.book.remove(id, &mut batch);
            self.musig.store().commit(batch)?;
        }
        self.sessions.remove(id);
        self.awaiting.remove(id);
        self.since.remove(id);
        if let Some(terms) = run {
            self.forget_lanes(&terms)?;
        }
        Ok(true)
    }

    /// Writes a job down, with the nonces of its first batch, and begins to sign it. False if it says nothing that can be signed.
    pub(crate) fn take_up(
        &mut self,
        id: JobId,
        job: Job,
        consents: Vec<Signature>,
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<bool, Error> {
        let mut batch = Batch::default();
        if self.book.get(&id).is_none() {
            let known = Known { job, consents, progress: Progress::Open, vault: None, slots_held: false };
            self.book.insert(&self.bridge, id, known, &mut batch);
        }
        let lacks_keys = self.book.get(&id).map_or(Ok(false), |known| self.lacks_keys(&known.job))?;
        if lacks_keys {
            self.musig.store().commit(batch)?;
            self.awaiting.insert(id);
            self.since.insert(id, view.tip()?);
            if let Some(known) = self.book.get(&id) {
                out.push(Duty::Watch { outpoints: self.book.outpoints(known) });
            }
            return self.fetch_keys(out).map(|()| true);
        }
        if !self.take_session(id)? {
            self.book.remove(&id, &mut Batch::default());
            return Ok(false);
        }
        // The job goes to the disk with the nonces of its first batch.
        let nonces = self.sessions.get(&id).map(|session| session.nonces(&mut self.musig, batch));
        if let Some(Err(error)) = nonces {
            tracing::warn!(job = %id, error = %blame(error)?, "the job cannot be signed");
            self.sessions.remove(&id);
            self.book.remove(&id, &mut Batch::default());
            return Ok(false);
        }
        self.since.insert(id, view.tip()?);
        if let Some(known) = self.book.get(&id) {
            out.push(Duty::Watch { outpoints: self.book.outpoints(known) });
        }
        self.finish_if_done(id, view, out)?;
        Ok(true)
    }

    /// Whether it is a run of which not every lane is known.
    fn lacks_keys(&self, job: &Job) -> Result<bool, StoreError> {
        let Job::Run(RunJob { terms, .. }) = job else { return Ok(false) };
        Ok(!self.lanes.missing(terms)?.is_empty())
    }

    /// How many jobs are being signed, or are about to be.
    pub(crate) fn busy_with(&self) -> usize {
        self.sessions.len() + self.awaiting.len()
    }

    /// (Re)builds the session of a job from what is on disk. False if the job cannot be worked out.
    pub(crate) fn take_session(&mut self, id: JobId) -> Result<bool, Error> {
        let Some(known) = self.book.get(&id) else { return Ok(false) };
        let plan = JobPlan { bridge: &self.bridge, runs: self.book.graphs(), job: &known.job, lanes: &self.lanes };
        if let Some(session) = self.sessions.get_mut(&id) {
            return Ok(session.refresh(&plan, &self.musig).is_ok());
        }
        match Session::open(&plan, &self.musig) {
            Ok(session) => {
                self.sessions.insert(id, session);
                Ok(true)
            }
            Err(error) => {
                tracing::warn!(job = %id, error = %blame(error)?, "the job cannot be signed");
                Ok(false)
            }
        }
    }

    /// Writes down what follows from the signatures that the session holds. If they are all there, says what to do with them.
    pub(crate) fn finish_if_done(&mut self, id: JobId, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let (Some(session), Some(known)) = (self.sessions.get(&id), self.book.get(&id)) else { return Ok(()) };
        let mut next = known.clone();
        next.vault = vault(&self.bridge, &known.job, session.signatures());
        next.slots_held = match &known.job {
            Job::Run(run) => session.signatures().len() >= plan::stages_of_slots(&run.terms),
            _ => false,
        };
        let done = session.done();
        if done && next.progress != Progress::Ended {
            next.progress = Progress::Complete;
        }
        if next != *known {
            self.musig.store().commit(self.book.staged(&id, |known| *known = next.clone()))?;
            if next.vault != known.vault {
                out.push(Duty::Watch { outpoints: self.book.outpoints(&next) });
            }
            self.book.apply(&id, |known| *known = next);
        }
        if done && let Some(session) = self.sessions.remove(&id) {
            self.since.remove(&id);
            self.keep(id, session);
            self.broadcast(&id, view, out)?;
            self.deliver(&id, out)?;
        }
        Ok(())
    }

    fn broadcast(&mut self, id: &JobId, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let Some(known) = self.book.get(id) else { return Ok(()) };
        let what = match &known.job {
            Job::Deposit(deposit) if view.spender(&deposit.terms.outpoint)?.is_none() => "Confirm",
            Job::Cooperative(terms) if view.spender(&terms.vault.outpoint)?.is_none() => {
                // A payout that is mined in somebody else's time costs a vault and pays nothing off.
                let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
                if !knowledge.in_time(terms.withdrawal)? || view.spender(&terms.vault.ticket())?.is_some() {
                    return Ok(());
                }
                "cooperative payout"
            }
            _ => return Ok(()),
        };
        let Some(delivery) = self.delivery(id)? else { return Ok(()) };
        if let Some(transaction) = outcome(&self.bridge, &delivery.job, &delivery.signatures) {
            out.push(Duty::Broadcast { what: what.into(), transaction });
        }
        Ok(())
    }

    /// Burn of a vault's ticket, by this signer alone. The same bytes every time.
    fn burn(&self, vault: &Vault) -> Option<Duty> {
        let burn = Burn::new(&self.bridge, vault, self.index()).ok()?;
        let message = Digest::from_digest(burn.message());
        let signature = Secp256k1::signing_only().sign_schnorr_no_aux_rand(&message, &self.keypair);
        Some(Duty::Broadcast { what: "Burn".into(), transaction: burn.complete(&signature) })
    }

    pub(crate) fn deliver(&mut self, id: &JobId, out: &mut Vec<Duty>) -> Result<(), Error> {
        let Some(delivery) = self.delivery(id)? else { return Ok(()) };
        let mut receivers: Vec<Receiver> = match &delivery.job {
            Job::Deposit(deposit) => deposit.slots.iter().map(|slot| Receiver::Operator(slot.operator)).collect(),
            Job::Run(run) => {
                let challengers = (0..self.bridge.parameters.challengers.len()).map(Receiver::Challenger);
                challengers.chain([Receiver::Operator(run.terms.operator)]).collect()
            }
            Job::Admin(_) => vec![Receiver::Administrator],
            Job::Cooperative(_) => Vec::new(),
        };
        receivers.sort();
        receivers.dedup();
        out.extend(receivers.into_iter().map(|to| Duty::Deliver { to, delivery: delivery.for_receiver(to) }));
        Ok(())
    }

    fn delivery(&mut self, id: &JobId) -> Result<Option<Delivery>, Error> {
        let Some(job) = self.book.get(id).map(|known| known.job.clone()) else { return Ok(None) };
        let Some(session) = self.archived(id)?.filter(|session| session.done()) else { return Ok(None) };
        Ok(Some(plan::delivery(job, session.signatures())))
    }

    /// The session of a job that is not being signed any more.
    fn archived(&mut self, id: &JobId) -> Result<Option<&Session>, Error> {
        if !self.archive.iter().any(|(archived, _)| archived == id) {
            let Some(known) = self.book.get(id) else { return Ok(None) };
            let plan = JobPlan { bridge: &self.bridge, runs: self.book.graphs(), job: &known.job, lanes: &self.lanes };
            match Session::open(&plan, &self.musig) {
                Ok(session) => self.keep(*id, session),
                Err(error) => {
                    blame(error)?;
                    return Ok(None);
                }
            }
        }
        Ok(self.archive.iter().find(|(archived, _)| archived == id).map(|(_, session)| session))
    }

    fn keep(&mut self, id: JobId, session: Session) {
        self.archive.retain(|(archived, _)| *archived != id);
        self.archive.push_front((id, session));
        self.archive.truncate(ARCHIVE);
    }

    /// Answers a signer that is behind with the final signatures that it lacks. False if they are not held here.
    pub(crate) fn catch_up(&mut self, id: JobId, to: usize, at: u32, out: &mut Vec<Duty>) -> Result<bool, Error> {
        let batch = match self.sessions.get(&id) {
            Some(session) => session.batch_at(at).map(<[Signature]>::to_vec),
            None => self.archived(&id)?.and_then(|session| session.batch_at(at).map(<[Signature]>::to_vec)),
        };
        let Some(signatures) = batch else { return Ok(false) };
        out.push(Duty::Send { to, message: Message::Signatures { job: id, at, signatures } });
        Ok(true)
    }

    /// Keeps the final signatures of the current batch and goes on.
    pub(crate) fn complete_batch(
        &mut self,
        id: JobId,
        signatures: &[Signature],
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<Result<(), SessionError>, Error> {
        let (Some(session), Some(known)) = (self.sessions.get_mut(&id), self.book.get(&id)) else { return Ok(Ok(())) };
        let plan = JobPlan { bridge: &self.bridge, runs: self.book.graphs(), job: &known.job, lanes: &self.lanes };
        if let Err(error) = session.complete(&plan, &mut self.musig, signatures, Batch::default()) {
            return Ok(Err(blame(error)?));
        }
        self.finish_if_done(id, view, out)?;
        Ok(Ok(()))
    }

    fn signatures_from(
        &mut self,
        id: JobId,
        from: usize,
        at: u32,
        signatures: Vec<Signature>,
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        if self.sessions.get(&id).is_none_or(|session| session.position() != at) {
            return Ok(());
        }
        match self.complete_batch(id, &signatures, view, out)? {
            Err(error) => out.push(Duty::Suspect { signer: from, why: error.to_string() }),
            Ok(()) if self.index() == LEADER => self.lead(id, view, out)?,
            Ok(()) => self.send_nonces(id, out)?,
        }
        Ok(())
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

fn run_of(known: &Known) -> Option<RunTerms> {
    match &known.job {
        Job::Run(run) => Some(run.terms.clone()),
        _ => None,
    }
}
