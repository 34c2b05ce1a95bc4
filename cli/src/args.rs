//! The command line: what can be typed, and the help that teaches it.

use std::error::Error as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bitcoin::hex::FromHex;
use bitcoin::{Network, OutPoint};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, CommandFactory, Parser, Subcommand};

use trestle_challenger::operator::lie::Since;
use trestle_taptree_trace::lane::Arity;
use trestle_zkvm_adapter::layout::TRACE_STEPS;
use trestle_zkvm_adapter::{INPUT_WORDS, InputWords, Kind};

use crate::amount::AmountArg;
use crate::demo::HostileKind;

/// The port of the devnet's JSON-RPC interface.
pub const DEFAULT_RPC_PORT: u16 = 17080;
/// Where a node is looked for when nothing else is said: the devnet on this machine.
pub const DEFAULT_RPC_URL: &str = "http://127.0.0.1:17080";

/// Trestle: a Bitcoin Layer 2 and the bridge into it.
///
/// Coins are deposited from Bitcoin, move on the Layer 2, and are withdrawn to any Bitcoin address. Start with a
/// whole bridge on your own machine, then use it from a second terminal.
#[derive(Debug, Parser)]
#[command(
    name = "trestle",
    version,
    after_help = "A first walk (regtest, nothing here is real money):
  trestle devnet                   leave this running in a terminal of its own
  trestle wallet new
  trestle faucet 1BTC
  trestle deposit 0.1BTC
  trestle deposit 0.1BTC --wait
  trestle wallet balance
  trestle withdraw 0.1BTC --wait

