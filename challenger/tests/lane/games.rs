//! Games of an operator that says something against a challenger that knows the truth: off chain as far as it goes, then on
//! chain.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_challenger::lane::{Action, Answer, Ask, Challenger, Defender, Error, Next, Shown};
use trestle_taptree_trace::lane::Move;
use trestle_taptree_trace::turn::{Player, Turn};

use crate::liar::Side;
use crate::referee::{Hand, Moved, Verdict, Witnessed, referee};
use crate::store::Disk;
use crate::toy::{LANE, challenger_seed, claim, lane, operator_seed};

/// When an operator is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    Never,
    /// It plays so many moves off chain, and all on chain.
    OffChain(usize),
    /// It plays nothing off chain, and nothing from its so many-th turn on chain on.
    OnChain(usize),
    /// It plays all off chain, and nothing from its so many-th turn on chain on.
    Late(usize),
}

/// An operator: what it says off chain, and on chain if that is something else.
pub struct Operator {
    pub said: Side,
    pub on_chain: Option<Side>,
    pub silence: Silence,
    disk: Disk,
    other_disk: Disk,
    player: Option<Defender<Disk>>,
    moves: usize,
    turns: usize,
    restarts: Restarts,
}

/// Someone who knows the truth.
pub struct Honest {
    truth: Side,
    claim: trestle_taptree_trace::ots::Signature,
    disk: Disk,
    player: Option<Challenger<Disk>>,
    restarts: Restarts,
}

/// When a player's machine dies.
pub struct Restarts {
    rng: StdRng,
    /// Of a hundred writes how many it does not survive.
    percent: u32,
    pub deaths: u32,
}

impl Restarts {
    pub fn never() -> Self {
        Self::at(0, 0)
    }

    pub fn at(seed: u64, percent: u32) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), percent, deaths: 0 }
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
            let opened = player.get_or_insert_with(&open);
            if self.rng.gen_range(0..100) < self.percent {
                disk.dies(self.rng.r#gen());
            }
            match act(opened) {
                Err(Error::Store(_)) => {
                    *player = None;
                    self.deaths += 1;
                }
                other => return other,
            }
            // What was forgotten is not needed.
            if self.rng.gen_range(0..100) < self.percent {
                *player = None;
            }
        }
    }
}

impl Operator {
    pub fn new(said: Side) -> Self {
        Self {
            said,
            on_chain: None,
            silence: Silence::Never,
            disk: Disk::default(),
            other_disk: Disk::default(),
            player: None,
            moves: 0,
            turns: 0,
            restarts: Restarts::never(),
        }
    }

    pub fn silent(mut self, silence: Silence) -> Self {
        self.silence = silence;
        self
    }

    pub fn restarting(mut self, restarts: Restarts) -> Self {
        self.restarts = restarts;
        self
    }

    /// Says something else on chain, with the same keys.
    pub fn then(mut self, said: Side) -> Self {
        self.on_chain = Some(said);
        self
    }

    pub fn claim(&self) -> trestle_taptree_trace::ots::Signature {
        claim(self.said.claimed as u16, &self.said.block_hash())
    }

    pub fn deaths(&self) -> u32 {
        self.restarts.deaths
    }

    fn open(claim: &trestle_taptree_trace::ots::Signature, disk: &Disk) -> Defender<Disk> {
        Defender::open(lane().clone(), LANE, operator_seed(), claim.clone(), disk.clone()).unwrap()
    }

    pub fn answer(&mut self, ask: &Ask) -> Option<Result<Answer, Error>> {
        self.moves += 1;
        match self.silence {
            Silence::OffChain(moves) if self.moves > moves => return None,
            Silence::OnChain(_) => return None,
            _ => {}
        }
        let (claim, disk, said) = (self.claim(), &self.disk, &mut self.said);
        let act = |player: &mut Defender<Disk>| player.answer(ask, said);
        Some(self.restarts.survive(disk, &mut self.player, || Self::open(&claim, disk), act))
    }
}

