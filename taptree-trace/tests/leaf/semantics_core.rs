//! The leaves that judge one step, whole, in real transactions: Bitcoin Core's own code accepts every lie and nothing else.

use bitcoin::Script;
use bitcoin::hashes::{Hash, hash160};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use trestle_taptree_trace::interpreter::{Rules, run};
use trestle_taptree_trace::lane::{
    Lane, LaneId, LaneKeys, MessageId, Transcript, challenger_keys, operator_keys, sign,
};
use trestle_taptree_trace::leaf::semantics::{Semantics, Signed};
use trestle_taptree_trace::leaf::{Disproof, Size, script, witness};
use trestle_taptree_trace::ots::SecretSeed;

use crate::core;
use crate::semantics::{corrupt, steps};
use crate::semantics_steps::{Honest, constants, fields};

const ID: LaneId = LaneId { instance: [1; 32], slot: [2; 6], challenger: 3 };
const CONFIRMATIONS: u16 = 1;

fn seed() -> SecretSeed {
    SecretSeed::new([4; 32])
}

fn lane() -> Lane {
    let challenger = challenger_keys(&SecretSeed::new([5; 32]), &ID);
    let keys = LaneKeys::new(CONFIRMATIONS, operator_keys(&seed(), &ID, CONFIRMATIONS), challenger).unwrap();
    Lane { keys, constants: constants() }
}

/// The operator's signatures of what the leaf reads.
fn transcript(lane: &Lane, leaf: Semantics, signed: &Signed) -> Transcript {
    let mut transcript = Transcript::default();
    for id in leaf.reads() {
        let fields = fields(signed, id);
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        transcript.add(&lane.keys, id, sign(&seed(), &ID, id, &fields).unwrap()).unwrap();
    }
    transcript
}

/// Whether Bitcoin Core accepts that these items satisfy the script.
fn accepts(script: &Script, items: &[Vec<u8>]) -> bool {
    let accepts = core::accepts(script, items);
    let ours = run(script, items, Rules::Consensus).is_ok_and(|outcome| outcome.accepts());
    // The interpreter takes every signature of the challenger for right.
    assert!(!accepts || ours);
    accepts
}

/// For each leaf some lies that satisfy it, each with the honest step that it was made of.
fn lies(each: usize) -> Vec<(Semantics, Vec<(Signed, Honest)>)> {
    let constants = constants();
    let mut rng = StdRng::seed_from_u64(20);
    let mut found: Vec<_> = Semantics::all().into_iter().map(|leaf| (leaf, Vec::new())).collect();
    for step in steps(21, 100_000) {
        let wrong = corrupt(&mut rng, &step);
        for (leaf, lies) in found.iter_mut().filter(|(_, lies)| lies.len() < each) {
            if leaf.hints(&wrong, &constants, Some(&step.preimage)).is_some() {
                lies.push((wrong.clone(), step.clone()));
            }
        }
        if found.iter().all(|(_, lies)| lies.len() == each) {
            return found;
        }
    }
    panic!("there are no lies for {:?}", found.iter().find(|(_, lies)| lies.len() < each));
}

/// The witness of whoever takes the operator's signatures for a lie.
fn spend(script: &Script, lane: &Lane, leaf: Semantics, signed: &Signed, hints: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut items = Vec::new();
    core::spend(script, |signature| {
        items = witness(&leaf, hints, &transcript(lane, leaf, signed), &signature).unwrap();
        items.clone()
    });
    items
}

#[test]
fn bitcoin_core_accepts_every_leaf_for_a_lie_and_for_no_honest_step() {
    let lane = lane();
    for (leaf, lies) in lies(2) {
        let script = script(&leaf, &lane).unwrap();
        for (signed, step) in lies {
            let hints = leaf.hints(&signed, &lane.constants, Some(&step.preimage)).unwrap();
            let items = spend(&script, &lane, leaf, &signed, hints.clone());
            assert!(accepts(&script, &items), "{leaf:?}");
            assert!(run(&script, &items, Rules::Standard).is_ok_and(|outcome| outcome.accepts()), "{leaf:?}");
            let items = spend(&script, &lane, leaf, &step.signed, hints);
            assert!(!accepts(&script, &items), "{leaf:?}");
        }
    }
}

