//! Random deposits, withdrawals, blocks, reorganizations, contests, a rival, restarts and lost duties, each run from one seed.

use std::collections::BTreeMap;

use bitcoin::Transaction;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use trestle_bridge::transactions::claim::Statement;
use trestle_bridge::transactions::payout;
use trestle_challenger::View;
use trestle_challenger::operator::{Alert, Duty, Event, RunStage, SlotStage};
use trestle_rollup::{Assignment, Event as LedgerEvent, SlotId};

use crate::chain::{GENESIS, output, spend};
use crate::world::{DELTA1, DESTINATION, K, World, shown, slot};

struct Simulation {
    world: World,
    rng: StdRng,
    /// Payouts of the other operator, by serial number, and whether it was paid back.
    rival: Vec<(Transaction, bool)>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        Self { world: World::new(), rng: StdRng::seed_from_u64(seed), rival: Vec::new() }
    }

    /// A tip, of whose duties some or none are done, but for cancellations.
    fn tip(&mut self) {
        let mut duties = self.world.process(Event::Tip).unwrap();
        while let Some(duty) = (!duties.is_empty()).then(|| duties.remove(0)) {
            self.check(&duty);
            if self.rng.gen_bool(0.1) && !matches!(duty, Duty::Cancel { .. }) {
                continue;
            }
            let Some(answer) = self.world.carry_out(&duty) else { continue };
            if self.rng.gen_bool(0.1) {
                self.world.restart();
            }
            duties.extend(self.world.process(answer).unwrap());
        }
    }

    /// What must be true whenever money is about to leave.
    fn check(&self, duty: &Duty) {
        let Duty::FundPayout { slot, withdrawal, .. } = duty else { return };
        let (of_slot, of_withdrawal) = (format!("by {slot}"), format!("withdrawal {withdrawal} "));
        for (name, tx) in &self.world.sent {
            if !name.starts_with("Payout") || !(name.ends_with(&of_slot) || name.contains(&of_withdrawal)) {
                continue;
            }
            let spender = self.world.chain.spender(&tx.input[0].previous_output).unwrap();
            let dead = |by: trestle_challenger::Mined| by.tx != *tx && by.height + K <= self.world.height();
            assert!(
                spender.is_some_and(dead),
                "{:?} while {name} may still be mined",
                shown(std::slice::from_ref(duty))
            );
        }
    }

    /// The next block, with most of what waits.
    fn mine(&mut self, likely: f64) {
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.world.pool).into_iter().partition(|_| self.rng.gen_bool(likely));
        self.world.pool = now;
        self.world.mine();
        self.world.pool.extend(later);
    }

    fn reorganize(&mut self) {
        let depth = self.rng.gen_range(1..=K);
        let gone = self.world.chain.disconnect(depth as usize);
        // What conflicts with what came back waits in vain.
        let pool = std::mem::replace(&mut self.world.pool, gone);
        pool.into_iter().for_each(|tx| self.world.broadcast(tx));
        for _ in 0..=depth {
            self.mine(0.8);
        }
    }

    /// The other operator pays what is its to pay, and takes a vault for it.
    fn rival(&mut self) {
        let state = self.world.chain.ledger.state_at_tip();
        for (id, _) in state.pending_withdrawals().unwrap() {
            let own = Assignment::Operator { index: 1, fronting: true };
            if state.assignment(id).unwrap() == Some(own) && self.rng.gen_bool(0.3) {
                let slot = SlotId { operator: 1, denomination: 0, serial: self.rival.len() as u32 };
                let outputs = payout::outputs(&self.world.bridge, id, DESTINATION.script_pubkey(), slot).unwrap();
                let tx = spend(self.world.chain.coin(), outputs.to_vec());
                self.rival.push((tx.clone(), false));
                self.world.chain.mine(vec![tx]);
                return;
            }
        }
        for (serial, (_, paid_back)) in self.rival.iter_mut().enumerate() {
            let slot = SlotId { operator: 1, denomination: 0, serial: serial as u32 };
            let state = self.world.chain.ledger.state_at_tip();
            let settled = |height: u32| height + K <= self.world.chain.ledger.tip().0;
            if !*paid_back && state.slot(slot).unwrap().is_some_and(|by| settled(by.height)) && self.rng.gen_bool(0.1) {
                let chain = &self.world.chain;
                let unspent = |place: &usize| chain.spender(&self.world.vaults[*place].outpoint).unwrap().is_none();
                let places: Vec<usize> = (0..self.world.vaults.len()).filter(unspent).collect();
                let Some(place) = places.choose(&mut self.rng) else { return };
                *paid_back = true;
                let vault = self.world.vaults[*place].outpoint;
                // Its Reimburse may be in a block before an own one that waits.
                self.world.pool.retain(|tx| tx.input.iter().all(|input| input.previous_output != vault));
                self.world.pool.push(spend(vault, vec![output(1_000, bitcoin::ScriptBuf::new())]));
                return;
            }
        }
    }

    fn contest(&mut self) {
        let status = self.world.operator.status(&self.world.chain).unwrap();
        let slots = status.runs.iter().flat_map(|run| &run.slots);
        let claimed = slots.filter(|slot| matches!(slot.stage, SlotStage::Claimed { .. })).map(|slot| slot.slot.serial);
        let Some(serial) = claimed.max() else { return };
        let tx = self.world.contest(serial);
        self.world.pool.retain(|other| other.input[0].previous_output != tx.input[0].previous_output);
        self.world.broadcast(tx);
    }

    fn step(&mut self) {
        let status = self.world.operator.status(&self.world.chain).unwrap();
        if status.runs.iter().all(|run| run.stage == RunStage::Over) && status.runs.len() < 4 {
            let slots = self.rng.gen_range(1..=3);
            let _ = self.world.process(Event::NewRun { denomination: 0, slots });
        }
        match self.rng.gen_range(0..100) {
            0..6 if self.world.vaults.len() < 12 => {
                let delivery = self.world.deposit();
                if self.rng.gen_bool(0.7) {
                    let _ = self.world.process(Event::Delivered(Box::new(delivery)));
                }
            }
            6..14 if self.world.balance() >= 1_000_000 => self.world.withdraw(),
            14..24 => self.world.restart(),
            24..28 => self.reorganize(),
            28 => self.contest(),
            29..50 => self.rival(),
            _ => {
                self.tip();
                self.mine(0.7);
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..8 * DELTA1 {
            self.world.tip();
            self.world.mine();
        }
        self.world.alerts.clear();
        self.world.tip();
    }

    /// Every payout of this operator counts, once, and is paid back, once; one key signed one thing.
    fn verify(&self, seed: u64) -> usize {
        let ledger = &self.world.chain.ledger;
        let events = (GENESIS..=self.world.height()).flat_map(|height| ledger.events(height).unwrap());
        let paid: Vec<SlotId> = events
            .filter_map(|event| match event {
                LedgerEvent::Paid { slot, .. } if slot.operator == 0 => Some(slot),
                _ => None,
            })
            .collect();
        let lost: Vec<_> = self.world.alerts.iter().filter(|alert| !matches!(alert, Alert::Contested { .. })).collect();
        assert!(lost.is_empty(), "seed {seed}: {lost:?}");
        let mined = |name: &str| {
            let mut txids: Vec<_> = self.world.sent.iter().filter(|sent| sent.0.starts_with(name)).collect();
            txids.sort_by_key(|sent| sent.1.compute_txid());
            txids.dedup_by_key(|sent| sent.1.compute_txid());
            txids.iter().filter(|sent| self.world.chain.confirmed(&sent.1.compute_txid()).unwrap().is_some()).count()
        };
        assert_eq!(mined("Payout"), paid.len(), "seed {seed}: every payout that was mined counts");
        assert_eq!(mined("Reimburse"), paid.len(), "seed {seed}: every payout is paid back");

        let mut statements: BTreeMap<SlotId, Statement> = BTreeMap::new();
        for (name, tx) in self.world.sent.iter().filter(|(name, _)| name.starts_with("Claim")) {
            let serial = name.rsplit('/').next().unwrap().parse().unwrap();
            let graph = self.world.graph(serial);
            let key = &graph.terms.claim_keys[(serial - graph.terms.first_serial) as usize];
            let statement = Statement::read(key, tx).unwrap();
            assert_eq!(
                *statements.entry(slot(serial)).or_insert(statement),
                statement,
                "seed {seed}: {name} says two things"
            );
        }
        paid.len()
    }
}

#[test]
fn every_payout_counts_once_and_is_paid_back_once_whatever_happens() {
    let mut payouts = 0;
    // More on demand: SEEDS=1000.
    let seeds = std::env::var("SEEDS").map_or(24, |seeds| seeds.parse::<u64>().unwrap());
    for seed in 0..seeds {
        let mut simulation = Simulation::new(seed);
        (0..400).for_each(|_| simulation.step());
        simulation.settle();
        payouts += simulation.verify(seed);
    }
    assert!(payouts > 4 * seeds as usize, "only {payouts} payouts: the simulation does too little");
}
