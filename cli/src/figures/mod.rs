//! The figures that the project publishes about itself, measured where this runs (docs/figures.md, PROTOCOL §11).
//!
//! Sizes and counts are exact and are taken from transactions and jobs that were really built and signed; times are the median
//! of several runs. Nothing here needs a node (disputes, which do, are measured by [`crate::demo`]): `make bench` prints the figures, `trestle demo` puts them into its report.

mod batch;
mod committee;
mod dispute;
mod guest;
mod lane;
mod machine;
mod rollup;
mod script;
mod secrets;
mod trace;
mod withdrawal;

use std::borrow::Cow;

use serde::Serialize;
use trestle_bridge::job::JobError;
use trestle_bridge::lane::LaneGraphError;
use trestle_bridge::parameters::ParametersError;
use trestle_bridge::transactions::{BuildError, CompleteError, RunError, RunLaneError};
use trestle_rollup::LedgerError;
use trestle_signer::message::DecodeError;
use trestle_signer::musig::MusigError;
use trestle_signer::session::SessionError;
use trestle_taptree_trace::gadget;
use trestle_taptree_trace::lane::LaneKeysError;
use trestle_taptree_trace::leaf::LaneTreeError;
use trestle_zkvm_adapter::guest::BlockError;

pub use lane::LaneCosts;
pub use machine::{Anchor, Run};
pub(crate) use rollup::apply_rate;
pub use script::{CONFIRMATIONS, Sizes};

/// One figure. As JSON it is one object, in which `baseline` and `ratio` are left out if there is no anchor to compare with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What it is: a name of docs/figures.md.
    pub name: Cow<'static, str>,
    /// What was measured, in `unit`.
    pub value: f64,
    /// The unit of `value` and `baseline`.
    pub unit: &'static str,
    /// What others have published or what was measured of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// `value / baseline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

impl Figure {
    fn new(name: impl Into<Cow<'static, str>>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, baseline: None, ratio: None }
    }

    pub(crate) fn count(name: impl Into<Cow<'static, str>>, value: usize, unit: &'static str) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
        Self::new(name, value as f64, unit)
    }

    pub(crate) fn seconds(name: impl Into<Cow<'static, str>>, value: f64) -> Self {
        Self::new(name, value, "s")
    }

    pub(crate) fn against(self, baseline: f64) -> Self {
        Self { baseline: Some(baseline), ratio: Some(self.value / baseline), ..self }
    }
}

/// A figure could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum FiguresError {
    /// The parameters that are measured with are not in order.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// A run cannot be built.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A transaction cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A transaction cannot be completed.
    #[error(transparent)]
    Complete(#[from] CompleteError),
    /// A job is not in order.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The committee does not sign.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A signer's store or key is not in order.
    #[error(transparent)]
    Musig(#[from] MusigError),
    /// A signer cannot read what another wrote.
    #[error(transparent)]
    Message(#[from] DecodeError),
    /// The ledger does not take a block.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The guest does not run a block.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A gadget cannot be built.
    #[error(transparent)]
    Gadget(#[from] gadget::FiguresError),
    /// Keys are no lane's.
    #[error(transparent)]
    Keys(#[from] LaneKeysError),
    /// A lane has no trees.
    #[error(transparent)]
    Tree(#[from] LaneTreeError),
    /// A database cannot be opened.
    #[error("database: {0}")]
    Database(#[from] sled::Error),
    /// No place for a database.
    #[error("temporary directory: {0}")]
    Directory(#[from] std::io::Error),
    /// A run has no such lane.
    #[error(transparent)]
    RunLane(#[from] RunLaneError),
    /// A lane's costs cannot be reckoned.
    #[error(transparent)]
    Lane(#[from] LaneGraphError),
    /// What was measured did not do what it is measured for.
    #[error("{0}")]
    Unexpected(String),
}

/// Measures what a bridge and its Layer 2 cost, in under a minute when optimized. `progress` is told what is being measured.
///
/// # Errors
/// If the machine has no room for the databases, or something measured does not work, which is a bug.
pub fn measure(progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    let mut figures = withdrawal::measure(progress)?;
    figures.extend(committee::measure(progress)?);
    figures.extend(rollup::measure(progress)?);
    figures.extend(batch::measure(progress)?);
    Ok(figures)
}

/// Measures the machine and what runs on it, in a few minutes when optimized.
///
/// # Errors
/// If the machine has no room for what it has to run, or something measured does not work, which is a bug.
pub fn measure_machine(progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    let mut figures = trace::measure(progress)?;
    figures.extend(guest::measure(progress)?);
    figures.extend(dispute::measure(progress)?);
    Ok(figures)
}

/// Measures what disputes take of Bitcoin Script, in a few seconds when optimized.
///
/// # Errors
/// If a script cannot be written, which is a bug.
pub fn measure_scripts(progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    script::measure(progress)
}

/// Measures how fast the machine is, beside another one where that runs; in under half a minute when optimized.
///
/// # Errors
/// If a program does not end as it should on either, which is a bug.
pub fn measure_speed(anchor: Option<&Anchor>, progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    machine::measure(anchor, progress)
}

/// The median of `runs` (odd) measurements.
fn median(runs: usize, mut run: impl FnMut() -> Result<f64, FiguresError>) -> Result<f64, FiguresError> {
    let mut values = (0..runs).map(|_| run()).collect::<Result<Vec<_>, _>>()?;
    values.sort_by(f64::total_cmp);
    Ok(values[runs / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_one_json_object_without_what_it_does_not_have() {
        let json = |figure: &Figure| serde_json::to_string(figure).unwrap();
        let alone = Figure::count("committee.signatures_per_slot", 25, "signatures");
        assert_eq!(json(&alone), r#"{"name":"committee.signatures_per_slot","value":25.0,"unit":"signatures"}"#);
        let compared = Figure::new("a.b", 3.0, "s").against(4.0);
        assert_eq!(json(&compared), r#"{"name":"a.b","value":3.0,"unit":"s","baseline":4.0,"ratio":0.75}"#);
    }

    #[test]
    fn the_median_is_the_middle_and_an_error_is_not_hidden() {
        let mut values = [5.0, 1.0, 3.0].into_iter();
        assert_eq!(median(3, || Ok(values.next().unwrap())).unwrap(), 3.0);
        let failing = median(3, || Err(FiguresError::Unexpected("no".into())));
        assert!(failing.is_err());
    }
}
