//! Both sides with a ledger, blocks and the guest that every bridge runs.

use std::collections::HashMap;

use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash as _;
use trestle_challenger::lane::{Challenger, Defender, LedgerTestimony, Next, Testimony, TestimonyError, leading};
use trestle_challenger::operator::lie::{History, Lie, Lying, Opened, PathLie, Since};
use trestle_rollup::{Digest, Entry, Ledger, Parameters, SlotId};
use trestle_taptree_trace::lane::{Lane, LaneConstants, Move};
use trestle_zkvm_adapter::guest::{self, workload::Workload};
use trestle_zkvm_adapter::{Fault, Kind, Place};

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

    fn testimony(&self, n: u16) -> LedgerTestimony<impl FnMut(&Digest) -> Result<Vec<u8>, TestimonyError> + use<>> {
        let blocks = self.blocks.clone();
        let block = move |hash: &Digest| blocks.get(hash).cloned().ok_or_else(|| "no such block".into());
        // Of an invented block it is another, by which nothing holds either.
        let prefix = self.ledger.entry(H0 + u32::from(n)).unwrap().map_or([0; 4], |entry| prefix(&entry));
        LedgerTestimony::new(self.ledger.clone(), block, H0, (n, prefix), SlotId::from_bytes(LANE.slot), K).unwrap()
    }

    fn lying(&self, n: u16, lie: Lie) -> impl Testimony {
        Lying::new(self.testimony(n), lie, &self.ledger, H0, n, K).unwrap()
    }
}

fn prefix(entry: &Entry) -> [u8; 4] {
    *entry.block_hash.first_chunk().unwrap()
}

/// Plays off chain; the name of the leaf that is found, and the last move.
fn play<T: Testimony>(world: &World, n: u16, says: impl Fn() -> T) -> (Option<String>, Option<Move>) {
    let signed = claim(n, &says().parts(n.into()).unwrap().block_hash);
    let mut says = says();
    let open = (world.lane(), signed);
    let mut defender = Defender::open(open.0.clone(), LANE, operator_seed(), open.1.clone(), Disk::default()).unwrap();
    let mut challenger = Challenger::open(open.0, LANE, challenger_seed(), open.1, Disk::default()).unwrap();
    let mut truth = world.testimony(n);
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

/// The leaf by which a lie is found, and the last move before.
fn found(world: &World, n: u16, lie: Lie) -> (String, Move) {
    let (leaf, last) = play(world, n, || world.lying(n, lie));
    (leaf.expect("a lie is found"), last.unwrap())
}

fn fault(kind: Kind, seed: u64) -> Lie {
    Lie { fault: Some(Fault { kind, place: Place::Random(seed) }), ..Lie::default() }
}

#[test]
fn a_claim_without_payout_is_found_by_the_guest() {
    let world = World::new();
    // N may be anything, 0 too.
    for n in [0, 1, N] {
        assert_eq!(found(&world, n, Lie::default()), ("step.last".into(), Move::Step));
    }
    for (kind, leaf) in [(Kind::Input, "value.input."), (Kind::Unhash, "value.unhash")] {
        let (found, last) = found(&world, N, fault(kind, 3));
        assert!(found.starts_with(leaf) && last == Move::Step, "{found:?}");
    }
    assert_eq!(found(&world, N, fault(Kind::Load, 4)), ("bottom.memory".into(), Move::ReadNode));
}

#[test]
fn a_false_state_is_found_by_the_guest() {
    let world = World::new();
    let states = |since, kind, seed| Lie { history: History::States(since), ..fault(kind, seed) };
    for (since, seed) in [(Since::First, 5), (Since::Height(H0 + 2), 6), (Since::Middle, 7), (Since::Last, 8)] {
        assert_eq!(found(&world, N, states(since, Kind::Unhash, seed)), ("value.unhash".into(), Move::Step));
    }
    let read = found(&world, N, states(Since::First, Kind::Rs2, 6));
    assert_eq!(read, ("bottom.rs2".into(), Move::ReadNode));
    // Without a lie in it the trace ends in rejection, where it must not.
    let honest = Lie { history: History::States(Since::Middle), ..Lie::default() };
    assert_eq!(found(&world, N, honest), ("step.last".into(), Move::Step));
}

#[test]
fn openings_that_are_not_what_the_rounds_said_are_found() {
    let world = World::new();
    let opened = |opened, kind| Lie { opened: Some(opened), ..fault(kind, 2) };
    let states = |lie| Lie { history: History::States(Since::Middle), ..lie };
    let (leaf, last) = found(&world, N, states(opened(Opened::TrueBlock, Kind::Instr)));
    assert!(leaf.starts_with("entry.next.") && leaf != "entry.next.hash" && last == Move::Block, "{leaf}");
    let (leaf, last) = found(&world, N, opened(Opened::TrueStep, Kind::Instr));
    assert!(leaf.starts_with("step.after.") && last == Move::Step, "{leaf}");
    let (leaf, last) = found(&world, N, opened(Opened::TrueNode, Kind::Rs1));
    assert!(leaf.starts_with("read.child.") && last == Move::ReadNode, "{leaf}");
    for (lie, of) in [
        (PathLie::Bottom(9), "read.hash."),
        (PathLie::Sibling(4), "read.root"),
        (PathLie::Direction(6), "direction.rs1"),
        (PathLie::Node(3), "read.hash."),
    ] {
        let (leaf, last) = found(&world, N, opened(Opened::Path(lie), Kind::Rs1));
        assert!(leaf.starts_with(of) && last == Move::ReadNode, "{lie:?}: {leaf}");
    }
}

#[test]
fn blocks_that_nobody_knows_are_a_chain_or_are_found() {
    let world = World::new();
    let known = (world.ledger.tip().0 - H0) as u16;
    for (n, since) in [
        (N, Since::First),
        (N, Since::Last),
        (known + 9, Since::Beyond(9)),
        // Where the first of them would be, there is a block by now.
        (known + 9, Since::Beyond(11)),
        (u16::MAX, Since::Beyond(u16::MAX - known)),
    ] {
        let lie = |broken| Lie { history: History::Blocks(since, broken), ..Lie::default() };
        for broken in 0..=K {
            assert_eq!(found(&world, n, lie(broken)), (format!("fork.{broken}.previous"), Move::Header(K)));
        }
        // What enough work buys: on regtest there is enough for everybody.
        assert_eq!(play(&world, n, || world.lying(n, lie(K + 1))), (None, Some(Move::Header(K))));
    }
}

#[test]
fn nobody_has_to_lie_to_find_that_the_claim_is_false() {
    let world = World::new();
    // Who says that the claim fails says what is so, and loses where the history has to end.
    let (leaf, last) = play(&world, N, || world.testimony(N));
    assert_eq!((leaf.unwrap(), last.unwrap()), ("entry.last".into(), Move::Block));
}
