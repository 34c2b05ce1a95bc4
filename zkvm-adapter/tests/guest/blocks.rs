//! Blocks of every shape: none leads the guest to a digest that nobody knows, or into a trap.

use crate::support::{Bridge, mainnet};
use trestle_zkvm_adapter::guest::{BlockError, run_block};
use trestle_zkvm_adapter::{AnswerError, Halt};

use crate::support::shapes::{self, Shapes};
use crate::{accepts, layer_before};

fn all_are_accepted(shapes: Shapes) {
    for (name, block) in shapes {
        let (layer, raw) = layer_before(&block);
        accepts(&name, &layer, &raw);
    }
}

#[test]
fn a_real_block_is_accepted_in_20_million_steps() {
    let (layer, raw) = layer_before(&mainnet::block());
    let steps = accepts("mainnet", &layer, &raw);
    assert!((15_000_000..20_000_000).contains(&steps), "{steps}");
}

#[test]
fn every_shape_of_tree_is_accepted() {
    all_are_accepted(shapes::trees());
}

#[test]
fn a_coinbase_as_long_as_a_node_is_accepted() {
    all_are_accepted(shapes::small_coinbases());
}

#[test]
fn several_commitments_are_accepted() {
    all_are_accepted(shapes::commitments());
}

#[test]
fn a_transaction_as_large_as_a_block_is_accepted() {
    all_are_accepted(shapes::large());
}

#[test]
fn a_block_is_run_on_its_own_on_top_of_an_empty_layer_2() {
    let parameters = Bridge::default().parameters;
    let (inputs, answer, verdict) = run_block(&parameters, mainnet::RAW).unwrap();
    assert_eq!((answer.right, verdict.halt), (true, Halt::Accept));
    assert_eq!(answer.next, Some(inputs.next));
    let mut broken = mainnet::RAW.to_vec();
    broken[200] ^= 1;
    let error = run_block(&parameters, &broken).unwrap_err();
    assert!(matches!(error, BlockError::Answer(AnswerError::Block(_))), "{error}");
}
