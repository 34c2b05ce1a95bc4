//! `trestle machine …`: programs on the machine, and any state or step of their runs.

mod block;
mod show;

use std::cell::Cell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use serde_json::{Value, json};
use trestle_rollup::ParametersError;
use trestle_zkvm_adapter::guest::GuestError;
use trestle_zkvm_adapter::layout::TRACE_STEPS;
use trestle_zkvm_adapter::oracle::{AnswerError, Unknown};
use trestle_zkvm_adapter::{
    Class, Disputable, Fault, FaultError, FaultyTrace, Halt, Image, ImageError, InputWords, Lie, Limits, MachineError,
    Opening, Place, Rules, Rv32im, SharedPreimages, Trace, TraceError, ZkVm,
};

use crate::args::{MachineCommand, MachineRunArgs, Questions};
use crate::output::{Outcome, Output, Report};

/// Pages in a MiB.
const PAGES_PER_MIB: usize = 256;
/// How long a run is quiet.
const QUIET: Duration = Duration::from_secs(5);

/// Why nothing was run, or a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file cannot be read.
    #[error("cannot read {path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: io::Error,
    },
    /// It is no program.
    #[error("{path}: {why}")]
    Program {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: ImageError,
    },
    /// It is no block.
    #[error("{path}: {why}")]
    Block {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: AnswerError<Unknown>,
    },
    /// The Layer 2 function, as it is committed, is no program.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The bridge that the block is run for is none.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// The run, or a state or step of it.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The lie.
    #[error(transparent)]
    Fault(#[from] FaultError),
}

impl RunError {
    /// The short name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Program { .. } | Self::Guest(_) | Self::Parameters(_) => "bad_program",
            Self::Block { .. } => "bad_block",
            Self::Fault(FaultError::Nowhere { .. }) => "no_such_fault",
            Self::Trace(error) | Self::Fault(FaultError::Trace(error)) => match error {
                TraceError::Machine { source: MachineError::Unknown(_), .. } => "unknown_digest",
                TraceError::Machine { source: MachineError::Memory(_), .. } => "memory",
                TraceError::Stopped { .. } => "stopped",
                TraceError::NoStep(_) => "no_such_step",
            },
        }
    }
}

