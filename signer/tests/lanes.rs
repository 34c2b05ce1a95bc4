//! The lanes of a run: whose keys are taken, what is kept of them, and what waits for them.

mod support;

use std::sync::Arc;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::schnorr::Signature;
use support::members::{Everyone, outpoint};
use support::network::{Network, committee_with_vault};
use trestle_bridge::job::{Job, RunJob};
use trestle_bridge::lane::{LaneTx, Lanes};
use trestle_bridge::transactions::{LanePlace, Reveal, deal};
use trestle_signer::{Duty, Event, JobId, LEADER, Message, Progress, Receiver};

/// Keys of which no lane can be made.
const BAD_KEYS: [u8; 32] = [0; 32];

type Request = (Job, Vec<Signature>);

fn run_of(job: &Job) -> &RunJob {
    let Job::Run(run) = job else { panic!("not a run") };
    run
}

/// What signer `to` says at this event alone.
fn process(network: &mut Network, to: usize, event: Event) -> Vec<Duty> {
    network.signers[to].process(event, &network.world.view(0)).unwrap()
}

fn propose(network: &mut Network, (job, consents): &Request) -> Vec<Duty> {
    let message = Message::Propose { job: Box::new(job.clone()), at: 0, consents: consents.clone() };
    process(network, 1, Event::Message { from: LEADER, message })
}

/// The digests that are asked for.
fn fetched(duties: &[Duty]) -> Vec<sha256::Hash> {
    let digest = |duty: &Duty| match duty {
        Duty::FetchLaneKeys { operator: 0, digest } => Some(*digest),
        _ => None,
    };
    duties.iter().filter_map(digest).collect()
}

fn sends_nonces(duties: &[Duty]) -> bool {
    duties.iter().any(|duty| matches!(duty, Duty::Send { message: Message::Nonces { .. }, .. }))
}

fn refusal(duties: &[Duty]) -> Option<&str> {
    duties.iter().find_map(|duty| match duty {
        Duty::Send { message: Message::Refuse { reason, .. }, .. } => Some(reason.as_str()),
        _ => None,
    })
}

/// The keys of the run's lanes, in order.
fn keys(network: &Network, job: &Job) -> Vec<Vec<u8>> {
    let keys = network.everyone.lane_keys.borrow();
    run_of(job).terms.lanes.concat().iter().map(|digest| keys[digest].clone()).collect()
}

#[test]
fn a_run_is_taken_up_and_not_signed_before_the_keys_of_every_lane_are_here() {
    let mut network = Network::new(Everyone::new(2, 2, |_| {}), 0);
    let request = network.everyone.run(0, 0, 2, network.world.checkpoint());
    let digests = run_of(&request.0).terms.lanes.concat();
    let duties = propose(&mut network, &request);
    assert_eq!(fetched(&duties), digests);
    assert!(!sends_nonces(&duties));
    for (known, keys) in keys(&network, &request.0).into_iter().enumerate() {
        // It asks again at every tip, and after a restart, for what it lacks; a proposal that comes again says the same.
        network.restart(1);
        for event in [Event::Tip, Event::Restarted] {
            assert_eq!(fetched(&process(&mut network, 1, event)), digests[known..]);
        }
        assert_eq!(fetched(&propose(&mut network, &request)), digests[known..]);
        let duties = process(&mut network, 1, Event::LaneKeys(keys));
        assert_eq!(sends_nonces(&duties), known == 3);
    }
    network.restart(1);
    let duties = process(&mut network, 1, Event::Tip);
    assert!(fetched(&duties).is_empty() && sends_nonces(&duties));
}

#[test]
fn keys_that_were_not_asked_for_are_not_kept() {
    let mut network = Network::new(Everyone::new(2, 2, |_| {}), 0);
    let request = network.everyone.run(0, 0, 1, network.world.checkpoint());
    let mut unwanted = keys(&network, &request.0);
    let first = unwanted[0].clone();
    unwanted.push(vec![7; 200_000]);
    unwanted.push(Vec::new());
    let mut size = network.disks[1].bytes().len();
    for proposed in [false, true] {
        for keys in unwanted.clone() {
            assert_eq!(process(&mut network, 1, Event::LaneKeys(keys)), []);
        }
        assert_eq!(network.disks[1].bytes().len(), size);
        if !proposed {
            propose(&mut network, &request);
            size = network.disks[1].bytes().len();
            // One bit is another digest.
            unwanted.drain(..2);
            unwanted.push(first.iter().map(|byte| byte ^ 2).collect());
        }
    }
}

