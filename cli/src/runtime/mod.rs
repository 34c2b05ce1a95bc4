//! Runs the roles: carries their duties out, and brings their messages from one to the other.
//!
//! All roles share one process here, and nothing else: each has its own directory with its keys, its database, its own Layer 2 and
//! its wallet, and they know of each other only by what is handed over as bytes or as signed data. What challengers and operators ask
//! each other goes over [sockets](crate::network). The runtime holds no state that matters: it may be dropped anywhere and
//! opened again.

mod challenger;
mod committee;
mod conversation;
mod lane_keys;
mod operator;
mod role;
mod sender;
mod shared_lanes;
mod timeline;

use std::collections::{HashSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use bitcoin::TxOut;
use bitcoin::secp256k1::schnorr::Signature;
use trestle_bridge::chain::{Chain, ChainError};
use trestle_bridge::follow::{FollowError, Step};
use trestle_bridge::job::{Job, RunJob};
use trestle_bridge::lane::LaneWork;
use trestle_bridge::parameters::{Bridge, BridgeParameters, Genesis, Members, ParametersError};
use trestle_bridge::transactions::envelope::{PostingError, revealed};
use trestle_bridge::transactions::{BuildError, RunTerms};
use trestle_bridge::wallet::WalletError;
use trestle_challenger::{operator as operator_events, watchtower};
use trestle_rollup::compact::Posted;
use trestle_rollup::envelope::Kind;
use trestle_rollup::{Digest, Envelope, Ledger, LedgerError, SlotId};
use trestle_signer::{Delivery, Receiver};

pub use challenger::ChallengerRole;
pub use committee::{SignerRole, Signers};
pub use operator::OperatorRole;
pub use role::{Role, Secrets, directory};
pub use sender::Sender;
pub(crate) use sender::{Handle, Sent, is_replaced};
pub use shared_lanes::SharedLanes;
pub use timeline::{Step as TimelineStep, Timeline};

use challenger::Answer;
use operator::Request;

use crate::network::{Limits, Network};

/// How many there are of each role.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// Signers of the committee.
    pub signers: u32,
    /// Operators.
    pub operators: u32,
    /// Challengers.
    pub challengers: u32,
    /// Sequencers.
    pub sequencers: u32,
}

