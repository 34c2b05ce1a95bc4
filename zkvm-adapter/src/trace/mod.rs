//! A run that answers questions about each of its steps.
//!
//! Nothing is hashed while the machine runs. It leaves snapshots on its way, and whoever asks for a root has the
//! machine go back to the nearest one, run on to the step, and hash what was written since some other root was asked
//! for. A search that narrows gets faster as it does, because each state that was asked for is a snapshot, too.

mod snapshots;

use std::fmt;
use std::sync::Arc;

use trestle_rollup::Digest;

use crate::image::Image;
use crate::inputs::InputWords;
use crate::layout::TRACE_STEPS;
use crate::machine::{Machine, MachineError, Snapshot};
use crate::memory::MemoryTree;
use crate::opening::Opening;
use crate::step::{Constants, Halt, Preimages, Step, step};
use crate::vm::Disputable;

use snapshots::Snapshots;

/// Whoever knows preimages, for as long as a trace is asked about.
pub type SharedPreimages = Arc<dyn Preimages + Send + Sync>;

/// How far a run may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps.
    pub steps: u64,
    /// Pages of memory that the program may use.
    pub pages: usize,
    /// Bytes that the machine and all snapshots may take together, as far as fewer snapshots can help. What hashes and
    /// compiled code take comes on top.
    pub bytes: usize,
}

impl Default for Limits {
    /// All steps there are, 512 MiB for the program, and 1.75 GiB in all, which leaves room under 2 GiB.
    fn default() -> Self {
        Self { steps: TRACE_STEPS, pages: 1 << 17, bytes: 7 << 28 }
    }
}

/// The steps of one run, from the first state until the machine halts or the limit is reached.
pub struct Trace {
    image: Arc<Image>,
    inputs: InputWords,
    preimages: SharedPreimages,
    machine: Machine,
    snapshots: Snapshots,
    /// Steps made in all.
    steps: u64,
    halt: Option<Halt>,
}

/// Why there is no trace, or no answer.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The machine could not go on.
    #[error("after {steps} steps: {source}")]
    Machine {
        /// Steps made until then.
        steps: u64,
        /// Why.
        source: MachineError,
    },
    /// The run was stopped before this step, and had not halted.
    #[error("the run was stopped after {steps} steps, before step {asked}")]
    Stopped {
        /// Steps made.
        steps: u64,
        /// What was asked for.
        asked: u64,
    },
    /// There is no such step in any trace.
    #[error("there is no step {0}: a trace has 2^44, counted from 1")]
    NoStep(u64),
}

/// Steps that a run makes at most between two reports of progress.
const REPORT_STEPS: u64 = 1 << 26;

