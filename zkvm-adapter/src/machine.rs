//! A machine that runs: an image, what it is told, and how far it has come.

use std::sync::Arc;

use trestle_rollup::Digest;

use crate::image::Image;
use crate::inputs::InputWords;
use crate::jit::Compiled;
use crate::layout::{PAGE_BYTES, PC};
use crate::memory::{Memory, MemoryError, MemoryTree};
use crate::step::{Constants, Effect, Halt, Preimages, Step, UnknownDigest, step};

/// A machine at some step of its trace.
#[derive(Debug)]
pub struct Machine {
    image: Arc<Image>,
    inputs: InputWords,
    memory: Memory,
    /// k, when the machine is in state S_k.
    steps: u64,
    halt: Option<Halt>,
    compiled_steps: u64,
}

/// What a machine was at one step; cheap to keep.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// k of S_k.
    pub steps: u64,
    /// The memory, registers and pc included; what it was before the last step, if that halted.
    pub memory: MemoryTree,
    /// Whether the machine has halted.
    pub halt: Option<Halt>,
}

/// Why a machine cannot go on. The trace itself always goes on.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The program wants more memory than the limit.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The program wants a preimage that nobody knows.
    #[error(transparent)]
    Unknown(#[from] UnknownDigest),
}

impl Snapshot {
    /// S_k. Hashes what was not hashed yet.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.halt.map_or_else(|| self.memory.root(), Halt::state)
    }
}

impl Machine {
    /// A machine in its first state. It may use `page_limit` pages of memory.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn new(image: Arc<Image>, inputs: InputWords, page_limit: usize) -> Result<Self, MemoryError> {
        let memory = Memory::new(&image.memory, image.code.clone(), page_limit)?;
        Ok(Self { image, inputs, memory, steps: 0, halt: None, compiled_steps: 0 })
    }

    /// The number of steps made, k of S_k.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How many steps compiled code has made since the machine is there, and not the step function.
    #[must_use]
    pub fn compiled_steps(&self) -> u64 {
        self.compiled_steps
    }

    /// How the machine has halted, if it has.
    #[must_use]
    pub fn halt(&self) -> Option<Halt> {
        self.halt
    }

    /// Makes one step by the step function; none if the machine has halted.
    ///
    /// # Errors
    /// If the step cannot be computed; the machine is then where it was.
    pub fn step(&mut self, preimages: &dyn Preimages) -> Result<Option<Step>, MachineError> {
        if self.halt.is_some() {
            return Ok(None);
        }
        let constants = Constants { code: &self.image.code, inputs: &self.inputs, preimages };
        let made = step(&self.memory, &constants)?;
        match made.effect {
            Effect::Write { address, value, next_pc } => {
                // So that there is room for pc when there was for the word.
                self.memory.touch(PC / PAGE_BYTES as u32)?;
                self.memory.write_word(address, value)?;
                self.memory.write_word(PC, next_pc)?;
            }
            Effect::Halt(halt) => self.halt = Some(halt),
        }
        self.steps += 1;
        Ok(Some(made))
    }

    /// Runs until it has halted or made `until` steps in all.
    ///
    /// # Errors
    /// If a step cannot be computed; the machine is then before it.
    pub fn run(&mut self, until: u64, preimages: &dyn Preimages) -> Result<Option<Halt>, MachineError> {
        let compiled = Compiled::of(&self.image);
        // Whether what is next is a place that code jumps to, or that compiled code came to and stopped at.
        let mut arrived = true;
        while self.halt.is_none() && self.steps < until {
            if let Some(compiled) = &compiled {
                let made = compiled.run(&mut self.memory, until - self.steps, arrived)?;
                self.steps += made;
                self.compiled_steps += made;
                arrived = made > 0;
                if self.steps == until {
                    break;
                }
            }
            if let Some(Step { pc, effect: Effect::Write { next_pc, .. }, .. }) = self.step(preimages)? {
                arrived |= next_pc != pc.wrapping_add(4);
            }
        }
        Ok(self.halt)
    }

    /// The state, to come back to or to ask for its root. Copies what was written since the last one.
    pub fn snapshot(&mut self) -> Snapshot {
        Snapshot { steps: self.steps, memory: self.memory.snapshot(), halt: self.halt }
    }

    /// Goes back, or ahead, to a snapshot of the same run.
    pub fn restore(&mut self, to: &Snapshot) {
        self.memory.restore(&to.memory);
        (self.steps, self.halt) = (to.steps, to.halt);
    }
}