Amounts always carry their unit: 0.1BTC, 10000sat."
)]
pub struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command understands.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// The wallet: a name (kept in ~/.trestle/NAME) or, with a slash in it, a directory
    #[arg(long, global = true, env = "TRESTLE_WALLET", default_value = "default",
          value_name = "NAME|DIR", value_parser = NonEmptyStringValueParser::new())]
    pub wallet: String,
    /// The Trestle node to talk to
    #[arg(long, global = true, env = "TRESTLE_RPC", default_value = DEFAULT_RPC_URL, value_name = "URL")]
    pub rpc: String,
    /// Print one JSON object instead of text; amounts are then in satoshi
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a wallet, see what it holds, get an address
    #[command(subcommand)]
    Wallet(WalletCommand),
    /// Move coins from Bitcoin to the Layer 2
    ///
    /// Pays AMOUNT and the bridge's deposit fee to a deposit address of your own, and tells the committee. Once the
    /// deposit is buried deep enough the committee confirms it and the amount appears on the Layer 2. If the committee
    /// never does, the coins come back with `trestle refund`. AMOUNT has to be one of the bridge's denominations.
    #[command(after_help = "Example:\n  trestle deposit 0.1BTC --wait")]
    Deposit(DepositArgs),
    /// Pay someone on the Layer 2
    ///
    /// TO is the Layer 2 address that `trestle wallet address` shows. The sequencers order the payment at once and post
    /// it to Bitcoin in a batch.
    #[command(
        after_help = "Example:\n  trestle send TO 25000sat        with TO from the receiver's `trestle wallet address`"
    )]
    Send(SendArgs),
    /// Move coins from the Layer 2 to a Bitcoin address
    ///
    /// AMOUNT has to be one of the bridge's denominations; what arrives is the amount less the bridge's withdrawal fee.
    /// With no ADDRESS the coins go to a fresh address of this wallet. The committee pays if all its signers are there
    /// in time, else an operator does.
    #[command(after_help = "Example:\n  trestle withdraw 0.1BTC --wait")]
    Withdraw(WithdrawArgs),
    /// Send or withdraw through Bitcoin, past the sequencers
    ///
    /// The same transaction, written into a Bitcoin transaction that this wallet pays for. No sequencer is asked, so none
    /// can hold it up; it costs Bitcoin fees and takes effect when it is mined.
    #[command(subcommand)]
    Force(ForceCommand),
    /// Take back a deposit that the committee did not confirm
    ///
    /// Possible once the deposit's timelock has run out; until then the command says how many blocks are missing. Nobody
    /// is asked: the wallet's own files and access to Bitcoin are enough. OUTPOINT may be left out when there is only one.
    #[command(after_help = "Example:\n  trestle refund")]
    Refund(RefundArgs),
    /// Send again what an interrupted command left behind
    ///
    /// Whatever a command signs is written down before it is sent. If the connection or the power fails in between, this
    /// broadcasts and registers the same things again; nothing is made twice. It is safe at any time.
    #[command(after_help = "Example:\n  trestle resume")]
    Resume,
    /// Show the bridge, and this wallet's deposits and withdrawals
    #[command(after_help = "Example:\n  trestle status --json")]
    Status,
    /// Get coins from the devnet (regtest only)
    #[command(after_help = "Example:\n  trestle faucet 1BTC")]
    Faucet(FaucetArgs),
    /// Run a whole bridge through everything it does, check it, and write a report
    ///
    /// Starts bitcoind on regtest and every role, makes deposits, payments, withdrawals, a refund and a forced
    /// transaction, derives all state again from nothing, and exits 0 only if all of it was right.
    #[command(after_help = "Example:\n  trestle demo --report target/demo/report.json")]
    Demo(DemoArgs),
    /// Run programs on the machine by which disputes are decided
    ///
    /// Needs no node and no wallet. Exit code 0 is a program that accepts, 2 one that rejects, 1 an error.
    #[command(subcommand)]
    Machine(MachineCommand),
    /// Show what Bitcoin Script has to do in a dispute
    ///
    /// Needs no node and no wallet.
    #[command(subcommand)]
    Script(ScriptCommand),
    /// Show what a dispute's lane costs
    ///
    /// Needs no node and no wallet.
    #[command(subcommand)]
    Lane(LaneCommand),
    /// Leave a whole bridge running on regtest, with a JSON-RPC interface on this machine
    ///
    /// Bitcoind, the signers, operators, sequencers and challenger run until you press Ctrl-C. The other commands talk
    /// to it from another terminal.
    #[command(after_help = "Example:\n  trestle devnet --rpc-port 17080")]
    Devnet(DevnetArgs),
    /// Run one sequencer of a bridge
    ///
    /// It follows Bitcoin, agrees with the others on the order of transactions, posts batches in its turn, and serves users
    /// by JSON-RPC on this machine (docs/openrpc.json), with figures for Prometheus at /metrics. All that it must not
    /// forget is in its directory: it may be killed at any time and started again.
    #[command(after_help = "Example:
  trestle sequencer --dir sequencer-0 --parameters parameters.json --set sequencers.json \\
      --chain http://127.0.0.1:8332 --cookie ~/.bitcoin/.cookie")]
    Sequencer(SequencerArgs),
}

/// `trestle wallet …`
#[derive(Debug, Subcommand)]
pub enum WalletCommand {
    /// Create a wallet and show its twelve words
    ///
    /// The words are the wallet: whoever has them has the coins, and they are enough to restore it. An existing wallet
    /// is never overwritten.
    #[command(after_help = "Examples:
  trestle wallet new
  trestle --wallet bob wallet new
  trestle --wallet again wallet new --restore < words.txt")]
    New(WalletNewArgs),
    /// Show what the wallet holds, on Bitcoin and on the Layer 2
    #[command(after_help = "Example:\n  trestle wallet balance")]
    Balance,
    /// Show a fresh Bitcoin address and the Layer 2 address
    #[command(after_help = "Example:\n  trestle wallet address --json")]
    Address,
}

/// `trestle wallet new`
#[derive(Args, Debug)]
pub struct WalletNewArgs {
    /// The Bitcoin network the wallet is for: regtest, signet, testnet, testnet4 or bitcoin
    #[arg(long, default_value = "regtest", value_parser = network)]
    pub network: Network,
    /// Restore from the words of another wallet, read from standard input
    #[arg(long)]
    pub restore: bool,
}

/// `trestle deposit`
#[derive(Args, Debug)]
pub struct DepositArgs {
    /// How much, with its unit: one of the bridge's denominations (`trestle status` lists them)
    pub amount: AmountArg,
    /// Wait until the committee has confirmed it
    #[arg(long)]
    pub wait: bool,
}

