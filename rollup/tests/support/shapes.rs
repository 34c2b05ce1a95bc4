//! Blocks whose trees and transactions are of unusual shape.

use bitcoin::consensus::encode::serialize;
use bitcoin::{Block, ScriptBuf, Transaction, TxOut, Witness};

use super::chain::{GENESIS_HASH, assemble};
use super::{Bridge, account, destination, outpoint, plain};

/// Blocks with a name each.
pub type Shapes = Vec<(String, Block)>;

/// The block as it would have been before witnesses.
pub fn without_witnesses(mut block: Block) -> Block {
    block.txdata[0].output.retain(|output| !output.script_pubkey.as_bytes().starts_with(&[0x6a, 0x24]));
    block.txdata.iter_mut().flat_map(|transaction| &mut transaction.input).for_each(|input| input.witness.clear());
    rehash(block)
}

/// With the merkle root of its transactions, whatever they commit to.
pub fn rehash(mut block: Block) -> Block {
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    block
}

/// A transaction of 64 bytes: as long as a node of the tree.
pub fn like_a_node(number: u32) -> Transaction {
    let transaction = plain(outpoint(number), vec![(u64::from(number), ScriptBuf::from_bytes(vec![0x51; 4]))]);
    assert_eq!(serialize(&transaction).len(), 64);
    transaction
}

/// Some with witnesses, some without, every other as long as a node.
pub fn mixed(count: u32) -> Vec<Transaction> {
    let transaction = |number: u32| {
        let mut transaction = like_a_node(number);
        if number % 2 == 1 {
            transaction.output[0].script_pubkey = destination(number as usize).script_pubkey();
            transaction.input[0].witness = Witness::from_slice(&[vec![2; number as usize]]);
        }
        transaction
    };
    (0..count).map(transaction).collect()
}

/// A block with one of each kind of action.
pub fn busy(bridge: &Bridge) -> Block {
    let transactions = vec![
        plain(outpoint(50), vec![(1, destination(0).script_pubkey())]),
        bridge.mint(1, account(0), 1),
        bridge.batch(2, 0, &[bridge.transfer(0, 1, 500, 3, 0), bridge.withdraw(0, 0, 1, 1)]),
        bridge.forced(3, &bridge.transfer(1, 0, 100, 0, 0)),
        bridge.payout(4, 0, destination(0), 0, None),
    ];
    assemble(GENESIS_HASH, 101, 0, transactions)
}

/// Up to 33 transactions: nodes without a right neighbour at every level, and at several at once; with witnesses and
/// without, with a commitment and without, and transactions that are as long as nodes.
pub fn trees() -> Shapes {
    let blocks = (0..=33).flat_map(|count| {
        let mixed = assemble(GENESIS_HASH, 101, 0, mixed(count));
        let like_nodes = assemble(GENESIS_HASH, 101, 0, (0..count).map(like_a_node).collect());
        [
            (format!("{count}, without witnesses"), without_witnesses(mixed.clone())),
            (format!("{count}, some with witnesses"), mixed),
            (format!("{count} like nodes, without a commitment"), without_witnesses(like_nodes.clone())),
            (format!("{count} like nodes, with a commitment"), like_nodes),
        ]
    });
    blocks.collect()
}

/// Coinbases that are as long as nodes.
pub fn small_coinbases() -> Shapes {
    let block = |count| {
        let mut block = without_witnesses(assemble(GENESIS_HASH, 101, 0, (0..count).map(like_a_node).collect()));
        block.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(vec![1, 101, 0]);
        assert_eq!(serialize(&block.txdata[0]).len(), 64);
        (format!("a coinbase of 64 bytes and {count}"), rehash(block))
    };
    (0..=5).map(block).collect()
}

/// An output like a commitment, but for a change.
pub fn other_commitment(block: &Block, change: impl FnOnce(&mut Vec<u8>)) -> TxOut {
    let commitment = &block.txdata[0].output[1];
    let mut script = commitment.script_pubkey.to_bytes();
    change(&mut script);
    TxOut { script_pubkey: ScriptBuf::from_bytes(script), ..commitment.clone() }
}

/// Several outputs that are commitments or nearly so; the last that is one is the right one.
pub fn commitments() -> Shapes {
    let block = busy(&Bridge::default());
    let mut several = block.clone();
    several.txdata[0].output.insert(1, other_commitment(&block, |script| script[20] ^= 1));
    several.txdata[0].output.extend([
        other_commitment(&block, |script| script.truncate(37)),
        other_commitment(&block, |script| script[5] ^= 1),
        other_commitment(&block, Vec::clear),
    ]);
    let mut long = block.clone();
    long.txdata[0].output[1] = other_commitment(&block, |script| script.extend([7; 300]));
    vec![("several commitments".into(), rehash(several)), ("a long commitment".into(), rehash(long))]
}

/// Transactions that fill a block.
pub fn large() -> Shapes {
    let mut witness = like_a_node(1);
    witness.input[0].witness = Witness::from_slice(&[vec![3; 3_998_000]]);
    let witness = assemble(GENESIS_HASH, 101, 0, vec![witness]);
    let weight = witness.weight().to_wu();
    assert!((3_998_000..=4_000_000).contains(&weight), "{weight}");
    let output = plain(outpoint(1), vec![(1, ScriptBuf::from_bytes(vec![0x6a; 999_000]))]);
    let output = without_witnesses(assemble(GENESIS_HASH, 101, 0, vec![output]));
    vec![("one large witness".into(), witness), ("one large output".into(), output)]
}
