//! What Bitcoin executed long ago is forgotten, and nothing else.

use commonware_cryptography::Digested;
use trestle_rollup::SignedTransaction;
use trestle_sequencer::consensus::{Block, Error, Fate, Message, Orderer, Subject};
use trestle_sequencer::{Policy, Receipt, receipt};

use crate::support::{CONFIRMATIONS, World, key, parameters};

/// Bitcoin blocks for which what was executed is remembered.
const HISTORY: u32 = 10;

struct Node {
    world: World,
    orderer: Orderer,
    head: Digested<Block>,
}

impl Node {
    fn new() -> Self {
        let mut world = World::new(&parameters(4));
        let mint = world.mint(0);
        world.mine(vec![mint]);
        (0..5).for_each(|_| world.mine(Vec::new()));
        let orderer = open(&world, HISTORY).unwrap();
        let head = orderer.genesis(0).unwrap().unwrap();
        let mut node = Self { world, orderer, head };
        // Its anchor has the mint.
        node.block();
        node
    }

    fn restart(&mut self, history: u32) {
        self.orderer = open(&self.world, history).unwrap();
    }

    /// A final block with whatever there is.
    fn block(&mut self) -> Block {
        let block = self.orderer.propose(std::slice::from_ref(&self.head)).unwrap().unwrap();
        self.orderer.finalized(&block).unwrap();
        self.head = block.clone();
        block.inner().clone()
    }

    /// One more transfer, final in a block of its own.
    fn pay(&mut self, nonce: u64) -> (SignedTransaction, Block) {
        let transfer = self.world.transfer(0, 1, 5, 20, nonce);
        self.orderer.submit(&[transfer.encode()]).unwrap().0[0].unwrap();
        let block = self.block();
        assert_eq!(block.transactions, transfer.encode());
        (transfer, block)
    }

    /// A Bitcoin block that executes a batch.
    fn execute(&mut self, number: u64, transfers: &[SignedTransaction]) {
        assert_eq!(self.orderer.batch(number).unwrap().unwrap().transactions, transfers);
        let batch = self.world.certified(number, transfers, &[0, 1, 2]);
        let payload = self.world.payload(&batch);
        let (commit, reveal) = self.world.posting(payload);
        self.world.mine(vec![commit, reveal]);
        assert_eq!(self.world.ledger.state_at_tip().meta().unwrap().batches, number + 1);
    }

    fn receipt(&self, transfer: &SignedTransaction) -> Option<Receipt> {
        receipt(&self.orderer, &self.world.ledger, CONFIRMATIONS, &self.world.id(transfer)).unwrap()
    }

    /// Whether all that there is of a batch's parts is there, or nothing.
    fn remembers(&self, number: u64, parts: &[(SignedTransaction, Block)]) -> bool {
        let known = self.orderer.batch(number).unwrap().is_some();
        for (transfer, Block { height, .. }) in parts {
            assert_eq!(self.orderer.part(*height).unwrap().is_some(), known, "part {height}");
            let fate = self.orderer.fate(&self.world.id(transfer)).unwrap();
            assert_eq!(fate, known.then_some(Fate::Final { height: *height }));
            assert_eq!(self.receipt(transfer).is_some(), known);
        }
        known
    }
}

fn open(world: &World, history: u32) -> Result<Orderer, Error> {
    let policy = Policy { history, ..Policy::default() };
    Orderer::open(&world.db, key("sequencer", 0), world.ledger.clone(), CONFIRMATIONS, policy)
}

