//! Who is taken for whom.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Both sides show who they are; what each finds.
async fn meet(challenger: Identity, operator: Identity, wanted: u16) -> (Result<(), Error>, Result<u16, Error>) {
    let (near, far) = channels().await;
    // Whoever finds something wrong hangs up.
    let ask = async move { authenticate_operator(&mut { near }, &challenger, wanted).await };
    let answer = async move { authenticate_challenger(&mut { far }, &operator).await };
    tokio::join!(ask, answer)
}

#[tokio::test]
async fn those_with_the_keys_of_the_bridge_know_each_other() {
    for (challenger, operator) in [(0, 0), (1, 0), (0, 1)] {
        let one = identity(challenger, challenger_key(challenger as u8));
        let other = identity(operator, operator_key(operator as u8));
        let met = meet(one, other, operator).await;
        assert!(matches!(met, (Ok(()), Ok(index)) if index == challenger), "{met:?}");
    }
}

#[tokio::test]
async fn nobody_is_who_has_not_the_key() {
    let (operator, challenger) = (identity(0, operator_key(0)), identity(0, challenger_key(0)));
    // Another challenger, another role, a stranger, and nobody.
    for (index, key) in [(1, challenger_key(0)), (0, challenger_key(1)), (0, operator_key(0)), (0, key(99))] {
        let (found, refused) = meet(identity(index, key), operator.clone(), 0).await;
        assert!(matches!(refused, Err(Error::Impostor { role: Role::Challenger, index: of }) if of == index));
        assert!(matches!(found, Err(Error::Io(_))), "the operator has said nothing");
    }
    let (_, refused) = meet(identity(2, challenger_key(0)), operator.clone(), 0).await;
    assert!(matches!(refused, Err(Error::Nobody { role: Role::Challenger, index: 2 })));
    for key in [operator_key(1), challenger_key(0), key(99)] {
        let (found, _) = meet(challenger.clone(), identity(0, key), 0).await;
        assert!(matches!(found, Err(Error::Impostor { role: Role::Operator, index: 0 })));
    }
    // An operator that is not the one that is asked for.
    let (_, refused) = meet(challenger.clone(), operator.clone(), 1).await;
    assert!(matches!(refused, Err(Error::Impostor { role: Role::Challenger, index: 0 })));
}

#[tokio::test]
async fn the_same_people_of_another_bridge_are_strangers() {
    let bridge = bridge_of([challenger_key(0), challenger_key(1)], 8);
    let elsewhere = Identity { bridge, index: 0, key: challenger_key(0) };
    let met = meet(elsewhere, identity(0, operator_key(0)), 0).await;
    assert!(matches!(met, (Err(Error::Io(_)), Err(Error::Impostor { .. }))), "{met:?}");
}

#[tokio::test]
async fn a_challenger_with_an_operators_key_is_not_answered_with_its_own_signature() {
    let own = Identity { bridge: bridge_of([operator_key(0), challenger_key(1)], 7), index: 0, key: operator_key(0) };
    let (mut near, mut far) = channels().await;
    let challenger = tokio::spawn(async move { authenticate_operator(&mut near, &own, 0).await });
    let said = far.read(66).await.unwrap();
    far.write(&said[2..]).await.unwrap();
    assert!(matches!(challenger.await.unwrap(), Err(Error::Impostor { role: Role::Operator, index: 0 })));
}

#[tokio::test]
async fn whoever_stands_between_two_handshakes_is_refused_by_both() {
    let (near, to_challenger) = channels().await;
    let (to_operator, far) = channels().await;
    let challenger =
        tokio::spawn(async move { authenticate_operator(&mut { near }, &identity(0, challenger_key(0)), 0).await });
    let operator =
        tokio::spawn(async move { authenticate_challenger(&mut { far }, &identity(0, operator_key(0))).await });
    let (mut to_challenger, mut to_operator) = (to_challenger, to_operator);
    let said = to_challenger.read(66).await.unwrap();
    to_operator.write(&said).await.unwrap();
    assert!(matches!(operator.await.unwrap(), Err(Error::Impostor { role: Role::Challenger, index: 0 })));
    // It has the operator sign for itself, as challenger 1, and hands that on.
    let (mut own, far) = channels().await;
    let operator =
        tokio::spawn(async move { authenticate_challenger(&mut { far }, &identity(0, operator_key(0))).await });
    let parties = identity::Parties { operator: 0, challenger: 1 };
    let signed = parties.digest(&bridge(), own.hash(), Role::Challenger);
    let signature = Secp256k1::new().sign_schnorr(&signed, &challenger_key(1)).serialize();
    own.write(&[&[0, 1], &signature[..]].concat()).await.unwrap();
    let answer = own.read(64).await.unwrap();
    assert!(matches!(operator.await.unwrap(), Ok(1)));
    to_challenger.write(&answer).await.unwrap();
    assert!(matches!(challenger.await.unwrap(), Err(Error::Impostor { role: Role::Operator, index: 0 })));
}

#[tokio::test]
async fn what_was_signed_once_is_no_use_again() {
    // What a challenger has said on one connection, even if it were known what that is.
    let (near, mut far) = channels().await;
    let challenger =
        tokio::spawn(async move { authenticate_operator(&mut { near }, &identity(0, challenger_key(0)), 0).await });
    let said = far.read(66).await.unwrap();
    drop(far);
    assert!(challenger.await.unwrap().is_err());
    let (mut again, far) = channels().await;
    again.write(&said).await.unwrap();
    let refused = authenticate_challenger(&mut { far }, &identity(0, operator_key(0))).await;
    assert!(matches!(refused, Err(Error::Impostor { role: Role::Challenger, index: 0 })));
}

#[tokio::test]
async fn a_connection_that_was_recorded_cannot_be_played_again() {
    let (near, wire_of_challenger) = tokio::io::duplex(1024);
    let (wire_of_operator, far) = tokio::io::duplex(1024);
    let challenger = tokio::spawn(async move {
        let mut channel = Channel::initiate(near).await?;
        authenticate_operator(&mut channel, &identity(0, challenger_key(0)), 0).await
    });
    let answer = |stream| async move {
        let mut channel = Channel::respond(stream).await?;
        authenticate_challenger(&mut channel, &identity(0, operator_key(0))).await
    };
    let operator = tokio::spawn(answer(far));
    // All that goes over the wire, in turns.
    let (mut one, mut other) = (wire_of_challenger, wire_of_operator);
    let (mut recorded, mut forth, mut back) = (Vec::new(), true, [0; 128]);
    for length in [32, 48, 66 + 16, 64 + 16] {
        let (from, to) = if forth { (&mut one, &mut other) } else { (&mut other, &mut one) };
        let piece = &mut back[..length];
        from.read_exact(piece).await.unwrap();
        to.write_all(piece).await.unwrap();
        recorded.extend(forth.then(|| piece.to_vec()));
        forth = !forth;
    }
    challenger.await.unwrap().unwrap();
    assert!(matches!(operator.await.unwrap(), Ok(0)));

    let (mut wire, far) = tokio::io::duplex(1024);
    for piece in recorded {
        wire.write_all(&piece).await.unwrap();
    }
    assert!(matches!(answer(far).await, Err(Error::Noise(_))));
}
