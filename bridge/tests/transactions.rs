//! Sizes, values and shapes of every transaction. What Bitcoin Core says of them is in tests/tests/transactions.rs.
#![allow(clippy::type_complexity, reason = "the rows of tables")]

mod members;

use bitcoin::{Amount, FeeRate, ScriptBuf, Transaction, TxOut};
use members::{Secrets, key, outpoint, sign, verifies};
use trestle_bridge::connector::{OperatorConnector, anchor, sign_key_path};
use trestle_bridge::job::{DepositJob, Job, JobError, OpenSlots, RunJob, Signed, runway};
use trestle_bridge::transactions::claim::Statement;
use trestle_bridge::transactions::refund::refund;
use trestle_bridge::transactions::{
    BuildError, Burn, CompleteError, CooperativeTerms, DepositTerms, FinalizeKind, Presigned, Reveal, RunError,
    RunGraph, TxKind, Vault, challenger_bond, contest, cooperative, deal, payout, reimburse,
};
use trestle_rollup::{Account, SlotId, WithdrawalId};

const SLOT: SlotId = SlotId { operator: 0, denomination: 0, serial: 0 };

fn secrets() -> Secrets {
    Secrets::new(3, 3, |_| {})
}

fn destination() -> ScriptBuf {
    OperatorConnector(key("destination").x_only_public_key().0).script_pubkey()
}

fn deposit(s: &Secrets) -> DepositTerms {
    let refund_key = s.user.x_only_public_key().0;
    DepositTerms { outpoint: outpoint("deposit"), denomination: 0, account: Account([3; 32]), refund_key }
}

/// Worst case: the digits of N and of the prefix are those with the longest witness.
fn longest_statement() -> Statement {
    Statement { n: 0x7776, block_prefix: [0x77; 4] }
}

/// Every pre-signed transaction of one slot, one vault and one deposit, complete.
fn complete(s: &Secrets) -> Vec<(Presigned, Transaction)> {
    let bridge = &s.bridge;
    let graph = RunGraph::build(bridge, s.made_up_run(2)).unwrap();
    let slot = &graph.slots[0];
    let mut all = Vec::new();
    let mut add = |presigned: &Presigned, reveal: Reveal| {
        let tx = presigned.complete(&s.sign_all(&presigned.requests()), reveal).unwrap();
        assert_eq!(tx.compute_txid(), presigned.txid());
        all.push((presigned.clone(), tx));
    };
    let mint = s.sign(&deposit(s).mint_request(bridge).unwrap());
    add(&deposit(s).confirm(bridge, &mint).unwrap(), Reveal::Nothing);
    add(&slot.claim, Reveal::Claim(&s.claim(SLOT, longest_statement())));
    let last = s.challengers.len() - 1; // whose leaf is the deepest
    let (secret, _) = contest::secret(bridge, &s.challenger_seed(last), last as u16, SLOT);
    add(&slot.contest, Reveal::Contest(last, &secret));
    for one in [&slot.finalize_fast, &slot.finalize_unentered, &slot.finalize_slow, &slot.retire] {
        add(one, Reveal::Nothing);
    }
    let (retire, entry) = (&graph.challenger_retires[0], &bridge.entries[0]);
    let own = challenger_bond::sign_retire(retire, entry, &s.challengers[0]);
    add(retire, Reveal::Leaf(0, entry.challenger_leaf(), [&[], &[own]]));
    let vault = deposit(s).vault(bridge, &mint).unwrap();
    let presigned = reimburse(bridge, &vault, slot, FinalizeKind::Fast).unwrap();
    add(&presigned, Reveal::Party(&sign_key_path(&s.operators[0], presigned.party_message().unwrap())));
    let terms = CooperativeTerms {
        withdrawal: WithdrawalId(7),
        vault,
        destination: destination(),
        fee: Amount::from_sat(1_000),
    };
    add(&terms.build(bridge).unwrap(), Reveal::Nothing);
    all
}

