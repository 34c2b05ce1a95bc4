//! Synthetic blocks: each with the right parent, merkle root and witness commitment; without proof of work.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version as TransactionVersion;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut,
    Witness,
};

/// The hash of the block before the first.
pub const GENESIS_HASH: [u8; 32] = [0x11; 32];

/// A chain being built: only its last block's hash and height.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    pub tip: [u8; 32],
    pub height: u32,
    /// Goes into the headers' times, so that branches differ.
    pub branch: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self { tip: GENESIS_HASH, height: 100, branch: 0 }
    }
}

impl Chain {
    /// The serialized next block with these transactions after the coinbase.
    pub fn block(&mut self, transactions: Vec<Transaction>) -> Vec<u8> {
        let block = assemble(self.tip, self.height + 1, self.branch, transactions);
        self.tip = block.block_hash().to_byte_array();
        self.height += 1;
        serialize(&block)
    }
}

/// A block with a coinbase that commits to the witnesses (BIP 34, BIP 141).
pub fn assemble(parent: [u8; 32], height: u32, time: u32, transactions: Vec<Transaction>) -> Block {
    let coinbase = Transaction {
        version: TransactionVersion::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::builder().push_int(i64::from(height)).push_slice([0; 4]).into_script(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[[0u8; 32]]),
        }],
        output: vec![TxOut { value: Amount::from_sat(312_500_000), script_pubkey: ScriptBuf::from_bytes(vec![0x51]) }],
    };
    let header = Header {
        version: Version::TWO,
        prev_blockhash: BlockHash::from_byte_array(parent),
        merkle_root: TxMerkleNode::all_zeros(),
        time,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    let mut block = Block { header, txdata: std::iter::once(coinbase).chain(transactions).collect() };
    let witness_root = block.witness_root().expect("there is a coinbase");
    let commitment = Block::compute_witness_commitment(&witness_root, &[0; 32]);
    let script = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], commitment.as_byte_array()].concat();
    block.txdata[0].output.push(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(script) });
    block.header.merkle_root = block.compute_merkle_root().expect("there is a coinbase");
    block
}
