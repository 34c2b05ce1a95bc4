//! A cooperative payout is mined in the committee's time or never: the ticket is burned.

mod support;

use bitcoin::{Amount, Transaction};
use support::network::{Chaos, Network, QUIET, STORM, committee_with_vault};
use trestle_bridge::job::{Job, RunJob};
use trestle_bridge::transactions::{CooperativeTerms, Vault};
use trestle_rollup::WithdrawalId;
use trestle_signer::{Duty, Event, JobId, Message, Progress};

/// The committee's window, in blocks since the request, and from which tip on it is too late to sign.
const WINDOW: u32 = 16;
const LATE: u32 = 11;

/// What a signer broadcasts at this tip.
fn broadcasts(network: &mut Network, signer: usize) -> Vec<(String, Transaction)> {
    let duties = network.signers[signer].process(Event::Tip, &network.world.view(0)).unwrap();
    let of = |duty| match duty {
        Duty::Broadcast { what, transaction } => Some((what, transaction)),
        _ => None,
    };
    duties.into_iter().filter_map(of).collect()
}

fn names(broadcasts: &[(String, Transaction)]) -> Vec<&str> {
    broadcasts.iter().map(|(what, _)| what.as_str()).collect()
}

/// A payout that everybody has signed 6 blocks after it was requested, and the network has forgotten.
fn signed() -> (Network, Vault) {
    let (mut network, vault) = committee_with_vault(3);
    network.world.withdraw(0);
    network.blocks(6);
    network.world.lose_mempool();
    assert_eq!(network.progress(|job| matches!(job, Job::Cooperative(_))), [Some(Progress::Complete); 3]);
    (network, vault)
}

