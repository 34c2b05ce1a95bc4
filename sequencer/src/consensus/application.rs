//! The orderer as the engine sees it: what to propose, what to vote for, what is final.

use std::collections::BTreeMap;
use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use commonware_actor::Feedback;
use commonware_consensus::marshal::Update;
use commonware_consensus::marshal::ancestry::Ancestry;
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::simplex::types::Context;
use commonware_consensus::{Application, Reporter};
use commonware_cryptography::{Digested, ed25519, sha256};
use commonware_macros::select;
use commonware_runtime::Clock;
use commonware_utils::Acknowledgement as _;
use commonware_utils::acknowledgement::Exact;
use commonware_utils::channel::mpsc;
use commonware_utils::sync::Notify;
use futures::StreamExt as _;

use super::block::Block;
use super::chain::Verdict;
use super::message::{Message, Subject};
use super::orderer::{Answers, Duty, Error, Orderer};

/// How long to wait before a block is judged again that could not be judged.
const RETRY: Duration = Duration::from_millis(25);

/// A sequencer's state machine, shared by the engine, the network and whoever serves users. Clones share it.
///
/// If a store fails, the sequencer stops: it votes for nothing and takes nothing as final until it is opened again.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

struct Inner {
    orderer: Mutex<Orderer>,
    /// Rung when a transaction came in.
    work: Notify,
    /// To the networks of the sets.
    outlets: Mutex<BTreeMap<u32, mpsc::UnboundedSender<Told>>>,
    certified: mpsc::UnboundedSender<Subject>,
    /// The block that closes a set, while the ledger is behind it.
    closing: Mutex<Option<(Digested<Block>, Exact)>>,
    /// How long a leader waits for transactions before it proposes an empty block.
    patience: Duration,
}

/// A message, and to whom: the sequencer with this index, or all others.
pub(crate) type Told = (Option<u8>, Message);

impl Shared {
    /// Shares an orderer; parts and batches come out of the receiver as they get their certificates.
    #[must_use]
    pub fn new(orderer: Orderer, patience: Duration) -> (Self, mpsc::UnboundedReceiver<Subject>) {
        let (certified, receiver) = mpsc::unbounded_channel();
        let (orderer, work) = (Mutex::new(orderer), Notify::new());
        let (outlets, closing) = (Mutex::default(), Mutex::default());
        (Self(Arc::new(Inner { orderer, work, outlets, certified, closing, patience })), receiver)
    }

