//! Traces: every root and every step of a run, whenever it is asked for.

use std::sync::{Arc, Mutex};

use trestle_rollup::{Digest, compress};
use trestle_zkvm_adapter::layout::{HALT_ACCEPT, HALT_REJECT, TRACE_STEPS};
use trestle_zkvm_adapter::{
    Disputable, Halt, Image, InputWords, Limits, MachineError, Preimages, Prover, Rules, Rv32im, SharedPreimages,
    Trace, TraceError, ZkVm, step,
};
use trestle_zkvm_adapter::{Opening, step::Constants};

use crate::samples::{CODE, Known, Random, after, program};

const INPUTS: InputWords = [0x1234_5678; 38];

fn run(image: &Arc<Image>, known: Known, limits: &Limits) -> Trace {
    Trace::run(Arc::clone(image), INPUTS, Arc::new(known), limits, &mut |_| {}).expect("runs")
}

/// All roots of a run and all its openings, by the step function alone.
fn by_hand(image: &Image, known: &Known) -> (Vec<[u8; 32]>, Vec<Opening>) {
    let constants = Constants { code: &image.code, inputs: &INPUTS, preimages: known };
    let mut memory = image.memory.clone();
    let (mut roots, mut openings) = (vec![memory.root()], vec![]);
    loop {
        let made = step(&memory, &constants).expect("known");
        let opening = Opening::of_step(roots.len() as u64, &memory, &made);
        roots.push(opening.step.roots.after);
        openings.push(opening);
        match after(&memory, &made.effect) {
            Some(next) => memory = next,
            None => return (roots, openings),
        }
    }
}

#[test]
fn every_root_and_every_opening_is_that_of_the_step_function() {
    for (seed, accepts) in [(1, true), (2, false)] {
        let (image, known) = program(seed, 3, accepts);
        let (roots, openings) = by_hand(&image, &known);
        let preimage = known.0;
        let mut trace = run(&image, known, &Limits::default());
        assert_eq!(trace.steps() as usize, roots.len() - 1);
        assert!(trace.steps() > 500, "{}", trace.steps());
        assert_eq!(trace.halt().map(Halt::state), roots.last().copied());
        let mut random = Random(seed);
        for _ in 0..3 * roots.len() {
            let k = random.below(roots.len() as u64);
            assert_eq!(trace.root(k).unwrap(), roots[k as usize]);
            let t = 1 + random.below(openings.len() as u64);
            assert_eq!(trace.opening(t).unwrap(), openings[t as usize - 1]);
        }
        let all: Vec<u64> = (0..roots.len() as u64).rev().collect();
        let found = trace.roots(&all).unwrap();
        assert!(found.iter().eq(roots.iter().rev()));
        let rules = Rules { code: &image.code, inputs: &INPUTS, preimage: Some(&preimage) };
        assert!(openings.iter().all(|opening| opening.verify(&rules).is_ok()));
    }
}

#[test]
fn a_long_run_gives_what_a_run_with_other_snapshots_gives() {
    let (image, _) = program(3, 4_000, true);
    let small = Limits { bytes: 40 << 12, ..Limits::default() };
    let mut traces = [Limits::default(), small].map(|limits| run(&image, program(3, 4_000, true).1, &limits));
    assert!(traces[0].steps() > 600_000);
    let mut random = Random(4);
    for _ in 0..12 {
        let k = [0; 3].map(|_| random.below(traces[0].steps() + 2));
        let [one, other] = traces.each_mut().map(|trace| trace.roots(&k).unwrap());
        assert_eq!(one, other);
        let t = 1 + random.below(traces[0].steps());
        let [one, other] = traces.each_mut().map(|trace| trace.opening(t).unwrap());
        assert_eq!(one, other);
        // One step's end is the next one's beginning.
        assert_eq!(traces[0].root(t).unwrap(), one.step.roots.after);
        assert_eq!(traces[1].root(t - 1).unwrap(), one.step.roots.before);
    }
}

#[test]
fn a_halted_state_stays_to_the_end_of_the_trace() {
    for (accepts, state) in [(true, HALT_ACCEPT), (false, HALT_REJECT)] {
        let (image, known) = program(5, 1, accepts);
        let mut trace = run(&image, known, &Limits::default());
        let last = trace.steps();
        assert_ne!(trace.root(last - 1).unwrap(), state);
        assert_eq!(trace.roots(&[TRACE_STEPS, last, last + 1]).unwrap(), [state; 3]);
        let rules = Rules { code: &image.code, inputs: &INPUTS, preimage: None };
        for t in [last, last + 1, TRACE_STEPS] {
            let opening = trace.opening(t).unwrap();
            assert_eq!((opening.step.roots.index, opening.step.roots.after), (t, state));
            assert_eq!(is_before(&mut trace, &opening), opening.step.roots.before);
            assert_eq!(opening.verify(&rules), Ok(()));
        }
        for beyond in [trace.root(TRACE_STEPS + 1), trace.opening(0).map(|_| [0; 32])] {
            assert!(matches!(beyond, Err(TraceError::NoStep(_))), "{beyond:?}");
        }
    }
}

fn is_before(trace: &mut Trace, opening: &Opening) -> [u8; 32] {
    trace.root(opening.step.roots.index - 1).unwrap()
}

#[test]
fn a_stopped_run_answers_for_what_it_has_run() {
    let (image, known) = program(6, 100, true);
    let (roots, _) = by_hand(&program(6, 3, true).0, &known);
    let mut trace = run(&image, known, &Limits { steps: 400, ..Limits::default() });
    assert_eq!((trace.steps(), trace.halt()), (400, None));
    // Before the first round is over, only the number of rounds to go is another.
    assert_ne!(trace.root(400).unwrap(), roots[400]);
    assert_eq!(trace.opening(400).unwrap().step.roots.after, trace.root(400).unwrap());
    for late in [trace.root(401), trace.opening(401).map(|_| [0; 32])] {
        assert_eq!(late.unwrap_err().to_string(), "the run was stopped after 400 steps, before step 401");
    }
}

