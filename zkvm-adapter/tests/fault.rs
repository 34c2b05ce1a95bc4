//! Wrong traces: where they differ from the honest one, and what is found there.

use std::sync::Arc;

use trestle_zkvm_adapter::layout::{HALT_ACCEPT, LEVELS, TRACE_STEPS};
use trestle_zkvm_adapter::{
    Access, Class, Disputable, Fault, FaultError, FaultyTrace, Field, InputWords, Kind, Lie, Limits, Place, Rules,
    Trace,
};

use crate::samples::{Random, program};

const INPUTS: InputWords = [99; 38];
const SEED: u64 = 40;
const ROUNDS: u32 = 20;

fn honest(accepts: bool) -> Trace {
    let (image, known) = program(SEED, ROUNDS, accepts);
    Trace::run(image, INPUTS, Arc::new(known), &Limits::default(), &mut |_| {}).unwrap()
}

/// The lie that an opening is found to have, by those who have every preimage.
fn found(wrong: &mut FaultyTrace) -> (Lie, Class) {
    let (_, known) = program(SEED, ROUNDS, true);
    let opening = wrong.opening(wrong.step()).unwrap();
    let rules = Rules { code: &wrong.image().code, inputs: &INPUTS, preimage: Some(&known.0) };
    let words = opening.step.words;
    let class = Class::of(words.pc, words.instruction, &wrong.image().code);
    (opening.verify(&rules).unwrap_err(), class)
}

/// Where the search of a dispute, 4 ways a round, finds the difference between what accepts and what rejects.
fn bisect(wrong: &mut impl Disputable, right: &mut impl Disputable) -> u64 {
    let (mut low, mut high) = (0, TRACE_STEPS);
    assert_ne!(wrong.root(high).unwrap(), right.root(high).unwrap());
    while high - low > 1 {
        let quarter = (high - low) / 4;
        let asked = [1, 2, 3].map(|part| low + part * quarter);
        let pairs: Vec<_> = wrong.roots(&asked).unwrap().into_iter().zip(right.roots(&asked).unwrap()).collect();
        let agreed = pairs.iter().take_while(|(wrong, right)| wrong == right).count() as u64;
        low += agreed * quarter;
        high = low + quarter;
    }
    high
}

/// What a kind is found as.
fn named(kind: Kind, lie: Lie, class: Class) -> bool {
    match kind {
        Kind::Instr => matches!(lie, Lie::Semantics(of, Field::Value | Field::NextPc) if of == class),
        Kind::Rs1 => lie == Lie::Word(Access::Rs1),
        Kind::Rs2 => lie == Lie::Word(Access::Rs2),
        Kind::Load => lie == Lie::Word(Access::Memory) && matches!(class, Class::Load(..)),
        Kind::Store => lie == Lie::Written(Access::Write) && matches!(class, Class::Store(_)),
        Kind::Code => lie == Lie::Word(Access::Code),
        Kind::Pc => lie == Lie::Word(Access::Pc),
        Kind::Unhash => matches!(lie, Lie::Unhash(_)),
        Kind::Input => matches!(lie, Lie::Input(_)),
        Kind::Halt => lie == Lie::Halted(class),
        Kind::Root => lie == Lie::Node { access: Access::WritePc, level: LEVELS - 1 },
    }
}

#[test]
fn every_kind_is_found_where_it_is_and_as_what_it_is() {
    let mut random = Random(1);
    for accepts in [true, false] {
        let mut right = honest(accepts);
        for kind in Kind::ALL {
            for _ in 0..6 {
                let asked = 1 + random.below(right.steps() - 200);
                let fault = Fault { kind, place: Place::From(asked) };
                let mut wrong = FaultyTrace::new(honest(accepts), fault).unwrap();
                assert!((asked..asked + 200).contains(&wrong.step()), "{kind}: {asked} {}", wrong.step());
                let (lie, class) = found(&mut wrong);
                assert!(named(kind, lie, class), "{kind} at {}: {lie:?} {class:?}", wrong.step());
                let at = wrong.step();
                assert_eq!(wrong.root(at - 1).unwrap(), right.root(at - 1).unwrap());
                assert_ne!(wrong.root(at).unwrap(), right.root(at).unwrap());
                if !accepts {
                    assert_eq!(bisect(&mut wrong, &mut right), at);
                }
                assert_eq!(wrong.root(TRACE_STEPS).unwrap(), HALT_ACCEPT);
            }
        }
    }
}