pub fn run(command: &MachineCommand, output: &Output) -> Result<Outcome, RunError> {
    match command {
        MachineCommand::Run(args) => program(args, output),
        MachineCommand::VerifyBlock(args) => block::verify(args, output),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, RunError> {
    fs::read(path).map_err(|why| RunError::File { path: path.into(), why })
}

fn program(args: &MachineRunArgs, output: &Output) -> Result<Outcome, RunError> {
    let limits = Limits { steps: args.max_steps, pages: args.max_memory as usize * PAGES_PER_MIB, ..Limits::default() };
    let path = &args.program;
    let image = Rv32im.load(&read(path)?, &limits).map_err(|why| RunError::Program { path: path.clone(), why })?;
    let begin = Report {
        text: format!("Program  {}, code {:#010x}–{:#010x}", path.display(), image.code.start, image.code.end),
        json: json!({ "program": path, "code": [image.code.start, image.code.end] }),
    };
    let ran = Ran::new(&image, *args.input, Arc::new(()), &limits, output)?;
    ran.outcome(begin, &args.questions)
}

/// A run, and how long it took.
struct Ran {
    trace: Trace,
    took: Duration,
}

impl Ran {
    fn new(
        image: &Arc<Image>,
        inputs: InputWords,
        preimages: SharedPreimages,
        limits: &Limits,
        output: &Output,
    ) -> Result<Self, RunError> {
        let start = Instant::now();
        let spoke = Cell::new(start);
        let mut progress = |steps: u64| {
            if spoke.get().elapsed() >= QUIET {
                spoke.set(Instant::now());
                output.progress(&format!("{steps} steps in {}", speed(steps, start.elapsed())));
            }
        };
        let trace = Rv32im.run(image, &inputs, preimages, limits, &mut progress)?;
        Ok(Self { trace, took: start.elapsed() })
    }

    /// What is to be said, and the exit code: 0 if the trace accepts, 2 if it rejects, 1 if it does neither.
    fn outcome(mut self, begin: Report, questions: &Questions) -> Result<Outcome, RunError> {
        let mut report = self.summary(begin)?;
        let steps = self.trace.steps();
        let judge = Judge {
            code: self.trace.image().code.clone(),
            inputs: *self.trace.inputs(),
            preimages: self.trace.preimages().clone(),
        };
        let Some((kind, at)) = questions.fault else {
            let halt = self.trace.halt();
            add(&mut report, show::answers(&mut self.trace, questions, &judge)?);
            return Ok(match halt {
                Some(halt) => Outcome { report, code: if halt == Halt::Accept { 0 } else { 2 }, complaint: None },
                None => {
                    let line = format!("the program has not halted in {steps} steps, after which it was stopped");
                    report.json["error"] = json!({ "code": "stopped", "message": line });
                    Outcome { report, code: 1, complaint: Some(line) }
                }
            });
        };
        let seed = questions.seed.unwrap_or_else(rand::random);
        let place = at.map_or(Place::Random(seed), Place::From);
        let mut wrong = FaultyTrace::new(self.trace, Fault { kind, place })?;
        let last = wrong.root(TRACE_STEPS)?;
        report.text += &format!("\nFault    {kind} at step {}, then {}", wrong.step(), show::state(&last));
        report.json["fault"] = json!({ "kind": kind.name(), "step": wrong.step(), "root": show::hex(&last) });
        if at.is_none() {
            report.text += &format!(" (--seed {seed})");
            report.json["fault"]["seed"] = json!(seed);
        }
        add(&mut report, show::answers(&mut wrong, questions, &judge)?);
        Ok(report.into())
    }

    /// How the run was.
    fn summary(&mut self, begin: Report) -> Result<Report, RunError> {
        let (steps, halt, took) = (self.trace.steps(), self.trace.halt(), self.took);
        let (first, last) = (self.trace.root(0)?, self.trace.root(steps)?);
        let text = format!(
            "\nHalt     {}\nSteps    {steps} in {}\nS_0      {}\nRoot     {}",
            halt.map_or_else(|| "not yet".into(), |halt| halt.to_string()),
            speed(steps, took),
            show::state(&first),
            show::state(&last),
        );
        let (verdict, reason) = match halt {
            None => (None, None),
            Some(Halt::Accept) => (Some("accept"), None),
            Some(Halt::Reject(trap)) => (Some("reject"), Some(trap.to_string())),
        };
        let json = json!({
            "halt": verdict, "reason": reason, "steps": steps, "first_root": show::hex(&first), "root": show::hex(&last),
            "seconds": took.as_secs_f64(), "mips": mips(steps, took),
        });
        let mut report = begin;
        add(&mut report, Report { text, json });
        Ok(report)
    }
}

/// What openings are judged by.
struct Judge {
    code: Range<u32>,
    inputs: InputWords,
    preimages: SharedPreimages,
}

impl Judge {
    fn judge(&self, opening: &Opening) -> Result<(), Lie> {
        let preimage = self.preimages.preimage(&opening.step.leaf);
        opening.verify(&Rules { code: &self.code, inputs: &self.inputs, preimage: preimage.as_ref() })
    }

    fn class(&self, opening: &Opening) -> Class {
        Class::of(opening.step.words.pc, opening.step.words.instruction, &self.code)
    }
}

/// Adds what else is to be said.
fn add(report: &mut Report, more: Report) {
    report.text += &more.text;
    if let (Some(fields), Value::Object(more)) = (report.json.as_object_mut(), more.json) {
        fields.extend(more);
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
fn mips(steps: u64, took: Duration) -> f64 {
    steps as f64 / took.as_secs_f64().max(1e-9) / 1e6
}

fn speed(steps: u64, took: Duration) -> String {
    format!("{:.3} s, {:.0} MIPS", took.as_secs_f64(), mips(steps, took))
}
