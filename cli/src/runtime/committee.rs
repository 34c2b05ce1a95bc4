//! The signers, and the wires between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::hashes::sha256;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{FeeRate, OutPoint, TxOut};
use trestle_bridge::chain::Chain;
use trestle_bridge::job::Job;
use trestle_bridge::lane::LaneWork;
use trestle_bridge::parameters::Bridge;
use trestle_challenger::{ChainView, View as _};
use trestle_rollup::{Assignment, Digest, Fulfilment, SlotId, Withdrawal, WithdrawalId};
use trestle_signer::status::Standing;
use trestle_signer::{Delivery, Duty, Event, JobId, LEADER, Message, Receiver, Signer, Spend, View, ViewError};

use super::Error;
use super::role::Role;
use super::sender::Sender;

/// Within how many blocks what a signer signs should confirm.
const TARGET: u16 = 3;

/// One signer that runs.
pub struct SignerRole {
    /// What it has for itself.
    pub role: Role,
    machine: Signer<sled::Tree>,
    /// Whether it answers; one that does not keeps everything that it has.
    pub online: bool,
    restarted: bool,
}

/// The committee.
pub struct Signers {
    bridge: Arc<Bridge>,
    /// The signers, by index.
    pub signers: Vec<SignerRole>,
    /// Bytes on their way: from, to, what.
    mail: VecDeque<(usize, usize, Vec<u8>)>,
    /// What is to be handed to others; every signer delivers, one copy is enough.
    deliveries: BTreeMap<(Receiver, JobId), Delivery>,
    /// Keys of lanes that signers lack: who, whose, which.
    wanted_keys: BTreeSet<(usize, u8, sha256::Hash)>,
    refusals: BTreeMap<JobId, String>,
}

impl Signers {
    /// Opens the signers that keep their files below `home`.
    ///
    /// # Errors
    /// Their files.
    pub fn open(
        home: &Path,
        names: &[String],
        bridge: &Arc<Bridge>,
        chain: &Arc<dyn Chain>,
        lanes: &Arc<dyn LaneWork>,
    ) -> Result<Self, Error> {
        let mut signers = Vec::with_capacity(names.len());
        for name in names {
            let role = Role::open(home, name, &bridge.parameters, chain)?;
            let store = role.db.open_tree("signer").map_err(|e| Error::file(&role.directory, e))?;
            let machine =
                Signer::open(store, &role.secrets.key()?, Bridge::clone(bridge))?.with_lanes(Arc::clone(lanes));
            signers.push(SignerRole { role, machine, online: true, restarted: true });
        }
        Ok(Self {
            bridge: Arc::clone(bridge),
            signers,
            mail: VecDeque::new(),
            deliveries: BTreeMap::new(),
            wanted_keys: BTreeSet::new(),
            refusals: BTreeMap::new(),
        })
    }

    /// Every signer looks again; then messages go to and fro until there are none.
    ///
    /// # Errors
    /// The chain or their files.
    pub fn tip(&mut self, sender: &Sender) -> Result<(), Error> {
        // What is still refused is refused again.
        self.refusals.clear();
        for index in 0..self.signers.len() {
            let restarted = std::mem::take(&mut self.signers[index].restarted);
            self.give(sender, index, if restarted { Event::Restarted } else { Event::Tip })?;
        }
        self.pump(sender)
    }

    /// Whether the leader answers.
    pub fn is_led(&self) -> bool {
        self.signers.get(LEADER).is_some_and(|leader| leader.online)
    }

    /// Asks the leader for a job.
    ///
    /// # Errors
    /// The chain or their files.
    pub fn request(&mut self, sender: &Sender, job: Job, consents: Vec<Signature>) -> Result<(), Error> {
        self.give(sender, LEADER, Event::Requested { job: Box::new(job), consents })?;
        self.pump(sender)
    }

    /// What is to be handed to others since the last call.
    pub fn take_deliveries(&mut self) -> Vec<(Receiver, Delivery)> {
        std::mem::take(&mut self.deliveries).into_iter().map(|((receiver, _), delivery)| (receiver, delivery)).collect()
    }

    /// The keys of lanes that signers asked for since the last call: which signer, which operator's, their digest.
    pub fn take_wanted_keys(&mut self) -> Vec<(usize, u8, sha256::Hash)> {
        std::mem::take(&mut self.wanted_keys).into_iter().collect()
    }

    /// Brings a signer keys of a lane.
    ///
    /// # Errors
    /// The chain or their files.
    pub fn bring_keys(&mut self, sender: &Sender, signer: usize, keys: Vec<u8>) -> Result<(), Error> {
        self.give(sender, signer, Event::LaneKeys(keys))?;
        self.pump(sender)
    }

