//! One lane on the node, from the run's bonds to its end.

use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{OutPoint, Transaction, TxOut, Weight};
use trestle_bridge::lane::{BUMP, LaneGraph, LaneSpend, LaneTx, NodeId};
use trestle_bridge::transactions::{Presigned, Reveal, RunGraph, SlotGraph, contest};
use trestle_taptree_trace::lane::{MessageId, Transcript};
use trestle_taptree_trace::turn::{Player, Turn};

use crate::desk::{Desk, Play};
use crate::members::{Secrets, sign};
use crate::setup::{SCRIPT_FAILED, Setup};
use crate::world::CONFIRMATIONS;

/// T_turn.
pub const TURN: u16 = 5;
/// Δ1 and Δ2.
pub const DELTAS: (u16, u16) = (4, 380);
/// What standard transactions weigh less than.
const MOST: Weight = Weight::from_wu(400_000);
/// What nodes relay of version 3.
const MOST_OF_VERSION_3: usize = 10_000;

/// A bridge with the K of these tests and turns as short as that allows.
pub fn secrets() -> Secrets {
    Secrets::new(2, 2, |p| {
        p.confirmations = CONFIRMATIONS;
        (p.turn, p.delta1, p.delta2) = (TURN.into(), DELTAS.0.into(), DELTAS.1.into());
    })
}

/// A slot that is claimed.
pub struct Claimed {
    pub s: Setup,
    pub run: RunGraph,
}

/// A lane of it.
pub struct Game {
    pub desk: Desk,
    pub graph: LaneGraph,
    pub signatures: Vec<Signature>,
    pub at: NodeId,
    /// What was read off the chain.
    pub read: Transcript,
    /// The vsize of every transaction.
    pub sizes: Vec<(String, usize)>,
}

impl Claimed {
    /// The run is funded.
    pub fn open() -> Self {
        let mut s = Setup::with(secrets());
        let run = s.graph(1);
        Self { s, run }
    }

    pub fn slot(&self) -> &SlotGraph {
        &self.run.slots[0]
    }

    /// The lane of a challenger, which the committee has signed.
    pub fn lane(&self, challenger: usize) -> Game {
        let desk = Desk::new(&self.s.secrets, self.slot().id, challenger);
        let graph = desk.graph(self.slot(), self.bond(challenger));
        let signatures = self.s.secrets.sign_all(&graph.requests());
        Game { desk, graph, signatures, at: NodeId::ENTERED, read: Transcript::default(), sizes: Vec::new() }
    }

    pub fn bond(&self, challenger: usize) -> OutPoint {
        self.run.terms.challengers[challenger].bond
    }

    /// The operator claims what it claims in the play, and a challenger contests.
    pub fn contested(&mut self, game: &mut Game, play: &Play) {
        let slot = self.slot().clone();
        let claim = game.desk.sign(MessageId::Claim, play.said.message(MessageId::Claim).unwrap());
        self.s.run(&slot.claim, Reveal::Claim(&claim));
        let tx = self.s.contest(&slot, game.desk.challenger);
        game.sizes.push(("Contest".into(), tx.vsize()));
    }

    /// Both, and the challenger enters its lane.
    pub fn entered(play: impl FnOnce(&Desk) -> Play) -> (Self, Game, Play) {
        let mut claimed = Self::open();
        let mut game = claimed.lane(1);
        let play = play(&game.desk);
        claimed.contested(&mut game, &play);
        game.enter(&mut claimed.s);
        (claimed, game, play)
    }

    /// All of that, and what both sides play up to the last of these turns, having signed everything off chain.
    pub fn played(
        play: impl FnOnce(&Desk) -> Play,
        turns: impl IntoIterator<Item = Turn>,
    ) -> (Self, Game, Play, Transcript) {
        let (mut claimed, mut game, play) = Self::entered(play);
        let transcript = game.desk.transcript(&play);
        for turn in turns {
            game.play(&mut claimed.s, turn, &transcript);
        }
        (claimed, game, play, transcript)
    }

    /// The secret by which a challenger contests.
    pub fn secret(&self, challenger: usize) -> [u8; 32] {
        let own = self.s.secrets.challenger_seed(challenger);
        contest::secret(&self.s.secrets.bridge, &own, challenger as u16, self.slot().id).0
    }
}

impl Game {
    /// The committee's signatures of a transaction.
    pub fn part(&self, what: LaneTx) -> &[Signature] {
        self.graph.part(what, &self.signatures).unwrap()
    }

    fn presigned(&self, what: LaneTx) -> &Presigned {
        self.graph.get(what).unwrap()
    }

    /// Checks what the default policy asks for, and mines a transaction with a child on its anchor.
    fn mine(&mut self, s: &mut Setup, what: LaneTx, tx: &Transaction) {
        let presigned = self.presigned(what).clone();
        assert_eq!(tx.compute_txid(), presigned.txid());
        assert_eq!(self.graph.find(&tx.compute_txid()), Some(what));
        assert!(tx.weight() < MOST && (tx.version.0 != 3 || tx.vsize() <= MOST_OF_VERSION_3), "{}", presigned.name);
        assert!(presigned.fee() >= s.secrets.bridge.parameters.presigned_fee_rate.fee_wu(tx.weight()).unwrap());
        let (vout, owner) = match what {
            LaneTx::Disproved(_) => (BUMP, Some(s.secrets.challengers[self.desk.challenger])),
            _ => (presigned.anchor().unwrap().vout, None),
        };
        s.mine_with_child(tx, presigned.fee(), vout, owner.as_ref());
        self.sizes.push((presigned.name, tx.vsize()));
    }

