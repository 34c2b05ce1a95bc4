//! The ledger: one history whatever the way to it, kept on disk, and errors rather than panics.

use proptest::prelude::*;
use trestle_rollup::native::RawBlock;
use trestle_rollup::{
    Assignment, Entry, Event, Ledger, LedgerError, Parameters, ParametersError, Refusal, SlotId, WithdrawalId,
};

use crate::support::chain::Chain;
use crate::support::memory::Memory;
use crate::support::{Bridge, account, destination};

fn database() -> sled::Db {
    sled::Config::new().temporary(true).open().unwrap()
}

/// Block number `round` of a branch: everything that goes on in an honest bridge.
fn contents(bridge: &Bridge, round: u32, branch: u32) -> Vec<bitcoin::Transaction> {
    let (input, nonce) = (round * 10 + branch * 100_000, u64::from(round));
    let user = (round % 3) as usize;
    vec![
        bridge.mint(input, account(user), (round % 2) as u8),
        bridge.mint(input + 1, account(0), 1),
        bridge.batch(input + 2, nonce, &[bridge.transfer(0, 1, 700 + u64::from(branch), 5, 2 * nonce)]),
        bridge.forced(input + 3, &bridge.withdraw(0, 0, 0, 2 * nonce + 1)),
        bridge.payout(input + 4, round / 2, destination(0), 0, None),
        bridge.payout(
            input + 5,
            round / 3,
            destination(0),
            0,
            Some(SlotId { operator: (round % 2) as u8, denomination: 0, serial: round }),
        ),
    ]
}

#[test]
fn any_block_can_be_applied_again_with_the_ledgers_nodes() {
    let bridge = Bridge::default();
    let ledger = Ledger::open(&database(), &bridge.parameters).unwrap();
    let mut chain = Chain::default();
    let blocks: Vec<_> = (0..8).map(|round| chain.block(contents(&bridge, round, 0))).collect();
    blocks.iter().for_each(|raw| drop(ledger.extend(raw).unwrap()));
    for (height, raw) in (100..).zip(&blocks) {
        let before = ledger.entry(height).unwrap().unwrap();
        let mut block = RawBlock::parse(raw).unwrap();
        let applied = trestle_rollup::apply(&before, &mut block, &mut ledger.nodes(), &mut ()).unwrap();
        assert_eq!(Some(applied.entry), ledger.entry(height + 1).unwrap());
    }
}

#[test]
fn the_ledger_follows_and_remembers() {
    let bridge = Bridge::default();
    let db = database();
    let ledger = Ledger::open(&db, &bridge.parameters).unwrap();
    let (mut chain, mut layer) = (Chain::default(), Memory::new(&bridge.parameters));
    assert_eq!(ledger.tip(), (100, layer.entry));
    let mut history: Vec<(Entry, Vec<Event>)> = Vec::new();
    for round in 0..12 {
        let raw = chain.block(contents(&bridge, round, 0));
        let events = ledger.extend(&raw).unwrap();
        assert_eq!(layer.extend(&raw), events);
        assert_eq!(ledger.tip(), (chain.height, layer.entry));
        history.push((layer.entry, events));
    }
    let again = Ledger::open(&db, &bridge.parameters).unwrap();
    for (height, (entry, events)) in (101..).zip(&history) {
        for ledger in [&ledger, &again] {
            assert_eq!(ledger.entry(height).unwrap(), Some(*entry));
            assert_eq!(ledger.events(height).unwrap(), *events);
            let view = ledger.state(height).unwrap();
            assert_eq!((view.height(), view.meta().unwrap().height), (height, height));
        }
    }
    assert_eq!(ledger.entry(99).unwrap(), None);
    assert_eq!(ledger.entry(113).unwrap(), None);
    assert!(matches!(ledger.state(113), Err(LedgerError::NoEntry(113))));
    assert!(matches!(ledger.events(99), Err(LedgerError::NoEntry(99))));
    assert_eq!(ledger.events(100).unwrap(), []);
}

