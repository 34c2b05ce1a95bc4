//! Who sits on the two sides.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_bridge::lane::LaneTx;
use trestle_bridge::transactions::Reveal;
use trestle_challenger::dispute::{Duty, Error, Hostile, HostileLane, LaneOperator, LaneWatchtower, Purpose, Standing};
use trestle_challenger::lane::{self, Answer, Ask, Defender};
use trestle_taptree_trace::lane::{Move, Transcript};
use trestle_taptree_trace::ots::Signature;
use trestle_taptree_trace::turn::{Carried, Player};

use super::table::Table;
use crate::chain::Chain;
use crate::liar::Side;
use crate::referee::{Hand, Moved};
use crate::store::Disk;
use crate::toy::{CHALLENGERS, LANE, challenger_key, challenger_seed, claim, lane_id, lane_of, operator_seed};
use crate::wild::Wild;

/// How often a machine dies.
pub struct Frailty {
    rng: StdRng,
    /// Of a hundred things that it does how many it does not survive.
    percent: u32,
}

impl Frailty {
    pub fn at(seed: u64, percent: u32) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), percent }
    }

    fn strikes(&mut self) -> bool {
        self.rng.gen_range(0..100) < self.percent
    }

    /// Does it until the machine has survived it.
    fn survive<P, R>(
        &mut self,
        disk: &Disk,
        player: &mut Option<P>,
        open: impl Fn() -> P,
        mut act: impl FnMut(&mut P) -> Result<R, Error>,
    ) -> Result<R, Error> {
        loop {
            disk.lives();
            if self.strikes() {
                *player = None;
            }
            let opened = player.get_or_insert_with(&open);
            if self.strikes() {
                disk.dies(self.rng.r#gen());
            }
            match act(opened) {
                Err(Error::Player(lane::Error::Store(_))) => {}
                other => return other,
            }
        }
    }
}

/// An operator on the chain.
pub struct Operator {
    pub said: Side,
    pub claim: Signature,
    /// What it says on chain, if that is something else.
    pub other: Option<Side>,
    /// By challenger; the second of each is for what it says on chain.
    seats: Vec<[Seat; 2]>,
    /// How many moves it plays off chain.
    pub answers: usize,
    /// How many moves it plays on chain.
    pub moves: usize,
    pub frailty: Frailty,
    played: Vec<(u16, LaneTx)>,
}

#[derive(Default)]
struct Seat {
    disk: Disk,
    player: Option<LaneOperator<Disk>>,
}

impl Operator {
    pub fn new(said: Side) -> Self {
        Self {
            claim: claim(said.claimed as u16, &said.block_hash()),
            said,
            other: None,
            seats: (0..CHALLENGERS).map(|_| Default::default()).collect(),
            answers: usize::MAX,
            moves: usize::MAX,
            frailty: Frailty::at(0, 0),
            played: Vec::new(),
        }
    }

    fn with<R>(
        &mut self,
        lane: u16,
        on_chain: bool,
        act: impl Fn(&mut LaneOperator<Disk>, &mut Side) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let [first, second] = &mut self.seats[usize::from(lane)];
        let (seat, said) = match &mut self.other {
            Some(other) if on_chain => (second, other),
            _ => (first, &mut self.said),
        };
        let open = || LaneOperator::new(Table::get().board(lane).clone(), operator_seed(), seat.disk.clone());
        self.frailty.survive(&seat.disk, &mut seat.player, open, |player| act(player, said))
    }

    pub fn answer(&mut self, chain: &Chain, lane: u16, ask: &Ask) -> Option<Result<Answer, Error>> {
        self.answers = self.answers.checked_sub(1)?;
        Some(self.with(lane, false, |player, said| match player.answer(ask, said) {
            // A machine that was just started has seen no tip.
            Err(Error::NotAsked) => {
                player.tip(chain, said)?;
                player.answer(ask, said)
            }
            other => other,
        }))
    }

    /// What is due in a lane.
    pub fn tip(&mut self, chain: &Chain, lane: u16) -> Vec<Duty> {
        // Who cannot say anything is silent.
        let mut duties = self.with(lane, true, |player, said| player.tip(chain, said)).unwrap_or_default();
        let steps = |duty: &Duty| match duty {
            Duty::Broadcast { purpose, .. } | Duty::Bump { purpose, .. } => match purpose {
                Purpose::Lane(what @ LaneTx::Step(_)) => Some((lane, *what)),
                _ => None,
            },
            Duty::Ask(_) => None,
        };
        for what in duties.iter().filter_map(steps) {
            if !self.played.contains(&what) {
                self.played.push(what);
            }
        }
        if self.played.len() > self.moves {
            duties.retain(|duty| steps(duty).is_none());
        }
        duties
    }

    /// It is started again.
    pub fn restart(&mut self) {
        self.seats.iter_mut().flatten().for_each(|seat| seat.player = None);
    }