    /// What is signed of the run with this bond, as the first signer that answers has it.
    ///
    /// # Errors
    /// Its files.
    pub fn signatures_for(&mut self, bond: &OutPoint) -> Result<Vec<Delivery>, Error> {
        match self.signers.iter_mut().find(|signer| signer.online) {
            Some(signer) => Ok(signer.machine.signatures_for(bond)?),
            None => Ok(Vec::new()),
        }
    }

    /// Why a job is not being signed, as the signers last said.
    pub fn refusal_of(&self, job: &Job) -> Option<&str> {
        self.refusals.get(&JobId::of(&self.bridge, job)).map(String::as_str)
    }

    /// How a denomination stands, as the leader knows.
    ///
    /// # Errors
    /// The chain or its files.
    pub fn standing(&self, denomination: u8) -> Result<Standing, Error> {
        let Some(leader) = self.signers.get(LEADER) else { return Err(Error::Silent("the committee")) };
        Ok(leader.machine.standing(denomination, &SignerView(&leader.role.view))?)
    }

    fn pump(&mut self, sender: &Sender) -> Result<(), Error> {
        while let Some((from, to, bytes)) = self.mail.pop_front() {
            match Message::decode(&bytes) {
                Ok(message) => self.give(sender, to, Event::Message { from, message })?,
                Err(error) => tracing::warn!(from, to, %error, "a signer sent nonsense"),
            }
        }
        Ok(())
    }

    fn give(&mut self, sender: &Sender, index: usize, event: Event) -> Result<(), Error> {
        let signer = &mut self.signers[index];
        if !signer.online {
            return Ok(());
        }
        let duties = signer.machine.process(event, &SignerView(&signer.role.view))?;
        let name = signer.role.name.clone();
        for duty in duties {
            match duty {
                Duty::Send { to, message } => self.mail.push_back((index, to, message.encode())),
                Duty::Broadcast { what, transaction } => drop(sender.send(&name, &what, &transaction)?),
                Duty::Deliver { to, delivery } => {
                    self.deliveries.insert((to, JobId::of(&self.bridge, &delivery.job)), delivery);
                }
                Duty::FetchLaneKeys { operator, digest } => {
                    self.wanted_keys.insert((index, operator, digest));
                }
                // The view asks the chain itself, which knows who spends what.
                Duty::Watch { .. } => {}
                Duty::Refused { job, by, reason } => {
                    tracing::info!(%job, by, reason, "not signed");
                    self.refusals.insert(job, reason);
                }
                Duty::Suspect { signer, why } => tracing::error!(signer, why, "a signer misbehaves"),
            }
        }
        Ok(())
    }
}

/// What one signer knows, from its own ledger and the chain.
struct SignerView<'a>(&'a ChainView);

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ViewError {
    ViewError(error.into())
}

impl View for SignerView<'_> {
    fn tip(&self) -> Result<u32, ViewError> {
        Ok(self.0.height())
    }

    fn entry(&self, height: u32) -> Result<Option<Digest>, ViewError> {
        Ok(self.0.ledger.entry(height).map_err(failed)?.map(|entry| entry.digest()))
    }

    fn header(&self, height: u32) -> Result<Option<Header>, ViewError> {
        self.0.header(height).map_err(failed)
    }

    fn output(&self, outpoint: &OutPoint) -> Result<Option<(TxOut, u32)>, ViewError> {
        let Some(found) = self.0.chain.transaction(&outpoint.txid).map_err(failed)? else { return Ok(None) };
        let height = found.height.filter(|height| *height <= self.0.height());
        Ok(found.tx.output.get(outpoint.vout as usize).cloned().zip(height))
    }

    fn spender(&self, outpoint: &OutPoint) -> Result<Option<Spend>, ViewError> {
        let spender = self.0.spender(outpoint).map_err(failed)?;
        Ok(spender.map(|mined| Spend { txid: mined.tx.compute_txid(), height: mined.height }))
    }

    fn withdrawal(&self, id: WithdrawalId) -> Result<Option<Withdrawal>, ViewError> {
        self.0.ledger.state_at_tip().withdrawal(id).map_err(failed)
    }

    fn assignment(&self, id: WithdrawalId, height: u32) -> Result<Option<Assignment>, ViewError> {
        self.0.ledger.state_at_tip().assignment_at(id, height).map_err(failed)
    }

    fn slot(&self, slot: SlotId) -> Result<Option<Fulfilment>, ViewError> {
        self.0.ledger.state_at_tip().slot(slot).map_err(failed)
    }

    fn pending_withdrawals(&self) -> Result<Vec<WithdrawalId>, ViewError> {
        let pending = self.0.ledger.state_at_tip().pending_withdrawals().map_err(failed)?;
        Ok(pending.into_iter().map(|(id, _)| id).collect())
    }

    fn fee_rate(&self) -> Result<FeeRate, ViewError> {
        Ok(self.0.chain.fee_rate(TARGET).map_err(failed)?.max(FeeRate::BROADCAST_MIN))
    }
}
