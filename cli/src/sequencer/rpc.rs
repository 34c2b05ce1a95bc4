//! The JSON-RPC interface of one sequencer: what it takes from users and what it shows them.
//!
//! Every method is `sequencer_…` with positional parameters; see [`crate::rpc`] for how amounts, keys and errors are
//! written. `rpc.discover` describes it all.

use bitcoin::hex::{DisplayHex as _, FromHex};
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{Amount, XOnlyPublicKey};
use jsonrpsee::core::SubscriptionResult;
use jsonrpsee::proc_macros::rpc;
use serde::{Deserialize, Serialize};
use trestle_rollup::{Certificate, Digest, Signatures, SignedTransaction};
use trestle_sequencer::consensus::{Conflict, Handover, Part, Promise};

use super::proof::AccountProof;
use crate::rpc::RpcError;
use crate::rpc::types::{EntryStatus, Hex32};

/// The methods on the wire.
#[rpc(server, client, namespace = "sequencer")]
pub trait Api {
    /// How the sequencer stands.
    #[method(name = "status", blocking)]
    fn status(&self) -> Result<SequencerStatus, RpcError>;
    /// The same, once it has applied the Bitcoin block at this height and done what is due, or after five seconds.
    #[method(name = "sync")]
    async fn sync(&self, bitcoin_height: u32) -> Result<SequencerStatus, RpcError>;
    /// Takes a signed Layer 2 transaction, in hexadecimal, and gives its id, or says why it is refused.
    #[method(name = "submit")]
    async fn submit(&self, transaction: String) -> Result<Hex32, RpcError>;
    /// What became of a transaction; null if it was never accepted, or was dropped or forgotten.
    #[method(name = "receipt", blocking)]
    fn receipt(&self, id: Hex32) -> Result<Option<ReceiptStatus>, RpcError>;
    /// An account.
    #[method(name = "account", blocking)]
    fn account(&self, account: XOnlyPublicKey) -> Result<SequencerAccount, RpcError>;
    /// The final Layer 2 block at a height; null if it has no transactions, is not final, or is forgotten.
    #[method(name = "block", blocking)]
    fn block(&self, height: u64) -> Result<Option<BlockStatus>, RpcError>;
    /// A batch that was cut; null if it was not, or is forgotten.
    #[method(name = "batch", blocking)]
    fn batch(&self, number: u64) -> Result<Option<BatchStatus>, RpcError>;
    /// What a set of sequencers begins with, certified by the set before; null if that has not closed.
    #[method(name = "handover", blocking)]
    fn handover(&self, set: u32) -> Result<Option<HandoverStatus>, RpcError>;
    /// R_h and what it commits to.
    #[method(name = "entry", blocking)]
    fn entry(&self, height: u32) -> Result<EntryStatus, RpcError>;
    /// A proof of an account's balance and nonce against R_h.
    #[method(name = "proof", blocking)]
    fn proof(&self, account: XOnlyPublicKey, height: u32) -> Result<AccountProof, RpcError>;
    /// Evidence that quorums broke their promises.
    #[method(name = "conflicts", blocking)]
    fn conflicts(&self) -> Result<Vec<Conflict>, RpcError>;
    /// New final blocks with transactions, as they get their certificates.
    #[subscription(name = "subscribe_blocks" => "final_block", unsubscribe = "unsubscribe_blocks", item = BlockStatus)]
    async fn subscribe_blocks(&self) -> SubscriptionResult;
}

/// How a sequencer stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequencerStatus {
    /// The set whose agreement goes on.
    pub set: u32,
    /// Its index there; none if it has left.
    pub index: Option<u8>,
    /// Its key.
    pub key: XOnlyPublicKey,
    /// Height of the last Bitcoin block that it applied.
    pub bitcoin_height: u32,
    /// R at that height.
    pub entry: Hex32,
    /// Height of the last final Layer 2 block.
    pub height: u64,
    /// The batch that is being filled.
    pub batch: u64,
    /// Transactions in it.
    pub filled: u32,
    /// Batches that Bitcoin has executed.
    pub executed: u64,
    /// Transactions that wait for a block.
    pub waiting: usize,
    /// The least fee that it takes.
    #[serde(rename = "minimum_fee_sat", with = "bitcoin::amount::serde::as_sat")]
    pub minimum_fee: Amount,
    /// Whether it refuses all transactions.
    pub refuses: bool,
    /// Whether something is to be done that does not wait for a Bitcoin block.
    pub busy: bool,
}

impl SequencerStatus {
    /// Whether something waits that Bitcoin has not executed yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.filled > 0 || self.waiting > 0 || self.batch > self.executed
    }
}

/// An account as a sequencer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequencerAccount {
    /// Its key.
    pub account: XOnlyPublicKey,
    /// What it can still spend, what waits counted as done. Deposits count once they are as deep as the bridge asks for.
    #[serde(rename = "available_sat", with = "bitcoin::amount::serde::as_sat")]
    pub available: Amount,
    /// The nonce that its next transaction has to carry.
    pub next_nonce: u64,
}

