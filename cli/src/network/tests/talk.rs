//! What challengers and operators get to hear.

use bitcoin::hashes::sha256;
use trestle_challenger::lane::{Answer, SignatureBytes, signed_by};
use trestle_taptree_trace::lane::OperatorKeys;

use super::*;

#[test]
fn a_request_comes_from_who_sent_it_and_its_reply_goes_back() {
    let (mut network, _) = network(LIMITS);
    let wanted = Move::Round(Search::History, 0);
    let length = Answer::length(wanted) / signed_by(wanted).len();
    let answer = Answer { signatures: (1..=3).map(|byte| SignatureBytes(vec![byte; length])).collect() };
    for response in [Response::Move(answer), Response::refused("no\nsuch slot"), Response::Busy] {
        network.ask(0, 0, first_round(0, 0));
        let asked = asked(&mut network);
        assert_eq!((asked.operator, asked.challenger, &asked.request), (0, 0, &first_round(0, 0)));
        asked.reply(response.clone());
        assert_eq!(heard(&mut network).unwrap(), response);
    }
    assert_eq!(Response::refused("no\nsuch slot"), Response::Refused("no such slot".into()));
}

#[test]
fn keys_are_those_of_the_digest_and_no_others() {
    let (mut network, _) = network(LIMITS);
    let length = OperatorKeys::length(bridge().parameters.confirmations);
    assert!(length > 2 * 65_519, "keys go in several pieces");
    let keys: Vec<u8> = (0..length).map(|at| at as u8).collect();
    let request = Request::LaneKeys(sha256::Hash::hash(&keys));
    let mut give = |keys: Vec<u8>| {
        network.ask(0, 0, request.clone());
        asked(&mut network).reply(Response::LaneKeys(keys));
        heard(&mut network)
    };
    assert_eq!(give(keys.clone()).unwrap(), Response::LaneKeys(keys.clone()));
    let mut other = keys.clone();
    other[length - 1] ^= 1;
    assert!(matches!(give(other), Err(Error::OtherKeys)));
    assert!(matches!(give([keys.as_slice(), &[0]].concat()), Err(Error::TooLong { .. })));
    assert_eq!(give(keys.clone()).unwrap(), Response::LaneKeys(keys), "after what went wrong");
}

#[test]
fn a_question_about_another_lane_is_refused_and_the_runtime_hears_nothing_of_it() {
    let (mut network, address) = network(LIMITS);
    block_on(async {
        let mut channel = connect(address, 0).await;
        for (request, why) in [
            (first_round(1, 0), "challenger 0 asks about the lane of challenger 1"),
            (first_round(0, 1), "operator 0 is asked about slot 1/0/5"),
        ] {
            let (kind, bytes) = request.encode();
            channel.send(kind, &bytes).await.unwrap();
            let limit = |kind| Response::limit(&request, 6, kind);
            let (kind, bytes) = channel.receive(PATIENCE, limit).await.unwrap();
            assert_eq!(Response::decode(&request, kind, bytes).unwrap(), Response::Refused(why.into()));
        }
    });
    assert!(network.asked().is_empty());
    is_served(&mut network);
}

#[test]
fn each_challenger_is_answered_and_what_waits_is_not_asked_twice() {
    let (mut network, _) = network(LIMITS);
    network.join(1, challenger_key(1));
    for _ in 0..3 {
        network.ask(0, 0, first_round(0, 0));
        network.ask(1, 0, first_round(1, 0));
    }
    let (one, other) = (asked(&mut network), asked(&mut network));
    assert_ne!(one.challenger, other.challenger);
    one.reply(Response::Busy);
    other.reply(Response::Busy);
    for _ in 0..2 {
        assert!(matches!(heard(&mut network), Ok(Response::Busy)));
    }
    assert!(network.next(Instant::now() + PATIENCE).is_none(), "nobody waits");
    // What is asked next is not behind what was asked thrice.
    let keys = Request::LaneKeys(sha256::Hash::hash(b"keys"));
    network.ask(0, 0, keys.clone());
    assert_eq!(asked(&mut network).request, keys);
}

#[test]
fn of_each_challenger_the_last_request_waits_if_its_reply_is_waited_for() {
    let inbox = Inbox::default();
    let ask = |challenger| {
        let (reply, replied) = tokio::sync::oneshot::channel();
        inbox.ask(Asked { operator: 0, challenger, request: first_round(challenger, 0), reply });
        replied
    };
    let mut replies: Vec<_> = [1, 0, 1, 1].map(ask).into();
    drop(replies.remove(1));
    let Some(Event::Asked(asked)) = inbox.next(Instant::now()) else { panic!("one waits") };
    assert_eq!(asked.challenger, 1);
    assert!(inbox.next(Instant::now()).is_none(), "there is no other");
    asked.reply(Response::Busy);
    let got = replies.iter_mut().map(|reply| reply.try_recv().is_ok()).collect::<Vec<_>>();
    assert_eq!(got, [false, false, true]);
}

#[test]
fn whoever_gets_no_reply_is_told_that_there_is_none() {
    let (mut network, _) = network(LIMITS);
    // The operator hangs up.
    network.ask(0, 0, first_round(0, 0));
    drop(asked(&mut network));
    assert!(matches!(heard(&mut network), Err(Error::Io(_))));
    is_served(&mut network);
    // Nobody is there, and nobody knows where.
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    network.find(0, nowhere);
    network.ask(0, 0, first_round(0, 0));
    assert!(matches!(heard(&mut network), Err(Error::Io(_))));
    network.ask(0, 1, first_round(0, 1));
    assert!(matches!(heard(&mut network), Err(Error::NoAddress(1))));
}

#[test]
fn an_operator_that_is_too_slow_is_busy_and_a_late_reply_is_to_nothing_else() {
    let (mut network, _) = network(Limits { reply: Duration::from_millis(50), ..LIMITS });
    for _ in 0..2 {
        network.ask(0, 0, first_round(0, 0));
        let late = asked(&mut network);
        assert!(matches!(heard(&mut network), Ok(Response::Busy)));
        late.reply(Response::refused("late"));
    }
}

#[test]
fn a_connection_that_was_lost_is_made_again() {
    let (mut network, address) = network(LIMITS);
    is_served(&mut network);
    // A second connection takes the first one's place.
    let other = block_on(connect(address, 0));
    is_served(&mut network);
    drop(other);
    is_served(&mut network);
    // The operator is elsewhere, where at first it is not.
    let mut listen = |key| network.listen(0, key, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let (wrong, right) = (listen(operator_key(1)), listen(operator_key(0)));
    network.find(0, wrong);
    network.ask(0, 0, first_round(0, 0));
    assert!(matches!(heard(&mut network), Err(Error::Impostor { role: Role::Operator, index: 0 })));
    network.find(0, right);
    is_served(&mut network);
}
