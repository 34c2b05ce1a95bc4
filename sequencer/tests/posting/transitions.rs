//! A row a transition: what happened before, the event, and the duties.

use trestle_sequencer::poster::{Duty, Event};

use crate::posters::Posters;

/// What happens in a row; the first number is the poster's index.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The next batch gets its certificate.
    Certify,
    Tip(usize),
    /// A tip, and everything that follows from it.
    Work(usize),
    /// A posting is handed over for this batch.
    Fund(usize, u64),
    /// The posting that was handed over last is said to be lost.
    Lose(usize, u64),
    Mine,
    /// A block with nothing but the posting that came last.
    MineLast,
    /// An empty block, while everything waits.
    Stall,
    Disconnect(usize),
    /// Everything that waits for a block is forgotten.
    Evict,
    Restart(usize),
}
use Step::*;

fn run(posters: &mut Posters, step: Step) -> Vec<Duty> {
    match step {
        Tip(index) => return posters.process(index, Event::Tip),
        Fund(index, number) => {
            let batch = posters.batches.get(number as usize);
            let payload = batch.map(|batch| posters.world.payload(batch)).unwrap_or_default();
            let (commit, reveal) = posters.world.posting(payload);
            return posters.process(index, Event::Funded { number, commit, reveal });
        }
        Lose(index, number) => {
            let reveal = posters.world.pool.last().unwrap().compute_txid();
            return posters.process(index, Event::Lost { number, reveal });
        }
        Certify => posters.certify(),
        Work(index) => posters.work(index),
        Mine => posters.world.mine_pool(),
        MineLast => {
            let posting = posters.world.pool.split_off(posters.world.pool.len() - 2);
            posters.world.mine(posting);
        }
        Stall => posters.world.mine(Vec::new()),
        Disconnect(depth) => posters.world.disconnect(depth),
        Evict => posters.world.pool.clear(),
        Restart(index) => posters.restart(index),
    }
    Vec::new()
}

fn shown(duties: Vec<Duty>) -> Vec<String> {
    let show = |duty| match duty {
        Duty::Post { number, payload } => {
            let batch = trestle_rollup::compact::Posted::decode(&payload).unwrap();
            assert_eq!((batch.number, batch.signatures.len()), (number, 3));
            format!("post {number}")
        }
        Duty::Broadcast { number, .. } => format!("broadcast {number}"),
        Duty::Bump { number, waited, .. } => format!("bump {number} after {waited}"),
    };
    duties.into_iter().map(show).collect()
}

#[test]
fn every_transition_is_as_the_table_says() {
    #[rustfmt::skip]
    let table: &[(&[Step], Step, &[&str])] = &[
        (&[], Tip(0), &[]),
        (&[], Fund(0, 0), &[]),
        (&[Certify], Tip(0), &["post 0"]),
        (&[Certify, Tip(0)], Tip(0), &["post 0"]),
        (&[Certify, Tip(0), Restart(0)], Tip(0), &["post 0"]),
        (&[Certify, Certify], Tip(0), &["post 0"]),
        (&[Certify, Tip(0)], Fund(0, 0), &["broadcast 0"]),
        (&[Certify, Tip(0), Fund(0, 0)], Fund(0, 0), &["broadcast 0"]),
        (&[Certify, Tip(0), Fund(0, 0)], Tip(0), &["broadcast 0"]),
        (&[Certify, Tip(0), Fund(0, 0), Restart(0)], Tip(0), &["broadcast 0"]),
        (&[Certify, Certify], Fund(0, 1), &["post 0"]),
        (&[Certify, Work(0), Stall], Tip(0), &["broadcast 0"]),
        (&[Certify, Work(0), Stall, Stall], Tip(0), &["broadcast 0", "bump 0 after 2"]),
        (&[Certify, Work(0)], Lose(0, 0), &["post 0"]),
        (&[Certify, Work(0)], Lose(0, 1), &["broadcast 0"]),
        // Turns: batch 0 is sequencer 0's first, then 1's, and so on; batch 1 is 1's first, and 0 is the last.
        (&[Certify], Tip(1), &[]),
        (&[Certify, Tip(1), Stall], Tip(1), &[]),
        (&[Certify, Tip(1), Stall, Stall], Tip(1), &["post 0"]),
        (&[Certify, Tip(1), Stall, Restart(1), Stall], Tip(1), &["post 0"]),
        (&[Certify, Stall, Stall], Tip(1), &[]),
        (&[Certify, Tip(3), Stall, Stall, Stall, Stall, Stall], Tip(3), &[]),
        (&[Certify, Tip(3), Stall, Stall, Stall, Stall, Stall, Stall], Tip(3), &["post 0"]),
        (&[Certify, Certify, Work(0), Mine], Tip(1), &["post 1"]),
        (&[Certify, Certify, Work(0), Mine], Tip(0), &[]),
        // What somebody else has posted.
        (&[Certify, Work(1), Work(0), Mine], Tip(1), &[]),
        (&[Certify, Tip(1), Stall, Stall, Work(1), Work(0), Mine], Tip(1), &[]),
        // The wait begins again with every batch, and when a reorganization brings one back.
        (&[Certify, Certify, Work(0), Tip(2), Stall, Stall, Mine], Tip(2), &[]),
        (&[Certify, Tip(1), Work(0), Mine, Certify, Tip(1), Disconnect(1), Evict, Stall, Stall], Tip(1), &[]),
        // On Bitcoin.
        (&[Certify, Work(0), Mine], Tip(0), &[]),
        // A reorganization takes the batch out: the same posting again, or, if its coins are gone, the same bytes.
        (&[Certify, Work(0), Mine, Tip(0), Disconnect(1), Evict, Stall], Tip(0), &["broadcast 0"]),
        (&[Certify, Work(0), Mine, Tip(0), Disconnect(1), Stall], Lose(0, 0), &["post 0"]),
        (&[Certify, Work(0), Mine, Certify, Work(1), Mine, Disconnect(2), Evict, Stall], Tip(0), &["broadcast 0"]),
        // Batch 1 is mined before batch 0 and skipped: it is posted anew.
        (&[Certify, Work(0), Mine, Certify, Work(1), Disconnect(1), MineLast, Mine], Tip(1), &["post 1"]),
    ];
    for (before, event, duties) in table {
        let mut posters = Posters::new();
        for step in *before {
            run(&mut posters, *step);
        }
        assert_eq!(shown(run(&mut posters, *event)), *duties, "{before:?}, then {event:?}");
    }
}

#[test]
fn when_all_goes_well_each_batch_is_posted_once_and_by_the_next_sequencer() {
    let mut posters = Posters::new();
    for _ in 0..6 {
        posters.certify();
    }
    for _ in 0..8 {
        (0..4).for_each(|index| posters.work(index));
        posters.world.mine_pool();
    }
    assert_eq!(posters.made, [(0, 0), (1, 1), (2, 2), (3, 3), (0, 4), (1, 5)]);
    assert_eq!(posters.paid(), [1, 2, 3, 4, 5, 6]);
}
