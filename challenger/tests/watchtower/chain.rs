//! A chain in memory that can be reorganized.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash as _;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut,
    Txid, Witness, transaction,
};
use trestle_challenger::view::Blocks;
use trestle_challenger::{Mined, View, ViewError};
use trestle_rollup::{Ledger, tagged_hash};

pub const GENESIS: u32 = 100;

/// What the chain tells.
pub struct Chain {
    pub ledger: Ledger,
    /// Transactions of each block above the genesis.
    pub blocks: Vec<Vec<Transaction>>,
    /// Blocks that are pretended to be on top, to see what happens in a year, and how many are below them.
    pub ahead: u32,
    below: usize,
    branch: u32,
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
        let spends = |tx: &&Transaction| tx.input.iter().any(|input| input.previous_output == *outpoint);
        Ok(self.find(spends))
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
        Self { ledger, blocks: Vec::new(), ahead: 0, below: 0, branch: 0 }
    }

    fn find(&self, wanted: impl Fn(&&Transaction) -> bool) -> Option<Mined> {
        let mut blocks = (GENESIS + 1..).zip(&self.blocks).enumerate();
        blocks.find_map(|(number, (height, block))| {
            let height = if number < self.below { height } else { height + self.ahead };
            block.iter().find(&wanted).map(|tx| Mined { tx: tx.clone(), height })
        })
    }

    /// Pretends that so many blocks are on top; those that are mined from now on are above them.
    pub fn jump(&mut self, ahead: u32) {
        (self.ahead, self.below) = (ahead, self.blocks.len());
    }

    /// The next block.
    pub fn mine(&mut self, transactions: Vec<Transaction>) {
        let (height, entry) = self.ledger.tip();
        let block = assemble(entry.block_hash, height + 1, self.branch, transactions.clone());
        self.ledger.extend(&serialize(&block)).unwrap();
        self.blocks.push(transactions);
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

pub fn coin(number: u32) -> OutPoint {
    OutPoint::new(Txid::from_byte_array(tagged_hash("test coin", &[&number.to_le_bytes()])), 0)
}

pub fn output(value: u64, script_pubkey: ScriptBuf) -> TxOut {
    TxOut { value: Amount::from_sat(value), script_pubkey }
}

pub fn spend(input: OutPoint, output: Vec<TxOut>) -> Transaction {
    let witness = Witness::from_slice(&[vec![1; 64]]);
    let sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;
    Transaction {
        version: transaction::Version(3),
        lock_time: LockTime::ZERO,
        input: vec![TxIn { previous_output: input, script_sig: ScriptBuf::new(), sequence, witness }],
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
