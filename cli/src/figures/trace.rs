//! How fast a long run on the machine answers: for one random state, and in a whole search.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use trestle_rollup::tagged_hash;
use trestle_zkvm_adapter::layout::TRACE_STEPS;
use trestle_zkvm_adapter::{Disputable, INPUT_WORDS, Limits, Machine, Rv32im, SharedPreimages, ZkVm};

use super::{Figure, FiguresError};

/// Changes a table of 64 MiB at random places in a little more than 2^32 steps.
const TABLE: &[u8] = include_bytes!("programs/table.elf");
const RANDOM_ROOTS: usize = 15;

/// The run with and without snapshots, roots at random steps, a search, and the most memory that any of it took.
pub fn measure(progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    let failed = |error: &dyn std::error::Error| FiguresError::Unexpected(error.to_string());
    let limits = Limits::default();
    let image = Rv32im.load(TABLE, &limits).map_err(|error| failed(&error))?;
    let (inputs, preimages): (_, SharedPreimages) = ([0; INPUT_WORDS], Arc::new(()));

    progress("a run of 2^32 steps");
    let start = Instant::now();
    {
        let mut machine = Machine::new(Arc::clone(&image), inputs, limits.pages).map_err(|error| failed(&error))?;
        machine.run(TRACE_STEPS, &*preimages).map_err(|error| failed(&error))?;
    }
    let plain = start.elapsed().as_secs_f64();

    // The most memory from here on.
    fs::write("/proc/self/clear_refs", "5")?;
    let start = Instant::now();
    let mut trace = Rv32im.run(&image, &inputs, preimages, &limits, &mut |_| {}).map_err(|error| failed(&error))?;
    let traced = start.elapsed().as_secs_f64();
    if trace.steps() >> 32 != 1 {
        return Err(FiguresError::Unexpected(format!("a run of 2^32 steps has {}", trace.steps())));
    }

    progress("roots of it");
    let mut seconds = Vec::new();
    for index in 0..RANDOM_ROOTS {
        let k = random(index) % trace.steps();
        let start = Instant::now();
        trace.root(k).map_err(|error| failed(&error))?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);

    progress("a search in it");
    let towards = random(RANDOM_ROOTS) % trace.steps();
    let start = Instant::now();
    let (mut low, mut quarter) = (0, TRACE_STEPS / 4);
    while quarter > 0 {
        trace.roots(&[1, 2, 3].map(|part| low + part * quarter)).map_err(|error| failed(&error))?;
        low += (towards - low) / quarter * quarter;
        quarter /= 4;
    }
    trace.opening(towards + 1).map_err(|error| failed(&error))?;
    let search = start.elapsed().as_secs_f64();

    Ok(vec![
        Figure::new("machine.root_seconds", seconds[RANDOM_ROOTS - 1], "s"),
        Figure::new("machine.root_seconds.median", seconds[RANDOM_ROOTS / 2], "s"),
        Figure::new("machine.search_seconds", search, "s"),
        Figure::new("machine.untraced_run_seconds", plain, "s"),
        Figure::new("machine.traced_run_seconds", traced, "s"),
        Figure::new("machine.trace_peak_memory", peak_mib()?, "MiB"),
    ])
}

/// A number that looks random.
fn random(index: usize) -> u64 {
    let hash = tagged_hash("Trestle/figures/trace", &[&index.to_le_bytes()]);
    hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The most memory that this process has had at once, in MiB.
fn peak_mib() -> Result<f64, FiguresError> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let kib: f64 = line
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| FiguresError::Unexpected("/proc/self/status does not say VmHWM".into()))?;
    Ok(kib / 1024.0)
}
