//! One-time signatures off chain. What Script makes of them is tested on bitcoind, in tests/tests/transactions.rs.

use trestle_taptree_trace::ots::{
    CLAIM, CLAIM_LANE, Field, KeyId, Layout, Message, OtsError, PublicKey, SecretSeed, Signature, parse_witness,
    script_commit, verify,
};

const ID: KeyId = KeyId { instance: [1; 32], slot: [2; 6], lane: CLAIM_LANE, message: "claim" };

fn seed() -> SecretSeed {
    SecretSeed::new([7; 32])
}

fn message(n: u16, prefix: u32) -> Message {
    CLAIM.encode(&[&n.to_be_bytes(), &prefix.to_be_bytes()]).unwrap()
}

fn sign(message: &Message) -> Signature {
    seed().sign(&CLAIM, &ID, message).unwrap()
}

/// A few messages: every digit alike, and one that counts up.
fn messages() -> Vec<Message> {
    let alike = (0..16u16).map(|d| message(d * 0x1111, u32::from(d) * 0x1111_1111));
    alike.chain([message(0x0123, 0x4567_89ab), message(0xfedc, 0xba98_7654)]).collect()
}

#[test]
fn a_signature_verifies_for_its_message_and_key_only() {
    let key = seed().public_key(&CLAIM, &ID);
    let other = seed().public_key(&CLAIM, &KeyId { lane: 0, ..ID });
    for signed in messages() {
        let signature = sign(&signed);
        for claimed in messages() {
            assert_eq!(verify(&key, &claimed, &signature), claimed == signed);
        }
        assert!(!verify(&other, &signed, &signature));
    }
}

#[test]
fn a_witness_reads_back_as_the_message() {
    let key = seed().public_key(&CLAIM, &ID);
    for signed in messages() {
        let items = sign(&signed).witness();
        assert_eq!(items.len(), 3 * 14);
        assert!(items.iter().all(|item| item.len() <= 80));
        assert_eq!(parse_witness(&CLAIM, &key, &items).unwrap(), signed);
    }
    assert_eq!(message(0x0123, 0x4567_89ab).field(0), [0x01, 0x23]);
    assert_eq!(message(0x0123, 0x4567_89ab).field(1), [0x45, 0x67, 0x89, 0xab]);
    assert!(message(0, 0).field(2).is_empty());
}

#[test]
fn a_witness_that_was_touched_is_not_read() {
    let key = seed().public_key(&CLAIM, &ID);
    let items = sign(&message(0x0123, 0x4567_89ab)).witness();
    let read = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut items = items.clone();
        change(&mut items);
        parse_witness(&CLAIM, &key, &items)
    };
    for place in 0..items.len() {
        // The item is an index, a link, or a half of one of the digits.
        assert!(read(&|items| items[place] = vec![9]).is_err(), "{place}");
        assert!(read(&|items| items[place] = vec![0xab; 20]).is_err(), "{place}");
        assert!(read(&|items| drop(items.remove(place))).is_err(), "{place}");
    }
    assert!(read(&|items| items.push(vec![])).is_err());
    assert_eq!(read(&|items| items[1] = vec![1, 0]), Ok(message(0x0123, 0x4567_89ab)));
}

#[test]
fn no_digit_can_rise_without_another_falling() {
    // What makes a second message impossible to sign: nobody's digits are all at most those of somebody else's.
    let digits: Vec<_> = messages().iter().map(Message::signed_digits).collect();
    for (i, a) in digits.iter().enumerate() {
        for b in &digits[i + 1..] {
            assert!(a.iter().zip(b).any(|(a, b)| a > b) && a.iter().zip(b).any(|(a, b)| a < b));
        }
    }
}

#[test]
fn keys_of_different_ids_have_no_link_in_common() {
    let ids = [
        ID,
        KeyId { instance: [3; 32], ..ID },
        KeyId { slot: [2, 2, 2, 2, 2, 3], ..ID },
        KeyId { lane: 7, ..ID },
        KeyId { message: "claims", ..ID },
    ];
    let mut links = std::collections::HashSet::new();
    for id in ids {
        assert!(seed().public_key(&CLAIM, &id).0.into_iter().all(|link| links.insert(link)));
        assert_ne!(seed().secret(&id), SecretSeed::new([8; 32]).secret(&id));
    }
    assert_eq!(seed().public_key(&CLAIM, &ID), seed().public_key(&CLAIM, &ID));
}

#[test]
fn related_links_are_refused() {
    use bitcoin::hashes::{Hash, hash160};
    let key = seed().public_key(&CLAIM, &ID);
    assert_eq!(key.check(&CLAIM), Ok(()));
    let mut link = key.0[3];
    for distance in 0..=15 {
        let mut related = key.clone();
        related.0[9] = link;
        assert_eq!(related.check(&CLAIM), Err(OtsError::RelatedLinks { first: 3, second: 9 }), "{distance}");
        link = hash160::Hash::hash(&link).to_byte_array();
    }
    let mut far = key.clone();
    far.0[9] = link;
    assert_eq!(far.check(&CLAIM), Ok(()));
    assert!(matches!(
        PublicKey(key.0[1..].to_vec()).check(&CLAIM),
        Err(OtsError::DigitCount { expected: 14, got: 13, .. })
    ));
}

#[test]
fn the_verifier_takes_65_bytes_a_digit() {
    let key = seed().public_key(&CLAIM, &ID);
    assert_eq!(script_commit(&CLAIM, &key).len(), 911);
    // A link, an index and a flag are 25 bytes at most; an index or a flag of 0 is an empty item, and this message has none.
    let witness = sign(&message(0x7776, 0x7777_7777)).witness();
    assert_eq!(witness.iter().map(|item| 1 + item.len()).sum::<usize>(), 14 * 25);
}

#[test]
fn a_message_that_does_not_fit_its_layout_is_refused() {
    const LAYOUT: Layout = Layout { name: "two", fields: &[Field::bytes("a", 1), Field::bytes("b", 24)] };
    assert_eq!((LAYOUT.message_digits(), LAYOUT.checksum_digits()), (50, 3));
    assert!(matches!(LAYOUT.encode(&[&[1]]), Err(OtsError::FieldCount { expected: 2, got: 1, .. })));
    assert!(matches!(
        LAYOUT.encode(&[&[1], &[0; 23]]),
        Err(OtsError::FieldLength { field: "b", expected: 48, got: 46, .. })
    ));
    let message = LAYOUT.encode(&[&[1], &[5; 24]]).unwrap();
    assert!(matches!(seed().sign(&CLAIM, &ID, &message), Err(OtsError::DigitCount { expected: 14, got: 53, .. })));
    let key = seed().public_key(&LAYOUT, &ID);
    let signature = seed().sign(&LAYOUT, &ID, &message).unwrap();
    assert_eq!(parse_witness(&LAYOUT, &key, &signature.witness()).unwrap(), message);
}
