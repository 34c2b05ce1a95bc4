//! A bridge to play with: the demo's stage, and the mishaps.

use std::collections::HashMap;

use bitcoin::{Address, Amount, OutPoint, ScriptBuf, Transaction, TxIn, Txid};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tempfile::TempDir;
use trestle_bridge::chain::Chain;
use trestle_challenger::operator::SlotStage;
use trestle_cli::demo::{Stage, checks};
use trestle_cli::devnet::CAST;
use trestle_cli::output::Output;
use trestle_cli::rpc::Backend;
use trestle_cli::rpc::types::{Turn, WithdrawalQuery, WithdrawalState, WithdrawalStatus};
use trestle_cli::runtime::Cast;
use trestle_rollup::{Account, Event, SlotId, WithdrawalId};

/// Index of the denomination that is played with.
pub const DENOMINATION: u8 = 1;
/// The denomination, as a person types it.
pub const TENTH: &str = "0.1BTC";
/// The denomination, in satoshi.
pub const TENTH_SAT: u64 = 10_000_000;

/// Blocks within which whatever is waited for has to happen.
const PATIENCE: u32 = 250;

/// What may happen between two blocks. A chance is one in so many; 0 is never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mishaps {
    /// Chance of a restart.
    pub restart: u32,
    /// Chance of a reorganisation.
    pub reorganisation: u32,
}

/// A bridge and its users.
pub struct Play {
    // Always there, but while it restarts.
    stage: Option<Stage>,
    pub mishaps: Mishaps,
    /// How many there were.
    pub restarts: u32,
    pub reorganisations: u32,
    random: StdRng,
    _directory: TempDir,
}

impl Play {
    /// A bridge with runs of this many slots, and these users, who have a wallet and 1 BTC.
    pub fn new(slots: u32, users: &[&str]) -> Self {
        Self::with_cast(CAST, slots, users)
    }

    /// The same, with others taking part.
    pub fn with_cast(cast: Cast, slots: u32, users: &[&str]) -> Self {
        let directory = TempDir::with_prefix("trestle-bridge-").unwrap();
        let stage = Stage::with_cast(directory.path(), Output::new(true), cast).unwrap();
        stage.world().open_runs(&[DENOMINATION], slots).unwrap();
        for user in users {
            stage.user(user, &["wallet", "new"]).unwrap();
            stage.user(user, &["faucet", "1BTC"]).unwrap();
        }
        // What the users have is deeper than any reorganisation: it comes from coins that are spent as soon as they may be.
        stage.world().mine(6).unwrap();
        let random = StdRng::seed_from_u64(0);
        Self {
            stage: Some(stage),
            mishaps: Mishaps::default(),
            restarts: 0,
            reorganisations: 0,
            random,
            _directory: directory,
        }
    }

    /// From now on these things happen, as the seed has it.
    pub fn suffer(&mut self, mishaps: Mishaps, seed: u64) {
        self.mishaps = mishaps;
        self.random = StdRng::seed_from_u64(seed);
    }

    pub fn stage(&mut self) -> &mut Stage {
        self.stage.as_mut().unwrap()
    }

    pub fn seen(&self) -> &Stage {
        self.stage.as_ref().unwrap()
    }

    /// A user's command that works; returns its JSON.
    pub fn user(&self, user: &str, words: &[&str]) -> Value {
        self.seen().user(user, words).unwrap()
    }

    /// A user's command that is refused with this in its line.
    pub fn refused(&self, user: &str, words: &[&str], line: &str) {
        checks::refuses(self.seen().user(user, words), line).unwrap();
    }

    pub fn height(&self) -> u32 {
        self.seen().world().height().unwrap()
    }

    /// Everything but bitcoind and three sequencers is dropped and comes back from disk.
    pub fn restart(&mut self) {
        let stage = self.stage.take().unwrap();
        self.stage = Some(stage.reopen().unwrap());
        self.restarts += 1;
    }

    /// This signer stops answering, also after restarts; all others answer.
    pub fn take_down(&mut self, down: Option<usize>) {
        for (index, signer) in self.stage().world().runtime.signers.signers.iter_mut().enumerate() {
            signer.online = down != Some(index);
        }
    }

    /// A block with all that waits; then everybody does what is due.
    pub fn mine(&mut self) {
        self.seen().world().mine(1).unwrap();
    }

    /// A block with nothing; then everybody does what is due.
    pub fn mine_empty(&mut self) {
        let mut world = self.seen().world();
        let address = world.miner().address().clone();
        world.node().mine_empty(&address).unwrap();
        world.step().unwrap();
    }

