//! A chain in memory that can be reorganized, and takes only what Bitcoin's rules on inputs and lock times take.

use std::collections::HashSet;

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash as _;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut,
    Txid, Witness, relative, transaction,
};
use trestle_challenger::view::Blocks;
use trestle_challenger::{Mined, View, ViewError};
use trestle_rollup::{Ledger, tagged_hash};

pub const GENESIS: u32 = 100;
pub const GENESIS_HASH: [u8; 32] = [0x11; 32];

/// What the chain tells.
pub struct Chain {
    pub ledger: Ledger,
    /// Transactions of each block above the genesis.
    pub blocks: Vec<Vec<Transaction>>,
    /// Blocks that are pretended to be on top, to see what happens in a year.
    pub ahead: u32,
    branch: u32,
    coins: u32,
    /// Coins that come from nowhere, for wallets.
    money: HashSet<OutPoint>,
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
        Ok(self.find(|tx| tx.input.iter().any(|input| input.previous_output == *outpoint)))
    }

    fn confirmed(&self, txid: &Txid) -> Result<Option<u32>, ViewError> {
        Ok(self.find(|tx| tx.compute_txid() == *txid).map(|mined| mined.height))
    }

    fn blocks(&self) -> Blocks {
        Box::new(|_| Err("no lane is entered on this chain".into()))
    }

    fn height(&self) -> u32 {
        self.ledger.tip().0 + self.ahead
    }
}

impl Chain {
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger, blocks: Vec::new(), ahead: 0, branch: 0, coins: 0, money: HashSet::new() }
    }

    fn find(&self, wanted: impl Fn(&Transaction) -> bool) -> Option<Mined> {
        let mut blocks = (GENESIS + 1..).zip(&self.blocks);
        blocks.find_map(|(height, block)| block.iter().find(|tx| wanted(tx)).map(|tx| Mined { tx: tx.clone(), height }))
    }

    /// A coin of somebody's wallet.
    pub fn coin(&mut self) -> OutPoint {
        self.coins += 1;
        let coin = OutPoint::new(Txid::from_byte_array(tagged_hash("test coin", &[&self.coins.to_le_bytes()])), 0);
        self.money.insert(coin);
        coin
    }

    /// The next block, of those of the pool that can be in it; returns the others, less those that never can.
    pub fn mine(&mut self, pool: Vec<Transaction>) -> Vec<Transaction> {
        let (mut block, mut later): (Vec<Transaction>, Vec<_>) = Default::default();
        for tx in pool {
            match self.is_final(&tx, &block) {
                Some(true) => block.push(tx),
                Some(false) => later.push(tx),
                None => {}
            }
        }
        let (height, entry) = self.ledger.tip();
        let raw = assemble(entry.block_hash, height + 1, self.branch, block.clone());
        self.ledger.extend(&serialize(&raw)).unwrap();
        self.blocks.push(block);
        later
    }

    /// Whether a transaction can be in the next block, after those in it already; none if one of its inputs is spent.
    fn is_final(&self, tx: &Transaction, block: &[Transaction]) -> Option<bool> {
        let height = self.ledger.tip().0 + 1;
        let spent_here =
            |outpoint| block.iter().any(|tx| tx.input.iter().any(|input| input.previous_output == outpoint));
        let mut is_final = tx.lock_time == LockTime::ZERO || tx.lock_time.to_consensus_u32() < height;
        for input in &tx.input {
            let outpoint = input.previous_output;
            if spent_here(outpoint) || self.spender(&outpoint).unwrap().is_some() {
                return None;
            }
            let made_here = block.iter().any(|tx| tx.compute_txid() == outpoint.txid).then_some(height);
            let made = self.confirmed(&outpoint.txid).unwrap().or(made_here);
            let made = made.or(self.money.contains(&outpoint).then_some(GENESIS));
            let delay = match input.sequence.to_relative_lock_time() {
                Some(relative::LockTime::Blocks(delay)) => u32::from(delay.value()),
                _ => 0,
            };
            is_final &= made.is_some_and(|made| made + delay <= height);
        }
        Some(is_final)
    }

    /// Takes the last blocks away and returns what was in them.
    pub fn disconnect(&mut self, depth: usize) -> Vec<Transaction> {
        let kept = self.blocks.len().saturating_sub(depth);
        let gone = self.blocks.drain(kept..).flatten().collect();
        self.ledger.rollback(GENESIS + u32::try_from(kept).unwrap()).unwrap();
        self.branch += 1;
        gone
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