impl Trace {
    /// Runs a program. `progress` is told every now and then how many steps were made.
    ///
    /// # Errors
    /// If the machine cannot go on: it has no memory left, or nobody knows a preimage that it asks for.
    pub fn run(
        image: Arc<Image>,
        inputs: InputWords,
        preimages: SharedPreimages,
        limits: &Limits,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, TraceError> {
        let machine = Machine::new(Arc::clone(&image), inputs, limits.pages);
        let mut machine = machine.map_err(|source| TraceError::Machine { steps: 0, source: source.into() })?;
        let mut snapshots = Snapshots::new(machine.snapshot(), limits.bytes);
        let limit = limits.steps.min(TRACE_STEPS);
        while machine.halt().is_none() && machine.steps() < limit {
            let until = limit.min(snapshots.next()).min(machine.steps() + REPORT_STEPS);
            run(&mut machine, until, &preimages)?;
            if machine.halt().is_none() && machine.steps() == snapshots.next() {
                snapshots.leave(machine.snapshot());
            }
            progress(machine.steps());
        }
        let (steps, halt) = (machine.steps(), machine.halt());
        Ok(Self { image, inputs, preimages, machine, snapshots, steps, halt })
    }

    /// The program.
    #[must_use]
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// What INPUT reads.
    #[must_use]
    pub fn inputs(&self) -> &InputWords {
        &self.inputs
    }

    /// What UNHASH reads.
    #[must_use]
    pub fn preimages(&self) -> &SharedPreimages {
        &self.preimages
    }

    /// How the machine has halted if it has by step k; an error if that cannot be known.
    fn halted_at(&self, k: u64) -> Result<Option<Halt>, TraceError> {
        match self.halt {
            _ if k > TRACE_STEPS => Err(TraceError::NoStep(k)),
            Some(halt) if k >= self.steps => Ok(Some(halt)),
            None if k > self.steps => Err(TraceError::Stopped { steps: self.steps, asked: k }),
            _ => Ok(None),
        }
    }

    /// The memory after k steps, of which none has halted the machine.
    pub(crate) fn memory(&mut self, k: u64) -> Result<MemoryTree, TraceError> {
        let nearest = self.snapshots.nearest(k);
        if nearest.steps == k {
            return Ok(nearest.memory);
        }
        self.go_to(k, &nearest)?;
        let snapshot = self.machine.snapshot();
        self.snapshots.keep(snapshot.clone());
        Ok(snapshot.memory)
    }

    /// The step made from a memory that [`Self::memory`] gave for k.
    fn step_from(&self, memory: &MemoryTree, k: u64) -> Result<Step, TraceError> {
        let constants = Constants { code: &self.image.code, inputs: &self.inputs, preimages: &*self.preimages };
        step(memory, &constants).map_err(|source| TraceError::Machine { steps: k, source: source.into() })
    }

    /// Goes through the steps from t on, and gives the first one that is looked for with its number; `None` if the run
    /// ends before.
    pub(crate) fn find(
        &mut self,
        t: u64,
        mut wanted: impl FnMut(&Step) -> bool,
    ) -> Result<Option<(u64, Step)>, TraceError> {
        if t > self.steps {
            return Ok(None);
        }
        let nearest = self.snapshots.nearest(t - 1);
        self.go_to(t - 1, &nearest)?;
        while self.machine.steps() < self.steps {
            let steps = self.machine.steps();
            let made = self.machine.step(&*self.preimages);
            match made.map_err(|source| TraceError::Machine { steps, source })? {
                Some(step) if wanted(&step) => return Ok(Some((steps + 1, step))),
                Some(_) => {}
                None => break,
            }
        }
        Ok(None)
    }

    /// Has the machine make k steps, from where it is or from a snapshot.
    fn go_to(&mut self, k: u64, nearest: &Snapshot) -> Result<(), TraceError> {
        if self.machine.steps() > k || self.machine.steps() < nearest.steps {
            self.machine.restore(nearest);
        }
        run(&mut self.machine, k, &self.preimages)
    }
}

impl Disputable for Trace {
    fn steps(&self) -> u64 {
        self.steps
    }

    fn halt(&self) -> Option<Halt> {
        self.halt
    }

    fn root(&mut self, k: u64) -> Result<Digest, TraceError> {
        match self.halted_at(k)? {
            Some(halt) => Ok(halt.state()),
            None => Ok(self.memory(k)?.root()),
        }
    }

    fn opening(&mut self, t: u64) -> Result<Opening, TraceError> {
        let before = t.checked_sub(1).ok_or(TraceError::NoStep(t))?;
        self.halted_at(t)?;
        if let Some(halt) = self.halted_at(before)? {
            return Ok(Opening::of_halted(t, halt.state(), &self.image.code));
        }
        let memory = self.memory(before)?;
        Ok(Opening::of_step(t, &memory, &self.step_from(&memory, before)?))
    }
}

fn run(machine: &mut Machine, until: u64, preimages: &SharedPreimages) -> Result<(), TraceError> {
    let ran = machine.run(until, &**preimages).map(|_| ());
    ran.map_err(|source| TraceError::Machine { steps: machine.steps(), source })
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("steps", &self.steps).field("halt", &self.halt).finish_non_exhaustive()
    }
}
