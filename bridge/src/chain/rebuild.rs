//! A block put together from transactions that nobody vouches for.

use std::collections::HashSet;

use bitcoin::block::Header;
use bitcoin::hashes::Hash;
use bitcoin::{Block, Transaction, WitnessCommitment};

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

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::constants::genesis_block;
    use bitcoin::{Amount, Network, OutPoint, ScriptBuf, TxIn, TxOut, Witness};

    fn transaction(seed: u8) -> Transaction {
        let txid = bitcoin::Txid::from_byte_array([seed; 32]);
        let witness = Witness::from_slice(&[[seed; 64]]);
        let input = TxIn { previous_output: OutPoint::new(txid, 0), witness, ..Default::default() };
        let output = TxOut { value: Amount::from_sat(1_000), script_pubkey: ScriptBuf::new_op_return([seed; 4]) };
        let mut coinbase = genesis_block(Network::Regtest).txdata[0].clone();
        (coinbase.input, coinbase.output) = (vec![input], vec![output]);
        coinbase
    }

    /// A block of a coinbase that commits to the witnesses of `others`, and those.
    fn honest(others: &[Transaction]) -> Block {
        let mut block = genesis_block(Network::Regtest);
        block.txdata.extend_from_slice(others);
        let reserved = [9; 32];
        block.txdata[0].input[0].witness = Witness::from_slice(&[reserved]);
        let root = block.witness_root().unwrap();
        let commitment = Block::compute_witness_commitment(&root, &reserved);
        let script = [&COMMITMENT[..], &commitment.to_byte_array()].concat();
        block.txdata[0].output.push(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(script) });
        block.header.merkle_root = block.compute_merkle_root().unwrap();
        block
    }

    #[test]
    fn an_honest_block_is_rebuilt() {
        for count in 0..6 {
            let others: Vec<_> = (1..=count).map(transaction).collect();
            let honest = honest(&others);
            assert_eq!(block(honest.header, honest.txdata.clone()), Ok(honest));
        }
        let genesis = genesis_block(Network::Regtest);
        assert_eq!(block(genesis.header, genesis.txdata.clone()), Ok(genesis), "no witnesses, no commitment");
    }

    #[test]
    fn a_block_with_anything_changed_is_refused() {
        let good = honest(&[transaction(1), transaction(2), transaction(3)]);
        let refused = |change: &dyn Fn(&mut Vec<Transaction>)| {
            let mut transactions = good.txdata.clone();
            change(&mut transactions);
            block(good.header, transactions).unwrap_err()
        };
        assert_eq!(refused(&|t| t.clear()), BadBlock::Coinbase);
        assert_eq!(refused(&|t| t.swap(0, 1)), BadBlock::Coinbase);
        assert_eq!(refused(&|t| t[1] = t[0].clone()), BadBlock::Coinbase);
        assert_eq!(refused(&|t| t.swap(2, 3)), BadBlock::MerkleRoot);
        assert_eq!(refused(&|t| t.truncate(3)), BadBlock::MerkleRoot);
        assert_eq!(refused(&|t| t.push(transaction(4))), BadBlock::MerkleRoot);
        assert_eq!(refused(&|t| t[1].output[0].value = Amount::ZERO), BadBlock::MerkleRoot);
        assert_eq!(refused(&|t| t[3].input[0].witness = Witness::new()), BadBlock::Witnesses);
        assert_eq!(refused(&|t| t[0].input[0].witness = Witness::from_slice(&[[8; 32]])), BadBlock::Witnesses);
        // All of them at once, which rust-bitcoin's own check lets pass.
        let strip = |t: &mut Vec<Transaction>| t.iter_mut().for_each(|tx| tx.input[0].witness = Witness::new());
        assert_eq!(refused(&strip), BadBlock::Witnesses);
    }

    #[test]
    fn transactions_repeated_at_the_end_are_refused_though_the_merkle_root_is_the_same() {
        let good = honest(&[transaction(1), transaction(2)]);
        let mut transactions = good.txdata.clone();
        transactions.push(transaction(2));
        let doubled = Block { header: good.header, txdata: transactions.clone() };
        assert!(doubled.check_merkle_root(), "CVE-2012-2459");
        assert_eq!(block(good.header, transactions), Err(BadBlock::Duplicate));
    }

    #[test]
    fn witnesses_that_nothing_commits_to_are_refused() {
        let mut bad = genesis_block(Network::Regtest);
        bad.txdata.push(transaction(1));
        bad.header.merkle_root = bad.compute_merkle_root().unwrap();
        assert_eq!(block(bad.header, bad.txdata), Err(BadBlock::Witnesses));
    }
}
