//! `trestle set …`

use std::net::SocketAddr;
use std::path::PathBuf;

use bitcoin::XOnlyPublicKey;
use clap::{Args, Subcommand};

/// `trestle set …`
#[derive(Debug, Subcommand)]
pub enum SetCommand {
    /// Show the key that names a sequencer, or a signer; it is made if there is none
    #[command(after_help = "Example:\n  trestle set key --dir sequencer-4")]
    Key(SetKeyArgs),
    /// Add a sequencer's signed line to the file in which the sequencers find each other
    ///
    /// Each set has a network of its own: whoever stays in the set needs a line with a new address, too.
    #[command(after_help = "Example:
  trestle set line --dir sequencer-4 --set 1 --address 192.0.2.7:9001 --file sequencers.json")]
    Line(SetLineArgs),
    /// Begin a change: write down who the sequencers are to be
    ///
    /// What is written has to be signed by a quorum of the sequencers that are there and by more than half of the
    /// committee's signers, one after the other, and then be posted.
    #[command(after_help = "Example:\n  trestle set propose KEY1 KEY2 KEY3 KEY4 --file change.json")]
    Propose(SetProposeArgs),
    /// Sign a change, as a sequencer or as a signer
    #[command(after_help = "Example:\n  trestle set sign --file change.json --dir sequencer-0")]
    Sign(SetSignArgs),
    /// Post a change to Bitcoin, paid by this wallet
    #[command(after_help = "Example:\n  trestle set post --file change.json")]
    Post(SetPostArgs),
}

/// `trestle set key`
#[derive(Args, Debug)]
pub struct SetKeyArgs {
    /// The role's directory
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
}

/// `trestle set line`
#[derive(Args, Debug)]
pub struct SetLineArgs {
    /// The sequencer's directory
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The set's number; that of the parameters has 0
    #[arg(long, value_name = "NUMBER")]
    pub set: u32,
    /// Where the others reach it
    #[arg(long, value_name = "HOST:PORT")]
    pub address: SocketAddr,
    /// The file that gets the line
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
}

/// `trestle set propose`
#[derive(Args, Debug)]
pub struct SetProposeArgs {
    /// The keys of all sequencers of the new set, in the order of their indices
    #[arg(required = true, value_name = "KEY")]
    pub keys: Vec<XOnlyPublicKey>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
}

/// `trestle set sign`
#[derive(Args, Debug)]
pub struct SetSignArgs {
    /// The change; it gets the signature
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// The directory of the sequencer or the signer
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
}

/// `trestle set post`
#[derive(Args, Debug)]
pub struct SetPostArgs {
    /// The change, signed
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
}
