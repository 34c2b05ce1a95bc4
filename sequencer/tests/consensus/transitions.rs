//! One sequencer's state machine: a row a situation.

use bitcoin::Amount;
use commonware_cryptography::{Digested, Digestible as _};
use trestle_rollup::compact::most_bytes;
use trestle_rollup::{Batch, Certificate, LedgerError, Refusal, SignedTransaction, schnorr};
use trestle_sequencer::consensus::{Block, Duty, Error, Fate, Message, Orderer, Part, Promise, Subject, Verdict};
use trestle_sequencer::{Policy, Rejection};

use crate::support::{CONFIRMATIONS, World, key, parameters};

struct Bench {
    world: World,
    orderer: Orderer,
    /// The last final block.
    head: Digested<Block>,
}

fn policy() -> Policy {
    Policy { block_bytes: 700, batch_bytes: 450, account_limit: 3, ..Policy::default() }
}

fn open(world: &World, db: &sled::Db, index: usize) -> Orderer {
    Orderer::open(db, key("sequencer", index), world.ledger.clone(), CONFIRMATIONS, policy()).unwrap()
}

/// User 0 has 1,000,000 sat after the last final block, which is empty.
fn bench() -> Bench {
    let mut world = World::new(&parameters(4));
    let mint = world.mint(0);
    world.mine(vec![mint]);
    (0..4).for_each(|_| world.mine(Vec::new()));
    let mut orderer = open(&world, &world.db, 0);
    let genesis = orderer.genesis(0).unwrap().unwrap();
    let head = orderer.propose(&[genesis]).unwrap().unwrap();
    assert_eq!(orderer.finalized(&head).unwrap(), [], "an empty block is no batch");
    Bench { world, orderer, head }
}

fn digested(block: Block) -> Digested<Block> {
    let digest = block.digest();
    Digested::precomputed(block, digest)
}

fn encoded(transactions: &[SignedTransaction]) -> Vec<u8> {
    transactions.iter().flat_map(SignedTransaction::encode).collect()
}

impl Bench {
    fn chain(&self) -> Vec<Digested<Block>> {
        vec![self.head.clone()]
    }

    fn submit(&mut self, transaction: &SignedTransaction) -> Result<[u8; 32], Rejection> {
        self.orderer.submit(&[transaction.encode()]).unwrap().0.remove(0)
    }

    /// A block after the head, at the deepest anchor, with these transactions.
    fn block(&mut self, transactions: &[SignedTransaction]) -> Block {
        let empty = self.orderer.propose(&self.chain()).unwrap().unwrap();
        let state = self.world.ledger.state(empty.inner().anchor.height).unwrap();
        let bytes = transactions.iter().map(|signed| {
            most_bytes(&signed.transaction, |account| Ok::<_, LedgerError>(state.account(account)?.index)).unwrap()
        });
        let filled = u32::try_from(bytes.sum::<usize>()).unwrap();
        Block { transactions: encoded(transactions), cut: false, filled, ..empty.inner().clone() }
    }

    fn instance(&self) -> [u8; 32] {
        self.world.ledger.parameters().instance()
    }
}

