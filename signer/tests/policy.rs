//! What a signer refuses: a row a rule.

mod support;

use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{Amount, FeeRate, ScriptBuf};
use support::members::{key, outpoint};
use support::network::{Network, committee, committee_with_vault};
use trestle_bridge::job::{AdminTerms, Job, RunJob};
use trestle_bridge::transactions::{CooperativeTerms, Vault};
use trestle_rollup::{AdminOperation, Fulfilment, SlotId, WithdrawalId};
use trestle_signer::{Duty, Event, JobId, Message, consent};

/// What signer 1 says to a proposal of the leader: `Ok` if it sends its nonces.
fn propose(network: &mut Network, job: Job, consents: Vec<Signature>) -> Result<(), String> {
    let id = JobId::of(&network.everyone.bridge, &job);
    let message = Message::Propose { job: Box::new(job), at: 0, consents };
    let duties = network.hear(1, Event::Message { from: 0, message });
    let answer = duties.iter().find_map(|duty| match duty {
        Duty::Send { to: 0, message: Message::Nonces { job, .. } } if *job == id => Some(Ok(())),
        Duty::Send { to: 0, message: Message::Refuse { job, reason } } if *job == id => Some(Err(reason.clone())),
        _ => None,
    });
    answer.expect("a proposal is answered")
}

#[track_caller]
fn refused(answer: Result<(), String>, why: &str) {
    match answer {
        Err(reason) => assert!(reason.contains(why), "refused, but because {reason}"),
        Ok(()) => panic!("not refused: {why}"),
    }
}

#[test]
fn a_deposit_is_signed_only_as_the_chain_and_its_user_say() {
    type Row = (&'static str, u32, fn(&mut Network, &mut trestle_bridge::job::DepositJob), &'static str);
    let rows: &[Row] = &[
        ("good", 6, |_, _| {}, ""),
        ("one block short of K", 5, |_, _| {}, "not 6 deep"),
        ("deep enough for the refund not to race", 53, |_, _| {}, ""),
        ("refund in sight", 54, |_, _| {}, "refund"),
        ("no such output", 6, |_, job| job.terms.outpoint.vout = 1, "not on the chain"),
        ("wrong amount", 6, |_, job| job.terms.denomination = 1, "not on the chain"),
        ("no such denomination", 6, |_, job| job.terms.denomination = 9, "denomination"),
        (
            "somebody else's refund key",
            6,
            |_, job| job.terms.refund_key = key("mallory").x_only_public_key().0,
            "consent",
        ),
        ("somebody else's account", 6, |_, job| job.terms.account.0 = [5; 32], "consent"),
        ("spent", 6, |network, job| network.world.spend(job.terms.outpoint), "is spent"),
        ("a slot missing", 6, |_, job| job.slots.truncate(3), "not covered"),
        ("a slot twice", 6, |_, job| job.slots.push(job.slots[0]), "twice"),
        ("an unknown slot", 6, |_, job| job.slots.push(SlotId { operator: 0, denomination: 0, serial: 9 }), "no run"),
        (
            "no bond on the chain",
            6,
            |network, _| network.world.0.borrow_mut().outputs.retain(|at, _| *at != outpoint("run 0 0 bond")),
            "runway",
        ),
    ];
    for (name, blocks, change, why) in rows {
        let mut network = committee(3);
        let (job, consents) = network.everyone.deposit("alice");
        network.world.pay(&job);
        network.blocks(*blocks);
        let Job::Deposit(mut deposit) = job else { unreachable!() };
        let serial = |operator, serial| SlotId { operator, denomination: 0, serial };
        deposit.slots = vec![serial(0, 0), serial(0, 1), serial(1, 0), serial(1, 1)];
        // The user's consent is to the terms as they were, or to wrong ones: then the chain must tell.
        let before = deposit.terms;
        change(&mut network, &mut deposit);
        let own = deposit.terms.refund_key == before.refund_key && deposit.terms.account == before.account;
        let job = Job::Deposit(deposit);
        let consents = if own { vec![consent::sign(&network.everyone.bridge, &job, &key("alice"))] } else { consents };
        let answer = propose(&mut network, job, consents);
        match *why {
            "" => assert_eq!(answer, Ok(()), "{name}"),
            why => refused(answer, why),
        }
    }
}

