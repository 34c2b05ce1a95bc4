//! A posted batch is read as what was certified, however short it is, and as nothing else.

use std::collections::BTreeMap;

use proptest::prelude::*;
use trestle_rollup::compact::{MOST_BESIDE, Posted, most_bytes};
use trestle_rollup::envelope::Kind;
use trestle_rollup::state::ReadState as _;
use trestle_rollup::{Account, Batch, Event, SignedTransaction, Skip, Transaction, schnorr};

use crate::support::world::World;
use crate::support::{Bridge, account, destination, key};

/// Accounts 0 to 3 have coins, and their indices, 0 to 3.
fn world() -> World {
    let mut world = World::new();
    let mints = (0..4u8).map(|user| world.bridge.mint(user.into(), account(user.into()), 1)).collect();
    world.block(mints);
    world
}

/// What the batches posted for a state may name by an index.
fn indices(world: &mut World) -> BTreeMap<Account, u32> {
    let mut state = world.layer.state();
    (0..state.meta().unwrap().accounts).map(|index| (state.account_at(index).unwrap().unwrap(), index)).collect()
}

fn posted(world: &mut World, input: u32, batch: &Batch) -> bitcoin::Transaction {
    let indices = indices(world);
    let payload = batch.compact(&world.bridge.instance, |account| Ok::<_, ()>(indices.get(account).copied()));
    world.bridge.envelope(input, Kind::Batch, payload.unwrap())
}

#[test]
fn an_account_gets_the_next_index_when_it_first_has_coins_and_keeps_it() {
    let mut world = world();
    let index = |world: &mut World, user| world.layer.state().account(&account(user)).unwrap().index;
    assert_eq!((index(&mut world, 3), index(&mut world, 7)), (Some(3), None));
    let batch =
        world.bridge.batch(10, 0, &[world.bridge.transfer(0, 7, 1, 0, 0), world.bridge.transfer(0, 8, 1, 0, 1)]);
    let forced = world.bridge.forced(11, &world.bridge.transfer(7, 9, 1, 0, 0));
    let mint = world.bridge.mint(12, account(3), 0);
    world.block(vec![batch, forced, mint]);
    assert_eq!([7, 8, 9, 3].map(|user| index(&mut world, user)), [Some(4), Some(5), Some(6), Some(3)]);
    assert_eq!(indices(&mut world).len(), 7);
    // A certifier that gets its first fee comes into being, too; one that gets none does not.
    let batch = world.bridge.certified(1, &[world.bridge.transfer(0, 1, 1, 1, 2)], &[0, 1, 2]);
    let batch = posted(&mut world, 13, &batch);
    world.block(vec![batch]);
    let sequencers = indices(&mut world);
    assert_eq!(sequencers.len(), 8);
}

#[test]
fn an_index_counts_from_the_block_after_the_one_that_gave_it() {
    let mut world = world();
    let named = |world: &World, number, transfer| {
        let batch = world.bridge.certified(number, &[transfer], &[0, 1, 2]);
        let payload = batch.compact(&world.bridge.instance, |who| Ok::<_, ()>((*who == account(7)).then_some(4)));
        world.bridge.envelope(20 + u32::try_from(number).unwrap(), Kind::Batch, payload.unwrap())
    };
    let first = world.bridge.batch(10, 0, &[world.bridge.transfer(0, 7, 5, 0, 0)]);
    let second = named(&world, 1, world.bridge.transfer(1, 7, 5, 0, 0));
    let events = world.clone().block(vec![first.clone(), second.clone()]);
    assert!(matches!(events.last(), Some(Event::Skipped { why: Skip::AccountIndex, .. })), "{events:?}");
    world.block(vec![first]);
    world.block(vec![second]);
    assert_eq!(world.balance(7), 10);
}

