//! A chain in memory that takes what Bitcoin Core's code takes, and can be reorganized.

use std::collections::HashMap;

use bitcoin::block::Header;
use bitcoin::consensus::serialize;
use bitcoin::{Amount, OutPoint, Transaction, TxOut, Txid, relative};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};
use trestle_challenger::view::Blocks;
use trestle_challenger::{Mined, View, ViewError};
use trestle_rollup::Ledger;

use super::table::Table;

pub struct Chain {
    /// No part of a lane's rules: what a side knows is its testimony.
    ledger: Ledger,
    /// Height of the block under the first.
    base: u32,
    blocks: Vec<Vec<Transaction>>,
    made: HashMap<Txid, u32>,
    spent: HashMap<OutPoint, Mined>,
    outputs: HashMap<OutPoint, TxOut>,
    /// Scripts that were found to be satisfied.
    judged: HashMap<bitcoin::Wtxid, bool>,
}

/// Whether a transaction can be in the next block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Now,
    /// What it spends is not there, or too young.
    Later,
    /// What it spends is spent.
    Never,
}

impl View for Chain {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn spender(&self, outpoint: &OutPoint) -> Result<Option<Mined>, ViewError> {
        Ok(self.spent.get(outpoint).cloned())
    }

    fn confirmed(&self, txid: &Txid) -> Result<Option<u32>, ViewError> {
        Ok(self.made.get(txid).copied())
    }

    fn header(&self, _: u32) -> Result<Option<Header>, ViewError> {
        Ok(None)
    }

    fn blocks(&self) -> Blocks {
        Box::new(|_| Err("what a side knows is its testimony".into()))
    }

    fn height(&self) -> u32 {
        self.base + self.blocks.len() as u32
    }
}

impl Chain {
    /// A chain at this height, on which the bonds are.
    pub fn new(table: &Table, base: u32) -> Self {
        let db = sled::Config::new().temporary(true).open().unwrap();
        let ledger = Ledger::open(&db, &table.bridge.rollup).unwrap();
        let (outputs, made) = table.coins.iter().map(|(at, output)| ((*at, output.clone()), (at.txid, base))).unzip();
        Self { ledger, base, blocks: Vec::new(), made, spent: HashMap::new(), outputs, judged: HashMap::new() }
    }

    pub fn fits(&self, tx: &Transaction) -> Fit {
        if self.made.contains_key(&tx.compute_txid()) {
            return Fit::Never;
        }
        let next = self.height() + 1;
        let mut fit = Fit::Now;
        for input in &tx.input {
            let at = input.previous_output;
            if self.spent.contains_key(&at) {
                return Fit::Never;
            }
            let delay = match input.sequence.to_relative_lock_time() {
                Some(relative::LockTime::Blocks(delay)) => u32::from(delay.value()),
                _ => 0,
            };
            match self.made.get(&at.txid) {
                // What is mined now can be spent in the same block, which no side relies on.
                Some(made) if made + delay <= next && self.outputs.contains_key(&at) => {}
                _ => fit = Fit::Later,
            }
        }
        fit
    }

    /// The next block, of those that fit in this order; returns the others, less those that never will.
    pub fn mine(&mut self, pool: Vec<Transaction>) -> Vec<Transaction> {
        let mut later = Vec::new();
        let mut block = Vec::new();
        let height = self.height() + 1;
        for tx in pool {
            match self.fits(&tx) {
                Fit::Now => {
                    self.judge(&tx);
                    self.include(&tx, height);
                    block.push(tx);
                }
                Fit::Later => later.push(tx),
                Fit::Never => {}
            }
        }
        self.blocks.push(block);
        later.retain(|tx| self.fits(tx) != Fit::Never);
        later
    }

    fn include(&mut self, tx: &Transaction, height: u32) {
        let txid = tx.compute_txid();
        self.made.insert(txid, height);
        for input in &tx.input {
            self.spent.insert(input.previous_output, Mined { tx: tx.clone(), height });
        }
        for (vout, output) in (0..).zip(&tx.output) {
            self.outputs.insert(OutPoint::new(txid, vout), output.clone());
        }
    }

    /// Inputs pay for outputs, and Core's code accepts every witness.
    fn judge(&mut self, tx: &Transaction) {
        let spent: Vec<&TxOut> = tx.input.iter().map(|input| &self.outputs[&input.previous_output]).collect();
        let paid = |outputs: &mut dyn Iterator<Item = &TxOut>| outputs.map(|output| output.value).sum::<Amount>();
        let fee = paid(&mut spent.iter().copied()).checked_sub(paid(&mut tx.output.iter()));
        assert!(fee.is_some_and(|fee| fee > Amount::ZERO), "{tx:?} makes money");
        if self.judged.insert(tx.compute_wtxid(), true).is_some() {
            return;
        }
        let utxo = |output: &&TxOut| Utxo {
            script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
            script_pubkey_len: output.script_pubkey.len() as u32,
            value: output.value.to_sat() as i64,
        };
        let utxos: Vec<Utxo> = spent.iter().map(utxo).collect();
        let (raw, flags) = (serialize(tx), VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT);
        for (index, output) in spent.iter().enumerate() {
            let (script, value) = (output.script_pubkey.as_bytes(), output.value.to_sat());
            verify_with_flags(script, value, &raw, Some(&utxos), index, flags).unwrap();
        }
    }

    /// Takes the last blocks away and returns what was in them.
    pub fn disconnect(&mut self, depth: usize) -> Vec<Transaction> {
        let kept = self.blocks.len() - depth.min(self.blocks.len());
        let gone: Vec<Transaction> = self.blocks.drain(kept..).flatten().collect();
        for tx in &gone {
            self.made.remove(&tx.compute_txid());
            for input in &tx.input {
                self.spent.remove(&input.previous_output);
            }
        }
        gone
    }

    /// The transactions of all blocks.
    pub fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.blocks.iter().flatten()
    }

    /// What is unspent of this script.
    pub fn balance(&self, script: &bitcoin::Script) -> Amount {
        let own = self.outputs.iter().filter(|(at, output)| {
            *output.script_pubkey == *script && self.made.contains_key(&at.txid) && !self.spent.contains_key(at)
        });
        own.map(|(_, output)| output.value).sum()
    }

    /// All that is unspent.
    pub fn worth(&self) -> Amount {
        let unspent =
            self.outputs.iter().filter(|(at, _)| self.made.contains_key(&at.txid) && !self.spent.contains_key(at));
        unspent.map(|(_, output)| output.value).sum()
    }

    /// What the transactions of all blocks paid.
    pub fn fees(&self) -> Amount {
        let value = |outpoint: &OutPoint| self.outputs[outpoint].value;
        let fee = |tx: &Transaction| {
            let paid: Amount = tx.output.iter().map(|output| output.value).sum();
            tx.input.iter().map(|input| value(&input.previous_output)).sum::<Amount>() - paid
        };
        self.transactions().map(fee).sum()
    }
}
