//! A miner, who may leave out what pays too little and who reorganizes, a network, and all that is not the lanes'.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bitcoin::key::Keypair;
use bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use bitcoin::{Amount, OutPoint, Transaction, Txid, Witness};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use trestle_bridge::connector::{OperatorConnector, Tweak, anchor, key_path_witness, sign_key_path};
use trestle_bridge::transactions::{FinalizeKind, SignRequest, contest};
use trestle_challenger::View;
use trestle_challenger::dispute::{self, Duty, End, Purpose, Reader, Standing};
use trestle_challenger::lane::{Answer, Ask, SignatureBytes, leading, signed_by};
use trestle_challenger::operator::Child;
use trestle_taptree_trace::lane::{ChoiceId, MessageId};
use trestle_taptree_trace::turn::Turn;

use super::hands::{Challenger, Operator, claim_tx, wild_step};
use super::network::{Mail, Network, Quality};
use super::table::{CHECKPOINT, DELTA1, DELTA2, TURN, Table, operator_key, sign};
use crate::chain::{Chain, Fit, output, spend};
use crate::honest::assert_safe;
use crate::liar::Side;
use crate::toy::{CHALLENGERS, CONFIRMATIONS, challenger_key};

/// Rounds of the network from block to block.
const ROUNDS: u32 = 40;

/// How the world is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Of a hundred blocks how many begin a time in which only what was bumped is mined.
    pub spikes: u32,
    /// Of a hundred blocks how many bring a reorganization.
    pub reorgs: u32,
    /// Of a hundred tips how many a machine of the honest side does not survive before its duties are done.
    pub deaths: u32,
    /// How long after its time FinalizeUnentered comes.
    pub late: u32,
    /// Which challenger contests.
    pub contests: u16,
    /// Height of the chain above the claimed block when it is claimed.
    pub above: i32,
    pub network: Quality,
    /// Whether Core's code judges everything.
    pub judged: bool,
}

impl Weather {
    pub fn fair() -> Self {
        Self {
            spikes: 0,
            reorgs: 0,
            deaths: 0,
            late: 0,
            contests: CHALLENGERS - 1,
            above: 2 * i32::from(CONFIRMATIONS),
            network: Quality::default(),
            judged: true,
        }
    }
}

/// What waits for a block.
struct Waiting {
    tx: Transaction,
    since: u32,
    /// The level that it pays for.
    paid: u32,
    child: Option<Transaction>,
}

/// What left the machines of a lane: of each key all that was said with it.
#[derive(Default)]
struct Left {
    messages: BTreeMap<MessageId, BTreeSet<Vec<u8>>>,
    choices: BTreeMap<ChoiceId, BTreeSet<u8>>,
}

pub struct World {
    pub chain: Chain,
    pub operator: Operator,
    /// By index.
    pub challengers: Vec<Challenger>,
    pub weather: Weather,
    /// What the operator says at a tip about N, if that changes.
    pub follow: Option<fn(u32, u32) -> Side>,
    rng: StdRng,
    network: Network,
    pool: Vec<Waiting>,
    /// What a transaction has to pay for now, and until when.
    level: u32,
    until: u32,
    reorganized: u32,
    /// When each side last died before its duties were done: the operator, then the challengers.
    died: Vec<u32>,
    left: Vec<Left>,
    readers: Vec<Reader>,
    pub claim: Transaction,
    pub contest: Transaction,
    worth: Amount,
}

/// How a dispute ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Of each lane.
    pub ends: Vec<Option<End>>,
    /// How the claim was finalized, if it was.
    pub finalized: Option<FinalizeKind>,
    /// The lanes' transactions that are mined.
    pub steps: usize,
    /// Blocks from Contest until nothing more came.
    pub blocks: u32,
    /// The last turn of each lane.
    pub turns: Vec<Option<Turn>>,
    /// What the operator has in the end.
    pub operator: Amount,
    /// What each challenger has in the end, and what its lane has cost: fees, and what is left at anchors.
    pub challengers: Vec<(Amount, Amount)>,
}

