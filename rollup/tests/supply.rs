//! The first thing that must always hold (PROTOCOL §10): supply = Σ minted vaults − Σ withdrawals paid or owed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use trestle_rollup::envelope::Kind;
use trestle_rollup::state::ReadState as _;
use trestle_rollup::{
    Account, AccountState, AdminOperation, Assignment, Event, SignedTransaction, SlotId, Withdrawal, WithdrawalId,
};

use crate::support::world::World;
use crate::support::{Bridge, account, destination, key, x_only};

const USERS: usize = 4;

/// Who they are from the beginning.
const SEQUENCERS: [(&str, usize); 4] = [("sequencer", 0), ("sequencer", 1), ("sequencer", 2), ("sequencer", 3)];

/// Something that someone posts, honest or not.
#[derive(Clone, Debug)]
enum Post {
    Mint {
        deposit: u32,
        user: usize,
        denomination: u8,
        value_off: u8,
    },
    Batch {
        number_off: u64,
        by: Vec<u8>,
        transactions: Vec<Layer2>,
    },
    Forced(Layer2),
    /// Of one of the pending withdrawals, by whose turn it is unless `wrong` says what is not right.
    Payout {
        pending: prop::sample::Index,
        serial: u32,
        value_off: u8,
        wrong: Wrong,
    },
    Admin {
        operation: u8,
        index: u8,
        new: usize,
    },
    /// The same sequencers as ever, as the next set, if none is to come.
    Membership,
    Garbled {
        at: prop::sample::Index,
        byte: u8,
        post: Box<Post>,
    },
}

/// What is wrong with a payout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Payer,
    Destination,
    Denomination,
    Withdrawal,
}

/// A Layer 2 transaction whose nonce may be off.
#[derive(Clone, Debug)]
enum Layer2 {
    Transfer { from: usize, to: usize, amount: u64, fee: u64, nonce_off: u64 },
    Withdraw { from: usize, denomination: u8, fee: u64, nonce_off: u64 },
}

fn amounts() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..200_000, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

/// Mostly zero.
fn off() -> impl Strategy<Value = u8> {
    prop_oneof![6 => Just(0u8), 1 => Just(1u8), 1 => Just(255u8)]
}

fn layer2() -> impl Strategy<Value = Layer2> {
    prop_oneof![
        3 => (0..USERS, 0..USERS, amounts(), 0u64..2000, off()).prop_map(|(from, to, amount, fee, nonce_off)| {
            Layer2::Transfer { from, to, amount, fee, nonce_off: nonce_off.into() }
        }),
        2 => (0..USERS, prop_oneof![4 => Just(0u8), 2 => Just(1), 1 => 2u8..4], amounts(), off()).prop_map(|(from, denomination, fee, nonce_off)| {
            Layer2::Withdraw { from, denomination, fee: fee % 3000, nonce_off: nonce_off.into() }
        }),
    ]
}

fn posts() -> impl Strategy<Value = Post> {
    let wrong = prop_oneof![
        8 => Just(Wrong::Nothing),
        1 => Just(Wrong::Payer),
        1 => Just(Wrong::Destination),
        1 => Just(Wrong::Denomination),
        1 => Just(Wrong::Withdrawal),
    ];
    let post = prop_oneof![
        3 => (0u32..100_000, 0..USERS, 0u8..2, off()).prop_map(|(deposit, user, denomination, value_off)| {
            Post::Mint { deposit, user, denomination, value_off }
        }),
        3 => (off(), prop::sample::subsequence(vec![0u8, 1, 2, 3, 9], 1..=4), prop::collection::vec(layer2(), 0..6))
            .prop_map(|(number_off, by, transactions)| {
                Post::Batch { number_off: number_off.into(), by, transactions }
            }),
        2 => layer2().prop_map(Post::Forced),
        6 => (any::<prop::sample::Index>(), 0u32..9, off(), wrong).prop_map(|(pending, serial, value_off, wrong)| {
            Post::Payout { pending, serial, value_off, wrong }
        }),
        1 => (0u8..2, 0u8..5, 0usize..3).prop_map(|(operation, index, new)| Post::Admin { operation, index, new }),
        1 => Just(Post::Membership),
    ];
    let garbled = (any::<prop::sample::Index>(), any::<u8>(), post.clone())
        .prop_map(|(at, byte, post)| Post::Garbled { at, byte, post: Box::new(post) });
    prop_oneof![6 => post, 1 => garbled]
}

