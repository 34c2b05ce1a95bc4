//! Wrong traces on purpose: what a liar would play, to try out those who must catch it.
//!
//! A wrong trace is the honest one up to the step of its lie. Its opening of that step is in order but for one thing,
//! which is what its kind is named for; whatever follows from it follows. After that every state is HALT_ACCEPT, so that
//! the trace accepts, and the first state that differs from the honest trace's is the one that the lie leads to.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

use trestle_rollup::compress::IV;
use trestle_rollup::{Digest, compress};

use crate::image::Image;
use crate::judge::Class;
use crate::layout::{HALT_ACCEPT, HALT_REJECT, TRACE_STEPS, register_address};
use crate::memory::MemoryTree;
use crate::opening::Opening;
use crate::step::{Constants, Effect, Halt, Leaf, ReadMemory, Step, step};
use crate::trace::{Trace, TraceError};
use crate::vm::Disputable;

/// What is lied about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What the instruction does: the value written, or where it goes on if it writes none. Not of UNHASH and INPUT.
    Instr,
    /// The first source register is not what memory has.
    Rs1,
    /// The second source register is not what memory has.
    Rs2,
    /// The leaf loaded from is not what memory has.
    Load,
    /// Another word is stored than the step says.
    Store,
    /// The instruction is not what is at pc.
    Code,
    /// pc is not what memory has.
    Pc,
    /// UNHASH gives another word.
    Unhash,
    /// INPUT gives another word.
    Input,
    /// The state is halted though the step does not halt, or halts otherwise; or a halted state moves.
    Halt,
    /// The state does not follow from what was written.
    Root,
}

/// Where the lie is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the first step from this one on at which it can be told.
    From(u64),
    /// The same from some step of the run on, which the seed decides; from its beginning, if there is none.
    Random(u64),
}

/// A lie to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What about.
    pub kind: Kind,
    /// Where.
    pub place: Place,
}

/// Why there is no such lie.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// The run has no step that such a lie could be about.
    #[error("no step of the run from {from} on can be lied about by {kind}")]
    Nowhere {
        /// The kind.
        kind: Kind,
        /// Where it was looked for.
        from: u64,
    },
    /// The trace has no answer.
    #[error(transparent)]
    Trace(#[from] TraceError),
}

/// A wrong trace.
#[derive(Debug)]
pub struct FaultyTrace {
    honest: Trace,
    lie: Opening,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Instr,
        Self::Rs1,
        Self::Rs2,
        Self::Load,
        Self::Store,
        Self::Code,
        Self::Pc,
        Self::Unhash,
        Self::Input,
        Self::Halt,
        Self::Root,
    ];

    /// The name in `--fault KIND@STEP`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Instr => "instr",
            Self::Rs1 => "rs1",
            Self::Rs2 => "rs2",
            Self::Load => "load",
            Self::Store => "store",
            Self::Code => "code",
            Self::Pc => "pc",
            Self::Unhash => "unhash",
            Self::Input => "input",
            Self::Halt => "halt",
            Self::Root => "root",
        }
    }

    /// Whether such a lie may be possible about a step.
    fn fits(self, honest: &Step, class: Class) -> bool {
        let Effect::Write { address, .. } = honest.effect else { return self == Self::Halt };
        match self {
            Self::Instr => !matches!(class, Class::Unhash | Class::Input),
            Self::Load => matches!(class, Class::Load(..)),
            Self::Store => matches!(class, Class::Store(_)),
            Self::Unhash => class == Class::Unhash && address != register_address(0),
            Self::Input => class == Class::Input && address != register_address(0),
            Self::Rs1 | Self::Rs2 | Self::Code | Self::Pc | Self::Halt | Self::Root => true,
        }
    }

    /// The opening of a step with the lie in it, if one of this kind leads to another state than the truth.
    fn lie(self, t: u64, memory: &MemoryTree, honest: &Step, constants: &Constants<'_>) -> Option<Opening> {
        let flip = 1 << (t % 32);
        match self {
            Self::Instr | Self::Unhash | Self::Input => {
                let Effect::Write { address, value, next_pc } = honest.effect else { return None };
                let effect = if address == register_address(0) {
                    Effect::Write { address, value, next_pc: next_pc ^ 4 }
                } else {
                    Effect::Write { address, value: value ^ flip, next_pc }
                };
                Some(Opening::of_step(t, memory, &Step { effect, ..*honest }))
            }
            Self::Store => {
                let Effect::Write { address, value, next_pc } = honest.effect else { return None };
                let effect = Effect::Write { address, value: value ^ flip, next_pc };
                let mut opening = Opening::of_step(t, memory, &Step { effect, ..*honest });
                opening.step.words.value = value;
                Some(opening)
            }
            Self::Halt => {
                let mut opening = Opening::of_step(t, memory, honest);
                opening.step.roots.after = moved(&opening.step.roots.after);
                Some(opening)
            }
            Self::Root => {
                let mut opening = Opening::of_step(t, memory, honest);
                opening.step.roots.after = compress(&IV, &[0xff; 64]);
                Some(opening)
            }
            Self::Pc | Self::Code | Self::Rs1 | Self::Rs2 | Self::Load => {
                let misread = |flip| {
                    let read = Cell::new(0);
                    let made = step(&Misread { memory, kind: self, flip, read }, constants).ok()?;
                    // A lie that traps would be a poor one.
                    let told = made.effect != honest.effect && matches!(made.effect, Effect::Write { .. });
                    told.then(|| Opening::of_step(t, memory, &made))
                };
                let truth = Opening::of_step(t, memory, honest).step.roots.after;
                let flips = (0..32).map(|bit| flip.rotate_left(bit));
                flips.filter_map(misread).find(|opening| opening.step.roots.after != truth)
            }
        }
    }
}

