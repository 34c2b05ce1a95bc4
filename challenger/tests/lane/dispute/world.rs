//! A miner, who may leave out what pays too little and who reorganizes, and all that is not the lane's.

use bitcoin::{Amount, Transaction, Txid};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use trestle_bridge::connector::{OperatorConnector, Tweak, key_path_witness};
use trestle_bridge::transactions::{FinalizeKind, Reveal, SignRequest, contest};
use trestle_challenger::View;
use trestle_challenger::dispute::{Duty, End, Purpose, Standing};
use trestle_challenger::lane::Answer;
use trestle_taptree_trace::turn::Turn;

use super::chain::{Chain, Fit};
use super::hands::{Challenger, Operator, claim_tx, wild_step};
use super::table::{CHECKPOINT, DELTA1, DELTA2, TURN, Table, challenger_key, sign};
use crate::referee::Witnessed;
use crate::toy::CONFIRMATIONS;

/// How the world is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Whether only what was bumped is mined.
    pub dear: bool,
    /// Of a hundred blocks how many bring a reorganization.
    pub reorgs: u32,
    /// How long after its time FinalizeUnentered comes.
    pub late: u32,
    /// How many blocks after Contest K′ is taken by somebody else.
    pub stake_gone: Option<u32>,
    /// Whether the lane's challenger contests, or another.
    pub contests: bool,
    /// Height of the chain above the claimed block when it is claimed.
    pub above: i32,
}

impl Weather {
    pub fn fair() -> Self {
        Self { dear: false, reorgs: 0, late: 0, stake_gone: None, contests: true, above: 2 * i32::from(CONFIRMATIONS) }
    }
}

/// What waits for a block.
struct Waiting {
    tx: Transaction,
    since: u32,
    bumped: bool,
}

pub struct World {
    pub chain: Chain,
    pub operator: Operator,
    pub challenger: Challenger,
    pub weather: Weather,
    rng: StdRng,
    pool: Vec<Waiting>,
    reorganized: u32,
    pub claim: Transaction,
    pub contest: Transaction,
    /// What K′ is taken by.
    thief: Option<Transaction>,
    worth: Amount,
}

/// How a dispute ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub end: Option<End>,
    /// How the claim was finalized, if it was.
    pub finalized: Option<FinalizeKind>,
    /// The lane's transactions that are mined.
    pub steps: usize,
    /// Blocks from Contest to the lane's end.
    pub blocks: u32,
    /// The last turn of the lane.
    pub turn: Option<Turn>,
    /// What the operator and the challenger have in the end.
    pub paid: [Amount; 2],
}

impl World {
    pub fn new(operator: Operator, challenger: Challenger, weather: Weather, seed: u64) -> Self {
        let table = Table::get();
        let n = i64::from(operator.said.claimed);
        let base = i64::from(CHECKPOINT) + n + i64::from(weather.above);
        let contest = table.contest(if weather.contests { super::table::challenger() } else { 0 });
        let chain = Chain::new(table, u32::try_from(base).unwrap());
        Self {
            claim: claim_tx(&operator),
            contest,
            thief: None,
            worth: chain.worth(),
            chain,
            operator,
            challenger,
            weather,
            rng: StdRng::seed_from_u64(seed),
            pool: Vec::new(),
            reorganized: 0,
        }
    }

    pub fn standing(&self) -> Standing {
        Standing::of(&Table::get().board, &self.chain).unwrap()
    }

    /// A tip, and a block.
    pub fn block(&mut self) {
        self.tip();
        if self.rng.gen_range(0..100) < self.weather.reorgs && self.chain.height() > self.reorganized + TURN {
            self.reorganize();
        } else {
            self.mine();
        }
    }

