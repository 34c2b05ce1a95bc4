//! Every leaf whole, with all its signatures: judged by the interpreter under the default policy's rules and by Bitcoin
//! Core's own code in a real transaction.

use rand::Rng;
use trestle_taptree_trace::interpreter::{Rules, run};
use trestle_taptree_trace::lane::{Statements, Transcript};
use trestle_taptree_trace::leaf::{Disproof, Size, Tree, script, witness};

use crate::cases::{CLAIMED, Case, satisfying};
use crate::core::{is_valid, spend};
use crate::table::{lane, signed};
use crate::world::rng;

/// The items of a spend that the leaf's mirror says is possible, or one that just tries.
fn items(
    leaf: &dyn Disproof,
    said: &Statements,
    hints: Vec<Vec<u8>>,
    challenger: bitcoin::taproot::Signature,
) -> Vec<Vec<u8>> {
    let transcript: Transcript = signed(said, leaf.reads());
    witness(leaf, hints, &transcript, &challenger).unwrap()
}

#[test]
fn every_leaf_is_spent_by_whoever_has_the_lie_and_by_nobody_else() {
    let mut rng = rng(30);
    let cases = satisfying();
    let mut honest = Case::honest(&mut rng);
    // The leaves of the step tree that the semantics' own tests put through this are not repeated here.
    for tree in Tree::ALL {
        for leaf in tree.leaves(CLAIMED.constants().confirmations) {
            let name = leaf.name();
            let case = &cases[&name];
            let own = lane(case.constants.clone());
            let script = script(leaf.as_ref(), &own).unwrap();
            let hints = leaf.refutes(&case.said()).unwrap();
            let (transaction, spent) = spend(&script, |mine| items(leaf.as_ref(), &case.said, hints.clone(), mine));
            assert!(is_valid(&transaction, &spent), "{name}");
            assert!(transaction.weight().to_wu() < 400_000, "{name}");

            // The interpreter agrees, under the rules of the default policy, and the size is what it says.
            let all: Vec<Vec<u8>> = transaction.input[0].witness.iter().map(<[u8]>::to_vec).collect();
            let (given, _) = all.split_at(all.len() - 2);
            let outcome = run(&script, given, Rules::Standard).unwrap();
            let size = Size::of(leaf.as_ref(), &own, 0).unwrap();
            assert!(outcome.accepts(), "{name}");
            assert_eq!((size.script, size.items), (script.len(), given.len()), "{name}");
            assert!(outcome.peak <= size.peak && size.peak <= 1000, "{name}: {} {}", outcome.peak, size.peak);
            let weight = transaction.input[0].witness.size();
            assert!(weight <= size.witness && size.witness < weight + 300, "{name}: {weight} {}", size.witness);

            // Not with another's signature of the transaction.
            let mut other = transaction.clone();
            other.output[0].value = bitcoin::Amount::from_sat(999);
            assert!(!is_valid(&other, &spent), "{name}");
            // Not when one signed item is another.
            let mut other = transaction.clone();
            let mut wrong = all.clone();
            let first = leaf.hint_count();
            let at = rng.gen_range(first..all.len() - 3);
            wrong[at] =
                if wrong[at].len() == 20 { vec![7; 20] } else { vec![wrong[at].first().map_or(1, |digit| digit ^ 1)] };
            other.input[0].witness = bitcoin::Witness::from_slice(&wrong);
            assert!(!is_valid(&other, &spent), "{name}: item {at}");
            // Not on what an honest operator has signed.
            if leaf.refutes(&honest.said()).is_none() && !name.starts_with("twice") {
                let (transaction, spent) = spend(&script, |mine| items(leaf.as_ref(), &honest.said, hints, mine));
                assert!(!is_valid(&transaction, &spent), "{name}");
            }
        }
        honest = Case::honest(&mut rng);
    }
}