impl World {
    pub fn new(operator: Operator, challengers: Vec<Challenger>, weather: Weather, seed: u64) -> Self {
        let table = Table::get();
        let n = i64::from(operator.said.claimed);
        let base = i64::from(CHECKPOINT) + n + i64::from(weather.above);
        let mut chain = Chain::bare(&table.bridge.rollup, u32::try_from(base).unwrap(), &table.coins);
        chain.judges = weather.judged;
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            claim: claim_tx(&operator),
            contest: table.contest(weather.contests),
            worth: chain.worth(),
            network: Network::new(rng.r#gen(), weather.network),
            died: vec![0; challengers.len() + 1],
            left: challengers.iter().map(|_| Left::default()).collect(),
            readers: challengers.iter().map(|_| Reader::default()).collect(),
            chain,
            operator,
            challengers,
            weather,
            follow: None,
            rng,
            pool: Vec::new(),
            level: 0,
            until: 0,
            reorganized: 0,
        }
    }

    /// A world in which the last challenger alone does something.
    pub fn of_one(operator: Operator, challenger: Challenger, weather: Weather, seed: u64) -> Self {
        let mut challengers: Vec<_> = (1..CHALLENGERS).map(|_| Challenger::Absent).collect();
        challengers.push(challenger);
        Self::new(operator, challengers, weather, seed)
    }

    fn lanes(&self) -> impl Iterator<Item = u16> + use<> {
        (0..CHALLENGERS).take(self.challengers.len())
    }

    pub fn standing(&mut self, lane: u16) -> Standing {
        let reader = &mut self.readers[usize::from(lane)];
        let standing = Standing::read(Table::get().board(lane), &self.chain, reader).unwrap();
        if let Standing::At { shown, .. } = &standing {
            let left = &mut self.left[usize::from(lane)];
            for (id, signature) in &shown.messages {
                left.messages.entry(*id).or_default().insert(signature.digits().to_vec());
            }
            for (id, choice) in &shown.choices {
                left.choices.entry(*id).or_default().insert(choice.option);
            }
        }
        standing
    }

    /// A tip, what is said at it, and a block.
    pub fn block(&mut self) {
        self.tip();
        self.talk();
        if self.rng.gen_range(0..100) < self.weather.reorgs && self.chain.height() > self.reorganized + TURN {
            self.reorganize();
        } else {
            self.mine();
        }
    }

    /// All sides look at the chain, and so does who finalizes.
    fn tip(&mut self) {
        if let Some(follow) = self.follow {
            self.operator.said = follow(self.chain.height(), self.operator.said.claimed);
        }
        for lane in self.lanes() {
            let duties = self.operator.tip(&self.chain, lane);
            if self.dies(0) {
                self.operator.restart();
            } else {
                self.carry_out(lane, &operator_key(), &duties);
            }
        }
        for lane in self.lanes() {
            let mut challenger = std::mem::replace(&mut self.challengers[usize::from(lane)], Challenger::Absent);
            match &mut challenger {
                Challenger::Tower(tower) => {
                    let duties = tower.tip(&self.chain);
                    if self.dies(1 + usize::from(lane)) {
                        tower.restart();
                    } else {
                        self.carry_out(lane, &challenger_key(lane), &duties);
                    }
                }
                Challenger::Wild(wild, patience) => {
                    if wild.rng.gen_ratio(1, 8) && self.chain.confirmed(&self.claim.compute_txid()).unwrap().is_some() {
                        let moves = wild.rng.gen_range(0..40);
                        wild.ask(|ask| self.answer(lane, ask), moves);
                    }
                    let contested = self.contested();
                    let enters = contested.is_some_and(|since| self.chain.height() >= since + *patience);
                    if let Some(tx) = enters.then(|| wild_step(wild, &self.standing(lane))).flatten() {
                        // It pays whatever it takes.
                        self.push(tx, u32::MAX);
                    }
                }
                Challenger::Hostile(opponent) => {
                    let mut duties = opponent.tip(&self.chain);
                    // It asks as much as the operator answers.
                    while let Some(Duty::Ask(ask)) = duties.first().cloned() {
                        let answer = self.answer(lane, &ask);
                        let next = answer.ok().and_then(|answer| opponent.receive(ask.wanted, &answer));
                        duties = next.map(Duty::Ask).into_iter().collect();
                    }
                    self.carry_out(lane, &challenger_key(lane), &duties);
                }
                Challenger::Absent => {}
            }
            self.challengers[usize::from(lane)] = challenger;
        }
        self.rest();
    }

