//! Prints the figures of docs/figures.md, one JSON object a line, and on stderr what is being measured.
//!
//! `make bench`, or `cargo bench -p trestle-cli --bench figures`.

use std::process::ExitCode;

use trestle_cli::figures;

fn main() -> ExitCode {
    for measure in [figures::measure, figures::measure_machine] {
        match measure(&|what| eprintln!("measuring {what}")) {
            Ok(figures) => {
                for figure in figures {
                    println!("{}", serde_json::to_string(&figure).expect("a figure is plain data"));
                }
            }
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
