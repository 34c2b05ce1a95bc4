//! Every transaction of the bridge on a real bitcoind with its default policy: accepted when it should be, with its
//! child as a package, and refused when it should be, for the reason that it should be.

#[path = "../../bridge/tests/members/mod.rs"]
mod members;
#[path = "lane/setup.rs"]
mod setup;

use bitcoin::hashes::Hash;
use bitcoin::{Address, Amount, FeeRate, Network, ScriptBuf, Transaction, Weight, Witness};
use members::{key, sign};
use setup::{SCRIPT_FAILED, Setup, TARGET};
use trestle_bridge::chain::Chain;
use trestle_bridge::connector::OperatorConnector;
use trestle_bridge::transactions::claim::Statement;
use trestle_bridge::transactions::envelope::Posting;
use trestle_bridge::transactions::refund::refund;
use trestle_bridge::transactions::{Burn, CooperativeTerms, FinalizeKind, Reveal, challenger_bond, contest, payout};
use trestle_bridge::wallet::Funding;
use trestle_rollup::{Envelope, SlotId, WithdrawalId, compact, envelope};
use trestle_sequencer::Policy;

fn destination() -> ScriptBuf {
    OperatorConnector(key("destination").x_only_public_key().0).script_pubkey()
}

#[test]
fn a_deposit_is_confirmed() {
    let mut s = Setup::new();
    let terms = s.deposit();
    let bridge = s.secrets.bridge.clone();
    let mint = s.secrets.sign(&terms.mint_request(&bridge).unwrap());
    let confirm = terms.confirm(&bridge, &mint).unwrap();
    // By the user's key in the committee's leaf.
    let mut forged = s.complete(&confirm, Reveal::Nothing);
    let mut items = forged.input[0].witness.to_vec();
    items[0] = sign(&s.secrets.user, confirm.requests()[0].message).serialize().to_vec();
    forged.input[0].witness = Witness::from_slice(&items);
    s.assert_refused(&forged, SCRIPT_FAILED);
    let tx = s.run(&confirm, Reveal::Nothing);
    assert_eq!(tx.output[0].script_pubkey, *bridge.vault_script());
    let address = Address::from_script(&bridge.deposit(terms.refund_key).script_pubkey(), Network::Regtest).unwrap();
    assert_eq!(bridge.deposit(terms.refund_key).descriptor().address(Network::Regtest).unwrap(), address);
}

#[test]
fn a_deposit_that_is_not_confirmed_goes_back_after_the_delay_and_not_before() {
    let mut s = Setup::new();
    let terms = s.deposit();
    let refund = refund(&s.secrets.bridge, &terms, destination(), FeeRate::from_sat_per_vb_u32(2)).unwrap();
    let signature = sign(&s.secrets.user, refund.message());
    let (prevout, tx) = (refund.prevout.clone(), refund.complete(&signature));
    let fee = prevout.value - tx.output[0].value;
    let mut early = tx.clone();
    early.input[0].sequence = bitcoin::Sequence::ENABLE_RBF_NO_LOCKTIME;
    s.assert_refused(&early, SCRIPT_FAILED);
    s.mine(58);
    s.assert_refused(&tx, "non-BIP68-final");
    s.mine(1);
    s.mine_with_child(&tx, fee, 0, Some(&key("destination")));
}

#[test]
fn an_uncontested_run_pays_for_itself_to_its_last_slot() {
    let mut s = Setup::new();
    let graph = s.graph(3);
    for slot in &graph.slots {
        let vault = s.vault();
        s.claim(slot);
        s.run_after(&slot.finalize_fast, 12);
        s.reimburse(vault, slot, FinalizeKind::Fast);
    }
    let last = &graph.slots[2].finalize_fast.tx.output[0];
    assert_eq!(
        (last.value, &last.script_pubkey),
        (s.secrets.bridge.parameters.bond, &s.secrets.bridge.operator(0).unwrap().script_pubkey())
    );
}

#[test]
fn a_contested_claim_that_nobody_disputes_is_finalized_unentered() {
    let mut s = Setup::new();
    let graph = s.graph(1);
    let (slot, vault) = (&graph.slots[0], s.vault());
    s.claim(slot);
    s.contest(slot, 2);
    s.assert_refused(&s.complete(&slot.finalize_fast, Reveal::Nothing), "missing-inputs");
    s.run_after(&slot.finalize_unentered, 12);
    s.reimburse(vault, slot, FinalizeKind::Unentered);
}