impl Hand for Operator {
    fn act(&mut self, turn: Turn, shown: &Shown) -> Option<Moved> {
        if turn.mover() == Player::Operator {
            self.turns += 1;
        }
        if matches!(self.silence, Silence::OnChain(turns) | Silence::Late(turns) if self.turns > turns) {
            return None;
        }
        let claim = self.claim();
        let mut other = None;
        let (said, disk, player) = match &mut self.on_chain {
            Some(said) => (said, &self.other_disk, &mut other),
            None => (&mut self.said, &self.disk, &mut self.player),
        };
        let act = |player: &mut Defender<Disk>| player.on_chain(turn, shown, said);
        // Who cannot say anything is silent.
        let play = self.restarts.survive(disk, player, || Self::open(&claim, disk), act).ok()??;
        Some(Moved::Play(play))
    }
}

impl Honest {
    pub fn new(truth: Side, operator: &Operator) -> Self {
        let claim = operator.claim();
        Self { truth, claim, disk: Disk::default(), player: None, restarts: Restarts::never() }
    }

    pub fn restarting(mut self, restarts: Restarts) -> Self {
        self.restarts = restarts;
        self
    }

    pub fn deaths(&self) -> u32 {
        self.restarts.deaths
    }

    fn with<R>(
        &mut self,
        mut act: impl FnMut(&mut Challenger<Disk>, &mut Side) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let (disk, claim, truth) = (&self.disk, &self.claim, &mut self.truth);
        let open = || Challenger::open(lane().clone(), LANE, challenger_seed(), claim.clone(), disk.clone()).unwrap();
        self.restarts.survive(disk, &mut self.player, open, |player| act(player, truth))
    }

    pub fn next(&mut self) -> Next {
        self.with(|player, truth| player.next(truth)).unwrap()
    }

    pub fn receive(&mut self, wanted: Move, answer: &Answer) -> Result<(), Error> {
        self.with(|player, _| player.receive(wanted, answer))
    }
}

impl Hand for Honest {
    fn act(&mut self, turn: Turn, shown: &Shown) -> Option<Moved> {
        let moved = self.with(|player, truth| {
            Ok(player.on_chain(turn, shown, truth)?.map(|action| match action {
                Action::Play(play) => Moved::Play(play),
                Action::Disprove(leaf) => Moved::Disprove(leaf, Box::new(player.transcript().clone())),
            }))
        });
        moved.unwrap()
    }
}

/// A game's end, and all that was signed.
pub struct Played {
    pub verdict: Verdict,
    pub witnessed: Witnessed,
    /// Moves off chain.
    pub moves: usize,
    /// The leaf that was found off chain.
    pub found: Option<String>,
}

/// Plays a game.
pub fn play(operator: &mut Operator, challenger: &mut Honest, scripts: bool) -> Played {
    let mut witnessed = Witnessed::default();
    let mut found = None;
    let mut moves = 0;
    loop {
        match challenger.next() {
            Next::Ask(ask) => {
                for (id, choice) in trestle_challenger::lane::leading(ask.wanted).into_iter().zip(&ask.choices) {
                    witnessed.choices.entry(id).or_default().insert(choice.option);
                }
                let Some(Ok(answer)) = operator.answer(&ask) else { break };
                challenger.receive(ask.wanted, &answer).unwrap();
                moves += 1;
            }
            Next::Disprove(leaf) => {
                found = Some(leaf.name);
                break;
            }
            Next::Force | Next::Lost => break,
        }
    }
    let mut watched = Watched { hand: operator, witnessed: &mut witnessed };
    let verdict = referee(&mut watched, challenger, scripts);
    if let Some(player) = &challenger.player {
        for id in trestle_taptree_trace::lane::MessageId::all(crate::toy::CONFIRMATIONS) {
            player.transcript().signature(id).into_iter().for_each(|signature| witnessed.message(id, signature));
            player.transcript().twice(id).into_iter().flatten().for_each(|signature| witnessed.message(id, signature));
        }
    }
    Played { verdict, witnessed, moves, found }
}

/// Watches what is shown on chain.
pub struct Watched<'a> {
    pub hand: &'a mut dyn Hand,
    pub witnessed: &'a mut Witnessed,
}

impl Hand for Watched<'_> {
    fn act(&mut self, turn: Turn, shown: &Shown) -> Option<Moved> {
        self.witnessed.shown(shown);
        self.hand.act(turn, shown)
    }
}

/// What a challenger thinks whatever it is told.
pub fn truth(operator: &Operator) -> Side {
    Side::honest(operator.said.claimed)
}
