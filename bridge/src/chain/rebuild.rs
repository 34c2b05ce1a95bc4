//! A block put together from transactions that nobody vouches for.

use std::collections::HashSet;

use bitcoin::block::Header;
use bitcoin::{Block, Transaction, WitnessCommitment};
use bitcoin::hashes::Hash;

/// A block of 4 MWU holds fewer than 2^16 transactions of 60 bytes and more.
pub(super) const MAX_DEPTH: u32 = 16;

/// Start of the output script with the witness commitment (BIP 141).
const COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// Why transactions are not the block of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadBlock {
    #[error("the first transaction, and no other, must be a coinbase")]
    Coinbase,
    #[error("a transaction is there twice")]
    Duplicate,
    #[error("the transactions do not have the header's Merkle root")]
    MerkleRoot,
    #[error("the witnesses are not those the coinbase commits to")]
    Witnesses,
}

/// The block with `header`, if these are its transactions, all of them, in order, with their witnesses.
///
/// The Merkle root alone does not say so. Transactions repeated at the end can leave it unchanged (CVE-2012-2459), so
/// no two may be the same. Two hashes side by side can be dressed as a transaction of 64 bytes, which would hide the
/// real ones below it; then all leaves of the tree are one level up, the coinbase's too, and a coinbase with a height
/// and a witness commitment is longer than that.
pub(super) fn block(header: Header, transactions: Vec<Transaction>) -> Result<Block, BadBlock> {
    let is_coinbase_first = transactions.first().is_some_and(|tx| tx.is_coinbase() && tx.base_size() != 64);
    if !is_coinbase_first || transactions[1..].iter().any(Transaction::is_coinbase) {
        return Err(BadBlock::Coinbase);
    }
    let txids: HashSet<_> = transactions.iter().map(Transaction::compute_txid).collect();
    if txids.len() != transactions.len() {
        return Err(BadBlock::Duplicate);
    }
    let block = Block { header, txdata: transactions };
    if !block.check_merkle_root() {
        return Err(BadBlock::MerkleRoot);
    }
    if !has_its_witnesses(&block) {
        return Err(BadBlock::Witnesses);
    }
    Ok(block)
}

/// BIP 141: the last output of that form commits, and a block without one has no witnesses. (rust-bitcoin's check
/// accepts any block whose witnesses were all taken away.)
fn has_its_witnesses(block: &Block) -> bool {
    let coinbase = &block.txdata[0];
    let commitment = coinbase.output.iter().rev().find_map(|output| {
        let bytes = output.script_pubkey.as_bytes();
        (bytes.len() >= 38 && bytes.starts_with(&COMMITMENT)).then(|| <[u8; 32]>::try_from(&bytes[6..38]).ok())?
    });
    let Some(commitment) = commitment else {
        return block.txdata.iter().all(|tx| tx.input.iter().all(|input| input.witness.is_empty()));
    };
    let witness = &coinbase.input[0].witness;
    let (Some(reserved), Some(root)) = (witness.nth(0), block.witness_root()) else { return false };
    witness.len() == 1
        && reserved.len() == 32
        && Block::compute_witness_commitment(&root, reserved) == WitnessCommitment::from_byte_array(commitment)
}
