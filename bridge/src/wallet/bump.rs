//! Paying for a transaction whose own fee was fixed when it was signed, by a child that spends one of its outputs.

use bdk_wallet::KeychainKind;
use bitcoin::key::{Keypair, TapTweak};
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};

use super::sign::{Coin, key_path_script};
use super::{Wallet, WalletError, internal};
use crate::chain::is_pay_to_anchor;

/// A child of a version 3 transaction has at most so many vbytes (BIP 431).
const CHILD_VSIZE: u64 = 1_000;
/// What a child pays at least, and what it pays above one that it replaces: the highest default of the nodes that
/// relay it.
const LEAST: FeeRate = FeeRate::BROADCAST_MIN;
/// Blocks before a coinbase can be spent.
const MATURITY: u32 = 100;

impl Wallet {
    /// A transaction of the parent's version that spends output `vout` of `parent` so that the two together pay `target`, given
    /// the parent's own fee; the value comes back to the wallet, which adds confirmed coins where the output alone does
    /// not pay for it. The output is a pay-to-anchor one, one of the wallet's, or a taproot one of `key` (as BIP 86
    /// tweaks it, or untweaked). It is *held*, to be broadcast together with the parent.
    ///
    /// Where the wallet made a child on that output before, the new one replaces it, and pays more.
    pub fn bump_child(
        &mut self,
        parent: &Transaction,
        vout: u32,
        parent_fee: Amount,
        target: FeeRate,
        key: Option<&Keypair>,
    ) -> Result<Transaction, WalletError> {
        let first = self.coin_to_bump(parent, vout, key)?;
        let replaced = self.child_on(first.outpoint)?;
        let mut coins = self.coins_for_child(first.outpoint, replaced.as_ref());
        let replaced_fee = match &replaced {
            Some(tx) => self.inner.calculate_fee(tx).map_err(internal)?,
            None => Amount::ZERO,
        };
        let parent_vsize = parent.vsize() as u64;
        let fee = |child_vsize: u64| {
            let package = fee_of(target, parent_vsize + child_vsize).checked_sub(parent_fee).unwrap_or_default();
            let replacement = replaced_fee + fee_of(LEAST, child_vsize);
            package.max(replacement)
        };
        let change = self.inner.next_unused_address(KeychainKind::Internal).script_pubkey();

        let mut chosen = vec![first];
        let child = loop {
            let child = unsigned(&chosen, &change, parent.version);
            let vsize = child.vsize() as u64;
            if vsize > CHILD_VSIZE {
                return Err(WalletError::ChildTooLarge { vsize });
            }
            let value: Amount = chosen.iter().map(|coin| coin.output.value).sum();
            let needed = fee(vsize) + change.minimal_non_dust();
            if value >= needed {
                break Transaction {
                    output: vec![TxOut { value: value - fee(vsize), script_pubkey: change }],
                    ..child
                };
            }
            // The smallest coin that suffices, with what it costs to spend it; else the largest, and on.
            let with_one_more = fee(vsize + 58) + change.minimal_non_dust();
            let missing = with_one_more - value.min(with_one_more);
            let index = coins.iter().position(|coin| coin.output.value >= missing).or(coins.len().checked_sub(1));
            let Some(index) = index else { return Err(WalletError::InsufficientFunds { missing }) };
            chosen.push(coins.remove(index));
        };
        let child = self.sign(child, &chosen)?;
        // So that the fee is known when this child is to be replaced.
        self.inner.insert_txout(chosen[0].outpoint, chosen[0].output.clone());
        self.hold(&child)?;
        Ok(child)
    }

    fn coin_to_bump(&self, parent: &Transaction, vout: u32, key: Option<&Keypair>) -> Result<Coin, WalletError> {
        let outpoint = OutPoint::new(parent.compute_txid(), vout);
        let cannot = |reason| WalletError::CannotBump { outpoint, reason };
        let output = parent.output.get(vout as usize).ok_or_else(|| cannot("there is no such output"))?.clone();
        if is_pay_to_anchor(&output.script_pubkey) {
            return Ok(Coin { outpoint, output, key: None });
        }
        let of_key = key.and_then(|key| {
            let tweaked = key.tap_tweak(&self.secp, None).to_keypair();
            [*key, tweaked].into_iter().find(|key| output.script_pubkey == key_path_script(key))
        });
        let key = match of_key {
            Some(key) => key,
            None => {
                self.key_of(&output.script_pubkey)?.ok_or_else(|| cannot("it is neither an anchor nor the wallet's"))?
            }
        };
        Ok(Coin { outpoint, output, key: Some(key) })
    }

