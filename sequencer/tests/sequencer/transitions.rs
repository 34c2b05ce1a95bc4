//! A row a transition: what happened before, the event, and the duties.

use trestle_rollup::SignedTransaction;
use trestle_sequencer::{Duty, Event, Policy, Receipt};

use crate::support::World;

/// What happens in a row. Numbers of transactions index [`transactions`].
#[derive(Clone, Copy, Debug)]
enum Step {
    Submit(usize),
    Garbage,
    Tip,
    Close,
    /// A tip, and everything that follows from it.
    Work,
    /// A posting is handed over for this batch.
    Fund(u64),
    /// The posting that was handed over last is said to be lost.
    Lose(u64),
    Mine,
    /// A block with nothing but the posting that came last.
    MineLast,
    /// An empty block, while everything waits.
    Stall,
    Disconnect(usize),
    /// Everything that waits for a block is forgotten.
    Evict,
    Restart,
    /// Somebody forces a transaction.
    Force(usize),
    /// Another batch takes this number.
    Rival(u64),
}
use Step::*;

/// User 0 begins with 1,000,000 sat, user 1 and 2 with nothing.
fn transactions(world: &World) -> Vec<SignedTransaction> {
    let mut wrong = world.transfer(0, 1, 1, 20, 0);
    wrong.signature[63] ^= 1;
    vec![
        world.transfer(0, 1, 100_000, 20, 0),   // 0: good
        world.transfer(0, 1, 200_000, 20, 1),   // 1: follows 0
        world.transfer(1, 2, 50_000, 20, 0),    // 2: spends what 0 pays
        world.transfer(0, 1, 100_000, 9, 0),    // 3: fee below the floor
        world.transfer(0, 1, 2_000_000, 20, 0), // 4: more than there is
        wrong,                                  // 5: bad signature
        world.withdraw(0, 7, 20, 0),            // 6: no such denomination
        world.transfer(0, 2, 100_000, 25, 0),   // 7: replaces 0 for too little
        world.transfer(0, 1, 100_000, 40, 0),   // 8: replaces 0
        world.transfer(0, 2, 900_000, 40, 0),   // 9: replaces 0, and leaves 1 or 2 unpaid
        world.transfer(0, 1, 7, 20, 2),         // 10: follows 1
        world.transfer(0, 1, 8, 20, 3),         // 11: follows 10
        world.withdraw(0, 0, 20, 0),            // 12: the fee is not there
        world.transfer(0, 2, 0, 20, 0),         // 13: nothing
    ]
}

fn run(world: &mut World, step: Step) -> Vec<Duty> {
    match step {
        Submit(number) => {
            let transaction = transactions(world)[number].encode();
            world.process(Event::Submitted { ticket: number as u64, transaction })
        }
        Garbage => world.process(Event::Submitted { ticket: 99, transaction: vec![3; 40] }),
        Tip => world.process(Event::Tip),
        Close => world.process(Event::Close),
        Work => {
            let duties = world.process(Event::Tip);
            world.carry_out(duties);
            Vec::new()
        }
        Fund(number) => {
            let payload = world.payloads.get(&number).cloned().unwrap_or_default();
            let (commit, reveal) = world.posting(payload);
            world.process(Event::Funded { number, commit, reveal })
        }
        Lose(number) => {
            let reveal = world.pool.last().unwrap().compute_txid();
            world.process(Event::Lost { number, reveal })
        }
        Mine => {
            world.mine_pool();
            Vec::new()
        }
        MineLast => {
            let posting = world.pool.split_off(world.pool.len() - 2);
            world.mine(posting);
            Vec::new()
        }
        Stall => {
            world.mine(Vec::new());
            Vec::new()
        }
        Disconnect(depth) => {
            world.disconnect(depth);
            Vec::new()
        }
        Evict => {
            world.pool.clear();
            Vec::new()
        }
        Restart => {
            world.restart();
            Vec::new()
        }
        Force(number) => {
            let transaction = transactions(world)[number];
            let forced = world.forced(&transaction);
            world.broadcast(forced);
            Vec::new()
        }
        Rival(number) => {
            let rival = world.rival(number, &[]);
            world.broadcast(rival);
            Vec::new()
        }
    }
}

fn shown(duties: Vec<Duty>) -> Vec<String> {
    let show = |duty| match duty {
        Duty::Accept { ticket, .. } => format!("accept {ticket}"),
        Duty::Reject { ticket, reason } => format!("reject {ticket}: {reason}"),
        Duty::Post { number, payload } => {
            let posted = trestle_rollup::compact::Posted::decode(&payload).unwrap();
            let account = |_: u32| Ok::<_, ()>(Some(trestle_rollup::Account([1; 32])));
            let opened = posted.open(&[0; 32], account).unwrap().unwrap();
            format!("post {number} with {}", opened.transactions.len())
        }
        Duty::Broadcast { number, .. } => format!("broadcast {number}"),
        Duty::Bump { number, waited, .. } => format!("bump {number} after {waited}"),
    };
    duties.into_iter().map(show).collect()
}

