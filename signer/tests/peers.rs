//! Peers that cheat, or send whatever they like.

mod support;

use bitcoin::secp256k1::schnorr;
use musig2::{AggNonce, PartialSignature};
use proptest::prelude::*;
use support::members::{Everyone, outpoint};
use support::network::Network;
use trestle_bridge::job::Job;
use trestle_bridge::transactions::RunGraph;
use trestle_rollup::SlotId;
use trestle_signer::message::MAX_MESSAGE;
use trestle_signer::session::Offer;
use trestle_signer::{Duty, Event, JobId, LEADER, Message, Progress};

fn committee(signers: usize) -> Network {
    Network::new(Everyone::new(signers, 1, |_| {}), 0)
}

/// The messages among `duties`.
fn sent(duties: Vec<Duty>) -> Vec<(usize, Message)> {
    let message = |duty| match duty {
        Duty::Send { to, message } => Some((to, message)),
        _ => None,
    };
    duties.into_iter().filter_map(message).collect()
}

fn suspects(duties: &[Duty]) -> Vec<usize> {
    let signer = |duty: &Duty| match duty {
        Duty::Suspect { signer, .. } => Some(*signer),
        _ => None,
    };
    duties.iter().filter_map(signer).collect()
}

fn tell(network: &mut Network, to: usize, from: usize, message: Message) -> Vec<Duty> {
    network.hear(to, Event::Message { from, message })
}

/// The honest messages of the first batch of a run: the leader's proposal to signer 1, the nonces of signers 1 and 2.
fn opening(network: &mut Network) -> (Message, Vec<Message>) {
    let (job, consents) = network.everyone.run(0, 0, 1, network.world.checkpoint());
    let event = Event::Requested { job: Box::new(job), consents };
    let proposals = sent(network.hear(LEADER, event));
    let nonces = proposals.iter().map(|(to, proposal)| {
        let answer = tell(network, *to, LEADER, proposal.clone());
        sent(answer).into_iter().find(|(to, _)| *to == LEADER).unwrap().1
    });
    let nonces = nonces.collect();
    (proposals[0].1.clone(), nonces)
}

#[test]
fn a_leader_that_announces_two_sums_gets_one_signature() {
    let mut network = committee(3);
    let (_, nonces) = opening(&mut network);
    let mut announced = Vec::new();
    for (from, nonces) in nonces.into_iter().enumerate() {
        announced.extend(sent(tell(&mut network, LEADER, from + 1, nonces)));
    }
    let first = announced.iter().find(|(to, _)| *to == 1).unwrap().1.clone();
    let partials = |duties| sent(duties).into_iter().find(|(_, message)| matches!(message, Message::Partials { .. }));
    let signed = partials(tell(&mut network, 1, LEADER, first.clone())).unwrap();

    let Message::AggregateNonces { job, at, nonces } = first.clone() else { panic!() };
    let mut second = nonces.clone();
    second[0] = Offer::Nonce(AggNonce::sum::<musig2::PubNonce, _>([]));
    let second = Message::AggregateNonces { job, at, nonces: second };
    for restarted in [false, true] {
        if restarted {
            network.restart(1);
        }
        let duties = tell(&mut network, 1, LEADER, second.clone());
        assert_eq!(suspects(&duties), [LEADER]);
        assert_eq!(partials(duties), None);
        assert_eq!(partials(tell(&mut network, 1, LEADER, first.clone())).unwrap(), signed);
    }
}

