//! The rules of the MuSig2 core, each against a signer or a leader that breaks it.

mod support;

use bitcoin::TapNodeHash;
use bitcoin::hashes::Hash;
use bitcoin::key::TapTweak;
use bitcoin::secp256k1::{Message, Secp256k1, schnorr};
use musig2::{AggNonce, PartialSignature, PubNonce};
use support::members::{keypairs, public_keys};
use support::{Crash, Disk};
use trestle_bridge::transactions::{SignRequest, Tweak};
use trestle_signer::musig::{Musig, MusigError, aggregate};
use trestle_signer::store::Batch;

fn requests() -> Vec<SignRequest> {
    let root = TapNodeHash::from_byte_array([5; 32]);
    let tweaks = [Tweak::None, Tweak::KeyPath(None), Tweak::KeyPath(Some(root))];
    let request = |(i, tweak)| SignRequest { what: format!("request {i}"), message: [i as u8 / 3; 32], tweak };
    tweaks.iter().cycle().take(9).cloned().enumerate().map(request).collect()
}

fn committee(n: usize) -> (Vec<Disk>, Vec<Musig<Disk>>) {
    let keys = keypairs(n);
    let disks: Vec<Disk> = (0..n).map(|_| Disk::default()).collect();
    let open = |i: usize| Musig::open(disks[i].clone(), &keys[i], &public_keys(&keys)).unwrap();
    let signers = (0..n).map(open).collect();
    (disks, signers)
}

fn reopen(disk: &Disk, index: usize, n: usize) -> Musig<Disk> {
    disk.restart();
    let keys = keypairs(n);
    Musig::open(disk.clone(), &keys[index], &public_keys(&keys)).unwrap()
}

fn nonces(signer: &mut Musig<Disk>, requests: &[SignRequest]) -> Vec<PubNonce> {
    let nonces = signer.public_nonces(requests, Batch::default()).unwrap();
    nonces.into_iter().map(|nonce| nonce.unwrap()).collect()
}

fn slices<T>(lists: &[Vec<T>]) -> Vec<&[T]> {
    lists.iter().map(Vec::as_slice).collect()
}

struct Round {
    nonces: Vec<Vec<PubNonce>>,
    aggregates: Vec<AggNonce>,
    partials: Vec<Vec<PartialSignature>>,
}

fn round(signers: &mut [Musig<Disk>], requests: &[SignRequest]) -> Round {
    let nonces: Vec<_> = signers.iter_mut().map(|signer| nonces(signer, requests)).collect();
    let aggregates = aggregate(&slices(&nonces));
    let sign = |signer: &mut Musig<Disk>| signer.sign(requests, &aggregates, Batch::default()).unwrap();
    let partials = signers.iter_mut().map(sign).collect();
    Round { nonces, aggregates, partials }
}

#[test]
fn signatures_verify_under_the_tweaked_key_of_every_tweak() {
    for n in [1, 2, 5] {
        let (_, mut signers) = committee(n);
        let requests = requests();
        let round = round(&mut signers, &requests);
        let signatures = signers[0].combine(&requests, &slices(&round.nonces), &slices(&round.partials)).unwrap();
        let secp = Secp256k1::new();
        let internal = signers[0].internal_key();
        for (request, signature) in requests.iter().zip(&signatures) {
            let key = match request.tweak {
                Tweak::None => internal,
                Tweak::KeyPath(root) => internal.tap_tweak(&secp, root).0.to_x_only_public_key(),
            };
            secp.verify_schnorr(signature, &Message::from_digest(request.message), &key).unwrap();
        }
        for signer in &mut signers {
            assert_eq!(signer.signatures(&requests).unwrap(), None);
            signer.complete(&requests, &signatures, Batch::default()).unwrap();
            assert_eq!(signer.signatures(&requests).unwrap(), Some(signatures.clone()));
        }
    }
}

#[test]
fn the_same_aggregate_nonce_gives_the_same_partial_and_another_is_refused_for_ever() {
    let (disks, mut signers) = committee(3);
    let requests = requests();
    let round = round(&mut signers, &requests);
    let mut other = round.aggregates.clone();
    other[4] = AggNonce::sum([&round.nonces[0][4], &round.nonces[1][4]]);
    for restarted in [false, true] {
        if restarted {
            signers[2] = reopen(&disks[2], 2, 3);
        }
        let again = signers[2].sign(&requests, &round.aggregates, Batch::default()).unwrap();
        assert_eq!(again, round.partials[2]);
        let refused = signers[2].sign(&requests, &other, Batch::default());
        assert!(matches!(refused, Err(MusigError::SecondAggregate { what }) if what == "request 4"));
        assert_eq!(nonces(&mut signers[2], &requests), round.nonces[2]);
    }
}

#[test]
fn a_batch_with_one_refused_request_signs_none_of_the_others() {
    let (_, mut signers) = committee(2);
    let requests = requests();
    let first = round(&mut signers, &requests[..1]);
    let all: Vec<_> = signers.iter_mut().map(|signer| nonces(signer, &requests)).collect();
    let mut aggregates = aggregate(&slices(&all));
    aggregates[0] = AggNonce::sum([&first.nonces[0][0]]);
    assert!(signers[1].sign(&requests, &aggregates, Batch::default()).is_err());
    assert!(!signers[1].signed_any(&requests[1..]).unwrap());
    assert!(signers[1].signed_any(&requests[..1]).unwrap());
}

