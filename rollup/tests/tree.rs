//! The state tree against a naive model.

use std::collections::BTreeMap;

use proptest::prelude::*;
use trestle_rollup::compress::{IV_INNER, IV_LEAF};
use trestle_rollup::tree::{EMPTY, StateError, Tree, lookup};
use trestle_rollup::{Digest, compress};

use crate::support::memory::Nodes;

/// The root by definition: sort, split by the next bit, hash.
fn naive(pairs: &[(Digest, Digest)], depth: usize) -> Digest {
    match pairs {
        [] => EMPTY,
        [(key, value)] => compress(&IV_LEAF, &[*key, *value].concat().try_into().unwrap()),
        _ => {
            let right = |key: &Digest| key[depth / 8] & (0x80 >> (depth % 8)) != 0;
            let (rights, lefts): (Vec<_>, Vec<_>) = pairs.iter().partition(|(key, _)| right(key));
            let children = [naive(&lefts, depth + 1), naive(&rights, depth + 1)].concat();
            compress(&IV_INNER, &children.try_into().unwrap())
        }
    }
}

/// Sets the pairs, committing after every `every`, and reopening from the nodes each time.
fn build(pairs: &[(Digest, Digest)], every: usize) -> (Digest, Nodes) {
    let (mut nodes, mut root) = (Nodes::default(), EMPTY);
    for pairs in pairs.chunks(every) {
        let mut tree = Tree::new(root);
        for (key, value) in pairs {
            tree.set(&mut nodes, *key, *value).unwrap();
        }
        root = tree.commit(|digest, m, b| {
            assert_eq!(compress(m, b), *digest);
            nodes.0.insert(*digest, (*m, *b));
        });
        assert_eq!(tree.commit(|_, _, _| panic!("committed twice")), root);
    }
    (root, nodes)
}

/// Keys that often share long prefixes.
fn keys() -> impl Strategy<Value = Digest> {
    prop_oneof![
        any::<Digest>(),
        (0usize..256).prop_map(|bit| {
            let mut key = [0; 32];
            key[bit / 8] = 0x80 >> (bit % 8);
            key
        }),
        any::<u8>().prop_map(|byte| {
            let mut key = [0xff; 32];
            key[31] = byte;
            key
        }),
    ]
}

proptest! {
    #[test]
    fn the_root_is_that_of_the_set_whatever_the_order_and_the_commits(
        pairs in prop::collection::vec((keys(), any::<Digest>()), 0..40),
        every in 1usize..50,
        seed: u64,
    ) {
        let set: BTreeMap<_, _> = pairs.iter().copied().collect();
        let expected = naive(&set.iter().map(|(key, value)| (*key, *value)).collect::<Vec<_>>(), 0);
        prop_assert_eq!(build(&pairs, every).0, expected);
        let mut shuffled: Vec<_> = set.into_iter().collect();
        shuffled.sort_by_key(|(key, _)| compress(key, &[seed.to_le_bytes(); 8].concat().try_into().unwrap()));
        prop_assert_eq!(build(&shuffled, 7).0, expected);
    }

    #[test]
    fn every_pair_is_found_and_no_other_key(
        pairs in prop::collection::btree_map(keys(), any::<Digest>(), 0..40),
        others in prop::collection::vec(keys(), 0..40),
    ) {
        let list: Vec<_> = pairs.iter().map(|(key, value)| (*key, *value)).collect();
        let (root, mut nodes) = build(&list, 11);
        let mut tree = Tree::new(root);
        for key in pairs.keys().chain(&others) {
            prop_assert_eq!(lookup(&mut nodes, &root, key).unwrap(), pairs.get(key).copied());
            prop_assert_eq!(tree.get(&mut nodes, key).unwrap(), pairs.get(key).copied());
        }
    }
}

#[test]
fn the_deepest_tree_has_256_levels_of_inner_nodes() {
    let mut neighbour = [0; 32];
    neighbour[31] = 1;
    let pairs = [([0; 32], [1; 32]), (neighbour, [2; 32])];
    let (root, mut nodes) = build(&pairs, 2);
    assert_eq!(root, naive(&pairs, 0));
    assert_eq!(nodes.0.len(), 256 + 2);
    assert_eq!(lookup(&mut nodes, &root, &neighbour), Ok(Some([2; 32])));
}

#[test]
fn a_node_that_is_missing_of_another_kind_or_circular_is_an_error() {
    let pairs = [([0; 32], [1; 32]), ([0xff; 32], [2; 32])];
    let (root, nodes) = build(&pairs, 2);
    let leaf = compress(&IV_LEAF, &[[0u8; 32], [1; 32]].concat().try_into().unwrap());
    let check = |mut nodes: Nodes, expected: StateError<&'static str>| {
        assert_eq!(lookup(&mut nodes, &root, &[0; 32]), Err(expected));
        assert_eq!(Tree::new(root).get(&mut nodes, &[0; 32]), Err(expected));
        assert_eq!(Tree::new(root).set(&mut nodes, [0; 32], [9; 32]), Err(expected));
    };
    let mut missing = nodes.clone();
    missing.0.remove(&leaf);
    check(missing, StateError::Host("no such node"));
    let mut other_kind = nodes.clone();
    other_kind.0.get_mut(&leaf).unwrap().0 = trestle_rollup::compress::IV;
    check(other_kind, StateError::Node(leaf));
    // A host that lies in a circle is not followed for ever.
    let mut circular = nodes;
    circular.0.insert(root, (IV_INNER, [root, root].concat().try_into().unwrap()));
    assert!(lookup(&mut circular, &root, &[0; 32]).is_err());
    assert!(Tree::new(root).get(&mut circular, &[0; 32]).is_err());
    assert!(Tree::new(root).set(&mut circular, [0; 32], [9; 32]).is_err());
}
