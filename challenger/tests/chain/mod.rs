//! Bitcoin in memory: takes what the rules on inputs and lock times take, and can be reorganized.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash as _;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut,
    Txid, Witness, Wtxid, relative, transaction,
};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};
use trestle_challenger::view::Blocks;
use trestle_challenger::{Mined, View, ViewError};
use trestle_rollup::{Ledger, Parameters, tagged_hash};

pub const GENESIS: u32 = 100;
pub const GENESIS_HASH: [u8; 32] = [0x11; 32];

/// What the chain tells.
pub struct Chain {
    pub ledger: Ledger,
    /// Whether the ledger follows the blocks.
    followed: bool,
    /// Height of the block under the first.
    base: u32,
    /// Transactions of each block above the base.
    pub blocks: Vec<Vec<Transaction>>,
    /// Blocks that are pretended to be on top, to see what happens in a year.
    pub ahead: u32,
    /// The same, below those that are mined from now on.
    below: u32,
    branch: u32,
    coins: u32,
    made: HashMap<Txid, u32>,
    spent: HashMap<OutPoint, Mined>,
    /// All that there ever were, on any branch.
    outputs: HashMap<OutPoint, TxOut>,
    /// Whether Core's code judges every witness, and amounts have to add up.
    pub judges: bool,
    judged: HashSet<Wtxid>,
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

    fn header(&self, height: u32) -> Result<Option<Header>, ViewError> {
        let known = self.ledger.entry(height)?.is_some();
        Ok(known.then(|| header([0; 32], self.branch)))
    }

    fn spender(&self, outpoint: &OutPoint) -> Result<Option<Mined>, ViewError> {
        Ok(self.spent.get(outpoint).cloned())
    }

    fn confirmed(&self, txid: &Txid) -> Result<Option<u32>, ViewError> {
        Ok(self.made.get(txid).copied())
    }

    fn blocks(&self) -> Blocks {
        Box::new(|_| Err("no lane is played by what is in these blocks".into()))
    }

    fn height(&self) -> u32 {
        self.base + self.blocks.len() as u32 + self.below + self.ahead
    }
}

impl Chain {
    /// A chain that a ledger follows, from its genesis on.
    pub fn new(ledger: Ledger) -> Self {
        Self::on(ledger, true, GENESIS)
    }

    /// A chain that no ledger follows, with these outputs in the block at the height `base`. Witnesses are judged.
    pub fn bare(parameters: &Parameters, base: u32, coins: &[(OutPoint, TxOut)]) -> Self {
        static LEDGER: OnceLock<(sled::Db, Ledger)> = OnceLock::new();
        let (_, ledger) = LEDGER.get_or_init(|| {
            let db = sled::Config::new().temporary(true).open().unwrap();
            let ledger = Ledger::open(&db, parameters).unwrap();
            (db, ledger)
        });
        let mut chain = Self::on(ledger.clone(), false, base);
        chain.judges = true;
        chain.outputs.extend(coins.iter().cloned());
        chain.made.extend(coins.iter().map(|(at, _)| (at.txid, base)));
        chain
    }

    fn on(ledger: Ledger, followed: bool, base: u32) -> Self {
        let (blocks, made, spent, outputs, judged) = Default::default();
        let (ahead, below, branch, coins, judges) = Default::default();
        Self { ledger, followed, base, blocks, ahead, below, branch, coins, made, spent, outputs, judges, judged }
    }

    /// A coin that anyone may spend.
    pub fn coin(&mut self) -> OutPoint {
        self.coins += 1;
        let coin = OutPoint::new(Txid::from_byte_array(tagged_hash("test coin", &[&self.coins.to_le_bytes()])), 0);
        self.made.insert(coin.txid, self.base);
        self.outputs.insert(coin, output(Amount::ONE_BTC.to_sat(), ScriptBuf::new_p2a()));
        coin
    }

    /// Pretends that so many blocks are on top; those that are mined from now on are above them.
    pub fn jump(&mut self, ahead: u32) {
        self.below += ahead;
    }

    /// The height of the last block.
    fn top(&self) -> u32 {
        self.height() - self.ahead
    }