/// Turns posts into Bitcoin transactions, with the nonces that would be right if all were executed.
struct Poster<'a> {
    bridge: &'a Bridge,
    nonces: BTreeMap<usize, u64>,
    batches: u64,
    /// The number of the next set of sequencers.
    set: u32,
    /// The indices of some of the accounts that have one.
    indices: BTreeMap<Account, u32>,
    input: u32,
    /// The pending withdrawals, and whose each is in the block being made.
    pending: Vec<(WithdrawalId, Withdrawal, Assignment)>,
}

impl Poster<'_> {
    fn layer2(&mut self, transaction: &Layer2) -> SignedTransaction {
        match *transaction {
            Layer2::Transfer { from, to, amount, fee, nonce_off } => {
                let nonce = self.nonces.entry(from).or_default();
                let signed = self.bridge.transfer(from, to, amount, fee, *nonce + nonce_off);
                *nonce += 1;
                signed
            }
            Layer2::Withdraw { from, denomination, fee, nonce_off } => {
                let nonce = self.nonces.entry(from).or_default();
                let signed = self.bridge.withdraw(from, denomination, fee, *nonce + nonce_off);
                *nonce += 1;
                signed
            }
        }
    }

    fn transaction(&mut self, post: &Post) -> bitcoin::Transaction {
        self.input += 1;
        let input = 1_000_000 + self.input;
        match post {
            Post::Mint { deposit, user, denomination, value_off } => {
                let mut mint = self.bridge.mint(*deposit, account(*user), *denomination);
                mint.output[0].value += bitcoin::Amount::from_sat((*value_off).into());
                mint
            }
            Post::Batch { number_off, by, transactions } => {
                let transactions: Vec<_> = transactions.iter().map(|tx| self.layer2(tx)).collect();
                let by: Vec<u8> = if by.contains(&9) { by.clone() } else { (0..4).collect() };
                let batch = self.bridge.certified(self.batches + number_off, &transactions, &by);
                self.batches += u64::from(*number_off == 0);
                let payload =
                    batch.compact(&self.bridge.instance, |account| Ok::<_, ()>(self.indices.get(account).copied()));
                self.bridge.envelope(input, Kind::Batch, payload.unwrap())
            }
            Post::Membership => {
                let change = self.bridge.membership(self.set, &SEQUENCERS, &[0, 2, 3], &[0, 1, 3]);
                self.bridge.envelope(input, Kind::Membership, change.encode())
            }
            Post::Forced(transaction) => {
                let signed = self.layer2(transaction);
                self.bridge.forced(input, &signed)
            }
            Post::Payout { pending, serial, value_off, wrong } => {
                let Some((id, withdrawal, assignment)) = self.pending.get(pending.index(self.pending.len().max(1)))
                else {
                    return self.bridge.payout(input, 0, destination(0), 0, None);
                };
                let denomination = withdrawal.denomination;
                let of = if *wrong == Wrong::Denomination { denomination ^ 1 } else { denomination };
                let slot = match assignment {
                    Assignment::Operator { index, .. } => {
                        let operator = if *wrong == Wrong::Payer { index ^ 1 } else { *index };
                        Some(SlotId { operator, denomination: of, serial: *serial })
                    }
                    Assignment::Committee if *wrong != Wrong::Payer => None,
                    Assignment::Committee => Some(SlotId { operator: 0, denomination: of, serial: *serial }),
                };
                let id = if *wrong == Wrong::Withdrawal { id.0 ^ 1 } else { id.0 };
                let to = if *wrong == Wrong::Destination { destination(9) } else { withdrawal.destination };
                let mut payout = self.bridge.payout(input, id, to, denomination, slot);
                let value = payout.output[0].value.to_sat().wrapping_sub((*value_off).into());
                payout.output[0].value = bitcoin::Amount::from_sat(value);
                payout
            }
            Post::Admin { operation, index, new } => {
                let (index, key) = (*index, x_only(&key("new", *new)));
                self.bridge.admin(
                    input,
                    match operation {
                        0 => AdminOperation::SetOperator { index, key },
                        _ => AdminOperation::RetireOperator { index },
                    },
                )
            }
            Post::Garbled { at, byte, post } => {
                let mut transaction = self.transaction(post);
                if let Some(output) = transaction.output.get_mut(1) {
                    let mut script = output.script_pubkey.to_bytes();
                    let at = at.index(script.len());
                    script[at] ^= byte;
                    output.script_pubkey = bitcoin::ScriptBuf::from_bytes(script);
                } else {
                    let mut items = transaction.input[0].witness.to_vec();
                    let at = at.index(items[1].len());
                    items[1][at] ^= byte;
                    transaction.input[0].witness = bitcoin::Witness::from_slice(&items);
                }
                transaction
            }
        }
    }
}