#[test]
fn a_signer_with_a_bad_partial_is_named_and_may_send_a_good_one() {
    let mut network = committee(3);
    let (_, nonces) = opening(&mut network);
    let mut announced = Vec::new();
    for (from, nonces) in nonces.into_iter().enumerate() {
        announced.extend(sent(tell(&mut network, LEADER, from + 1, nonces)));
    }
    let mut answers = Vec::new();
    for (to, message) in announced {
        answers.extend(sent(tell(&mut network, to, LEADER, message)).into_iter().map(|(_, message)| (to, message)));
    }
    assert_eq!(answers.len(), 2);
    let good = answers[1].1.clone();
    let Message::Partials { partials, .. } = &mut answers[1].1 else { panic!() };
    partials[2] = PartialSignature::from_slice(&[1; 32]).unwrap();
    let mut duties = Vec::new();
    for (from, message) in answers {
        duties = tell(&mut network, LEADER, from, message);
    }
    assert_eq!(suspects(&duties), [2]);
    let duties = tell(&mut network, LEADER, 2, good);
    assert!(sent(duties).iter().any(|(_, message)| matches!(message, Message::Signatures { .. })));
}

#[test]
fn a_signer_that_changes_its_nonces_is_named() {
    let mut network = committee(3);
    let (_, nonces) = opening(&mut network);
    for (from, nonces) in nonces.iter().cloned().enumerate() {
        tell(&mut network, LEADER, from + 1, nonces);
    }
    // Signer 1 says that the nonces of signer 2 are its own.
    assert_eq!(suspects(&tell(&mut network, LEADER, 1, nonces[1].clone())), [1]);
    assert_eq!(suspects(&tell(&mut network, LEADER, 1, nonces[0].clone())), [0usize; 0]);
    // After a restart the leader finds that the sum is not the one that it signed under.
    network.restart(LEADER);
    tell(&mut network, LEADER, 1, nonces[1].clone());
    assert_eq!(suspects(&tell(&mut network, LEADER, 2, nonces[1].clone())), [2]);
    tell(&mut network, LEADER, 1, nonces[0].clone());
    let duties = tell(&mut network, LEADER, 2, nonces[1].clone());
    assert_eq!(suspects(&duties), [0usize; 0]);
    assert!(sent(duties).iter().any(|(_, message)| matches!(message, Message::AggregateNonces { .. })));
}

#[test]
fn false_final_signatures_are_not_believed() {
    let mut network = committee(3);
    let (_, nonces) = opening(&mut network);
    let Message::Nonces { job, at, nonces } = &nonces[0] else { panic!() };
    let signatures = vec![schnorr::Signature::from_slice(&[7; 64]).unwrap(); nonces.len()];
    let duties = tell(&mut network, 1, 2, Message::Signatures { job: *job, at: *at, signatures });
    assert_eq!(suspects(&duties), [2]);
    assert!(network.signers[1].jobs().all(|(_, _, progress)| progress == Progress::Open));
}

/// The leader withholds the last signatures of stage 0 (Contest's among them): then nobody signs Reimburse.
#[test]
fn reimburse_is_not_signed_before_contest_is_held() {
    let mut network = committee(2);
    let checkpoint = network.world.checkpoint();
    for operator in 0..2 {
        let run = network.everyone.run(operator, 0, 2, checkpoint);
        network.request(run);
    }
    network.settle();
    let (deposit, consents) = network.everyone.deposit("alice");
    network.world.pay(&deposit);
    network.request((deposit, consents));
    network.blocks(10);
    let vault = network.world.0.borrow().spends[&outpoint("alice")].txid;
    assert_ne!(vault, outpoint("").txid);

    let (job, consents) = network.everyone.run(0, 2, 1, checkpoint);
    let event = Event::Requested { job: Box::new(job), consents };
    let proposals = sent(network.hear(LEADER, event));
    let Some((1, Message::Propose { job, .. })) = proposals.first() else { panic!() };
    let Job::Run(run) = &**job else { panic!() };
    assert_eq!(run.vaults.len(), 1, "Reimburse is asked for");
    let first = RunGraph::build(&network.everyone.bridge, run.terms.clone()).unwrap().requests().len();
    let nonces = sent(tell(&mut network, 1, LEADER, proposals[0].1.clone()));
    let Message::Nonces { job: id, nonces: ours, .. } = &nonces[0].1 else { panic!() };
    assert_eq!(ours.len(), first, "the first batch has all of the slots, and no Reimburse");
    // A leader that skips ahead gets nothing.
    let nonces = vec![Offer::Nonce(AggNonce::sum::<musig2::PubNonce, _>([])); 3];
    let ahead = Message::AggregateNonces { job: *id, at: first as u32, nonces };
    assert_eq!(sent(tell(&mut network, 1, LEADER, ahead)), []);
}

