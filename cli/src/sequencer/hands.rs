//! A sequencer's hands: it follows Bitcoin, and its wallet pays for postings.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::secp256k1::{Keypair, Message, Secp256k1};
use bitcoin::{Block, OutPoint, Transaction};
use trestle_bridge::chain::Chain;
use trestle_bridge::follow::Step;
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::envelope::{Posting, revealed};
use trestle_bridge::wallet::{Funding, Wallet, WalletError};
use trestle_challenger::Need;
use trestle_rollup::compact::Posted;
use trestle_rollup::envelope::Kind;
use trestle_rollup::{Envelope, Ledger};
use trestle_sequencer::consensus::{Error as ConsensusError, Orderer, Shared};
use trestle_sequencer::poster::{Duty, Event, Pace, Seat};
use trestle_sequencer::{Policy, Poster};

use super::{Error, join};
use crate::runtime::{self, Role, Sender, Timeline};
use crate::runtime::{Handle, Sent};

/// How long to wait before a sequencer is asked again whether its set has closed.
const WAITING: Duration = Duration::from_secs(1);

/// What the hands have done everything for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Hash of the last Bitcoin block.
    tip: [u8; 32],
    /// Whether the batch that the Layer 2 waits for was certified.
    certified: bool,
}

/// The set that counts in the next block, and its keys.
fn counting(ledger: &Ledger) -> Result<(u32, Vec<[u8; 32]>), Error> {
    let state = ledger.state_at_tip();
    let next = state.height().saturating_add(1);
    let (set, _) = state.sequencers().map_err(runtime::Error::from)?.at(next);
    Ok((set, state.keys_of_set(set).map_err(runtime::Error::from)?))
}

/// What a sequencer has besides its state machine of the agreement.
pub struct Hands {
    role: Role,
    bridge: Arc<Bridge>,
    sender: Sender,
    wallet: Wallet,
    key: Keypair,
    poster: Poster,
    done: Option<Done>,
}

impl Hands {
    /// Opens the sequencer whose files are in `directory`.
    ///
    /// # Errors
    /// Its files.
    pub fn open(directory: &Path, bridge: &Arc<Bridge>, chain: &Arc<dyn Chain>) -> Result<Self, Error> {
        let role = Role::open_in(directory.into(), "sequencer", &bridge.parameters, chain)?;
        let key = role.secrets.key()?;
        let confirmations = u32::from(bridge.parameters.confirmations);
        let pace = Pace { patience: Policy::default().patience, confirmations };
        let poster = Poster::open(&role.db, pace)?;
        let wallet = role.wallet(&bridge.parameters)?;
        let sender = Sender::new(Arc::clone(chain), Arc::new(Timeline::default()));
        Ok(Self { role, bridge: Arc::clone(bridge), sender, wallet, key, poster, done: None })
    }

    /// Catches up with the chain, on which all that it signs and judges rests, and opens the state machine of the agreement.
    /// If the sequencer is in the last set that was announced and has seen nothing of it, it asks at `join`, until the set
    /// before has closed.
    ///
    /// # Errors
    /// The chain or its files, or its key is in no set that goes on.
    pub fn orderer(&mut self, join: Option<&str>) -> Result<Orderer, Error> {
        let confirmations = u32::from(self.bridge.parameters.confirmations);
        let own = self.key.x_only_public_key().0.serialize();
        loop {
            self.role.follow(|_| ())?;
            let (db, ledger, policy) = (&self.role.db, self.role.ledger().clone(), Policy::default());
            let opened = Orderer::open(db, self.key, ledger.clone(), confirmations, policy);
            let Some(url) = join else { return Ok(opened?) };
            let set = join::wanted(&ledger, &own)?;
            match opened {
                Ok(orderer) if set.is_none_or(|set| orderer.set() >= set) => return Ok(orderer),
                Ok(_) | Err(ConsensusError::NotAMember) => {}
                Err(error) => return Err(error.into()),
            }
            let asked = set.map(|set| join::ask(url, set)).transpose()?.flatten();
            if let Some((handover, parts)) = asked {
                let handover = (&handover, &parts[..]);
                return Ok(Orderer::join(db, self.key, ledger, confirmations, policy, handover)?);
            }
            tracing::info!(set, "waits for the set before to close");
            std::thread::sleep(WAITING);
        }
    }

    /// The sequencer's key.
    pub fn key(&self) -> &Keypair {
        &self.key
    }

    /// The sequencer's own Layer 2.
    pub fn ledger(&self) -> &Ledger {
        self.role.ledger()
    }

    /// Where everything is done.
    pub fn done(&self) -> Option<Done> {
        self.done
    }

    /// What there is to be done everything for.
    ///
    /// # Errors
    /// A store.
    pub fn due(ledger: &Ledger, shared: &Shared) -> Result<Done, Error> {
        let state = ledger.state_at_tip();
        let next = state.meta().map_err(runtime::Error::from)?.batches;
        let (set, _) = counting(ledger)?;
        Ok(Done { tip: ledger.tip().1.block_hash, certified: shared.orderer().certified(set, next)?.is_some() })
    }

