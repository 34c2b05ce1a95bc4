//! What the demo does to the sequencers, and what it saw.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::checks::check;
use super::{Error, Stage, text};
use crate::rpc::Backend as _;
use crate::rpc::types::{Hex32, Receipt, ReceiptQuery};

/// How long anything may take that waits for no block of Bitcoin.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// What was seen of the sequencers; part of the report.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Played {
    /// How many there are.
    pub sequencers: usize,
    /// Milliseconds until each payment was final on the Layer 2, from the command on.
    pub final_ms: Vec<u64>,
    /// Those that were killed and started again.
    pub killed: Vec<usize>,
    /// Seconds until each of them had caught up.
    pub recovery_seconds: Vec<f64>,
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Played {
    /// A user pays, and the payment becomes final without any block of Bitcoin.
    ///
    /// # Errors
    /// It does not.
    pub fn pay(&mut self, stage: &mut Stage, user: &str, to: &str, amount: &str) -> Result<(), Error> {
        self.sequencers = stage.world().sequencers.count();
        let start = Instant::now();
        let said = stage.user(user, &["send", to, amount])?;
        let id = text(&said["id"])?;
        let id: Hex32 = id.parse().map_err(|_| Error::Check(format!("{id} is an id")))?;
        let backend = stage.backend();
        loop {
            let receipt = backend.receipt(ReceiptQuery::Submitted(id)).map_err(|e| Error::Check(e.to_string()))?;
            if matches!(receipt, Receipt::Batched { .. }) {
                break;
            }
            check(start.elapsed() < PATIENCE, || format!("{user}'s payment becomes final: {receipt:?}"))?;
            std::thread::sleep(PAUSE);
        }
        self.final_ms.push(millis(start));
        stage.say(&format!("   {amount} are final on the Layer 2 after {} ms", millis(start)));
        Ok(())
    }

    /// Starts a sequencer again that was killed; it catches up with the others.
    ///
    /// # Errors
    /// It does not.
    pub fn restart(&mut self, stage: &mut Stage, index: usize) -> Result<(), Error> {
        let start = Instant::now();
        stage.world().sequencers.restart(index)?;
        loop {
            let mut world = stage.world();
            let tip = world.height()?;
            let statuses = world.sequencers.sync(tip);
            let heights: Vec<_> = statuses.iter().map(|status| status.as_ref().map(|status| status.height)).collect();
            // The others go on meanwhile: blocks without transactions are final all the time.
            let others = heights.iter().enumerate().filter(|(other, _)| *other != index);
            let lowest = others.filter_map(|(_, height)| *height).min();
            let own = statuses.get(index).and_then(Option::as_ref);
            if own.is_some_and(|own| Some(own.height + 1) >= lowest && own.bitcoin_height >= tip && own.height > 0) {
                break;
            }
            drop(world);
            check(start.elapsed() < PATIENCE, || format!("sequencer {index} catches up: {heights:?}"))?;
        }
        let seconds = start.elapsed().as_secs_f64();
        self.killed.push(index);
        self.recovery_seconds.push((seconds * 100.0).round() / 100.0);
        stage.say(&format!("   sequencer {index} is started again, and has caught up after {seconds:.1} s"));
        Ok(())
    }
}
