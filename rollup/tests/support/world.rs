//! A Layer 2 in memory with blocks to come.

use trestle_rollup::state::ReadState as _;
use trestle_rollup::{Event, Skip};

use super::chain::Chain;
use super::memory::Memory;
use super::{Bridge, account};

/// A bridge and its Layer 2 after some blocks.
#[derive(Clone)]
pub struct World {
    pub bridge: Bridge,
    pub chain: Chain,
    pub layer: Memory,
}

impl World {
    pub fn new() -> Self {
        Self::of(Bridge::default())
    }

    pub fn of(bridge: Bridge) -> Self {
        let layer = Memory::new(&bridge.parameters);
        Self { bridge, chain: Chain::default(), layer }
    }

    /// User 0 has 11,100,000 sat, and user 1 nothing.
    pub fn funded() -> Self {
        let mut world = Self::new();
        let mints = vec![world.bridge.mint(1, account(0), 1), world.bridge.mint(2, account(0), 0)];
        world.block(mints);
        world
    }

    /// As `funded`, and user 0's withdrawal 0 of denomination 0 was requested in the last block.
    pub fn owing() -> Self {
        let mut world = Self::funded();
        let forced = world.bridge.forced(3, &world.bridge.withdraw(0, 0, 0, 0));
        world.block(vec![forced]);
        world
    }

    pub fn block(&mut self, transactions: Vec<bitcoin::Transaction>) -> Vec<Event> {
        self.layer.extend(&self.chain.block(transactions))
    }

    /// Why the only transaction of the next block was skipped, if it was; then nothing else may have changed.
    pub fn skip(&mut self, transaction: bitcoin::Transaction) -> Option<Skip> {
        let mut without = self.layer.clone();
        let mut chain = self.chain;
        let events = self.block(vec![transaction]);
        let skipped = events.iter().find_map(|event| match event {
            Event::Skipped { why, .. } => Some(*why),
            _ => None,
        });
        if skipped.is_some() || events.is_empty() {
            without.extend(&chain.block(vec![]));
            assert_eq!(
                self.layer.entry.state_root, without.entry.state_root,
                "a skipped transaction changed the state"
            );
        }
        skipped
    }

    pub fn empty_blocks(&mut self, count: u32) {
        (0..count).for_each(|_| drop(self.block(vec![])));
    }

    pub fn balance(&mut self, user: usize) -> u64 {
        self.layer.state().account(&account(user)).unwrap().balance
    }

    pub fn supply(&mut self) -> u64 {
        self.layer.state().meta().unwrap().supply
    }
}