/// "Not a job of mine", said long ago, arrives when the job has been proposed again.
#[test]
fn a_signer_that_forgot_a_job_is_asked_again() {
    let mut network = committee(3);
    let (_, nonces) = opening(&mut network);
    let Message::Nonces { job, .. } = nonces[1] else { panic!() };
    for (from, nonces) in nonces.into_iter().enumerate() {
        tell(&mut network, LEADER, from + 1, nonces);
    }
    // Signer 1's run is in its last stage; signer 2 has not heard of the sums yet.
    tell(&mut network, 2, LEADER, Message::Refuse { job, reason: "not a job of mine".into() });
    assert_eq!(network.signers[2].jobs().count(), 0);
    network.blocks(2);
    let progress = network.progress(|job| matches!(job, Job::Run(_)));
    assert!(progress.iter().all(|progress| *progress == Some(Progress::Complete)));
}

/// The same job again and again, and jobs without end: the signer says no and keeps nothing.
#[test]
fn refused_proposals_leave_nothing_behind() {
    let mut network = committee(2);
    let size = network.disks[1].bytes().len();
    for serial in 0..200 {
        let (mut job, consents) = network.everyone.run(0, serial, 1, network.world.checkpoint());
        if let Job::Run(run) = &mut job {
            run.terms.bond = outpoint("not what was agreed to");
        }
        let duties = tell(&mut network, 1, LEADER, Message::Propose { job: Box::new(job), at: 0, consents });
        assert!(matches!(&sent(duties)[..], [(LEADER, Message::Refuse { .. })]));
    }
    assert_eq!(network.disks[1].bytes().len(), size);
    assert_eq!(network.signers[1].jobs().count(), 0);
}