    pub fn enter(&mut self, s: &mut Setup) {
        let tx =
            self.graph.challenge(self.part(LaneTx::Challenge), &s.secrets.challengers[self.desk.challenger]).unwrap();
        self.mine(s, LaneTx::Challenge, &tx);
        assert_eq!(tx.output[0], self.graph.node(self.at).output);
    }

    /// The step to `turn`, complete.
    pub fn step_to(&self, s: &Setup, turn: Turn, transcript: &Transcript) -> (NodeId, Transaction) {
        let to = self.graph.next(self.at, turn).unwrap();
        let key = match self.graph.node(self.at).turn.mover() {
            Player::Operator => None,
            Player::Challenger => Some(&s.secrets.challengers[self.desk.challenger]),
        };
        (to, self.graph.step(&self.desk.lane, self.part(LaneTx::Step(to)), to, transcript, key).unwrap())
    }

    /// Plays the step to `turn`, and reads it off the chain.
    pub fn play(&mut self, s: &mut Setup, turn: Turn, transcript: &Transcript) {
        let (to, tx) = self.step_to(s, turn, transcript);
        self.mine(s, LaneTx::Step(to), &tx);
        let read = self.graph.read(&self.desk.lane, &tx).unwrap();
        assert_eq!(read.spent, self.at);
        let LaneSpend::Step { to: read_to, said } = read.how else { panic!("{turn:?} is read as {:?}", read.how) };
        assert_eq!((read_to, self.graph.previous(to)), (to, Some(self.at)));
        let (said, keys) = (said.unwrap(), &self.desk.lane.keys);
        for (id, signature) in said.messages {
            self.read.add(keys, id, signature).unwrap();
        }
        for (id, choice) in said.choices {
            self.read.choose(keys, id, choice).unwrap();
        }
        self.at = to;
    }

    pub fn disproved(&self, s: &Setup, play: &Play, transcript: &Transcript) -> Transaction {
        let key = &s.secrets.challengers[self.desk.challenger];
        self.graph.disproved(&self.desk.lane, self.at, play.shown.clone(), transcript, key).unwrap()
    }

    /// Disproved is mined.
    pub fn disprove(&mut self, s: &mut Setup, play: &Play, transcript: &Transcript) {
        let tx = self.disproved(s, play, transcript);
        self.mine(s, LaneTx::Disproved(self.at), &tx);
        let read = self.graph.read(&self.desk.lane, &tx).unwrap();
        let how = LaneSpend::Disproof { leaf: play.shown.index, slashable: true };
        assert_eq!((read.spent, read.how), (self.at, how));
    }

    /// Slash or OperatorWins is mined. Returns it.
    pub fn end(&mut self, s: &mut Setup, what: LaneTx) -> Transaction {
        let tx = self.graph.end(self.part(what), what).unwrap();
        self.mine(s, what, &tx);
        tx
    }

    /// What was spent by the transactions of the lane so far.
    pub fn vbytes(&self) -> usize {
        self.sizes.iter().map(|(_, size)| size).sum()
    }

    /// What the output is whose turn it is.
    pub fn output(&self) -> &TxOut {
        &self.graph.node(self.at).output
    }

    /// Lets the turn pass, and sees that the other side has won when it is over, and not a block earlier. The output was mined
    /// in the last block.
    pub fn let_pass(&self, s: &mut Setup) -> LaneTx {
        let what = match self.graph.node(self.at).turn.mover() {
            Player::Operator => LaneTx::Slash(self.at),
            Player::Challenger => LaneTx::OperatorWins(self.at),
        };
        let mut ends = vec![self.graph.end(self.part(what), what).unwrap()];
        if let LaneTx::Slash(_) = what {
            ends.push(self.win_only(s, self.desk.challenger));
        }
        s.mine(u32::from(TURN) - 2);
        ends.iter().for_each(|tx| s.assert_refused(tx, "non-BIP68-final"));
        s.mine(1);
        ends.iter().for_each(|tx| assert_eq!(s.refusal(tx), None, "{:?}", self.graph.node(self.at).turn));
        if let LaneTx::Slash(_) = what {
            s.assert_refused(&self.win_only(s, 1 - self.desk.challenger), SCRIPT_FAILED);
        }
        what
    }

    /// WinOnly, signed by this challenger's key.
    pub fn win_only(&self, s: &Setup, signer: usize) -> Transaction {
        let destination = s.miner.address().script_pubkey();
        let rate = s.secrets.bridge.parameters.presigned_fee_rate;
        let spend = self.graph.win_only(self.at, destination, rate).unwrap();
        let signature = sign(&s.secrets.challengers[signer], spend.message());
        spend.complete(&signature)
    }
}