#[test]
fn every_transition_is_as_the_table_says() {
    let policy = Policy { account_limit: 3, ..Policy::default() };
    #[rustfmt::skip]
    let table: &[(&[Step], Step, &[&str])] = &[
        // Submissions.
        (&[], Submit(0), &["accept 0"]),
        (&[Submit(0)], Submit(0), &["accept 0"]),
        (&[Submit(0), Restart], Submit(0), &["accept 0"]),
        (&[], Garbage, &["reject 99: this is no Layer 2 transaction"]),
        (&[], Submit(5), &["reject 5: the signature is not valid"]),
        (&[], Submit(3), &["reject 3: the fee is 0.00000009 BTC, at least 0.00000010 BTC is asked for"]),
        (&[], Submit(4), &["reject 4: the account has only 1000000 sat"]),
        (&[], Submit(12), &["reject 12: the account has only 1000000 sat"]),
        (&[], Submit(6), &["reject 6: there is no such denomination"]),
        (&[], Submit(13), &["reject 13: the amount is zero"]),
        (&[], Submit(1), &["reject 1: the nonce should be 0"]),
        (&[Submit(0)], Submit(1), &["accept 1"]),
        (&[], Submit(2), &["reject 2: the account has only 0 sat"]),
        (&[Submit(0)], Submit(2), &["accept 2"]),
        (&[Submit(0), Restart], Submit(2), &["accept 2"]),
        (&[Submit(0), Work, Mine], Submit(0), &["accept 0"]),
        (&[Submit(0), Work, Mine], Submit(8), &["reject 8: the nonce should be 1"]),
        (&[Submit(0), Submit(1), Submit(10)], Submit(11), &["reject 11: the account has 3 transactions in the mempool, which is the most"]),
        // Replacement.
        (&[Submit(0)], Submit(7), &["reject 7: a transaction with this nonce is queued; replacing it takes a fee of 0.00000030 BTC"]),
        (&[Submit(0)], Submit(8), &["accept 8"]),
        (&[Submit(0), Submit(1), Submit(2)], Submit(8), &["accept 8"]),
        (&[Submit(0), Submit(1)], Submit(9), &["reject 9: replacing the queued transaction would invalidate others queued after it"]),
        (&[Submit(0), Submit(2)], Submit(9), &["reject 9: replacing the queued transaction would invalidate others queued after it"]),
        (&[Submit(0), Submit(8)], Tip, &["post 0 with 1"]),
        (&[Submit(0), Tip], Submit(8), &["reject 8: a transaction with this nonce is already in a certified batch"]),
        // Batches.
        (&[], Tip, &[]),
        (&[], Close, &[]),
        (&[Submit(0), Submit(1)], Tip, &["post 0 with 2"]),
        (&[Submit(0), Submit(1)], Close, &["post 0 with 2"]),
        (&[Submit(0), Tip], Tip, &["post 0 with 1"]),
        (&[Submit(0), Tip, Restart], Tip, &["post 0 with 1"]),
        (&[Submit(0), Tip, Submit(1)], Tip, &["post 0 with 1"]),
        (&[Submit(0), Tip], Fund(0), &["broadcast 0"]),
        (&[Submit(0), Tip, Fund(0)], Fund(0), &["broadcast 0"]),
        (&[Submit(0), Tip, Fund(0)], Tip, &["broadcast 0"]),
        (&[Submit(0), Tip, Fund(0), Restart], Tip, &["broadcast 0"]),
        (&[Submit(0), Tip], Fund(1), &["post 0 with 1"]),
        (&[], Fund(0), &[]),
        (&[Submit(0), Work, Stall, Stall], Tip, &["broadcast 0"]),
        (&[Submit(0), Work, Stall, Stall, Stall], Tip, &["broadcast 0", "bump 0 after 3"]),
        (&[Submit(0), Work], Lose(0), &["post 0 with 1"]),
        (&[Submit(0), Work], Lose(1), &["broadcast 0"]),
        // On Bitcoin.
        (&[Submit(0), Work, Mine], Tip, &[]),
        (&[Submit(0), Work, Submit(1), Mine], Tip, &["post 1 with 1"]),
        // A reorganization takes the batch out: the same posting again, or, if its coins are gone, the same bytes.
        (&[Submit(0), Work, Mine, Tip, Disconnect(1), Evict, Stall], Tip, &["broadcast 0"]),
        (&[Submit(0), Work, Mine, Tip, Disconnect(1), Stall], Lose(0), &["post 0 with 1"]),
        (&[Submit(0), Work, Mine, Submit(1), Work, Mine, Disconnect(2), Evict, Stall], Tip, &["broadcast 0"]),
        // Batch 1 is mined before batch 0 and skipped: it is posted anew.
        (&[Submit(0), Work, Mine, Submit(1), Work, Disconnect(1), MineLast, Work, Mine], Tip, &["post 1 with 1"]),
        // Another batch took the number: the transactions are in the next one.
        (&[Submit(0), Work, Evict, Rival(0), Mine], Tip, &["post 1 with 1"]),
        // Somebody forced what was queued, or something else in its place.
        (&[Submit(0), Force(0), Mine], Tip, &[]),
        (&[Submit(0), Submit(1), Force(8), Mine], Tip, &["post 0 with 1"]),
    ];
    for (before, event, duties) in table {
        let mut world = World::new(policy);
        let mint = world.mint(0);
        world.mine(vec![mint]);
        for step in *before {
            run(&mut world, *step);
        }
        assert_eq!(shown(run(&mut world, *event)), *duties, "{before:?}, then {event:?}");
    }
}