fn any_message(job: JobId) -> impl Strategy<Value = Message> {
    let point = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".repeat(2);
    let (public, sum) = (point.parse().unwrap(), point.parse().unwrap());
    let signature = schnorr::Signature::from_slice(&[7; 64]).unwrap();
    let id = prop_oneof![Just(job), any::<[u8; 32]>().prop_map(JobId)];
    let offer = move |nonce: bool| if nonce { Offer::Nonce(()) } else { Offer::Signature(signature) };
    (id, 0..6u8, prop_oneof![Just(0u32), any::<u32>()], proptest::collection::vec(any::<bool>(), 0..40)).prop_map(
        move |(job, kind, at, items)| {
            let offers = items.iter().map(|nonce| offer(*nonce));
            match kind {
                0 => {
                    let nonces = offers.map(|offer| {
                        if offer == Offer::Nonce(()) {
                            Offer::Nonce(musig2::PubNonce::clone(&public))
                        } else {
                            Offer::Signature(signature)
                        }
                    });
                    Message::Nonces { job, at, nonces: nonces.collect() }
                }
                1 => {
                    let nonces = offers.map(|offer| {
                        if offer == Offer::Nonce(()) {
                            Offer::Nonce(AggNonce::clone(&sum))
                        } else {
                            Offer::Signature(signature)
                        }
                    });
                    Message::AggregateNonces { job, at, nonces: nonces.collect() }
                }
                2 => Message::Partials {
                    job,
                    at,
                    partials: items.iter().map(|_| PartialSignature::from_slice(&[1; 32]).unwrap()).collect(),
                },
                3 => Message::Signatures { job, at, signatures: items.iter().map(|_| signature).collect() },
                4 => Message::Refuse { job, reason: "\u{1b}[2J no".into() },
                _ => {
                    let slots = items.iter().map(|_| SlotId { operator: 0, denomination: 0, serial: 0 }).collect();
                    let (deposit, consents) = Everyone::new(2, 1, |_| {}).deposit("alice");
                    let Job::Deposit(mut deposit) = deposit else { unreachable!() };
                    deposit.slots = slots;
                    Message::Propose { job: Box::new(Job::Deposit(deposit)), at, consents }
                }
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_decoding_fail_otherwise_than_with_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Message::decode(&bytes);
    }

    #[test]
    fn no_change_of_a_real_message_makes_decoding_panic(at in 0..2_000usize, byte: u8) {
        let mut network = committee(2);
        let (proposal, nonces) = opening(&mut network);
        for message in [proposal, nonces[0].clone()] {
            let mut bytes = message.encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(message) = Message::decode(&bytes) {
                let _ = tell(&mut network, 1, LEADER, message.clone());
                let _ = tell(&mut network, LEADER, 1, message);
            }
        }
    }

    /// A job is being signed while a peer sends anything at all; afterwards it is completed as if nothing had been.
    #[test]
    fn no_message_from_anybody_stops_a_job_or_a_signer(messages in proptest::collection::vec(any_message(run_id()), 1..20)) {
        let mut network = committee(2);
        opening(&mut network);
        for message in messages {
            // What the leader itself may do to a job is another matter: it may refuse it, or announce sums that are none.
            if !matches!(message, Message::AggregateNonces { .. } | Message::Refuse { .. }) {
                tell(&mut network, 1, LEADER, message.clone());
            }
            tell(&mut network, LEADER, 1, message.clone());
            tell(&mut network, LEADER, 7, message.clone());
            tell(&mut network, 1, 1, message);
        }
        network.restart(LEADER);
        network.blocks(3);
        let progress = network.progress(|job| matches!(job, Job::Run(_)));
        prop_assert!(progress.iter().all(|progress| *progress == Some(Progress::Complete)), "{:?}", progress);
    }
}

/// The id of the run that [`opening`] begins.
fn run_id() -> JobId {
    let network = committee(2);
    let (job, _) = network.everyone.run(0, 0, 1, network.world.checkpoint());
    JobId::of(&network.everyone.bridge, &job)
}

#[test]
fn a_message_that_is_too_long_is_not_parsed() {
    let long = vec![b' '; MAX_MESSAGE + 1];
    assert!(matches!(Message::decode(&long), Err(trestle_signer::message::DecodeError::TooLong(_))));
}

/// The wire format, pinned: signers of different versions have to understand each other.
#[test]
fn the_wire_format_does_not_change() {
    let point = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".repeat(2);
    let signature = schnorr::Signature::from_slice(&[7; 64]).unwrap();
    let job = JobId([0xab; 32]);
    let (deposit, _) = Everyone::new(2, 1, |_| {}).deposit("alice");
    let messages = [
        Message::Propose { job: Box::new(deposit), at: 3, consents: vec![signature] },
        Message::Nonces { job, at: 1, nonces: vec![Offer::Nonce(point.parse().unwrap()), Offer::Signature(signature)] },
        Message::AggregateNonces {
            job,
            at: 1,
            nonces: vec![Offer::Nonce(point.parse().unwrap()), Offer::Signature(signature)],
        },
        Message::Partials { job, at: 1, partials: vec![PartialSignature::from_slice(&[1; 32]).unwrap()] },
        Message::Signatures { job, at: 1, signatures: vec![signature] },
        Message::Refuse { job, reason: "why".into() },
    ];
    let lines: Vec<String> = messages.iter().map(|message| String::from_utf8(message.encode()).unwrap()).collect();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/messages.jsonl");
    if std::env::var_os("TRESTLE_WRITE_FIXTURES").is_some() {
        std::fs::write(fixture, lines.join("\n") + "\n").unwrap();
    }
    let pinned = std::fs::read_to_string(fixture).unwrap();
    assert_eq!(pinned.lines().collect::<Vec<_>>(), lines);
    for (line, message) in pinned.lines().zip(messages) {
        assert_eq!(Message::decode(line.as_bytes()).unwrap(), message);
    }
}
