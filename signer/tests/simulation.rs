//! Whole committees at work on a bad network, on disks that lose power, from one seed.

mod support;

use std::collections::BTreeSet;

use bitcoin::OutPoint;
use support::members::{Everyone, outpoint};
use support::network::{Network, QUIET, STORM};
use trestle_bridge::job::Job;
use trestle_bridge::transactions::{Reveal, RunGraph, deal};
use trestle_rollup::WithdrawalId;
use trestle_signer::{Progress, Receiver};

fn everyone(signers: usize) -> Everyone {
    // Windows that are long enough to see a storm out.
    Everyone::new(signers, 2, |parameters| {
        parameters.cooperative_window = 400;
        parameters.refund_delay = 400.into();
    })
}

fn deposit_of(name: &str) -> impl Fn(&Job) -> bool {
    let wanted = outpoint(name);
    move |job| matches!(job, Job::Deposit(deposit) if deposit.terms.outpoint == wanted)
}

fn run_of(operator: u8) -> impl Fn(&Job) -> bool {
    move |job| matches!(job, Job::Run(run) if run.terms.operator == operator)
}

fn payout_of(id: u32) -> impl Fn(&Job) -> bool {
    move |job| matches!(job, Job::Cooperative(terms) if terms.withdrawal == WithdrawalId(id))
}

fn all(progress: Vec<Option<Progress>>) -> bool {
    progress.iter().all(|progress| *progress >= Some(Progress::Complete))
}

/// Two runs, three deposits and a withdrawal, in a storm that passes. Returns the network for a closer look.
fn story(signers: usize, seed: u64) -> Network {
    let mut network = Network::new(everyone(signers), seed);
    let slots = 3;
    let checkpoint = network.world.checkpoint();
    let runs = [network.everyone.run(0, 0, slots, checkpoint), network.everyone.run(1, 0, slots, checkpoint)];
    let deposits = ["alice", "bob", "carol"].map(|name| network.everyone.deposit(name));
    network.chaos = STORM;
    let mut blocks = 0;
    let mut withdrawn = false;
    loop {
        if blocks == 20 {
            network.chaos = QUIET;
        }
        assert!(blocks < 100, "seed {seed}: still not done. refused {:?}", network.refused.last());
        // Everybody asks until it has happened: operators at once, the third deposit when two are done.
        for (operator, run) in runs.iter().enumerate() {
            if !all(network.progress(run_of(operator as u8))) && blocks % 3 == 0 {
                network.request(run.clone());
            }
            network.ask_for(run);
        }
        for (index, deposit) in deposits.iter().enumerate() {
            if blocks >= 4 * index as u32 {
                network.world.pay(&deposit.0);
                network.request(deposit.clone());
            }
        }
        network.block();
        blocks += 1;
        // Whichever vault comes first: the runway has room for two, so that the third deposit waits for the payout.
        if !withdrawn && ["alice", "bob", "carol"].iter().any(|name| all(network.progress(deposit_of(name)))) {
            network.world.withdraw(0);
            withdrawn = true;
        }
        let paid = network.world.0.borrow().withdrawals.get(&0).is_some_and(|withdrawal| withdrawal.paid);
        let confirmed = |name: &&str| network.world.0.borrow().spends.contains_key(&outpoint(name));
        let deposited = |name: &&str| confirmed(name) && all(network.progress(deposit_of(name)));
        let ran = (0..2).all(|operator| all(network.progress(run_of(operator))));
        if ran
            && ["alice", "bob", "carol"].iter().all(deposited)
            && paid
            && all(network.progress(payout_of(0)))
            && blocks > 20
        {
            return network;
        }
    }
}

/// What has to be true when all is done.
fn check(network: &mut Network) {
    let bridge = network.everyone.bridge.clone();
    let unspent: BTreeSet<OutPoint> = {
        let chain = network.world.0.borrow();
        let vaults = ["alice", "bob", "carol"].map(|name| OutPoint::new(chain.spends[&outpoint(name)].txid, 0));
        vaults.into_iter().filter(|vault| !chain.spends.contains_key(vault)).collect()
    };
    assert_eq!(unspent.len(), 2);
    // Every operator and challenger holds what completes its transactions.
    for operator in 0..2u8 {
        let graph = |job: &Job| match job {
            Job::Run(run) if run.terms.operator == operator => {
                Some(RunGraph::build(&bridge, run.terms.clone()).unwrap())
            }
            _ => None,
        };
        let (delivery, graph) = network
            .delivered
            .iter()
            .find_map(|(_, delivery)| graph(&delivery.job).map(|graph| (delivery, graph)))
            .unwrap();
        let Job::Run(run) = &delivery.job else { unreachable!() };
        let requests = delivery.job.stage(&bridge, &[], 0, &[]).unwrap();
        assert_eq!(requests.len(), delivery.signatures[0].len());
        let own = &delivery.signatures[0][..graph.requests().len()];
        for (presigned, signatures) in deal(graph.presigned(), own).unwrap() {
            // These are completed by their owners.
            let result = presigned.complete(signatures, Reveal::Nothing);
            let needs_reveal =
                ["Claim", "Contest", "RetireChallenger"].iter().any(|kind| presigned.name.starts_with(kind));
            assert!(result.is_ok() || needs_reveal, "{}: {result:?}", presigned.name);
        }
        let run_bond = run.terms.bond;
        for signer in &mut network.signers {
            let held = signer.signatures_for(&run_bond).unwrap();
            assert!(held.iter().any(|delivery| matches!(delivery.job, Job::Run(_))));
            let vaults: BTreeSet<_> = held
                .iter()
                .flat_map(|delivery| match &delivery.job {
                    Job::Run(run) => run.vaults.iter().map(|vault| vault.outpoint).collect(),
                    Job::Deposit(deposit) => {
                        vec![deposit.terms.vault(&bridge, &delivery.signatures[0][0]).unwrap().outpoint]
                    }
                    _ => Vec::new(),
                })
                .collect();
            assert!(vaults.is_superset(&unspent), "every vault is covered by every run");
        }
    }
    let got = |to| {
        network.delivered.iter().any(|(receiver, delivery)| *receiver == to && matches!(delivery.job, Job::Run(_)))
    };
    assert!(got(Receiver::Challenger(0)) && got(Receiver::Challenger(1)));
    assert_eq!(network.suspects, [], "nobody cheated");
}

fn storms(signers: usize, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut network = story(signers, seed);
        check(&mut network);
    }
}

#[test]
fn every_job_completes_and_nothing_is_signed_twice_in_any_storm_1() {
    storms(3, 0..60);
}

#[test]
fn every_job_completes_and_nothing_is_signed_twice_in_any_storm_2() {
    storms(3, 60..120);
}

#[test]
fn every_job_completes_and_nothing_is_signed_twice_in_any_storm_of_two_signers() {
    storms(2, 1000..1060);
}

#[test]
fn every_job_completes_and_nothing_is_signed_twice_in_any_storm_of_five_signers() {
    storms(5, 2000..2010);
}

#[test]
fn a_committee_of_one_signs_by_itself() {
    storms(1, 3000..3010);
}

/// `STORMS=5000..6000 cargo test -p trestle-signer --test simulation -- --ignored` looks further.
#[test]
#[ignore = "takes as long as it is given"]
fn every_job_completes_in_storms_of_your_choice() {
    let range = std::env::var("STORMS").expect("STORMS is a range of seeds such as 5000..6000");
    let (from, to) = range.split_once("..").expect("two numbers with .. between");
    storms(3, from.parse().unwrap()..to.parse().unwrap());
}
