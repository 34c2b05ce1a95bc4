//! The chain of one lane: whose turn it is, what is legal, and who wins.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::opcodes::all::OP_PUSHNUM_1;
use bitcoin::{ScriptBuf, taproot};
use trestle_challenger::lane::{Disproof, Play, Shown};
use trestle_taptree_trace::interpreter::{Rules, run};
use trestle_taptree_trace::lane::{ChoiceId, MessageId, Transcript, choice_script};
use trestle_taptree_trace::leaf::{Said, script, witness};
use trestle_taptree_trace::ots::Signature;
use trestle_taptree_trace::turn::{Carried, Player, Turn};

use crate::toy::{CONFIRMATIONS, lane, unhash};

/// What somebody does with a turn.
pub enum Moved {
    Play(Play),
    Disprove(Disproof, Box<Transcript>),
}

/// Someone who plays on chain.
pub trait Hand {
    /// What is done at this turn; nothing lets it pass.
    fn act(&mut self, turn: Turn, shown: &Shown) -> Option<Moved>;
}

/// How a lane ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub winner: Player,
    /// The turns of the chain.
    pub turns: Vec<Turn>,
    /// The leaf that was satisfied.
    pub leaf: Option<String>,
}

/// Plays a lane on chain. `scripts` says whether everything is given to Script, too.
pub fn referee(operator: &mut dyn Hand, challenger: &mut dyn Hand, scripts: bool) -> Verdict {
    let (mut turn, mut turns, mut shown) = (Turn::Entered, Vec::new(), Shown::default());
    loop {
        turns.push(turn);
        let mover = turn.mover();
        let moved = match mover {
            Player::Operator => operator.act(turn, &shown),
            Player::Challenger => challenger.act(turn, &shown),
        };
        match moved {
            // The other side takes the output when the time of the turn is over.
            None => {
                let winner = match mover {
                    Player::Operator => Player::Challenger,
                    Player::Challenger => Player::Operator,
                };
                return Verdict { winner, turns, leaf: None };
            }
            Some(Moved::Play(play)) => {
                include(turn, &play, &mut shown, scripts);
                turn = play.to;
            }
            Some(Moved::Disprove(disproof, transcript)) => {
                assert_eq!(mover, Player::Challenger);
                judge(turn, &disproof, &transcript, scripts);
                return Verdict { winner: Player::Challenger, turns, leaf: Some(disproof.name) };
            }
        }
        assert!(turns.len() as u32 <= Turn::Entered.longest(CONFIRMATIONS));
    }
}

/// Mines a step, if it is one.
fn include(turn: Turn, play: &Play, shown: &mut Shown, scripts: bool) {
    let steps = turn.steps(CONFIRMATIONS);
    assert!(steps.iter().any(|step| step.to == play.to && step.leaves.contains(&play.carried)), "{turn:?}: {play:?}");
    let keys = &lane().keys;
    let mut script = Vec::new();
    match &play.carried {
        Carried::Move(played) => {
            let (messages, _) = played.read(keys, &play.witness).unwrap();
            shown.messages.extend(messages);
            script.extend(played.script(keys).unwrap().into_bytes());
        }
        Carried::Choices(ids) => {
            assert_eq!(ids.len(), play.witness.len());
            for (id, secret) in ids.iter().zip(play.witness.iter().rev()) {
                shown.choices.push((*id, keys.choice(*id).unwrap().read(secret).unwrap()));
                script.extend(choice_script(keys, *id).unwrap().into_bytes());
            }
        }
    }
    if scripts {
        script.push(OP_PUSHNUM_1.to_u8());
        assert!(run(&ScriptBuf::from(script), &play.witness, Rules::Standard).unwrap().accepts(), "{play:?}");
    }
}

/// Whether a leaf can be spent.
fn judge(turn: Turn, disproof: &Disproof, transcript: &Transcript, scripts: bool) {
    assert_eq!(turn.tree(), Some(disproof.tree));
    let leaves = disproof.tree.leaves(CONFIRMATIONS);
    let leaf = leaves[disproof.leaf].as_ref();
    assert_eq!(leaf.name(), disproof.name);
    let hints = satisfied(leaf, transcript).unwrap();
    assert_eq!(hints, disproof.hints);
    if scripts {
        let signature = taproot::Signature::from_slice(&[1; 64]).unwrap();
        let items = witness(leaf, hints, transcript, &signature).unwrap();
        assert!(run(&script(leaf, lane()).unwrap(), &items, Rules::Standard).unwrap().accepts(), "{}", disproof.name);
    }
}

/// The unsigned items of a leaf, if it can be satisfied.
fn satisfied(leaf: &dyn trestle_taptree_trace::leaf::Disproof, transcript: &Transcript) -> Option<Vec<Vec<u8>>> {
    let statements = transcript.statements();
    let constants = &lane().constants;
    let mut said = Said { statements: &statements, constants, preimage: None };
    let preimage = said.digest(MessageId::StepLeaf).and_then(|digest| unhash(&digest));
    said.preimage = preimage.as_ref();
    leaf.refutes(&said)
}

/// Everything that anybody has ever signed.
#[derive(Default)]
pub struct Witnessed {
    pub messages: BTreeMap<MessageId, Vec<Signature>>,
    pub choices: BTreeMap<ChoiceId, BTreeSet<u8>>,
}

impl Witnessed {
    pub fn message(&mut self, id: MessageId, signature: &Signature) {
        let held = self.messages.entry(id).or_default();
        if !held.contains(signature) {
            held.push(signature.clone());
        }
    }

    pub fn shown(&mut self, shown: &Shown) {
        shown.messages.iter().for_each(|(id, signature)| self.message(*id, signature));
        for (id, choice) in &shown.choices {
            self.choices.entry(*id).or_default().insert(choice.option);
        }
    }

    /// No key has signed twice.
    pub fn assert_once(&self) {
        assert!(self.messages.values().all(|held| held.len() == 1), "a message was signed twice");
        assert!(self.choices.values().all(|options| options.len() == 1), "a choice was made twice: {:?}", self.choices);
    }

    pub fn transcript(&self) -> Transcript {
        let mut transcript = Transcript::default();
        for (id, held) in &self.messages {
            held.iter().for_each(|signature| transcript.add(&lane().keys, *id, signature.clone()).unwrap());
        }
        transcript
    }
}
