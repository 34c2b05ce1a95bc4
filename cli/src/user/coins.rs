//! The user's coins on Bitcoin: the bridge's wallet, kept in step with the [`super::journal`].
//!
//! A transaction is held from the moment it is signed. If a command ends before the journal has it, the next one lets
//! its coins go; if the journal has it, it is sent.

use std::sync::Arc;

use bitcoin::{Address, Amount, FeeRate, Transaction, TxOut};
use trestle_bridge::chain::{Chain, ChainError};
use trestle_bridge::wallet::{Balance, Funding, Wallet, WalletError};

use super::home::Home;
use super::journal::Journal;

/// Within how many blocks a transaction is meant to confirm.
pub const TARGET: u16 = 6;

/// The coins, as of the chain's tip when they were opened.
#[derive(Debug)]
pub struct Coins {
    wallet: Wallet,
    chain: ChainHandle,
}

struct ChainHandle(Arc<dyn Chain>);

impl std::fmt::Debug for ChainHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chain({})", self.0.network())
    }
}

impl Coins {
    /// Opens the coins and catches up with the chain. `birthday`: no block below it is looked at.
    ///
    /// # Errors
    /// The files or the chain.
    pub fn open(home: &Home, journal: &Journal, chain: Arc<dyn Chain>, birthday: u32) -> Result<Self, WalletError> {
        let mut wallet = Wallet::open(&home.bitcoin_dir(), home.network(), home.words(), birthday)?;
        let recorded: Vec<_> = journal.transactions().map(Transaction::compute_txid).collect();
        for forgotten in wallet.unconfirmed().iter().map(Transaction::compute_txid) {
            if wallet.is_held(&forgotten) && !recorded.contains(&forgotten) {
                wallet.release(&forgotten)?;
            }
        }
        wallet.sync(chain.as_ref())?;
        Ok(Self { wallet, chain: ChainHandle(chain) })
    }

    /// A fresh address, without asking the chain.
    ///
    /// # Errors
    /// The files.
    pub fn fresh_address(home: &Home) -> Result<Address, WalletError> {
        Wallet::open(&home.bitcoin_dir(), home.network(), home.words(), 0)?.new_address()
    }

    /// What there is.
    pub fn balance(&self) -> Balance {
        self.wallet.balance()
    }

    /// A fresh address.
    ///
    /// # Errors
    /// The files.
    pub fn address(&mut self) -> Result<Address, WalletError> {
        self.wallet.new_address()
    }

    /// The fee rate that confirms within an hour; never less than what nodes relay.
    ///
    /// # Errors
    /// The chain.
    pub fn fee_rate(&self) -> Result<FeeRate, ChainError> {
        Ok(self.chain.0.fee_rate(TARGET)?.max(FeeRate::BROADCAST_MIN))
    }

    /// A signed transaction that pays `output` first; it is held until [`Self::send`].
    ///
    /// # Errors
    /// Too little money, the files, or the chain.
    pub fn pay(&mut self, output: TxOut) -> Result<Transaction, WalletError> {
        let rate = self.fee_rate()?;
        self.wallet.fund(&[output], Funding::at(rate))
    }

    /// The fee of a transaction that this wallet made.
    pub fn fee_of(&self, transaction: &Transaction) -> Option<Amount> {
        self.wallet.fee_of(&transaction.compute_txid())
    }

    /// Broadcasts, parents first; what Bitcoin knows already is no error.
    ///
    /// # Errors
    /// The chain, or it refuses one.
    pub fn send(&mut self, transactions: &[&Transaction]) -> Result<(), WalletError> {
        for transaction in transactions {
            self.wallet.broadcast(self.chain.0.as_ref(), &[transaction])?;
        }
        Ok(())
    }
}