    pub fn fits(&self, tx: &Transaction) -> Fit {
        let next = self.top() + 1;
        let is_final = tx.lock_time == LockTime::ZERO || tx.lock_time.to_consensus_u32() < next;
        let mut fit = if is_final { Fit::Now } else { Fit::Later };
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
                // What is mined now can be spent in the same block.
                Some(made) if made + delay <= next && self.outputs.contains_key(&at) => {}
                _ => fit = Fit::Later,
            }
        }
        fit
    }

    /// The next block, of those that fit in this order; returns the others, less those that never will.
    pub fn mine(&mut self, pool: Vec<Transaction>) -> Vec<Transaction> {
        let (mut block, mut later) = (Vec::new(), Vec::new());
        let height = self.top() + 1;
        for tx in pool {
            match self.fits(&tx) {
                Fit::Now => {
                    if self.judges {
                        self.judge(&tx);
                    }
                    self.include(&tx, height);
                    block.push(tx);
                }
                Fit::Later => later.push(tx),
                Fit::Never => {}
            }
        }
        self.close(block);
        later.retain(|tx| self.fits(tx) != Fit::Never);
        later
    }

    /// The next block, of just these.
    pub fn add(&mut self, block: Vec<Transaction>) {
        let height = self.top() + 1;
        block.iter().for_each(|tx| self.include(tx, height));
        self.close(block);
    }

    fn close(&mut self, block: Vec<Transaction>) {
        if self.followed {
            let (height, entry) = self.ledger.tip();
            let raw = assemble(entry.block_hash, height + 1, self.branch, block.clone());
            self.ledger.extend(&serialize(&raw)).unwrap();
        }
        self.blocks.push(block);
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
        if !self.judged.insert(tx.compute_wtxid()) {
            return;
        }
        let spent: Vec<&TxOut> = tx.input.iter().map(|input| &self.outputs[&input.previous_output]).collect();
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
        let kept = self.blocks.len().saturating_sub(depth);
        let gone: Vec<Transaction> = self.blocks.drain(kept..).flatten().collect();
        for tx in &gone {
            self.made.remove(&tx.compute_txid());
            for input in &tx.input {
                self.spent.remove(&input.previous_output);
            }
        }
        if self.followed {
            self.ledger.rollback(self.top() - self.below).unwrap();
        }
        self.branch += 1;
        gone
    }

    /// What a transaction of these blocks pays. It makes no money.
    pub fn fee(&self, tx: &Transaction) -> Amount {
        let paid: Amount = tx.output.iter().map(|output| output.value).sum();
        let spent: Amount = tx.input.iter().map(|input| self.outputs[&input.previous_output].value).sum();
        spent.checked_sub(paid).unwrap_or_else(|| panic!("{tx:?} makes money"))
    }

    /// The transactions of all blocks.
    pub fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.blocks.iter().flatten()
    }

    /// What there is of an output.
    pub fn output(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        self.outputs.get(outpoint)
    }

    /// All that is unspent.
    pub fn unspent(&self) -> impl Iterator<Item = (&OutPoint, &TxOut)> {
        self.outputs.iter().filter(|(at, _)| self.made.contains_key(&at.txid) && !self.spent.contains_key(at))
    }

    /// What is unspent of this script.
    pub fn balance(&self, script: &bitcoin::Script) -> Amount {
        self.unspent().filter(|(_, output)| *output.script_pubkey == *script).map(|(_, output)| output.value).sum()
    }

    /// What all that is unspent is worth.
    pub fn worth(&self) -> Amount {
        self.unspent().map(|(_, output)| output.value).sum()
    }

    /// What the transactions of all blocks paid.
    pub fn fees(&self) -> Amount {
        self.transactions().map(|tx| self.fee(tx)).sum()
    }
}

pub fn output(value: u64, script_pubkey: ScriptBuf) -> TxOut {
    TxOut { value: Amount::from_sat(value), script_pubkey }
}

/// A transaction of somebody's wallet.
pub fn spend(input: OutPoint, output: Vec<TxOut>) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: input,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::from_slice(&[vec![1; 64]]),
        }],
        output,
    }
}

/// A header of no transactions.
fn header(parent: [u8; 32], branch: u32) -> Header {
    Header {
        version: Version::TWO,
        prev_blockhash: BlockHash::from_byte_array(parent),
        merkle_root: TxMerkleNode::all_zeros(),
        time: branch,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    }
}

fn assemble(parent: [u8; 32], height: u32, branch: u32, transactions: Vec<Transaction>) -> Block {
    let mut coinbase = spend(OutPoint::null(), vec![output(0, ScriptBuf::new())]);
    coinbase.input[0].witness = Witness::from_slice(&[[0u8; 32]]);
    coinbase.input[0].script_sig = ScriptBuf::builder().push_int(i64::from(height)).push_slice([0; 4]).into_script();
    let mut block =
        Block { header: header(parent, branch), txdata: std::iter::once(coinbase).chain(transactions).collect() };
    let root = block.witness_root().unwrap();
    let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
    let script = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], commitment.as_byte_array()].concat();
    block.txdata[0].output.push(output(0, ScriptBuf::from_bytes(script)));
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    block
}