#[test]
fn a_run_is_signed_only_with_a_true_checkpoint_new_slots_and_every_vault() {
    type Row = (&'static str, fn(&mut Network, &mut RunJob), &'static str);
    let rows: &[Row] = &[
        ("good", |_, _| {}, ""),
        ("checkpoint not deep", |network, job| job.terms.checkpoint.height = network.world.tip() - 5, "checkpoint"),
        ("checkpoint of another chain", |_, job| job.terms.checkpoint.entry = [1; 32], "checkpoint"),
        ("the target of another block", |_, job| job.terms.target[27] = 0xfe, "target"),
        ("no target", |_, job| job.terms.target = [0xff; 32], "target"),
        ("a lane missing", |_, job| job.terms.lanes[1].clear(), "lanes of a slot"),
        ("a slot without lanes", |_, job| drop(job.terms.lanes.pop()), "rows of lanes"),
        ("the keys of a lane twice", |_, job| job.terms.lanes[1][0] = job.terms.lanes[0][0], "used before"),
        ("a choice without a key", |_, job| job.terms.challengers[0].choice_keys[1].truncate(33), "choice keys"),
        ("an option too many", |_, job| job.terms.challengers[0].choice_keys[1][0].0.push([7; 20]), "options"),
        ("serials of an earlier run", |_, job| job.terms.first_serial = 1, "used"),
        (
            "a slot that the Layer 2 has seen",
            |network, _| {
                let slot = SlotId { operator: 0, denomination: 0, serial: 11 };
                network.world.0.borrow_mut().slots.insert(slot, Fulfilment { height: 5, withdrawal: WithdrawalId(0) });
            },
            "0/0/11 was used",
        ),
        ("another run's bond", |_, job| job.terms.bond = outpoint("run 0 0 bond"), "bond of another run"),
        ("a spent bond", |network, job| network.world.spend(job.terms.bond), "is spent"),
        (
            "a challenger's bond of another run",
            |_, job| job.terms.challengers[0].bond = outpoint("run 1 0 bond of challenger 0"),
            "another run",
        ),
        ("no challenger", |_, job| job.terms.challengers.clear(), "challengers"),
        ("a claim key twice", |_, job| job.terms.claim_keys[1] = job.terms.claim_keys[0].clone(), "used before"),
        ("no such operator", |_, job| job.terms.operator = 7, "consents"),
        ("a vault missing", |_, job| job.vaults.clear(), "not covered"),
        ("a vault twice", |_, job| job.vaults.push(job.vaults[0]), "twice"),
        (
            "an unknown vault",
            |_, job| job.vaults.push(Vault { outpoint: outpoint("nothing"), denomination: 0 }),
            "no vault",
        ),
    ];
    for (name, change, why) in rows {
        let (mut network, vault) = committee_with_vault(3);
        let checkpoint = network.world.checkpoint();
        let (Job::Run(mut run), _) = network.everyone.run(0, 10, 2, checkpoint) else { unreachable!() };
        run.vaults.push(vault);
        change(&mut network, &mut run);
        let (job, consents) = match run.terms.operator {
            0 => network.everyone.consented(Job::Run(run)),
            _ => (Job::Run(run), vec![]),
        };
        let consents = if *name == "no such operator" { vec![] } else { consents };
        let answer = propose(&mut network, job, consents);
        match *why {
            "" => assert_eq!(answer, Ok(()), "{name}"),
            why => refused(answer, why),
        }
    }
    // What a challenger did not agree to could not be contested by it.
    let (mut network, vault) = committee_with_vault(3);
    let (Job::Run(mut run), consents) = network.everyone.run(0, 10, 2, network.world.checkpoint()) else {
        unreachable!()
    };
    run.vaults.push(vault);
    run.terms.challengers[0].contest_hashes.swap(0, 1);
    refused(propose(&mut network, Job::Run(run), consents), "consent");
}

