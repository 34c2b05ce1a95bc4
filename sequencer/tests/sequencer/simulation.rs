//! Random submissions, blocks, reorganizations, restarts and lost duties, each run from one seed.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_rollup::{Digest, Event as LedgerEvent, SignedTransaction};
use trestle_sequencer::{Duty, Event, Failure, Policy, Receipt};

use crate::support::{CONFIRMATIONS, World, account};

const USERS: usize = 4;

/// Every transaction has an amount of its own, so that its event tells which it was.
struct Simulation {
    world: World,
    rng: StdRng,
    amounts: u64,
    accepted: HashMap<Digest, SignedTransaction>,
    forced: bool,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut world = World::new(Policy { patience: 2, batch_bytes: 700, ..Policy::default() });
        let mints: Vec<_> = (0..USERS).map(|user| world.mint(user)).collect();
        world.mine(mints);
        for _ in 0..CONFIRMATIONS {
            world.mine(Vec::new());
        }
        let rng = StdRng::seed_from_u64(seed);
        Self { world, rng, amounts: 0, accepted: HashMap::new(), forced: seed % 2 == 1 }
    }

    /// Gives an event, does some of the duties or none, and notes what was accepted.
    fn give(&mut self, event: Event) {
        let submitted = match &event {
            Event::Submitted { transaction, .. } => SignedTransaction::decode(transaction),
            _ => None,
        };
        let mut duties = self.world.process(event);
        if let (Some(signed), Some(Duty::Accept { id, .. })) = (submitted, duties.first()) {
            self.accepted.insert(*id, signed);
        }
        if self.rng.gen_bool(0.2) {
            duties.truncate(self.rng.gen_range(0..=duties.len()));
        }
        if self.rng.gen_bool(0.1) {
            self.world.restart();
        }
        self.world.carry_out(duties);
    }

    fn transaction(&mut self) -> SignedTransaction {
        self.amounts += 1;
        let (from, to) = (self.rng.gen_range(0..USERS), self.rng.gen_range(0..USERS));
        let pending = self.world.sequencer.pending(&account(from), &self.world.ledger).unwrap();
        let nonce = match self.rng.gen_range(0..10) {
            0 => pending.nonce + 1,
            1 | 2 => pending.nonce.saturating_sub(self.rng.gen_range(1..3)),
            _ => pending.nonce,
        };
        let fee = self.rng.gen_range(5..60);
        self.world.transfer(from, to, self.amounts, fee, nonce)
    }

    fn step(&mut self) {
        match self.rng.gen_range(0..100) {
            0..40 => {
                let transaction = self.transaction().encode();
                self.give(Event::Submitted { ticket: 0, transaction });
            }
            40..50 => self.give(Event::Close),
            50..55 if self.forced => {
                let transaction = self.transaction();
                let forced = self.world.forced(&transaction);
                self.world.broadcast(forced);
            }
            50..80 => {
                // Some of what waits, in the order in which it came, so that a commit precedes its reveal.
                let waiting = std::mem::take(&mut self.world.pool);
                let (mined, left) = waiting.into_iter().partition(|_| self.rng.gen_bool(0.8));
                self.world.pool = left;
                self.world.mine(mined);
                self.give(Event::Tip);
            }
            80..88 => {
                let depth = self.rng.gen_range(1..=CONFIRMATIONS as usize).min(self.world.blocks.len() - 4);
                self.world.disconnect(depth);
                if self.rng.gen_bool(0.3) {
                    self.world.pool.clear();
                }
                for _ in 0..=depth {
                    self.world.mine(Vec::new());
                }
                self.give(Event::Tip);
            }
            88..94 => self.world.restart(),
            _ => self.give(Event::Tip),
        }
    }

    /// Undisturbed blocks, until everything is final.
    fn settle(&mut self) {
        for _ in 0..60 {
            let duties = self.world.tip();
            self.world.carry_out(duties);
            self.world.mine_pool();
        }
        self.world.tip();
    }

    /// How often and where an amount was paid.
    fn payments(&self) -> HashMap<u64, Vec<u32>> {
        let mut payments: HashMap<u64, Vec<u32>> = HashMap::new();
        for height in 101..=self.world.ledger.tip().0 {
            for event in self.world.ledger.events(height).unwrap() {
                if let LedgerEvent::Transferred { amount, .. } = event {
                    payments.entry(amount).or_default().push(height);
                }
            }
        }
        payments
    }
}

#[test]
fn whatever_happens_every_accepted_transaction_ends_once_and_no_number_is_certified_twice() {
    for seed in 0..40 {
        let mut simulation = Simulation::new(seed);
        for _ in 0..120 {
            simulation.step();
        }
        simulation.settle();
        let payments = simulation.payments();
        assert!(payments.values().all(|heights| heights.len() == 1), "seed {seed}: something was executed twice");
        for (id, signed) in &simulation.accepted {
            let trestle_rollup::Transaction::Transfer { amount, .. } = signed.transaction else { unreachable!() };
            let paid = payments.get(&amount).map(|heights| heights[0]);
            match simulation.world.sequencer.receipt(id).unwrap() {
                Some(Receipt::Executed { height, deep: true }) => assert_eq!(paid, Some(height), "seed {seed}"),
                Some(Receipt::Failed { reason }) => {
                    assert_eq!(paid, None, "seed {seed}: it was executed after all");
                    let may_fail = simulation.forced || reason == Failure::Replaced;
                    assert!(may_fail, "seed {seed}: {amount} was lost: {reason}");
                }
                other => panic!("seed {seed}: {amount} is {other:?} in the end"),
            }
        }
        assert!(simulation.accepted.len() > 10 && payments.len() > 10, "seed {seed}: too little happened");
    }
}