fn vsize(all: &[(Presigned, Transaction)], kind: TxKind) -> usize {
    all.iter().find(|(presigned, _)| presigned.kind == kind).unwrap().1.vsize()
}

/// A payout as a wallet makes it: one Taproot input, the outputs, change.
fn payout_tx(s: &Secrets) -> Transaction {
    let script = destination();
    let mut tx = complete(s).pop().unwrap().1;
    tx.input.truncate(1);
    tx.output = payout::outputs(&s.bridge, WithdrawalId(7), script.clone(), SLOT).unwrap().into();
    tx.output.push(TxOut { value: Amount::from_sat(5_000), script_pubkey: script });
    tx
}

#[test]
fn every_vsize_is_pinned() {
    let s = secrets();
    let sizes: Vec<_> = complete(&s).iter().map(|(presigned, tx)| (presigned.kind, tx.vsize())).collect();
    let expected = [
        (TxKind::Confirm, 306),
        (TxKind::Claim, 457),
        (TxKind::Contest, 301),
        (TxKind::FinalizeFast, 167),
        (TxKind::FinalizeUnentered, 383),
        (TxKind::FinalizeSlow, 167),
        (TxKind::Retire, 124),
        (TxKind::RetireChallenger, 166),
        (TxKind::Reimburse, 169),
        (TxKind::Cooperative, 202),
    ];
    assert_eq!(sizes, expected);
    assert_eq!(payout_tx(&s).vsize(), 180);
    let refund = refund(&s.bridge, &deposit(&s), destination(), FeeRate::BROADCAST_MIN).unwrap();
    let signature = sign(&s.user, refund.message());
    assert_eq!(refund.complete(&signature).vsize(), 137);
}

/// docs/protocol.md, figures: at most 1 kvB pre-signed, at most 0.25 kvB cooperative.
#[test]
fn an_uncontested_withdrawal_takes_973_vb_and_a_cooperative_one_202() {
    for challengers in [1, 3, 160] {
        let s = Secrets::new(2, challengers, |p| p.bond = Amount::from_sat(5_000_000));
        let all = complete(&s);
        let kinds = [TxKind::Claim, TxKind::FinalizeFast, TxKind::Reimburse];
        let presigned: usize = kinds.into_iter().map(|kind| vsize(&all, kind)).sum();
        assert_eq!(payout_tx(&s).vsize() + presigned, 973);
        assert_eq!(vsize(&all, TxKind::Cooperative), 202);
    }
}

#[test]
fn what_challengers_add_stays_within_the_limits_of_version_3() {
    let s = Secrets::new(2, trestle_bridge::parameters::MAX_CHALLENGERS, |_| {});
    let all = complete(&s);
    assert_eq!((vsize(&all, TxKind::Contest), vsize(&all, TxKind::FinalizeUnentered)), (7_100, 9_410));
    assert!(all.iter().all(|(_, tx)| tx.version.0 == 3 && tx.vsize() <= 10_000));
}

#[test]
fn fees_and_values_are_those_of_the_parameters() {
    let s = secrets();
    let p = &s.bridge.parameters;
    for (presigned, tx) in complete(&s) {
        let fee = presigned.fee();
        let least = p.presigned_fee_rate.fee_wu(tx.weight()).unwrap();
        assert!(fee >= least, "{}", presigned.name);
        // Confirm and Cooperative pay what the deposit, or the terms, leave; the others to the satoshi, for the longest witness.
        let fixed = !matches!(presigned.kind, TxKind::Confirm | TxKind::Cooperative | TxKind::Claim);
        assert!(!fixed || fee == least, "{}", presigned.name);
        assert!(tx.output.iter().all(|o| o.script_pubkey.is_op_return()
            || o.value >= o.script_pubkey.minimal_non_dust()
            || *o == anchor::output()));
        assert_eq!(presigned.anchor().is_none(), presigned.kind == TxKind::Reimburse);
        assert_eq!(
            presigned.kind == TxKind::Claim,
            tx.input[0].witness.iter().any(|item| item.len() > 200),
            "{}",
            presigned.name
        );
    }
    let (confirm, _) = &complete(&s)[0];
    assert_eq!(
        confirm.tx.output[0],
        TxOut { value: p.denominations[0], script_pubkey: s.bridge.vault_script().clone() }
    );
    assert_eq!(confirm.tx.output[2], TxOut { value: p.connector, script_pubkey: s.bridge.ticket.script_pubkey() });
    assert_eq!(confirm.prevouts[0].value, p.denominations[0] + p.deposit_fee);
}

