//! Posters that share a chain, what they are to post, and hands that do their duties.

use trestle_rollup::Batch;
use trestle_sequencer::Poster;
use trestle_sequencer::consensus::Error;
use trestle_sequencer::poster::{Duty, Event, Pace, Seat};

use crate::support::{CONFIRMATIONS, World, parameters};

pub const SEQUENCERS: u8 = 4;
pub const PATIENCE: u32 = 2;

pub struct Posters {
    pub world: World,
    /// Certified, by number.
    pub batches: Vec<Batch>,
    dbs: Vec<sled::Db>,
    posters: Vec<Poster>,
    /// Who made a posting of which batch, in order.
    pub made: Vec<(usize, u64)>,
}

fn open(db: &sled::Db) -> Poster {
    let pace = Pace { patience: PATIENCE, confirmations: CONFIRMATIONS };
    Poster::open(db, pace).unwrap()
}

impl Posters {
    /// User 0 has 1,000,000 sat.
    pub fn new() -> Self {
        let mut world = World::new(&parameters(usize::from(SEQUENCERS)));
        let mint = world.mint(0);
        world.mine(vec![mint]);
        (0..4).for_each(|_| world.mine(Vec::new()));
        let dbs: Vec<_> = (0..SEQUENCERS).map(|_| sled::Config::new().temporary(true).open().unwrap()).collect();
        let posters = dbs.iter().map(open).collect();
        Self { world, batches: Vec::new(), dbs, posters, made: Vec::new() }
    }

    /// The next batch gets its certificate; its one transfer pays `number + 1` sat.
    pub fn certify(&mut self) {
        let number = self.batches.len() as u64;
        let transfer = self.world.transfer(0, 1, number + 1, 20, number);
        self.batches.push(self.world.certified(number, &[transfer], &[0, 1, 2]));
    }

    pub fn restart(&mut self, index: usize) {
        self.posters[index] = open(&self.dbs[index]);
    }

    pub fn process(&mut self, index: usize, event: Event) -> Vec<Duty> {
        let batches = &self.batches;
        let certified = |number: u64| Ok::<_, Error>(batches.get(number as usize).cloned());
        let seat = Seat { set: 0, index: index as u8, sequencers: SEQUENCERS };
        self.posters[index].process(event, Some(seat), &self.world.ledger, &certified).unwrap()
    }

    /// Does what a caller does about duties, until nothing new comes of it.
    pub fn carry_out(&mut self, index: usize, duties: Vec<Duty>) {
        for duty in duties {
            match duty {
                Duty::Post { number, payload } => {
                    self.made.push((index, number));
                    let (commit, reveal) = self.world.posting(payload);
                    let duties = self.process(index, Event::Funded { number, commit, reveal });
                    self.carry_out(index, duties);
                }
                Duty::Broadcast { commit, reveal, .. } => {
                    self.world.broadcast(commit);
                    self.world.broadcast(reveal);
                }
                Duty::Bump { .. } => {}
            }
        }
    }

    /// A tip for one of them, and all that follows from it.
    pub fn work(&mut self, index: usize) {
        let duties = self.process(index, Event::Tip);
        self.carry_out(index, duties);
    }

    /// Amounts that were paid, in order.
    pub fn paid(&self) -> Vec<u64> {
        let paid = |event| match event {
            trestle_rollup::Event::Transferred { amount, .. } => Some(amount),
            _ => None,
        };
        let heights = 101..=self.world.ledger.tip().0;
        heights.flat_map(|height| self.world.ledger.events(height).unwrap()).filter_map(paid).collect()
    }
}
