//! What the demo leaves behind: `report.json`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::sequencers::Played;
use super::{Dispute, Error};
use crate::figures::Figure;
use crate::runtime::TimelineStep;

/// A demo in which everything held.
#[derive(Clone, Debug)]
pub struct Done {
    /// What bitcoind calls itself.
    pub bitcoind: String,
    /// Every transaction that somebody of the bridge sent.
    pub steps: Vec<TimelineStep>,
    /// The disputes that were played.
    pub disputes: Vec<Dispute>,
    /// What was seen of the sequencers, where they were played with.
    pub sequencers: Option<Played>,
    /// What was measured.
    pub figures: Vec<Figure>,
}

/// The report of a demo, whether it succeeded or not.
pub fn json(outcome: &Result<Done, Error>) -> Value {
    match outcome {
        Ok(done) => {
            let figures = done.figures.iter().map(|figure| (figure.name.to_string(), json!(figure.value)));
            let figures: serde_json::Map<String, Value> = figures.collect();
            json!({ "ok": true, "bitcoind": done.bitcoind, "steps": done.steps, "sequencers": done.sequencers,
                "disputes": done.disputes, "figures": figures })
        }
        Err(error) => json!({ "ok": false, "error": error.to_string() }),
    }
}

/// Writes the report.
///
/// # Errors
/// The file cannot be written.
pub fn write(file: &Path, json: &Value) -> Result<(), Error> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).map_err(|e| Error::file(directory, e))?;
    }
    let text = serde_json::to_string_pretty(json).map_err(|e| Error::file(file, e))?;
    fs::write(file, text + "\n").map_err(|e| Error::file(file, e))
}
