//! Both sides of a lane: what they say, and with which keys.

use bitcoin::OutPoint;
use trestle_bridge::lane::{LaneGraph, Shown};
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::SlotGraph;
use trestle_rollup::SlotId;
use trestle_taptree_trace::lane::{
    ChoiceId, Lane, LaneConstants, LaneId, LaneKeys, MessageId, Search, Statements, Transcript, challenger_keys,
    choose, operator_keys,
};
use trestle_taptree_trace::leaf::{Said, Tree};
use trestle_taptree_trace::ots::{Message, Signature};
use trestle_zkvm_adapter::opening::Access;

use crate::cases::{CLAIMED, Case};
use crate::members::{Secrets, seed};
use crate::world::rng;

/// A lane, and what signs in it.
pub struct Desk {
    pub lane: Lane,
    pub challenger: usize,
    bridge: Bridge,
    id: LaneId,
}

impl Desk {
    /// The lane of a challenger in a slot of operator 0.
    pub fn new(secrets: &Secrets, slot: SlotId, challenger: usize) -> Self {
        let confirmations = secrets.bridge.parameters.confirmations;
        let id = LaneId {
            instance: secrets.bridge.instance,
            slot: slot.to_bytes(),
            challenger: u16::try_from(challenger).unwrap(),
        };
        let operator = operator_keys(&secrets.operator_seed(slot.operator), &id, confirmations);
        let keys =
            LaneKeys::new(confirmations, operator, challenger_keys(&secrets.challenger_seed(challenger), &id)).unwrap();
        let constants = LaneConstants {
            slot: slot.to_bytes(),
            confirmations,
            challenger: secrets.bridge.parameters.challengers[challenger],
            ..CLAIMED.constants()
        };
        Self { lane: Lane { keys, constants }, challenger, bridge: secrets.bridge.clone(), id }
    }

    pub fn graph(&self, slot: &SlotGraph, bond: OutPoint) -> LaneGraph {
        LaneGraph::build(&self.bridge, slot, self.challenger, bond, &self.lane).unwrap()
    }

    /// The operator's signature.
    pub fn sign(&self, id: MessageId, message: &Message) -> Signature {
        let name = id.to_string();
        seed("operator 0").sign(&id.layout(), &self.id.key_id(id, &name), message).unwrap()
    }

    /// The operator's signatures of all that it says, and the challenger's choices that lead there.
    pub fn transcript(&self, play: &Play) -> Transcript {
        let mut transcript = Transcript::default();
        let challenger = seed(&format!("challenger {}", self.challenger));
        for id in MessageId::all(self.lane.constants.confirmations).into_iter().filter(|id| play.plays(*id)) {
            let held = play.said.twice(id).map_or(play.said.message(id).into_iter().collect(), |two| two.to_vec());
            for message in held {
                transcript.add(&self.lane.keys, id, self.sign(id, message)).unwrap();
            }
        }
        for (id, option) in &play.choices {
            transcript.choose(&self.lane.keys, *id, choose(&challenger, &self.id, *id, *option).unwrap()).unwrap();
        }
        transcript
    }
}

/// One play of a lane: what the operator says, what the challenger chooses, and how it ends.
#[derive(Clone, Debug)]
pub struct Play {
    pub said: Statements,
    pub choices: Vec<(ChoiceId, u8)>,
    pub shown: Shown,
    pub leaf: String,
}

impl Play {
    /// An operator that lies about one of these messages alone, so that a leaf of this family can be shown, and a challenger that
    /// disputes the path of `access`, if of any.
    pub fn of_lie(desk: &Desk, tree: Tree, family: &str, lies: &[MessageId]) -> Self {
        let mut rng = rng(3);
        let leaves = tree.leaves(desk.lane.constants.confirmations);
        let constants = &desk.lane.constants;
        for _ in 0..2_000 {
            let honest = Case { constants: constants.clone(), ..Case::honest(&mut rng) };
            let all = |case: &Case| {
                let said = Said { statements: &case.said, constants, preimage: Some(&case.step.preimage) };
                Tree::ALL
                    .iter()
                    .any(|tree| tree.leaves(constants.confirmations).iter().any(|l| l.refutes(&said).is_some()))
            };
            if all(&honest) {
                // A step of another slot, or the first one of another program.
                continue;
            }
            for lie in lies {
                let case = honest.corrupted(&mut rng, *lie);
                let said = Said { statements: &case.said, constants, preimage: Some(&case.step.preimage) };
                let shown = leaves.iter().enumerate().find_map(|(index, leaf)| {
                    let hints = leaf.refutes(&said).filter(|_| leaf.name().starts_with(family))?;
                    Some((Shown { index, hints }, leaf.name()))
                });
                if let Some((shown, leaf)) = shown {
                    let position = match tree {
                        Tree::WriteNode => MessageId::WritePosition,
                        _ => MessageId::ReadPosition,
                    };
                    let choices = choices(&said, position);
                    return Self { said: case.said.clone(), choices, shown, leaf };
                }
            }
        }
        panic!("no lie about {lies:?} is one for {family}")
    }

    /// Whether the operator signs a message in this play: of paths that of the named access alone.
    fn plays(&self, id: MessageId) -> bool {
        let writes = self.choices.iter().any(|(id, option)| *id == ChoiceId::Access && *option >= Access::Write as u8);
        match id {
            MessageId::Read(_) | MessageId::ReadPosition | MessageId::ReadChild | MessageId::ReadSibling => !writes,
            MessageId::Write(..) | MessageId::WritePosition | MessageId::WriteChild(_) | MessageId::WriteSibling => {
                writes
            }
            _ => true,
        }
    }
}

/// The choices that the openings are about.
fn choices(said: &Said<'_>, position: MessageId) -> Vec<(ChoiceId, u8)> {
    let position = said.position(position).unwrap();
    let indices = [
        (Search::History, said.number(MessageId::BlockIndex).unwrap()),
        (Search::Trace, said.number(MessageId::StepIndex).unwrap()),
        (Search::Read, position.level),
    ];
    let mut choices = vec![(ChoiceId::Access, position.access)];
    for (search, index) in indices {
        let rounds = search.rounds();
        choices.extend((0..rounds).map(|round| {
            let quarter = index >> (2 * (rounds - 1 - round)) & 3;
            (ChoiceId::of_round(search, round), u8::try_from(quarter).unwrap())
        }));
    }
    choices
}