#[test]
fn a_batch_is_forgotten_when_it_was_executed_long_ago_and_not_before() {
    let mut node = Node::new();
    let first = [node.pay(0)];
    let second = [node.pay(1), node.pay(2)];
    // Bitcoin has something else in the first batch's place: evidence, which stays.
    let rival = [node.world.transfer(0, 2, 6, 20, 0)];
    let rival = node.world.certified(0, &rival, &[1, 2, 3]).to_certificate(&node.world.ledger.parameters().instance());
    let keys = node.world.ledger.parameters().sequencers.clone();
    let honest = node.world.certified(0, &[first[0].0], &[1, 2, 3]);
    node.orderer
        .hear(0, 1, Message::Certificate { subject: Subject::Batch(0), signatures: honest.certificate })
        .unwrap();
    assert!(node.orderer.compare(&rival, 0, &keys).unwrap().is_some());

    node.execute(0, &[first[0].0]);
    assert!(node.block().cut, "the second batch");
    for _ in 0..HISTORY - 1 {
        node.world.mine(Vec::new());
        node.block();
        assert!(node.remembers(0, &first));
    }
    node.restart(HISTORY);
    assert!(matches!(node.receipt(&first[0].0), Some(Receipt::Executed { deep: true, .. })));
    node.world.mine(Vec::new());
    node.block();
    assert!(!node.remembers(0, &first));
    assert_eq!(node.orderer.conflicts().unwrap().len(), 1);
    assert_eq!(node.orderer.compare(&rival, 0, &keys).unwrap(), None, "what is forgotten contradicts nothing");
    let answer = node.orderer.submit(&[first[0].0.encode()]).unwrap().0.remove(0);
    assert!(answer.is_err(), "the ledger remembers its nonce");

    // What was not executed stays for however long, and the state goes on from it, also after a restart.
    (0..3 * HISTORY).for_each(|_| node.world.mine(Vec::new()));
    (0..3).for_each(|_| drop(node.block()));
    node.restart(HISTORY);
    assert!(node.remembers(1, &second));
    assert_eq!(node.orderer.account(&crate::support::account(0)).unwrap().nonce, 3);
    let third = [node.pay(3)];
    node.execute(1, &second.each_ref().map(|(transfer, _)| *transfer));
    (0..HISTORY).for_each(|_| node.world.mine(Vec::new()));
    node.block();
    assert!(!node.remembers(1, &second));
    assert!(node.remembers(2, &third));
    node.restart(HISTORY);
    assert_eq!(node.orderer.account(&crate::support::account(0)).unwrap().nonce, 4);
    node.pay(4);
}

#[test]
fn what_may_be_reorganized_is_remembered_whatever_the_policy() {
    let mut node = Node::new();
    node.restart(0);
    let first = [node.pay(0)];
    node.execute(0, &[first[0].0]);
    for _ in 0..CONFIRMATIONS - 1 {
        node.world.mine(Vec::new());
        node.block();
        assert!(node.remembers(0, &first));
    }
    node.world.disconnect(CONFIRMATIONS as usize);
    node.world.mine_pool();
    (1..CONFIRMATIONS).for_each(|_| node.world.mine(Vec::new()));
    node.block();
    assert!(node.remembers(0, &first));
    node.world.mine(Vec::new());
    node.block();
    assert!(!node.remembers(0, &first));
}

#[test]
fn much_is_forgotten_a_little_at_a_time_across_restarts() {
    const PARTS: u64 = 11;
    let mut node = Node::new();
    // The first batch is cut at once, the second when it is executed.
    let first = node.pay(0);
    let parts: Vec<_> = (1..=PARTS).map(|nonce| node.pay(nonce)).collect();
    node.execute(0, &[first.0]);
    assert!(node.block().cut);
    node.execute(1, &parts.iter().map(|(transfer, _)| *transfer).collect::<Vec<_>>());
    (0..HISTORY).for_each(|_| node.world.mine(Vec::new()));
    let mut left = Vec::new();
    while node.orderer.batch(1).unwrap().is_some() {
        node.block();
        node.restart(HISTORY);
        left.push(parts.iter().filter(|(_, block)| node.orderer.part(block.height).unwrap().is_some()).count());
    }
    assert_eq!(left, [8, 4, 0], "four parts at once, that of the first batch among them");
    let places = parts.iter().filter(|(transfer, _)| node.orderer.fate(&node.world.id(transfer)).unwrap().is_some());
    assert_eq!(places.count(), 0);
    let next = node.pay(PARTS + 1);
    assert!(node.remembers(next.1.number, std::slice::from_ref(&next)));
}