    /// Catches up with the chain and does what is due, if there is anything new.
    ///
    /// # Errors
    /// The chain or its files.
    pub fn work(&mut self, shared: &Shared) -> Result<(), Error> {
        let mut blocks = Vec::new();
        let followed = self.role.follow(|step| {
            if let Step::Connected { height, block, .. } = step {
                blocks.push((*height, block.clone()));
            }
        });
        for (height, block) in &blocks {
            self.compare(*height, block, shared)?;
        }
        followed?;
        shared.orderer().leave()?;
        let due = Self::due(self.role.ledger(), shared)?;
        if self.done == Some(due) {
            return Ok(());
        }
        self.wallet.sync(self.sender.chain().as_ref()).map_err(runtime::Error::from)?;
        self.process(Event::Tip, shared)?;
        // A posting that was signed before a crash and never taken over by the poster is held for nobody.
        for tx in self.wallet.unconfirmed() {
            if self.wallet.is_held(&tx.compute_txid()) {
                self.wallet.release(&tx.compute_txid()).map_err(runtime::Error::from)?;
            }
        }
        // The leader may now cut.
        shared.wake();
        self.done = Some(due);
        Ok(())
    }

    /// Looks for broken promises among what came to Bitcoin.
    fn compare(&self, height: u32, block: &Block, shared: &Shared) -> Result<(), Error> {
        for tx in &block.txdata {
            let Some((_, Envelope { kind: Kind::Batch, payload })) = revealed(tx, self.bridge.tag) else { continue };
            let Some(posted) = Posted::decode(&payload) else { continue };
            // Its accounts are named by the indices that they had before the block, unless that has left the chain again.
            let Ok(before) = self.role.ledger().state(height.saturating_sub(1)) else { continue };
            let opened = posted.open(&self.bridge.instance, |index| before.account_at(index));
            let Ok(opened) = opened.map_err(runtime::Error::from)? else { continue };
            let (set, _) = before.sequencers().map_err(runtime::Error::from)?.at(height);
            let keys = before.keys_of_set(set).map_err(runtime::Error::from)?;
            if let Some(conflict) = shared.orderer().compare(&posted.to_certificate(&opened), set, &keys)? {
                let culprits: Vec<_> = conflict.culprits().collect();
                tracing::error!(number = posted.number, ?culprits, "a quorum broke its promise");
            }
        }
        Ok(())
    }

    fn process(&mut self, event: Event, shared: &Shared) -> Result<(), Error> {
        let (set, keys) = counting(self.role.ledger())?;
        let own = self.key.x_only_public_key().0.serialize();
        let index = keys.iter().position(|key| *key == own).and_then(|index| u8::try_from(index).ok());
        let sequencers = u8::try_from(keys.len()).unwrap_or(u8::MAX);
        let seat = index.map(|index| Seat { set, index, sequencers });
        let certified = |number| shared.orderer().certified(set, number);
        let duties = self.poster.process(event, seat, self.role.ledger(), &certified)?;
        for duty in duties {
            match duty {
                Duty::Post { number, payload } => self.post(number, payload, shared)?,
                Duty::Broadcast { number, commit, reveal } => self.broadcast(number, &commit, &reveal, shared)?,
                Duty::Bump { number, reveal, .. } => {
                    let fee = self.wallet.fee_of(&reveal.compute_txid()).unwrap_or_default();
                    let handle = Handle { vout: 0, fee, key: None, need: Need::default() };
                    let action = format!("Batch {number}, reveal");
                    self.sender.send_with_child(&self.role.name, &action, &reveal, handle, &mut self.wallet)?;
                }
            }
        }
        Ok(())
    }

    /// Makes the two transactions of a posting and hands them to the poster.
    fn post(&mut self, number: u64, payload: Vec<u8>, shared: &Shared) -> Result<(), Error> {
        let rate = self.sender.fee_rate().map_err(runtime::Error::from)?;
        let change = self.wallet.new_address().map_err(runtime::Error::from)?.script_pubkey();
        let envelope = Envelope { kind: Kind::Batch, payload };
        let key = self.key.x_only_public_key().0;
        let posting = match Posting::new(&self.bridge, &envelope, key, change, rate) {
            Ok(posting) => posting,
            Err(error) => {
                // Who is behind the others knows fewer accounts' indices than those who measured the batch.
                tracing::warn!(number, %error, "the sequencer does not post a batch");
                return Ok(());
            }
        };
        let carrier = posting.commit_output();
        let commit = match self.wallet.fund(std::slice::from_ref(&carrier), Funding::at(rate)) {
            Ok(commit) => commit,
            Err(error @ WalletError::InsufficientFunds { .. }) => {
                tracing::error!(number, %error, "the sequencer cannot pay for a posting");
                return Ok(());
            }
            Err(error) => return Err(runtime::Error::from(error).into()),
        };
        let reveal = posting.reveal(OutPoint::new(commit.compute_txid(), 0), carrier.value);
        let reveal = reveal.map_err(runtime::Error::from)?;
        let signature = Secp256k1::new().sign_schnorr(&Message::from_digest(reveal.message()), &self.key);
        tracing::info!(number, commit = %commit.compute_txid(), "posting a batch");
        self.process(Event::Funded { number, commit, reveal: reveal.complete(&signature) }, shared)
    }

    fn broadcast(
        &mut self,
        number: u64,
        commit: &Transaction,
        reveal: &Transaction,
        shared: &Shared,
    ) -> Result<(), Error> {
        let name = &self.role.name;
        if let Sent::Rejected(reason) = self.sender.send(name, &format!("Batch {number}, commit"), commit)? {
            tracing::warn!(number, reason, "the commitment to a batch was rejected");
            if runtime::is_replaced(self.sender.chain().as_ref(), commit)? {
                return self.process(Event::Lost { number, reveal: reveal.compute_txid() }, shared);
            }
            return Ok(());
        }
        self.wallet.sent(&commit.compute_txid()).map_err(runtime::Error::from)?;
        if self.sender.send(name, &format!("Batch {number}, reveal"), reveal)? == Sent::Accepted {
            self.wallet.observe(reveal).map_err(runtime::Error::from)?;
        }
        Ok(())
    }
}