#[test]
fn a_contested_claim_that_nobody_disproves_is_finalized_slowly() {
    let mut s = Setup::new();
    let graph = s.graph(1);
    let (slot, vault) = (&graph.slots[0], s.vault());
    s.claim(slot);
    s.contest(slot, 0);
    s.run_after(&slot.finalize_slow, 688);
    s.reimburse(vault, slot, FinalizeKind::Slow);
}

#[test]
fn only_a_challenger_contests_and_only_by_its_own_leaf() {
    let mut s = Setup::new();
    let graph = s.graph(1);
    let slot = &graph.slots[0];
    s.claim(slot);
    let secret = |challenger| {
        contest::secret(&s.secrets.bridge, &s.secrets.challenger_seed(challenger), challenger as u16, slot.id).0
    };
    s.assert_refused(&s.complete(&slot.contest, Reveal::Contest(0, &[1; 32])), SCRIPT_FAILED);
    s.assert_refused(&s.complete(&slot.contest, Reveal::Contest(0, &secret(1))), SCRIPT_FAILED);
    // Contest's leaf with the signature that was made for another leaf.
    let mut swapped = s.complete(&slot.contest, Reveal::Contest(0, &secret(0)));
    let mut items = swapped.input[0].witness.to_vec();
    items[1] = s.secrets.sign(&slot.contest.requests()[1]).serialize().to_vec();
    swapped.input[0].witness = Witness::from_slice(&items);
    s.assert_refused(&swapped, SCRIPT_FAILED);
    for challenger in 0..3 {
        assert_eq!(s.refusal(&s.complete(&slot.contest, Reveal::Contest(challenger, &secret(challenger)))), None);
    }
}

#[test]
fn bonds_go_back_when_the_run_is_over_and_not_before() {
    let mut s = Setup::new();
    let graph = s.graph(2);
    let mut retires = [graph.slots[0].retire.clone(), graph.challenger_retires[1].clone()];
    s.assert_refused(&s.complete(&retires[0], Reveal::Nothing), "non-final");
    // 2^16 blocks are too many to mine here: the end is brought forward, and signed so.
    let end = s.miner.chain().tip().unwrap().height + 5;
    for retire in &mut retires {
        assert_eq!(retire.tx.lock_time.to_consensus_u32(), 1 << 16);
        retire.tx.lock_time = bitcoin::absolute::LockTime::from_height(end).unwrap();
    }
    let (bridge, challengers) = (s.secrets.bridge.clone(), s.secrets.challengers.clone());
    let leaf = bridge.entries[1].challenger_leaf();
    let own = |signer: usize| [challenger_bond::sign_retire(&retires[1], &bridge.entries[1], &challengers[signer])];
    // Nobody takes a challenger's bond back for it: it could enter no lane then.
    let (own, others) = (own(1), own(0));
    let [theirs, forged] = [&own, &others].map(|own| Reveal::Leaf(0, leaf, [&[], own]));
    s.mine(4);
    s.assert_refused(&s.complete(&retires[0], Reveal::Nothing), "non-final");
    s.assert_refused(&s.complete(&retires[1], theirs), "non-final");
    s.mine(1);
    s.assert_refused(&s.complete(&retires[1], forged), SCRIPT_FAILED);
    s.run(&retires[0], Reveal::Nothing);
    s.run(&retires[1], theirs);
}

#[test]
fn a_withdrawal_is_paid_cooperatively_and_the_payout_can_be_replaced() {
    let mut s = Setup::new();
    let vault = s.confirmed();
    let terms = |fee| CooperativeTerms {
        withdrawal: WithdrawalId(5),
        vault,
        destination: destination(),
        fee: Amount::from_sat(fee),
    };
    let first = terms(1_000).build(&s.secrets.bridge).unwrap();
    s.node.chain().broadcast(&[&s.complete(&first, Reveal::Nothing)]).unwrap();
    let second = terms(3_000).build(&s.secrets.bridge).unwrap();
    s.run(&second, Reveal::Nothing);
}

