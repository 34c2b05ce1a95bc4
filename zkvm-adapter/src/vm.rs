//! What the rest of Trestle asks of a machine, so that another one can take its place.
//!
//! A dispute needs [`ZkVm`] and what its runs are, [`Disputable`]. A proof instead of a dispute needs [`Prover`]. The
//! two are apart because a back end has what it has: this machine is disputed and proves nothing, a zkVM proves and its
//! steps are not opened. docs/machine.md and docs/provers.md say what others would have to bring.

use std::sync::Arc;

use trestle_rollup::Digest;

use crate::image::{Image, ImageError};
use crate::inputs::InputWords;
use crate::opening::Opening;
use crate::step::Halt;
use crate::trace::{Limits, SharedPreimages, Trace, TraceError};

/// A machine whose runs can be disputed step by step, in openings of one format.
pub trait ZkVm {
    /// A program in its first state.
    type Program;
    /// A finished or stopped run.
    type Trace: Disputable;

    /// Reads an executable file.
    ///
    /// # Errors
    /// If it is no program of this machine, or larger than the limit.
    fn load(&self, file: &[u8], limits: &Limits) -> Result<Arc<Self::Program>, ImageError>;

    /// Runs a program until it halts or the limit is reached. `progress` is told every now and then how many steps were
    /// made.
    ///
    /// # Errors
    /// If the machine cannot go on: it has no memory left, or nobody knows a preimage that it asks for.
    fn run(
        &self,
        program: &Arc<Self::Program>,
        inputs: &InputWords,
        preimages: SharedPreimages,
        limits: &Limits,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self::Trace, TraceError>;
}

/// A run as one side of a dispute has it: what the side says of each state and each step, right or wrong.
pub trait Disputable {
    /// How many steps the run had. If it has halted, the last one of them halted it.
    fn steps(&self) -> u64;

    /// How it has halted; `None` if it was stopped.
    fn halt(&self) -> Option<Halt>;

    /// `S_k`.
    ///
    /// # Errors
    /// If k > 2^44, or the run was stopped before.
    fn root(&mut self, k: u64) -> Result<Digest, TraceError>;

    /// Step t, from `S_{t-1}` to `S_t`.
    ///
    /// # Errors
    /// If t is not in 1..=2^44, or the run was stopped before.
    fn opening(&mut self, t: u64) -> Result<Opening, TraceError>;

    /// `S_k` for several k, in the order in which they are given, found in one pass.
    ///
    /// # Errors
    /// If one of them cannot be had.
    fn roots(&mut self, steps: &[u64]) -> Result<Vec<Digest>, TraceError> {
        let mut ascending: Vec<(usize, u64)> = steps.iter().copied().enumerate().collect();
        ascending.sort_by_key(|(_, k)| *k);
        let mut roots = Vec::with_capacity(steps.len());
        for (position, k) in ascending {
            roots.push((position, self.root(k)?));
        }
        roots.sort_by_key(|(position, _)| *position);
        Ok(roots.into_iter().map(|(_, root)| root).collect())
    }
}

/// A back end that proves what a machine would have to be asked about.
///
/// What is proved is that the program accepts: that it halts so with these inputs, where UNHASH gives what it must.
/// Preimages are the prover's to know. A verifier needs none: there is one that anybody can find, so it matters to nobody
/// where the prover has it from.
pub trait Prover {
    /// A program, built for the back end.
    type Program;
    /// A proof, for that program and some inputs.
    type Proof;
    /// Why there is no proof, or why it is none.
    type Error: std::error::Error;

    /// Proves that a program accepts.
    ///
    /// # Errors
    /// If it does not, or the back end cannot prove it.
    fn prove(
        &self,
        program: &Self::Program,
        inputs: &InputWords,
        preimages: SharedPreimages,
    ) -> Result<Self::Proof, Self::Error>;

    /// Checks such a proof.
    ///
    /// # Errors
    /// If it is none.
    fn verify(&self, program: &Self::Program, inputs: &InputWords, proof: &Self::Proof) -> Result<(), Self::Error>;
}

/// The machine of this crate: RV32IM, UNHASH and INPUT.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rv32im;

impl ZkVm for Rv32im {
    type Program = Image;
    type Trace = Trace;

    fn load(&self, file: &[u8], limits: &Limits) -> Result<Arc<Image>, ImageError> {
        Image::from_elf(file, limits.pages).map(Arc::new)
    }

    fn run(
        &self,
        program: &Arc<Image>,
        inputs: &InputWords,
        preimages: SharedPreimages,
        limits: &Limits,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Trace, TraceError> {
        Trace::run(Arc::clone(program), *inputs, preimages, limits, progress)
    }
}
