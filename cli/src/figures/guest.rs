//! What a block costs whoever has to run it in the machine, in steps: exact, the same everywhere.

use std::time::Instant;

use trestle_zkvm_adapter::guest;
use trestle_zkvm_adapter::guest::workload;
use trestle_zkvm_adapter::layout::TRACE_STEPS;

use super::rollup::{MAINNET_BLOCK, parameters};
use super::{Figure, FiguresError};

/// Consensus' limit on a block's weight.
const BLOCK_WEIGHT: u64 = 4_000_000;
const TRANSFERS: u32 = 200;

/// A block of the main chain, one transfer, and the worst block that we know how to build, run to its end.
pub fn measure(progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    progress("the guest on a block of Bitcoin's main chain, and on transfers");
    let (_, _, mainnet) = guest::run_block(&parameters([0; 32]), MAINNET_BLOCK)?;
    let transfer = workload::steps_per_transfer(TRANSFERS)?;
    progress("the guest on the worst block, a minute or two");
    let start = Instant::now();
    let worst = workload::worst_block(BLOCK_WEIGHT)?;
    let seconds = start.elapsed().as_secs_f64();
    let steps = |name, steps: u64| {
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        Figure::new(name, steps as f64, "steps")
    };
    #[allow(clippy::cast_precision_loss, reason = "2^42")]
    let goal = (TRACE_STEPS / 4) as f64;
    Ok(vec![
        steps("machine.guest_steps.mainnet_block", mainnet.steps),
        steps("machine.guest_steps.transfer", transfer),
        steps("machine.guest_steps.worst_block", worst.steps).against(goal),
        Figure::new("machine.worst_block_seconds", seconds, "s"),
    ])
}
