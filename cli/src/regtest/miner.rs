//! Who mines, and gives coins away.

use std::path::Path;
use std::sync::Arc;

use bitcoin::{Address, Amount, BlockHash, FeeRate, Network, OutPoint, ScriptBuf, Transaction, TxOut};
use serde_json::json;
use trestle_bridge::chain::{Bitcoind, Chain};
use trestle_bridge::wallet::{Funding, Mnemonic, Wallet, new_mnemonic};

use super::{Node, RegtestError, system};

/// Blocks until a coinbase can be spent.
const MATURITY: u32 = 100;
/// Coins that a new miner can spend, so that it can pay several people between two blocks.
const COINS: u32 = 10;
/// What it pays for its own transactions.
const FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(2);

/// A miner with mature coins. It mines when told to, and only then.
pub struct Miner {
    wallet: Wallet,
    chain: Arc<Bitcoind>,
    address: Address,
}

impl Miner {
    /// A miner on `node` whose wallet is in `directory`: the one that is there, or a new one. Mines until it has
    /// coins that can be spent.
    pub fn open(node: &Node, directory: &Path) -> Result<Self, RegtestError> {
        std::fs::create_dir_all(directory).map_err(system(format!("creating {}", directory.display())))?;
        let words = directory.join("mnemonic");
        if !words.exists() {
            std::fs::write(&words, new_mnemonic().to_string())
                .map_err(system(format!("writing {}", words.display())))?;
        }
        let text = std::fs::read_to_string(&words).map_err(system(format!("reading {}", words.display())))?;
        let invalid = |e: bdk_wallet::bip39::Error| std::io::Error::other(e.to_string());
        let mnemonic: Mnemonic =
            text.trim().parse().map_err(|e| system(format!("reading {}", words.display()))(invalid(e)))?;
        let mut wallet = Wallet::open(&directory.join("wallet"), Network::Regtest, &mnemonic, 1)?;
        let address = wallet.new_address()?;
        let chain = node.chain();
        wallet.sync(&*chain)?;
        let mut miner = Self { wallet, chain, address };
        if miner.wallet.balance().confirmed == Amount::ZERO {
            miner.mine(MATURITY + COINS)?;
        }
        Ok(miner)
    }

    /// Mines blocks on the tip, with all that the mempool holds.
    pub fn mine(&mut self, blocks: u32) -> Result<Vec<BlockHash>, RegtestError> {
        let hashes = self.chain.call("generatetoaddress", &[json!(blocks), json!(self.address.to_string())])?;
        self.wallet.sync(&*self.chain)?;
        Ok(hashes)
    }

    /// Where its coins go.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its wallet, synced to the last block that it mined.
    pub fn wallet(&mut self) -> &mut Wallet {
        &mut self.wallet
    }

    /// Pays `amount` to a script; returns the output, which waits in the mempool, and its transaction.
    pub fn pay(&mut self, script: ScriptBuf, amount: Amount) -> Result<(OutPoint, Transaction), RegtestError> {
        let output = TxOut { value: amount, script_pubkey: script };
        let tx = self.wallet.fund(&[output], Funding::at(FEE_RATE))?;
        self.wallet.broadcast(&*self.chain, &[&tx])?;
        Ok((OutPoint::new(tx.compute_txid(), 0), tx))
    }

    /// Pays `amount` to an address, and mines the block that confirms it.
    pub fn fund(&mut self, address: &Address, amount: Amount) -> Result<OutPoint, RegtestError> {
        let (outpoint, _) = self.pay(address.script_pubkey(), amount)?;
        self.mine(1)?;
        Ok(outpoint)
    }

    /// The chain it mines on.
    pub fn chain(&self) -> &dyn Chain {
        &*self.chain
    }
}