#[test]
fn nothing_is_signed_without_a_nonce_or_after_completion() {
    let (_, mut signers) = committee(2);
    let requests = requests();
    let aggregates = vec![AggNonce::sum::<PubNonce, _>([]); requests.len()];
    let refused = signers[0].sign(&requests, &aggregates, Batch::default());
    assert!(matches!(refused, Err(MusigError::NoNonce { .. })));

    let round = round(&mut signers, &requests);
    let signatures = signers[0].combine(&requests, &slices(&round.nonces), &slices(&round.partials)).unwrap();
    signers[1].complete(&requests, &signatures, Batch::default()).unwrap();
    let refused = signers[1].sign(&requests, &round.aggregates, Batch::default());
    assert!(matches!(refused, Err(MusigError::Complete { .. })));
    assert!(signers[1].public_nonces(&requests, Batch::default()).unwrap().iter().all(Option::is_none));
}

#[test]
fn a_bad_partial_signature_names_its_signer() {
    let (_, mut signers) = committee(5);
    let requests = requests();
    let mut round = round(&mut signers, &requests);
    round.partials[3][7] = round.partials[3][6];
    let named = signers[0].combine(&requests, &slices(&round.nonces), &slices(&round.partials));
    assert!(matches!(named, Err(MusigError::BadPartial { signer: 3, what }) if what == "request 7"));
}

#[test]
fn a_signature_that_does_not_verify_is_not_kept() {
    let (_, mut signers) = committee(2);
    let requests = requests();
    let round = round(&mut signers, &requests);
    let good = signers[0].combine(&requests, &slices(&round.nonces), &slices(&round.partials)).unwrap();
    let mut bad = good.clone();
    bad[8] = good[0];
    let refused = signers[1].complete(&requests, &bad, Batch::default());
    assert!(matches!(refused, Err(MusigError::BadSignature { what }) if what == "request 8"));
    bad[8] = schnorr::Signature::from_slice(&[0xff; 64]).unwrap();
    assert!(signers[1].complete(&requests, &bad, Batch::default()).is_err());
    assert_eq!(signers[1].signatures(&requests).unwrap(), None);
    assert!(signers[1].complete(&requests, &good[1..], Batch::default()).is_err());
}

#[test]
fn one_sighash_twice_in_a_batch_is_refused() {
    let (_, mut signers) = committee(2);
    let mut requests = requests();
    requests.push(requests[2].clone());
    assert!(matches!(signers[0].public_nonces(&requests, Batch::default()), Err(MusigError::Twice { .. })));
}

#[test]
fn a_store_serves_one_key_in_one_committee() {
    let disk = Disk::default();
    let keys = keypairs(3);
    Musig::open(disk.clone(), &keys[0], &public_keys(&keys)).unwrap();
    assert!(Musig::open(disk.clone(), &keys[0], &public_keys(&keys)).is_ok());
    let other = Musig::open(disk.clone(), &keys[1], &public_keys(&keys));
    assert!(matches!(other, Err(MusigError::ForeignStore)));
    let other = Musig::open(disk, &keys[0], &public_keys(&keys[..2]));
    assert!(matches!(other, Err(MusigError::ForeignStore)));
    let stranger = Musig::open(Disk::default(), &keys[2], &public_keys(&keys[..2]));
    assert!(matches!(stranger, Err(MusigError::Committee(_))));
}

/// The table of a crash at each commit of a round: (where, does the nonce survive, does the partial survive).
#[test]
fn a_crash_at_any_commit_never_changes_what_was_said() {
    let requests = requests();
    for crash in [Crash::Before(0), Crash::After(0), Crash::Before(1), Crash::After(1)] {
        let (disks, mut signers) = committee(3);
        let peers: Vec<_> = signers[..2].iter_mut().map(|signer| nonces(signer, &requests)).collect();
        disks[2].crash(crash);
        let mut said = None;
        let mut signed = None;
        for _life in 0..3 {
            let Ok(mine) = signers[2].public_nonces(&requests, Batch::default()) else {
                signers[2] = reopen(&disks[2], 2, 3);
                continue;
            };
            let mine: Vec<PubNonce> = mine.into_iter().flatten().collect();
            assert_eq!(*said.get_or_insert_with(|| mine.clone()), mine, "{crash:?}");
            let aggregates = aggregate(&[&peers[0], &peers[1], &mine]);
            let Ok(partials) = signers[2].sign(&requests, &aggregates, Batch::default()) else {
                signers[2] = reopen(&disks[2], 2, 3);
                continue;
            };
            assert_eq!(*signed.get_or_insert_with(|| partials.clone()), partials, "{crash:?}");
        }
        assert!(said.is_some() && signed.is_some(), "{crash:?}");
    }
}

#[test]
fn a_used_nonce_is_erased_by_the_write_that_records_the_signature() {
    let (disks, mut signers) = committee(2);
    let requests = &requests()[..1];
    nonces(&mut signers[0], requests);
    let with_seed = disks[0].bytes();
    let key = trestle_signer::record::RecordKey::from(&requests[0]);
    let at = with_seed.windows(key.bytes().len()).position(|window| window == key.bytes()).unwrap();
    let seed = &with_seed[at + key.bytes().len() + 1..][..32];
    round(&mut signers, requests);
    assert!(!disks[0].bytes().windows(32).any(|window| window == seed));
}