    /// The wallet's unconfirmed transaction that spends an output already.
    pub(super) fn child_on(&self, outpoint: OutPoint) -> Result<Option<Transaction>, WalletError> {
        let spenders = self.inner.tx_graph().outspends(outpoint);
        let Some(child) = spenders.iter().find_map(|txid| self.inner.get_tx(*txid)) else { return Ok(None) };
        if child.chain_position.is_confirmed() {
            return Err(WalletError::CannotBump { outpoint, reason: "it is spent in a block" });
        }
        Ok(Some(child.tx_node.tx.as_ref().clone()))
    }

    /// The coins that a child may spend besides its parent's output: confirmed, since it may have one unconfirmed
    /// parent only (BIP 431); smallest first.
    fn coins_for_child(&self, parent: OutPoint, replaced: Option<&Transaction>) -> Vec<Coin> {
        let free = self.inner.list_unspent().map(|coin| coin.outpoint);
        let freed = replaced.iter().flat_map(|tx| tx.input.iter().map(|input| input.previous_output));
        let outpoints: std::collections::BTreeSet<_> =
            free.chain(freed).filter(|outpoint| *outpoint != parent).collect();
        let mut coins: Vec<_> = outpoints.into_iter().filter_map(|outpoint| self.confirmed_coin(outpoint)).collect();
        coins.sort_by_key(|coin| (coin.output.value, coin.outpoint));
        coins
    }

    fn confirmed_coin(&self, outpoint: OutPoint) -> Option<Coin> {
        let tx = self.inner.get_tx(outpoint.txid)?;
        let height = tx.chain_position.confirmation_height_upper_bound()?;
        let is_mature = !tx.tx_node.tx.is_coinbase() || self.tip().height + 1 >= height + MATURITY;
        if !is_mature || self.inner.is_outpoint_locked(outpoint) {
            return None;
        }
        let output = tx.tx_node.tx.output.get(outpoint.vout as usize)?.clone();
        let key = self.key_of(&output.script_pubkey).ok()??;
        Some(Coin { outpoint, output, key: Some(key) })
    }

    /// What the wallet's own transaction that spends an output, in a block, has paid; `None` if there is none.
    pub fn fee_on(&self, outpoint: OutPoint) -> Option<Amount> {
        let spenders = self.inner.tx_graph().outspends(outpoint);
        let is_mined = |txid: &&Txid| self.inner.get_tx(**txid).is_some_and(|tx| tx.chain_position.is_confirmed());
        self.fee_of(spenders.iter().find(is_mined)?)
    }

    /// The fee of a transaction of the wallet's making, whose inputs it knows.
    pub fn fee_of(&self, txid: &Txid) -> Option<Amount> {
        let tx = self.inner.tx_graph().get_tx(*txid)?;
        self.inner.calculate_fee(&tx).ok()
    }
}

/// A fee rate times a size, rounded up.
pub(super) fn fee_of(rate: FeeRate, vsize: u64) -> Amount {
    rate.fee_vb(vsize).unwrap_or(Amount::MAX_MONEY)
}

/// The child with witnesses of the right size, and all value in its output.
fn unsigned(coins: &[Coin], change: &ScriptBuf, version: Version) -> Transaction {
    let input = |coin: &Coin| TxIn {
        previous_output: coin.outpoint,
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: if coin.key.is_some() { Witness::from_slice(&[[0u8; 64]]) } else { Witness::new() },
        ..Default::default()
    };
    Transaction {
        version,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: coins.iter().map(input).collect(),
        output: vec![TxOut { value: Amount::ZERO, script_pubkey: change.clone() }],
    }
}
