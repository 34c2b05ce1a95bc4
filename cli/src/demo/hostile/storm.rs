//! Reorganizations at every stage.

use std::collections::HashSet;

use trestle_rollup::tagged_hash;

use super::super::{Error, Stage};

/// Whenever a transaction of an operator's or a challenger's is mined for the first time, as many blocks as the seed says, up to K and
/// its own among them, give way to as many and one more with nothing in them.
pub struct Storm {
    seed: u64,
    /// What was mined once.
    seen: HashSet<String>,
    /// How deep each was.
    depths: Vec<u32>,
}

impl Storm {
    pub fn new(seed: u64) -> Self {
        Self { seed, seen: HashSet::new(), depths: Vec::new() }
    }

    /// Looks at the last block, and breaks out if there is something new in it.
    pub fn break_out(&mut self, stage: &mut Stage) -> Result<(), Error> {
        let (steps, tip) = {
            let world = stage.world();
            (world.runtime.timeline().steps(), world.height()?)
        };
        let fresh: Vec<String> = steps
            .into_iter()
            .filter(|step| step.height == Some(tip))
            .filter(|step| ["operator", "challenger"].iter().any(|role| step.actor.starts_with(role)))
            .map(|step| step.action)
            .filter(|action| !self.seen.contains(action))
            .collect();
        let Some(first) = fresh.first() else { return Ok(()) };
        let [random, ..] = tagged_hash("storm", &[&self.seed.to_be_bytes(), first.as_bytes()]);
        let depth = 1 + u32::from(random) % u32::from(stage.world().runtime.bridge().parameters.confirmations);
        self.seen.extend(fresh);
        stage.mine(depth - 1)?;
        stage.world().reorganise(depth, depth + 1, &[])?;
        self.depths.push(depth);
        Ok(())
    }

    /// What there is to tell of it.
    pub fn summary(&self) -> String {
        format!("{} reorganizations, of {:?} blocks", self.depths.len(), self.depths)
    }
}
