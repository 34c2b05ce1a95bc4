//! Where the demo plays: the world, its users, and what the audience sees.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bitcoin::Txid;
use clap::Parser;
use serde_json::Value;
use trestle_bridge::chain::Chain;

use super::report::Done;
use super::sequencers::Played;
use super::{Dispute, Error, text};
use crate::args::Cli;
use crate::commands;
use crate::devnet::{CAST, Served, World};
use crate::figures::Figure;
use crate::output::Output;
use crate::regtest;
use crate::rpc::{self, Serving};
use crate::runtime::Cast;

/// Blocks within which whatever the demo waits for has to happen.
const PATIENCE: u32 = 200;

/// Lets users in.
fn serve(world: World) -> Result<(Arc<Mutex<World>>, Serving), Error> {
    let world = Arc::new(Mutex::new(world));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let serving = rpc::serve(address, Arc::new(Served(Arc::clone(&world)))).map_err(|e| Error::Check(e.to_string()))?;
    Ok((world, serving))
}

/// The stage.
pub struct Stage {
    world: Arc<Mutex<World>>,
    serving: Serving,
    users: PathBuf,
    output: Output,
    shown: HashSet<Txid>,
}

impl Stage {
    /// Sets the stage in an empty directory.
    ///
    /// # Errors
    /// The world does not start.
    pub fn open(directory: &Path, output: Output) -> Result<Self, Error> {
        Self::with_cast(directory, output, CAST)
    }

    /// The same, with others taking part.
    ///
    /// # Errors
    /// The world does not start.
    pub fn with_cast(directory: &Path, output: Output, cast: Cast) -> Result<Self, Error> {
        let progress = |line: &str| output.progress(line);
        let world = World::open(&directory.join("world"), false, cast, &progress)?;
        let (world, serving) = serve(world)?;
        let stage = Self { world, serving, users: directory.join("users"), output, shown: HashSet::new() };
        stage.say(&format!("{:>6}  {:<14} {:<44} {:>7} {:>7}  txid", "height", "who", "what", "vB", "fee sat"));
        Ok(stage)
    }

    /// Everything but bitcoind and three sequencers is dropped, and opened again from what is on disk.
    ///
    /// # Errors
    /// The world does not start again.
    pub fn reopen(self) -> Result<Self, Error> {
        let Self { world, serving, users, output, shown } = self;
        drop(serving);
        // The last answer is given; whoever gave it may still be letting go.
        let deadline = Instant::now() + regtest::PATIENCE;
        let mut world = Arc::try_unwrap(world);
        while let Err(shared) = world {
            if Instant::now() > deadline {
                return Err(Error::Check("the JSON-RPC interface lets go of the world".into()));
            }
            std::thread::yield_now();
            world = Arc::try_unwrap(shared);
        }
        let Ok(world) = world else { return Err(Error::Check("the world is nobody else's".into())) };
        let world = world.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (world, serving) = serve(world.reopen()?)?;
        Ok(Self { world, serving, users, output, shown })
    }

    /// What the JSON-RPC interface answers from.
    pub fn backend(&self) -> Served {
        Served(Arc::clone(&self.world))
    }

    /// The world. Not to be held while a user acts.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the audience what comes next.
    pub fn title(&mut self, line: &str) {
        self.show();
        self.say(&format!("\n{line}"));
    }

    /// Tells the audience something.
    pub fn say(&self, line: &str) {
        if !self.output.json() {
            self.output.line(line);
        }
    }

    /// Shows the transactions that came into blocks since the last call.
    pub fn show(&mut self) {
        let steps = self.world().runtime.timeline().steps();
        let mut mined: Vec<_> = steps.into_iter().filter(|step| step.height.is_some()).collect();
        mined.sort_by_key(|step| step.height);
        for step in mined {
            if self.shown.insert(step.txid) {
                let height = step.height.unwrap_or_default();
                let (fee, short) = (step.fee.to_sat(), &step.txid.to_string()[..16]);
                self.say(&format!(
                    "{height:>6}  {:<14} {:<44} {:>7} {fee:>7}  {short}…",
                    step.actor, step.action, step.vsize
                ));
            }
        }
    }

    /// Mines blocks, with everybody doing what is due after each.
    ///
    /// # Errors
    /// The world.
    pub fn mine(&mut self, blocks: u32) -> Result<(), Error> {
        for _ in 0..blocks {
            self.world().mine(1)?;
            self.show();
        }
        Ok(())
    }

    /// A user types a command; returns its JSON.
    ///
    /// # Errors
    /// What the command said.
    pub fn user(&self, user: &str, words: &[&str]) -> Result<Value, Error> {
        let failed = |error: String| Error::User { user: user.into(), error };
        let wallet = self.users.join(user).display().to_string();
        let url = self.serving.url();
        let line = ["trestle", "--json", "--wallet", &wallet, "--rpc", &url];
        let cli = Cli::try_parse_from(line.iter().chain(words)).map_err(|e| failed(e.to_string()))?;
        commands::run(cli, &Output::new(true)).map(|outcome| outcome.report.json).map_err(|e| failed(e.to_string()))
    }

