//! Changes of the sequencers: who has to sign, and from when on they count.

use trestle_rollup::envelope::Kind;
use trestle_rollup::state::ReadState as _;
use trestle_rollup::{Event, Membership, NextSequencers, Sequencers, Skip, schnorr};

use crate::support::world::World;
use crate::support::{Bridge, SIGNERS, account, key, x_only};

const NEW: [(&str, usize); 2] = [("new", 0), ("sequencer", 1)];

fn post(world: &World, input: u32, change: &Membership) -> bitcoin::Transaction {
    world.bridge.envelope(input, Kind::Membership, change.encode())
}

#[test]
fn a_change_needs_a_quorum_of_the_sequencers_and_more_than_half_of_the_signers() {
    let bridge = Bridge::default();
    assert_eq!(SIGNERS, 4, "a majority is three, as a quorum is");
    let change = |by: &[u8], agreed: &[u8]| bridge.membership(1, &NEW, by, agreed);
    let with = |change: &dyn Fn(&mut Membership)| {
        let mut changed = bridge.membership(1, &NEW, &[0, 1, 2], &[1, 2, 3]);
        change(&mut changed);
        changed
    };
    let sign =
        |change: &Membership, name: &str, index| schnorr::sign(&change.message(&bridge.instance), &key(name, index));
    let mut rows = vec![
        ("enough", change(&[0, 1, 2], &[1, 2, 3]), None),
        ("all", change(&[0, 1, 2, 3], &[0, 1, 2, 3]), None),
        ("two of four sequencers", change(&[0, 3], &[0, 1, 2, 3]), Some(Skip::Certificate)),
        ("no sequencer", change(&[], &[0, 1, 2, 3]), Some(Skip::Certificate)),
        ("half of the signers", change(&[0, 1, 2, 3], &[0, 1]), Some(Skip::Majority)),
        ("no signer", change(&[0, 1, 2, 3], &[]), Some(Skip::Majority)),
        (
            "a sequencer who is none",
            with(&|change| change.certify(4, sign(change, "sequencer", 4))),
            Some(Skip::Certificate),
        ),
        ("a signer who is none", with(&|change| change.agree(4, sign(change, "signer", 4))), Some(Skip::Majority)),
        (
            "a sequencer for a signer",
            with(&|change| change.agree(0, sign(change, "sequencer", 0))),
            Some(Skip::Majority),
        ),
        (
            "a signer for a sequencer",
            with(&|change| change.certify(3, sign(change, "signer", 3))),
            Some(Skip::Certificate),
        ),
        ("other keys", with(&|change| change.sequencers[0][0] ^= 1), Some(Skip::Certificate)),
        ("other order", with(&|change| change.sequencers.swap(0, 1)), Some(Skip::Certificate)),
        ("nobody new", bridge.membership(1, &[], &[0, 1, 2], &[0, 1, 2]), Some(Skip::Members)),
        ("one twice", bridge.membership(1, &[NEW[0], NEW[0]], &[0, 1, 2], &[0, 1, 2]), Some(Skip::Members)),
        ("the set that there is", bridge.membership(0, &NEW, &[0, 1, 2], &[0, 1, 2]), Some(Skip::SetNumber)),
        ("the set after the next", bridge.membership(2, &NEW, &[0, 1, 2], &[0, 1, 2]), Some(Skip::SetNumber)),
        (
            "a change of another bridge",
            {
                let other = Bridge::with(trestle_rollup::Parameters { bridge: [1; 32], ..bridge.parameters.clone() });
                other.membership(1, &NEW, &[0, 1, 2], &[0, 1, 2])
            },
            Some(Skip::Certificate),
        ),
    ];
    rows.extend((0..3).map(|index| {
        ("one bad signature", with(&move |change| change.certificate[index].1[0] ^= 1), Some(Skip::Certificate))
    }));
    rows.extend(
        (0..3).map(|index| {
            ("one bad consent", with(&move |change| change.consent[index].1[40] ^= 1), Some(Skip::Majority))
        }),
    );
    for (name, change, why) in rows {
        let mut world = World::new();
        let posted = post(&world, 1, &change);
        assert_eq!(world.skip(posted), why, "{name}");
    }
    let mut world = World::new();
    let mut payload = change(&[0, 1, 2], &[0, 1, 2]).encode();
    payload.push(0);
    let longer = world.bridge.envelope(1, Kind::Membership, payload);
    assert_eq!(world.skip(longer), Some(Skip::Malformed), "something after it");
}