#[test]
fn a_withdrawal_is_paid_only_in_time_once_and_from_one_vault() {
    type Row = (&'static str, u32, fn(&mut Network, &mut CooperativeTerms), &'static str);
    let rows: &[Row] = &[
        ("good", 6, |_, _| {}, ""),
        ("requested too recently", 5, |_, _| {}, "too recently"),
        ("the last block in time", 10, |_, _| {}, ""),
        ("the window may close", 11, |_, _| {}, "may not be the committee's"),
        ("an operator's already", 20, |_, _| {}, "may not be the committee's"),
        ("unknown", 6, |_, terms| terms.withdrawal = WithdrawalId(9), "not pending"),
        (
            "paid",
            6,
            |network, _| network.world.0.borrow_mut().withdrawals.get_mut(&0).unwrap().paid = true,
            "not pending",
        ),
        ("another script", 6, |_, terms| terms.destination = ScriptBuf::new(), "not pending"),
        ("another denomination", 6, |_, terms| terms.vault.denomination = 1, "not pending"),
        ("an unknown vault", 6, |_, terms| terms.vault.outpoint = outpoint("nothing"), "no vault"),
        ("a spent vault", 6, |network, terms| network.world.spend(terms.vault.outpoint), "is spent"),
        ("a burned ticket", 6, |network, terms| network.world.spend(terms.vault.ticket()), "is spent"),
        ("more than the parameters' fee", 6, |_, terms| terms.fee = Amount::from_sat(10_001), "needs"),
        (
            "too small a fee",
            6,
            |network, _| network.world.0.borrow_mut().fee_rate = FeeRate::from_sat_per_vb_u32(30),
            "fee",
        ),
    ];
    for (name, blocks, change, why) in rows {
        let (mut network, vault) = committee_with_vault(3);
        network.world.withdraw(0);
        // Nobody else acts: the leader would propose this payout by itself.
        (0..*blocks).for_each(|_| network.world.mine());
        let destination = network.world.0.borrow().withdrawals[&0].destination.script_pubkey();
        let mut terms =
            CooperativeTerms { withdrawal: WithdrawalId(0), vault, destination, fee: Amount::from_sat(1_000) };
        change(&mut network, &mut terms);
        let answer = propose(&mut network, Job::Cooperative(terms), Vec::new());
        match *why {
            "" => assert_eq!(answer, Ok(()), "{name}"),
            why => refused(answer, why),
        }
    }
}

#[test]
fn a_payout_that_was_signed_binds_its_vault_and_is_replaced_from_it_when_fees_rise() {
    let (mut network, vault) = committee_with_vault(3);
    let (bob, consents) = network.everyone.deposit("bob");
    network.world.pay(&bob);
    network.request((bob, consents));
    network.blocks(10);
    network.world.withdraw(0);
    (0..6).for_each(|_| network.world.mine());
    network.block();
    let payouts = |network: &Network| -> Vec<CooperativeTerms> {
        let of = |job: &Job| match job {
            Job::Cooperative(terms) => Some(terms.clone()),
            _ => None,
        };
        network.signers[1].jobs().filter_map(|(_, job, _)| of(job)).collect()
    };
    let first = payouts(&network);
    assert_eq!(first.len(), 1);
    network.world.0.borrow_mut().fee_rate = FeeRate::from_sat_per_vb_u32(10);
    for signer in 0..3 {
        network.give(signer, Event::Tip);
    }
    network.settle();
    let both = payouts(&network);
    assert_eq!(both.len(), 2, "a replacement is signed: {:?}", network.refused);
    assert_eq!(both[0].vault, both[1].vault);
    assert_ne!(both[0].fee, both[1].fee);
    // Another vault for this withdrawal, or another withdrawal from this vault, is refused.
    let other = network.world.0.borrow().spends[&outpoint("bob")].txid;
    let other = Vault { outpoint: bitcoin::OutPoint::new(other, 0), denomination: 0 };
    let promised = first[0].vault;
    let free = if promised == vault { other } else { vault };
    let terms = CooperativeTerms { vault: free, fee: Amount::from_sat(5_000), ..first[0].clone() };
    refused(propose(&mut network, Job::Cooperative(terms), Vec::new()), "promised");
    network.world.withdraw(1);
    (0..6).for_each(|_| network.world.0.borrow_mut().tip += 1);
    let destination = network.world.0.borrow().withdrawals[&1].destination.script_pubkey();
    let terms =
        CooperativeTerms { withdrawal: WithdrawalId(1), vault: promised, destination, fee: Amount::from_sat(5_000) };
    refused(propose(&mut network, Job::Cooperative(terms), Vec::new()), "promised");
}

#[test]
fn an_administrative_change_needs_a_person_at_every_signer() {
    let mut network = committee(3);
    let operation = AdminOperation::SetOperator { index: 2, key: [3; 32] };
    let job = Job::Admin(AdminTerms { outpoint: outpoint("somebody's coin"), operation });
    refused(propose(&mut network, job.clone(), Vec::new()), "approved");
    let complete = |network: &Network| {
        let progress = network.progress(|job| matches!(job, Job::Admin(_)));
        progress.iter().filter(|progress| **progress == Some(trestle_signer::Progress::Complete)).count()
    };
    for signer in 0..3 {
        assert_eq!(complete(&network), 0);
        network.give(signer, Event::Requested { job: Box::new(job.clone()), consents: Vec::new() });
        network.block();
        network.restart(signer);
    }
    network.blocks(2);
    assert_eq!(complete(&network), 3);
}
