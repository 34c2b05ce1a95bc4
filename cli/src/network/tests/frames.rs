//! What is read of bytes.

use bitcoin::hashes::sha256;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const K: u16 = 6;

#[test]
fn a_message_that_is_too_long_is_refused_before_any_of_it_is_there() {
    block_on(async {
        let (mut near, mut far) = channels().await;
        near.write(&[9, 0xff, 0xff, 0xff, 0xff]).await.unwrap();
        let refused = far.receive(PATIENCE, |kind| (kind == 9).then_some(100)).await;
        let length = u32::MAX as usize;
        assert!(matches!(refused, Err(Error::TooLong { kind: 9, limit: 100, length: got }) if got == length));
        near.write(&[8, 0, 0, 0, 1]).await.unwrap();
        assert!(matches!(far.receive(PATIENCE, |kind| (kind == 9).then_some(100)).await, Err(Error::Kind(8))));
    });
}

/// Sends a message over a wire on which `change` is done to its bytes; what comes of it.
fn changed(kind: u8, bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Result<(u8, Vec<u8>), Error> {
    block_on(async {
        let (near, mut wire) = tokio::io::duplex(1 << 20);
        let (mut other, far) = tokio::io::duplex(1 << 20);
        let relay = async {
            let (mut e, mut answer) = ([0; 32], [0; 48]);
            wire.read_exact(&mut e).await.unwrap();
            other.write_all(&e).await.unwrap();
            other.read_exact(&mut answer).await.unwrap();
            wire.write_all(&answer).await.unwrap();
        };
        let (near, far, ()) = tokio::join!(Channel::initiate(near), Channel::respond(far), relay);
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        near.send(kind, bytes).await.unwrap();
        drop(near);
        let mut sent = Vec::new();
        wire.read_to_end(&mut sent).await.unwrap();
        change(&mut sent);
        other.write_all(&sent).await.unwrap();
        drop(other);
        far.receive(PATIENCE, |_| Some(1 << 20)).await
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_message_comes_as_it_was_sent_or_not_at_all(
        kind: u8,
        length in prop_oneof![0usize..300, 65_500usize..65_540, 131_000usize..131_100],
        seed: u8,
        at: proptest::sample::Index,
        flip in 1u8..,
    ) {
        let bytes: Vec<u8> = (0..length).map(|at| (at as u8) ^ seed).collect();
        prop_assert_eq!(changed(kind, &bytes, |_| ()).unwrap(), (kind, bytes.clone()));
        let flipped = changed(kind, &bytes, |sent| {
            let at = at.index(sent.len());
            sent[at] ^= flip;
        });
        prop_assert!(matches!(flipped, Err(Error::Noise(_))), "{:?}", flipped);
        let cut = changed(kind, &bytes, |sent| sent.truncate(at.index(sent.len())));
        prop_assert!(matches!(cut, Err(Error::Io(_))), "{:?}", cut);
    }

    #[test]
    fn whatever_comes_on_a_channel_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let received = changed(1, b"a message", |sent| *sent = noise);
        prop_assert!(matches!(received, Err(Error::Noise(_) | Error::Io(_))));
    }

    #[test]
    fn what_is_read_of_any_bytes_has_no_other_form(
        kind in 0u8..8,
        number in 0u32..60,
        head: [u8; 8],
        noise in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let question = |choices: usize| [&head[..], &number.to_be_bytes(), &vec![head[0]; 21 * choices]].concat();
        for bytes in (0..40).map(question).chain([noise]) {
            if let Ok(request) = Request::decode(K, kind, &bytes) {
                prop_assert!(bytes.len() <= Request::limit(kind).unwrap());
                prop_assert_eq!(request.encode(), (kind, bytes.clone()));
            }
            for request in [first_round(0, 0), Request::LaneKeys(sha256::Hash::hash(&bytes))] {
                let Ok(response) = Response::decode(&request, kind, bytes.clone()) else { continue };
                match response {
                    Response::Refused(why) => prop_assert!(!why.chars().any(char::is_control) && why.len() <= 200),
                    // The limit holds what is longer off.
                    Response::Busy => {}
                    response => prop_assert_eq!(response.encode(), (kind, bytes.clone())),
                }
            }
        }
    }
}