#[test]
fn the_bond_shrinks_by_one_step_a_slot_and_comes_back_whole() {
    let s = secrets();
    let graph = RunGraph::build(&s.bridge, s.made_up_run(5)).unwrap();
    let bonds: Vec<_> = graph.slots.iter().map(|slot| slot.claim.prevouts[0].value).collect();
    let step = bonds[0] - bonds[1];
    assert_eq!(step, Amount::from_sat(2 * (457 + 167) + 2 * 240 + 330));
    assert!(bonds.windows(2).all(|pair| pair[0] - pair[1] == step));
    let last = graph.slots.last().unwrap().finalize_fast.tx.output[0].clone();
    assert_eq!(
        last,
        TxOut { value: s.bridge.parameters.bond, script_pubkey: s.bridge.operator(0).unwrap().script_pubkey() }
    );
    for slot in &graph.slots {
        let ends = [&slot.finalize_unentered, &slot.finalize_slow, &slot.retire];
        assert!(ends.iter().all(|end| end.tx.output[0].script_pubkey == last.script_pubkey));
        assert_eq!(slot.retire.tx.lock_time.to_consensus_u32(), 100 + 65_536);
    }
}

#[test]
fn the_same_terms_give_the_same_graph_and_other_terms_another() {
    let s = secrets();
    let build = |change: &dyn Fn(&mut trestle_bridge::transactions::RunTerms)| {
        let mut terms = s.made_up_run(2);
        change(&mut terms);
        RunGraph::build(&s.bridge, terms).unwrap().requests()
    };
    let base = build(&|_| {});
    assert_eq!(base, build(&|_| {}));
    // The checkpoint's entry is the committee's to check and not part of any transaction yet.
    assert_ne!(base, build(&|terms| terms.bond = outpoint("another")));
    assert_ne!(base, build(&|terms| terms.operator = 1));
    assert_ne!(base, build(&|terms| terms.checkpoint.height += 1));
    assert_ne!(base, build(&|terms| terms.claim_keys.swap(0, 1)));
    assert_ne!(base, build(&|terms| terms.challengers.swap(0, 1)));
    let json = serde_json::to_string(&s.made_up_run(2)).unwrap();
    assert_eq!(serde_json::from_str::<trestle_bridge::transactions::RunTerms>(&json).unwrap(), s.made_up_run(2));
}

#[test]
fn a_slot_takes_5_signatures_and_2_a_challenger() {
    let s = secrets();
    let graph = RunGraph::build(&s.bridge, s.made_up_run(4)).unwrap();
    let requests = graph.requests();
    assert_eq!(requests.len(), 4 * (5 + 2 * 3) + 3);
    let messages: std::collections::HashSet<_> = requests.iter().map(|request| request.message).collect();
    assert_eq!(messages.len(), requests.len());
    let signatures = s.sign_all(&requests);
    assert!(requests.iter().zip(&signatures).all(|(request, signature)| verifies(&s.bridge, request, signature)));
    let dealt = deal(graph.presigned(), &signatures).unwrap();
    assert_eq!(dealt.len(), 4 * 6 + 3);
    let retire = dealt.iter().find(|(one, _)| one.kind == TxKind::Retire).unwrap();
    assert!(retire.0.complete(retire.1, Reveal::Nothing).is_ok());
    assert!(deal(graph.presigned(), &signatures[1..]).is_none());
}