/// `trestle send`
#[derive(Args, Clone, Debug)]
pub struct SendArgs {
    /// The receiver's Layer 2 address
    pub to: String,
    /// How much, with its unit
    pub amount: AmountArg,
    /// What the sequencers get for it, with its unit [default: the least they take]
    #[arg(long)]
    pub fee: Option<AmountArg>,
}

/// `trestle withdraw`
#[derive(Args, Clone, Debug)]
pub struct WithdrawArgs {
    /// How much, with its unit: one of the bridge's denominations (`trestle status` lists them)
    pub amount: AmountArg,
    /// The Bitcoin address to be paid [default: a fresh one of this wallet]
    pub address: Option<String>,
    /// What the sequencers get for it, with its unit [default: the least they take]
    #[arg(long)]
    pub fee: Option<AmountArg>,
    /// Wait until it is paid
    #[arg(long)]
    pub wait: bool,
}

/// `trestle force …`
#[derive(Debug, Subcommand)]
pub enum ForceCommand {
    /// Pay someone on the Layer 2, through Bitcoin
    #[command(after_help = "Example:\n  trestle force send TO 25000sat")]
    Send(ForceSendArgs),
    /// Withdraw to a Bitcoin address, through Bitcoin
    #[command(after_help = "Example:\n  trestle force withdraw 0.1BTC --wait")]
    Withdraw(ForceWithdrawArgs),
}

/// `trestle force send`
#[derive(Args, Clone, Debug)]
pub struct ForceSendArgs {
    /// The receiver's Layer 2 address
    pub to: String,
    /// How much, with its unit
    pub amount: AmountArg,
    /// Wait until it took effect
    #[arg(long)]
    pub wait: bool,
}

/// `trestle force withdraw`
#[derive(Args, Clone, Debug)]
pub struct ForceWithdrawArgs {
    /// How much, with its unit: one of the bridge's denominations (`trestle status` lists them)
    pub amount: AmountArg,
    /// The Bitcoin address to be paid [default: a fresh one of this wallet]
    pub address: Option<String>,
    /// Wait until it is paid
    #[arg(long)]
    pub wait: bool,
}

/// `trestle refund`
#[derive(Args, Debug)]
pub struct RefundArgs {
    /// The deposit, as TXID:INDEX
    #[arg(value_parser = outpoint)]
    pub outpoint: Option<OutPoint>,
}

/// `trestle faucet`
#[derive(Args, Debug)]
pub struct FaucetArgs {
    /// How much, with its unit
    pub amount: AmountArg,
}

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
    /// Where to listen for the others [default: its address in the set]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<SocketAddr>,
    /// The port of its JSON-RPC interface [default: a free one, which it prints]
    #[arg(long, default_value_t = 0, value_name = "PORT", hide_default_value = true)]
    pub rpc_port: u16,
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
    #[arg(long, value_name = "KIND", value_parser = lie, verbatim_doc_comment)]
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

/// What is false in a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisputeKind {
    /// Nobody was paid, and the trace ends in acceptance without a reason.
    Unpaid,
    /// The payout is not deep in the claim's block.
    Early,
    /// The payout comes after the claim.
    Premature,
    /// The payout was mined after the operator's time.
    LatePayout,
    /// The payout paid somebody else.
    Script,
    /// The payout paid too little.
    Amount,
    /// One payout was claimed by two slots.
    Double,
    /// The claim's block is not there.
    Beyond,
    /// A state is false, in the first block, one in the middle, or the last.
    State(Since),
    /// Blocks are made up.
    Fork,
    /// The path of a memory access is wrong.
    Path,
    /// A node beside it is wrong.
    Sibling,
    /// A node is on the wrong side.
    Direction,
    /// The block opening is true, and not what the rounds of the history said.
    OpeningBlock,
    /// The step opening is true, and not what the rounds of the trace said.
    OpeningStep,
    /// The node opening is true, and not what the rounds of the path said.
    OpeningNode,
    /// The operator is silent from some move on.
    Silence,
    /// A lie in the trace.
    Trace(Kind),
    /// Nothing: hostile challengers contest what is true.
    Hostile(HostileKind),
}

