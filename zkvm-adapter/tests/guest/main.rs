//! The guest: its verdict is the native one, whatever a block contains and whatever is claimed of it.
#![allow(missing_docs, reason = "tests are named for the property they hold")]

mod blocks;
mod claims;
mod contents;
mod image;
mod worst;

#[allow(dead_code, reason = "the Layer 2's own tests use the rest")]
#[path = "../../../rollup/tests/support/mod.rs"]
mod support;

use bitcoin::consensus::encode::serialize;
use support::memory::{Memory, Nodes};
use trestle_rollup::native::RawBlock;
use trestle_zkvm_adapter::guest::{Verdict, honest, run};
use trestle_zkvm_adapter::{Halt, Inputs, Trap, answer};

/// Asks natively and in the machine, which must say the same, in its own words: ECALL or EBREAK.
fn ask(name: &str, inputs: &Inputs, block: &[u8], nodes: &Nodes) -> bool {
    let answer = answer(inputs, block, &mut nodes.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let Verdict { halt, .. } = run(inputs, &answer.oracle).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(matches!(halt, Halt::Accept | Halt::Reject(Trap::Ebreak)), "{name}: {halt}");
    assert_eq!(halt == Halt::Accept, answer.right, "{name}");
    answer.right
}

/// The question about the layer's next block, if nobody lies.
fn question(layer: &Memory, block: &[u8]) -> Inputs {
    honest(&layer.entry, block, &mut layer.nodes.clone()).expect("a block").0
}

/// The guest takes the layer's next block as native code does. How many steps.
fn accepts(name: &str, layer: &Memory, block: &[u8]) -> u64 {
    let (inputs, answer) = honest(&layer.entry, block, &mut layer.nodes.clone()).expect("a block");
    let verdict = run(&inputs, &answer.oracle).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(verdict.halt, Halt::Accept, "{name}");
    // What comes of it is what the Layer 2 as a whole comes to.
    let mut after = layer.clone();
    after.extend(block);
    assert_eq!(after.entry, inputs.next, "{name}");
    verdict.steps
}

/// A layer that a block can follow on, whatever its parent.
fn layer_before(block: &bitcoin::Block) -> (Memory, Vec<u8>) {
    let raw = serialize(block);
    let genesis_hash = RawBlock::parse(&raw).expect("a block").previous();
    let parameters = trestle_rollup::Parameters { genesis_hash, ..support::Bridge::default().parameters };
    (Memory::new(&parameters), raw)
}
