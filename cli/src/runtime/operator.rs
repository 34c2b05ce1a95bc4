//! The operator's hands: its wallet fronts withdrawals and funds bonds.

use std::path::Path;
use std::sync::Arc;

use bitcoin::secp256k1::Keypair;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{Transaction, TxOut, Txid};
use trestle_bridge::chain::Chain;
use trestle_bridge::lane::LaneWork;
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::RunTerms;
use trestle_bridge::wallet::{Funding, Wallet, WalletError};
use trestle_challenger::lane::Answer;
use trestle_challenger::operator::lie::Lie;
use trestle_challenger::operator::{Alert, Child, Duty, Event, Operator};
use trestle_challenger::{Need, dispute};
use trestle_rollup::SlotId;

use super::Error;
use super::role::Role;
use super::sender::{Handle, Sender, Sent};

/// Output 2 of a payout is the operator's change (bridge's `payout`).
const PAYOUT_CHANGE: u32 = 2;

/// What an operator needs of others.
#[derive(Clone, Debug)]
pub enum Request {
    /// The challengers' parts in a run.
    Challengers {
        /// The run's first slot.
        run: SlotId,
        /// How many slots.
        slots: u32,
    },
    /// The committee's signatures of a run.
    Run {
        /// The run.
        terms: Box<RunTerms>,
        /// The operator's consent.
        consent: Signature,
    },
    /// Its answer to a challenger.
    Answer(Box<Answer>),
}

/// An operator that runs.
pub struct OperatorRole {
    /// What it has for itself.
    pub role: Role,
    key: Keypair,
    machine: Operator,
    wallet: Wallet,
}

impl OperatorRole {
    /// Opens the operator that keeps its files below `home`.
    ///
    /// # Errors
    /// Its files.
    pub fn open(
        home: &Path,
        name: &str,
        index: u8,
        bridge: &Arc<Bridge>,
        chain: &Arc<dyn Chain>,
        lanes: &Arc<dyn LaneWork>,
    ) -> Result<Self, Error> {
        let role = Role::open(home, name, &bridge.parameters, chain)?;
        let (key, seed) = (role.secrets.key()?, role.secrets.seed()?);
        let machine = Operator::open(&role.db, index, key, seed, Arc::clone(bridge))?.with_lanes(Arc::clone(lanes));
        let wallet = role.wallet(&bridge.parameters)?;
        Ok(Self { role, key, machine, wallet })
    }

    /// The operator's own state.
    pub fn machine(&self) -> &Operator {
        &self.machine
    }

    /// Its key.
    pub fn key(&self) -> &Keypair {
        &self.key
    }

    /// Has it lie from now on, for a demonstration.
    pub fn lie(&mut self, lie: Lie) {
        self.machine.lie(lie);
    }

    /// Has it pay what its machine knows nothing of, for a demonstration.
    ///
    /// # Errors
    /// The chain, its files, or a wallet that is too poor.
    pub fn pay(&mut self, sender: &Sender, action: &str, outputs: &[TxOut]) -> Result<(), Error> {
        let tx = self.fund(sender, outputs)?.ok_or(Error::Silent("the operator's wallet"))?;
        self.broadcast(sender, action, &tx, None, Need::default())
    }

    /// Its Bitcoin wallet.
    pub fn wallet(&mut self) -> &mut Wallet {
        &mut self.wallet
    }

    /// Catches up with the chain and does what is due; returns what it needs of others.
    ///
    /// # Errors
    /// The chain or its files.
    pub fn tip(&mut self, sender: &Sender) -> Result<Vec<Request>, Error> {
        self.wallet.sync(sender.chain().as_ref())?;
        let requests = self.give(sender, Event::Tip)?;
        self.release_forgotten()?;
        Ok(requests)
    }