/// The names on the command line, but for those of lies in the trace.
const NAMED: [(&str, DisputeKind); 19] = [
    ("unpaid", DisputeKind::Unpaid),
    ("early", DisputeKind::Early),
    ("premature", DisputeKind::Premature),
    ("late-payout", DisputeKind::LatePayout),
    ("script", DisputeKind::Script),
    ("amount", DisputeKind::Amount),
    ("double", DisputeKind::Double),
    ("beyond", DisputeKind::Beyond),
    ("state-early", DisputeKind::State(Since::First)),
    ("state-middle", DisputeKind::State(Since::Middle)),
    ("state-late", DisputeKind::State(Since::Last)),
    ("fork", DisputeKind::Fork),
    ("path", DisputeKind::Path),
    ("sibling", DisputeKind::Sibling),
    ("direction", DisputeKind::Direction),
    ("opening-block", DisputeKind::OpeningBlock),
    ("opening-step", DisputeKind::OpeningStep),
    ("opening-node", DisputeKind::OpeningNode),
    ("silence", DisputeKind::Silence),
];

impl DisputeKind {
    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace(kind) => kind.name(),
            Self::Hostile(kind) => kind.name(),
            _ => NAMED.into_iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name),
        }
    }
}

fn lie(text: &str) -> Result<DisputeKind, String> {
    if let Ok(kind) = text.parse() {
        return Ok(DisputeKind::Hostile(kind));
    }
    match NAMED.into_iter().find(|(name, _)| *name == text) {
        Some((_, kind)) => Ok(kind),
        None => text.parse().map(DisputeKind::Trace),
    }
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

/// `trestle machine …`
#[derive(Debug, Subcommand)]
pub enum MachineCommand {
    /// Run a program until it halts, and ask for any state or step on its way
    ///
    /// The program is a static RV32IM executable (`-march=rv32im -mabi=ilp32 -nostdlib -static`, code and data in separate
    /// segments). It accepts by ECALL and rejects by EBREAK, or by anything that the machine does not do.
    #[command(after_help = "Examples:
  trestle machine run program.elf
  trestle machine run program.elf --input 01000000 --root-at 1000 --opening-at 1001
  trestle machine run program.elf --fault rs1@1000 --root-at 1000 --json")]
    Run(MachineRunArgs),
    /// Run the Layer 2 function on the machine over a block of Bitcoin, and compare with the native one
    ///
    /// The block is applied to an empty Layer 2 that begins with the block before it.
    #[command(after_help = "Example:\n  trestle machine verify-block block.raw")]
    VerifyBlock(VerifyBlockArgs),
}

/// `trestle machine run`
#[derive(Args, Clone, Debug)]
pub struct MachineRunArgs {
    /// The program, an ELF file
    #[arg(value_name = "ELF")]
    pub program: PathBuf,
    /// What INPUT reads, as hex digits: up to 38 words of four bytes, each with its lowest byte first; the others are 0
    #[arg(long, value_name = "HEX", default_value = "", hide_default_value = true, value_parser = input_words)]
    pub input: Box<InputWords>,
    /// Stop after so many steps
    #[arg(long, value_name = "N", default_value_t = TRACE_STEPS, hide_default_value = true)]
    pub max_steps: u64,
    /// How much memory the program may use, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub max_memory: u32,
    /// What to ask.
    #[command(flatten)]
    pub questions: Questions,
}

/// `trestle machine verify-block`
#[derive(Args, Clone, Debug)]
pub struct VerifyBlockArgs {
    /// The block, as Bitcoin serializes it
    pub block: PathBuf,
    /// What to ask.
    #[command(flatten)]
    pub questions: Questions,
}

/// `trestle script …`
#[derive(Debug, Subcommand)]
pub enum ScriptCommand {
    /// List every disproof leaf with what it weighs
    ///
    /// Of leaves that differ in a round, a place or a header alone the largest is listed. A leaf can be spent only if the
    /// operator has signed something false; docs/protocol.md says what.
    #[command(after_help = "Example:\n  trestle script sizes")]
    Sizes(ScriptSizesArgs),
}

/// `trestle script sizes`
#[derive(Args, Clone, Debug)]
pub struct ScriptSizesArgs {
    /// K, how deep a claim has to be: a fork has K + 1 headers
    #[arg(long, value_name = "K", default_value_t = crate::figures::CONFIRMATIONS,
          value_parser = clap::value_parser!(u16).range(1..=144))]
    pub confirmations: u16,
}

