//! What starts roles: the demo, a devnet, one sequencer.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::DEFAULT_RPC_PORT;
use super::dispute::{DisputeKind, dispute};

/// `trestle sequencer`
#[derive(Args, Clone, Debug)]
pub struct SequencerArgs {
    /// Its directory: its keys, what it knows and what it promised
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The bridge's parameters, a JSON file
    #[arg(long, value_name = "FILE")]
    pub parameters: PathBuf,
    /// Where the sequencers find each other, a JSON file in which each has signed its line
    #[arg(long, value_name = "FILE")]
    pub set: PathBuf,
    /// Bitcoin: http://[USER:PASSWORD@]HOST:PORT for bitcoind, tcp://HOST:PORT for an Electrum server
    #[arg(long, value_name = "URL")]
    pub chain: String,
    /// The file that holds bitcoind's user name and password
    #[arg(long, value_name = "FILE")]
    pub cookie: Option<PathBuf>,
    /// Where to listen for the others, if not at the address in its line
    #[arg(long, value_name = "IP")]
    pub listen: Option<IpAddr>,
    /// The port of its JSON-RPC interface [default: a free one, which it prints]
    #[arg(long, default_value_t = 0, value_name = "PORT", hide_default_value = true)]
    pub rpc_port: u16,
    /// Where a sequencer of the set before serves JSON-RPC, if this one joins with a change of the set
    #[arg(long, value_name = "URL")]
    pub join: Option<String>,
    /// Take no transactions from users, as a censor
    #[arg(long)]
    pub refuse: bool,
    /// Stop when standard input closes, so also when whoever started it dies
    #[arg(long)]
    pub attached: bool,
}

/// `trestle demo`
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Where to write the report
    #[arg(long, default_value = "target/demo/report.json", value_name = "PATH")]
    pub report: PathBuf,
    /// Play a dispute alone: an operator claims what is not so, and the challenger slashes it; or (hostile) an operator has paid, and
    /// challengers contest what it claims
    ///
    /// claims:    unpaid
    ///            early, premature   before the payout is deep; before there is one, which then follows
    ///            late-payout        it was mined after the operator's time
    ///            script, amount     it paid somebody else, or too little
    ///            double             one payout, and two slots
    ///            beyond             about a block that is not there
    /// history:   state-early, state-middle, state-late, fork
    /// trace:     instr, rs1, rs2, load, store, code, pc, unhash, input, halt, root
    /// openings:  path, sibling, direction, opening-block, opening-step, opening-node
    /// and:       silence            from one of the operator's moves on
    /// hostile-:  stall, noshow, random, walk, double, access, forward, late, every-lane, fork, frontrun, reorg
    #[arg(long, value_name = "KIND", value_parser = dispute, verbatim_doc_comment)]
    pub dispute: Option<DisputeKind>,
    /// The step of a lie in the trace, or the first after it at which it can be told. Of silence, and of a fork, the operator's move
    /// from which on it is silent, 1 to 36; of early and of beyond how many blocks after the payout, or the tip. Of
    /// hostile-stall the turn that is let pass, of hostile-walk the cell, of hostile-double, -access and -frontrun how
    /// (docs/protocol.md §7) [default: by the seed]
    #[arg(long, value_name = "STEP", requires = "dispute")]
    pub at: Option<u64>,
    /// Have the operator answer nobody off chain, or a hostile challenger make every move on chain
    #[arg(long, requires = "dispute")]
    pub on_chain: bool,
    /// Decides where the lie is, and what it is where KIND leaves that open
    #[arg(long, value_name = "N", default_value_t = 1, requires = "dispute")]
    pub seed: u64,
}

/// `trestle devnet`
#[derive(Args, Clone, Debug)]
pub struct DevnetArgs {
    /// Where the devnet keeps its files [default: ~/.trestle/devnet]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The port of the JSON-RPC interface on 127.0.0.1
    #[arg(long, default_value_t = DEFAULT_RPC_PORT, value_name = "PORT")]
    pub rpc_port: u16,
    /// Seconds from one block to the next, such as 3 or 0.5
    #[arg(long, default_value = "3", value_name = "SECONDS", value_parser = seconds)]
    pub block_time: Duration,
    /// Start an Electrum server too, and have user wallets read Bitcoin through it instead of through bitcoind
    #[arg(long)]
    pub electrum: bool,
    /// Slots of each operator's runs, one run for each denomination; signing them takes about a second each
    #[arg(long, default_value_t = 8, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub slots: u32,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or_else(|| format!("\"{text}\" is no time in seconds: 3 or 0.5 is"))
}