#[test]
fn a_payout_is_broadcast_while_there_is_time_and_then_its_ticket_is_burned() {
    type Row = (&'static str, u32, fn(&mut Network, Vault), &'static [&'static str]);
    let rows: &[Row] = &[
        ("just signed", 6, |_, _| {}, &["cooperative payout"]),
        ("the last block in time", LATE - 1, |_, _| {}, &["cooperative payout"]),
        ("late", LATE, |_, _| {}, &["Burn"]),
        ("the window is over", WINDOW, |_, _| {}, &["Burn"]),
        ("long over", 60, |_, _| {}, &["Burn"]),
        (
            "an operator has paid",
            30,
            |network, _| network.world.0.borrow_mut().withdrawals.get_mut(&0).unwrap().paid = true,
            &["Burn"],
        ),
        (
            "the request is in no block any more",
            LATE,
            |network, _| network.world.0.borrow_mut().withdrawals.clear(),
            &["Burn"],
        ),
        (
            "mined",
            LATE,
            |network, vault| {
                [vault.outpoint, vault.ticket()].map(|spent| network.world.spend(spent)).into_iter().collect()
            },
            &[],
        ),
        ("an operator was reimbursed from the vault", LATE, |network, vault| network.world.spend(vault.outpoint), &[]),
        ("burned", LATE, |network, vault| network.world.spend(vault.ticket()), &[]),
        ("burned by somebody in time", 8, |network, vault| network.world.spend(vault.ticket()), &[]),
        (
            "burned in a block that is disconnected",
            LATE,
            |network, vault| {
                network.world.spend(vault.ticket());
                assert_eq!(names(&broadcasts(network, 1)), [] as [&str; 0]);
                network.world.0.borrow_mut().spends.remove(&vault.ticket());
            },
            &["Burn"],
        ),
    ];
    for (name, blocks, change, expected) in rows {
        let (mut network, vault) = signed();
        network.world.0.borrow_mut().tip += blocks - 6;
        change(&mut network, vault);
        let got = broadcasts(&mut network, 1);
        assert_eq!(names(&got), *expected, "{name}");
        network.restart(1);
        assert_eq!(broadcasts(&mut network, 1), got, "{name}: the same again, after a restart too");
    }
}

#[test]
fn a_signer_that_signed_nothing_of_a_payout_burns_nothing() {
    let (mut network, vault) = committee_with_vault(3);
    network.world.withdraw(0);
    (0..6).for_each(|_| network.world.mine());
    let destination = network.world.0.borrow().withdrawals[&0].destination.script_pubkey();
    let terms = CooperativeTerms { withdrawal: WithdrawalId(0), vault, destination, fee: Amount::from_sat(1_000) };
    let message = Message::Propose { job: Box::new(Job::Cooperative(terms)), at: 0, consents: Vec::new() };
    network.signers[1].process(Event::Message { from: 0, message }, &network.world.view(0)).unwrap();
    assert_eq!(network.progress(|job| matches!(job, Job::Cooperative(_)))[1], Some(Progress::Open));
    network.world.0.borrow_mut().tip += LATE;
    assert_eq!(broadcasts(&mut network, 1), []);
    assert_eq!(network.progress(|job| matches!(job, Job::Cooperative(_)))[1], None, "it is dropped");
}

/// All signers but `honest` keep the payout to themselves until `release` blocks after the request; from then on they offer it to
/// every block.
fn theft(signers: usize, honest: usize, release: u32, chaos: Chaos) {
    let case = format!("{signers} signers, {honest} honest, released after {release}");
    let (mut network, vault) = committee_with_vault(signers);
    network.thieves = (0..signers).filter(|signer| *signer != honest).collect();
    let requested = network.world.tip();
    network.world.withdraw(0);
    for block in 1..=WINDOW + 20 {
        if block > 7 {
            network.chaos = chaos;
        }
        if block >= release {
            network.withheld.clone().iter().for_each(|payout| network.world.broadcast(payout));
        }
        if block == LATE + 1 {
            network.restart(honest);
        }
        network.block();
    }
    network.chaos = QUIET;
    assert!(!network.withheld.is_empty(), "{case}: the payout was complete");
    let end = requested + WINDOW;
    let spend = |outpoint| network.world.0.borrow().spends.get(&outpoint).copied();
    let ticket = spend(vault.ticket()).unwrap_or_else(|| panic!("{case}: the ticket is unspent"));
    assert!(ticket.height < end, "{case}: spent at {} of {end}", ticket.height);
    if network.world.0.borrow().withdrawals[&0].paid {
        assert_eq!(spend(vault.outpoint), Some(ticket), "{case}: paid in time");
        assert!(release < WINDOW, "{case}");
        return;
    }
    assert_eq!(spend(vault.outpoint), None, "{case}: the vault is there");
    // It is over, and the vault is one like every other, but for cooperative payouts.
    let payouts = |job: &Job| matches!(job, Job::Cooperative(_));
    network.block();
    assert_eq!(network.progress(payouts)[honest], Some(Progress::Ended), "{case}");
    assert_eq!(network.signers[honest].standing(0, &network.world.view(0)).unwrap().vaults, 1, "{case}");
    let before = network.signers[0].jobs().filter(|(_, job, _)| payouts(job)).count();
    network.world.withdraw(1);
    network.blocks(WINDOW);
    assert_eq!(network.signers[0].jobs().filter(|(_, job, _)| payouts(job)).count(), before, "{case}: offered again");
    covered(&mut network, honest, vault);
}

/// A new run has to cover the vault.
fn covered(network: &mut Network, signer: usize, vault: Vault) {
    let checkpoint = network.world.checkpoint();
    for (vaults, good) in [(vec![], false), (vec![vault], true)] {
        let (Job::Run(run), _) = network.everyone.run(0, 10, 2, checkpoint) else { unreachable!() };
        let (job, consents) = network.everyone.consented(Job::Run(RunJob { vaults, ..run }));
        let id = JobId::of(&network.everyone.bridge, &job);
        let message = Message::Propose { job: Box::new(job), at: 0, consents };
        let duties = network.hear(signer, Event::Message { from: 0, message });
        let nonces =
            |duty: &Duty| matches!(duty, Duty::Send { message: Message::Nonces { job, .. }, .. } if *job == id);
        assert_eq!(duties.iter().any(nonces), good);
    }
}

#[test]
fn a_payout_that_all_signers_but_one_withhold_is_never_mined_after_the_window() {
    for release in [8, LATE, LATE + 1, LATE + 2, WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + 8] {
        theft(2, 1, release, QUIET);
        theft(3, 1, release, QUIET);
        theft(3, 2, release, QUIET);
    }
}

#[test]
fn a_withheld_payout_is_never_mined_after_the_window_in_a_storm() {
    for release in 8..WINDOW + 10 {
        theft(3, 1 + release as usize % 2, release, STORM);
    }
}
