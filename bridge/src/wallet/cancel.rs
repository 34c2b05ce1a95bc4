//! Taking back a payment that is not in a block yet.

use bdk_wallet::KeychainKind;
use bitcoin::transaction::Version;
use bitcoin::{FeeRate, Sequence, Transaction, TxIn, TxOut, Txid};

use super::sign::Coin;
use super::{Wallet, WalletError, internal};

impl Wallet {
    /// A transaction that spends all that an unconfirmed transaction of the wallet spends, back to the wallet, paying enough
    /// to replace it and at least `fee_rate`. It is *held*, as by [`Self::fund`]. Asked again, it is the same one.
    ///
    /// # Errors
    /// The transaction is not the wallet's, its coins are worth less than the fee, or the files fail.
    pub fn cancel(&mut self, txid: &Txid, fee_rate: FeeRate) -> Result<Transaction, WalletError> {
        let cancelled =
            self.inner.tx_graph().get_tx(*txid).ok_or_else(|| internal("cancels what is not the wallet's"))?;
        let first = cancelled.input.first().ok_or_else(|| internal("cancels a transaction without inputs"))?;
        if let Some(spender) = self.child_on(first.previous_output)?
            && spender.compute_txid() != *txid
        {
            return Ok(spender);
        }
        let fee_before = self.inner.calculate_fee(&cancelled).map_err(internal)?;
        let mut coins = Vec::with_capacity(cancelled.input.len());
        for input in &cancelled.input {
            let outpoint = input.previous_output;
            let parent = self.inner.tx_graph().get_tx(outpoint.txid);
            let output = parent.and_then(|parent| parent.output.get(outpoint.vout as usize).cloned());
            let output = output.ok_or_else(|| internal("an input of the transaction is not the wallet's"))?;
            let key = Some(self.key_of(&output.script_pubkey)?.ok_or_else(|| internal("an input has another's key"))?);
            coins.push(Coin { outpoint, output, key });
        }
        let change = self.inner.next_unused_address(KeychainKind::Internal).script_pubkey();
        let input = |coin: &Coin| TxIn {
            previous_output: coin.outpoint,
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: bitcoin::Witness::from_slice(&[[0u8; 64]]),
            ..Default::default()
        };
        let mut tx = Transaction {
            version: Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: coins.iter().map(input).collect(),
            output: vec![TxOut { value: bitcoin::Amount::ZERO, script_pubkey: change.clone() }],
        };
        let vsize = tx.vsize() as u64;
        let replaces = fee_before + super::bump::fee_of(FeeRate::BROADCAST_MIN, vsize);
        let fee = super::bump::fee_of(fee_rate, vsize).max(replaces);
        let value: bitcoin::Amount = coins.iter().map(|coin| coin.output.value).sum();
        let needed = fee + change.minimal_non_dust();
        if value < needed {
            return Err(WalletError::InsufficientFunds { missing: needed - value });
        }
        tx.output[0].value = value - fee;
        let tx = self.sign(tx, &coins)?;
        self.hold(&tx)?;
        Ok(tx)
    }
}
