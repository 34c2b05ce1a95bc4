//! Prints how many games the simulation of disputes (tests/lane/dispute/) plays in a second, as the other figures are printed.
#![allow(dead_code, missing_docs, unused_imports, reason = "they are the tests' modules, without the tests")]

use std::time::{Duration, Instant};

use serde_json::json;

#[path = "../tests/lane/borrowed.rs"]
mod borrowed;
#[path = "../tests/chain/mod.rs"]
mod chain;
#[path = "../tests/lane/dispute/mod.rs"]
mod dispute;
#[path = "../tests/lane/games.rs"]
mod games;
#[path = "../tests/lane/honest.rs"]
mod honest;
#[path = "../tests/lane/liar.rs"]
mod liar;
#[path = "../tests/lane/lies.rs"]
mod lies;
#[path = "../tests/lane/referee.rs"]
mod referee;
#[path = "../tests/lane/store.rs"]
mod store;
#[path = "../tests/lane/toy.rs"]
mod toy;
#[path = "../tests/lane/wild.rs"]
mod wild;
#[path = "../tests/lane/wire.rs"]
mod wire;

/// How long it plays.
const TIME: Duration = Duration::from_secs(20);

fn main() {
    eprintln!("measuring disputes in memory");
    dispute::simulation::prepare();
    let start = Instant::now();
    let games = dispute::simulation::play(0, u64::MAX, TIME);
    let rate = games as f64 / start.elapsed().as_secs_f64();
    println!("{}", json!({ "name": "sim.games_per_second", "value": rate, "unit": "games/s" }));
}
