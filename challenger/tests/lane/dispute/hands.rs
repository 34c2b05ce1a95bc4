//! Who sits on the two sides.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_bridge::lane::LaneTx;
use trestle_bridge::transactions::Reveal;
use trestle_challenger::dispute::{Duty, Error, Hostile, HostileLane, LaneOperator, LaneWatchtower, Purpose, Standing};
use trestle_challenger::lane::{self, Answer, Ask};
use trestle_taptree_trace::lane::Transcript;
use trestle_taptree_trace::ots::Signature;
use trestle_taptree_trace::turn::{Carried, Player};

use super::chain::Chain;
use super::table::{Table, challenger_key};
use crate::liar::Side;
use crate::referee::{Hand, Moved};
use crate::store::Disk;
use crate::toy::{challenger_seed, claim, lane, operator_seed};
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
            if self.rng.gen_range(0..100) < self.percent {
                *player = None;
            }
            let opened = player.get_or_insert_with(&open);
            if self.rng.gen_range(0..100) < self.percent {
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
    disks: [Disk; 2],
    players: [Option<LaneOperator<Disk>>; 2],
    /// How many moves it plays off chain.
    pub answers: usize,
    /// How many moves it plays on chain.
    pub moves: usize,
    pub frailty: Frailty,
    played: Vec<LaneTx>,
}

impl Operator {
    pub fn new(said: Side) -> Self {
        Self {
            claim: claim(said.claimed as u16, &said.block_hash()),
            said,
            other: None,
            disks: Default::default(),
            players: [None, None],
            answers: usize::MAX,
            moves: usize::MAX,
            frailty: Frailty::at(0, 0),
            played: Vec::new(),
        }
    }

    fn with<R>(
        &mut self,
        on_chain: bool,
        mut act: impl FnMut(&mut LaneOperator<Disk>, &mut Side) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let (number, said) = match &mut self.other {
            Some(other) if on_chain => (1, other),
            _ => (0, &mut self.said),
        };
        let disk = &self.disks[number];
        let open = || LaneOperator::new(Table::get().board.clone(), operator_seed(), disk.clone());
        self.frailty.survive(disk, &mut self.players[number], open, |player| act(player, said))
    }

    pub fn answer(&mut self, chain: &Chain, ask: &Ask) -> Option<Result<Answer, Error>> {
        self.answers = self.answers.checked_sub(1)?;
        // A machine that was just started has seen no tip.
        Some(self.with(false, |player, said| {
            player.tip(chain, said)?;
            player.answer(ask, said)
        }))
    }

    pub fn tip(&mut self, chain: &Chain) -> Vec<Duty> {
        // Who cannot say anything is silent.
        let mut duties = self.with(true, |player, said| player.tip(chain, said)).unwrap_or_default();
        let steps = |duty: &Duty| match duty {
            Duty::Broadcast { purpose, .. } | Duty::Bump { purpose, .. } => match purpose {
                Purpose::Lane(what @ LaneTx::Step(_)) => Some(*what),
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
}

/// Who sits on the challenger's side.
pub enum Challenger {
    /// One that knows the truth, or thinks that it does.
    Tower(Box<Tower>),
    /// One that does anything.
    Wild(Box<Wild>),
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
    pub fn new(truth: Side, how: Hostile) -> Self {
        let board = Table::get().board.clone();
        Self { truth, lane: HostileLane::new(board, challenger_key(), challenger_seed(), Disk::default(), how) }
    }

    /// A tip, at which it asks as much as the operator answers.
    pub fn tip(&mut self, chain: &Chain, operator: &mut Operator) -> Vec<Duty> {
        let mut duties = self.lane.tip(chain, &mut self.truth).unwrap();
        while let Some(Duty::Ask(ask)) = duties.first().cloned() {
            let Some(Ok(answer)) = operator.answer(chain, &ask) else { break };
            let next = self.lane.receive(ask.wanted, &answer).unwrap();
            duties = next.map(Duty::Ask).into_iter().collect();
        }
        duties
    }
}

/// A watchtower of a lane.
pub struct Tower {
    truth: Side,
    disk: Disk,
    player: Option<LaneWatchtower<Disk>>,
    pub patience: u32,
    pub frailty: Frailty,
}

impl Tower {
    pub fn new(truth: Side, patience: u32) -> Self {
        Self { truth, disk: Disk::default(), player: None, patience, frailty: Frailty::at(0, 0) }
    }

    /// The same store, and another truth.
    pub fn about(self, truth: Side) -> Self {
        Self { truth, player: None, ..self }
    }

    fn with<R>(
        &mut self,
        mut act: impl FnMut(&mut LaneWatchtower<Disk>, &mut Side) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let (truth, disk, patience) = (&mut self.truth, &self.disk, self.patience);
        let board = &Table::get().board;
        let open = || LaneWatchtower::new(board.clone(), challenger_key(), challenger_seed(), disk.clone(), patience);
        self.frailty.survive(disk, &mut self.player, open, |player| act(player, truth))
    }

    /// A tip, at which it plays with the operator as far as that answers.
    pub fn tip(&mut self, chain: &Chain, operator: &mut Operator) -> Vec<Duty> {
        let mut duties = self.with(|player, truth| player.tip(chain, truth)).unwrap();
        loop {
            let Some(Duty::Ask(ask)) = duties.iter().find(|duty| matches!(duty, Duty::Ask(_))).cloned() else {
                return duties;
            };
            let Some(Ok(answer)) = operator.answer(chain, &ask) else { return duties };
            let received = self.with(|player, truth| player.receive(ask.wanted, &answer, truth));
            match received {
                Ok(Some(ask)) => duties = vec![Duty::Ask(ask)],
                // It was started in the meantime.
                Ok(None) | Err(Error::NotAsked) => {
                    duties = self.with(|player, truth| player.tip(chain, truth)).unwrap();
                }
                Err(why) => panic!("{why}"),
            }
        }
    }
}

/// What a wild challenger does with its turn: a step, if it makes one.
pub fn wild_step(wild: &mut Wild, chain: &Chain) -> Option<bitcoin::Transaction> {
    let table = Table::get();
    let (graph, key) = (&table.board.graph, challenger_key());
    let part = |what| graph.part(what, &table.signatures).unwrap();
    match Standing::of(&table.board, chain).unwrap() {
        Standing::Open { .. } => Some(graph.challenge(part(LaneTx::Challenge), &key).unwrap()),
        Standing::At { node, shown, .. } if graph.node(node).turn.mover() == Player::Challenger => {
            let Moved::Play(play) = wild.act(graph.node(node).turn, &shown)? else { return None };
            let to = graph.next(node, play.to)?;
            let mut transcript = Transcript::default();
            let Carried::Choices(ids) = &play.carried else { return None };
            for (id, secret) in ids.iter().zip(play.witness.iter().rev()) {
                let choice = lane().keys.choice(*id).unwrap().read(secret).unwrap();
                transcript.choose(&lane().keys, *id, choice).unwrap();
            }
            Some(graph.step(lane(), part(LaneTx::Step(to)), to, &transcript, Some(&key)).unwrap())
        }
        _ => None,
    }
}

/// The operator's Claim.
pub fn claim_tx(operator: &Operator) -> bitcoin::Transaction {
    let table = Table::get();
    table.complete(&table.slot().claim, Reveal::Claim(&operator.claim))
}