#[test]
fn any_one_signer_burns_a_ticket_and_the_payout_is_refused_from_then_on_and_the_vault_is_still_good() {
    let mut s = Setup::new();
    let graph = s.graph(1);
    let (slot, vault) = (&graph.slots[0], s.confirmed());
    let fee = Amount::from_sat(1_000);
    let terms = CooperativeTerms { withdrawal: WithdrawalId(5), vault, destination: destination(), fee };
    let payout = s.complete(&terms.build(&s.secrets.bridge).unwrap(), Reveal::Nothing);
    assert_eq!(s.refusal(&payout), None);
    let burn = |index: usize| Burn::new(&s.secrets.bridge, &vault, index).unwrap();
    // By another signer's key, or by a key of nobody in the committee.
    for stranger in [&s.secrets.signers[1], &s.secrets.user, &s.secrets.operators[0]] {
        let forged = burn(0).complete(&sign(stranger, burn(0).message()));
        s.assert_refused(&forged, SCRIPT_FAILED);
        assert!(!s.fits_in_a_block(&forged));
    }
    let burns: Vec<_> =
        s.secrets.signers.iter().enumerate().map(|(i, key)| burn(i).complete(&sign(key, burn(i).message()))).collect();
    assert!(burns.iter().all(|tx| s.refusal(tx).is_none()), "the node takes each of them by itself");
    // The payout waits in the mempool for a block: a burn with its child takes its place.
    s.node.chain().broadcast(&[&payout]).unwrap();
    let (tx, fee) = (&burns[2], burn(2).fee());
    let child = s.miner.wallet().bump_child(tx, 1, fee, TARGET, None).unwrap();
    s.node.chain().broadcast(&[tx, &child]).unwrap();
    s.mine(1);
    assert!(s.node.chain().transaction(&tx.compute_txid()).unwrap().unwrap().height.is_some());
    s.assert_refused(&payout, "missing-inputs");
    assert!(!s.fits_in_a_block(&payout));
    s.claim(slot);
    s.run_after(&slot.finalize_fast, 12);
    s.reimburse(vault, slot, FinalizeKind::Fast);
}

#[test]
fn a_payout_is_what_the_operators_wallet_makes_of_its_outputs() {
    let mut s = Setup::new();
    let slot = SlotId { operator: 0, denomination: 0, serial: 4 };
    let outputs = payout::outputs(&s.secrets.bridge, WithdrawalId(5), destination(), slot).unwrap();
    let tx = s.miner.wallet().fund(&outputs, Funding::at(FeeRate::from_sat_per_vb_u32(2))).unwrap();
    assert_eq!(tx.output[..2], outputs);
    assert_eq!(s.refusal(&tx), None);
}

#[test]
fn an_envelope_is_committed_to_and_revealed_and_the_reveal_replaced() {
    let mut s = Setup::new();
    let poster = key("poster");
    let envelope = Envelope { kind: envelope::Kind::Batch, payload: (0..300_000).map(|i| i as u8).collect() };
    let posting = |rate| {
        let key = poster.x_only_public_key().0;
        Posting::new(&s.secrets.bridge, &envelope, key, destination(), FeeRate::from_sat_per_vb_u32(rate)).unwrap()
    };
    let (cheap, dear) = (posting(1), posting(3));
    let (outpoint, commit) = s.miner.pay(dear.commit_output().script_pubkey, dear.commit_output().value).unwrap();
    for posting in [cheap, dear] {
        let reveal = posting.reveal(outpoint, commit.output[0].value).unwrap();
        let signature = sign(&poster, reveal.message());
        s.node.chain().broadcast(&[&reveal.complete(&signature)]).unwrap();
    }
    let heavy = Envelope { kind: envelope::Kind::Batch, payload: vec![0; 400_000] };
    assert!(Posting::new(&s.secrets.bridge, &heavy, poster.x_only_public_key().0, destination(), TARGET).is_err());
}

