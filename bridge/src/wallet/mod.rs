//! A Bitcoin wallet that pays for Trestle's transactions.
//!
//! Taproot keys (BIP 86) from a mnemonic (BIP 39), kept by `bdk_wallet` in one directory, synced block by block from
//! any [`Chain`]. What the wallet signs passes through two states, both of which survive a restart:
//!
//! * *held*: [`Wallet::fund`] and [`Wallet::bump_child`] return a signed transaction whose coins no other funding
//!   takes, and whose change no other funding spends, since nobody knows yet whether it will be sent.
//!   [`Wallet::release`] undoes it.
//! * *sent*: [`Wallet::broadcast`] (or [`Wallet::sent`], where another did) makes the change spendable and has
//!   [`Wallet::rebroadcast`] repeat it until it confirms.
//!
//! The wallet sees no mempool: it knows what it made itself, what it is shown ([`Wallet::observe`]), and blocks.

mod bump;
mod cancel;
mod sign;
mod store;
mod sync;

use std::path::{Path, PathBuf};

use bdk_wallet::coin_selection::LargestFirstCoinSelection;
use bdk_wallet::error::CreateTxError;
use bdk_wallet::template::Bip86;
use bdk_wallet::{KeychainKind, PersistedWallet, TxOrdering};
use bitcoin::bip32::{DerivationPath, Xpriv};
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::transaction::Version;
use bitcoin::{Address, Amount, FeeRate, Network, OutPoint, ScriptBuf, Transaction, TxOut, Txid};

use crate::chain::{Chain, ChainError};

pub use bdk_wallet::keys::bip39::Mnemonic;
pub use store::Lock;

/// A fresh mnemonic of 12 words.
pub fn new_mnemonic() -> Mnemonic {
    Mnemonic::from_entropy(&rand::random::<[u8; 16]>()).expect("16 bytes are a valid length")
}

/// Why the wallet could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The coins that may be spent do not suffice.
    #[error("the wallet lacks {missing} (it must be confirmed, and not held for another transaction)")]
    InsufficientFunds {
        /// How much more is needed.
        missing: Amount,
    },
    /// The chain could not be asked.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The wallet's files cannot be read or written.
    #[error("{path}: {reason}", path = path.display())]
    Store {
        /// The file or directory.
        path: PathBuf,
        /// What the system or the decoder said.
        reason: String,
    },
    /// Another process has the wallet open.
    #[error("the wallet in {path} is in use by another process", path = path.display())]
    InUse {
        /// The wallet's directory.
        path: PathBuf,
    },
    /// The directory holds a wallet of another mnemonic or network.
    #[error("the wallet in {path} is another one: {reason}", path = path.display())]
    OtherWallet {
        /// The wallet's directory.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// An output is too small to be relayed.
    #[error("output {index} is below the dust limit")]
    Dust {
        /// Its position among the outputs asked for.
        index: usize,
    },
    /// The output that a child was to spend is not there, or nobody gave its key.
    #[error("cannot spend {outpoint} to bump its transaction: {reason}")]
    CannotBump {
        /// The output.
        outpoint: OutPoint,
        /// What stands in the way.
        reason: &'static str,
    },
    /// The child would be larger than a child of a version 3 transaction may be (BIP 431).
    #[error("the child would have {vsize} vbytes, and 1000 are allowed: consolidate the wallet's coins")]
    ChildTooLarge {
        /// Its size in vbytes.
        vsize: u64,
    },
    /// Only a transaction that the wallet holds, never sent, can be released.
    #[error("transaction {0} is not held by the wallet")]
    NotHeld(Txid),
    /// `bdk_wallet` refused what this module never asks of it.
    #[error("wallet: {0}")]
    Internal(String),
}

/// What the wallet owns, by whether it can be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// In blocks, spendable.
    pub confirmed: Amount,
    /// In the wallet's own transactions, or observed ones, that wait to confirm.
    pub unconfirmed: Amount,
    /// Mined less than 100 blocks ago.
    pub immature: Amount,
}

impl Balance {
    /// All of it.
    pub fn total(&self) -> Amount {
        self.confirmed + self.unconfirmed + self.immature
    }
}

/// How a transaction is to be funded.
#[derive(Debug, Clone, Copy)]
pub struct Funding {
    fee_rate: FeeRate,
    confirmed_only: bool,
    version: Version,
}

impl Funding {
    /// At this fee rate, from any coin, version 2.
    pub fn at(fee_rate: FeeRate) -> Self {
        Self { fee_rate, confirmed_only: false, version: Version::TWO }
    }

    /// Spend only coins that are in blocks.
    pub fn confirmed_only(self) -> Self {
        Self { confirmed_only: true, ..self }
    }

    /// Make it version 3 (BIP 431: it may be bumped by one child, it may replace and be replaced). It then spends
    /// only coins that are in blocks.
    pub fn version_3(self) -> Self {
        Self { confirmed_only: true, version: Version(3), ..self }
    }
}