    /// Both sides look at the chain, and so does who finalizes.
    pub fn tip(&mut self) {
        let duties = self.operator.tip(&self.chain);
        self.carry_out(&duties);
        match &mut self.challenger {
            Challenger::Tower(tower) => {
                let duties = tower.tip(&self.chain, &mut self.operator);
                self.carry_out(&duties);
            }
            Challenger::Wild(wild) => {
                let asked = wild.rng.gen_range(0..40);
                if wild.rng.gen_ratio(1, 8) && self.chain.confirmed(&self.claim.compute_txid()).unwrap().is_some() {
                    let (operator, chain) = (&mut self.operator, &self.chain);
                    let answer = |ask: &_| match operator.answer(chain, ask).unwrap() {
                        Ok(answer) => Ok::<Answer, _>(answer),
                        Err(trestle_challenger::dispute::Error::Player(why)) => Err(why),
                        Err(why) => panic!("{why}"),
                    };
                    wild.ask(answer, asked, &mut Witnessed::default());
                }
                if let Some(tx) = wild_step(wild, &self.chain) {
                    // It pays whatever it takes.
                    self.push(tx, true);
                }
            }
            Challenger::Hostile(opponent) => {
                let duties = opponent.tip(&self.chain, &mut self.operator);
                self.carry_out(&duties);
            }
            Challenger::Absent => {}
        }
        self.rest();
    }

    /// What others do.
    fn rest(&mut self) {
        let (table, height) = (Table::get(), self.chain.height());
        let contested = self.chain.confirmed(&self.contest.compute_txid()).unwrap();
        let mut rest = vec![self.claim.clone(), self.contest.clone()];
        let unentered = &table.slot().finalize_unentered;
        if contested.is_some_and(|since| height >= since + DELTA1 + self.weather.late) {
            rest.push(table.complete(unentered, Reveal::Nothing));
        }
        rest.push(table.complete(&table.slot().finalize_slow, Reveal::Nothing));
        if let Some((since, after)) = contested.zip(self.weather.stake_gone)
            && height >= since + after
        {
            let thief = self.thief.get_or_insert_with(thief).clone();
            rest.push(thief);
        }
        for tx in rest {
            if self.chain.fits(&tx) == Fit::Now {
                self.push(tx, false);
            }
        }
    }

    /// What is broadcast fits in the next block, and is not in one.
    fn carry_out(&mut self, duties: &[Duty]) {
        for duty in duties {
            match duty {
                Duty::Ask(_) => {}
                Duty::Broadcast { tx, name, purpose, child } => {
                    assert_eq!(self.chain.fits(tx), Fit::Now, "{name}");
                    assert!(tx.output.len() > child.vout as usize && child.fee > Amount::ZERO, "{name}");
                    if let Purpose::Lane(what) = purpose {
                        assert_eq!(Table::get().board.graph.find(&tx.compute_txid()), Some(*what));
                    }
                    self.push(tx.clone(), false);
                }
                Duty::Bump { tx, .. } => {
                    let txid = tx.compute_txid();
                    let waiting = self.pool.iter_mut().find(|waiting| waiting.tx.compute_txid() == txid);
                    waiting.expect("it was broadcast").bumped = true;
                }
            }
        }
    }

    fn push(&mut self, tx: Transaction, bumped: bool) {
        let (txid, since) = (tx.compute_txid(), self.chain.height());
        match self.pool.iter_mut().find(|waiting| waiting.tx.compute_txid() == txid) {
            // The same with another witness, which only a liar makes.
            Some(waiting) if self.rng.r#gen() => waiting.tx = tx,
            Some(_) => {}
            None => self.pool.push(Waiting { tx, since, bumped }),
        }
    }

    fn is_lanes(&self, txid: &Txid) -> bool {
        Table::get().board.graph.find(txid).is_some()
    }

    /// The next block.
    fn mine(&mut self) {
        let height = self.chain.height();
        self.pool.shuffle(&mut self.rng);
        let mut chosen = Vec::new();
        let mut left = Vec::new();
        for waiting in std::mem::take(&mut self.pool) {
            let lanes = self.is_lanes(&waiting.tx.compute_txid());
            let pays = waiting.bumped || !lanes || !self.weather.dear;
            let old = waiting.bumped || height > waiting.since + 1;
            if pays && (old || self.rng.gen_bool(0.7)) { chosen.push(waiting) } else { left.push(waiting) }
        }
        let later = self.chain.mine(chosen.into_iter().map(|waiting| waiting.tx).collect());
        let again = |tx| Waiting { tx, since: height, bumped: false };
        self.pool = left.into_iter().chain(later.into_iter().map(again)).collect();
        self.pool.retain(|waiting| self.chain.fits(&waiting.tx) != Fit::Never);
    }

