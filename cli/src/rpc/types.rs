//! What crosses the JSON-RPC interface. Amounts are satoshi, and their fields say so.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use bitcoin::address::NetworkUnchecked;
use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::{Address, Amount, BlockHash, Txid, XOnlyPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use trestle_bridge::parameters::BridgeParameters;
use trestle_bridge::transactions::DepositTerms;

use crate::sequencer::rpc::BlockStatus;

/// 32 bytes that are no Bitcoin hash, written in hexadecimal in their own order: a Layer 2 transaction's id, R_h, a root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex32(pub [u8; 32]);

impl fmt::Display for Hex32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_hex())
    }
}

impl fmt::Debug for Hex32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hex32 {
    type Err = bitcoin::hex::HexToArrayError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        <[u8; 32]>::from_hex(text).map(Self)
    }
}

impl Serialize for Hex32 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hex32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The bridge as a node sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Everything the bridge was created with; a user checks against these, not against the node's word.
    pub parameters: BridgeParameters,
    /// The node's Bitcoin tip.
    pub bitcoin: BitcoinTip,
    /// The Layer 2, up to the last block that was applied.
    pub layer2: Layer2Tip,
    /// The least fee that the sequencers take for a transaction.
    #[serde(rename = "minimum_fee_sat", with = "bitcoin::amount::serde::as_sat")]
    pub minimum_fee: Amount,
    /// The sets of sequencers that there were, by their numbers. The last one may not count yet.
    pub sequencers: Vec<Vec<XOnlyPublicKey>>,
    /// What each denomination can take and give, in the order of the parameters.
    pub runway: Vec<Runway>,
    /// The roles that this node runs or knows.
    pub roles: Vec<Role>,
}

/// A block of Bitcoin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BitcoinTip {
    /// Its height.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
}

/// The state of the Layer 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer2Tip {
    /// The height of the last block applied.
    pub height: u32,
    /// R at that height (protocol §3).
    pub entry: Hex32,
    /// All balances together.
    #[serde(rename = "supply_sat", with = "bitcoin::amount::serde::as_sat")]
    pub supply: Amount,
    /// Withdrawals that are requested and not paid.
    pub pending_withdrawals: u32,
}

/// What one denomination can take and give (protocol §4, Runway).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runway {
    /// The denomination.
    #[serde(rename = "denomination_sat", with = "bitcoin::amount::serde::as_sat")]
    pub denomination: Amount,
    /// Slots that are not fulfilled.
    pub open_slots: u32,
    /// Vaults that hold coins.
    pub vaults: u32,
    /// Withdrawals that can be served with no signer online.
    pub withdrawals: u32,
    /// For how many more blocks they can.
    pub blocks: u32,
    /// Deposits that the committee would still confirm.
    pub room: u32,
}

/// A role and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// `signer`, `operator`, `sequencer` or `challenger`.
    pub role: String,
    /// Its index among its kind.
    pub index: u32,
    /// Its key.
    pub key: String,
    /// How it is, in a few words: `ready`, `down`, `waits for block 120`.
    pub state: String,
}

/// One Layer 2 account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// Its key.
    pub account: XOnlyPublicKey,
    /// What it holds by Bitcoin's blocks.
    #[serde(rename = "balance_sat", with = "bitcoin::amount::serde::as_sat")]
    pub balance: Amount,
    /// Its nonce by Bitcoin's blocks: what a forced transaction has to carry.
    pub nonce: u64,
    /// What it can still spend, transactions that the sequencers hold counted as done.
    #[serde(rename = "available_sat", with = "bitcoin::amount::serde::as_sat")]
    pub available: Amount,
    /// The nonce that the next transaction for the sequencers has to carry.
    pub next_nonce: u64,
}

/// Which Layer 2 transaction a receipt is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptQuery {
    /// One that the sequencers were given, by its id: the message that its signature signs.
    Submitted(Hex32),
    /// One that went past them, by the Bitcoin transaction that shows its envelope.
    Forced(Txid),
}