    /// Whether a side dies now. Not often enough to miss a turn by that alone.
    fn dies(&mut self, side: usize) -> bool {
        let dies = self.chain.height() > self.died[side] + TURN && self.rng.gen_range(0..100) < self.weather.deaths;
        if dies {
            self.died[side] = self.chain.height();
        }
        dies
    }

    pub fn contested(&self) -> Option<u32> {
        self.chain.confirmed(&self.contest.compute_txid()).unwrap()
    }

    /// What the operator answers to somebody at its door.
    fn answer(&mut self, lane: u16, ask: &Ask) -> Result<Answer, trestle_challenger::lane::Error> {
        match self.operator.answer(&self.chain, lane, ask) {
            Some(Ok(answer)) => {
                self.leaves(lane, ask, &answer);
                Ok(answer)
            }
            Some(Err(dispute::Error::Player(why))) if self.operator.said.is_true() => Err(why),
            // A liar says what it likes.
            other => {
                assert!(!self.operator.said.is_true(), "{other:?}");
                Err(trestle_challenger::lane::Error::NoSuchMove(ask.wanted))
            }
        }
    }

    /// What is said until the next block.
    fn talk(&mut self) {
        for _ in 0..ROUNDS {
            while let Some(mail) = self.network.receive() {
                match mail {
                    Mail::Ask(lane, ask) => {
                        if let Some(Ok(answer)) = self.operator.answer(&self.chain, lane, &ask) {
                            self.leaves(lane, &ask, &answer);
                            self.network.send(Mail::Answer(lane, ask.wanted, answer));
                        }
                    }
                    Mail::Answer(lane, wanted, answer) => {
                        let Challenger::Tower(tower) = &mut self.challengers[usize::from(lane)] else { continue };
                        if let Some(ask) = tower.receive(wanted, &answer) {
                            self.ask(lane, ask);
                        }
                    }
                }
            }
            self.network.wait();
        }
    }

    fn ask(&mut self, lane: u16, ask: Ask) {
        let left = &mut self.left[usize::from(lane)].choices;
        for (id, choice) in leading(ask.wanted).into_iter().zip(&ask.choices) {
            left.entry(id).or_default().insert(choice.option);
        }
        self.network.send(Mail::Ask(lane, ask));
    }

    /// An answer leaves the operator.
    fn leaves(&mut self, lane: u16, ask: &Ask, answer: &Answer) {
        let left = &mut self.left[usize::from(lane)].messages;
        for (id, SignatureBytes(bytes)) in signed_by(ask.wanted).into_iter().zip(&answer.signatures) {
            let digits = bytes.iter().skip(20).step_by(21).copied().collect();
            left.entry(id).or_default().insert(digits);
        }
    }

    /// What others do.
    fn rest(&mut self) {
        let (table, height) = (Table::get(), self.chain.height());
        let [[_, fast], [unentered, other], [slow, last]] = FinalizeKind::ALL.map(|kind| table.finals(kind));
        let mut rest = vec![&self.claim, &self.contest, slow, fast, other, last];
        if self.contested().is_some_and(|since| height >= since + DELTA1 + self.weather.late) {
            rest.push(unentered);
        }
        let rest: Vec<Transaction> = rest.into_iter().filter(|tx| self.chain.fits(tx) == Fit::Now).cloned().collect();
        rest.into_iter().for_each(|tx| self.push(tx, 0));
    }

    /// What is broadcast fits in the next block, and is not in one.
    fn carry_out(&mut self, lane: u16, key: &Keypair, duties: &[Duty]) {
        for duty in duties {
            match duty {
                Duty::Ask(ask) => self.ask(lane, ask.clone()),
                Duty::Broadcast { tx, name, purpose, child } => {
                    assert_eq!(self.chain.fits(tx), Fit::Now, "{name}");
                    assert!(tx.output.len() > child.vout as usize && child.fee > Amount::ZERO, "{name}");
                    if let Purpose::Lane(what) = purpose {
                        assert_eq!(Table::get().board(lane).graph.find(&tx.compute_txid()), Some(*what));
                    }
                    self.push(tx.clone(), 0);
                }
                Duty::Bump { tx, child, .. } => {
                    let txid = tx.compute_txid();
                    let at = self.pool.iter().position(|waiting| waiting.tx.compute_txid() == txid);
                    let at = at.expect("it was broadcast");
                    if self.pool[at].child.is_none() {
                        let child = self.child(tx, *child, key);
                        self.pool[at].child = Some(child);
                    }
                    self.pool[at].paid = self.level.max(1);
                }
            }
        }
    }

