//! Why a command failed: one line that says what to do, and a short name for programs.

use std::path::PathBuf;

use bitcoin::{Amount, Network, OutPoint, Txid};
use trestle_bridge::chain::ChainError;
use trestle_bridge::transactions::BuildError;
use trestle_bridge::transactions::envelope::PostingError;
use trestle_bridge::wallet::WalletError;

use super::machine::RunError;
use crate::amount::Shown;
use crate::figures::FiguresError;
use crate::output::Failure;
use crate::rpc::types::Hex32;
use crate::user::address::AddressError;
use crate::user::home::HomeError;
use crate::user::journal::JournalError;
use crate::user::node::NodeError;

/// Why a command failed. Unless the text says otherwise, nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An amount that is no denomination.
    #[error("{} is no denomination of this bridge: choose {}", Shown(*given), list(denominations))]
    Denomination {
        /// What was asked for.
        given: Amount,
        /// What there is.
        denominations: Vec<Amount>,
    },
    /// Too little on Bitcoin.
    #[error(
        "too little money on Bitcoin: the wallet has {}, and {} is missing for {} and the fees: {}",
        Shown(*has), Shown(*missing), Shown(*pays), source_of_bitcoin(*network)
    )]
    TooLittleBitcoin {
        /// What is to be paid, without the fee of the transaction.
        pays: Amount,
        /// What is missing.
        missing: Amount,
        /// What is there.
        has: Amount,
        /// The network.
        network: Network,
    },
    /// Too little on the Layer 2.
    #[error(
        "too little money on the Layer 2: this takes {}, the account has {}, {} is missing: `trestle deposit` brings more",
        Shown(*needs), Shown(*has), Shown(*needs - *has)
    )]
    TooLittleLayer2 {
        /// What it takes, fees included.
        needs: Amount,
        /// What can be spent.
        has: Amount,
    },
    /// The committee would not confirm another deposit.
    #[error(
        "the bridge takes no deposit of {} now, since no free slot is left to pay it back: try again later",
        Shown(*.0)
    )]
    NoRoom(Amount),
    /// A sum that no account can hold.
    #[error("amount and fee together are more than there can be: lower one of them")]
    Overflow,
    /// A fee below the floor.
    #[error("the sequencers take no fee below {}: raise --fee, or leave it out", Shown(*.0))]
    FeeTooLow(Amount),
    /// The wallet is for another network than the node.
    #[error(
        "the wallet is for {wallet}, and the node at {url} is on {node}: use a wallet for {node}, or another --rpc"
    )]
    Network {
        /// The wallet's.
        wallet: Network,
        /// The node's.
        node: Network,
        /// The node.
        url: String,
    },
    /// The wallet is used with another bridge.
    #[error(
        "the wallet in {dir} belongs to bridge {wallet}, and the node at {url} runs bridge {node}: \
         name a wallet for that bridge with --wallet, or another node with --rpc"
    )]
    OtherBridge {
        /// The wallet.
        dir: PathBuf,
        /// The wallet's bridge.
        wallet: Hex32,
        /// The node's.
        node: Hex32,
        /// The node.
        url: String,
    },
    /// The node's parameters are no bridge's.
    #[error("the node at {url} runs a bridge with impossible parameters ({why}): use another --rpc")]
    Parameters {
        /// The node.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// Not a Bitcoin address.
    #[error("\"{given}\" is no Bitcoin address ({why}): copy it again")]
    BitcoinAddress {
        /// The text.
        given: String,
        /// What is wrong.
        why: String,
    },
    /// A Layer 2 address where a Bitcoin address is needed.
    #[error("\"{0}\" is a Layer 2 address: to pay it, use `trestle send`")]
    NotABitcoinAddress(String),
    /// A Bitcoin address of another network.
    #[error("\"{given}\" is not an address of {network}, which this wallet is for")]
    BitcoinAddressNetwork {
        /// The text.
        given: String,
        /// The wallet's network.
        network: Network,
    },
    /// An address that no withdrawal can go to.
    #[error("\"{0}\" is of a kind that withdrawals do not go to: use a P2PKH, P2SH, P2WPKH, P2WSH or P2TR address")]
    Destination(String),
    /// A Layer 2 address.
    #[error(transparent)]
    Layer2Address(#[from] AddressError),
    /// No deposit to refund.
    #[error("this wallet has no deposit that could be refunded: `trestle status` shows its deposits")]
    NothingToRefund,
    /// Several.
    #[error("several deposits could be refunded: name one of {}", join(.0))]
    SeveralToRefund(Vec<OutPoint>),
    /// Not one of this wallet.
    #[error("{0} is no deposit of this wallet: `trestle status` shows those that are")]
    NoSuchDeposit(OutPoint),
    /// The deposit is spent.
    #[error("{outpoint} is spent already, by {spender}: there is nothing to refund")]
    Spent {
        /// The deposit.
        outpoint: OutPoint,
        /// What spends it.
        spender: Txid,
    },
    /// The deposit's transaction is in no block.
    #[error("{0} is in no block yet, so its timelock has not begun: run `trestle resume`, and wait for a block")]
    DepositUnconfirmed(OutPoint),
    /// The timelock runs.
    #[error("{outpoint} cannot be refunded yet: {remaining} more {} to go (from height {height} on)", blocks(*remaining))]
    NotYetRefundable {
        /// The deposit.
        outpoint: OutPoint,
        /// How many more blocks have to be mined first.
        remaining: u32,
        /// The height of the tip at which it can be.
        height: u32,
    },
    /// The faucet is for play money.
    #[error("there is a faucet on regtest only, and this wallet is for {0}")]
    NoFaucet(Network),
    /// Bad words.
    #[error("these are not the words of a wallet ({0}): give the twelve words, separated by spaces, on standard input")]
    Words(String),
    /// A step after the record failed: what is on its way is safe.
    #[error("{why} (the {what} is on record and not lost: {next})")]
    Interrupted {
        /// What is on its way.
        what: &'static str,
        /// What went wrong.
        why: Box<Error>,
        /// What to do.
        next: &'static str,
    },
    /// The node stopped answering when it had been given a transaction.
    #[error("{0}; whether the transaction arrived is not known: look at `trestle wallet balance` before you repeat it")]
    Uncertain(NodeError),
    /// It was sent, and came to nothing.
    #[error("{what} came to nothing: {why}")]
    Failed {
        /// What was sent.
        what: String,
        /// Why.
        why: String,
    },
    /// The node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The wallet's directory.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Bitcoin.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The coins.
    #[error(transparent)]
    Coins(#[from] WalletError),
    /// A transaction of the bridge cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// An envelope cannot be posted.
    #[error(transparent)]
    Posting(#[from] PostingError),
    /// A run on the machine.
    #[error(transparent)]
    Machine(#[from] RunError),
    /// Scripts that cannot be written.
    #[error("the scripts cannot be measured, which is a bug: {0}")]
    Script(#[from] FiguresError),
    /// The demo or the devnet.
    #[error("{0}")]
    Bridge(String),
}

impl Error {
    /// The short name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Denomination { .. } => "no_denomination",
            Self::TooLittleBitcoin { .. } | Self::TooLittleLayer2 { .. } | Self::Overflow => "too_little_money",
            Self::NoRoom(_) => "no_room",
            Self::FeeTooLow(_) => "fee_too_low",
            Self::Network { .. } | Self::BitcoinAddressNetwork { .. } | Self::NoFaucet(_) => "wrong_network",
            Self::Layer2Address(AddressError::Network { .. }) => "wrong_network",
            Self::OtherBridge { .. } => "other_bridge",
            Self::Parameters { .. } => "bad_parameters",
            Self::BitcoinAddress { .. } | Self::NotABitcoinAddress(_) | Self::Destination(_) => "bad_address",
            Self::Layer2Address(_) => "bad_address",
            Self::NothingToRefund | Self::NoSuchDeposit(_) => "no_deposit",
            Self::SeveralToRefund(_) => "several_deposits",
            Self::Spent { .. } => "spent",
            Self::DepositUnconfirmed(_) | Self::NotYetRefundable { .. } => "not_yet_refundable",
            Self::Words(_) => "bad_words",
            Self::Interrupted { .. } => "interrupted",
            Self::Uncertain(_) => "uncertain",
            Self::Failed { .. } => "failed",
            Self::Node(NodeError::Refused { .. }) => "refused",
            Self::Node(NodeError::Url(_)) => "bad_url",
            Self::Node(_) => "node_down",
            Self::Home(HomeError::Missing(_)) => "wallet_missing",
            Self::Home(HomeError::Exists(_)) => "wallet_exists",
            Self::Home(HomeError::Busy(_)) => "wallet_busy",
            Self::Home(_) | Self::Journal(_) => "wallet_files",
            Self::Chain(_) => "bitcoin",
            Self::Coins(_) => "bitcoin_wallet",
            Self::Machine(error) => error.code(),
            Self::Script(_) => "script",
            Self::Build(_) | Self::Posting(_) | Self::Bridge(_) => "bridge",
        }
    }
}

impl Error {
    /// Says of a failure after the record was made that `trestle resume` goes on from there.
    pub fn unsent(what: &'static str) -> impl Fn(Error) -> Error {
        move |why| Error::Interrupted { what, why: Box::new(why), next: "`trestle resume` sends it again" }
    }

    /// Says of a failure while waiting that nothing but the waiting has ended.
    pub fn unwatched(what: &'static str) -> impl Fn(Error) -> Error {
        move |why| match why {
            Error::Failed { .. } => why,
            why => Error::Interrupted { what, why: Box::new(why), next: "`trestle status` shows how it goes on" },
        }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let line = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Failure { code: error.code(), line }
    }
}

fn list(amounts: &[Amount]) -> String {
    join(&amounts.iter().map(|a| Shown(*a)).collect::<Vec<_>>())
}

/// `a`, `a or b`, `a, b or c`.
fn join(items: &[impl ToString]) -> String {
    let mut items: Vec<String> = items.iter().map(ToString::to_string).collect();
    match items.pop() {
        Some(last) if !items.is_empty() => format!("{} or {last}", items.join(", ")),
        Some(only) => only,
        None => "none".into(),
    }
}

fn blocks(count: u32) -> &'static str {
    if count == 1 { "block" } else { "blocks" }
}

fn source_of_bitcoin(network: Network) -> &'static str {
    match network {
        Network::Regtest => "`trestle faucet` brings more",
        _ => "send some to the address that `trestle wallet address` shows",
    }
}
