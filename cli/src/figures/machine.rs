//! How fast the machine executes programs, beside another machine on the same programs.

use std::sync::Arc;
use std::time::Instant;

use trestle_zkvm_adapter::layout::TRACE_STEPS;
use trestle_zkvm_adapter::{Halt, INPUT_WORDS, Image, Machine};

use super::{Figure, FiguresError, median};

/// Pages that the programs may use.
const PAGES: usize = 4096;
const RUNS: usize = 3;

/// One run of a program.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Instructions executed.
    pub instructions: u64,
    /// What it took, compiling included.
    pub seconds: f64,
}

/// Another machine, which runs an RV64IMC executable with bit manipulation to its end.
pub type Anchor = dyn Fn(&[u8]) -> Result<Run, String>;

/// A C program of zkvm-adapter/benches/programs, which checks its own result.
struct Program {
    /// What its figures are called.
    mips: &'static str,
    rate: &'static str,
    /// For the machine, and for the other one.
    rv32: &'static [u8],
    rv64: &'static [u8],
}

macro_rules! program {
    ($name:literal) => {
        Program {
            mips: concat!("machine.run_mips.", $name),
            rate: concat!("machine.runs_per_second.", $name),
            rv32: include_bytes!(concat!("../../../zkvm-adapter/benches/programs/", $name, ".rv32im.elf")),
            rv64: include_bytes!(concat!("../../../zkvm-adapter/benches/programs/", $name, ".rv64imcb.elf")),
        }
    };
}

const PROGRAMS: [Program; 4] = [program!("sha256"), program!("sort"), program!("bigint"), program!("walk")];

/// Instructions and whole runs by time, of each program. A 64-bit machine needs fewer instructions for the same work, so
/// both are compared.
pub fn measure(anchor: Option<&Anchor>, progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    let mut figures = Vec::new();
    for program in &PROGRAMS {
        progress(program.mips);
        // In turn, so that what else the computer does meets both.
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            ours.push(run(program.rv32)?);
            if let Some(anchor) = anchor {
                theirs.push(anchor(program.rv64).map_err(FiguresError::Unexpected)?);
            }
        }
        let of = |runs: &[Run], what: &dyn Fn(&Run) -> f64| {
            let mut values = runs.iter().map(what);
            median(runs.len(), || values.next().ok_or(FiguresError::Unexpected("no run".into())))
        };
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let mips = |run: &Run| run.instructions as f64 / run.seconds / 1e6;
        let rate = |run: &Run| 1.0 / run.seconds;
        for (name, unit, what) in
            [(program.mips, "MIPS", &mips as &dyn Fn(&Run) -> f64), (program.rate, "runs/s", &rate)]
        {
            let figure = Figure::new(name, of(&ours, what)?, unit);
            figures.push(if theirs.is_empty() { figure } else { figure.against(of(&theirs, what)?) });
        }
    }
    Ok(figures)
}

/// A run of a program from its file to its end: nothing of it was compiled before.
fn run(elf: &[u8]) -> Result<Run, FiguresError> {
    let failed = |error: &dyn std::error::Error| FiguresError::Unexpected(error.to_string());
    let image = Image::from_elf(elf, PAGES).map_err(|error| failed(&error))?;
    let mut machine = Machine::new(Arc::new(image), [0; INPUT_WORDS], PAGES).map_err(|error| failed(&error))?;
    let start = Instant::now();
    let halt = machine.run(TRACE_STEPS, &()).map_err(|error| failed(&error))?;
    let seconds = start.elapsed().as_secs_f64();
    if halt != Some(Halt::Accept) {
        return Err(FiguresError::Unexpected(format!("a program ended with {halt:?}")));
    }
    Ok(Run { instructions: machine.steps(), seconds })
}