#[test]
fn terms_that_are_wrong_are_refused_with_what_is_wrong() {
    use trestle_bridge::transactions::RunTerms;
    let s = secrets();
    let refused = |change: &dyn Fn(&mut RunTerms)| {
        let mut terms = s.made_up_run(2);
        change(&mut terms);
        RunGraph::build(&s.bridge, terms).unwrap_err()
    };
    assert!(matches!(refused(&|t| t.slots = 0), RunError::Slots { .. }));
    assert!(matches!(refused(&|t| t.first_serial = u32::MAX), RunError::Slots { .. }));
    assert!(matches!(refused(&|t| t.slots = 3), RunError::Count { list: "claim keys", expected: 3, got: 2 }));
    assert!(matches!(refused(&|t| drop(t.challengers.pop())), RunError::Count { list: "challengers", .. }));
    assert!(matches!(
        refused(&|t| t.challengers[1].contest_hashes.truncate(1)),
        RunError::Count { list: "contest hashes", .. }
    ));
    assert!(matches!(refused(&|t| t.challengers[1].bond = t.bond), RunError::SharedBond(_)));
    assert!(matches!(refused(&|t| t.operator = 9), RunError::Build(BuildError::Operator { index: 9, .. })));
    assert!(matches!(refused(&|t| t.denomination = 9), RunError::Build(BuildError::Denomination { index: 9, .. })));
    assert!(matches!(refused(&|t| t.checkpoint.height = u32::MAX), RunError::Height(_)));
    assert!(matches!(refused(&|t| t.claim_keys[1] = t.claim_keys[0].clone()), RunError::Reuse { slot: 1 }));
    assert!(matches!(
        refused(&|t| t.challengers[0].contest_hashes[1] = t.challengers[2].contest_hashes[0]),
        RunError::Reuse { slot: 1 }
    ));
    assert!(matches!(refused(&|t| t.claim_keys[1].0[3] = t.claim_keys[1].0[7]), RunError::ClaimKey { slot: 1, .. }));
    assert!(matches!(refused(&|t| t.claim_keys[1].0.truncate(13)), RunError::ClaimKey { slot: 1, .. }));
}

#[test]
fn nothing_is_completed_with_a_signature_that_does_not_verify() {
    let s = secrets();
    let graph = RunGraph::build(&s.bridge, s.made_up_run(1)).unwrap();
    let slot = &graph.slots[0];
    let requests = slot.finalize_unentered.requests();
    let mut signatures = s.sign_all(&requests);
    signatures.swap(1, 2);
    let refused = slot.finalize_unentered.complete(&signatures, Reveal::Nothing).unwrap_err();
    assert_eq!(refused, CompleteError::Signature { name: "FinalizeUnentered 0/0/0".into(), input: 1 });
    let refused = slot.finalize_unentered.complete(&signatures[1..], Reveal::Nothing).unwrap_err();
    assert!(matches!(refused, CompleteError::Count { expected: 4, got: 3, .. }));
    let signatures = s.sign_all(&slot.claim.requests());
    assert!(matches!(slot.claim.complete(&signatures, Reveal::Nothing), Err(CompleteError::Reveal { .. })));
    let signatures = s.sign_all(&slot.contest.requests());
    assert!(matches!(
        slot.contest.complete(&signatures, Reveal::Contest(3, &[0; 32])),
        Err(CompleteError::Reveal { .. })
    ));
}

#[test]
fn a_vault_pays_only_for_slots_of_its_denomination() {
    let s = secrets();
    let graph = RunGraph::build(&s.bridge, s.made_up_run(1)).unwrap();
    let vault = Vault { outpoint: outpoint("vault"), denomination: 1 };
    let refused = reimburse(&s.bridge, &vault, &graph.slots[0], FinalizeKind::Fast).unwrap_err();
    assert!(matches!(refused, BuildError::Fungibility { slot: 0, vault: 1, .. }));
}

