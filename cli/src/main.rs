//! `trestle`, the one binary: reads the command line, does what it says, prints what came of it.

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use tracing_subscriber::EnvFilter;
use trestle_cli::amount::join_units;
use trestle_cli::args::{self, Cli};
use trestle_cli::commands;
use trestle_cli::output::{Failure, Output};

fn main() -> ExitCode {
    // Logs go to standard error and only when asked for: standard output is the result's.
    tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).with_writer(std::io::stderr).init();
    let words = join_units(std::env::args_os().map(|word| word.to_string_lossy().into_owned()));
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &words),
    };
    let output = Output::new(cli.global.json);
    match commands::run(cli, &output) {
        Ok(outcome) => {
            output.result(&outcome.report);
            if let Some(line) = outcome.complaint {
                output.complaint(&line);
            }
            ExitCode::from(outcome.code)
        }
        Err(error) => {
            output.failure(&Failure::from(&error));
            ExitCode::FAILURE
        }
    }
}

/// Help that was asked for is a result; everything else is one line.
fn usage(error: &clap::Error, words: &[String]) -> ExitCode {
    let output = Output::new(words.iter().any(|word| word == "--json"));
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output.help(error);
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            output.help(error);
            ExitCode::from(args::usage_code(words))
        }
        _ => {
            output.failure(&Failure { code: "usage", line: args::usage_line(error, words) });
            ExitCode::from(args::usage_code(words))
        }
    }
}
