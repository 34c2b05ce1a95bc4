//! Everything the binary prints: a result on standard output, progress and errors on standard error.
//!
//! With `--json` standard output carries exactly one JSON object, the result or `{"error": …}`, and progress is silent.
//! A reader that goes away (`trestle status | head -1`) is no error.

use std::io::{self, Write};

use serde_json::{Value, json};

/// What a command has to say: the same thing for a person and for a program.
#[derive(Clone, Debug)]
pub struct Report {
    /// For a person; lines without a trailing newline.
    pub text: String,
    /// For a program; an object.
    pub json: Value,
}

/// What came of a command that did what it was told, and the exit code that says so.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it has to say.
    pub report: Report,
    /// 0 for all commands but those that answer by it.
    pub code: u8,
    /// What a person should know besides; the report's JSON says it itself.
    pub complaint: Option<String>,
}

impl From<Report> for Outcome {
    fn from(report: Report) -> Self {
        Self { report, code: 0, complaint: None }
    }
}

/// A failure as it is printed: one line, and a short name that does not change with the wording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The short name: `too_little_money`.
    pub code: &'static str,
    /// The line.
    pub line: String,
}

/// Where a command's words go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// For a person, or with `json` for a program.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the words are for a program.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Prints a command's result.
    pub fn result(&self, report: &Report) {
        if self.json { self.line(&report.json.to_string()) } else { self.line(&report.text) }
    }

    /// Prints the help, in colours where there are any.
    pub fn help(&self, help: &clap::Error) {
        // If it cannot be written there is nobody to tell.
        let _ = help.print();
    }

    /// Prints a line on standard output as it is.
    pub fn line(&self, line: &str) {
        print(io::stdout(), line);
    }

    /// Tells a person what is going on or what was just done; silent for a program.
    pub fn progress(&self, line: &str) {
        if !self.json {
            print(io::stderr(), line);
        }
    }

    /// Tells a person what to know about a result; silent for a program.
    pub fn complaint(&self, line: &str) {
        self.progress(&format!("error: {line}"));
    }

    /// Prints why a command failed.
    pub fn failure(&self, failure: &Failure) {
        if self.json {
            self.line(&json!({ "error": { "code": failure.code, "message": failure.line } }).to_string());
        } else {
            print(io::stderr(), &format!("error: {}", failure.line));
        }
    }
}

/// Writes a line; if it cannot be written there is nobody to tell.
fn print(mut to: impl Write, line: &str) {
    let _ = writeln!(to, "{line}").and_then(|()| to.flush());
}