#[test]
fn a_run_says_why_it_cannot_go_on() {
    let (image, known) = program(7, 2, true);
    let nobody: SharedPreimages = Arc::new(());
    let failed = Trace::run(Arc::clone(&image), INPUTS, nobody, &Limits::default(), &mut |_| {}).unwrap_err();
    let digest: String = known.key().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(failed.to_string().contains(&digest), "{failed}");
    assert!(failed.to_string().starts_with("after 7 steps: UNHASH at pc 0x0000101c"), "{failed}");

    let few = Limits { pages: 6, ..Limits::default() };
    let failed = Trace::run(image, INPUTS, Arc::new(known), &few, &mut |_| {}).unwrap_err();
    let TraceError::Machine { steps, source: MachineError::Memory(_) } = failed else { panic!("{failed}") };
    assert!(steps > 0);
}

#[test]
fn progress_is_reported_in_ascending_steps_to_the_end() {
    let (image, known) = program(8, 2_000, true);
    let mut reports = vec![];
    let trace = Trace::run(image, INPUTS, Arc::new(known), &Limits::default(), &mut |steps| reports.push(steps));
    assert!(reports.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(reports.last(), Some(&trace.unwrap().steps()));
}

/// What a dispute asks for: the search of PROTOCOL §7, through any machine.
fn search<M: ZkVm>(machine: &M, program: &Arc<M::Program>, known: Known, towards: u64) -> Opening {
    let mut trace = machine.run(program, &INPUTS, Arc::new(known), &Limits::default(), &mut |_| {}).unwrap();
    let (mut low, mut high, mut rounds) = (0, TRACE_STEPS, 0);
    while high - low > 1 {
        let quarter = (high - low) / 4;
        let asked = [low + quarter, low + 2 * quarter, low + 3 * quarter];
        assert_eq!(trace.roots(&asked).unwrap().len(), 3);
        low += (towards - 1 - low) / quarter * quarter;
        high = low + quarter;
        rounds += 1;
    }
    assert_eq!((rounds, high), (22, towards));
    trace.opening(high).unwrap()
}

#[test]
fn a_search_ends_at_any_step_of_any_machine() {
    let (image, _) = program(9, 50, false);
    for towards in [1, 77, 5_000, 1 << 30, TRACE_STEPS] {
        let opening = search(&Rv32im, &image, program(9, 50, false).1, towards);
        assert_eq!(opening.step.roots.index, towards);
        let known = program(9, 50, false).1;
        let rules = Rules { code: &image.code, inputs: &INPUTS, preimage: Some(&known.0) };
        assert_eq!(opening.verify(&rules), Ok(()));
    }
    assert_eq!(image.code.start, CODE.start);
}

/// The plainest back end that can be: its proof is every preimage that the run asks for, and whoever checks it runs the
/// program again.
struct Rerun;

type Proof = Vec<(Digest, [u8; 64])>;

#[derive(Debug, thiserror::Error)]
enum Unproved {
    #[error(transparent)]
    Run(#[from] TraceError),
    #[error("the program does not accept")]
    Rejects,
}

struct Asked {
    knows: SharedPreimages,
    asked: Mutex<Proof>,
}

impl Preimages for Asked {
    fn preimage(&self, digest: &Digest) -> Option<(Digest, [u8; 64])> {
        let found = self.knows.preimage(digest)?;
        self.asked.lock().unwrap().push(found);
        Some(found)
    }
}

/// What a proof says that it knows.
struct Told(Proof);

impl Preimages for Told {
    fn preimage(&self, digest: &Digest) -> Option<(Digest, [u8; 64])> {
        self.0.iter().find(|(m, block)| compress(m, block) == *digest).copied()
    }
}

impl Prover for Rerun {
    type Program = Arc<Image>;
    type Proof = Proof;
    type Error = Unproved;

    fn prove(&self, program: &Arc<Image>, inputs: &InputWords, knows: SharedPreimages) -> Result<Proof, Unproved> {
        let asked = Arc::new(Asked { knows, asked: Mutex::default() });
        Rv32im.run(program, inputs, asked.clone(), &Limits::default(), &mut |_| {})?;
        let mut proof = asked.asked.lock().unwrap().clone();
        proof.dedup();
        Ok(proof)
    }

    fn verify(&self, program: &Arc<Image>, inputs: &InputWords, proof: &Proof) -> Result<(), Unproved> {
        let trace = Rv32im.run(program, inputs, Arc::new(Told(proof.clone())), &Limits::default(), &mut |_| {})?;
        if trace.halt() == Some(Halt::Accept) { Ok(()) } else { Err(Unproved::Rejects) }
    }
}

#[test]
fn a_proof_is_made_by_who_knows_the_preimages_and_checked_by_who_knows_none() {
    let (accepts, known) = program(10, 3, true);
    let known = Arc::new(known);
    let proof = Rerun.prove(&accepts, &INPUTS, known.clone()).unwrap();
    assert_eq!(proof, [known.0]);
    assert!(Rerun.verify(&accepts, &INPUTS, &proof).is_ok());
    assert!(Rerun.verify(&accepts, &INPUTS, &vec![]).is_err());
    let (rejects, _) = program(10, 3, false);
    assert!(Rerun.verify(&rejects, &INPUTS, &proof).is_err());
}