#[test]
fn a_block_is_judged_by_its_place_its_anchor_and_its_transactions() {
    let mut bench = bench();
    let transfer = |amount, nonce| bench.world.transfer(0, 1, amount, 20, nonce);
    let (good, next) = (transfer(5, 0), transfer(5, 1));
    let (rich, mut forged) = (transfer(2_000_000, 0), transfer(5, 0));
    forged.signature[5] ^= 1;
    let many: Vec<_> = (0..6).map(|nonce| transfer(5, nonce)).collect();
    let tip = bench.world.ledger.tip().0;
    type Change<'a> = &'a dyn Fn(&mut Block);
    let rows: [(&str, &[SignedTransaction], Change, Verdict); 21] = [
        ("empty", &[], &|_| (), Verdict::Valid),
        ("good", &[good, next], &|_| (), Verdict::Valid),
        ("wrong order", &[next, good], &|_| (), Verdict::Invalid),
        ("twice the same", &[good, good], &|_| (), Verdict::Invalid),
        ("more than there is", &[rich], &|_| (), Verdict::Invalid),
        ("forged", &[forged], &|_| (), Verdict::Invalid),
        ("too large", &many, &|_| (), Verdict::Invalid),
        ("not transactions", &[good], &|block| block.transactions.push(7), Verdict::Invalid),
        ("number skipped", &[good], &|block| block.number += 1, Verdict::Invalid),
        ("transactions of the batch forgotten", &[good], &|block| block.first += 1, Verdict::Invalid),
        ("bytes of the batch forgotten", &[good], &|block| block.filled += 1, Verdict::Invalid),
        ("a batch", &[good], &|block| block.cut = true, Verdict::Valid),
        ("a batch of nothing", &[], &|block| block.cut = true, Verdict::Invalid),
        ("of another set", &[good], &|block| block.set += 1, Verdict::Invalid),
        ("of another beginning", &[good], &|block| block.base += 1, Verdict::Invalid),
        ("closes for no reason", &[], &|block| block.closes = true, Verdict::Invalid),
        ("height skipped", &[good], &|block| block.height += 1, Verdict::Invalid),
        ("other parent", &[good], &|block| block.parent.0[0] ^= 1, Verdict::Invalid),
        ("anchor nobody knows", &[good], &|block| block.anchor.hash[0] ^= 1, Verdict::Unknown),
        ("anchor not deep", &[good], &|block| block.anchor.height = tip - CONFIRMATIONS + 1, Verdict::Unknown),
        ("anchor before the parent's", &[], &|block| block.anchor.height = 99, Verdict::Invalid),
    ];
    for (name, transactions, change, expected) in rows {
        let mut block = bench.block(transactions);
        change(&mut block);
        let chain = bench.chain();
        assert_eq!(bench.orderer.verify(&chain, &digested(block)).unwrap(), expected, "{name}");
    }
    let stranger = digested(bench.block(&[good]));
    let child = Block { parent: stranger.digest(), height: 4, ..bench.block(&[]) };
    let verdict = bench.orderer.verify(&[digested(child.clone())], &digested(child)).unwrap();
    assert_eq!(verdict, Verdict::Unknown, "a chain that does not begin here");
}

#[test]
fn the_pool_takes_what_a_block_can_take_sooner_or_later() {
    let mut bench = bench();
    let transfer = |amount, fee, nonce| bench.world.transfer(0, 1, amount, fee, nonce);
    let balance = |available| Rejection::Refused(Refusal::Balance { available });
    let nonce = Rejection::Refused(Refusal::Nonce { expected: 0 });
    let mut forged = transfer(1, 20, 1);
    forged.signature[40] ^= 1;
    let fee = |floor, got| Rejection::FeeTooLow { floor: Amount::from_sat(floor), got: Amount::from_sat(got) };
    let rows = [
        ("first", transfer(100, 20, 0), None),
        ("again", transfer(100, 20, 0), None),
        ("after a gap", transfer(100, 20, 2), None),
        ("too far ahead", transfer(100, 20, 3), Some(nonce)),
        ("forged", forged, Some(Rejection::Refused(Refusal::Signature))),
        ("too cheap", transfer(1, 9, 1), Some(fee(10, 9))),
        ("nothing", transfer(0, 20, 1), Some(Rejection::Refused(Refusal::ZeroAmount))),
        ("more than is left", transfer(999_800, 20, 1), Some(balance(999_760))),
        ("of nobody's", bench.world.transfer(3, 1, 1, 20, 0), Some(balance(0))),
        (
            "no such denomination",
            bench.world.withdraw(0, 9, 20, 1),
            Some(Rejection::Refused(Refusal::UnknownDenomination)),
        ),
        (
            "cheap replacement",
            transfer(50, 29, 0),
            Some(Rejection::ReplacementTooCheap { needs: Amount::from_sat(30) }),
        ),
        ("replacement", transfer(50, 30, 0), None),
    ];
    for (name, transaction, expected) in rows {
        let answer = bench.orderer.submit(&[transaction.encode()]).unwrap().0.remove(0);
        assert_eq!(answer.err(), expected, "{name}");
    }
    assert_eq!(bench.orderer.submit(&[vec![1; 30]]).unwrap().0, [Err(Rejection::Malformed)]);

    let (old, new) = (transfer(100, 20, 0), transfer(50, 30, 0));
    assert_eq!(bench.orderer.fate(&bench.world.id(&old)).unwrap(), None);
    assert_eq!(bench.orderer.fate(&bench.world.id(&new)).unwrap(), Some(Fate::Waiting));
    let chain = bench.chain();
    let block = bench.orderer.propose(&chain).unwrap().unwrap();
    assert_eq!(block.inner().transactions, new.encode(), "what follows the gap has to wait");

    // What was promised is on disk; what was replaced is not.
    let reopened = open(&bench.world, &bench.world.db, 0);
    assert_eq!(reopened.fate(&bench.world.id(&new)).unwrap(), Some(Fate::Waiting));
    assert_eq!(reopened.fate(&bench.world.id(&old)).unwrap(), None);
}