/// `trestle lane …`
#[derive(Debug, Subcommand)]
pub enum LaneCommand {
    /// Compare the settings of the search's arity: bytes, blocks, signatures, storage, sat
    ///
    /// In each round of a search the operator signs the values that cut an interval into so many parts, and the challenger
    /// chooses one. Lanes are built with 4; what the others would take is reckoned from the same scripts.
    #[command(after_help = "Example:\n  trestle lane cost --arity 2..16 --feerate 20")]
    Cost(LaneCostArgs),
}

/// `trestle lane cost`
#[derive(Args, Clone, Debug)]
pub struct LaneCostArgs {
    /// The arities, from 2 to 16: one, or the first and the last with two dots between
    #[arg(long, value_name = "A..B", default_value = "2..16", value_parser = arities)]
    pub arity: Arities,
    /// What the chain asks for, in sat/vB
    #[arg(long, value_name = "SAT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub feerate: u32,
}

/// From the first to the last.
#[derive(Clone, Debug)]
pub struct Arities(pub Vec<Arity>);

/// What can be asked of any run.
#[derive(Args, Clone, Debug)]
pub struct Questions {
    /// Show the state after K steps; may be given more than once
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(..=TRACE_STEPS))]
    pub root_at: Vec<u64>,
    /// Open step T, which leads to the state after T steps; may be given more than once
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=TRACE_STEPS))]
    pub opening_at: Vec<u64>,
    /// Lie about a step, at STEP or as soon after it as such a lie can be told, and accept
    ///
    /// What is shown is then the wrong trace. KIND is what is wrong: instr, rs1, rs2, load, store, code, pc, unhash, input,
    /// halt or root. STEP may be `random`.
    #[arg(long, value_name = "KIND@STEP", value_parser = fault)]
    pub fault: Option<FaultArg>,
    /// What decides a random STEP [default: chance]
    #[arg(long, value_name = "N", requires = "fault")]
    pub seed: Option<u64>,
}

/// What to lie about, and where; `None` is anywhere.
pub type FaultArg = (Kind, Option<u64>);

fn fault(text: &str) -> Result<FaultArg, String> {
    let unclear = || format!("\"{text}\" is no fault: write KIND@STEP, such as rs1@1000 or store@random");
    let (kind, step) = text.split_once('@').ok_or_else(unclear)?;
    let kind = kind.parse()?;
    if step == "random" {
        return Ok((kind, None));
    }
    let step = step.parse().ok().filter(|step| (1..=TRACE_STEPS).contains(step)).ok_or_else(unclear)?;
    Ok((kind, Some(step)))
}

fn input_words(text: &str) -> Result<Box<InputWords>, String> {
    let bytes = Vec::<u8>::from_hex(text).map_err(|why| format!("\"{text}\" is no input: {why}"))?;
    let (given, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(format!("the input ends within a word: it has {} bytes, give a multiple of 4", bytes.len()));
    }
    let mut words = Box::new([0; INPUT_WORDS]);
    if given.len() > words.len() {
        return Err(format!("the input has {} words: give at most {INPUT_WORDS}", given.len()));
    }
    words.iter_mut().zip(given).for_each(|(word, bytes)| *word = u32::from_le_bytes(*bytes));
    Ok(words)
}

fn arities(text: &str) -> Result<Arities, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let read = |part: &str| part.parse().ok().and_then(|parts: u8| Arity::new(parts).map(|_| parts));
    match (read(first), read(last)) {
        (Some(first), Some(last)) if first <= last => Ok(Arities((first..=last).filter_map(Arity::new).collect())),
        _ => Err("give a number from 2 to 16, or two with two dots between: 2..16".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or_else(|| format!("\"{text}\" is no time in seconds: 3 or 0.5 is"))
}

fn network(text: &str) -> Result<Network, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no network: choose regtest, signet, testnet, testnet4 or bitcoin"))
}

