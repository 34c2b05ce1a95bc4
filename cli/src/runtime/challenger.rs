//! The watchtower's hands: its wallet funds bonds.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use bitcoin::hashes::sha256;
use bitcoin::secp256k1::Keypair;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{OutPoint, Transaction, Txid};
use trestle_bridge::chain::Chain;
use trestle_bridge::lane::LaneWork;
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::ChallengerInRun;
use trestle_bridge::wallet::{Funding, Wallet, WalletError};
use trestle_challenger::Need;
use trestle_challenger::dispute::{self, Hostile};
use trestle_challenger::lane::Ask;
use trestle_challenger::watchtower::{Duty, Event, Purpose, Report, Settlement, Watchtower};
use trestle_rollup::SlotId;

use super::Error;
use super::role::Role;
use super::sender::{Handle, Sender, Sent};

/// Blocks after which a transaction without a deadline is bumped.
const PATIENCE: u32 = 3;

/// What a watchtower says to an operator, or needs of a signer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Its part in a run.
    Joined {
        /// The run's first slot.
        run: SlotId,
        /// The part.
        part: ChallengerInRun,
    },
    /// It lacks keys of a lane.
    LacksKeys {
        /// The operator, which has them.
        operator: u8,
        /// Their digest.
        digest: sha256::Hash,
    },
    /// Its consent to the terms of a run.
    Consented {
        /// The run's first slot.
        run: SlotId,
        /// The signature of the terms.
        consent: Signature,
    },
    /// It lacks the signatures of the run with this bond.
    Lacks(OutPoint),
    /// It asks the operator for a move in its lane.
    Asks {
        /// The slot whose claim is disputed.
        slot: SlotId,
        /// What it asks.
        ask: Box<Ask>,
    },
}

/// A watchtower that runs.
pub struct ChallengerRole {
    /// What it has for itself.
    pub role: Role,
    key: Keypair,
    machine: Watchtower,
    wallet: Wallet,
}

impl ChallengerRole {
    /// Opens the watchtower that keeps its files below `home`.
    ///
    /// # Errors
    /// Its files.
    pub fn open(
        home: &Path,
        name: &str,
        bridge: &Arc<Bridge>,
        chain: &Arc<dyn Chain>,
        lanes: &Arc<dyn LaneWork>,
    ) -> Result<Self, Error> {
        let role = Role::open(home, name, &bridge.parameters, chain)?;
        let (key, seed) = (role.secrets.key()?, role.secrets.seed()?);
        let machine = Watchtower::open(&role.db, Bridge::clone(bridge), key, seed, PATIENCE)?;
        let machine = machine.with_lanes(Arc::clone(lanes));
        let wallet = role.wallet(&bridge.parameters)?;
        Ok(Self { role, key, machine, wallet })
    }

    /// Has it contest what is true from now on, for a demonstration.
    pub fn oppose(&mut self, hostile: Hostile) {
        self.machine.oppose(hostile);
    }

    /// Its Bitcoin wallet.
    pub fn wallet(&mut self) -> &mut Wallet {
        &mut self.wallet
    }

    /// Every verdict on a claim so far.
    ///
    /// # Errors
    /// Its files.
    pub fn reports(&self) -> Result<Vec<Report>, Error> {
        Ok(self.machine.reports()?)
    }

    /// Bytes of all that is kept of its lane of a slot.
    ///
    /// # Errors
    /// Its files.
    pub fn lane_bytes(&self, slot: SlotId) -> Result<usize, Error> {
        Ok(self.machine.lane_bytes(slot)?)
    }

    /// What came of every dispute that is over.
    ///
    /// # Errors
    /// Its files.
    pub fn settlements(&self) -> Result<Vec<Settlement>, Error> {
        Ok(self.machine.settlements()?)
    }

    /// Catches up with the chain and does what is due; returns what it says to others.
    ///
    /// # Errors
    /// The chain or its files.
    pub fn tip(&mut self, sender: &Sender) -> Result<Vec<Answer>, Error> {
        self.wallet.sync(sender.chain().as_ref())?;
        let answers = self.give(sender, Event::Tip)?;
        self.release_forgotten()?;
        Ok(answers)
    }

    /// Lets go of what the wallet signed before a crash and the machine never took over.
    fn release_forgotten(&mut self) -> Result<(), Error> {
        let known: HashSet<Txid> = self.machine.bonds().map(Transaction::compute_txid).collect();
        for txid in self.wallet.unconfirmed().iter().map(Transaction::compute_txid) {
            if self.wallet.is_held(&txid) && !known.contains(&txid) {
                self.wallet.release(&txid)?;
            }
        }
        Ok(())
    }

