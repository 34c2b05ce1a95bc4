//! Half-aggregates are what the draft says, and valid for exactly what was signed.

use bitcoin::hex::FromHex as _;
use proptest::prelude::*;
use trestle_rollup::aggregate::{HalfSignature, aggregate, verify};
use trestle_rollup::{SignatureCheck, schnorr};

use crate::support::{key, x_only};

fn bytes(hex: &str) -> [u8; 32] {
    Vec::from_hex(hex).unwrap().try_into().unwrap()
}

fn signed(message: [u8; 32], index: usize) -> SignatureCheck {
    let key = key("aggregate", index);
    SignatureCheck { key: x_only(&key), message, signature: schnorr::sign(&message, &key) }
}

fn halves(checks: &[SignatureCheck]) -> Vec<HalfSignature> {
    let half = |check: &SignatureCheck| {
        let nonce = *check.signature.first_chunk().unwrap();
        HalfSignature { key: check.key, message: check.message, nonce }
    };
    checks.iter().map(half).collect()
}

/// Those of the draft's `tests.rs`: key, message and nonce of each signature, and the sum.
#[test]
fn the_drafts_vectors_are_valid() {
    let first = (
        "1b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f",
        "0202020202020202020202020202020202020202020202020202020202020202",
        "b070aafcea439a4f6f1bbfc2eb66d29d24b0cab74d6b745c3cfb009cc8fe4aa8",
    );
    let second = (
        "462779ad4aad39514614751a71085f2f10e1c7a593e4e030efb5b8721ce55b0b",
        "0505050505050505050505050505050505050505050505050505050505050505",
        "a3afbdb45a6a34bf7c8c00f1b6d7e7d375b54540f13716c87b62e51e2f4f22ff",
    );
    let vectors = [
        (vec![], "0000000000000000000000000000000000000000000000000000000000000000"),
        (vec![first], "0e066c34819936549ff49b6fd4d41edfc401a367b87ddd59fee38177961c225f"),
        (vec![first, second], "bf8913ec53226a34892d60252a7052614ca79ae939986828d81d2311957371ad"),
    ];
    for (signatures, sum) in vectors {
        let half =
            |(key, message, nonce)| HalfSignature { key: bytes(key), message: bytes(message), nonce: bytes(nonce) };
        let signatures: Vec<_> = signatures.into_iter().map(half).collect();
        assert!(verify(&signatures, &bytes(sum)), "{} signatures", signatures.len());
    }
}

/// Sizes around those at which the windows get wider, and one that takes more than one sum.
#[test]
fn many_signatures_are_valid_together_and_not_one_of_them_in_anothers_place() {
    let checks: Vec<_> = (0..2_060usize).map(|n| signed([(n % 251) as u8; 32], n % 40)).collect();
    for count in [1, 2, 3, 4, 7, 8, 31, 32, 33, 500, 2_048, 2_049, 2_060] {
        let (mut halves, sum) = (halves(&checks[..count]), aggregate(&checks[..count]));
        assert!(verify(&halves, &sum), "{count} signatures");
        halves.swap(0, count - 1);
        assert_eq!(verify(&halves, &sum), count == 1, "{count} signatures in another order");
    }
}

/// Were the factors not bound to all that comes before them, two signatures that nobody made could make up for each other.
#[test]
fn signatures_that_only_add_up_are_no_aggregate() {
    let checks = [signed([1; 32], 0), signed([2; 32], 1)];
    let sum = aggregate(&checks);
    // Halves of the two signatures' sum, each off by the same in another direction.
    let off = |check: &SignatureCheck, by: u8| {
        let mut check = *check;
        check.signature[63] = check.signature[63].wrapping_add(by);
        check
    };
    let cancelled = aggregate(&[off(&checks[0], 1), off(&checks[1], 255)]);
    assert!(verify(&halves(&checks), &sum));
    assert!(!verify(&halves(&checks), &cancelled));
}

#[test]
fn what_is_out_of_range_is_not_valid() {
    const N: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    const P: &str = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f";
    assert!(verify(&[], &[0; 32]));
    assert!(!verify(&[], &bytes(N)), "the order is zero, and not its form");
    let check = signed([1; 32], 0);
    let (half, sum) = (halves(&[check])[0], aggregate(&[check]));
    for edge in [[0; 32], bytes(P), [0xff; 32]] {
        assert!(!verify(&[HalfSignature { key: edge, ..half }], &sum));
        assert!(!verify(&[HalfSignature { nonce: edge, ..half }], &sum));
    }
    assert!(!verify(&vec![half; 0x1_0000], &sum), "more than the draft allows");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_aggregate_with_any_byte_changed_is_not_valid(
        messages in prop::collection::vec(any::<[u8; 32]>(), 1..6),
        one: prop::sample::Index,
        at in 0usize..128,
        by in 1u8..,
    ) {
        let checks: Vec<_> = messages.into_iter().enumerate().map(|(index, message)| signed(message, index % 3)).collect();
        let (mut halves, mut sum) = (halves(&checks), aggregate(&checks));
        prop_assert!(verify(&halves, &sum));
        let one = one.index(halves.len());
        match at {
            0..32 => halves[one].key[at] ^= by,
            32..64 => halves[one].message[at - 32] ^= by,
            64..96 => halves[one].nonce[at - 64] ^= by,
            _ => sum[at - 96] ^= by,
        }
        prop_assert!(!verify(&halves, &sum));
    }

    #[test]
    fn one_bad_signature_spoils_the_aggregate(
        messages in prop::collection::vec(any::<[u8; 32]>(), 1..6),
        one: prop::sample::Index,
        at in 0usize..64,
        by in 1u8..,
    ) {
        let mut checks: Vec<_> = messages.into_iter().enumerate().map(|(index, message)| signed(message, index)).collect();
        let one = one.index(checks.len());
        checks[one].signature[at] ^= by;
        prop_assert!(!verify(&halves(&checks), &aggregate(&checks)));
    }
}