#[test]
fn a_view_answers_for_its_height() {
    let bridge = Bridge::default();
    let ledger = Ledger::open(&database(), &bridge.parameters).unwrap();
    let mut chain = Chain::default();
    for round in 0..6 {
        ledger.extend(&chain.block(contents(&bridge, round, 0))).unwrap();
    }
    let old = ledger.state(101).unwrap();
    assert_eq!(old.account(&account(1)).unwrap().balance, 700);
    assert_eq!(old.withdrawal(WithdrawalId(1)).unwrap(), None);
    assert!(old.withdrawal(WithdrawalId(0)).unwrap().unwrap().paid); // cooperatively, in the same block
    assert_eq!(old.assignment(WithdrawalId(0)).unwrap(), None);
    assert_eq!(old.operator(1).unwrap().unwrap().key, bridge.parameters.operators[1]);
    assert_eq!(old.operator(2).unwrap(), None);
    assert_eq!(old.sequencer_keys(102).unwrap(), bridge.parameters.sequencers);
    assert_eq!(old.account(&account(1)).unwrap().index, Some(1));
    assert_eq!((old.account_at(1).unwrap(), old.account_at(99).unwrap()), (Some(account(1)), None));

    let view = ledger.state_at_tip();
    let pending: Vec<_> = view.pending_withdrawals().unwrap();
    let expected: Vec<_> = (0..view.meta().unwrap().withdrawals)
        .map(WithdrawalId)
        .filter_map(|id| Some((id, view.withdrawal(id).unwrap().filter(|withdrawal| !withdrawal.paid)?)))
        .collect();
    assert!(!expected.is_empty());
    assert_eq!(pending, expected);
    let (id, withdrawal) = expected[expected.len() - 1]; // requested in the tip
    assert_eq!(withdrawal.requested_height, 106);
    assert_eq!(view.assignment(id).unwrap(), Some(Assignment::Committee));
    let first = (id.0 % 2) as u8;
    assert_eq!(view.assignment_at(id, 108).unwrap(), Some(Assignment::Operator { index: first, fronting: true }));
    assert_eq!(view.assignment_at(id, 111).unwrap(), Some(Assignment::Operator { index: first, fronting: false }));
    assert_eq!(view.assignment_at(id, 113).unwrap(), Some(Assignment::Operator { index: 1 - first, fronting: true }));
}

#[test]
fn a_draft_accepts_what_a_batch_would_execute() {
    let bridge = Bridge::default();
    let ledger = Ledger::open(&database(), &bridge.parameters).unwrap();
    let mut chain = Chain::default();
    ledger.extend(&chain.block(vec![bridge.mint(1, account(0), 0)])).unwrap();
    let queue = [
        bridge.transfer(0, 1, 400_000, 10, 0),
        bridge.transfer(1, 2, 300_000, 10, 0),
        bridge.transfer(0, 1, 600_000, 10, 1),
        bridge.transfer(0, 1, 500_000, 10, 2),
        bridge.transfer(0, 1, 500_000, 10, 1),
        bridge.withdraw(1, 0, 0, 1),
    ];
    let mut draft = ledger.state_at_tip().draft().unwrap();
    let outcomes: Vec<_> = queue.iter().map(|signed| draft.execute(signed).unwrap().map(|_| ())).collect();
    assert_eq!(
        outcomes,
        [
            Ok(()),
            Ok(()),
            Err(Refusal::Balance { available: 599_990 }),
            Err(Refusal::Nonce { expected: 1 }),
            Ok(()),
            Err(Refusal::Balance { available: 599_990 }),
        ]
    );
    let events = ledger.extend(&chain.block(vec![bridge.batch(2, 0, &queue)])).unwrap();
    assert!(matches!(events.last(), Some(Event::Batch { applied: 3, skipped: 3, .. })));
    let view = ledger.state_at_tip();
    for user in 0..3 {
        assert_eq!(draft.account(&account(user)).unwrap(), view.account(&account(user)).unwrap());
    }
}

#[test]
fn what_cannot_follow_changes_nothing() {
    let bridge = Bridge::default();
    let ledger = Ledger::open(&database(), &bridge.parameters).unwrap();
    let mut chain = Chain::default();
    let first = chain.block(contents(&bridge, 0, 0));
    let second = chain.block(contents(&bridge, 1, 0));
    let tip = ledger.tip();
    assert!(matches!(ledger.extend(&second), Err(LedgerError::NotChild { tip: 100 })));
    assert!(matches!(ledger.extend(&first[..first.len() - 1]), Err(LedgerError::Block(_))));
    assert!(matches!(ledger.extend(&[]), Err(LedgerError::Block(_))));
    assert_eq!(ledger.tip(), tip);
    ledger.extend(&first).unwrap();
    assert!(matches!(ledger.extend(&first), Err(LedgerError::NotChild { tip: 101 })));
    assert!(matches!(ledger.rollback(102), Err(LedgerError::NoEntry(102))));
    assert!(matches!(ledger.rollback(99), Err(LedgerError::NoEntry(99))));
    assert_eq!(ledger.tip().0, 101);
}

#[test]
fn a_database_of_another_bridge_is_refused() {
    let (bridge, db) = (Bridge::default(), database());
    drop(Ledger::open(&db, &bridge.parameters).unwrap());
    let other = Parameters { withdrawal_fee: 5_001, ..bridge.parameters.clone() };
    assert!(matches!(Ledger::open(&db, &other), Err(LedgerError::OtherParameters)));
    let none = Parameters { denominations: vec![], ..bridge.parameters.clone() };
    assert!(matches!(Ledger::open(&db, &none), Err(LedgerError::Parameters(ParametersError::DenominationCount(0)))));
    assert!(Ledger::open(&db, &bridge.parameters).is_ok());
}