#[test]
fn receipts_follow_a_transaction_from_the_queue_to_its_end() {
    let mut world = World::new(Policy::default());
    let mint = world.mint(0);
    world.mine(vec![mint]);
    let good = world.transfer(0, 1, 100, 20, 0);
    let id = world.id(&good);
    let receipt = |world: &World| world.sequencer.receipt(&id).unwrap();
    assert_eq!(receipt(&world), None);
    world.process(Event::Submitted { ticket: 0, transaction: good.encode() });
    assert_eq!(receipt(&world), Some(Receipt::Pending));
    run(&mut world, Work);
    assert_eq!(receipt(&world), Some(Receipt::Batched { number: 0 }));
    world.mine_pool();
    world.tip();
    assert_eq!(receipt(&world), Some(Receipt::Executed { height: 102, deep: false }));
    world.disconnect(1);
    world.tip();
    assert_eq!(receipt(&world), Some(Receipt::Batched { number: 0 }));
    world.mine(Vec::new());
    world.mine_pool();
    world.tip();
    assert_eq!(receipt(&world), Some(Receipt::Executed { height: 103, deep: false }));
    for _ in 0..3 {
        world.mine(Vec::new());
    }
    world.restart();
    world.tip();
    assert_eq!(receipt(&world), Some(Receipt::Executed { height: 103, deep: true }));
    world.restart();
    assert_eq!(receipt(&world), Some(Receipt::Executed { height: 103, deep: true }));
}

#[test]
fn what_is_invalid_for_less_than_the_confirmations_is_not_given_up() {
    for blocks in [1, 2, 3] {
        let mut world = World::new(Policy::default());
        world.mine(Vec::new());
        let mint = world.mint(0);
        world.mine(vec![mint]);
        let good = world.transfer(0, 1, 100, 20, 0);
        let id = world.id(&good);
        world.process(Event::Submitted { ticket: 0, transaction: good.encode() });
        // The mint is reorganized away, and comes back after some blocks.
        world.disconnect(1);
        let mint = world.pool.pop().unwrap();
        for _ in 0..=blocks {
            world.mine(Vec::new());
            world.tip();
        }
        world.mine(vec![mint]);
        let duties = shown(world.tip());
        match blocks {
            3 => assert!(
                matches!(world.sequencer.receipt(&id).unwrap(), Some(Receipt::Failed { .. })) && duties.is_empty()
            ),
            _ => assert_eq!(duties, ["post 0 with 1"]),
        }
    }
}

#[test]
fn a_batch_takes_no_more_bytes_than_the_policy_says() {
    let world = World::new(Policy::default());
    let size = world.transfer(0, 1, 1, 20, 0).encode().len();
    let mut world = World::new(Policy { batch_bytes: 2 * size + 1, mempool_bytes: 3 * size, ..Policy::default() });
    let mint = world.mint(0);
    world.mine(vec![mint]);
    for nonce in 0..3 {
        let transaction = world.transfer(0, 1, 1, 20, nonce).encode();
        world.process(Event::Submitted { ticket: nonce, transaction });
    }
    let transaction = world.transfer(0, 1, 1, 20, 3).encode();
    let refused = shown(world.process(Event::Submitted { ticket: 3, transaction }));
    assert_eq!(refused, [format!("reject 3: the mempool is full ({} bytes)", 3 * size)]);
    assert_eq!(shown(world.tip()), ["post 0 with 2"]);
    run(&mut world, Work);
    world.mine_pool();
    assert_eq!(shown(world.tip()), ["post 1 with 1"]);
}