#[test]
fn before_its_lie_a_wrong_trace_is_the_honest_one_and_after_it_accepts() {
    let mut right = honest(false);
    for kind in Kind::ALL {
        let mut wrong = FaultyTrace::new(honest(false), Fault { kind, place: Place::From(700) }).unwrap();
        let at = wrong.step();
        for t in [1, 500, at - 1] {
            assert_eq!(wrong.opening(t).unwrap(), right.opening(t).unwrap());
            assert_eq!(wrong.root(t).unwrap(), right.root(t).unwrap());
        }
        let lie = wrong.opening(at).unwrap().step.roots;
        assert_eq!((lie.index, lie.before, lie.after), (at, right.root(at - 1).unwrap(), wrong.root(at).unwrap()));
        assert_ne!(lie.after, right.root(at).unwrap());
        for t in [at + 1, at + 2, right.steps(), TRACE_STEPS] {
            let roots = wrong.opening(t).unwrap().step.roots;
            assert_eq!((roots.index, roots.after), (t, HALT_ACCEPT));
            assert_eq!(roots.before, wrong.root(t - 1).unwrap());
        }
    }
}

#[test]
fn the_last_step_and_a_halted_state_can_be_lied_about() {
    let halt = |t| Fault { kind: Kind::Halt, place: Place::From(t) };
    for accepts in [true, false] {
        let mut right = honest(accepts);
        let last = right.steps();
        let class = if accepts { Class::Ecall } else { Class::Ebreak };
        for (t, expected) in
            [(last, Lie::NotHalted(class)), (last + 1, Lie::HaltedMoved), (TRACE_STEPS, Lie::HaltedMoved)]
        {
            let mut wrong = FaultyTrace::new(honest(accepts), halt(t)).unwrap();
            assert_eq!(wrong.step(), t);
            assert_eq!(found(&mut wrong).0, expected);
            assert_ne!(wrong.root(t).unwrap(), right.root(t).unwrap());
            if !accepts {
                assert_eq!(bisect(&mut wrong, &mut right), t);
            }
        }
    }
}

#[test]
fn a_seed_decides_a_random_place() {
    let place = |seed| {
        let fault = Fault { kind: Kind::Instr, place: Place::Random(seed) };
        FaultyTrace::new(honest(true), fault).unwrap().step()
    };
    assert_eq!(place(1), place(1));
    let mut places: Vec<u64> = (0..8).map(place).collect();
    places.sort_unstable();
    places.dedup();
    assert!(places.len() >= 7, "{places:?}");
    assert!(places.iter().all(|t| *t <= honest(true).steps()));
}

#[test]
fn what_a_run_does_not_do_cannot_be_lied_about() {
    let steps = honest(true).steps();
    for (place, line) in [
        (Place::From(steps), format!("no step of the run from {steps} on can be lied about by store")),
        (Place::From(0), "there is no step 0: a trace has 2^44, counted from 1".into()),
    ] {
        let failed = FaultyTrace::new(honest(true), Fault { kind: Kind::Store, place });
        assert_eq!(failed.map(|_| ()).map_err(|error: FaultError| error.to_string()), Err(line));
    }
}

#[test]
fn kinds_are_read_as_they_are_written() {
    for kind in Kind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert!("rs3".parse::<Kind>().unwrap_err().contains("instr, rs1, rs2"));
}