#[test]
fn a_cooperative_payout_takes_no_more_than_the_withdrawal_fee_and_no_less_than_is_relayed() {
    let s = secrets();
    let vault = Vault { outpoint: outpoint("vault"), denomination: 0 };
    let build =
        |fee| CooperativeTerms { withdrawal: WithdrawalId(1), vault, destination: destination(), fee }.build(&s.bridge);
    let most = s.bridge.parameters.withdrawal_fee;
    assert!(build(most).is_ok());
    assert!(build(most + Amount::ONE_SAT).is_err());
    let least = cooperative::fee(&s.bridge, &destination(), s.bridge.parameters.presigned_fee_rate);
    assert_eq!(least, Amount::from_sat(404 + 240 - 330)); // 201.5 vB, which nodes take for 202
    assert!(build(least).is_ok());
    assert!(build(least - Amount::from_sat(2)).is_err());
}

#[test]
fn a_cooperative_payout_takes_the_vault_and_its_ticket_with_a_signature_for_each() {
    let s = secrets();
    let (confirm, _) = &complete(&s)[0];
    let vault = Vault { outpoint: confirm.outpoint(0), denomination: 0 };
    let fee = Amount::from_sat(1_000);
    let terms = CooperativeTerms { withdrawal: WithdrawalId(1), vault, destination: destination(), fee };
    let payout = terms.build(&s.bridge).unwrap();
    let spent: Vec<_> = payout.tx.input.iter().map(|input| input.previous_output).collect();
    assert_eq!(spent, [confirm.outpoint(0), confirm.outpoint(2)]);
    assert_eq!(payout.prevouts, [confirm.tx.output[0].clone(), confirm.tx.output[2].clone()]);
    let requests = Job::Cooperative(terms).stage(&s.bridge, &[], 0, &[]).unwrap();
    assert_eq!(requests.len(), 2);
    let mut signatures = s.sign_all(&requests);
    assert!(payout.complete(&signatures, Reveal::Nothing).is_ok());
    signatures.swap(0, 1);
    assert!(payout.complete(&signatures, Reveal::Nothing).is_err());
}

#[test]
fn every_signer_burns_a_ticket_by_its_own_leaf_with_one_and_the_same_transaction() {
    for (signers, vsizes) in [(1, vec![109]), (2, vec![117; 2]), (3, vec![117, 125, 125]), (10, vec![])] {
        let s = Secrets::new(signers, 1, |_| {});
        let vault = Vault { outpoint: outpoint("vault"), denomination: 0 };
        let complete = |index: usize| {
            let burn = Burn::new(&s.bridge, &vault, index).unwrap();
            assert_eq!(burn.fee(), Amount::from_sat(330 - 240));
            let signature = sign(&s.signers[index], burn.message());
            burn.complete(&signature)
        };
        let all: Vec<_> = (0..signers).map(complete).collect();
        assert!(all.iter().all(|tx| tx.compute_txid() == all[0].compute_txid() && tx.version.0 == 3));
        assert!(all.iter().all(|tx| tx.output.last() == Some(&anchor::output())
            && tx.base_size() >= 65
            && tx.input[0].previous_output == vault.ticket()));
        let sizes: Vec<_> = all.iter().map(Transaction::vsize).collect();
        assert!(vsizes.is_empty() && sizes.iter().all(|size| *size <= 141) || sizes == vsizes, "{sizes:?}");
        let refused = Burn::new(&s.bridge, &vault, signers).unwrap_err();
        assert!(matches!(refused, BuildError::Signer { index, .. } if index == signers));
    }
}