/// The wallet. One process opens it at a time.
pub struct Wallet {
    inner: PersistedWallet<store::Log>,
    store: store::Files,
    /// m/86'/coin'/0'.
    account: Xpriv,
    birthday: u32,
    /// Orders what the wallet saw without a clock: later sightings count more. Above every time in `inner`.
    sightings: u64,
    secp: Secp256k1<All>,
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wallet")
            .field("directory", &self.store.directory)
            .field("tip", &self.tip())
            .finish_non_exhaustive()
    }
}

impl Wallet {
    /// The wallet of `mnemonic` in `directory`, made where there is none. No block below `birthday` is looked at: it
    /// must not be above the first block that pays to the wallet.
    pub fn open(directory: &Path, network: Network, mnemonic: &Mnemonic, birthday: u32) -> Result<Self, WalletError> {
        let master = Xpriv::new_master(network, &mnemonic.to_seed("")).map_err(internal)?;
        let secp = Secp256k1::new();
        let coin_type = if network == Network::Bitcoin { 0 } else { 1 };
        let path: DerivationPath = format!("m/86'/{coin_type}'/0'").parse().map_err(internal)?;
        let account = master.derive_priv(&secp, &path).map_err(internal)?;
        let descriptors = [KeychainKind::External, KeychainKind::Internal].map(|keychain| Bip86(master, keychain));
        let (inner, store) = store::open(directory, network, descriptors)?;
        let graph = inner.tx_graph();
        let seen = graph.full_txs().flat_map(|node| [node.last_seen, graph.get_last_evicted(node.txid)]);
        let sightings = seen.flatten().max().unwrap_or(0);
        Ok(Self { inner, store, account, birthday, sightings, secp })
    }

    /// The network of the wallet's addresses.
    pub fn network(&self) -> Network {
        self.inner.network()
    }

    /// What the wallet owns.
    pub fn balance(&self) -> Balance {
        let balance = self.inner.balance();
        Balance {
            confirmed: balance.confirmed,
            unconfirmed: balance.trusted_pending + balance.untrusted_pending,
            immature: balance.immature,
        }
    }

    /// An address that was never given out before, also not before a crash.
    pub fn new_address(&mut self) -> Result<Address, WalletError> {
        let address = self.inner.reveal_next_address(KeychainKind::External).address;
        self.persist()?;
        Ok(address)
    }

    /// Whether an output script is one of the wallet's.
    pub fn is_mine(&self, script: ScriptBuf) -> bool {
        self.inner.is_mine(script)
    }

    /// A signed transaction with `outputs` first and in this order, then change if there is any. It is *held*: see
    /// the [module](self). A rounding aside, its fee rate is that asked for.
    pub fn fund(&mut self, outputs: &[TxOut], funding: Funding) -> Result<Transaction, WalletError> {
        self.build(funding, |builder| {
            for output in outputs {
                builder.add_recipient(output.script_pubkey.clone(), output.value);
            }
        })
    }

    /// A signed transaction that pays all that may be spent, less the fee, to `script`. Held, as by [`Self::fund`].
    pub fn drain(&mut self, script: ScriptBuf, funding: Funding) -> Result<Transaction, WalletError> {
        self.build(funding, |builder| {
            builder.drain_wallet().drain_to(script);
        })
    }

