//! The same rules on the store that is used: sled, closed and opened again between any two steps.

mod support;

use std::time::{Duration, Instant};

use musig2::{AggNonce, PubNonce};
use support::members::{keypairs, public_keys};
use trestle_bridge::transactions::{SignRequest, Tweak};
use trestle_signer::musig::{Musig, MusigError, aggregate};
use trestle_signer::store::{Batch, Store};

/// The tree, as soon as whoever had the database open before has let go of it: sled's threads do so a moment after the drop.
fn tree(directory: &std::path::Path) -> sled::Tree {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match sled::open(directory) {
            Ok(database) => return database.open_tree("signer").unwrap(),
            Err(sled::Error::Io(error)) if Instant::now() < deadline && error.to_string().contains("lock") => {
                std::thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn open(directory: &std::path::Path) -> Musig<sled::Tree> {
    let keys = keypairs(2);
    Musig::open(tree(directory), &keys[0], &public_keys(&keys)).unwrap()
}

#[test]
fn nonces_and_signatures_are_the_same_after_every_restart() {
    let directory = tempfile::tempdir().unwrap();
    let request = |i: u8| SignRequest { what: format!("request {i}"), message: [i; 32], tweak: Tweak::KeyPath(None) };
    let requests: Vec<SignRequest> = (0..50).map(request).collect();
    let nonces = |signer: &mut Musig<sled::Tree>| -> Vec<PubNonce> {
        signer.public_nonces(&requests, Batch::default()).unwrap().into_iter().flatten().collect()
    };
    let first = nonces(&mut open(directory.path()));
    assert_eq!(nonces(&mut open(directory.path())), first);
    // The other signer is not needed to sign: any sum that has ours in it will do.
    let sums = aggregate(&[&first, &first]);
    let signed = open(directory.path()).sign(&requests, &sums, Batch::default()).unwrap();
    for _ in 0..2 {
        let mut signer = open(directory.path());
        assert_eq!(signer.sign(&requests, &sums, Batch::default()).unwrap(), signed);
        assert_eq!(nonces(&mut signer), first);
        let other: Vec<AggNonce> = aggregate(&[&first]);
        let refused = signer.sign(&requests, &other, Batch::default());
        assert!(matches!(refused, Err(MusigError::SecondAggregate { .. })));
    }
}

#[test]
fn a_batch_is_written_whole_and_found_by_its_prefix() {
    let directory = tempfile::tempdir().unwrap();
    let tree = || tree(directory.path());
    let mut batch = Batch::default();
    for i in 0..10u8 {
        batch.insert([b'a', i], [i]);
        batch.insert([b'b', i], [i]);
    }
    batch.remove([b'a', 3]);
    tree().commit(batch).unwrap();
    let found = Store::scan(&tree(), b"a").unwrap();
    assert_eq!(found.len(), 9);
    assert_eq!(Store::get(&tree(), &[b'b', 3]).unwrap(), Some(vec![3]));
}