/// A sequencer's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The sequencer's index.
    pub sequencer: u8,
    /// By BIP 340.
    pub signature: Signature,
}

fn signed(certificate: &Signatures) -> Vec<Signed> {
    let signed = |(sequencer, signature): &(u8, [u8; 64])| {
        Some(Signed { sequencer: *sequencer, signature: Signature::from_slice(signature).ok()? })
    };
    certificate.iter().filter_map(signed).collect()
}

fn unsigned(signatures: &[Signed]) -> Signatures {
    signatures.iter().map(|signed| (signed.sequencer, signed.signature.serialize())).collect()
}

/// A final Layer 2 block: a part of a batch. With a quorum's signatures it is what a user keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockStatus {
    /// The set of sequencers that promises it.
    pub set: u32,
    /// Its height.
    pub height: u64,
    /// The batch that its transactions are executed in.
    pub batch: u64,
    /// How many transactions the batch has before them.
    pub first: u32,
    /// The signed transactions, in hexadecimal.
    pub transactions: Vec<String>,
    /// Of the tagged hash `Trestle/part` of instance ‖ set u32 ‖ batch u64 ‖ first u32 ‖ transactions.
    pub signatures: Vec<Signed>,
}

impl BlockStatus {
    /// A part at a height.
    #[must_use]
    pub fn new(height: u64, part: &Part) -> Self {
        let hex = |bytes: Vec<u8>| bytes.to_lower_hex_string();
        let transactions = part.decoded().iter().map(|signed| hex(signed.encode())).collect();
        let (set, batch, first) = (part.set, part.number, part.first);
        Self { set, height, batch, first, transactions, signatures: signed(&part.certificate) }
    }
}

impl BlockStatus {
    /// The part; `None` if the transactions are none.
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        let decode = |text: &String| <Vec<u8> as FromHex>::from_hex(text).ok();
        let transactions = self.transactions.iter().map(decode).collect::<Option<Vec<_>>>()?.concat();
        let (set, number, first) = (self.set, self.batch, self.first);
        Some(Part { set, number, first, transactions, certificate: unsigned(&self.signatures) })
    }

    /// Whether it proves that a quorum of these sequencers promised to have this transaction executed.
    #[must_use]
    pub fn proves(&self, signed: &SignedTransaction, instance: &Digest, keys: &[[u8; 32]]) -> bool {
        self.part()
            .is_some_and(|part| part.decoded().contains(signed) && Promise::Part(part).is_certified(instance, keys))
    }
}

/// What a set of sequencers begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoverStatus {
    /// Its genesis, as it is encoded, in hexadecimal.
    pub genesis: String,
    /// Heights of the blocks with transactions that were not executed there.
    pub pending: Vec<u64>,
    /// By the set before, of the tagged hash `Trestle/handover` of
    /// instance ‖ the genesis's digest ‖ for each pending block: height u64 ‖ digest of its part.
    pub signatures: Vec<Signed>,
}

impl HandoverStatus {
    /// A handover as it is shown.
    #[must_use]
    pub fn new(handover: &Handover) -> Self {
        let genesis = handover.genesis_bytes().to_lower_hex_string();
        Self { genesis, pending: handover.pending.clone(), signatures: signed(&handover.signatures) }
    }

    /// The handover; `None` if this is none. Its signatures may be worth nothing.
    #[must_use]
    pub fn handover(&self) -> Option<Handover> {
        let genesis = <Vec<u8> as FromHex>::from_hex(&self.genesis).ok()?;
        Handover::new(&genesis, self.pending.clone(), unsigned(&self.signatures))
    }
}

/// A batch that was cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchStatus {
    /// Its number.
    pub number: u64,
    /// Its transactions' ids, in order.
    pub transactions: Vec<Hex32>,
    /// Of the tagged hash `Trestle/batch` of instance ‖ number u64 ‖ transactions.
    pub signatures: Vec<Signed>,
}

impl From<Certificate> for BatchStatus {
    fn from(batch: Certificate) -> Self {
        let transactions = batch.transactions.iter().copied().map(Hex32).collect();
        Self { number: batch.number, transactions, signatures: signed(&batch.signatures) }
    }
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ReceiptStatus {
    /// It waits for a block, or its block for its certificate.
    Pending,
    /// It is final on the Layer 2; Bitcoin has not executed its batch yet.
    Ordered {
        /// Its block, with a quorum's signatures.
        block: BlockStatus,
    },
    /// Executed.
    Executed {
        /// The Bitcoin block that did.
        height: u32,
        /// Whether it is as deep as the bridge asks for.
        deep: bool,
        /// Its block, with its signatures.
        block: BlockStatus,
    },
    /// It will not be executed.
    Failed {
        /// Why.
        why: String,
    },
}
