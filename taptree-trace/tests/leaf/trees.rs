//! A lane's trees: the same on every machine, and every leaf of them can be spent.

use std::collections::BTreeSet;

use bitcoin::secp256k1::Secp256k1;
use bitcoin::{ScriptBuf, XOnlyPublicKey};
use trestle_taptree_trace::lane::Lane;
use trestle_taptree_trace::leaf::{Family, LaneTree, LaneTreeError, LeafError, Said, Size, Tree, script};

use crate::cases::CLAIMED;
use crate::table::lane;
use crate::world::{CONFIRMATIONS, digest};

fn test_lane() -> Lane {
    lane(CLAIMED.constants())
}

fn internal_key() -> XOnlyPublicKey {
    "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0".parse().unwrap()
}

/// What the keys of this test's seeds, and its constants, make of every tree: leaves and root.
const PINNED: [(Tree, usize, &str); 5] = [
    (Tree::Block, 85, "29e9da40de72a954fa75446b25171e720e4bf85526d2be31d083beab2db6e510"),
    (Tree::Step, 311, "aa4d7fc3c7edf8d4ad1dfadf85fee152ab4f7760866f4542385de31c0f1a4cbe"),
    (Tree::ReadNode, 47, "cd1ed973b419bee1c40016f28d4bf8b1ecf7c2c59d421cdda02eff7ba8489026"),
    (Tree::WriteNode, 86, "f6086a86ef756752f53807fe54ae9f5776d8397fd8c8b93668148322768aa5c5"),
    (Tree::Fork, 34, "5078ebe247c3194bb73a756c5c1079b379121b917f917e8b7ff55c1a90694592"),
];

#[test]
fn the_same_parameters_make_the_same_trees() {
    let built = PINNED.map(|(tree, ..)| {
        let built = LaneTree::build(tree, &test_lane(), &[]).unwrap();
        (tree, built.leaves().len(), built.hashes.root().to_string())
    });
    assert_eq!(built, PINNED.map(|(tree, leaves, root)| (tree, leaves, root.to_string())));
}

#[test]
fn other_parameters_make_other_trees() {
    let root = |lane: &Lane| LaneTree::build(Tree::Block, lane, &[]).unwrap().hashes.root();
    let lane = test_lane();
    let other = |change: &dyn Fn(&mut Lane)| {
        let mut other = lane.clone();
        change(&mut other);
        root(&other)
    };
    let mut roots = BTreeSet::from([root(&lane)]);
    assert!(roots.insert(other(&|lane| lane.constants.checkpoint = digest(b"other", 0))));
    assert!(roots.insert(other(&|lane| lane.constants.challenger = internal_key())));
    // What no leaf of this tree is about.
    assert!(!roots.insert(other(&|lane| lane.constants.first_state = digest(b"other", 0))));
}

#[test]
fn every_leaf_can_be_spent_beside_what_else_the_output_is_for() {
    let secp = Secp256k1::new();
    let lane = test_lane();
    let more = [ScriptBuf::from_bytes(vec![0x51]), ScriptBuf::from_bytes(vec![0x52])];
    let tree = LaneTree::build(Tree::ReadNode, &lane, &more).unwrap();
    let (output, _) = tree.hashes.output_key(&secp, internal_key());
    let scripts = tree.leaves().iter().map(|leaf| script(leaf.as_ref(), &lane).unwrap()).chain(more.clone());
    let mut count = 0;
    for (index, script) in scripts.enumerate() {
        let control = tree.hashes.control_block(&secp, internal_key(), index).unwrap();
        assert!(control.verify_taproot_commitment(&secp, output.to_x_only_public_key(), &script));
        count += 1;
    }
    assert_eq!(count, tree.hashes.leaves());
}

#[test]
fn a_tree_needs_the_keys_of_its_headers() {
    let mut lane = test_lane();
    lane.constants.confirmations += 1;
    let error = LaneTree::build(Tree::Fork, &lane, &[]).unwrap_err();
    assert!(matches!(error, LaneTreeError::Leaf(LeafError::NoKey(_))), "{error}");
    assert!(LaneTree::build(Tree::Step, &lane, &[]).is_ok());
}

#[test]
fn leaves_have_names_of_their_own_and_say_what_the_lie_is() {
    let mut names = BTreeSet::new();
    for tree in Tree::ALL {
        for leaf in tree.leaves(CONFIRMATIONS) {
            assert!(names.insert(leaf.name()), "{}", leaf.name());
            let lie = leaf.lie();
            assert!(lie.ends_with('.') && lie.starts_with(|first: char| first.is_uppercase()), "{lie}");
        }
    }
}

#[test]
fn nothing_is_satisfied_by_nothing() {
    let lane = test_lane();
    let statements = Default::default();
    let said = Said { statements: &statements, constants: &lane.constants, preimage: None };
    for tree in Tree::ALL {
        assert_eq!(LaneTree::build(tree, &lane, &[]).unwrap().satisfied(&said).count(), 0);
    }
}

#[test]
fn every_leaf_is_standard_and_within_the_goals() {
    let lane = test_lane();
    for tree in Tree::ALL {
        for leaf in tree.leaves(CONFIRMATIONS) {
            let size = Size::of(leaf.as_ref(), &lane, 9).unwrap();
            assert!(size.witness < 116_000, "{}: {size:?}", leaf.name());
            assert!(size.peak <= 1000, "{}: {size:?}", leaf.name());
        }
    }
}

#[test]
fn the_table_of_the_docs_is_what_the_leaves_are() {
    let table = Family::table(&Family::all(&test_lane()).unwrap());
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    assert!(docs.contains(&table), "docs/protocol.md should have this table:\n{table}");
}
