//! Whatever an operator lies about, the challenger wins: off chain first, and with everything forced on chain.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_challenger::lane::Next;
use trestle_challenger::operator::lie::PathLie;
use trestle_taptree_trace::lane::{Move, sign};
use trestle_taptree_trace::turn::{Player, Turn};
use trestle_zkvm_adapter::{Access, Fault, Kind, Place};

use crate::games::{Honest, Operator, Played, Silence, play, truth};
use crate::liar::{Forgery, Side};
use crate::referee::referee;
use crate::toy::{LANE, entry, fulfilled, operator_seed};
use crate::wire::read;

/// An N at which the slot is not fulfilled.
pub fn claimed(rng: &mut StdRng) -> u32 {
    loop {
        let n = rng.gen_range(3..400);
        if !fulfilled(&entry(n)) {
            return n;
        }
    }
}

/// Plays it, and the challenger has to win.
fn lost(operator: Operator, scripts: bool) -> Played {
    let mut operator = operator;
    let mut challenger = Honest::new(truth(&operator), &operator);
    let played = play(&mut operator, &mut challenger, scripts);
    assert_eq!(played.verdict.winner, Player::Challenger, "{:?} {:?}", played.found, played.verdict);
    assert!(played.witnessed.choices.values().all(|options| options.len() == 1));
    played
}

/// The same lie off chain first, and with everything forced on chain.
fn both(lie: impl Fn() -> Side, scripts: bool) -> String {
    let first = lost(Operator::new(lie()), scripts);
    assert!(first.verdict.turns.len() <= 8 + 3, "{:?}", first.verdict);
    assert_eq!(first.found, first.verdict.leaf);
    let forced = lost(Operator::new(lie()).silent(Silence::OffChain(0)), scripts);
    assert_eq!(forced.verdict.leaf, first.verdict.leaf);
    first.verdict.leaf.unwrap()
}