    /// All that it has ever signed in a lane, if it does not say two things.
    pub fn transcript(&self, lane: u16) -> Transcript {
        let [Seat { disk, .. }, _] = &self.seats[usize::from(lane)];
        disk.lives();
        let claim = self.claim.clone();
        let player = Defender::open(lane_of(lane).clone(), lane_id(lane), operator_seed(), claim, disk.clone());
        player.unwrap().transcript().clone()
    }
}

/// Who sits on a challenger's side.
pub enum Challenger {
    /// One that knows the truth, or thinks that it does.
    Tower(Box<Tower>),
    /// One that does anything, from so many blocks after Contest on.
    Wild(Box<Wild>, u32),
    /// One that disputes the truth.
    Hostile(Box<Opponent>),
    /// One that contests, and no more.
    Absent,
}

/// A hostile challenger, and the truth, by which it finds its way.
pub struct Opponent {
    truth: Side,
    lane: HostileLane<Disk>,
}

impl Opponent {
    pub fn new(truth: Side, how: Hostile, lane: u16) -> Self {
        let (board, key) = (Table::get().board(lane).clone(), challenger_key(lane));
        Self { truth, lane: HostileLane::new(board, key, challenger_seed(), Disk::default(), how) }
    }

    pub fn tip(&mut self, chain: &Chain) -> Vec<Duty> {
        self.lane.tip(chain, &mut self.truth).unwrap()
    }

    /// Takes in an answer; what it asks next.
    pub fn receive(&mut self, wanted: Move, answer: &Answer) -> Option<Ask> {
        self.lane.receive(wanted, answer).unwrap()
    }
}

/// A watchtower of a lane.
pub struct Tower {
    truth: Side,
    lane: u16,
    disk: Disk,
    player: Option<LaneWatchtower<Disk>>,
    pub patience: u32,
    pub frailty: Frailty,
}

impl Tower {
    pub fn new(truth: Side, patience: u32) -> Self {
        let (lane, frailty) = (LANE.challenger, Frailty::at(0, 0));
        Self { truth, lane, disk: Disk::default(), player: None, patience, frailty }
    }

    pub fn of(self, lane: u16) -> Self {
        Self { lane, ..self }
    }

    /// The same store, and another truth.
    pub fn about(self, truth: Side) -> Self {
        Self { truth, player: None, ..self }
    }

    fn with<R>(
        &mut self,
        mut act: impl FnMut(&mut LaneWatchtower<Disk>, &mut Side) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let (truth, disk, lane, patience) = (&mut self.truth, &self.disk, self.lane, self.patience);
        let (board, key) = (Table::get().board(lane), challenger_key(lane));
        let open = || LaneWatchtower::new(board.clone(), key, challenger_seed(), disk.clone(), patience);
        self.frailty.survive(disk, &mut self.player, open, |player| act(player, truth))
    }

    pub fn tip(&mut self, chain: &Chain) -> Vec<Duty> {
        self.with(|player, truth| player.tip(chain, truth)).unwrap()
    }

    /// Takes in an answer, which may be late; what it asks next.
    pub fn receive(&mut self, wanted: Move, answer: &Answer) -> Option<Ask> {
        match self.with(|player, truth| player.receive(wanted, answer, truth)) {
            Err(Error::NotAsked) => None,
            other => other.unwrap(),
        }
    }

    /// It is started again.
    pub fn restart(&mut self) {
        self.player = None;
    }
}

/// What a wild challenger does with its turn: a step, if it makes one.
pub fn wild_step(wild: &mut Wild, standing: &Standing) -> Option<bitcoin::Transaction> {
    let lane = wild.lane.challenger;
    let (board, keys, key) = (Table::get().board(lane), &lane_of(lane).keys, challenger_key(lane));
    let (graph, part) = (&board.graph, |what| Table::get().part(lane, what));
    match standing {
        Standing::Open { .. } => Some(graph.challenge(part(LaneTx::Challenge), &key).unwrap()),
        Standing::At { node, shown, .. } if graph.node(*node).turn.mover() == Player::Challenger => {
            let Moved::Play(play) = wild.act(graph.node(*node).turn, shown)? else { return None };
            let to = graph.next(*node, play.to)?;
            let mut transcript = Transcript::default();
            let Carried::Choices(ids) = &play.carried else { return None };
            for (id, secret) in ids.iter().zip(play.witness.iter().rev()) {
                let choice = keys.choice(*id).unwrap().read(secret).unwrap();
                transcript.choose(keys, *id, choice).unwrap();
            }
            Some(graph.step(lane_of(lane), part(LaneTx::Step(to)), to, &transcript, Some(&key)).unwrap())
        }
        _ => None,
    }
}

/// The operator's Claim.
pub fn claim_tx(operator: &Operator) -> bitcoin::Transaction {
    let table = Table::get();
    table.complete(&table.slot().claim, Reveal::Claim(&operator.claim))
}