#[test]
fn keys_that_make_no_lane_end_the_run_and_leave_nothing_behind() {
    let mut network = Network::new(Everyone::new(2, 2, |_| {}), 0);
    let (Job::Run(mut run), _) = network.everyone.run(0, 0, 2, network.world.checkpoint()) else { unreachable!() };
    run.terms.lanes[1][0] = sha256::Hash::hash(&BAD_KEYS);
    network.everyone.lane_keys.borrow_mut().insert(run.terms.lanes[1][0], BAD_KEYS.into());
    let request = network.everyone.consented(Job::Run(run));
    let sizes = [0, 1].map(|signer| network.disks[signer].bytes().len());
    // A leader that does not look.
    assert_eq!(fetched(&propose(&mut network, &request)).len(), 4);
    let keys = keys(&network, &request.0);
    for keys in &keys[..2] {
        process(&mut network, 1, Event::LaneKeys(keys.clone()));
    }
    let duties = process(&mut network, 1, Event::LaneKeys(keys[2].clone()));
    assert_eq!(
        refusal(&duties),
        Some("the lane of challenger 0 in slot 0/0/1: the key of the claim is not the slot's")
    );
    assert!(process(&mut network, 1, Event::Tip).is_empty());
    // One that does.
    network.request(request);
    network.settle();
    assert!(network.refused.iter().any(|(by, reason)| *by == LEADER && reason.contains("challenger 0 in slot 0/0/1")));
    for ((signer, disk), size) in network.signers.iter().zip(&network.disks).zip(sizes) {
        assert_eq!(signer.jobs().count(), 0);
        assert_eq!(disk.bytes().len(), size, "signer {}", signer.index());
    }
}

#[test]
fn an_operator_that_keeps_its_keys_holds_up_nobody() {
    let (mut network, _) = committee_with_vault(2);
    network.keys_withheld = true;
    let request = network.everyone.run(0, 10, 2, network.world.checkpoint());
    network.request(request.clone());
    let (bob, consents) = network.everyone.deposit("bob");
    network.world.pay(&bob);
    network.request((bob, consents));
    network.blocks(10);
    assert!(network.world.0.borrow().spends.contains_key(&outpoint("bob")), "the deposit is confirmed");
    let given_up = |network: &Network| network.refused.iter().any(|(_, reason)| reason.contains("do not come"));
    assert!(!given_up(&network));
    network.blocks(3);
    assert!(given_up(&network));
    // It may try again, and the run covers both vaults.
    network.keys_withheld = false;
    network.request(request);
    network.blocks(2);
    let second = |job: &Job| matches!(job, Job::Run(run) if run.terms.first_serial == 10 && run.vaults.len() == 2);
    assert_eq!(network.progress(second), [Some(Progress::Complete); 2]);
}

/// The leader withholds the last signatures of one lane: then nobody signs Reimburse for the run, in its own job or in a deposit's.
#[test]
fn reimburse_is_not_signed_for_a_run_whose_lanes_are_not_all_held() {
    let (mut network, _) = committee_with_vault(2);
    let request = network.everyone.run(0, 10, 2, network.world.checkpoint());
    let duties = network.hear(LEADER, Event::Requested { job: Box::new(request.0), consents: request.1 });
    let mut mail: Vec<(usize, Message)> = Vec::new();
    let sent = |duties: Vec<Duty>| {
        duties.into_iter().filter_map(|duty| match duty {
            Duty::Send { to, message } => Some((to, message)),
            _ => None,
        })
    };
    mail.extend(sent(duties));
    let (mut job, mut last) = (None, 0);
    let mut held = Vec::new();
    while !mail.is_empty() {
        let (to, message) = mail.remove(0);
        if let Message::Propose { job: proposed, .. } = &message {
            job = Some((**proposed).clone());
        }
        if let Message::Signatures { at, .. } = &message {
            held.push(*at);
            // The slots, the lane of slot 10: enough.
            if held.len() == 3 {
                last = *at;
                continue;
            }
        }
        let duties = network.hear(to, Event::Message { from: 1 - to, message });
        mail.extend(sent(duties).filter(|(_, message)| !matches!(message, Message::Propose { .. })));
    }
    let job = job.unwrap();
    assert_eq!(run_of(&job).vaults.len(), 1, "Reimburse is asked for");
    // Signer 1 says that it is still at the last lane, whatever the leader has. Its share of Reimburse is not to be had.
    let id = JobId::of(&network.everyone.bridge, &job);
    let position = |duties: Vec<Duty>| {
        sent(duties).find_map(|(_, message)| match message {
            Message::Nonces { job, at, nonces } if job == id => Some((at, nonces.len())),
            _ => None,
        })
    };
    assert_eq!(position(process(&mut network, 1, Event::Tip)), Some((last, 2)));
    let nonces = vec![trestle_signer::session::Offer::Nonce(musig2::AggNonce::sum::<musig2::PubNonce, _>([])); 6];
    let ahead = Message::AggregateNonces { job: id, at: last + 2, nonces };
    assert!(sent(process(&mut network, 1, Event::Message { from: LEADER, message: ahead })).next().is_none());
    assert!(network.signers[1].jobs().any(|(known, _, progress)| *known == id && progress == Progress::Open));
    // A deposit that names a slot of the run.
    let (Job::Deposit(mut deposit), _) = network.everyone.deposit("bob") else { unreachable!() };
    network.world.pay(&Job::Deposit(deposit.clone()));
    (0..6).for_each(|_| network.world.mine());
    let slot = |operator, serial| trestle_rollup::SlotId { operator, denomination: 0, serial };
    deposit.slots = vec![slot(0, 0), slot(0, 1), slot(1, 0), slot(1, 1), slot(0, 10)];
    let job = Job::Deposit(deposit);
    let consents = vec![trestle_signer::consent::sign(&network.everyone.bridge, &job, &support::members::key("bob"))];
    let duties = propose(&mut network, &(job, consents));
    assert_eq!(refusal(&duties), Some("slot 0/0/10 is of no run whose signatures are held"));
}