#[test]
fn accounts_take_turns() {
    let mut bench = bench();
    let mints: Vec<_> = (1..3).map(|user| bench.world.mint(user)).collect();
    bench.world.mine(mints);
    (0..4).for_each(|_| bench.world.mine(Vec::new()));
    let chain = bench.chain();
    let block = bench.orderer.propose(&chain).unwrap().unwrap();
    bench.orderer.finalized(&block).unwrap();
    let order = [(0, 1), (0, 0), (1, 0), (0, 2), (2, 0)];
    for (user, nonce) in order {
        bench.submit(&bench.world.transfer(user, 3, 1, 20, nonce)).unwrap();
    }
    let proposed = bench.orderer.propose(&[block]).unwrap().unwrap();
    let turns: Vec<_> = proposed.inner().decoded().unwrap();
    let turns: Vec<_> = turns.iter().map(|signed| (signed.transaction.from(), signed.transaction.nonce())).collect();
    let expected = [(0, 0), (0, 1), (1, 0), (0, 2)].map(|(user, nonce)| (crate::support::account(user), nonce));
    assert_eq!(turns, expected, "and only four fit");
}

#[test]
fn what_is_final_is_signed_once_and_certified_by_a_quorum() {
    let mut bench = bench();
    let transfer = bench.world.transfer(0, 1, 5, 20, 0);
    bench.submit(&transfer).unwrap();
    let chain = bench.chain();
    let block = bench.orderer.propose(&chain).unwrap().unwrap();
    assert!(block.inner().cut, "nothing is on its way to Bitcoin");
    let height = block.inner().height;
    let transactions = block.inner().transactions.clone();
    let part = Part { set: 0, number: 0, first: 0, transactions, certificate: Vec::new() };
    let batch = Batch::new(0, &[transfer]);
    let instance = bench.instance();
    let subjects = [(Subject::Part(height), part.digest(&instance)), (Subject::Batch(0), batch.digest(&instance))];
    for (subject, digest) in subjects {
        let signature = |index: usize| schnorr::sign(&digest, &key("sequencer", index));
        let say = |index: usize| Message::Signature { subject, signature: signature(index) };
        let told = |message: &Message| Duty::Tell { set: 0, to: None, message: message.clone() };
        let has_certificate = |orderer: &Orderer| match subject {
            Subject::Part(height) => orderer.certified_part(height).unwrap().map(|part| part.certificate),
            Subject::Batch(number) => orderer.certified(0, number).unwrap().map(|batch| batch.certificate),
            Subject::Handover(_) => unreachable!(),
        };
        let db = sled::Config::new().temporary(true).open().unwrap();
        let mut orderer = open(&bench.world, &db, 0);
        orderer.finalized(&bench.head).unwrap();
        // One that comes early waits; a bad one and one in another's name count for nothing, and displace nothing.
        assert_eq!(orderer.hear(0, 1, say(1)).unwrap(), []);
        let junk = Message::Certificate { subject, signatures: vec![(1, [7; 64]), (3, [7; 64])] };
        assert_eq!(orderer.hear(0, 2, junk).unwrap(), []);
        assert!(orderer.finalized(&block).unwrap().contains(&told(&say(0))));
        assert_eq!(orderer.finalized(&block).unwrap(), [], "nothing is signed again");
        assert_eq!(orderer.hear(0, 2, say(3)).unwrap(), []);
        assert_eq!(has_certificate(&orderer), None);
        assert_eq!(orderer.fate(&bench.world.id(&transfer)).unwrap(), Some(Fate::Final { height }));

        // It asks for what it lacks, from the second tick on, and after a restart.
        drop(orderer);
        orderer = open(&bench.world, &db, 0);
        assert_eq!(orderer.tick().unwrap(), []);
        let again = orderer.tick().unwrap();
        assert!(again.contains(&told(&say(0))) && again.contains(&told(&Message::Ask { subject })));
        let answer = orderer.hear(0, 2, Message::Ask { subject }).unwrap();
        assert_eq!(answer, [Duty::Tell { set: 0, to: Some(2), message: say(0) }]);

        assert_eq!(orderer.hear(0, 3, say(3)).unwrap(), [Duty::Certified(subject)]);
        let signatures = has_certificate(&orderer).unwrap();
        assert_eq!(signatures.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 3]);
        let message = Message::Certificate { subject, signatures };
        let answer = orderer.hear(0, 2, Message::Ask { subject }).unwrap();
        assert_eq!(answer, [Duty::Tell { set: 0, to: Some(2), message: message.clone() }]);

        // Another sequencer, which missed all of it, needs nothing but the block and the answer.
        let db = sled::Config::new().temporary(true).open().unwrap();
        let mut other = open(&bench.world, &db, 2);
        other.finalized(&bench.head).unwrap();
        other.finalized(&block).unwrap();
        assert_eq!(other.hear(0, 0, message).unwrap(), [Duty::Certified(subject)]);

        // Bitcoin shows another batch with this number and a certificate: that is evidence, and stays.
        let transfer = bench.world.transfer(0, 2, 6, 20, 0);
        let rival = |signers| bench.world.certified(0, &[transfer], signers).to_certificate(&instance);
        let keys = &bench.world.ledger.parameters().sequencers;
        let compare = |orderer: &Orderer, rival: &Certificate| orderer.compare(rival, 0, keys);
        assert_eq!(compare(&orderer, &rival(&[1, 2])).unwrap(), None);
        let conflict = compare(&orderer, &rival(&[1, 2, 3])).unwrap().unwrap();
        let parameters = bench.world.ledger.parameters();
        assert!(conflict.verify(&parameters.instance(), &parameters.sequencers));
        assert_eq!(matches!(conflict.one, Promise::Part(_)), matches!(subject, Subject::Part(_)));
        assert_eq!(conflict.culprits().collect::<Vec<_>>(), [1, 3]);
        assert_eq!(orderer.conflicts().unwrap(), [conflict]);
    }
}