#[test]
fn the_new_sequencers_certify_from_the_announced_block_on_and_the_old_ones_until_then() {
    let mut world = World::funded();
    let announced = world.chain.height + 1;
    let delay = u32::from(world.bridge.parameters.membership_delay);
    let change = world.bridge.membership(1, &NEW, &[0, 1, 2], &[0, 1, 2]);
    let posted = post(&world, 1, &change);
    let events = world.block(vec![posted]);
    assert!(
        matches!(events[..], [Event::SequencersChanged { set: 1, from, .. }] if from == announced + delay),
        "{events:?}"
    );
    let sequencers = world.layer.state().sequencers().unwrap();
    let next = Some(NextSequencers { count: 2, from: announced + delay });
    assert_eq!(sequencers, Sequencers { set: 0, count: 4, next });

    let mut number = 0;
    for height in announced + 1..announced + delay + 3 {
        assert_eq!(world.chain.height + 1, height);
        let transfer = [world.bridge.transfer(0, 1, 1, 1, number)];
        let old = world.bridge.certified(number, &transfer, &[0, 2, 3]);
        let mut new = world.bridge.certified(number, &transfer, &[]);
        let digest = new.digest(&world.bridge.instance);
        for (index, (name, of)) in (0..).zip(NEW) {
            new.certify(index, schnorr::sign(&digest, &key(name, of)));
        }
        let (right, wrong) = if height < announced + delay { (old, new) } else { (new, old) };
        let (wrong, right) =
            (world.bridge.posted(10 + 2 * height, &wrong), world.bridge.posted(11 + 2 * height, &right));
        assert_eq!(world.clone().skip(wrong), Some(Skip::Certificate), "at {height}");
        assert_eq!(world.skip(right), None, "at {height}");
        let (set, count) = sequencers.at(height);
        assert_eq!((set, count), if height < announced + delay { (0, 4) } else { (1, 2) });
        number += 1;
    }
    // Pay goes to who signed: the new one has shares of the last three fees.
    let pay = |world: &mut World, name, index| {
        let account = trestle_rollup::Account(x_only(&key(name, index)));
        world.layer.state().account(&account).unwrap().balance
    };
    assert_eq!([pay(&mut world, "sequencer", 0), pay(&mut world, "new", 0)], [2, 3]);
    assert_eq!(world.balance(1), number);
    let keys = world.layer.state().sequencer_keys(1, 2).unwrap();
    assert_eq!(keys, NEW.map(|(name, index)| x_only(&key(name, index))));
    let first = world.layer.state().sequencer_keys(0, 4).unwrap();
    assert_eq!(first, world.bridge.parameters.sequencers, "the first set is still there to be shown");
}

#[test]
fn a_change_counts_once_and_waits_for_the_one_before() {
    let mut world = World::new();
    let delay = u32::from(world.bridge.parameters.membership_delay);
    let first = world.bridge.membership(1, &NEW, &[0, 1, 2], &[0, 1, 2]);
    let (posted, again) = (post(&world, 1, &first), post(&world, 2, &first));
    let rival = world.bridge.membership(1, &[("new", 5)], &[0, 1, 2], &[0, 1, 2]);
    let rival = post(&world, 3, &rival);
    let events = world.block(vec![posted, again.clone(), rival.clone()]);
    assert!(matches!(events[0], Event::SequencersChanged { .. }));
    assert!(events[1..].iter().all(|event| matches!(event, Event::Skipped { why: Skip::SetNumber, .. })), "{events:?}");

    // The next change is signed by the set that the block's batches need, which the first set is until the delay is over.
    let by_new = |world: &World, set| {
        let mut change = world.bridge.membership(set, &[("new", 7)], &[], &[0, 1, 2]);
        let message = change.message(&world.bridge.instance);
        for (index, (name, of)) in (0..).zip(NEW) {
            change.certify(index, schnorr::sign(&message, &key(name, of)));
        }
        change
    };
    let second = by_new(&world, 2);
    for _ in 1..delay {
        for early in [post(&world, 4, &second), again.clone(), rival.clone()] {
            assert_eq!(world.clone().skip(early), Some(Skip::SetNumber), "before the first one counts");
        }
        world.empty_blocks(1);
    }
    let by_old = world.bridge.membership(2, &[("new", 7)], &[0, 1, 2], &[0, 1, 2]);
    assert_eq!(world.clone().skip(again), Some(Skip::SetNumber));
    let by_old = post(&world, 5, &by_old);
    assert_eq!(world.clone().skip(by_old), Some(Skip::Certificate));
    let second = post(&world, 6, &second);
    assert_eq!(world.skip(second), None);
    let sequencers = world.layer.state().sequencers().unwrap();
    let from = world.chain.height + delay;
    assert_eq!(sequencers, Sequencers { set: 1, count: 2, next: Some(NextSequencers { count: 1, from }) });
}

#[test]
fn without_sequencers_nobody_makes_others() {
    let mut world = World::of(Bridge::new(1, 0));
    let change = world.bridge.membership(1, &NEW, &[], &[0, 1, 2, 3]);
    let posted = post(&world, 1, &change);
    assert_eq!(world.skip(posted), Some(Skip::Certificate));
    let mint = world.bridge.mint(2, account(0), 0);
    world.block(vec![mint]);
}