fn outpoint(text: &str) -> Result<OutPoint, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no deposit: write TXID:INDEX, as `trestle status` shows it"))
}

/// The command that a command line begins with, as far as there is one: `trestle wallet new`.
fn command_path(words: &[String]) -> String {
    let mut command = Cli::command();
    let mut path = String::from("trestle");
    for word in words.iter().skip(1) {
        if let Some(sub) = command.find_subcommand(word) {
            path = format!("{path} {word}");
            command = sub.clone();
        }
    }
    path
}

/// The exit code for a command line that makes no sense. `trestle machine` says something else by the usual one.
pub fn usage_code(words: &[String]) -> u8 {
    if command_path(words).starts_with("trestle machine") { 1 } else { 2 }
}

/// What is wrong with a command line, in one line that ends with where to read on.
pub fn usage_line(error: &clap::Error, words: &[String]) -> String {
    let rendered = error.render().to_string();
    let first = rendered.split("\n\n").next().unwrap_or(&rendered);
    // Our own values say what is wrong with them; the rest of clap's sentence only repeats it.
    let own = error.source().map(ToString::to_string);
    let line =
        own.unwrap_or_else(|| first.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" "));
    let path = command_path(words);
    format!("{line} (see `{path} --help`)")
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_with_an_example() {
        fn check(command: &clap::Command, path: &str) {
            for sub in command.get_subcommands().filter(|s| s.get_name() != "help") {
                let path = format!("{path} {}", sub.get_name());
                assert!(sub.get_about().is_some(), "{path} says what it is");
                if sub.has_subcommands() {
                    check(sub, &path);
                } else {
                    let example = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                    assert!(example.contains("Example"), "{path} gives an example");
                    assert!(example.contains("trestle"), "{path}'s example can be typed");
                }
            }
        }
        check(&Cli::command(), "trestle");
    }

    #[test]
    fn options_are_understood_before_and_after_the_command() {
        for line in ["trestle --json --wallet bob send x 5sat", "trestle send x 5sat --json --wallet bob"] {
            let cli = Cli::try_parse_from(line.split(' ')).expect("parses");
            assert!(cli.global.json);
            assert_eq!(cli.global.wallet, "bob");
            let Command::Send(args) = cli.command else { panic!("send") };
            assert_eq!((args.to.as_str(), args.amount.0.to_sat()), ("x", 5));
        }
    }

    #[test]
    fn an_amount_without_a_unit_is_no_argument() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("trestle deposit").is_err());
        assert!(parse("trestle deposit 0.1").is_err());
        assert!(parse("trestle deposit 0.1BTC --wait").is_ok());
    }

    #[test]
    fn a_fault_names_what_and_where() {
        assert_eq!(fault("rs1@1000"), Ok((Kind::Rs1, Some(1000))));
        assert_eq!(fault("unhash@random"), Ok((Kind::Unhash, None)));
        for wrong in ["rs1", "rs3@1", "rs1@", "rs1@0", "rs1@-1", "rs1@17592186044417", "@5"] {
            assert!(fault(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn input_is_read_in_words_with_the_lowest_byte_first() {
        let words = input_words("0100000002030405").unwrap();
        assert_eq!((words[0], words[1], words[2]), (1, 0x0504_0302, 0));
        assert_eq!(*input_words("").unwrap(), [0; INPUT_WORDS]);
        assert!(input_words(&"00".repeat(4 * INPUT_WORDS)).is_ok());
        for wrong in ["01", "0x01000000", "0100000g", &"00".repeat(4 * INPUT_WORDS + 4)] {
            assert!(input_words(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_refund_names_an_outpoint_or_nothing() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("trestle refund").is_ok());
        assert!(parse(&format!("trestle refund {}:1", "ab".repeat(32))).is_ok());
        assert!(parse("trestle refund 12").is_err());
    }
}