    /// Up to K blocks give way to more, in another order; perhaps one transaction is not among those any more.
    fn reorganize(&mut self) {
        let depth = self.rng.gen_range(1..=usize::from(CONFIRMATIONS));
        let mut gone = self.chain.disconnect(depth);
        self.reorganized = self.chain.height();
        if self.rng.r#gen() {
            gone.shuffle(&mut self.rng);
            gone.pop();
        }
        for tx in gone {
            self.push(tx, false);
        }
        for _ in 0..=depth {
            self.mine();
        }
    }

    /// Goes on until nothing more comes, at the latest at the claim's deadline.
    pub fn play(mut self) -> Outcome {
        let mut contested = None;
        let mut ended = None;
        let mut turn = None;
        loop {
            self.block();
            contested = self.chain.confirmed(&self.contest.compute_txid()).unwrap().or(contested);
            let height = self.chain.height();
            assert!(contested.is_none_or(|since| height <= since + DELTA2 + TURN), "{:?}", self.standing());
            match self.standing() {
                Standing::At { node, .. } => turn = Some(Table::get().board.graph.node(node).turn),
                Standing::Over { end, since } if height > since + u32::from(CONFIRMATIONS) => {
                    ended = Some((end, since));
                    break;
                }
                Standing::Unentered { since } if height > since + TURN => break,
                // K′ was taken before somebody entered, so nobody does.
                Standing::Open { since } if height > since + DELTA1 + 2 * TURN && self.is_stake_gone() => break,
                _ => {}
            }
        }
        assert_eq!(self.chain.worth() + self.chain.fees(), self.worth, "money is conserved");
        let lanes = |tx: &&Transaction| self.is_lanes(&tx.compute_txid());
        let steps = self.chain.transactions().filter(lanes).count();
        let until = ended.map_or(self.chain.height(), |(_, since)| since);
        let blocks = until - contested.unwrap();
        self.finish();
        let (end, finalized) = (ended.map(|(end, _)| end), self.finalized());
        Outcome { end, finalized, steps, blocks, turn, paid: self.paid() }
    }

    /// The rest of the claim's time, in which nothing comes of the lane.
    fn finish(&mut self) {
        let before = self.standing();
        for _ in 0..DELTA2 {
            self.chain.mine(Vec::new());
        }
        self.rest();
        self.mine();
        self.mine();
        self.mine();
        assert_eq!(std::mem::discriminant(&self.standing()), std::mem::discriminant(&before));
    }

    fn is_stake_gone(&self) -> bool {
        self.chain.spender(&Table::get().slot().contest.outpoint(contest::BOND)).unwrap().is_some()
    }

    /// What is the operator's, and what the lane's challenger's.
    fn paid(&self) -> [Amount; 2] {
        let operator = Table::get().bridge.operator(Table::get().slot().id.operator).unwrap();
        let challenger = OperatorConnector(challenger_key().x_only_public_key().0);
        [operator, challenger].map(|own| self.chain.balance(&own.script_pubkey()))
    }

    /// How the claim was finalized.
    pub fn finalized(&self) -> Option<FinalizeKind> {
        let is_mined = |kind: &FinalizeKind| {
            let finalize = Table::get().slot().finalize(*kind);
            self.chain.confirmed(&finalize.txid()).unwrap().is_some()
        };
        FinalizeKind::ALL.into_iter().find(is_mined)
    }
}

/// Another lane's Slash, as far as this one can tell.
pub fn thief() -> Transaction {
    let table = Table::get();
    let slow = &table.slot().finalize_slow;
    let mut presigned = slow.clone();
    presigned.tx.input[0].sequence = bitcoin::Sequence::ENABLE_RBF_NO_LOCKTIME;
    assert_eq!(presigned.tx.input[0].previous_output, table.slot().contest.outpoint(contest::BOND));
    let requests: Vec<SignRequest> = presigned.requests();
    assert_eq!(requests[0].tweak, Tweak::KeyPath(None));
    let mut tx = presigned.tx;
    tx.input[0].witness = key_path_witness(&sign(&table.bridge, &requests[0]));
    tx
}