/// The memory as a liar reads it: one bit of one access is another.
struct Misread<'a> {
    memory: &'a MemoryTree,
    kind: Kind,
    flip: u32,
    /// How many words were read, which tells the access: [`step()`] reads in a fixed order.
    read: Cell<usize>,
}

impl ReadMemory for Misread<'_> {
    fn leaf(&self, address: u32) -> Leaf {
        let mut leaf = self.memory.leaf(address);
        if self.kind == Kind::Load {
            let word = leaf.as_chunks_mut().0.get_mut(address as usize % size_of::<Leaf>() / 4);
            word.into_iter().for_each(|word| *word = (u32::from_le_bytes(*word) ^ self.flip).to_le_bytes());
        }
        leaf
    }

    fn word(&self, address: u32) -> u32 {
        let lied = [Kind::Pc, Kind::Code, Kind::Rs1, Kind::Rs2].get(self.read.replace(self.read.get() + 1));
        self.memory.word(address) ^ if lied == Some(&self.kind) { self.flip } else { 0 }
    }
}

/// The halted state that is claimed in place of a state.
fn moved(state: &Digest) -> Digest {
    if *state == HALT_ACCEPT { HALT_REJECT } else { HALT_ACCEPT }
}

impl FaultyTrace {
    /// Puts a lie into a trace.
    ///
    /// # Errors
    /// If the run has no place for it.
    pub fn new(mut honest: Trace, fault: Fault) -> Result<Self, FaultError> {
        let found = match fault.place {
            Place::From(t) => find(&mut honest, fault.kind, t)?,
            Place::Random(seed) => {
                let t = 1 + random(seed) % honest.steps().max(1);
                match find(&mut honest, fault.kind, t)? {
                    None => find(&mut honest, fault.kind, 1)?,
                    found => found,
                }
            }
        };
        let from = match fault.place {
            Place::From(t) => t,
            Place::Random(_) => 1,
        };
        let lie = found.ok_or(FaultError::Nowhere { kind: fault.kind, from })?;
        Ok(Self { honest, lie })
    }

    /// The step of the lie.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.lie.step.roots.index
    }

    /// The trace that the lie is put into.
    #[must_use]
    pub fn honest(&self) -> &Trace {
        &self.honest
    }

    /// The true opening of the step of the lie.
    ///
    /// # Errors
    /// If the trace that the lie is put into has none.
    pub fn truth(&mut self) -> Result<Opening, TraceError> {
        self.honest.opening(self.step())
    }

    /// The program.
    #[must_use]
    pub fn image(&self) -> &Image {
        self.honest.image()
    }
}

impl Disputable for FaultyTrace {
    fn steps(&self) -> u64 {
        self.honest.steps()
    }

    fn halt(&self) -> Option<Halt> {
        self.honest.halt()
    }

    fn root(&mut self, k: u64) -> Result<Digest, TraceError> {
        match k {
            _ if k > TRACE_STEPS => Err(TraceError::NoStep(k)),
            _ if k < self.step() => self.honest.root(k),
            _ if k == self.step() => Ok(self.lie.step.roots.after),
            _ => Ok(HALT_ACCEPT),
        }
    }

    /// The step after the lie goes from wherever the lie has led to HALT_ACCEPT.
    fn opening(&mut self, t: u64) -> Result<Opening, TraceError> {
        if t < self.step() || t > TRACE_STEPS {
            return self.honest.opening(t);
        }
        if t == self.step() {
            return Ok(self.lie.clone());
        }
        let mut opening = Opening::of_halted(t, HALT_ACCEPT, &self.image().code);
        if t == self.step() + 1 {
            opening.step.roots.before = self.lie.step.roots.after;
        }
        Ok(opening)
    }
}

/// The lie at the first step from t on that allows it.
fn find(trace: &mut Trace, kind: Kind, t: u64) -> Result<Option<Opening>, FaultError> {
    if t == 0 || t > TRACE_STEPS {
        return Err(TraceError::NoStep(t).into());
    }
    let mut from = t;
    let (image, inputs, preimages) = (trace.image().clone(), *trace.inputs(), trace.preimages().clone());
    let constants = Constants { code: &image.code, inputs: &inputs, preimages: &*preimages };
    let fits = |step: &Step| kind.fits(step, Class::of(step.pc, step.instruction, &image.code));
    while let Some((t, honest)) = trace.find(from, fits)? {
        if let Some(lie) = kind.lie(t, &trace.memory(t - 1)?, &honest, &constants) {
            return Ok(Some(lie));
        }
        from = t + 1;
    }
    match trace.halt() {
        Some(halt) if kind == Kind::Halt => {
            let mut opening = Opening::of_halted(t, halt.state(), &image.code);
            opening.step.roots.after = moved(&halt.state());
            Ok(Some(opening))
        }
        _ => Ok(None),
    }
}

/// A number that a seed decides.
fn random(seed: u64) -> u64 {
    let mut block = [0; 64];
    block.iter_mut().zip(seed.to_le_bytes()).for_each(|(to, from)| *to = from);
    compress(&IV, &block).first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("\"{text}\" is no kind of fault: choose one of {}", names.join(", "))
        })
    }
}
