//! Sizes, values and shapes of every transaction. What Bitcoin Core says of them is in tests/tests/transactions.rs.

mod members;

use bitcoin::hashes::Hash;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut};
use members::{Secrets, key, outpoint, sign};
use trestle_bridge::connector::{OperatorConnector, anchor, sign_key_path};
use trestle_bridge::job::{DepositJob, Job, JobError, OpenSlots, RunJob, Signed, runway};
use trestle_bridge::transactions::claim::Statement;
use trestle_bridge::transactions::envelope::Posting;
use trestle_bridge::transactions::refund::Refund;
use trestle_bridge::transactions::{
    BuildError, CompleteError, CooperativeTerms, DepositTerms, FinalizeKind, Presigned, Reveal, RunError, RunGraph, TxKind, Vault, bump,
    contest, deal, payout, reimburse,
};
use trestle_rollup::{Account, Envelope, SlotId, WithdrawalId, envelope};

const SLOT: SlotId = SlotId { operator: 0, denomination: 0, serial: 0 };

fn secrets() -> Secrets {
    Secrets::new(3, 3, |_| {})
}

fn deposit(s: &Secrets) -> DepositTerms {
    let refund_key = s.user.x_only_public_key().0;
    DepositTerms { outpoint: outpoint("deposit"), denomination: 0, account: Account([3; 32]), refund_key }
}

/// Worst case: the digits of N and of the prefix are those with the longest witness.
fn longest_statement() -> Statement {
    Statement { n: 0x8888, block_prefix: [0x88; 4] }
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
    let (secret, _) = contest::secret(bridge, &s.challenger_seed(1), 1, SLOT);
    add(&slot.contest, Reveal::Contest(1, &secret));
    for one in [&slot.finalize_fast, &slot.finalize_unentered, &slot.finalize_slow, &slot.retire, &graph.challenger_retires[0]] {
        add(one, Reveal::Nothing);
    }
    let vault = deposit(s).vault(bridge, &mint).unwrap();
    let presigned = reimburse(bridge, &vault, slot, FinalizeKind::Fast).unwrap();
    add(&presigned, Reveal::Party(&sign_key_path(&s.operators[0], presigned.party_message().unwrap())));
    let terms = CooperativeTerms {
        withdrawal: WithdrawalId(7),
        vault,
        destination: OperatorConnector(key("destination").x_only_public_key().0).script_pubkey(),
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
    let script = OperatorConnector(key("destination").x_only_public_key().0).script_pubkey();
    let mut tx = complete(s).pop().unwrap().1;
    tx.output = payout::outputs(&s.bridge, WithdrawalId(7), script.clone(), SLOT).unwrap().into();
    tx.output.push(TxOut { value: Amount::from_sat(5_000), script_pubkey: script });
    tx
}

#[test]
fn every_vsize_is_pinned() {
    let all = complete(&secrets());
    let sizes: Vec<_> = all.iter().map(|(presigned, tx)| (presigned.kind, tx.vsize())).collect();
    let expected = [
        (TxKind::Confirm, 0),
    ];
    assert_eq!(sizes, expected);
}