#[test]
fn every_kind_of_fault_is_disproved() {
    let mut rng = StdRng::seed_from_u64(1);
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        for seed in 0..2 {
            let n = claimed(&mut rng);
            let from = rng.gen_range(1..=n);
            let fault = Some(Fault { kind, place: Place::Random(rng.r#gen()) });
            let leaf = both(|| Side::liar(n, Forgery::Entries(from), fault), number % 4 == 0 && seed == 0);
            println!("{kind}: {leaf}");
        }
    }
}

#[test]
fn a_claim_without_payout_is_disproved() {
    let mut rng = StdRng::seed_from_u64(2);
    for kind in [Kind::Instr, Kind::Rs1, Kind::Code, Kind::Pc, Kind::Input, Kind::Halt, Kind::Root] {
        let n = claimed(&mut rng);
        let fault = Some(Fault { kind, place: Place::Random(rng.r#gen()) });
        both(|| Side::liar(n, Forgery::None, fault), false);
    }
    let n = claimed(&mut rng);
    assert_eq!(both(|| Side::liar(n, Forgery::None, None), true), "step.last");
    let moved = Some(Fault { kind: Kind::Halt, place: Place::From(0) });
    assert_eq!(both(|| Side::liar(n, Forgery::None, moved), true), "step.moved.rejected");
    assert_eq!(both(|| Side::liar(n, Forgery::None, None).starting_elsewhere(), true), "step.first");
}

#[test]
fn a_false_entry_is_disproved_wherever_it_is() {
    let mut rng = StdRng::seed_from_u64(3);
    let n = claimed(&mut rng);
    for from in [1, 2, n / 2, n - 1, n] {
        assert_eq!(both(|| Side::liar(n, Forgery::Entries(from), None), false), "step.last");
        assert_eq!(both(|| Side::liar(n, Forgery::Parts(from), None), from == 1), "entry.next.hash");
    }
    let n = claimed(&mut rng);
    for from in [n + 2, n + 3, 4096, 65535, 65536] {
        assert_eq!(both(|| Side::liar(n, Forgery::Late(from), None), from == 4096), "entry.repeated");
    }
    assert_eq!(both(|| Side::liar(n, Forgery::Late(65537), None), true), "entry.last");
    // Nothing but the checkpoint differs, so no search leads there; it is there that nothing else may be claimed.
    let first = Operator::new(Side::liar(n, Forgery::Checkpoint, None));
    assert_eq!(lost(first, false).verdict.leaf.unwrap(), "step.last");
}

#[test]
fn a_block_that_nobody_knows_needs_a_chain_with_work() {
    let mut rng = StdRng::seed_from_u64(4);
    let n = claimed(&mut rng);
    for (from, worked, leaf) in [(1, 0, "fork.0.work"), (n / 2, 1, "fork.1.work"), (n, 2, "fork.2.work")] {
        assert_eq!(both(|| Side::liar(n, Forgery::Blocks(from, worked), None), worked == 1), leaf);
    }
    // What enough work buys, docs/protocol.md says.
    let mut operator = Operator::new(Side::liar(n, Forgery::Blocks(n, 3), None));
    let mut challenger = Honest::new(truth(&operator), &operator);
    assert_eq!(play(&mut operator, &mut challenger, false).verdict.winner, Player::Operator);
}

#[test]
fn a_false_path_is_disproved_at_every_level() {
    let mut rng = StdRng::seed_from_u64(5);
    let kinds = [Kind::Pc, Kind::Code, Kind::Rs1, Kind::Rs2, Kind::Load, Kind::Store, Kind::Root];
    for (number, kind) in kinds.into_iter().cycle().take(56).enumerate() {
        let n = claimed(&mut rng);
        let level = rng.gen_range(0..27);
        let lie = match number / 7 % 5 {
            0 | 1 => PathLie::Bottom(level),
            2 => PathLie::Sibling(level),
            3 => PathLie::Direction(level),
            _ if number % 2 == 0 => PathLie::Node(level),
            _ => PathLie::Others,
        };
        let fault = Some(Fault { kind, place: Place::Random(rng.r#gen()) });
        let from = rng.gen_range(1..=n);
        let leaf = both(|| Side::liar(n, Forgery::Entries(from), fault).with_path(lie), number % 14 == 0);
        println!("{kind} {lie:?}: {leaf}");
    }
}

#[test]
fn a_true_path_to_another_address_is_disproved() {
    let mut rng = StdRng::seed_from_u64(8);
    for of in [Access::Pc, Access::Code, Access::Rs2, Access::Memory, Access::Rs2] {
        let n = claimed(&mut rng);
        let from = rng.gen_range(1..=n);
        let step = rng.gen_range(1..40);
        let leaf = both(|| Side::liar(n, Forgery::Entries(from), None).borrowing(step, of), of == Access::Code);
        assert_eq!(leaf, "direction.rs1");
    }
}

#[test]
fn another_story_on_chain_is_a_second_signature() {
    let mut rng = StdRng::seed_from_u64(6);
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        let n = claimed(&mut rng);
        let from = rng.gen_range(1..=n);
        let fault = Some(Fault { kind, place: Place::Random(rng.r#gen()) });
        let lie = || Side::liar(n, Forgery::Entries(from), fault);
        // The truth, once it is too late, and another lie.
        for other in [
            Side::liar(n, Forgery::None, None),
            Side::liar(n, Forgery::Entries(from), None),
            Side::liar(n, Forgery::Entries(1 + from % n), fault),
        ] {
            lost(Operator::new(lie()).then(other), number == 0);
        }
    }
}

#[test]
fn silence_loses_at_every_turn() {
    let mut rng = StdRng::seed_from_u64(7);
    let n = claimed(&mut rng);
    let fault = Some(Fault { kind: Kind::Root, place: Place::Random(1) });
    let lie = || Side::liar(n, Forgery::Entries(n / 2), fault);
    let moves = lost(Operator::new(lie()), false).moves;
    assert_eq!(moves, 8 + 1 + 22 + 1 + 3 + 1);
    for number in 0..=moves {
        let played = lost(Operator::new(lie()).silent(Silence::OffChain(number)), false);
        assert!(played.verdict.leaf.is_some() && played.moves == number, "{number}: {:?}", played.verdict);
        let played = lost(Operator::new(lie()).silent(Silence::OnChain(number)), false);
        assert_eq!(played.verdict.leaf.is_none(), number < moves, "{number}: {:?}", played.verdict);
    }
    for number in 0..2 {
        let played = lost(Operator::new(lie()).silent(Silence::Late(number)), false);
        assert!(played.verdict.leaf.is_none());
    }
    let forked = || Side::liar(n, Forgery::Blocks(2, 3), None);
    for number in 0..3 {
        let played = lost(Operator::new(forked()).silent(Silence::OnChain(8 + 1 + number)), false);
        assert_eq!(played.verdict.turns.last(), Some(&Turn::Header(number as u16)));
    }
}

/// Off chain no script says that an opening is of what was chosen.
#[test]
fn an_opening_of_something_else_is_forced_on_chain() {
    let mut rng = StdRng::seed_from_u64(10);
    for opening in [Move::Block, Move::Step, Move::ReadNode] {
        let n = claimed(&mut rng);
        let fault = Some(Fault { kind: Kind::Rs1, place: Place::Random(rng.r#gen()) });
        let side = Side::liar(n, Forgery::Entries(n / 2), fault).with_path(PathLie::Bottom(9));
        let mut operator = Operator::new(side);
        let mut challenger = Honest::new(truth(&operator), &operator);
        while let Next::Ask(ask) = challenger.next() {
            let mut answer = operator.answer(&ask).unwrap().unwrap();
            if ask.wanted == opening {
                let index = opening.index().unwrap();
                let said = read(index, answer.signatures.last().unwrap()).message(&index.layout()).unwrap();
                let mut fields: Vec<Vec<u8>> = (0..index.layout().fields.len()).map(|at| said.field(at)).collect();
                // The last digit of j, of k, and of the level.
                let field = if opening == Move::ReadNode { &mut fields[1] } else { &mut fields[0] };
                *field.last_mut().unwrap() ^= 1;
                let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
                let signature = sign(&operator_seed(), &LANE, index, &fields).unwrap();
                *answer.signatures.last_mut().unwrap() = (&signature).into();
            }
            challenger.receive(ask.wanted, &answer).unwrap();
        }
        assert_eq!(challenger.next(), Next::Force, "{opening:?}");
        let verdict = referee(&mut operator, &mut challenger, true);
        // The second signature, or what else is false of the first.
        assert!(verdict.winner == Player::Challenger && verdict.leaf.is_some(), "{verdict:?}");
    }
}
