//! The sequencer's hands: its wallet pays for postings.

use std::path::Path;
use std::sync::Arc;

use bitcoin::secp256k1::{Keypair, Message, Secp256k1};
use bitcoin::{Amount, OutPoint, Transaction};
use trestle_bridge::chain::Chain;
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::envelope::Posting;
use trestle_bridge::wallet::{Funding, Wallet, WalletError};
use trestle_challenger::Need;
use trestle_rollup::envelope::Kind;
use trestle_rollup::{Account, AccountState, Digest, Envelope};
use trestle_sequencer::{Duty, Event, Policy, Receipt, Rejection, Sequencer};

use super::Error;
use super::role::Role;
use super::sender::{Handle, Sender, Sent};

/// A sequencer that runs.
pub struct SequencerRole {
    /// What it has for itself.
    pub role: Role,
    bridge: Arc<Bridge>,
    machine: Sequencer,
    wallet: Wallet,
    key: Keypair,
    policy: Policy,
    tickets: u64,
    /// Whether it takes transactions; one that does not is how users see a censor.
    pub open: bool,
}

impl SequencerRole {
    /// Opens the sequencer that keeps its files below `home`.
    ///
    /// # Errors
    /// Its files.
    pub fn open(home: &Path, name: &str, bridge: &Arc<Bridge>, chain: &Arc<dyn Chain>) -> Result<Self, Error> {
        let role = Role::open(home, name, &bridge.parameters, chain)?;
        let (key, policy) = (role.secrets.key()?, Policy::default());
        let confirmations = u32::from(bridge.parameters.confirmations);
        let machine = Sequencer::open(&role.db, key, role.ledger(), confirmations, policy)?;
        let wallet = role.wallet(&bridge.parameters)?;
        Ok(Self { role, bridge: Arc::clone(bridge), machine, wallet, key, policy, tickets: 0, open: true })
    }

    /// Its Bitcoin wallet.
    pub fn wallet(&mut self) -> &mut Wallet {
        &mut self.wallet
    }

    /// The least fee that it takes.
    pub fn fee_floor(&self) -> Amount {
        self.policy.fee_floor
    }

    /// Catches up with the chain and does what is due.
    ///
    /// # Errors
    /// The chain or its files.
    pub fn tip(&mut self, sender: &Sender) -> Result<(), Error> {
        self.wallet.sync(sender.chain().as_ref())?;
        let duties = self.machine.process(Event::Tip, self.role.ledger())?;
        self.carry(sender, duties)?;
        // A posting that was signed before a crash and never taken over by the machine is held for nobody.
        for tx in self.wallet.unconfirmed() {
            if self.wallet.is_held(&tx.compute_txid()) {
                self.wallet.release(&tx.compute_txid())?;
            }
        }
        Ok(())
    }

    /// Takes a transaction from a user.
    ///
    /// # Errors
    /// The chain or its files; the inner error says why the transaction is not taken.
    pub fn submit(&mut self, transaction: &[u8]) -> Result<Result<Digest, Rejection>, Error> {
        self.tickets += 1;
        let event = Event::Submitted { ticket: self.tickets, transaction: transaction.to_vec() };
        for duty in self.machine.process(event, self.role.ledger())? {
            match duty {
                Duty::Accept { id, .. } => return Ok(Ok(id)),
                Duty::Reject { reason, .. } => return Ok(Err(reason)),
                Duty::Post { .. } | Duty::Broadcast { .. } | Duty::Bump { .. } => {}
            }
        }
        Err(Error::Silent("the sequencer"))
    }

    /// What became of a transaction.
    ///
    /// # Errors
    /// Its files.
    pub fn receipt(&self, id: &Digest) -> Result<Option<Receipt>, Error> {
        Ok(self.machine.receipt(id)?)
    }

    /// An account once everything queued is executed.
    ///
    /// # Errors
    /// Its files.
    pub fn pending(&mut self, account: &Account) -> Result<AccountState, Error> {
        Ok(self.machine.pending(account, self.role.ledger())?)
    }

    fn carry(&mut self, sender: &Sender, duties: Vec<Duty>) -> Result<(), Error> {
        for duty in duties {
            match duty {
                Duty::Post { number, payload } => self.post(sender, number, payload)?,
                Duty::Broadcast { number, commit, reveal } => self.broadcast(sender, number, &commit, &reveal)?,
                Duty::Bump { number, reveal, .. } => {
                    let fee = self.wallet.fee_of(&reveal.compute_txid()).unwrap_or_default();
                    let handle = Handle { vout: 0, fee, key: None, need: Need::default() };
                    let action = format!("Batch {number}, reveal");
                    sender.send_with_child(&self.role.name, &action, &reveal, handle, &mut self.wallet)?;
                }
                // Answers to a submitter, who is told by `submit`.
                Duty::Accept { .. } | Duty::Reject { .. } => {}
            }
        }
        Ok(())
    }

    /// Makes the two transactions of a posting and hands them to the machine.
    fn post(&mut self, sender: &Sender, number: u64, payload: Vec<u8>) -> Result<(), Error> {
        let (rate, change) = (sender.fee_rate()?, self.wallet.new_address()?.script_pubkey());
        let envelope = Envelope { kind: Kind::Batch, payload };
        let posting = Posting::new(&self.bridge, &envelope, self.key.x_only_public_key().0, change, rate)?;
        let carrier = posting.commit_output();
        let commit = match self.wallet.fund(std::slice::from_ref(&carrier), Funding::at(rate)) {
            Ok(commit) => commit,
            Err(error @ WalletError::InsufficientFunds { .. }) => {
                tracing::error!(number, %error, "the sequencer cannot pay for a posting");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let reveal = posting.reveal(OutPoint::new(commit.compute_txid(), 0), carrier.value)?;
        let signature = Secp256k1::new().sign_schnorr(&Message::from_digest(reveal.message()), &self.key);
        let funded = Event::Funded { number, commit, reveal: reveal.complete(&signature) };
        let duties = self.machine.process(funded, self.role.ledger())?;
        self.carry(sender, duties)
    }

    fn broadcast(
        &mut self,
        sender: &Sender,
        number: u64,
        commit: &Transaction,
        reveal: &Transaction,
    ) -> Result<(), Error> {
        let name = &self.role.name;
        if let Sent::Rejected(reason) = sender.send(name, &format!("Batch {number}, commit"), commit)? {
            tracing::warn!(number, reason, "the commitment to a batch was rejected");
            if is_replaced(sender.chain().as_ref(), commit)? {
                let lost = Event::Lost { number, reveal: reveal.compute_txid() };
                let duties = self.machine.process(lost, self.role.ledger())?;
                return self.carry(sender, duties);
            }
            return Ok(());
        }
        self.wallet.sent(&commit.compute_txid())?;
        if sender.send(name, &format!("Batch {number}, reveal"), reveal)? == Sent::Accepted {
            self.wallet.observe(reveal)?;
        }
        Ok(())
    }
}

/// Whether another transaction, in a block, spends what `tx` spends.
pub(super) fn is_replaced(chain: &dyn Chain, tx: &Transaction) -> Result<bool, Error> {
    let txid = tx.compute_txid();
    for input in &tx.input {
        let spender = chain.spender(&input.previous_output)?;
        if spender.is_some_and(|found| found.height.is_some() && found.tx.compute_txid() != txid) {
            return Ok(true);
        }
    }
    Ok(false)
}
