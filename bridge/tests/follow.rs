//! Following a chain that changes between any two questions, and crashing between any two steps: no step is skipped,
//! repeated or out of order, and the follower ends up where the chain is.

use std::sync::{Arc, Mutex};

use bitcoin::block::Header;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, Block, BlockHash, FeeRate, Network, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_bridge::chain::{BlockId, Chain, ChainError, Located};
use trestle_bridge::follow::{FollowError, Follower, Step};
use trestle_rollup::{Ledger, Parameters};

/// The height that the chain, and the Layer 2, begin at.
const GENESIS: u32 = 10;

/// A chain in memory that forgets what left it, as an Electrum server does.
struct Memory {
    state: Mutex<(StdRng, Vec<Block>)>,
    /// In how many of a hundred questions the chain changes before it answers.
    unrest: u32,
}

/// A block on a chain, unlike any other.
fn child(random: &mut StdRng, chain: &[Block]) -> Block {
    let mut block = genesis_block(Network::Regtest);
    block.header.prev_blockhash = chain[chain.len() - 1].block_hash();
    let script_pubkey = ScriptBuf::new_op_return(random.r#gen::<[u8; 8]>());
    block.txdata[0].output.push(TxOut { value: Amount::ZERO, script_pubkey });
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    block
}

impl Memory {
    fn new(seed: u64, unrest: u32) -> Self {
        Self { state: Mutex::new((StdRng::seed_from_u64(seed), vec![genesis_block(Network::Regtest)])), unrest }
    }

    /// Puts `blocks` on the chain, after taking `back` off it.
    fn change(&self, back: usize, blocks: usize) {
        let (random, chain) = &mut *self.state.lock().unwrap();
        change(random, chain, back, blocks);
    }

    fn ask<T>(&self, answer: impl FnOnce(&[Block]) -> T) -> T {
        let (random, chain) = &mut *self.state.lock().unwrap();
        if random.gen_ratio(self.unrest, 100) {
            let (back, blocks) = (random.gen_range(0..4), random.gen_range(0..5));
            change(random, chain, back, blocks);
        }
        answer(chain)
    }

    fn blocks(&self) -> Vec<Block> {
        self.state.lock().unwrap().1.clone()
    }
}

fn change(random: &mut StdRng, chain: &mut Vec<Block>, back: usize, blocks: usize) {
    chain.truncate(chain.len().saturating_sub(back).max(1));
    for _ in 0..blocks {
        let block = child(random, chain);
        chain.push(block);
    }
}

impl Chain for Memory {
    fn network(&self) -> Network {
        Network::Regtest
    }

    fn tip(&self) -> Result<BlockId, ChainError> {
        let id = |chain: &[Block]| BlockId {
            height: GENESIS + chain.len() as u32 - 1,
            hash: chain[chain.len() - 1].block_hash(),
        };
        Ok(self.ask(id))
    }

    fn block_hash(&self, height: u32) -> Result<Option<BlockHash>, ChainError> {
        Ok(self.ask(|chain| chain.get((height - GENESIS) as usize).map(Block::block_hash)))
    }

    fn header(&self, height: u32) -> Result<Option<Header>, ChainError> {
        Ok(self.ask(|chain| chain.get((height - GENESIS) as usize).map(|block| block.header)))
    }

    fn block(&self, hash: &BlockHash) -> Result<Block, ChainError> {
        let found = self.ask(|chain| chain.iter().find(|block| block.block_hash() == *hash).cloned());
        found.ok_or(ChainError::UnknownBlock(*hash))
    }

    fn transaction(&self, _: &Txid) -> Result<Option<Located>, ChainError> {
        Ok(None)
    }

    fn spender(&self, _: &OutPoint) -> Result<Option<Located>, ChainError> {
        Ok(None)
    }

    fn broadcast(&self, _: &[&Transaction]) -> Result<(), ChainError> {
        Ok(())
    }

    fn fee_rate(&self, _: u16) -> Result<FeeRate, ChainError> {
        Ok(FeeRate::BROADCAST_MIN)
    }
}

fn parameters() -> Parameters {
    Parameters {
        committee: [1; 32],
        vault_key: [2; 32],
        denominations: vec![1_000_000],
        withdrawal_fee: 1_000,
        cooperative_window: 16,
        operator_window: 30,
        grace: 12,
        operators: vec![[3; 32]],
        sequencers: vec![[4; 32]],
        signers: vec![],
        membership_delay: 12,
        genesis_height: GENESIS,
        genesis_hash: genesis_block(Network::Regtest).block_hash().to_byte_array(),
        bridge: [0; 32],
    }
}

fn open(db: &sled::Db, chain: &Arc<Memory>) -> Follower {
    Follower::new(chain.clone(), Ledger::open(db, &parameters()).unwrap())
}

/// What is transient is asked again.
fn is_again(error: &FollowError) -> bool {
    matches!(error, FollowError::Chain(error) if error.is_transient())
}

fn database() -> sled::Db {
    sled::Config::new().temporary(true).open().unwrap()
}

#[test]
fn steps_are_in_order_whatever_the_chain_does_and_wherever_a_crash_comes() {
    for seed in 0..60 {
        let chain = Arc::new(Memory::new(seed, (seed % 4) as u32 * 10));
        let mut random = StdRng::seed_from_u64(seed ^ 0xf00d);
        let db = database();
        let mut follower = open(&db, &chain);
        // The blocks that the steps amount to.
        let mut path = vec![follower.tip()];
        for _ in 0..60 {
            chain.change(random.gen_range(0..4), random.gen_range(0..5));
            for _ in 0..random.gen_range(0..12) {
                match follower.step() {
                    Ok(Some(Step::Connected { height, hash, block, .. })) => {
                        let last = path.last().unwrap();
                        assert_eq!((height, block.header.prev_blockhash), (last.height + 1, last.hash));
                        assert_eq!(hash, block.block_hash());
                        path.push(BlockId { height, hash });
                    }
                    Ok(Some(undone)) => assert_eq!(Some(undone.id()), path.pop()),
                    Ok(None) => break,
                    Err(error) => assert!(is_again(&error), "{error}"),
                }
                assert_eq!(Some(&follower.tip()), path.last());
                if random.gen_ratio(1, 5) {
                    follower = open(&db, &chain);
                    assert_eq!(Some(&follower.tip()), path.last(), "nothing is lost in a crash");
                }
            }
        }
        // At rest it ends up where the chain is.
        let rest = Arc::new(Memory { state: Mutex::new((random, chain.blocks())), unrest: 0 });
        // A server behind the ledger would be waited for.
        rest.change(0, 8);
        let mut follower = open(&db, &rest);
        while follower.step().unwrap().is_some() {}
        assert_eq!(follower.tip(), rest.tip().unwrap());
    }
}

#[test]
fn a_server_that_has_not_caught_up_takes_nothing_back() {
    let chain = Arc::new(Memory::new(1, 0));
    chain.change(0, 5);
    let mut follower = open(&database(), &chain);
    while follower.step().unwrap().is_some() {}
    let tip = follower.tip();
    assert_eq!(tip.height, GENESIS + 5);
    chain.change(3, 0);
    assert!(follower.step().unwrap().is_none());
    assert_eq!(follower.tip(), tip);
    // A shorter branch with another block takes back what it does not have.
    chain.change(0, 1);
    let steps: Vec<_> =
        std::iter::from_fn(|| follower.step().unwrap()).map(|step| step.id().height - GENESIS).collect();
    assert_eq!(steps, [5, 4, 3, 3]);
}

#[test]
fn the_chain_of_another_bridge_is_refused() {
    let db = database();
    let chain = Arc::new(Memory::new(1, 0));
    let mut follower = open(&db, &chain);
    let mut other = genesis_block(Network::Regtest);
    other.header.nonce ^= 1;
    *chain.state.lock().unwrap() = (StdRng::seed_from_u64(2), vec![other]);
    assert!(matches!(follower.step(), Err(FollowError::OtherChain { expected, .. }) if expected.height == GENESIS));
}