#[test]
fn parameters_that_make_no_bridge_are_refused() {
    let good = Bridge::default().parameters;
    let rows = [
        (
            Parameters { denominations: (1..10).map(|n| n * 10_000).collect(), ..good.clone() },
            ParametersError::DenominationCount(9),
        ),
        (Parameters { denominations: vec![10_000, 10_000], ..good.clone() }, ParametersError::DenominationOrder(1)),
        (Parameters { denominations: vec![5_545], ..good.clone() }, ParametersError::DenominationValue(0)),
        (Parameters { denominations: vec![u64::MAX], ..good.clone() }, ParametersError::DenominationValue(0)),
        (Parameters { operator_window: 0, ..good.clone() }, ParametersError::OperatorWindow),
        (Parameters { operators: vec![[1; 32]; 256], ..good.clone() }, ParametersError::OperatorCount(256)),
        (Parameters { sequencers: vec![[1; 32]; 256], ..good.clone() }, ParametersError::SequencerCount(256)),
        (Parameters { operators: vec![[1; 32]; 2], ..good.clone() }, ParametersError::DuplicateOperator(1)),
        (
            Parameters { sequencers: vec![[1; 32], [2; 32], [1; 32]], ..good.clone() },
            ParametersError::DuplicateSequencer(2),
        ),
    ];
    for (parameters, error) in rows {
        assert_eq!(parameters.check(), Err(error));
    }
    let most = Parameters {
        denominations: (1..9).map(|n| n * 10_000).collect(),
        operators: (0..255).map(|n| [n; 32]).collect(),
        sequencers: (0..255).map(|n| [n; 32]).collect(),
        ..good
    };
    assert_eq!(most.check(), Ok(()));
    assert!(Ledger::open(&database(), &most).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_reorganizations_give_the_state_of_a_straight_run(
        steps in prop::collection::vec((1u32..=10, 1u32..12), 1..4),
        reopen: bool,
    ) {
        let (bridge, db) = (Bridge::default(), database());
        let mut ledger = Ledger::open(&db, &bridge.parameters).unwrap();
        let mut best: Vec<(Chain, Vec<u8>)> = Vec::new(); // after each block, and the block
        for (branch, (back, forward)) in (0..).zip(steps) {
            let keep = best.len().saturating_sub(back as usize);
            best.truncate(keep);
            ledger.rollback(100 + keep as u32).unwrap();
            for _ in 0..forward {
                let mut chain = best.last().map_or_else(Chain::default, |(chain, _)| *chain);
                chain.branch = branch;
                let raw = chain.block(contents(&bridge, best.len() as u32, branch));
                ledger.extend(&raw).unwrap();
                best.push((chain, raw));
            }
            if reopen {
                ledger = Ledger::open(&db, &bridge.parameters).unwrap();
            }
        }
        let straight = Ledger::open(&database(), &bridge.parameters).unwrap();
        for (height, (_, raw)) in (101..).zip(&best) {
            let events = straight.extend(raw).unwrap();
            prop_assert_eq!(ledger.entry(height).unwrap(), straight.entry(height).unwrap());
            prop_assert_eq!(ledger.events(height).unwrap(), events);
            prop_assert_eq!(
                ledger.state(height).unwrap().pending_withdrawals().unwrap(),
                straight.state(height).unwrap().pending_withdrawals().unwrap()
            );
        }
        prop_assert_eq!(ledger.tip(), straight.tip());
    }

    #[test]
    fn a_corrupt_database_is_an_error_and_never_a_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..6),
    ) {
        let (bridge, db) = (Bridge::default(), database());
        let mut chain = Chain::default();
        let ledger = Ledger::open(&db, &bridge.parameters).unwrap();
        for round in 0..5 {
            ledger.extend(&chain.block(contents(&bridge, round, 0))).unwrap();
        }
        let straight = ledger.tip();
        drop(ledger);
        let tree = db.open_tree("trestle/rollup").unwrap();
        let keys: Vec<_> = tree.iter().keys().collect::<Result<_, _>>().unwrap();
        for (key, at, byte, how) in damage {
            let key = &keys[key.index(keys.len())];
            let mut value = tree.get(key).unwrap().map(|value| value.to_vec()).unwrap_or_default();
            match how {
                0 => drop(tree.remove(key).unwrap()),
                1 => drop(tree.insert(key, &value[..at.index(value.len() + 1)]).unwrap()),
                2 => drop(tree.insert(key, [&value[..], &[byte]].concat()).unwrap()),
                _ if value.is_empty() => {}
                _ => {
                    let at = at.index(value.len());
                    value[at] ^= byte;
                    tree.insert(key, value).unwrap();
                }
            }
        }
        // Whatever is wrong, it is said, or it does not matter: a state that is read is the right one.
        let Ok(ledger) = Ledger::open(&db, &bridge.parameters) else { return Ok(()) };
        for height in 100..=106 {
            let _ = ledger.entry(height);
            let _ = ledger.events(height);
            if let Ok(view) = ledger.state(height) {
                let _ = (view.meta(), view.account(&account(0)), view.pending_withdrawals(), view.operator(0));
            }
        }
        let tip = ledger.tip();
        let extended = ledger.extend(&chain.block(contents(&bridge, 5, 0)));
        if tip == straight && extended.is_ok() {
            let mut fresh = Memory::new(&bridge.parameters);
            let mut again = Chain::default();
            (0..6).for_each(|round| drop(fresh.extend(&again.block(contents(&bridge, round, 0)))));
            prop_assert_eq!(ledger.tip().1, fresh.entry);
        }
        let _ = ledger.rollback(102);
    }
}
