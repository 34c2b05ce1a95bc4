//! The commands a person types, each from its arguments to what is printed.
//!
//! All of them check everything first and act last, and what they act with is written down before it is sent
//! ([`crate::user::journal`]): a command that fails has either done nothing, or says what is on record and how to go on.

mod certificate;
mod deposit;
mod describe;
mod error;
mod faucet;
mod force;
mod lane;
mod layer2;
mod machine;
mod refund;
mod resume;
mod script;
mod session;
mod set;
mod status;
mod wait;
mod wallet;

pub use error::Error;

use crate::args::{Cli, Command, LaneCommand, ScriptCommand};
use crate::output::{Outcome, Output};

/// Does what the command line says. The demo and the devnet print as they go and report at their end.
///
/// # Errors
/// Why it was not done, in one line.
pub fn run(cli: Cli, output: &Output) -> Result<Outcome, Error> {
    let global = &cli.global;
    let report = match cli.command {
        Command::Wallet(command) => wallet::run(global, command),
        Command::Deposit(args) => deposit::run(global, &args, output),
        Command::Send(args) => layer2::send(global, &args),
        Command::Withdraw(args) => layer2::withdraw(global, &args, output),
        Command::Force(command) => force::run(global, command, output),
        Command::Refund(args) => refund::run(global, &args),
        Command::Resume => resume::run(global),
        Command::Status => status::run(global),
        Command::Faucet(args) => faucet::run(global, &args),
        Command::Demo(args) => crate::demo::run(&args, output),
        Command::Devnet(args) => crate::devnet::run(&args, output),
        Command::Sequencer(args) => crate::sequencer::run(&args, output),
        Command::Set(command) => set::run(global, &command),
        Command::Script(ScriptCommand::Sizes(args)) => script::sizes(&args),
        Command::Lane(LaneCommand::Cost(args)) => lane::cost(&args),
        Command::Machine(command) => return Ok(machine::run(&command, output)?),
    };
    Ok(report?.into())
}
