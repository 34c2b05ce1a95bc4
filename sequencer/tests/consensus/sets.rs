//! From one set of sequencers to the next: one state machine at a time.

use commonware_cryptography::{Digested, Digestible as _};
use trestle_sequencer::consensus::{Block, Duty, Error, Handover, Message, Orderer, Part, Subject, Verdict};
use trestle_sequencer::{Policy, Rejection};

use crate::support::{CONFIRMATIONS, World, key, parameters};

/// Who is in the second set, in its order: sequencer 0 leaves, sequencer 4 joins.
const NEXT: [usize; 4] = [4, 1, 2, 3];

struct Change {
    world: World,
    dbs: Vec<sled::Db>,
    /// Those of the first set, just before its last block.
    orderers: Vec<Orderer>,
    last: Digested<Block>,
}

fn open(world: &World, db: &sled::Db, index: usize) -> Result<Orderer, Error> {
    Orderer::open(db, key("sequencer", index), world.ledger.clone(), CONFIRMATIONS, Policy::default())
}

fn join(world: &World, db: &sled::Db, handover: &Handover, parts: &[Part]) -> Result<Orderer, Error> {
    let (key, ledger) = (key("sequencer", 4), world.ledger.clone());
    Orderer::join(db, key, ledger, CONFIRMATIONS, Policy::default(), (handover, parts))
}

/// Batch 0 was cut and is not executed; the first block that sees the change has a transaction for batch 1.
fn change() -> Change {
    let mut world = World::new(&parameters(4));
    let mint = world.mint(0);
    world.mine(vec![mint]);
    (0..4).for_each(|_| world.mine(Vec::new()));
    let dbs: Vec<_> = (0..4).map(|_| sled::Config::new().temporary(true).open().unwrap()).collect();
    let mut orderers: Vec<_> = dbs.iter().enumerate().map(|(index, db)| open(&world, db, index).unwrap()).collect();
    let genesis = orderers[0].genesis(0).unwrap().unwrap();
    let empty = orderers[0].propose(&[genesis]).unwrap().unwrap();
    finalize(&mut orderers, &empty);
    orderers[0].submit(&[world.transfer(0, 1, 5, 20, 0).encode()]).unwrap();
    let first = orderers[0].propose(&[empty]).unwrap().unwrap();
    assert!(first.inner().cut && !first.inner().closes);
    finalize(&mut orderers, &first);
    let (commit, reveal) = world.change(&NEXT);
    world.mine(vec![commit, reveal]);
    (0..CONFIRMATIONS).for_each(|_| world.mine(Vec::new()));
    assert!(
        !orderers[0].propose(std::slice::from_ref(&first)).unwrap().unwrap().inner().closes,
        "the change is not deep"
    );
    world.mine(Vec::new());
    orderers[0].submit(&[world.transfer(0, 2, 6, 20, 1).encode()]).unwrap();
    let last = orderers[0].propose(std::slice::from_ref(&first)).unwrap().unwrap();
    Change { world, dbs, orderers, last }
}

fn finalize(orderers: &mut [Orderer], block: &Digested<Block>) -> Vec<Vec<Duty>> {
    orderers.iter_mut().map(|orderer| orderer.finalized(block).unwrap()).collect()
}

/// Everything that everybody wants to tell the others is told, until there is nothing more to say.
fn deliver(orderers: &mut [(usize, Orderer)], mut told: Vec<(usize, Duty)>) {
    while let Some((from, duty)) = told.pop() {
        let Duty::Tell { set, message, .. } = duty else { continue };
        let seats: Vec<_> = orderers.iter().map(|(_, orderer)| orderer.seats()).collect();
        let index = |seats: &[(u32, u8)]| seats.iter().find(|(of, _)| *of == set).map(|(_, index)| *index);
        let Some(sender) = index(&seats[from]) else { continue };
        for (to, (_, orderer)) in orderers.iter_mut().enumerate().filter(|(to, _)| *to != from) {
            if index(&seats[to]).is_some() {
                told.extend(orderer.hear(set, sender, message.clone()).unwrap().into_iter().map(|duty| (to, duty)));
            }
        }
    }
}