    /// Writes a user's transaction into the timeline.
    ///
    /// # Errors
    /// It is not on Bitcoin.
    pub fn note(&self, user: &str, action: &str, txid: &Value) -> Result<(), Error> {
        let world = self.world();
        let txid: Txid = text(txid)?.parse().map_err(|_| Error::Check(format!("{txid} is a txid")))?;
        let sender = world.runtime.sender();
        let found = sender.chain().transaction(&txid).map_err(crate::runtime::Error::from)?;
        let found = found.ok_or_else(|| Error::Check(format!("{action} {txid} is on Bitcoin")))?;
        sender.note(user, action, &found.tx).map_err(crate::runtime::Error::from)?;
        Ok(())
    }

    /// A user's Layer 2 address.
    ///
    /// # Errors
    /// The user's command.
    pub fn layer2_address(&self, user: &str) -> Result<String, Error> {
        Ok(text(&self.user(user, &["wallet", "address"])?["layer2_address"])?.to_owned())
    }

    /// A user's balance on the Layer 2 by Bitcoin's blocks, in satoshis.
    ///
    /// # Errors
    /// The user's command.
    pub fn balance(&self, user: &str) -> Result<u64, Error> {
        let said = self.user(user, &["wallet", "balance"])?;
        let balance = &said["layer2"]["balance_sat"];
        balance.as_u64().ok_or_else(|| Error::Check(format!("{said} has the Layer 2 balance")))
    }

    /// Mines until a user has at least this much on the Layer 2.
    ///
    /// # Errors
    /// It does not happen.
    pub fn wait_balance(&mut self, user: &str, sat: u64) -> Result<(), Error> {
        self.wait(&format!("{user} has {sat} sat on the Layer 2"), |stage| Ok(stage.balance(user)? >= sat))
    }

    /// Mines until the sequencers let a user spend at least this much: its deposits are deep.
    ///
    /// # Errors
    /// It does not happen.
    pub fn wait_available(&mut self, user: &str, sat: u64) -> Result<(), Error> {
        self.wait(&format!("{user} can spend {sat} sat on the Layer 2"), |stage| {
            let said = stage.user(user, &["wallet", "balance"])?;
            Ok(said["layer2"]["available_sat"].as_u64().is_some_and(|available| available >= sat))
        })
    }

    /// Mines until a withdrawal is paid, and checks by whom.
    ///
    /// # Errors
    /// It does not happen, or somebody else pays.
    pub fn wait_paid(&mut self, withdrawn: &Value, by: &str) -> Result<(), Error> {
        let address = text(&withdrawn["destination"])?.to_owned();
        let backend = self.backend();
        let query = || {
            let destination = address.parse().map_err(|_| Error::Check(format!("{address} is an address")))?;
            let found = rpc::Backend::withdrawals(&backend, rpc::types::WithdrawalQuery::Destination(destination));
            let found = found.map_err(|e| Error::Check(e.to_string()))?;
            Ok::<_, Error>(found.first().and_then(|withdrawal| match &withdrawal.state {
                rpc::types::WithdrawalState::Paid { by, .. } => Some(by.to_string()),
                rpc::types::WithdrawalState::Pending { .. } => None,
            }))
        };
        self.wait(&format!("the withdrawal to {address} is paid"), |_| Ok(query()?.is_some()))?;
        match query()? {
            Some(payer) if payer.contains(by) => Ok(()),
            payer => Err(Error::Check(format!("the withdrawal is paid by {by} ({payer:?})"))),
        }
    }

    /// Mines until a transaction whose action begins like this is in a block.
    ///
    /// # Errors
    /// It does not happen.
    pub fn wait_step(&mut self, action: &str) -> Result<(), Error> {
        self.wait(&format!("{action} is mined"), |stage| {
            let steps = stage.world().runtime.timeline().steps();
            Ok(steps.iter().any(|step| step.action.starts_with(action) && step.height.is_some()))
        })
    }

    /// Mines until a deposit's timelock has run out.
    ///
    /// # Errors
    /// It does not happen.
    pub fn wait_refundable(&mut self, deposit: &Value) -> Result<(), Error> {
        let txid: Txid = text(deposit)?.parse().map_err(|_| Error::Check(format!("{deposit} is a txid")))?;
        self.wait("Carol's timelock has run out", |stage| {
            let world = stage.world();
            let found = world.node().chain().transaction(&txid).map_err(crate::runtime::Error::from)?;
            let delay = u32::from(world.runtime.bridge().parameters.refund_delay.value());
            let height = found.and_then(|found| found.height);
            Ok(height.is_some_and(|height| world.runtime.ledger().tip().0 + 1 >= height + delay))
        })
    }

    /// Mines until it is so.
    ///
    /// # Errors
    /// It does not come to be so, or cannot be looked at.
    pub fn wait(&mut self, what: &str, done: impl Fn(&Self) -> Result<bool, Error>) -> Result<(), Error> {
        for _ in 0..PATIENCE {
            if done(self)? {
                return Ok(());
            }
            self.mine(1)?;
        }
        Err(Error::Check(format!("within {PATIENCE} blocks {what}")))
    }

    /// The end: what happened, in full.
    ///
    /// # Errors
    /// bitcoind.
    pub fn done(
        &mut self,
        figures: Vec<Figure>,
        disputes: Vec<Dispute>,
        sequencers: Option<Played>,
    ) -> Result<Done, Error> {
        self.show();
        let world = self.world();
        let info: Value = world.node().call("getnetworkinfo", &[])?;
        let bitcoind = text(&info["subversion"])?.trim_matches('/').to_owned();
        Ok(Done { bitcoind, steps: world.runtime.timeline().steps(), disputes, sequencers, figures })
    }
}
