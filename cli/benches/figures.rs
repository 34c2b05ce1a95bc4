//! Prints the figures of docs/figures.md, one JSON object a line, and on stderr what is being measured.
//!
//! `make bench`, or `cargo bench -p trestle-cli --bench figures`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match trestle_cli::figures::measure(&|what| eprintln!("measuring {what}")) {
        Ok(figures) => {
            for figure in figures {
                println!("{}", serde_json::to_string(&figure).expect("a figure is plain data"));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