#[test]
fn the_first_block_that_sees_a_change_closes_the_set_and_the_next_one_goes_on_from_it() {
    let Change { world, mut orderers, last, .. } = change();
    let block = last.inner();
    assert!(block.closes && block.cut, "the last block, and with it the last batch");
    let digested = |block: Block| Digested::precomputed(block.clone(), block.digest());
    let previous = {
        let genesis = orderers[0].genesis(0).unwrap().unwrap();
        Block { height: 2, parent: block.parent, ..genesis.inner().clone() }
    };
    let chain = [Digested::precomputed(previous, block.parent)];
    let rows = [
        ("as proposed", block.clone(), Verdict::Valid),
        ("does not close", Block { closes: false, ..block.clone() }, Verdict::Invalid),
        ("leaves a batch uncut", Block { cut: false, ..block.clone() }, Verdict::Invalid),
    ];
    for (name, block, expected) in rows {
        assert_eq!(orderers[1].verify(&chain, &digested(block)).unwrap(), expected, "{name}");
    }
    // It may need blocks after it to become final; they say nothing.
    let chain = [chain[0].clone(), last.clone()];
    let follower = orderers[1].propose(&chain).unwrap().unwrap();
    assert!(follower.inner().closes && follower.inner().transactions.is_empty());
    assert_eq!(orderers[2].verify(&chain, &follower).unwrap(), Verdict::Valid);
    let transactions = block.transactions.clone();
    let rows = [
        ("with transactions", Block { transactions, ..follower.inner().clone() }),
        ("that cuts", Block { cut: true, ..follower.inner().clone() }),
        ("that does not close", Block { closes: false, ..follower.inner().clone() }),
    ];
    for (name, block) in rows {
        assert_eq!(orderers[2].verify(&chain, &digested(block)).unwrap(), Verdict::Invalid, "one {name}");
    }
    let another = orderers[2].propose(&[last.clone(), follower.clone()]).unwrap().unwrap();

    finalize(&mut orderers, &last);
    for block in [&follower, &another] {
        assert!(finalize(&mut orderers, block).iter().all(Vec::is_empty), "they are ignored");
    }
    let rejected = orderers[0].submit(&[world.transfer(0, 1, 5, 20, 2).encode()]).unwrap().0;
    assert_eq!(rejected, [Err(Rejection::LeftTheSet)]);
    assert_eq!(orderers.iter().map(Orderer::set).collect::<Vec<_>>(), [1; 4]);
    assert_eq!(orderers[0].seats(), [(0, 0)]);
    assert_eq!(orderers[2].seats(), [(0, 2), (1, 2)]);
    let genesis = orderers[1].genesis(1).unwrap().unwrap();
    assert_eq!(genesis, orderers[2].genesis(1).unwrap().unwrap());
    orderers[1].submit(&[world.transfer(0, 1, 5, 20, 2).encode()]).unwrap();
    let next = orderers[1].propose(std::slice::from_ref(&genesis)).unwrap().unwrap();
    let Block { set, height, number, .. } = *next.inner();
    assert_eq!((set, height, number), (1, block.height + 1, 2));
    assert_eq!(orderers[2].verify(&[genesis], &next).unwrap(), Verdict::Valid);
    orderers[1].finalized(&next).unwrap();
    assert_eq!(orderers[1].part(height).unwrap().unwrap().set, 1);
    assert_eq!(orderers[1].finalized(&last).unwrap(), [], "the old set's engine may say it again");
}

#[test]
fn a_set_is_closed_only_once_the_ledger_has_reached_the_anchor() {
    let Change { world, dbs, mut orderers, last } = change();
    let ledger = world.ledger.clone();
    let (tip, anchor) = (ledger.tip().0, last.inner().anchor.height);
    ledger.rollback(anchor - 1).unwrap();
    assert!(matches!(orderers[1].finalized(&last), Err(Error::Behind)));
    let reopened = open(&world, &dbs[1], 1).unwrap();
    assert_eq!((reopened.set(), reopened.seats()), (0, vec![(0, 1)]), "nothing of it is on disk");
    for raw in &world.raw[(anchor - 101) as usize..(tip - 100) as usize] {
        ledger.extend(raw).unwrap();
    }
    orderers[1].finalized(&last).unwrap();
    assert_eq!(orderers[1].seats(), [(0, 1), (1, 1)]);
}