    /// Gives the operator an event and does what is due then; returns what it needs of others.
    ///
    /// # Errors
    /// The chain or its files.
    pub fn give(&mut self, sender: &Sender, event: Event) -> Result<Vec<Request>, Error> {
        let mut requests = Vec::new();
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for duty in self.machine.process(event, &self.role.view)? {
                match duty {
                    Duty::InviteChallengers { run, slots } => requests.push(Request::Challengers { run, slots }),
                    Duty::RequestRun { terms, consent } => requests.push(Request::Run { terms, consent }),
                    Duty::FundRun { run, output } => {
                        events.extend(self.fund(sender, &[output])?.map(|tx| Event::RunFunded { run, tx }));
                    }
                    Duty::FundPayout { slot, outputs, .. } => {
                        events.extend(self.fund(sender, &outputs)?.map(|tx| Event::PayoutFunded { slot, tx }));
                    }
                    Duty::Cancel { slot, tx } => self.cancel(sender, slot, &tx)?,
                    Duty::Broadcast { name, tx, child } => {
                        self.broadcast(sender, &name, &tx, child, Need::default())?;
                    }
                    Duty::Bump { slot, tx } => {
                        let fee = self.wallet.fee_of(&tx.compute_txid()).unwrap_or_default();
                        let handle = Handle { vout: PAYOUT_CHANGE, fee, key: None, need: Need::default() };
                        let action = format!("Payout {slot}");
                        sender.send_with_child(&self.role.name, &action, &tx, handle, &mut self.wallet)?;
                    }
                    Duty::Dispute(duty) => self.dispute(sender, duty)?,
                    Duty::Answer(answer) => requests.push(Request::Answer(answer)),
                    Duty::Alert(alert) => self.alert(&alert),
                }
            }
        }
        Ok(requests)
    }

    /// A transaction with these outputs, not broadcast; none while the wallet is too poor.
    fn fund(&mut self, sender: &Sender, outputs: &[TxOut]) -> Result<Option<Transaction>, Error> {
        match self.wallet.fund(outputs, Funding::at(sender.fee_rate()?)) {
            Ok(tx) => Ok(Some(tx)),
            Err(error @ WalletError::InsufficientFunds { .. }) => {
                tracing::error!(operator = self.role.name, %error, "cannot fund");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn broadcast(
        &mut self,
        sender: &Sender,
        action: &str,
        tx: &Transaction,
        child: Option<Child>,
        need: Need,
    ) -> Result<(), Error> {
        let sent = match child {
            Some(Child { vout, fee }) => {
                let handle = Handle { vout, fee, key: Some(&self.key), need };
                sender.send_with_child(&self.role.name, action, tx, handle, &mut self.wallet)?
            }
            None => sender.send(&self.role.name, action, tx)?,
        };
        if sent == Sent::Accepted && self.wallet.is_held(&tx.compute_txid()) {
            self.wallet.sent(&tx.compute_txid())?;
        }
        Ok(())
    }

    /// Does what is due in a lane.
    fn dispute(&mut self, sender: &Sender, duty: dispute::Duty) -> Result<(), Error> {
        match duty {
            dispute::Duty::Broadcast { name, tx, child, .. } => {
                self.broadcast(sender, &name, &tx, Some(child), Need::default())
            }
            dispute::Duty::Bump { name, tx, child, deadline, stake, .. } => {
                let need = Need { deadline, stake: Some(stake) };
                self.broadcast(sender, &name, &tx, Some(child), need)
            }
            dispute::Duty::Ask(_) => Ok(()),
        }
    }

    fn alert(&self, alert: &Alert) {
        tracing::warn!(operator = self.role.name, "{alert}");
    }

    fn cancel(&mut self, sender: &Sender, slot: SlotId, payout: &Transaction) -> Result<(), Error> {
        let cancellation = match self.wallet.cancel(&payout.compute_txid(), sender.fee_rate()?) {
            Ok(cancellation) => cancellation,
            // The wallet may be ahead of the chain while a reorganisation is under way; it is asked again at the next tip.
            Err(error @ (WalletError::InsufficientFunds { .. } | WalletError::CannotBump { .. })) => {
                tracing::error!(operator = self.role.name, %slot, %error, "cannot cancel");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let action = format!("Cancel of the payout by {slot}");
        if sender.send(&self.role.name, &action, &cancellation)? == Sent::Accepted {
            self.wallet.sent(&cancellation.compute_txid())?;
        }
        Ok(())
    }

    /// Lets go of what the wallet signed before a crash and the machine never took over.
    fn release_forgotten(&mut self) -> Result<(), Error> {
        let mut known: Vec<Txid> = self.machine.runs().map(|run| run.terms.bond.txid).collect();
        known.extend(
            self.machine.fronts()?.iter().filter_map(|front| front.payout.as_ref().map(Transaction::compute_txid)),
        );
        for txid in self.wallet.unconfirmed().iter().map(Transaction::compute_txid) {
            if self.wallet.is_held(&txid) && !known.contains(&txid) {
                self.wallet.release(&txid)?;
            }
        }
        Ok(())
    }
}