    /// The last `depth` blocks give way to a branch that is longer by one, and whose first blocks hold nothing. Everybody looks at some of
    /// the blocks on the way.
    pub fn reorganise(&mut self, depth: u32, empty: u32) {
        let looks: Vec<bool> = (0..=depth).map(|_| self.random.gen_bool(0.5)).collect();
        self.stage().world().reorganise(depth, empty, &looks).unwrap();
        self.reorganisations += 1;
    }

    /// A block, or what else may happen.
    pub fn turn(&mut self) {
        let Mishaps { restart, reorganisation } = self.mishaps;
        if restart > 0 && self.random.gen_ratio(1, restart) {
            self.restart();
        }
        if reorganisation > 0 && self.random.gen_ratio(1, reorganisation) {
            let confirmations = u32::from(self.seen().world().runtime.bridge().parameters.confirmations);
            let depth = self.random.gen_range(1..=confirmations);
            let empty = self.random.gen_range(0..=depth);
            self.reorganise(depth, empty);
        }
        self.mine();
    }

    /// Blocks and mishaps, until it is so.
    pub fn until<T>(&mut self, what: &str, done: impl Fn(&Self) -> Option<T>) -> T {
        for _ in 0..PATIENCE {
            if let Some(answer) = done(self) {
                return answer;
            }
            self.turn();
        }
        panic!("in vain: {PATIENCE} blocks until {what}\n{}", self.report());
    }

    /// How everything stands, for who has to find out why a test fails.
    fn report(&self) -> String {
        let world = self.seen().world();
        let mut lines = vec![format!("height {}", world.height().unwrap())];
        for step in world.runtime.timeline().steps() {
            lines.push(format!("{:?} {} {} {}", step.height, step.actor, step.action, step.txid));
        }
        for operator in &world.runtime.operators {
            lines.push(format!("{:?}", operator.machine().status(&operator.role.view)));
            lines.push(format!("{:?}", operator.machine().fronts()));
        }
        let registered: Vec<_> = world.deposits.all().iter().map(|deposit| deposit.terms).collect();
        drop(world);
        for terms in registered {
            let account = bitcoin::XOnlyPublicKey::from_slice(&terms.account.0).unwrap();
            lines.push(format!("{:?}", self.seen().backend().deposits(account)));
        }
        lines.push(format!("{:?}", self.seen().backend().withdrawals(WithdrawalQuery::Pending)));
        lines.join("\n")
    }

    /// Blocks that hold nothing, until it is so.
    pub fn until_empty(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..PATIENCE {
            if done(self) {
                return;
            }
            self.mine_empty();
        }
        panic!("in vain: {PATIENCE} empty blocks until {what}");
    }

    pub fn balance(&self, user: &str) -> u64 {
        self.seen().balance(user).unwrap()
    }

    /// Until a user's balance is this, deeper than any reorganisation: what rests on coins that may still go away may fail.
    pub fn until_balance(&mut self, user: &str, sat: u64) {
        let said = self.user(user, &["wallet", "address"]);
        let key: bitcoin::XOnlyPublicKey = said["account"].as_str().unwrap().parse().unwrap();
        self.until(&format!("{user} has {sat} sat"), |play| {
            let world = play.seen().world();
            let confirmations = u32::from(world.runtime.bridge().parameters.confirmations);
            let ledger = world.runtime.ledger();
            // The sequencers look a block deeper, so that all of them know that block.
            let state = ledger.state(ledger.tip().0 - confirmations - 1).unwrap();
            (state.account(&Account::from(key)).unwrap().balance == sat).then_some(())
        });
    }

    /// The least fee that the sequencer takes, in satoshi.
    pub fn fee(&self) -> u64 {
        self.seen().world().sequencers.fee_floor().to_sat()
    }

    /// The withdrawal to the destination that a command answered with.
    pub fn withdrawal(&self, withdrawn: &Value) -> Option<WithdrawalStatus> {
        let destination = withdrawn["destination"].as_str().unwrap().parse().unwrap();
        let found = self.seen().backend().withdrawals(WithdrawalQuery::Destination(destination)).unwrap();
        assert!(found.len() <= 1, "one withdrawal to {withdrawn}");
        found.into_iter().next()
    }

    /// Until a withdrawal is paid and reimbursed, both deeper than any reorganisation; returns the slot.
    pub fn until_reimbursed(&mut self, withdrawn: &Value) -> SlotId {
        self.until("the operator is reimbursed", |play| {
            let slot = play.slot_of(play.withdrawal(withdrawn)?)?;
            let world = play.seen().world();
            let operator = &world.runtime.operators[usize::from(slot.operator)];
            let status = operator.machine().status(&operator.role.view).unwrap();
            let at = status.runs.iter().flat_map(|run| &run.slots).find(|at| at.slot == slot)?;
            let confirmations = u32::from(world.runtime.bridge().parameters.confirmations);
            match at.stage {
                SlotStage::Reimbursed { height } if height + confirmations <= world.height().unwrap() => Some(slot),
                _ => None,
            }
        })
    }