    /// What a wallet pays more with: the child's handle, and a coin.
    fn child(&mut self, tx: &Transaction, child: Child, key: &Keypair) -> Transaction {
        let (coin, handle) = (self.chain.coin(), OutPoint::new(tx.compute_txid(), child.vout));
        let (paid, own) = (self.chain.output(&coin).unwrap().clone(), tx.output[child.vout as usize].clone());
        self.worth += paid.value;
        let fee = 10_000;
        let mut bump = spend(coin, vec![output(paid.value.to_sat() - fee, paid.script_pubkey.clone())]);
        bump.input[0].witness = Witness::new();
        let mut input = bump.input[0].clone();
        input.previous_output = handle;
        bump.input.push(input);
        if own != anchor::output() {
            bump.output.push(own.clone());
            let prevouts = [paid, own];
            let mut cache = SighashCache::new(&bump);
            let all = Prevouts::All(&prevouts);
            let hash = cache.taproot_key_spend_signature_hash(1, &all, TapSighashType::Default).unwrap();
            bump.input[1].witness = key_path_witness(&sign_key_path(key, *hash.as_ref()));
        }
        bump
    }

    fn push(&mut self, tx: Transaction, paid: u32) {
        let (txid, since) = (tx.compute_txid(), self.chain.height());
        match self.pool.iter_mut().find(|waiting| waiting.tx.compute_txid() == txid) {
            // The same with another witness.
            Some(waiting) if self.rng.r#gen() => waiting.tx = tx,
            Some(_) => {}
            None => self.pool.push(Waiting { tx, since, paid, child: None }),
        }
    }

    /// Which lane's a transaction is.
    fn lane_of(&self, txid: &Txid) -> Option<u16> {
        self.lanes().find(|lane| Table::get().board(*lane).graph.find(txid).is_some())
    }

    /// Prices change.
    fn trade(&mut self) {
        let height = self.chain.height();
        if self.level > 0 && height >= self.until {
            (self.level, self.until) = (0, height + TURN);
        } else if self.level == 0 && height >= self.until && self.rng.gen_range(0..100) < self.weather.spikes {
            (self.level, self.until) = (self.rng.gen_range(1..10), height + self.rng.gen_range(1..4 * TURN));
        }
    }

    /// The next block.
    fn mine(&mut self) {
        self.trade();
        let height = self.chain.height();
        self.pool.shuffle(&mut self.rng);
        let (mut chosen, mut left) = (Vec::new(), Vec::new());
        for waiting in std::mem::take(&mut self.pool) {
            let lanes = self.level > 0 && self.lane_of(&waiting.tx.compute_txid()).is_some();
            let old = waiting.paid > 0 || height > waiting.since + 1;
            let taken = (!lanes || waiting.paid >= self.level) && (old || self.rng.gen_bool(0.7));
            if taken { chosen.push(waiting) } else { left.push(waiting) }
        }
        let paid: HashMap<Txid, u32> = chosen.iter().map(|waiting| (waiting.tx.compute_txid(), waiting.paid)).collect();
        let block = chosen.into_iter().flat_map(|waiting| [Some(waiting.tx), waiting.child]).flatten().collect();
        for tx in self.chain.mine(block) {
            // A child that came to nothing is made again.
            if let Some(paid) = paid.get(&tx.compute_txid()).copied() {
                left.push(Waiting { tx, since: height, paid, child: None });
            }
        }
        self.pool = left;
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
        // What paid enough for those blocks pays enough for these.
        let level = self.level;
        gone.into_iter().for_each(|tx| self.push(tx, level));
        for _ in 0..=depth {
            self.mine();
        }
    }