#[test]
fn a_batch_means_the_same_whatever_is_mined_before_it() {
    let bridge = Bridge::default();
    let transfers = [bridge.transfer(0, 1, 5, 1, 0), bridge.transfer(1, 2, 7, 1, 0), bridge.transfer(0, 2, 11, 1, 1)];
    let batch = bridge.certified(0, &transfers, &[0, 1, 2]);
    let late = |forced: Option<SignedTransaction>| {
        let mut world = world();
        let batch = posted(&mut world, 30, &batch);
        let forced = forced.map(|forced| world.bridge.forced(31, &forced));
        let events = world.block(forced.into_iter().chain([batch]).collect());
        let Some(Event::Batch { applied, skipped, .. }) = events.last() else { panic!("{events:?}") };
        (*applied, *skipped, [0, 1, 2].map(|user| world.balance(user)))
    };
    let coins = 10_000_000;
    assert_eq!(late(None), (3, 0, [coins - 18, coins - 3, coins + 18]));
    // The nonce that the first entry has is gone: it is skipped, and the third one, which does not say its nonce, still is
    // the one that was signed.
    let other = bridge.transfer(0, 3, 100, 0, 0);
    assert_eq!(late(Some(other)), (2, 1, [coins - 100 - 12, coins - 8, coins + 18]));
    // The coins are gone: nothing of this account's, all of the others'.
    let all = bridge.transfer(0, 3, coins, 0, 0);
    assert_eq!(late(Some(all)), (1, 2, [0, coins - 8, coins + 7]));
}

#[test]
fn two_posters_choices_of_names_are_one_batch_and_the_first_counts() {
    let mut world = world();
    let batch = world.bridge.certified(0, &[world.bridge.transfer(0, 1, 5, 1, 0)], &[0, 1, 2]);
    let (short, long) = (posted(&mut world, 30, &batch), world.bridge.posted(31, &batch));
    assert!(short.total_size() + 60 < long.total_size());
    let (mut one, mut other) = (world.clone(), world);
    let events = one.block(vec![short.clone(), long.clone()]);
    assert!(matches!(events.last(), Some(Event::Skipped { why: Skip::BatchNumber, .. })), "{events:?}");
    other.block(vec![long, short]);
    assert_eq!([0, 1].map(|user| one.balance(user)), [0, 1].map(|user| other.balance(user)));
}

