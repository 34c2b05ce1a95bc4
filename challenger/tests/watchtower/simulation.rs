//! Random true and false claims, blocks, reorganizations, restarts and lost duties, each run from one seed.

use bitcoin::Txid;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_bridge::transactions::Reveal;
use trestle_bridge::transactions::claim::Statement;
use trestle_challenger::View;
use trestle_challenger::watchtower::{Duty, Event, Verdict};

use crate::world::{CONFIRMATIONS, DELTA1, World, slot};

const SLOTS: u32 = 3;

struct Simulation {
    world: World,
    rng: StdRng,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut simulation = Self { world: World::new(SLOTS), rng: StdRng::seed_from_u64(seed) };
        let (bond, terms) = (simulation.world.bond.clone(), simulation.world.graph.terms.clone());
        simulation.insist(Event::Invited { run: slot(0), slots: SLOTS });
        simulation.insist(Event::BondFunded { run: slot(0), tx: bond });
        simulation.insist(Event::Proposed(Box::new(terms.clone())));
        for at in terms.lane_places() {
            let keys = simulation.world.lane_keys(at);
            simulation.insist(Event::LaneKeys(keys));
        }
        let delivery = simulation.world.delivery();
        simulation.insist(Event::Delivered(Box::new(delivery)));
        let funding = simulation.world.funding.clone();
        simulation.world.chain.add(vec![funding]);
        simulation
    }

    /// Gives an event, and perhaps gives it again after a restart.
    fn insist(&mut self, event: Event) {
        for _ in 0..self.rng.gen_range(1..3) {
            self.world.process(event.clone()).unwrap();
            if self.rng.gen_bool(0.5) {
                self.world.restart();
            }
        }
    }

    /// A tip, of whose duties some or none are done.
    fn tip(&mut self) {
        let mut duties = self.world.process(Event::Tip).unwrap();
        if self.rng.gen_bool(0.2) {
            duties.truncate(self.rng.gen_range(0..=duties.len()));
        }
        if self.rng.gen_bool(0.2) {
            self.world.restart();
        }
        self.world.carry_out(&duties);
    }

    /// Some blocks, one of which may be taken away again.
    fn blocks(&mut self, count: u16) {
        for _ in 0..count {
            self.tip();
            if self.rng.gen_bool(0.1) {
                let depth = self.rng.gen_range(1..=usize::from(CONFIRMATIONS));
                let gone = self.world.chain.disconnect(depth);
                self.world.pool.splice(0..0, gone);
                // The same transactions, in as many blocks.
                self.world.mine();
                self.world.mine_empty(depth as u32 - 1);
            }
            self.world.mine();
        }
    }

    /// Claims a slot with a statement that holds or does not, and returns the statement that is on Bitcoin.
    fn claim(&mut self, place: u32, truly: bool) {
        let k = u32::from(CONFIRMATIONS);
        let fulfilled = truly || self.rng.gen_bool(0.5);
        if fulfilled {
            self.world.fulfil(place as usize);
        }
        self.world.mine_empty(2 * k);
        let deep = self.world.statement(self.world.height() - k);
        let statement = match (truly, self.rng.gen_range(0..3)) {
            (true, _) => deep,
            (false, 0) if !fulfilled => deep,
            (false, 1) => Statement { n: deep.n + self.rng.gen_range(4..40), ..deep },
            (false, _) => Statement { block_prefix: [deep.block_prefix[0] ^ 1, 0, 0, 0], ..deep },
        };
        let claim = self.world.claim(place as usize, statement);
        self.world.broadcast(claim);
    }

    fn is_mined(&self, txid: Txid) -> bool {
        self.world.chain.confirmed(&txid).unwrap().is_some()
    }
}

#[test]
fn every_false_claim_is_contested_in_time_and_no_true_one_ever() {
    for seed in 0..40 {
        let mut simulation = Simulation::new(seed);
        let liar = simulation.rng.gen_range(0..=SLOTS);
        for place in 0..SLOTS {
            let truly = place != liar;
            simulation.claim(place, truly);
            simulation.blocks(DELTA1 + 2);
            let slot = simulation.world.graph.slots[place as usize].clone();
            let contested = simulation.is_mined(slot.contest.txid());
            assert!(simulation.is_mined(slot.claim.txid()), "seed {seed}");
            assert_eq!(contested, !truly, "seed {seed}, slot {place}");
            let height = |txid| simulation.world.chain.confirmed(&txid).unwrap();
            if let (Some(claim), Some(contest)) = (height(slot.claim.txid()), height(slot.contest.txid())) {
                assert!(contest < claim + u32::from(DELTA1), "seed {seed}, slot {place}: too late");
            }
            let reports = simulation.world.tower.reports().unwrap();
            let mut verdicts = reports.iter().filter(|report| report.slot == slot.id).map(|report| report.verdict);
            assert!(verdicts.all(|verdict| (verdict == Verdict::True) == truly), "seed {seed}, slot {place}");
            assert!(reports.iter().any(|report| report.slot == slot.id), "seed {seed}, slot {place}: no verdict");
            if contested {
                break;
            }
            let finalize = simulation.world.complete(&slot.finalize_fast, Reveal::Nothing);
            simulation.world.broadcast(finalize);
            simulation.world.mine();
            simulation.world.mine_empty(u32::from(CONFIRMATIONS));
        }
        let duties = simulation.world.process(Event::Tip).unwrap();
        let goes_on = |duty: &Duty| matches!(duty, Duty::Consent { .. } | Duty::RequestSignatures { .. });
        assert!(!duties.iter().any(goes_on), "seed {seed}");
    }
}
