//! Both sides with a ledger, blocks and the guest that every bridge runs.

use std::collections::HashMap;

use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash as _;
use trestle_challenger::lane::{
    Challenger, Defender, LedgerTestimony, Next, Preimage, Testimony, TestimonyError, leading,
};
use trestle_rollup::{Digest, Entry, Ledger, Parameters, SlotId};
use trestle_taptree_trace::lane::{Lane, LaneConstants, Move};
use trestle_zkvm_adapter::guest::{self, workload::Workload};
use trestle_zkvm_adapter::{Disputable, Fault, Inputs, Kind, Place};

use crate::store::Disk;
use crate::toy::{self, LANE, challenger_seed, claim, operator_seed};

const GENESIS: u32 = 100;
const K: u16 = toy::CONFIRMATIONS;
/// The height of the checkpoint.
const H0: u32 = GENESIS + 2;
/// N.
const N: u16 = 5;

/// A chain of empty blocks.
struct World {
    ledger: Ledger,
    blocks: HashMap<Digest, Vec<u8>>,
    _db: sled::Db,
}

impl World {
    fn new() -> Self {
        let parameters = Parameters {
            committee: [2; 32],
            vault_key: [3; 32],
            denominations: vec![1_000_000],
            withdrawal_fee: 5_000,
            cooperative_window: 16,
            operator_window: 30,
            grace: 12,
            operators: vec![[4; 32]],
            sequencers: vec![[5; 32]],
            signers: vec![],
            membership_delay: 12,
            genesis_height: GENESIS,
            genesis_hash: [0x11; 32],
            bridge: [0; 32],
        };
        let db = sled::Config::new().temporary(true).open().unwrap();
        let ledger = Ledger::open(&db, &parameters).unwrap();
        let (mut chain, mut blocks) = (Workload::new(1).unwrap(), HashMap::new());
        while ledger.tip().0 < H0 + u32::from(N + K) {
            let block = chain.block(vec![]);
            chain.extend(&block).unwrap();
            ledger.extend(&serialize(&block)).unwrap();
            blocks.insert(block.block_hash().to_byte_array(), serialize(&block));
        }
        Self { ledger, blocks, _db: db }
    }

    fn entry(&self, index: u32) -> Entry {
        self.ledger.entry(H0 + index).unwrap().unwrap()
    }

    fn lane(&self) -> Lane {
        let image = guest::image().unwrap();
        let constants = LaneConstants {
            checkpoint: self.entry(0).digest(),
            first_state: guest::ROOT,
            code: image.code.clone(),
            ..toy::lane().constants.clone()
        };
        Lane { keys: toy::lane().keys.clone(), constants }
    }

    fn testimony(&self) -> LedgerTestimony<impl FnMut(&Digest) -> Result<Vec<u8>, TestimonyError>> {
        let blocks = self.blocks.clone();
        let block = move |hash: &Digest| blocks.get(hash).cloned().ok_or_else(|| "no such block".into());
        let prefix = *self.entry(u32::from(N)).block_hash.first_chunk().unwrap();
        LedgerTestimony::new(self.ledger.clone(), block, H0, (N, prefix), SlotId::from_bytes(LANE.slot), K).unwrap()
    }
}

/// Another state from some entry on.
struct Forger<T>(T, u32);

impl<T: Testimony> Testimony for Forger<T> {
    fn entry(&mut self, index: u32) -> Result<Option<Digest>, TestimonyError> {
        if (self.1..=u32::from(N)).contains(&index) {
            Ok(Some(self.parts(index)?.digest()))
        } else {
            self.0.entry(index)
        }
    }

    fn parts(&mut self, index: u32) -> Result<Entry, TestimonyError> {
        let mut parts = self.0.parts(index)?;
        if index >= self.1 {
            parts.state_root[9] ^= 1;
        }
        Ok(parts)
    }

    fn header(&mut self, index: u32) -> Result<[u8; 80], TestimonyError> {
        self.0.header(index)
    }

    fn knows_block(&mut self, index: u32, hash: &Digest) -> Result<bool, TestimonyError> {
        self.0.knows_block(index, hash)
    }

    fn trace(&mut self, inputs: &Inputs) -> Result<&mut dyn Disputable, TestimonyError> {
        self.0.trace(inputs)
    }

    fn preimage(&mut self, inputs: &Inputs, digest: &Digest) -> Result<Option<Preimage>, TestimonyError> {
        self.0.preimage(inputs, digest)
    }
}

/// Plays off chain; the name of the leaf that is found, and the last move.
fn play<T: Testimony>(world: &World, mut says: T) -> (Option<String>, Option<Move>) {
    let signed = claim(N, &world.entry(u32::from(N)).block_hash);
    let open = (world.lane(), signed);
    let mut defender = Defender::open(open.0.clone(), LANE, operator_seed(), open.1.clone(), Disk::default()).unwrap();
    let mut challenger = Challenger::open(open.0, LANE, challenger_seed(), open.1, Disk::default()).unwrap();
    let mut truth = world.testimony();
    assert!(!truth.holds());
    let mut last = None;
    loop {
        match challenger.next(&mut truth).unwrap() {
            Next::Ask(ask) => {
                assert_eq!(ask.choices.len(), leading(ask.wanted).len());
                last = Some(ask.wanted);
                challenger.receive(ask.wanted, &defender.answer(&ask, &mut says).unwrap()).unwrap();
            }
            Next::Disprove(leaf) => return (Some(leaf.name), last),
            Next::Force => panic!("an opening of something else"),
            Next::Lost => return (None, last),
        }
    }
}

#[test]
fn a_claim_without_payout_is_found_by_the_guest() {
    let world = World::new();
    let opened = Some(Move::Step);
    assert_eq!(play(&world, world.testimony().lying(None)), (Some("step.last".into()), opened));
    for (kind, leaf) in [(Kind::Input, "value.input."), (Kind::Unhash, "value.unhash")] {
        let says = world.testimony().lying(Some(Fault { kind, place: Place::Random(3) }));
        let (found, last) = play(&world, says);
        assert!(found.as_ref().is_some_and(|found| found.starts_with(leaf)) && last == opened, "{found:?}");
    }
    let says = world.testimony().lying(Some(Fault { kind: Kind::Load, place: Place::Random(4) }));
    assert_eq!(play(&world, says), (Some("bottom.memory".into()), Some(Move::ReadNode)));
}

#[test]
fn a_false_state_is_found_by_the_guest() {
    let world = World::new();
    let says = world.testimony().lying(Some(Fault { kind: Kind::Unhash, place: Place::Random(5) }));
    assert_eq!(play(&world, Forger(says, 3)), (Some("value.unhash".into()), Some(Move::Step)));
    let says = world.testimony().lying(Some(Fault { kind: Kind::Rs2, place: Place::Random(6) }));
    assert_eq!(play(&world, Forger(says, 1)), (Some("bottom.rs2".into()), Some(Move::ReadNode)));
}

#[test]
fn nobody_has_to_lie_to_find_that_the_claim_is_false() {
    let world = World::new();
    // Who says that the claim fails says what is so, and loses where the history has to end.
    assert_eq!(play(&world, world.testimony()), (Some("entry.last".into()), Some(Move::Block)));
}
