//! What users type.

use bitcoin::{Network, OutPoint};
use clap::{Args, Subcommand};

use crate::amount::AmountArg;

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

fn network(text: &str) -> Result<Network, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no network: choose regtest, signet, testnet, testnet4 or bitcoin"))
}

fn outpoint(text: &str) -> Result<OutPoint, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no deposit: write TXID:INDEX, as `trestle status` shows it"))
}