#[test]
fn the_largest_batch_is_relayed_with_its_commit_and_a_child() {
    let mut s = Setup::new();
    let poster = key("poster");
    // With the certificate of the largest set that there can be.
    let bytes = Policy::default().batch_bytes + compact::MOST_BESIDE;
    let envelope = Envelope { kind: envelope::Kind::Batch, payload: (0..bytes).map(|i| i as u8).collect() };
    let posting = Posting::new(
        &s.secrets.bridge,
        &envelope,
        poster.x_only_public_key().0,
        destination(),
        FeeRate::from_sat_per_vb_u32(2),
    );
    let posting = posting.unwrap();
    let output = posting.commit_output();
    let (outpoint, commit) = s.miner.pay(output.script_pubkey, output.value).unwrap();
    let reveal = posting.reveal(outpoint, commit.output[0].value).unwrap();
    let fee = commit.output[0].value - reveal.tx.output[0].value;
    let signature = sign(&poster, reveal.message());
    let reveal = reveal.complete(&signature);
    assert!(reveal.weight() > Weight::from_wu(395_000), "{}", reveal.weight());
    assert_eq!(s.refusal(&reveal), None);
    let rate = FeeRate::from_sat_per_vb_u32(10);
    let child = s.miner.wallet().bump_child(&reveal, 0, fee, rate, Some(&key("destination"))).unwrap();
    s.node.chain().broadcast(&[&reveal, &child]).unwrap();
    s.mine(1);
    for tx in [&commit, &reveal, &child] {
        assert!(s.node.chain().transaction(&tx.compute_txid()).unwrap().unwrap().height.is_some());
    }
}

