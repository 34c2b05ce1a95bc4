//! Prints the figures of docs/figures.md, one JSON object a line, and on stderr what is being measured.
//!
//! `make bench`, or `cargo bench -p trestle-cli --bench figures`.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod ckb_vm;

use std::process::ExitCode;

use trestle_cli::figures::{self, Figure, FiguresError};

type Measure = fn(&dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError>;

fn main() -> ExitCode {
    let parts: [Measure; 6] = [
        figures::measure,
        figures::measure_scripts,
        trestle_cli::demo::measure_disputes,
        trestle_cli::demo::measure_sequencers,
        measure_speed,
        figures::measure_machine,
    ];
    for measure in parts {
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

/// There is assembly of ckb-vm for two architectures.
fn measure_speed(progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    return figures::measure_speed(Some(&ckb_vm::run), progress);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    figures::measure_speed(None, progress)
}