    /// Gives the watchtower an event and does what is due then; returns what it says to others.
    ///
    /// # Errors
    /// The chain or its files.
    pub fn give(&mut self, sender: &Sender, event: Event) -> Result<Vec<Answer>, Error> {
        let mut answers = Vec::new();
        let mut events = vec![event];
        // A duty comes again with every event until its answer is taken in: one answer is enough.
        let mut asked = HashSet::new();
        while let Some(event) = events.pop() {
            for duty in self.machine.process(event, &self.role.view)? {
                match duty {
                    Duty::FundBond { run, .. } if !asked.insert(run) => {}
                    Duty::FundBond { run, output } => {
                        match self.wallet.fund(&[output], Funding::at(sender.fee_rate()?)) {
                            Ok(tx) => events.push(Event::BondFunded { run, tx }),
                            Err(error @ WalletError::InsufficientFunds { .. }) => {
                                tracing::error!(challenger = self.role.name, %error, "cannot fund a bond");
                            }
                            Err(error) => return Err(error.into()),
                        }
                    }
                    Duty::Join { run, part } => answers.push(Answer::Joined { run, part }),
                    Duty::FetchLaneKeys { operator, digest } => answers.push(Answer::LacksKeys { operator, digest }),
                    Duty::Consent { run, consent } => answers.push(Answer::Consented { run, consent }),
                    Duty::RequestSignatures { bond, .. } => answers.push(Answer::Lacks(bond)),
                    Duty::Dispute { slot, duty: dispute::Duty::Ask(ask) } => {
                        answers.push(Answer::Asks { slot, ask: Box::new(ask) });
                    }
                    Duty::Dispute { duty: dispute::Duty::Broadcast { name, tx, .. }, .. } => {
                        sender.send(&self.role.name, &name, &tx)?;
                    }
                    Duty::Dispute { duty: dispute::Duty::Bump { name, tx, child, deadline, stake, .. }, .. } => {
                        let need = Need { deadline, stake: Some(stake) };
                        let handle = Handle { vout: child.vout, fee: child.fee, key: Some(&self.key), need };
                        sender.send_with_child(&self.role.name, &name, &tx, handle, &mut self.wallet)?;
                    }
                    Duty::Report(report) => tracing::info!(challenger = self.role.name, ?report, "judged a claim"),
                    Duty::Broadcast { purpose, tx } => self.broadcast(sender, purpose, &tx)?,
                    Duty::AskFees { slot, outputs } => {
                        let paid = |output: OutPoint| Some((output, self.wallet.fee_on(output)?));
                        events.push(Event::Paid { slot, fees: outputs.into_iter().filter_map(paid).collect() });
                    }
                    Duty::Settled(settlement) => self.tell(&settlement),
                    Duty::Bump { purpose, tx, fee, anchor, deadline, stake } => {
                        let vout = anchor.map_or(0, |anchor| anchor.vout);
                        let need = Need { deadline, stake: Some(stake) };
                        let handle = Handle { vout, fee, key: None, need };
                        sender.send_with_child(&self.role.name, &action(purpose), &tx, handle, &mut self.wallet)?;
                    }
                }
            }
        }
        Ok(answers)
    }

    /// Tells the owner what came of a dispute.
    fn tell(&self, settlement: &Settlement) {
        let (slot, end, since) = (settlement.slot, settlement.end, settlement.since);
        let (bond_fees, wallet_fees) = (settlement.bond_fees(), settlement.wallet_fees());
        let moves: Vec<_> = settlement.moves().map(|played| (&played.name, played.txid)).collect();
        let (challenger, transactions, received) =
            (&self.role.name, settlement.transactions.len(), settlement.received);
        tracing::info!(challenger, %slot, ?end, since, transactions, ?moves, %bond_fees, %wallet_fees, %received, "a dispute is over");
    }

    fn broadcast(&mut self, sender: &Sender, purpose: Purpose, tx: &Transaction) -> Result<(), Error> {
        let sent = sender.send(&self.role.name, &action(purpose), tx)?;
        if sent == Sent::Accepted && self.wallet.is_held(&tx.compute_txid()) {
            self.wallet.sent(&tx.compute_txid())?;
        }
        Ok(())
    }
}

/// What a transaction is, in the timeline's words.
fn action(purpose: Purpose) -> String {
    match purpose {
        Purpose::Bond(run) => format!("Challenger's bond of run {run}"),
        Purpose::End(slot) => format!("Retire {slot}"),
        Purpose::Contest(slot) => format!("Contest {slot}"),
        Purpose::Retire(run) => format!("Retire challenger's bond of run {run}"),
    }
}