#[test]
fn a_batch_is_cut_when_bitcoin_is_free_or_it_is_full_and_has_all_in_order() {
    let mut bench = bench();
    let mut chain = bench.chain();
    let mut finalize = |bench: &mut Bench, transactions: std::ops::Range<u64>| {
        for nonce in transactions {
            bench.submit(&bench.world.transfer(0, 1, 5, 20, nonce)).unwrap();
        }
        let block = bench.orderer.propose(&chain).unwrap().unwrap();
        bench.orderer.finalized(&block).unwrap();
        let Block { number, first, cut, .. } = *block.inner();
        let count = block.inner().decoded().unwrap().len();
        chain = vec![block];
        (number, first, count, cut)
    };
    assert_eq!(finalize(&mut bench, 0..0), (0, 0, 0, false), "nothing to cut");
    assert_eq!(finalize(&mut bench, 0..1), (0, 0, 1, true), "Bitcoin is free");
    assert_eq!(finalize(&mut bench, 1..4), (1, 0, 3, false), "batch 0 is not executed");
    assert_eq!(finalize(&mut bench, 4..6), (1, 3, 2, false));
    assert_eq!(finalize(&mut bench, 6..8), (1, 5, 1, true), "no more fit");
    assert_eq!(finalize(&mut bench, 8..8), (2, 0, 1, false), "what did not fit");

    let batch = bench.world.certified(0, &[bench.world.transfer(0, 1, 5, 20, 0)], &[0, 1, 2]);
    assert_eq!(bench.orderer.batch(0).unwrap().unwrap().transactions, batch.transactions);
    let (commit, reveal) = {
        let payload = bench.world.payload(&batch);
        bench.world.posting(payload)
    };
    bench.world.mine(vec![commit, reveal]);
    assert_eq!(finalize(&mut bench, 8..9), (2, 1, 1, false), "batch 1 is not executed");
    let transfers: Vec<_> = (1..7).map(|nonce| bench.world.transfer(0, 1, 5, 20, nonce)).collect();
    let batch = bench.world.certified(1, &transfers, &[0, 1, 2]);
    assert_eq!(bench.orderer.batch(1).unwrap().unwrap().transactions, batch.transactions);
    let (commit, reveal) = {
        let payload = bench.world.payload(&batch);
        bench.world.posting(payload)
    };
    bench.world.mine(vec![commit, reveal]);
    assert_eq!(finalize(&mut bench, 9..9), (2, 2, 0, true), "Bitcoin is free again: even an empty block cuts");
    assert_eq!(bench.orderer.batch(2).unwrap().unwrap().transactions.len(), 2);
}

