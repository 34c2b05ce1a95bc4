//! A whole bridge on regtest: bitcoind, a miner, every role.

use std::fs;
use std::path::{Path, PathBuf};

use bitcoin::{Address, Amount, Txid};
use trestle_bridge::chain::{Chain, ChainError};
use trestle_bridge::parameters::{BridgeParameters, Genesis};
use trestle_bridge::wallet::WalletError;
use trestle_challenger::operator::RunStage;

use super::deposits::Deposits;
use super::sequencers::{Sequencers, SequencersError};
use crate::regtest::{ElectrumServer, Miner, Node, NodeOptions, RegtestError};
use crate::rpc::types::ChainEndpoint;
use crate::runtime::{self, Cast, Role, Runtime};
use crate::user::home;

/// Who takes part where nothing else is said.
pub const CAST: Cast = Cast { signers: 3, operators: 2, challengers: 1, sequencers: 4 };

/// What each operator has to front and bond with, each challenger, and each sequencer, as coins of these amounts.
const OPERATOR_COINS: [Amount; 4] = [Amount::from_sat(200_000_000); 4];
const CHALLENGER_COINS: [Amount; 8] = [Amount::from_sat(25_000_000); 8];
const SEQUENCER_COINS: [Amount; 4] = [Amount::from_sat(10_000_000); 4];

/// Blocks within which whatever the world waits for has to happen.
const PATIENCE: u32 = 400;