/// What the events say, added up apart from the state.
#[derive(Default)]
struct Books {
    minted: u64,
    withdrawn: u64,
    paid: BTreeSet<WithdrawalId>,
    slots: BTreeSet<SlotId>,
    accounts: BTreeSet<Account>,
    deposits: BTreeSet<trestle_rollup::OutPoint>,
}

impl Books {
    fn enter(&mut self, bridge: &Bridge, event: &Event) {
        let value = |denomination: u8| bridge.parameters.denominations[usize::from(denomination)];
        match *event {
            Event::Minted { account, denomination, outpoint, .. } => {
                self.minted += value(denomination);
                self.accounts.insert(account);
                // Bitcoin lets an output be spent once; these blocks do not, so the test does.
                self.deposits.insert(outpoint);
            }
            Event::Transferred { from, to, .. } => self.accounts.extend([from, to]),
            Event::WithdrawalRequested { from, denomination, .. } => {
                self.withdrawn += value(denomination);
                self.accounts.insert(from);
            }
            Event::Paid { id, slot, .. } => {
                assert!(self.paid.insert(id), "{id} was paid twice");
                assert!(self.slots.insert(slot), "{slot} was used twice");
            }
            Event::PaidCooperatively { id, .. } => {
                assert!(self.paid.insert(id), "{id} was paid twice")
            }
            Event::Batch { .. }
            | Event::Forced { .. }
            | Event::SequencersChanged { .. }
            | Event::Administered { .. }
            | Event::Skipped { .. } => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn supply_is_minted_less_withdrawn_and_the_sum_of_balances(
        blocks in prop::collection::vec(prop::collection::vec(posts(), 0..8), 1..14),
    ) {
        let mut world = World::new();
        let bridge = world.bridge.clone();
        let mut books = Books::default();
        books.accounts.extend((0..USERS).map(account));
        books.accounts.extend(bridge.parameters.sequencers.iter().map(|key| Account(*key)));
        books.accounts.extend((0..3).map(|index| Account(x_only(&key("new", index)))));
        let mut poster = Poster { bridge: &bridge, nonces: BTreeMap::new(), batches: 0, set: 1, indices: BTreeMap::new(), input: 0, pending: vec![] };
        // Enough to begin with that much of what follows is possible.
        let mut first: Vec<_> = (0..8u32).map(|n| bridge.mint(500_000 + n, account(n as usize % USERS), n as u8 % 2)).collect();
        for posts in &blocks {
            let mut transactions = std::mem::take(&mut first);
            transactions.extend(posts.iter().map(|post| poster.transaction(post)));
            let events = world.block(transactions);
            events.iter().for_each(|event| books.enter(&bridge, event));
            let mut state = world.layer.state();
            let meta = state.meta().unwrap();
            prop_assert_eq!(meta.supply, books.minted - books.withdrawn);
            let balances: u64 = books.accounts.iter().map(|account| state.account(account).unwrap().balance).sum();
            prop_assert_eq!(meta.supply, balances);
            let owed = (0..meta.withdrawals).map(WithdrawalId).filter(|id| !state.withdrawal(*id).unwrap().unwrap().paid);
            prop_assert_eq!(owed.count() + books.paid.len(), meta.withdrawals as usize);
            // What the next posts should say, as their honest authors would know.
            poster.batches = meta.batches;
            poster.set = state.sequencers().unwrap().at(meta.height + 1).0 + 1;
            // Every second one: the others are named by their keys.
            for index in (0..meta.accounts).step_by(2) {
                poster.indices.insert(state.account_at(index).unwrap().unwrap(), index);
            }
            for account in &books.accounts {
                let known = state.account(account).unwrap();
                prop_assert!(known.index.is_some() || known == AccountState::default());
                prop_assert!(known.index.is_none_or(|index| state.account_at(index).unwrap() == Some(*account)));
            }
            let (windows, active) = (bridge.parameters.windows(), state.active_operators().unwrap());
            poster.pending.clear();
            for id in (0..meta.withdrawals).map(WithdrawalId) {
                let withdrawal = state.withdrawal(id).unwrap().unwrap();
                if !withdrawal.paid {
                    let height = meta.height + 1;
                    let assignment = Assignment::at(id, &withdrawal, height, &windows, meta.operators, &active);
                    poster.pending.push((id, withdrawal, assignment));
                }
            }
            for user in 0..USERS {
                poster.nonces.insert(user, state.account(&account(user)).unwrap().nonce);
            }
        }
    }
}