#[test]
fn a_deposit_is_signed_in_three_stages_of_which_each_needs_the_ones_before() {
    let s = secrets();
    let runs = [RunGraph::build(&s.bridge, s.made_up_run(5)).unwrap()];
    let slots: Vec<_> = runs[0].slots.iter().skip(1).map(|slot| slot.id).collect();
    let job = Job::Deposit(DepositJob { terms: deposit(&s), slots: slots.clone() });
    let mut earlier = Vec::new();
    for (index, count) in [(0, 1), (1, 3 * 4), (2, 1)] {
        if index > 0 {
            assert_eq!(job.stage(&s.bridge, &runs, index, &[]), Err(JobError::Earlier { index, earlier: 0 }));
        }
        let requests = job.stage(&s.bridge, &runs, index, &earlier).unwrap();
        assert_eq!(requests.len(), count);
        earlier.push(s.sign_all(&requests));
    }
    assert_eq!(job.stage(&s.bridge, &runs, 3, &earlier), Err(JobError::Stage { index: 3, stages: 3 }));
    assert_eq!(job.stage(&s.bridge, &[], 1, &earlier), Err(JobError::UnknownSlot(slots[0])));
    // Reimburse spends what Confirm makes, with the mint signature in it.
    let confirm = deposit(&s).confirm(&s.bridge, &earlier[0][0]).unwrap();
    let Signed::Reimburse(first) = &job.signed(&s.bridge, &runs, 1, &earlier).unwrap()[0] else {
        panic!("no Reimburse")
    };
    assert_eq!(first.presigned.tx.input[0].previous_output, confirm.outpoint(0));
    assert_eq!((first.slot, first.kind), (slots[0], FinalizeKind::Fast));
    let json = serde_json::to_string(&job).unwrap();
    assert_eq!(serde_json::from_str::<Job>(&json).unwrap().id(&s.bridge), job.id(&s.bridge));
}

#[test]
fn a_run_is_signed_together_with_reimburse_from_every_vault() {
    let s = secrets();
    let vaults = (0..2).map(|i| Vault { outpoint: outpoint(&format!("vault {i}")), denomination: 0 }).collect();
    let job = Job::Run(RunJob { terms: s.made_up_run(3), vaults });
    let requests = job.stage(&s.bridge, &[], 0, &[]).unwrap();
    assert_eq!(requests.len(), 3 * (5 + 2 * 3) + 3 + 2 * 3 * 3);
    assert_eq!(job.stages(), 1);
}

#[test]
fn a_run_of_20_slots_by_10_signers_is_built_within_a_second() {
    let s = Secrets::new(10, 10, |_| {});
    let start = std::time::Instant::now();
    let graph = RunGraph::build(&s.bridge, s.made_up_run(20)).unwrap();
    assert_eq!(graph.requests().len(), 20 * 25 + 10);
    assert!(start.elapsed().as_secs() < 1, "{:?}", start.elapsed());
}

#[test]
fn the_runway_survives_any_one_operator_and_all_challengers_but_one() {
    let runs =
        |slots: &[(u8, u32)]| slots.iter().map(|&(operator, slots)| OpenSlots { operator, slots }).collect::<Vec<_>>();
    let rows: [(&[(u8, u32)], u32, u32, u32); 8] = [
        (&[], 1, 0, 0),
        (&[(0, 20)], 1, 0, 0),
        (&[(0, 20), (1, 10)], 1, 0, 10),
        (&[(0, 20), (1, 10)], 1, 4, 6),
        (&[(0, 20), (1, 10)], 1, 11, 0),
        (&[(0, 20), (1, 10)], 3, 4, 4),
        (&[(0, 5), (0, 5), (1, 8), (2, 1)], 2, 0, 7),
        (&[(0, 2), (1, 2)], 9, 0, 0),
    ];
    for (open, challengers, vaults, more) in rows {
        assert_eq!(runway(&runs(open), challengers, vaults), more, "{open:?} {challengers} {vaults}");
    }
}