/// Why the runtime stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bitcoin could not be asked.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The Layer 2 could not follow.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// A ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A wallet failed.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The parameters make no bridge.
    #[error(transparent)]
    Parameters(ParametersError),
    /// A signer failed.
    #[error("a signer failed: {0}")]
    Signer(#[from] trestle_signer::Error),
    /// A signer could not say how the bridge stands.
    #[error(transparent)]
    Standing(#[from] trestle_signer::policy::CheckError),
    /// An operator or a challenger failed.
    #[error("an operator or a challenger failed: {0}")]
    Claims(#[from] trestle_challenger::Error),
    /// A transaction cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A batch cannot be posted.
    #[error(transparent)]
    Posting(#[from] PostingError),
    /// A file cannot be used.
    #[error("{file}: {why}")]
    File {
        /// The file.
        file: String,
        /// Why not.
        why: String,
    },
    /// The roles cannot be connected.
    #[error("the network cannot be used: {0}")]
    Network(std::io::Error),
    /// A role did not answer what it always answers.
    #[error("{0} gave no answer")]
    Silent(&'static str),
}

impl Error {
    fn file(file: &Path, why: impl std::fmt::Display) -> Self {
        Self::File { file: file.display().to_string(), why: why.to_string() }
    }
}

impl From<crate::user::home::HomeError> for Error {
    fn from(error: crate::user::home::HomeError) -> Self {
        Self::File { file: "secrets".into(), why: error.to_string() }
    }
}

/// The parameters of a new regtest bridge whose roles keep their secrets below `home`; the secrets are made where there are none.
///
/// # Errors
/// The files.
pub fn regtest_parameters(home: &Path, cast: Cast, genesis: Genesis) -> Result<BridgeParameters, Error> {
    let key = |role: &str, index| Secrets::open(&role::directory(home, &name(role, index)))?.key();
    let keys = |role, count| (0..count).map(|index| key(role, index)).collect::<Result<Vec<_>, Error>>();
    let x_only = |keys: Vec<bitcoin::key::Keypair>| keys.iter().map(|key| key.x_only_public_key().0).collect();
    let members = Members {
        signers: keys("signer", cast.signers)?.iter().map(bitcoin::key::Keypair::public_key).collect(),
        operators: x_only(keys("operator", cast.operators)?),
        challengers: x_only(keys("challenger", cast.challengers)?),
        sequencers: x_only(keys("sequencer", cast.sequencers)?),
    };
    Ok(BridgeParameters::regtest(members, genesis))
}

/// The name of the role of this kind and index.
pub fn name(role: &str, index: u32) -> String {
    format!("{role} {index}")
}

/// Every role of a bridge but the sequencers, which are processes of their own, and a node that takes no part.
pub struct Runtime {
    bridge: Arc<Bridge>,
    sender: Sender,
    timeline: Arc<Timeline>,
    network: Network,
    /// The committee.
    pub signers: Signers,
    /// The operators, by index.
    pub operators: Vec<OperatorRole>,
    /// Whoever only looks on: what users are answered from.
    pub node: Role,
    /// The challengers, by index.
    pub challengers: Vec<ChallengerRole>,
}

impl Runtime {
    /// Opens the roles of a bridge, which keep their files below `home`.
    ///
    /// # Errors
    /// The parameters, or the files.
    pub fn open(home: &Path, parameters: BridgeParameters, chain: Arc<dyn Chain>) -> Result<Self, Error> {
        let bridge = Arc::new(Bridge::new(parameters).map_err(Error::Parameters)?);
        let p = &bridge.parameters;
        let names = |role: &str, count: usize| (0u32..).take(count).map(|index| name(role, index)).collect::<Vec<_>>();
        let lanes: Arc<dyn LaneWork> = Arc::new(SharedLanes::default());
        let signers = Signers::open(home, &names("signer", p.signers.len()), &bridge, &chain, &lanes)?;
        let operators = (0u8..).zip(names("operator", p.operators.len()));
        let operators: Vec<_> = operators
            .map(|(index, name)| OperatorRole::open(home, &name, index, &bridge, &chain, &lanes))
            .collect::<Result<_, _>>()?;
        let challengers = names("challenger", p.challengers.len());
        let challengers: Vec<_> = challengers
            .iter()
            .map(|name| ChallengerRole::open(home, name, &bridge, &chain, &lanes))
            .collect::<Result<_, _>>()?;
        let network = connect(&bridge, &operators, &challengers)?;
        let node = Role::open(home, &name("node", 0), p, &chain)?;
        let timeline = Arc::new(Timeline::default());
        let sender = Sender::new(chain, Arc::clone(&timeline));
        Ok(Self { bridge, sender, timeline, network, signers, operators, node, challengers })
    }

    /// The bridge.
    pub fn bridge(&self) -> &Arc<Bridge> {
        &self.bridge
    }

    /// The chain, and what is sent to it.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// What happened on Bitcoin.
    pub fn timeline(&self) -> &Arc<Timeline> {
        &self.timeline
    }

    /// The Layer 2 as the node derived it.
    pub fn ledger(&self) -> &Ledger {
        self.node.ledger()
    }

    /// Every role with its own node.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        let signers = self.signers.signers.iter().map(|signer| &signer.role);
        let operators = self.operators.iter().map(|operator| &operator.role);
        let challengers = self.challengers.iter().map(|challenger| &challenger.role);
        signers.chain(operators).chain(challengers).chain([&self.node])
    }

    /// R at `height` as every role has it.
    ///
    /// # Errors
    /// A ledger.
    pub fn entries(&self, height: u32) -> Result<Vec<(&str, Option<Digest>)>, Error> {
        let entry = |role: &Role| role.ledger().entry(height).map(|entry| entry.map(|entry| entry.digest()));
        self.roles().map(|role| Ok((role.name.as_str(), entry(role)?))).collect()
    }

    /// For how many blocks the runs of a denomination, the longest of each operator, still live.
    ///
    /// # Errors
    /// A role's files, or the chain.
    pub fn run_blocks_left(&self, denomination: u8) -> Result<u32, Error> {
        let tip = self.ledger().tip().0;
        let mut shortest = None;
        for operator in &self.operators {
            let runs = operator.machine().runs().filter(|run| run.terms.denomination == denomination);
            let longest = runs.filter_map(|run| run.terms.end().ok()).map(|end| end.to_consensus_u32()).max();
            shortest = shortest.into_iter().chain(longest).min();
        }
        Ok(shortest.map_or(0, |end| end.saturating_sub(tip)))
    }

    /// Asks the committee for a job.
    ///
    /// # Errors
    /// The chain, or a role's files.
    pub fn request(&mut self, job: Job, consents: Vec<Signature>) -> Result<(), Error> {
        self.signers.request(&self.sender, job, consents)?;
        self.deliver(&mut VecDeque::new())
    }

    /// An operator begins a new run.
    ///
    /// # Errors
    /// The chain, or a role's files.
    pub fn open_run(&mut self, operator: usize, denomination: u8, slots: u32) -> Result<(), Error> {
        let Some(role) = self.operators.get_mut(operator) else { return Err(Error::Silent("that operator")) };
        let event = operator_events::Event::NewRun { denomination, slots };
        let wanted = role.give(&self.sender, event)?.into_iter().map(|request| (operator, request)).collect();
        self.settle_requests(wanted)
    }

    /// An operator pays what nobody has asked it for, for a demonstration.
    ///
    /// # Errors
    /// The chain, or a role's files.
    pub fn pay(&mut self, operator: usize, action: &str, outputs: &[TxOut]) -> Result<(), Error> {
        let Some(role) = self.operators.get_mut(operator) else { return Err(Error::Silent("that operator")) };
        role.pay(&self.sender, action, outputs)
    }

    /// Everyone catches up with the chain and does what is due.
    ///
    /// # Errors
    /// The chain, or a role's files. What was done is done; call it again.
    pub fn step(&mut self) -> Result<(), Error> {
        let timeline = Arc::clone(&self.timeline);
        let mut blocks = Vec::new();
        self.node.follow(|step| match step {
            Step::Connected { height, block, .. } => blocks.push((*height, block.clone())),
            Step::Disconnected { height, .. } => timeline.disconnected(*height),
        })?;
        for (height, block) in blocks {
            self.note_batches(&block)?;
            timeline.connected(height, &block);
        }
        for signer in self.signers.signers.iter_mut().filter(|signer| signer.online) {
            signer.role.follow(|_| ())?;
        }
        for operator in &mut self.operators {
            operator.role.follow(|_| ())?;
        }
        for challenger in &mut self.challengers {
            challenger.role.follow(|_| ())?;
        }

        self.signers.tip(&self.sender)?;
        let mut wanted = VecDeque::new();
        self.deliver(&mut wanted)?;
        for index in 0..self.operators.len() {
            let requests = self.operators[index].tip(&self.sender)?;
            wanted.extend(requests.into_iter().map(|request| (index, request)));
        }
        self.settle_requests(wanted)?;
        for index in 0..self.challengers.len() {
            let said = self.challengers[index].tip(&self.sender)?;
            let rest = self.pass_on(index, said);
            self.make_up(index, &rest)?;
        }
        self.converse()?;
        Ok(())
    }

    /// Writes into the timeline what the sequencers posted: they send it themselves.
    fn note_batches(&self, block: &bitcoin::Block) -> Result<(), Error> {
        for reveal in &block.txdata {
            let Some((key, Envelope { kind: Kind::Batch, payload })) = revealed(reveal, self.bridge.tag) else {
                continue;
            };
            let sequencers = &self.bridge.parameters.sequencers;
            let index = sequencers.iter().position(|sequencer| sequencer.serialize() == key);
            let (Some(index), Some(batch)) = (index, Posted::decode(&payload)) else { continue };
            let (actor, number) = (format!("sequencer {index}"), batch.number);
            let commit = reveal.input.first().map(|input| input.previous_output.txid);
            let commit = block.txdata.iter().find(|tx| Some(tx.compute_txid()) == commit);
            if let Some(commit) = commit {
                self.sender.note(&actor, &format!("Batch {number}, commit"), commit)?;
            }
            self.sender.note(&actor, &format!("Batch {number}, reveal"), reveal)?;
        }
        Ok(())
    }

    /// Brings operators what they ask for. A request that comes again while it is answered waits for the next tip.
    fn settle_requests(&mut self, mut wanted: VecDeque<(usize, Request)>) -> Result<(), Error> {
        let mut seen = HashSet::new();
        while let Some((operator, request)) = wanted.pop_front() {
            let key = match &request {
                Request::Challengers { run, .. } => (operator, *run, false),
                Request::Run { terms, .. } => (operator, terms.slot(0), true),
                Request::Answer(_) => continue,
            };
            if !seen.insert(key) {
                continue;
            }
            match request {
                Request::Challengers { run, slots } => self.invite(operator, run, slots, &mut wanted)?,
                Request::Run { terms, consent } => self.sign_run(operator, &terms, consent, &mut wanted)?,
                Request::Answer(_) => {}
            }
            self.deliver(&mut wanted)?;
        }
        Ok(())
    }

    fn invite(
        &mut self,
        operator: usize,
        run: SlotId,
        slots: u32,
        wanted: &mut VecDeque<(usize, Request)>,
    ) -> Result<(), Error> {
        let mut challengers = Vec::new();
        for challenger in &mut self.challengers {
            let answers = challenger.give(&self.sender, watchtower::Event::Invited { run, slots })?;
            challengers.extend(answers.into_iter().find_map(|answer| match answer {
                Answer::Joined { run: of, part } if of == run => Some(part),
                _ => None,
            }));
        }
        if challengers.len() == self.challengers.len() {
            let joined = operator_events::Event::Joined { run, challengers };
            let requests = self.operators[operator].give(&self.sender, joined)?;
            wanted.extend(requests.into_iter().map(|request| (operator, request)));
        }
        Ok(())
    }

    fn sign_run(
        &mut self,
        operator: usize,
        terms: &RunTerms,
        consent: Signature,
        wanted: &mut VecDeque<(usize, Request)>,
    ) -> Result<(), Error> {
        for delivery in self.signers.signatures_for(&terms.bond)? {
            self.hand_to_operator(operator, delivery, wanted)?;
        }
        let mut consents = vec![consent];
        for challenger in 0..self.challengers.len() {
            let proposed = watchtower::Event::Proposed(Box::new(terms.clone()));
            let answers = self.give_challenger(challenger, proposed)?;
            consents.extend(answers.into_iter().find_map(|answer| match answer {
                Answer::Consented { run, consent } if run == terms.slot(0) => Some(consent),
                _ => None,
            }));
        }
        if consents.len() == 1 + self.challengers.len() {
            let job = Job::Run(RunJob { terms: terms.clone(), vaults: Vec::new() });
            self.signers.request(&self.sender, job, consents)?;
        }
        Ok(())
    }

    /// Hands out what the committee signed.
    fn deliver(&mut self, wanted: &mut VecDeque<(usize, Request)>) -> Result<(), Error> {
        self.bring_signers_keys()?;
        for (receiver, delivery) in self.signers.take_deliveries() {
            match receiver {
                Receiver::Operator(index) => self.hand_to_operator(usize::from(index), delivery, wanted)?,
                Receiver::Challenger(index) => {
                    if let Some(role) = self.challengers.get_mut(index) {
                        role.give(&self.sender, watchtower::Event::Delivered(Box::new(delivery)))?;
                    }
                }
                Receiver::Administrator => tracing::info!("an administrative change is signed"),
            }
        }
        Ok(())
    }

    fn hand_to_operator(
        &mut self,
        operator: usize,
        delivery: Delivery,
        wanted: &mut VecDeque<(usize, Request)>,
    ) -> Result<(), Error> {
        if let Some(role) = self.operators.get_mut(operator) {
            let requests = role.give(&self.sender, operator_events::Event::Delivered(Box::new(delivery)))?;
            wanted.extend(requests.into_iter().map(|request| (operator, request)));
        }
        Ok(())
    }

    /// Brings a challenger the signatures that it lacks.
    fn make_up(&mut self, challenger: usize, answers: &[Answer]) -> Result<(), Error> {
        for answer in answers {
            let Answer::Lacks(bond) = answer else { continue };
            for delivery in self.signers.signatures_for(bond)? {
                self.give_challenger(challenger, watchtower::Event::Delivered(Box::new(delivery)))?;
            }
        }
        Ok(())
    }
}

/// The network of these roles: every operator listens on this machine alone, where every challenger finds it.
fn connect(bridge: &Arc<Bridge>, operators: &[OperatorRole], challengers: &[ChallengerRole]) -> Result<Network, Error> {
    let mut network = Network::new(Arc::clone(bridge), Limits::default()).map_err(Error::Network)?;
    for (index, operator) in (0u16..).zip(operators) {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let address = network.listen(index, *operator.key(), anywhere).map_err(Error::Network)?;
        network.find(index, address);
    }
    for (index, challenger) in (0u16..).zip(challengers) {
        network.join(index, challenger.role.secrets.key()?);
    }
    Ok(network)
}