#[test]
fn a_block_that_overfills_its_batch_is_refused() {
    let mut bench = bench();
    let transfers: Vec<_> = (0..7).map(|nonce| bench.world.transfer(0, 1, 5, 20, nonce)).collect();
    // Of each, 70 bytes go to Bitcoin as long as the payee has no index.
    let first = digested(bench.block(&transfers[..4]));
    let chain = bench.chain();
    assert_eq!(bench.orderer.verify(&chain, &first).unwrap(), Verdict::Valid);
    assert_eq!(first.inner().filled, 280);
    bench.orderer.finalized(&first).unwrap();
    let empty = bench.orderer.propose(std::slice::from_ref(&first)).unwrap().unwrap();
    for (count, filled, expected) in [
        (2, 280 + 140, Verdict::Valid),
        (2, 140, Verdict::Invalid),
        (2, 280 + 139, Verdict::Invalid),
        (3, 280 + 210, Verdict::Invalid),
        (3, 280 + 140, Verdict::Invalid),
    ] {
        let transactions = encoded(&transfers[4..4 + count]);
        let block = digested(Block { transactions, filled, cut: false, ..empty.inner().clone() });
        assert_eq!(bench.orderer.verify(std::slice::from_ref(&first), &block).unwrap(), expected, "{count}, {filled}");
    }
}

#[test]
fn what_a_forced_transaction_passed_waits_no_longer() {
    let mut bench = bench();
    let (waiting, forced) = (bench.world.transfer(0, 1, 5, 20, 0), bench.world.transfer(0, 1, 6, 20, 0));
    bench.submit(&waiting).unwrap();
    let (commit, reveal) = bench.world.forced(&forced);
    bench.world.mine(vec![commit, reveal]);
    (0..4).for_each(|_| bench.world.mine(Vec::new()));
    let mut chain = bench.chain();
    for _ in 0..2 {
        let block = bench.orderer.propose(&chain).unwrap().unwrap();
        assert!(block.inner().transactions.is_empty());
        bench.orderer.finalized(&block).unwrap();
        chain = vec![block];
    }
    assert_eq!(bench.orderer.waiting(), 0);
    assert_eq!(open(&bench.world, &bench.world.db, 0).waiting(), 0);
}

#[test]
fn a_fork_is_refused_and_leaves_nothing_behind() {
    let mut bench = bench();
    let (one, other) = (bench.world.transfer(0, 1, 5, 20, 0), bench.world.transfer(0, 2, 5, 20, 0));
    let (first, rival) = (digested(bench.block(&[one])), digested(bench.block(&[other])));
    bench.orderer.finalized(&first).unwrap();
    assert!(matches!(bench.orderer.finalized(&rival), Err(Error::Fork { height: 2 })));
    let ahead = digested(Block { parent: rival.digest(), height: 3, first: 1, ..bench.block_like(&first) });
    assert!(matches!(bench.orderer.finalized(&ahead), Err(Error::Fork { height: 3 })));
    for orderer in [&bench.orderer, &open(&bench.world, &bench.world.db, 0)] {
        assert_eq!(orderer.part(2).unwrap().unwrap().transactions, one.encode());
        assert_eq!(orderer.fate(&bench.world.id(&other)).unwrap(), None);
        assert_eq!((orderer.height(), orderer.next_number(), orderer.count()), (2, 0, 1));
    }
}

#[test]
fn a_sequencer_that_is_no_member_does_not_open() {
    let bench = bench();
    let opened = Orderer::open(&bench.world.db, key("stranger", 0), bench.world.ledger.clone(), 3, policy());
    assert!(matches!(opened, Err(Error::NotAMember)));
}

impl Bench {
    fn block_like(&self, block: &Digested<Block>) -> Block {
        Block { transactions: Vec::new(), ..block.inner().clone() }
    }
}
