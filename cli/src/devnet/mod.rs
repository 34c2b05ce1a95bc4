//! The devnet: a whole bridge on regtest that goes on running, for a person to use from another terminal.

mod backend;
mod deposits;
mod sequencers;
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::args::DevnetArgs;
use crate::commands;
use crate::output::{Output, Report};
use crate::rpc;
use crate::user::home;

pub use backend::Served;
pub use sequencers::{Sequencers, SequencersError};
pub use world::{CAST, Error, World};

/// Runs the devnet until it is interrupted.
///
/// # Errors
/// Something does not start, or fails.
pub fn run(args: &DevnetArgs, output: &Output) -> Result<Report, commands::Error> {
    let directory = match &args.dir {
        Some(directory) => directory.clone(),
        None => home::trestle_dir()?.join("devnet"),
    };
    let failed = |error: &dyn std::fmt::Display| commands::Error::Bridge(error.to_string());
    let progress = |line: &str| output.progress(line);
    let mut world = World::open(&directory, args.electrum, CAST, &progress).map_err(|e| failed(&e))?;
    progress("operators open the runs that they lack; the committee signs them");
    let denominations = 0..world.runtime.bridge().parameters.denominations.len() as u8;
    world.open_runs(&denominations.collect::<Vec<_>>(), args.slots).map_err(|e| failed(&e))?;
    let world = Arc::new(Mutex::new(world));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.rpc_port));
    let serving = rpc::serve(address, Arc::new(Served(Arc::clone(&world)))).map_err(|e| failed(&e))?;
    progress(&format!("the bridge is up at {} (files in {})", serving.url(), directory.display()));
    progress(&format!("a block every {} seconds; from another terminal:", args.block_time.as_secs_f64()));
    progress("  trestle wallet new && trestle faucet 1BTC && trestle deposit 0.1BTC --wait");
    progress("Ctrl-C stops it; what it has stays, and the next start goes on from there");

    let (stop, stopped) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| failed(&e))?;
    std::thread::spawn(move || {
        // Nobody is listening any more if this fails.
        let _ = stop.send(runtime.block_on(tokio::signal::ctrl_c()));
    });
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(args.block_time) {
        let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
        world.mine(1).map_err(|e| failed(&e))?;
    }
    drop(serving);
    Ok(Report { text: "stopped".into(), json: json!({ "stopped": true }) })
}