    /// Where what is to be told to a set's sequencers comes out.
    pub(crate) fn outlet(&self, set: u32) -> mpsc::UnboundedReceiver<Told> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.outlets.lock().unwrap_or_else(PoisonError::into_inner).insert(set, sender);
        receiver
    }

    /// The orderer, for a question that takes no time.
    pub fn orderer(&self) -> MutexGuard<'_, Orderer> {
        // A panic in between leaves at worst a number in memory behind its store; the store is what counts.
        self.0.orderer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes transactions from users; the answers are in their order.
    ///
    /// # Errors
    /// If a store fails.
    pub fn submit(&self, transactions: &[Vec<u8>]) -> Result<Answers, Error> {
        let (answers, duties) = self.orderer().submit(transactions)?;
        self.0.work.notify_one();
        self.carry(duties);
        Ok(answers)
    }

    /// Lets the orderer do something, and passes on what it wants done.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Orderer) -> Result<Vec<Duty>, Error>) -> Result<(), Error> {
        let duties = change(&mut self.orderer())?;
        self.0.work.notify_one();
        self.carry(duties);
        Ok(())
    }

    /// Has the leader look again at what there is to propose: Bitcoin has moved on.
    pub fn wake(&self) {
        self.0.work.notify_one();
    }

    fn carry(&self, duties: Vec<Duty>) {
        let outlets = self.0.outlets.lock().unwrap_or_else(PoisonError::into_inner);
        for duty in duties {
            // Where nobody listens, the sequencer is being stopped, or the set's network is not up yet: what matters is said
            // again at a tick.
            match duty {
                Duty::Tell { set, to, message } => {
                    let _ = outlets.get(&set).map(|outlet| outlet.send((to, message)));
                }
                Duty::Certified(subject) => {
                    let _ = self.0.certified.send(subject);
                }
            }
        }
    }

    /// Says again what may have been lost, and does again what had to wait.
    pub(crate) fn tick(&self) -> Result<(), Error> {
        let closing = self.0.closing.lock().unwrap_or_else(PoisonError::into_inner).take();
        closing.map(|(block, delivered)| self.take(block, delivered)).transpose()?;
        self.change(Orderer::tick)
    }

    /// Takes a final block; the engine hands it in again, after a restart too, until it is told that it was delivered.
    fn take(&self, block: Digested<Block>, delivered: Exact) -> Result<(), Error> {
        match self.change(|orderer| orderer.finalized(&block)) {
            Ok(()) => {
                delivered.acknowledge();
                Ok(())
            }
            Err(Error::Behind) => {
                *self.0.closing.lock().unwrap_or_else(PoisonError::into_inner) = Some((block, delivered));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn propose_now(&self, chain: &[Digested<Block>]) -> Result<Option<Digested<Block>>, Error> {
        self.orderer().propose(chain)
    }

    /// The newest block and its ancestors down to one that is final, newest first; `None` if they do not come.
    async fn read(&self, mut ancestry: impl Ancestry<Block>, least: usize) -> Option<Vec<Digested<Block>>> {
        let mut blocks = Vec::new();
        while let Some(block) = ancestry.next().await {
            let height = block.inner().height;
            blocks.push(block);
            if blocks.len() >= least && height <= self.orderer().height() {
                return Some(blocks);
            }
        }
        None
    }
}

impl<E: Clock> Application<E> for Shared {
    type SigningScheme = Scheme;
    type Context = Context<sha256::Digest, ed25519::PublicKey>;
    type Block = Block;
    type Input = ();

    async fn propose(
        &mut self,
        (clock, _): (E, Self::Context),
        ancestry: impl Ancestry<Block>,
        _: (),
    ) -> Option<Digested<Block>> {
        let mut chain = self.read(ancestry, 1).await?;
        chain.reverse();
        let mut patience = pin!(clock.sleep(self.0.patience));
        loop {
            let block = match self.propose_now(&chain) {
                Ok(block) => block?,
                Err(error) => {
                    tracing::error!(%error, "the sequencer cannot propose");
                    return None;
                }
            };
            let parent = chain.last().map(|parent| parent.inner().anchor);
            let Block { anchor, cut, ref transactions, .. } = *block.inner();
            if cut || !transactions.is_empty() || Some(anchor) != parent {
                return Some(block);
            }
            select! {
                _ = self.0.work.notified() => {},
                _ = &mut patience => return Some(block),
            }
        }
    }

    async fn verify(&mut self, (clock, _): (E, Self::Context), ancestry: impl Ancestry<Block>) -> bool {
        // The engine drops this future once the view is over. Until then there is no verdict but a good one or a bad one.
        let Some(mut chain) = self.read(ancestry, 2).await else { return pending().await };
        chain.reverse();
        let Some(block) = chain.pop() else { return pending().await };
        loop {
            let verdict = self.orderer().verify(&chain, &block);
            match verdict {
                Ok(Verdict::Valid) => return true,
                Ok(Verdict::Invalid) => return false,
                Ok(Verdict::Unknown) => clock.sleep(RETRY).await,
                Err(error) => {
                    tracing::error!(%error, "the sequencer cannot judge a block");
                    return pending().await;
                }
            }
        }
    }
}

impl Reporter for Shared {
    type Activity = Update<Block>;

    fn report(&mut self, update: Update<Block>) -> Feedback {
        let Update::Block(block, delivered) = update else { return Feedback::Ok };
        match self.take(block, delivered) {
            Ok(()) => Feedback::Ok,
            Err(error) => {
                // `delivered` was dropped, which stops the engine.
                tracing::error!(%error, "the sequencer stops");
                Feedback::Closed
            }
        }
    }
}