fn transactions() -> impl Strategy<Value = Vec<Transaction>> {
    let numbers = || {
        prop_oneof![
            0u64..300,
            any::<u64>(),
            (0u32..20, 1u64..1000).prop_map(|(zeros, n)| n.saturating_mul(10u64.saturating_pow(zeros)))
        ]
    };
    let one = (
        any::<bool>(),
        0usize..6,
        0usize..6,
        numbers(),
        0u64..3,
        prop_oneof![3 => Just(None), 1 => numbers().prop_map(Some)],
    );
    prop::collection::vec(one, 0..20).prop_map(|many| {
        let mut nonces = BTreeMap::<usize, u64>::new();
        let make = |(withdraws, from, to, amount, fee, jump): (bool, usize, usize, u64, u64, Option<u64>)| {
            let nonce = nonces.entry(from).or_default();
            *nonce = jump.unwrap_or(nonce.saturating_add(1)).min(u64::MAX - 1);
            let (from, nonce) = (account(from), *nonce);
            match withdraws {
                true => {
                    Transaction::Withdraw { from, destination: destination(to), denomination: to as u8, fee, nonce }
                }
                false => Transaction::Transfer { from, to: account(to), amount, fee, nonce },
            }
        };
        many.into_iter().map(make).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_posted_is_read_as_what_was_certified(
        transactions in transactions(),
        number in prop_oneof![0u64..1000, any::<u64>()],
        certificate in prop::collection::btree_map(any::<u8>(), any::<u8>(), 0..5),
        known in 0u32..6,
    ) {
        let bridge = Bridge::default();
        let sign = |transaction: &Transaction| {
            let user = (0..6).find(|user| account(*user) == transaction.from()).unwrap();
            transaction.sign(&bridge.instance, &key("user", user))
        };
        let signed: Vec<_> = transactions.iter().map(sign).collect();
        let mut batch = Batch::new(number, &signed);
        certificate.into_iter().for_each(|(index, byte)| batch.certify(index, [byte; 64]));
        let index = |account: &Account| (0..known).find(|index| crate::support::account(*index as usize) == *account);
        let payload = batch.compact(&bridge.instance, |account| Ok::<_, ()>(index(account))).unwrap();
        // Whoever posts it may know fewer indices than there are, but not than there were.
        for old in 0..=known {
            let sure = |account: &Account| Ok::<_, ()>(index(account).filter(|index| *index < old));
            let most: usize = transactions.iter().map(|transaction| most_bytes(transaction, sure).unwrap()).sum();
            prop_assert!(payload.len() <= MOST_BESIDE + most);
            let entries = payload.len() - Batch { transactions: Vec::new(), ..batch.clone() }.compact(&bridge.instance, |_| Err(())).unwrap().len();
            // The empty batch's fee is 0, which takes a byte.
            prop_assert!(entries <= most + 9, "{} of {}", entries, most);
            prop_assert!(most >= 38 * transactions.len());
        }
        let posted = Posted::decode(&payload).unwrap();
        let account = |index: u32| Ok::<_, ()>((index < known).then(|| account(index as usize)));
        let opened = posted.open(&bridge.instance, account).unwrap().unwrap();
        prop_assert_eq!(&opened.transactions, &transactions);
        prop_assert_eq!(posted.to_certificate(&opened), batch.to_certificate(&bridge.instance));
        prop_assert!(trestle_rollup::aggregate::verify(&opened.signatures, &opened.sum));
    }

    /// One changed byte, of any part, is another batch, or none: nothing of it is executed.
    #[test]
    fn a_posted_batch_with_any_byte_changed_is_skipped(at: prop::sample::Index, by in 1u8.., cut: bool) {
        let mut world = world();
        let transfers = [
            world.bridge.transfer(0, 1, 12_300, 10, 0),
            world.bridge.transfer(0, 9, 7, 11, 1),
            world.bridge.withdraw(2, 0, 10, 0),
        ];
        let batch = world.bridge.certified(0, &transfers, &[0, 1, 3]);
        let indices = indices(&mut world);
        let good = batch.compact(&world.bridge.instance, |account| Ok::<_, ()>(indices.get(account).copied())).unwrap();
        let mut payload = good.clone();
        let at = at.index(payload.len());
        match cut {
            true => payload.truncate(at),
            false => payload[at] ^= by,
        }
        let envelope = world.bridge.envelope(50, Kind::Batch, payload);
        // An empty payload is no envelope.
        prop_assert!(world.clone().skip(envelope).is_some() || at == 0);
        let envelope = world.bridge.envelope(51, Kind::Batch, good);
        prop_assert_eq!(world.skip(envelope), None);
    }

    #[test]
    fn any_bytes_are_read_or_not_without_a_panic(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let payload = [&[0, 0, 0][..], &payload].concat();
        let posted = Posted::decode(&payload).unwrap();
        let _ = posted.open(&[0; 32], |index| Ok::<_, ()>((index % 2 == 0).then_some(Account([7; 32])))).unwrap();
    }
}

#[test]
fn a_certificate_convicts_who_signed_two_batches_of_one_number() {
    let bridge = Bridge::default();
    let keys = &bridge.parameters.sequencers;
    let batch =
        |to, by: &[u8]| bridge.certified(0, &[bridge.transfer(0, to, 1, 0, 0)], by).to_certificate(&bridge.instance);
    let (one, other) = (batch(1, &[0, 1, 2]), batch(2, &[1, 2, 3]));
    assert!(
        one.verify(&bridge.instance, keys)
            && other.verify(&bridge.instance, keys)
            && one.transactions != other.transactions
    );
    let mut rows = vec![
        ("too few", batch(1, &[0, 1])),
        ("another number", {
            let mut other = one.clone();
            other.number = 1;
            other
        }),
        ("another transaction", {
            let mut other = one.clone();
            other.transactions[0][0] ^= 1;
            other
        }),
        ("one twice", {
            let mut twice = one.clone();
            twice.signatures[1] = twice.signatures[0];
            twice
        }),
        ("one more, who signed nothing", {
            let mut more = one.clone();
            more.signatures.push((3, [1; 64]));
            more
        }),
    ];
    rows.extend((0..3).map(|index| {
        let mut bad = one.clone();
        bad.signatures[index].1[9] ^= 1;
        ("a bad signature", bad)
    }));
    for (name, certificate) in rows {
        assert!(!certificate.verify(&bridge.instance, keys), "{name}");
    }
    assert!(!one.verify(&[3; 32], keys), "another bridge");
    assert!(!one.verify(&bridge.instance, &[]), "nobody certifies nothing");
    let json = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<trestle_rollup::Certificate>(&json).unwrap(), one);
    assert_eq!(schnorr::sign(&one.digest(&bridge.instance), &key("sequencer", 2)), one.signatures[2].1);
}