#[test]
fn who_joins_takes_over_what_a_quorum_of_the_old_set_handed_over_and_nothing_else() {
    let Change { mut world, dbs, mut orderers, last } = change();
    let duties = finalize(&mut orderers, &last);
    assert_eq!(orderers[1].handover(1).unwrap(), None, "one signature is no quorum");
    let mut told: Vec<_> = duties
        .into_iter()
        .enumerate()
        .flat_map(|(from, duties)| duties.into_iter().map(move |duty| (from, duty)))
        .collect();
    let subject = Subject::Handover(1);
    told.retain(|(_, duty)| matches!(duty, Duty::Tell { message: Message::Signature { subject: of, .. }, .. } if *of == subject));
    assert_eq!(told.len(), 4);
    let mut orderers: Vec<_> = orderers.into_iter().enumerate().collect();
    deliver(&mut orderers, std::mem::take(&mut told));
    let handover = orderers[1].1.handover(1).unwrap().unwrap();
    assert_eq!(Handover::decode(&handover.encode()), Some(handover.clone()));
    assert_eq!(handover.pending, [2, 3]);
    let parts: Vec<_> = handover.pending.iter().map(|height| orderers[1].1.part(*height).unwrap().unwrap()).collect();

    let db = sled::Config::new().temporary(true).open().unwrap();
    assert!(matches!(open(&world, &db, 4), Err(Error::NotAMember)), "it is not in the first set");
    let mut forged = parts.clone();
    forged[1].transactions[40] ^= 1;
    let unsigned = Handover { signatures: handover.signatures[1..].to_vec(), ..handover.clone() };
    let other = Handover { genesis: Block { number: 9, ..handover.genesis.clone() }, ..handover.clone() };
    let rows: [(&str, &Handover, &[Part]); 4] = [
        ("another part", &handover, &forged),
        ("a part is missing", &handover, &parts[..1]),
        ("no quorum", &unsigned, &parts),
        ("another beginning", &other, &parts),
    ];
    for (name, handover, parts) in rows {
        assert!(matches!(join(&world, &db, handover, parts), Err(Error::Handover(1))), "{name}");
        assert!(matches!(open(&world, &db, 4), Err(Error::NotAMember)), "{name} leaves nothing behind");
    }
    drop(join(&world, &db, &handover, &parts).unwrap());
    assert!(matches!(join(&world, &db, &handover, &parts), Err(Error::Handover(1))), "it joined already");
    let mut joined = open(&world, &db, 4).unwrap();
    assert_eq!((joined.set(), joined.seats(), joined.next_number()), (1, vec![(1, 0)], 2));
    assert_eq!(joined.handover(1).unwrap(), Some(handover), "the next one may ask it");
    let payer = crate::support::account(0);
    assert_eq!(joined.account(&payer).unwrap(), orderers[1].1.account(&payer).unwrap());

    // Both batches that the first set left behind get certificates of the second one: here, and after restarts.
    orderers[2].1 = open(&world, &dbs[2], 2).unwrap();
    orderers.push((4, joined));
    assert_eq!(orderers[1].1.certified(1, 0).unwrap(), None);
    for _ in 0..3 {
        for (from, (_, orderer)) in orderers.iter_mut().enumerate() {
            told.extend(orderer.tick().unwrap().into_iter().map(|duty| (from, duty)));
        }
        deliver(&mut orderers, std::mem::take(&mut told));
    }
    let instance = world.ledger.parameters().instance();
    let keys: Vec<_> = NEXT.iter().map(|index| key("sequencer", *index).x_only_public_key().0.serialize()).collect();
    for (index, orderer) in orderers.iter().filter(|(index, _)| *index != 0) {
        for number in 0..2 {
            let batch = orderer.certified(1, number).unwrap().unwrap_or_else(|| panic!("{index} has batch {number}"));
            assert!(batch.to_certificate(&instance).verify(&instance, &keys), "{index}, batch {number}");
        }
    }
    assert_eq!(orderers[4].1.certified(0, 0).unwrap(), None, "who joined has no certificate of the first set");
    assert!(orderers[3].1.certified(0, 1).unwrap().is_some());
    world.mine(Vec::new());
    let busy: Vec<_> = orderers.iter_mut().map(|(_, orderer)| orderer.is_busy().unwrap()).collect();
    assert_eq!(busy, [false, true, true, true, true], "who has left does not use the newer anchor");
}

