//! The command line: what can be typed, and the help that teaches it.

mod dispute;
mod machine;
mod roles;
mod set;
mod wallet;

use std::error::Error as _;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, CommandFactory, Parser, Subcommand};

pub use dispute::DisputeKind;
pub use machine::{
    Arities, FaultArg, LaneCommand, LaneCostArgs, MachineCommand, MachineRunArgs, Questions, ScriptCommand,
    ScriptSizesArgs, VerifyBlockArgs,
};
pub use roles::{DemoArgs, DevnetArgs, SequencerArgs};
pub use set::{SetCommand, SetKeyArgs, SetLineArgs, SetPostArgs, SetProposeArgs, SetSignArgs};
pub use wallet::{
    DepositArgs, FaucetArgs, ForceCommand, ForceSendArgs, ForceWithdrawArgs, RefundArgs, SendArgs, WalletCommand,
    WalletNewArgs, WithdrawArgs,
};

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
    /// Change who the sequencers are
    ///
    /// A change names the whole new set. A quorum of the old one signs it and more than half of the committee's signers; it
    /// counts on Bitcoin twice as many blocks after it was mined as a block takes to be final. The old set goes on until the
    /// change is deep, closes, and hands over to the new one, which goes on at once with everything that was promised.
    #[command(
        subcommand,
        after_help = "Example: sequencer 4 takes the place of sequencer 0
  trestle set key --dir sequencer-4
  trestle set propose KEY4 KEY1 KEY2 KEY3 --file change.json
  trestle set sign --file change.json --dir sequencer-1      (and two more, and two of three signers)
  trestle set post --file change.json
  trestle set line --dir sequencer-4 --set 1 --address HOST:PORT --file sequencers.json     (and 1, 2, 3)
  trestle sequencer --dir sequencer-4 --join http://127.0.0.1:PORT …"
    )]
    Set(SetCommand),
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
    fn a_refund_names_an_outpoint_or_nothing() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("trestle refund").is_ok());
        assert!(parse(&format!("trestle refund {}:1", "ab".repeat(32))).is_ok());
        assert!(parse("trestle refund 12").is_err());
    }
}