/// Why the world stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// bitcoind, ElectrumX or the miner.
    #[error(transparent)]
    Regtest(#[from] RegtestError),
    /// A role.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// The sequencers.
    #[error(transparent)]
    Sequencers(#[from] SequencersError),
    /// The files.
    #[error("{file}: {why}")]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Something that should have happened did not.
    #[error("waited {blocks} blocks in vain until {what}")]
    Waited {
        /// What was waited for.
        what: String,
        /// How long.
        blocks: u32,
    },
}

impl From<ChainError> for Error {
    fn from(error: ChainError) -> Self {
        Self::Regtest(error.into())
    }
}

impl From<WalletError> for Error {
    fn from(error: WalletError) -> Self {
        Self::Regtest(error.into())
    }
}

/// The world. Dropping it stops everything; what it has on disk stays.
pub struct World {
    /// Every role but the sequencers.
    pub runtime: Runtime,
    /// The sequencers.
    pub sequencers: Sequencers,
    /// The deposits that users registered.
    pub deposits: Deposits,
    miner: Miner,
    node: Node,
    electrum: Option<ElectrumServer>,
    directory: PathBuf,
}

impl World {
    /// Opens the world in `directory`, or makes it there: a chain, a bridge with this cast, and money for the roles.
    ///
    /// # Errors
    /// Whatever does not start.
    pub fn open(directory: &Path, with_electrum: bool, cast: Cast, progress: &dyn Fn(&str)) -> Result<Self, Error> {
        fs::create_dir_all(directory).map_err(|e| file_error(directory, e))?;
        progress("starting bitcoind on regtest");
        let options = NodeOptions { directory: Some(directory.join("bitcoind")), rpc_port: None };
        fs::create_dir_all(directory.join("bitcoind")).map_err(|e| file_error(directory, e))?;
        let node = Node::start_with(options)?;
        let mut world = Self::open_on(node, directory, with_electrum, cast, None, progress)?;
        world.step()?;
        Ok(world)
    }

    /// Drops everything but bitcoind and the sequencers, one of which is killed, and opens it again from what is on disk. A signer that
    /// does not answer goes on not answering.
    ///
    /// # Errors
    /// Whatever does not start.
    pub fn reopen(self) -> Result<Self, Error> {
        let Self { runtime, mut sequencers, deposits, miner, node, electrum, directory } = self;
        // Each has its turn.
        let next = node.chain().tip()?.height as usize % sequencers.count().max(1);
        sequencers.kill(next);
        let with_electrum = electrum.is_some();
        let online: Vec<bool> = runtime.signers.signers.iter().map(|signer| signer.online).collect();
        drop((runtime, deposits, miner, electrum));
        sequencers.restart(next)?;
        let mut world = Self::open_on(node, &directory, with_electrum, CAST, Some(sequencers), &|_| ())?;
        for (signer, online) in world.runtime.signers.signers.iter_mut().zip(online) {
            signer.online = online;
        }
        world.step()?;
        Ok(world)
    }

    fn open_on(
        node: Node,
        directory: &Path,
        with_electrum: bool,
        cast: Cast,
        sequencers: Option<Sequencers>,
        progress: &dyn Fn(&str),
    ) -> Result<Self, Error> {
        let mut miner = Miner::open(&node, &directory.join("miner"))?;
        let roles = directory.join("roles");
        let file = directory.join("parameters.json");
        let is_new = !file.exists();
        if is_new {
            let tip = node.chain().tip()?;
            let genesis = Genesis { height: tip.height, hash: tip.hash };
            let parameters = runtime::regtest_parameters(&roles, cast, genesis)?;
            let json = serde_json::to_vec_pretty(&parameters).map_err(|e| file_error(&file, e))?;
            home::replace(&file, &json).map_err(|e| file_error(&file, e))?;
        }
        let json = fs::read(&file).map_err(|e| file_error(&file, e))?;
        let parameters: BridgeParameters = serde_json::from_slice(&json).map_err(|e| file_error(&file, e))?;
        let mut runtime = Runtime::open(&roles, parameters, node.chain())?;
        if is_new {
            progress("giving the roles money to work with");
            pay_roles(&mut runtime, &roles, &mut miner)?;
        }
        let sequencers = match sequencers {
            Some(sequencers) => sequencers,
            None => {
                progress("starting the sequencers");
                Sequencers::start(directory, &roles, runtime.bridge(), &bitcoind(&node))?
            }
        };
        let electrum = match with_electrum {
            true => Some(ElectrumServer::start(&node)?),
            false => None,
        };
        let deposits = Deposits::open(&directory.join("deposits.json")).map_err(|e| file_error(directory, e))?;
        Ok(Self { runtime, sequencers, deposits, miner, node, electrum, directory: directory.into() })
    }

    /// All sequencers are stopped, and started again as ones that take nothing from users.
    ///
    /// # Errors
    /// One does not come up.
    pub fn refuse_all(&mut self) -> Result<(), Error> {
        (0..self.sequencers.count()).for_each(|index| self.sequencers.kill(index));
        Ok(self.sequencers.start_all(true)?)
    }

    /// Where the world keeps its files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// bitcoind.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// bitcoind, to be stopped and started.
    pub fn node_mut(&mut self) -> &mut Node {
        &mut self.node
    }

    /// Who mines.
    pub fn miner(&mut self) -> &mut Miner {
        &mut self.miner
    }

    /// How users read Bitcoin.
    pub fn endpoint(&self) -> ChainEndpoint {
        match &self.electrum {
            Some(electrum) => ChainEndpoint { url: electrum.url().into(), cookie_file: None },
            None => bitcoind(&self.node),
        }
    }

    /// Height of Bitcoin's tip.
    ///
    /// # Errors
    /// bitcoind.
    pub fn height(&self) -> Result<u32, Error> {
        Ok(self.node.chain().tip()?.height)
    }

    /// Everybody does what is due.
    ///
    /// # Errors
    /// A role.
    pub fn step(&mut self) -> Result<(), Error> {
        self.runtime.step()?;
        if self.runtime.signers.is_led() {
            for deposit in self.deposits.take_untold() {
                self.runtime.request(deposit.job(), vec![deposit.consent])?;
            }
        }
        self.sequencers.settle(self.runtime.ledger().tip().0);
        Ok(())
    }

    /// Mines blocks, one by one, and lets everybody do what is due after each.
    ///
    /// # Errors
    /// bitcoind, or a role.
    pub fn mine(&mut self, blocks: u32) -> Result<(), Error> {
        for _ in 0..blocks {
            self.miner.mine(1)?;
            self.step()?;
        }
        Ok(())
    }

    /// The last `depth` blocks give way to a branch that is longer by one, and whose first `empty` blocks hold nothing: what the old ones
    /// held waits in the mempool meanwhile. Everybody looks when they are gone, after those of the new blocks that `looks` says, and
    /// at the end.
    ///
    /// # Errors
    /// As [`Self::mine`].
    pub fn reorganise(&mut self, depth: u32, empty: u32, looks: &[bool]) -> Result<(), Error> {
        let chain = self.node.chain();
        let (first, last) = ((self.height()? + 1).saturating_sub(depth), self.height()?);
        let mut told = Vec::new();
        let mut hashes = Vec::new();
        for height in first..=last {
            if let Some(hash) = chain.block_hash(height)? {
                told.extend(chain.block(&hash)?.txdata);
                hashes.push(hash);
            }
        }
        let waiting: Vec<Txid> = self.node.call("getrawmempool", &[])?;
        for txid in waiting {
            told.extend(chain.transaction(&txid)?.map(|found| found.tx));
        }
        // Another address makes other blocks.
        let address = self.miner.wallet().new_address()?;
        if let Some(hash) = hashes.first() {
            self.node.invalidate(hash)?;
        }
        self.step()?;
        // A node that is told of the longer branch throws nothing out; one that was told to step back first throws out what is
        // not final at the lower height. What others of it have replaced is not taken back.
        let tell = || told.iter().for_each(|tx| drop(chain.broadcast(&[tx])));
        for block in 0..=depth {
            if block < empty {
                self.node.mine_empty(&address)?;
            } else {
                tell();
                self.node.mine(1, &address)?;
            }
            if looks.get(block as usize).is_some_and(|look| *look) {
                self.step()?;
            }
        }
        tell();
        self.step()
    }

    /// Mines until `done` answers; returns the answer.
    ///
    /// # Errors
    /// [`Error::Waited`] if it does not within a few hundred blocks, or as [`Self::mine`].
    pub fn mine_until<T>(
        &mut self,
        what: &str,
        mut done: impl FnMut(&mut Self) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        for _ in 0..PATIENCE {
            if let Some(answer) = done(self)? {
                return Ok(answer);
            }
            self.mine(1)?;
        }
        Err(Error::Waited { what: what.into(), blocks: PATIENCE })
    }

    /// Has every operator open a run of `slots` slots in each of these denominations where it has none, and waits until all can be
    /// used.
    ///
    /// # Errors
    /// As [`Self::mine_until`].
    pub fn open_runs(&mut self, denominations: &[u8], slots: u32) -> Result<(), Error> {
        if self.are_runs_live(denominations)? {
            return Ok(());
        }
        let confirmations = self.runtime.bridge().parameters.confirmations;
        self.mine(u32::from(confirmations) + 1)?;
        for operator in 0..self.runtime.operators.len() {
            for denomination in denominations {
                if self.runs(operator, *denomination)?.is_empty() {
                    self.runtime.open_run(operator, *denomination, slots)?;
                }
            }
        }
        let denominations = denominations.to_vec();
        self.mine_until("every run is signed and on Bitcoin", |world| {
            Ok(world.are_runs_live(&denominations)?.then_some(()))
        })?;
        self.mine(u32::from(confirmations))
    }

    /// How far an operator's runs of a denomination are, without those that were given up.
    fn runs(&self, operator: usize, denomination: u8) -> Result<Vec<RunStage>, Error> {
        let operator = &self.runtime.operators[operator];
        let status = operator.machine().status(&operator.role.view).map_err(runtime::Error::from)?;
        let of_denomination =
            status.runs.iter().filter(|run| run.run.denomination == denomination).map(|run| run.stage);
        Ok(of_denomination.filter(|stage| *stage != RunStage::Abandoned).collect())
    }

    fn are_runs_live(&self, denominations: &[u8]) -> Result<bool, Error> {
        for operator in 0..self.runtime.operators.len() {
            for denomination in denominations {
                if !self
                    .runs(operator, *denomination)?
                    .iter()
                    .any(|stage| matches!(stage, RunStage::Live | RunStage::Over))
                {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Pays out of the miner's coins, and mines a block with it.
    ///
    /// # Errors
    /// bitcoind, or a role.
    pub fn faucet(&mut self, address: &Address, amount: Amount) -> Result<Txid, Error> {
        let outpoint = self.miner.fund(address, amount)?;
        self.step()?;
        Ok(outpoint.txid)
    }
}

fn bitcoind(node: &Node) -> ChainEndpoint {
    ChainEndpoint { url: node.url().into(), cookie_file: Some(node.cookie_file()) }
}

/// Gives each role that pays for transactions its coins, in one block.
fn pay_roles(runtime: &mut Runtime, roles: &Path, miner: &mut Miner) -> Result<(), Error> {
    let mut payments = Vec::new();
    for operator in &mut runtime.operators {
        for amount in OPERATOR_COINS {
            payments.push((operator.wallet().new_address()?, amount));
        }
    }
    for challenger in &mut runtime.challengers {
        for amount in CHALLENGER_COINS {
            payments.push((challenger.wallet().new_address()?, amount));
        }
    }
    let parameters = &runtime.bridge().parameters;
    for (index, _) in (0..).zip(&parameters.sequencers) {
        let name = runtime::name("sequencer", index);
        let mut wallet = Role::open(roles, &name, parameters, runtime.sender().chain())?.wallet(parameters)?;
        for amount in SEQUENCER_COINS {
            payments.push((wallet.new_address()?, amount));
        }
    }
    for (address, amount) in payments {
        miner.pay(address.script_pubkey(), amount)?;
    }
    miner.mine(1)?;
    Ok(())
}

fn file_error(file: &Path, why: impl std::fmt::Display) -> Error {
    Error::File { file: file.into(), why: why.to_string() }
}