#[test]
fn who_leaves_a_set_asks_for_nothing_of_it_any_more() {
    let Change { mut world, dbs, mut orderers, last } = change();
    let told = finalize(&mut orderers, &last);
    // The other ones' ledgers are the first one's.
    let leave = |orderers: &mut [Orderer]| orderers.iter_mut().for_each(|orderer| orderer.leave().unwrap());
    let delay = u32::from(world.ledger.parameters().membership_delay);
    let announced = world.ledger.tip().0 - CONFIRMATIONS - 1;
    while world.ledger.tip().0 < announced + delay + CONFIRMATIONS {
        leave(&mut orderers);
        assert_eq!(orderers[1].seats(), [(0, 1), (1, 1)], "the second set does not count in a deep block");
        world.mine(Vec::new());
    }
    leave(&mut orderers);
    assert_eq!(orderers[1].seats(), [(0, 1), (1, 1)], "it lacks signatures of the handover");
    let signatures = told.iter().flatten().filter_map(|duty| match duty {
        Duty::Tell { message: message @ Message::Signature { subject: Subject::Handover(1), .. }, .. } => Some(message),
        _ => None,
    });
    for (from, message) in signatures.enumerate().filter(|(from, _)| *from != 1) {
        orderers[1].hear(0, from as u8, message.clone()).unwrap();
    }
    leave(&mut orderers);
    assert_eq!(orderers[1].seats(), [(1, 1)], "the set that goes on is not left");
    assert_eq!(orderers[2].seats(), [(0, 2), (1, 2)]);
    // Those of the old set may be gone: it asks in the new one.
    let ask = Message::Ask { subject: Subject::Handover(1) };
    assert!(orderers[2].tick().unwrap().contains(&Duty::Tell { set: 1, to: None, message: ask.clone() }));
    let answer = orderers[1].hear(1, 2, ask).unwrap();
    let [Duty::Tell { set: 1, to: Some(2), message }] = &answer[..] else { panic!("{answer:?}") };
    for index in [2, 3] {
        orderers[index].hear(1, 1, message.clone()).unwrap();
    }
    leave(&mut orderers);
    assert_eq!(orderers[2].seats(), [(1, 2)]);
    // The one that is in no other set may be asked for the handover until the second set has done something of its own.
    let transfers = [(1, 5), (2, 6), (1, 7)].into_iter().zip(0..);
    for ((to, amount), nonce) in transfers {
        let transfer = world.transfer(0, to, amount, 20, nonce);
        let payload = world.payload(&world.certified(nonce, &[transfer], &[1, 2, 3]));
        let (commit, reveal) = world.posting(payload);
        world.mine(vec![commit, reveal]);
    }
    assert_eq!(world.ledger.state_at_tip().meta().unwrap().batches, orderers[1].next_number() + 1);
    for _ in 0..CONFIRMATIONS {
        leave(&mut orderers);
        assert_eq!(orderers[0].seats(), [(0, 0)]);
        world.mine(Vec::new());
    }
    leave(&mut orderers);
    assert_eq!(orderers[0].seats(), []);
    for orderer in &mut orderers {
        let said: Vec<_> = (0..2).flat_map(|_| orderer.tick().unwrap()).collect();
        assert!(said.iter().all(|duty| matches!(duty, Duty::Tell { set: 1, .. })), "{said:?}");
    }
    drop(orderers);
    assert!(matches!(open(&world, &dbs[0], 0), Err(Error::NotAMember)), "it has no seat any more");
    let mut reopened = open(&world, &dbs[1], 1).unwrap();
    assert_eq!(reopened.seats(), [(1, 1)]);
    let ask = Message::Ask { subject: Subject::Handover(1) };
    assert_eq!(reopened.hear(0, 2, ask).unwrap(), [], "nobody is heard there");
}

#[test]
fn what_one_who_left_had_promised_is_for_those_who_stay() {
    let Change { mut world, mut orderers, last, .. } = change();
    let early = world.transfer(0, 1, 7, 20, 2);
    orderers[0].submit(&[early.encode()]).unwrap();
    finalize(&mut orderers, &last);
    let told = |orderer: &mut Orderer| {
        let said = orderer.tick().unwrap().into_iter();
        let mut said = said.filter_map(|duty| match duty {
            Duty::Tell { set: 0, to: None, message: Message::Transactions(bytes) } => Some(bytes),
            _ => None,
        });
        said.next()
    };
    assert_eq!(told(&mut orderers[0]), Some(early.encode()));
    assert_eq!(told(&mut orderers[1]), None, "who stays proposes it");
    orderers[2].hear(0, 0, Message::Transactions(early.encode())).unwrap();
    let genesis = orderers[2].genesis(1).unwrap().unwrap();
    assert_eq!(orderers[2].propose(&[genesis]).unwrap().unwrap().inner().transactions, early.encode());
    // Its nonce passes: nothing is left to be said.
    for nonce in 0..3 {
        let (commit, reveal) = world.forced(&world.transfer(0, 1, 1, 0, nonce));
        world.mine(vec![commit, reveal]);
    }
    assert_eq!(told(&mut orderers[0]), None);
}