    fn build(
        &mut self,
        funding: Funding,
        what: impl FnOnce(&mut bdk_wallet::TxBuilder<'_, LargestFirstCoinSelection>),
    ) -> Result<Transaction, WalletError> {
        // Few and large coins make the smallest transaction; and the same wallet makes the same one.
        let mut builder = self.inner.build_tx().coin_selection(LargestFirstCoinSelection);
        builder.ordering(TxOrdering::Untouched).version(funding.version.0).fee_rate(funding.fee_rate);
        if funding.confirmed_only {
            builder.exclude_unconfirmed();
        }
        what(&mut builder);
        let unsigned = builder.finish().map_err(|error| match error {
            CreateTxError::CoinSelection(short) => {
                WalletError::InsufficientFunds { missing: short.needed - short.available.min(short.needed) }
            }
            CreateTxError::OutputBelowDustLimit(index) => WalletError::Dust { index },
            other => internal(other),
        })?;
        let unsigned = unsigned.unsigned_tx;
        let spent = unsigned.input.iter().map(|input| input.previous_output);
        let coins: Vec<_> = spent.map(|outpoint| self.coin(outpoint)).collect::<Result<_, _>>()?;
        let tx = self.sign(unsigned, &coins)?;
        self.hold(&tx)?;
        Ok(tx)
    }

    /// One of the wallet's outputs, with its key.
    fn coin(&self, outpoint: OutPoint) -> Result<sign::Coin, WalletError> {
        let output = self.inner.get_utxo(outpoint).ok_or_else(|| internal("spends what is not the wallet's"))?.txout;
        let key = self.key_of(&output.script_pubkey)?;
        Ok(sign::Coin { outpoint, output, key })
    }

    /// Takes a transaction of the wallet's own making in, held, and writes it down.
    fn hold(&mut self, tx: &Transaction) -> Result<(), WalletError> {
        for outpoint in outpoints(tx) {
            self.inner.lock_outpoint(outpoint);
        }
        self.see(tx)
    }

    fn see(&mut self, tx: &Transaction) -> Result<(), WalletError> {
        self.sightings += 1;
        self.inner.apply_unconfirmed_txs([(tx.clone(), self.sightings)]);
        self.persist()
    }

    /// Shows the wallet an unconfirmed transaction that pays to it, or spends from it, and that it did not make.
    pub fn observe(&mut self, tx: &Transaction) -> Result<(), WalletError> {
        self.see(tx)
    }

    /// Hands transactions to the network as [`Chain::broadcast`] does; those of the wallet are *sent* from now on.
    pub fn broadcast(&mut self, chain: &dyn Chain, transactions: &[&Transaction]) -> Result<(), WalletError> {
        chain.broadcast(transactions)?;
        transactions.iter().try_for_each(|tx| self.sent(&tx.compute_txid()))
    }

    /// Notes that a held transaction was given to the network. Nothing where it is unknown or was sent before.
    pub fn sent(&mut self, txid: &Txid) -> Result<(), WalletError> {
        if let Some(tx) = self.inner.tx_graph().get_tx(*txid) {
            outpoints(&tx).for_each(|outpoint| self.inner.unlock_outpoint(outpoint));
        }
        self.persist()
    }

    /// Undoes the funding of a transaction that was never sent: its coins may be spent again. Whatever the wallet
    /// built on it is undone as well; returns all that are gone.
    pub fn release(&mut self, txid: &Txid) -> Result<Vec<Txid>, WalletError> {
        if !self.is_held(txid) {
            return Err(WalletError::NotHeld(*txid));
        }
        let mut gone = vec![*txid];
        let mut next = 0;
        while let Some(txid) = gone.get(next).copied() {
            next += 1;
            let children =
                self.unconfirmed().into_iter().filter(|tx| tx.input.iter().any(|i| i.previous_output.txid == txid));
            let children: Vec<_> = children.map(|tx| tx.compute_txid()).filter(|child| !gone.contains(child)).collect();
            gone.extend(children);
        }
        self.sightings += 1;
        self.inner.apply_evicted_txs(gone.iter().map(|txid| (*txid, self.sightings)));
        for txid in &gone {
            self.sent(txid)?;
        }
        self.persist()?;
        Ok(gone)
    }

    /// Whether the wallet made a transaction and does not know it to be sent.
    pub fn is_held(&self, txid: &Txid) -> bool {
        self.inner.get_tx(*txid).is_some() && self.inner.is_outpoint_locked(OutPoint::new(*txid, 0))
    }

    /// The wallet's transactions that are in no block, held ones too, parents first.
    pub fn unconfirmed(&self) -> Vec<Transaction> {
        let mut waiting: Vec<Transaction> = (self.inner.transactions())
            .filter(|tx| !tx.chain_position.is_confirmed())
            .map(|tx| tx.tx_node.tx.as_ref().clone())
            .collect();
        let mut sorted: Vec<Transaction> = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let ids: std::collections::HashSet<_> = waiting.iter().map(Transaction::compute_txid).collect();
            let (later, now): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|tx| tx.input.iter().any(|i| ids.contains(&i.previous_output.txid)));
            sorted.extend(now);
            waiting = later;
        }
        sorted
    }

    /// Sends again all that was sent and is in no block. Returns those that the network does not take, and why: a
    /// child whose parent is missing, say. A server that cannot be reached is an error.
    pub fn rebroadcast(&self, chain: &dyn Chain) -> Result<Vec<(Txid, String)>, WalletError> {
        let mut rejected = Vec::new();
        for tx in self.unconfirmed() {
            let txid = tx.compute_txid();
            if self.is_held(&txid) {
                continue;
            }
            match chain.broadcast(&[&tx]) {
                Err(ChainError::Rejected { reason, .. }) => rejected.push((txid, reason)),
                answer => answer?,
            }
        }
        Ok(rejected)
    }

    fn persist(&mut self) -> Result<(), WalletError> {
        self.store.persist(&mut self.inner)
    }
}

fn outpoints(tx: &Transaction) -> impl Iterator<Item = OutPoint> + use<> {
    let txid = tx.compute_txid();
    (0..tx.output.len() as u32).map(move |vout| OutPoint::new(txid, vout))
}

fn internal(error: impl std::fmt::Display) -> WalletError {
    WalletError::Internal(error.to_string())
}