/// The claim's witness with `change` made to its items: signature, 14 indices, 14 pairs of link and upper (the last digit's
/// first), script, control block.
fn tampered(claim: &Transaction, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Transaction {
    let mut items = claim.input[0].witness.to_vec();
    change(&mut items);
    let mut tx = claim.clone();
    tx.input[0].witness = Witness::from_slice(&items);
    tx
}

/// Digits of a claim, its checksum included.
const DIGITS: usize = 14;

fn index_of(digit: usize) -> usize {
    1 + digit
}

fn link_of(digit: usize) -> usize {
    1 + DIGITS + 2 * (DIGITS - 1 - digit)
}

fn far_of(digit: usize) -> usize {
    link_of(digit) + 1
}

fn statement(n: u16, prefix: u32) -> Statement {
    Statement { n, block_prefix: prefix.to_be_bytes() }
}

#[test]
fn every_statement_that_is_signed_can_be_claimed_and_read_back() {
    let mut s = Setup::new();
    let graph = s.graph(1);
    let slot = &graph.slots[0];
    let committee = s.secrets.sign_all(&slot.claim.requests());
    let edges = [
        (0, 0),
        (0xffff, 0xffff_ffff),
        (0, 0xffff_ffff),
        (0x7777, 0x7777_7777),
        (0x8888, 0x8888_8888),
        (1, 0x8000_0000),
    ];
    let random = (0..60).map(|_| (rand::random(), rand::random()));
    for (n, prefix) in edges.into_iter().chain(random) {
        let signature = s.secrets.claim(slot.id, statement(n, prefix));
        let tx = slot.claim.complete(&committee, Reveal::Claim(&signature)).unwrap();
        assert_eq!(s.refusal(&tx), None, "{n:04x} {prefix:08x}");
        assert_eq!(Statement::read(&s.secrets.claim_key(slot.id), &tx).unwrap(), statement(n, prefix));
    }
}

#[test]
fn a_claim_that_the_operator_did_not_sign_is_no_valid_transaction() {
    let mut s = Setup::new();
    let graph = s.graph(2);
    let slot = &graph.slots[0];
    let committee = s.secrets.sign_all(&slot.claim.requests());
    // Digits 3, 4, 5, …, 14; the checksum is 180 − 102 = 0x4e, so digit 12 is 14 and digit 13 is 4.
    let signed = s.secrets.claim(slot.id, statement(0x3456, 0x789a_bcde));
    let claim = slot.claim.complete(&committee, Reveal::Claim(&signed)).unwrap();
    assert_eq!(s.refusal(&claim), None);
    let key = s.secrets.claim_key(slot.id);
    let hash = |link: &[u8]| bitcoin::hashes::hash160::Hash::hash(link).to_byte_array().to_vec();

    type Change<'a> = Box<dyn FnOnce(&mut Vec<Vec<u8>>) + 'a>;
    let attacks: Vec<(&str, Change)> = vec![
        (
            "a digit raised by hashing on",
            Box::new(|i| {
                i[link_of(0)] = hash(&i[link_of(0)]);
                i[index_of(0)] = vec![4];
            }),
        ),
        (
            "a digit raised, the checksum's said to be lower",
            Box::new(|i| {
                i[link_of(0)] = hash(&i[link_of(0)]);
                i[index_of(0)] = vec![4];
                i[index_of(12)] = vec![5];
            }),
        ),
        (
            "a digit raised and another said to be lower",
            Box::new(|i| {
                i[link_of(0)] = hash(&i[link_of(0)]);
                i[index_of(0)] = vec![4];
                i[index_of(1)] = vec![3];
            }),
        ),
        ("a digit said to be lower", Box::new(|i| i[index_of(0)] = vec![2])),
        ("a digit said to be in the upper half", Box::new(|i| i[far_of(0)] = vec![])),
        ("a digit said to be in the lower half", Box::new(|i| i[far_of(5)] = vec![1])),
        (
            "a digit of 16, whose link is the end of the chain",
            Box::new(|i| {
                i[link_of(0)] = key.0[0].to_vec();
                i[index_of(0)] = vec![8];
                i[far_of(0)] = vec![];
            }),
        ),
        (
            "an index that reaches the next digit's link, which is the end of the chain",
            Box::new(|i| {
                i[link_of(1)] = key.0[0].to_vec();
                i[index_of(0)] = vec![9];
            }),
        ),
        ("an index that reaches the own index", Box::new(|i| i[index_of(0)] = vec![47])),
        (
            "an index that is the end of the chain and reaches itself",
            Box::new(|i| i[index_of(13)] = key.0[13].to_vec()),
        ),
        ("a negative index", Box::new(|i| i[index_of(0)] = vec![0x81])),
        ("an index that reaches below everything", Box::new(|i| i[index_of(0)] = vec![0x7f])),
        ("an index of five bytes", Box::new(|i| i[index_of(0)] = vec![3, 0, 0, 0, 0])),
        ("a half that is true but not 1", Box::new(|i| i[far_of(0)] = vec![2])),
        ("a half that is a long 1", Box::new(|i| i[far_of(0)] = vec![1, 0])),
        ("a half that is a long 0", Box::new(|i| i[far_of(5)] = vec![0])),
        ("two links swapped", Box::new(|i| i.swap(link_of(0), link_of(1)))),
        (
            "two digits swapped",
            Box::new(|i| {
                i.swap(link_of(0), link_of(1));
                i.swap(index_of(0), index_of(1));
            }),
        ),
        (
            "message and checksum swapped",
            Box::new(|i| {
                i.swap(link_of(11), link_of(12));
                i.swap(index_of(11), index_of(12));
            }),
        ),
        (
            "the checksum's digits swapped",
            Box::new(|i| {
                i.swap(link_of(12), link_of(13));
                i.swap(index_of(12), index_of(13));
                i.swap(far_of(12), far_of(13));
            }),
        ),
        ("an item more, at the bottom", Box::new(|i| i.insert(0, vec![1]))),
        ("an item more, between signature and digits", Box::new(|i| i.insert(1, vec![1]))),
        ("an item less", Box::new(|i| drop(i.remove(1)))),
        ("no signature of the committee", Box::new(|i| i[0] = vec![])),
        (
            "a signature by somebody else",
            Box::new(|i| i[0] = sign(&s.secrets.user, slot.claim.requests()[0].message).serialize().to_vec()),
        ),
    ];
    for (name, attack) in attacks {
        let tx = tampered(&claim, attack);
        s.assert_refused(&tx, SCRIPT_FAILED);
        assert!(!s.fits_in_a_block(&tx), "{name}");
        assert!(name.contains("signature") || Statement::read(&key, &tx).is_err(), "{name}");
    }
    // The one-time signature of the next slot.
    let other = s.secrets.claim(graph.slots[1].id, statement(0x3456, 0x789a_bcde));
    let tx = slot.claim.complete(&committee, Reveal::Claim(&other)).unwrap();
    assert!(!s.fits_in_a_block(&tx));

    // Consensus lets numbers be written in more ways than one. Nodes do not relay them; in a block they are read as what they are.
    let odd = tampered(&claim, |i| {
        i[index_of(0)] = vec![3, 0];
        i[index_of(5)] = vec![0x80];
    });
    s.assert_refused(&odd, SCRIPT_FAILED);
    assert!(s.fits_in_a_block(&odd));
    assert_eq!(Statement::read(&key, &odd).unwrap(), statement(0x3456, 0x789a_bcde));
}