/// What somebody makes of a witness: nobody signed what it says.
fn forgeries(rng: &mut StdRng, leaf: Semantics, items: &[Vec<u8>]) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let hints = leaf.hint_count();
    let digits = (items.len() - 1 - hints) / 2;
    let log = MessageId::StepLog.layout();
    let (link, digit) = (|place: usize| hints + 2 * place, |place: usize| hints + 2 * place + 1);
    let with = |change: &mut dyn FnMut(&mut Vec<Vec<u8>>)| {
        let mut items = items.to_vec();
        change(&mut items);
        items
    };
    let number = |item: &[u8]| item.first().copied().unwrap_or(0);
    // A digit above 15 is read as 15, which is no forgery if it is 15.
    let places: Vec<_> = (0..digits).filter(|place| number(&items[digit(*place)]) < 15).collect();
    let place = *places.choose(rng).unwrap();
    let mut forged = Vec::new();
    // Whoever has a link can hash it on, and so raise a digit, but what raises one must lower another.
    forged.push(("a digit raised", with(&mut |items| raise(items, link(place), digit(place)))));
    let raised = with(&mut |items| {
        raise(items, link(place), digit(place));
        for checksum in log.message_digits()..log.signed_digits() {
            let lowered = number(&items[digit(checksum)]).saturating_sub(1);
            items[digit(checksum)] = minimal(lowered);
        }
    });
    forged.push(("a digit raised and the checksum lowered", raised));
    let lowered = number(&items[digit(place)]).checked_sub(1);
    if let Some(lowered) = lowered {
        forged.push(("a digit lowered", with(&mut |items| items[digit(place)] = minimal(lowered))));
    }
    for odd in [vec![16], vec![0x81], vec![31], vec![15, 1], vec![0xff; 4], vec![0; 5], vec![7; 20]] {
        forged.push(("a digit out of range", with(&mut |items| items[digit(place)] = odd.clone())));
    }
    let other = rng.gen_range(0..digits);
    if items[link(place)] != items[link(other)] {
        let swapped = with(&mut |items| {
            items.swap(link(place), link(other));
            items.swap(digit(place), digit(other));
        });
        forged.push(("two digits swapped", swapped));
    }
    // Fields are eight digits of the log.
    let (a, b) = (rng.gen_range(0..7), rng.gen_range(0..7));
    if a != b {
        let swapped = with(&mut |items| {
            for place in 0..8 {
                items.swap(link(8 * a + place), link(8 * b + place));
                items.swap(digit(8 * a + place), digit(8 * b + place));
            }
        });
        forged.push(("two fields swapped", swapped));
    }
    forged.push(("an item too many", [vec![vec![1]], items.to_vec()].concat()));
    forged.push(("an item too few", items[1..].to_vec()));
    let last = items.len() - 1;
    forged.push(("no signature of the challenger", with(&mut |items| items[last] = Vec::new())));
    forged.push(("another signature of the challenger", with(&mut |items| items[last][7] ^= 1)));
    forged
}

/// Hashes a link once more, and counts its digit up.
fn raise(items: &mut [Vec<u8>], link: usize, digit: usize) {
    items[link] = hash160::Hash::hash(&items[link]).to_byte_array().to_vec();
    items[digit] = minimal(items[digit].first().copied().unwrap_or(0) + 1);
}

fn minimal(digit: u8) -> Vec<u8> {
    if digit == 0 { Vec::new() } else { vec![digit] }
}

#[test]
fn bitcoin_core_refuses_what_was_not_signed() {
    let lane = lane();
    let mut rng = StdRng::seed_from_u64(22);
    for (leaf, lies) in lies(1) {
        let script = script(&leaf, &lane).unwrap();
        let (signed, step) = &lies[0];
        let hints = leaf.hints(signed, &lane.constants, Some(&step.preimage)).unwrap();
        let items = spend(&script, &lane, leaf, signed, hints);
        for (what, items) in forgeries(&mut rng, leaf, &items) {
            assert!(!accepts(&script, &items), "{leaf:?}: {what}");
        }
        // The same operator's signatures of the same messages in another lane.
        let mut items = items;
        let mut place = leaf.hint_count();
        for id in leaf.reads() {
            let fields = fields(signed, id);
            let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
            let other = LaneId { slot: [3; 6], challenger: 4, ..ID };
            let pairs = sign(&seed(), &other, id, &fields).unwrap().pairs();
            let ours = items.splice(place..place + pairs.len(), pairs.clone()).collect::<Vec<_>>();
            assert!(!accepts(&script, &items), "{leaf:?}: {id} of another lane");
            items.splice(place..place + ours.len(), ours);
            place += pairs.len();
        }
        assert!(accepts(&script, &items));
    }
}

/// How deep a leaf lies at most in the tree of 311 leaves, and with as many more as make 512.
const DEPTH: usize = 9;