    /// Goes on until nothing more comes, at the latest at the claim's deadline.
    pub fn play(mut self) -> Outcome {
        let (mut turns, mut contested) = (vec![None; self.challengers.len()], None);
        loop {
            self.block();
            contested = self.contested().or(contested);
            let height = self.chain.height();
            let standings: Vec<Standing> = self.lanes().map(|lane| self.standing(lane)).collect();
            for ((lane, standing), turn) in self.lanes().zip(&standings).zip(&mut turns) {
                if let Standing::At { node, .. } = standing {
                    *turn = Some(Table::get().board(lane).graph.node(*node).turn);
                }
            }
            if standings.iter().zip(&self.challengers).all(|(standing, who)| self.is_over(standing, who)) {
                break;
            }
            // Whoever enters has done so by then; every turn of the longest lane, and the last one's bump.
            let turns = Turn::Entered.longest(CONFIRMATIONS) + 2;
            let deadline = |since| since + DELTA1 + self.weather.late + turns * TURN;
            assert!(contested.is_none_or(|since| height <= deadline(since)), "{standings:?}");
        }
        let blocks = self.chain.height() - contested.unwrap();
        self.finish();
        assert_eq!(self.chain.worth() + self.chain.fees(), self.worth, "money is conserved");
        self.assert_once();
        self.outcome(turns, blocks)
    }

    /// Whether nothing more comes of a lane.
    fn is_over(&self, standing: &Standing, who: &Challenger) -> bool {
        let height = self.chain.height();
        match (standing, who) {
            (Standing::Over { since, .. }, _) => height > since + u32::from(CONFIRMATIONS),
            (Standing::Unentered { since }, _) => height > since + TURN,
            (Standing::Open { since }, Challenger::Wild(_, patience)) => {
                height > since + patience + DELTA1 + self.weather.late
            }
            (Standing::Open { since }, _) => height > since + DELTA1 + self.weather.late + 2 * TURN,
            (Standing::Ahead | Standing::At { .. } | Standing::Disproved { .. }, _) => false,
        }
    }

    fn outcome(&mut self, turns: Vec<Option<Turn>>, blocks: u32) -> Outcome {
        let balance =
            |chain: &Chain, key: Keypair| chain.balance(&OperatorConnector(key.x_only_public_key().0).script_pubkey());
        let mut costs = vec![Amount::ZERO; self.challengers.len()];
        let mut steps = 0;
        for tx in self.chain.transactions() {
            if let Some(lane) = self.lane_of(&tx.compute_txid()) {
                let anchors = tx.output.iter().filter(|output| **output == anchor::output());
                costs[usize::from(lane)] += self.chain.fee(tx) + anchors.map(|output| output.value).sum::<Amount>();
                steps += 1;
            }
        }
        let end = |standing| match standing {
            Standing::Over { end, .. } => Some(end),
            _ => None,
        };
        Outcome {
            ends: self.lanes().map(|lane| end(self.standing(lane))).collect(),
            finalized: self.finalized(),
            steps,
            blocks,
            turns,
            operator: balance(&self.chain, operator_key()),
            challengers: self.lanes().map(|lane| balance(&self.chain, challenger_key(lane))).zip(costs).collect(),
        }
    }

    /// The rest of the claim's time, in which nothing comes of the lanes.
    fn finish(&mut self) {
        let kinds =
            |world: &mut Self| world.lanes().map(|lane| std::mem::discriminant(&world.standing(lane))).collect();
        let before: Vec<_> = kinds(self);
        (0..DELTA2).for_each(|_| drop(self.chain.mine(Vec::new())));
        for _ in 0..2 {
            self.rest();
            (0..3).for_each(|_| self.mine());
        }
        let after: Vec<_> = kinds(self);
        assert_eq!(before, after);
    }

    /// How the claim was finalized.
    pub fn finalized(&self) -> Option<FinalizeKind> {
        let is_mined = |kind: &FinalizeKind| {
            let [finalize, _] = Table::get().finals(*kind);
            self.chain.confirmed(&finalize.compute_txid()).unwrap().is_some()
        };
        FinalizeKind::ALL.into_iter().find(is_mined)
    }

    /// No key has signed two things, and what an operator that says the truth has signed satisfies no leaf.
    fn assert_once(&self) {
        for ((lane, left), who) in self.lanes().zip(&self.left).zip(&self.challengers) {
            let twice = !left.messages.values().all(|said| said.len() == 1);
            assert!(!twice || self.operator.other.is_some(), "lane {lane}: a message was signed twice");
            let twice = !left.choices.values().all(|options| options.len() == 1);
            assert!(
                !twice || matches!(who, Challenger::Wild(..) | Challenger::Hostile(_)),
                "lane {lane}: a choice was made twice"
            );
            if self.operator.said.is_true() && self.weather.judged {
                assert_safe(&self.operator.transcript(lane));
            }
        }
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