    fn slot_of(&self, withdrawal: WithdrawalStatus) -> Option<SlotId> {
        let WithdrawalState::Paid { height, by, .. } = withdrawal.state else { return None };
        assert!(matches!(by, Turn::Operator(_)), "an operator pays");
        let world = self.seen().world();
        let events = world.runtime.ledger().events(height).unwrap();
        events.iter().find_map(|event| match event {
            Event::Paid { id, slot, .. } if *id == WithdrawalId(withdrawal.id) => Some(*slot),
            _ => None,
        })
    }

    /// Every transaction on the chain since the bridge began, with its height, then those in the mempool.
    pub fn transactions(&self) -> Vec<(Transaction, Option<u32>)> {
        let world = self.seen().world();
        let genesis = world.runtime.bridge().parameters.genesis.height;
        let chain = world.node().chain();
        let mut all = Vec::new();
        for height in genesis + 1..=world.height().unwrap() {
            let block = chain.block(&chain.block_hash(height).unwrap().unwrap()).unwrap();
            all.extend(block.txdata.into_iter().map(|tx| (tx, Some(height))));
        }
        let waiting: Vec<Txid> = world.node().call("getrawmempool", &[]).unwrap();
        all.extend(waiting.iter().map(|txid| (chain.transaction(txid).unwrap().unwrap().tx, None)));
        all
    }

    /// How many transactions, mined or waiting, pay the destination of a withdrawal.
    pub fn payments(&self, withdrawn: &Value) -> Vec<(Txid, Option<u32>)> {
        let address: Address<_> = withdrawn["destination"].as_str().unwrap().parse().unwrap();
        let script: ScriptBuf = address.assume_checked().script_pubkey();
        let pays = |tx: &Transaction| tx.output.iter().any(|output| output.script_pubkey == script);
        self.transactions()
            .into_iter()
            .filter(|(tx, _)| pays(tx))
            .map(|(tx, height)| (tx.compute_txid(), height))
            .collect()
    }

    /// What a fronted withdrawal cost its operator, fee included, and what it got back from a vault.
    pub fn fronted(&self, withdrawn: &Value) -> (Amount, Amount) {
        let all: HashMap<Txid, Transaction> =
            self.transactions().into_iter().map(|(tx, _)| (tx.compute_txid(), tx)).collect();
        let [(payout, Some(_))] = self.payments(withdrawn)[..] else { panic!("paid once") };
        let (world, payout) = (self.seen().world(), &all[&payout]);
        let input = |input: &TxIn| {
            let from = input.previous_output;
            let tx = world.node().chain().transaction(&from.txid).unwrap().unwrap().tx;
            tx.output[from.vout as usize].value
        };
        // Output 2 is its change.
        let paid = payout.input.iter().map(input).sum::<Amount>()
            - payout.output.get(2).map_or(Amount::ZERO, |change| change.value);
        let vault = world.runtime.bridge().vault_script().clone();
        let is_vault = |from: &OutPoint| {
            all.get(&from.txid).is_some_and(|tx| from.vout == 0 && tx.output[0].script_pubkey == vault)
        };
        let spends = |tx: &&Transaction| tx.input.iter().any(|input| is_vault(&input.previous_output));
        let reimbursements: Vec<&Transaction> = all.values().filter(spends).collect();
        assert_eq!(reimbursements.len(), 1, "one vault was spent: {reimbursements:?}");
        (paid, reimbursements[0].output[0].value)
    }

    /// All that has to hold once nothing is under way: everyone agrees, with each other and with a ledger that begins with nothing, the
    /// vaults hold what is owed, nobody lost anything, no claim was found false, and every payment was the only one.
    pub fn settled(&self, withdrawals: &[&Value]) {
        let mut world = self.seen().world();
        checks::everyone_agrees(&mut world).unwrap();
        let again = TempDir::with_prefix("trestle-again-").unwrap();
        checks::rederives(&mut world, again.path()).unwrap();
        checks::vaults_cover_supply(&world.runtime).unwrap();
        checks::claims_were_judged_true(&world.runtime).unwrap();
        for operator in &world.runtime.operators {
            assert_eq!(operator.machine().status(&operator.role.view).unwrap().lost, []);
        }
        drop(world);
        for withdrawn in withdrawals {
            let payments = self.payments(withdrawn);
            assert!(matches!(payments[..], [(_, Some(_))]), "paid once: {payments:?}");
        }
    }

    /// The same where nobody has withdrawn.
    pub fn settled_deposits(&self) {
        let mut world = self.seen().world();
        checks::everyone_agrees(&mut world).unwrap();
        checks::vaults_cover_supply(&world.runtime).unwrap();
    }
}