/// What every leaf weighs at most, with signatures and control block.
const SIZES: [(&str, usize); 103] = [
    ("accepts.wrongly", 10591),
    ("rejects.wrongly.lui", 10560),
    ("rejects.wrongly.auipc", 10560),
    ("rejects.wrongly.jal", 10560),
    ("rejects.wrongly.jalr", 10572),
    ("rejects.wrongly.branch", 10575),
    ("rejects.wrongly.load", 10670),
    ("rejects.wrongly.store", 10773),
    ("rejects.wrongly.immediate", 10622),
    ("rejects.wrongly.register", 10616),
    ("rejects.wrongly.fence", 10572),
    ("rejects.wrongly.unhash", 10629),
    ("rejects.wrongly.input", 10601),
    ("trap.fetch", 10597),
    ("trap.unknown.opcode", 10564),
    ("trap.unknown.jalr", 10508),
    ("trap.unknown.branch", 10511),
    ("trap.unknown.load", 10514),
    ("trap.unknown.store", 10509),
    ("trap.unknown.immediate", 10558),
    ("trap.unknown.register", 10552),
    ("trap.unknown.fence", 10508),
    ("trap.unknown.system", 10528),
    ("trap.unknown.unhash", 10520),
    ("trap.unknown.input", 10505),
    ("trap.load", 10604),
    ("trap.store", 10707),
    ("trap.ebreak", 10531),
    ("trap.unhash", 10563),
    ("trap.input", 10535),
    ("trap.ecall", 10647),
    ("address.load", 6010),
    ("address.store", 6038),
    ("address.unhash", 5874),
    ("address.none", 5952),
    ("next_pc.lui", 5947),
    ("next_pc.auipc", 5947),
    ("next_pc.jal", 6035),
    ("next_pc.jalr", 6047),
    ("next_pc.load", 6057),
    ("next_pc.store", 6160),
    ("next_pc.immediate", 6009),
    ("next_pc.register", 6003),
    ("next_pc.fence", 5959),
    ("next_pc.unhash", 6016),
    ("next_pc.input", 5988),
    ("next_pc.beq", 6108),
    ("next_pc.bne", 6110),
    ("next_pc.blt", 6193),
    ("next_pc.bge", 6194),
    ("next_pc.bltu", 6165),
    ("next_pc.bgeu", 6166),
    ("value.x0", 5743),
    ("value.lui", 5749),
    ("value.auipc", 5913),
    ("value.jal", 5958),
    ("value.jalr", 5970),
    ("value.lb", 11790),
    ("value.lh", 11828),
    ("value.lw", 11833),
    ("value.lbu", 11779),
    ("value.lhu", 11816),
    ("value.sb", 5873),
    ("value.sh", 5917),
    ("value.sw", 5911),
    ("value.sb.kept", 11821),
    ("value.sh.kept", 11806),
    ("value.addi", 5896),
    ("value.slti", 5899),
    ("value.sltiu", 5893),
    ("value.xori", 6093),
    ("value.ori", 6093),
    ("value.andi", 6093),
    ("value.slli", 6198),
    ("value.srli", 6164),
    ("value.srai", 6204),
    ("value.add", 5909),
    ("value.slt", 5906),
    ("value.sltu", 5878),
    ("value.xor", 6071),
    ("value.or", 6071),
    ("value.and", 6071),
    ("value.sll", 6198),
    ("value.srl", 6164),
    ("value.sra", 6204),
    ("value.sub", 5911),
    ("value.mul", 6764),
    ("value.mulh", 7540),
    ("value.mulhsu", 7366),
    ("value.mulhu", 7074),
    ("value.div", 7943),
    ("value.divu", 7435),
    ("value.rem", 7980),
    ("value.remu", 7479),
    ("value.input.block.previous.hash", 11822),
    ("value.input.block.previous.root", 11823),
    ("value.input.block.next.hash", 11824),
    ("value.input.block.next.root", 11826),
    ("value.input.block.index", 6469),
    ("value.input.claim.N", 7180),
    ("value.input.claim.block_hash", 7099),
    ("value.input.lane", 5920),
    ("value.unhash", 107266),
];

#[test]
fn sizes_are_pinned() {
    let lane = lane();
    let size = |leaf: &Semantics| (leaf.name(), Size::of(leaf, &lane, DEPTH).unwrap().witness);
    let sizes: Vec<_> = Semantics::all().iter().map(size).collect();
    let pinned: Vec<_> = SIZES.iter().map(|(name, size)| (name.to_string(), *size)).collect();
    assert!(sizes.iter().all(|(name, size)| *size <= if name == "value.unhash" { 113_000 } else { 12_000 }));
    let text: String = sizes.iter().map(|(name, size)| format!("    (\"{name}\", {size}),\n")).collect();
    assert_eq!(sizes, pinned, "\n{text}");
}