#[test]
fn everybody_gets_the_lanes_that_concern_it() {
    let mut network = Network::new(Everyone::new(2, 3, |_| {}), 0);
    let request = network.everyone.run(0, 0, 2, network.world.checkpoint());
    network.request(request);
    network.settle();
    let places = |to| -> Vec<LanePlace> {
        let delivery = network.delivered.iter().find(|(receiver, _)| *receiver == to).map(|(_, delivery)| delivery);
        delivery.unwrap().lanes.iter().map(|lane| lane.at).collect()
    };
    assert_eq!(places(Receiver::Operator(0)).len(), 6);
    for challenger in 0..3u16 {
        let expected = [0, 1].map(|slot| LanePlace { slot, challenger });
        assert_eq!(places(Receiver::Challenger(usize::from(challenger))), expected);
    }
}

/// With lanes as they are: what is delivered completes the lane's transactions, and bad keys are found.
#[test]
fn a_run_is_signed_with_its_real_lane() {
    let mut everyone = Everyone::new(2, 1, |_| {});
    everyone.lanes = Arc::new(Lanes);
    let mut network = Network::new(everyone, 0);
    let request = network.everyone.run(0, 0, 1, network.world.checkpoint());
    let terms = run_of(&request.0).terms.clone();
    let lane_keys = keys(&network, &request.0).remove(0);
    network.request(request);
    network.settle();
    assert_eq!(network.refused, []);
    let delivery = &network.delivered.iter().find(|(to, _)| *to == Receiver::Challenger(0)).unwrap().1;
    let bridge = &network.everyone.bridge;
    let graph = trestle_bridge::transactions::RunGraph::build(bridge, terms.clone()).unwrap();
    let (_, lane) = graph.lane(bridge, LanePlace { slot: 0, challenger: 0 }, &lane_keys).unwrap();
    let signatures = &delivery.lanes[0].signatures;
    assert_eq!(signatures.len(), lane.signature_count());
    let mut ends = 0;
    for ((what, _), (presigned, own)) in lane.transactions().zip(deal(lane.presigned(), signatures).unwrap()) {
        if matches!(what, LaneTx::Slash(_) | LaneTx::OperatorWins(_)) {
            presigned.complete(own, Reveal::Nothing).unwrap();
            ends += 1;
        }
    }
    assert!(ends > 50);

    // Two digits of a message with one chain.
    let mut related = lane_keys;
    related.copy_within(4_000..4_020, 4_020);
    let (Job::Run(mut run), _) = network.everyone.run(0, 5, 1, network.world.checkpoint()) else { unreachable!() };
    run.terms.claim_keys = terms.claim_keys;
    run.terms.lanes[0][0] = sha256::Hash::hash(&related);
    network.everyone.lane_keys.borrow_mut().insert(run.terms.lanes[0][0], related);
    let request = network.everyone.consented(Job::Run(run));
    let duties = network.hear(
        1,
        Event::Message {
            from: LEADER,
            message: Message::Propose { job: Box::new(request.0), at: 0, consents: request.1 },
        },
    );
    assert!(refusal(&duties).is_some_and(|reason| reason.contains("on the chain of")), "{duties:?}");
}