/// How far a Layer 2 transaction came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Receipt {
    /// This node has not seen it.
    Unknown,
    /// The sequencers hold it.
    Pending,
    /// It is final: a quorum of the sequencers certified that it is in this batch.
    Batched {
        /// The batch.
        number: u64,
        /// Its Layer 2 block, with the signatures.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<Box<BlockStatus>>,
    },
    /// The Layer 2 executed it.
    Executed {
        /// The Bitcoin block that did.
        height: u32,
        /// The Bitcoin transaction that carried it, if the node remembers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        txid: Option<Txid>,
        /// The withdrawal it requested, if it is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        withdrawal: Option<u32>,
    },
    /// It came to nothing: skipped by the Layer 2, or dropped by the sequencers.
    Failed {
        /// Why.
        why: String,
    },
}

/// A deposit and how far it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositStatus {
    /// Its terms.
    #[serde(flatten)]
    pub terms: DepositTerms,
    /// How far it came.
    #[serde(flatten)]
    pub state: DepositState,
}

/// How far a deposit came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DepositState {
    /// The node does not see its transaction yet.
    Unseen,
    /// It is not buried deep enough.
    Waiting {
        /// Blocks on it, its own counted.
        confirmations: u32,
        /// How many are needed.
        needed: u32,
    },
    /// The committee signs.
    Signing,
    /// The committee's confirmation is on its way into a block.
    Confirming {
        /// The confirmation.
        txid: Txid,
    },
    /// It is on the Layer 2.
    Minted {
        /// The confirmation.
        txid: Txid,
        /// The confirmation's block.
        height: u32,
    },
    /// The committee will not confirm it: take the refund after the timelock.
    Refused {
        /// Why.
        why: String,
    },
    /// Its owner took it back.
    Refunded {
        /// The refund.
        txid: Txid,
    },
}

/// Which withdrawals to list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithdrawalQuery {
    /// The one with this number.
    Id(u32),
    /// Those to this address.
    Destination(Address<NetworkUnchecked>),
    /// Those that nobody paid yet.
    Pending,
}

/// A withdrawal and how far it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalStatus {
    /// Its number.
    pub id: u32,
    /// What it took from the account.
    #[serde(rename = "denomination_sat", with = "bitcoin::amount::serde::as_sat")]
    pub denomination: Amount,
    /// Where it goes.
    pub destination: Address<NetworkUnchecked>,
    /// The block that requested it.
    pub requested_height: u32,
    /// How far it came.
    #[serde(flatten)]
    pub state: WithdrawalState,
}

/// How far a withdrawal came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum WithdrawalState {
    /// It is someone's turn to pay it.
    Pending {
        /// Whose turn.
        turn: Turn,
        /// The last height at which a payout by them counts.
        until_height: u32,
    },
    /// It is paid.
    Paid {
        /// The payout.
        txid: Txid,
        /// The payout's block.
        height: u32,
        /// Who paid.
        by: Turn,
    },
}

/// Who pays a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// All signers together, straight from a vault.
    Committee,
    /// The operator with this index.
    Operator(u32),
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Committee => write!(f, "the committee"),
            Self::Operator(index) => write!(f, "operator {index}"),
        }
    }
}

/// R_h and what it commits to (protocol §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryStatus {
    /// h.
    pub height: u32,
    /// The block at h.
    pub block_hash: BlockHash,
    /// The root of the state after it.
    pub state_root: Hex32,
    /// R_h = C(IV_R, block hash ‖ state root).
    pub entry: Hex32,
}

/// A server that a user's wallet reads Bitcoin through, as [`trestle_bridge::chain::connect`] takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEndpoint {
    /// `http://HOST:PORT` for bitcoind, `tcp://HOST:PORT` for an Electrum server.
    pub url: String,
    /// The file that holds bitcoind's user name and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie_file: Option<PathBuf>,
}
