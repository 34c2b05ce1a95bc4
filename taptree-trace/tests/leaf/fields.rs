//! Every field of every opening: signed otherwise than it should be, a leaf of the lane's trees is found, and Bitcoin
//! Core accepts its spend of the output that commits to the whole tree. The fields that say where an opening is are not a
//! leaf's to judge: Core refuses the opening.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::ScriptBuf;
use bitcoin::opcodes::all::OP_PUSHNUM_1;
use rand::Rng;
use rand::rngs::StdRng;
use trestle_taptree_trace::lane::{ChoiceId, Lane, MessageId, Move, Search, Statements, disputed_access};
use trestle_taptree_trace::leaf::{LaneTree, Said, Tree, script, witness};
use trestle_taptree_trace::ots::Message;
use trestle_zkvm_adapter::opening::{Access, Opening, is_halted};

use crate::cases::{CLAIMED, replaced};
use crate::core::{accepts, is_valid, spend_leaf};
use crate::disputes::{Liar, with_bottom};
use crate::table::{chosen, keys, lane, sign, signed};
use crate::world::{CONFIRMATIONS, Step, corrupt, rng, say_node, say_step};

/// A message, and which of its fields.
type Field = (MessageId, usize);

/// The openings of a lane: block, step, nodes, and headers.
fn openings() -> Vec<Move> {
    let headers = (0..=CONFIRMATIONS).map(Move::Header);
    [Move::Block, Move::Step, Move::ReadNode, Move::WriteNode].into_iter().chain(headers).collect()
}

/// All fields of an opening.
fn fields(opening: Move) -> Vec<Field> {
    let ids = opening.messages().into_iter().chain(opening.index());
    ids.flat_map(|id| (0..id.layout().fields.len()).map(move |field| (id, field))).collect()
}

/// An honest operator in the middle of everything, where every field is about something: an entry that has parts, a
/// step that goes on, a node of the tree.
struct Honest {
    j: u64,
    k: u64,
    said: Statements,
    step: Step,
    /// Which node is opened, on a path that is read and on one that is written.
    nodes: [(Access, usize); 2],
}

impl Honest {
    fn random(rng: &mut StdRng) -> Self {
        let (j, k) = (rng.gen_range(1..CLAIMED.claimed - 1), rng.gen_range(1..1 << 43));
        let step = loop {
            let step = Step::random(rng, &CLAIMED.inputs(j));
            if !is_halted(&step.opening.step.roots.after) {
                break step;
            }
        };
        let mut said = CLAIMED.statements(j);
        CLAIMED.say_headers(&mut said, j);
        say_step(&mut said, k, &step.opening.step);
        let nodes = [(Access::ALL[rng.gen_range(0..5)], rng.gen_range(0..27)), {
            (Access::ALL[rng.gen_range(5..7)], rng.gen_range(0..27))
        }];
        nodes.iter().for_each(|(access, level)| say_node(&mut said, &step.opening, *access, *level));
        Self { j, k, said, step, nodes }
    }

    /// Another message, that differs in this field.
    fn corrupted(&self, rng: &mut StdRng, (id, field): Field) -> Message {
        let honest = self.said.message(id).unwrap();
        let layout = id.layout();
        let mut all: Vec<Vec<u8>> = (0..layout.fields.len()).map(|field| honest.field(field)).collect();
        loop {
            all[field] = match layout.fields[field].digits {
                1 => vec![rng.gen_range(0..16)],
                _ => corrupt(rng, &all[field]),
            };
            // A node has two sides. Every other value of a digit has a meaning of its own.
            if layout.fields[field].name == "direction" {
                all[field] = vec![honest.field(field)[0] ^ 1];
            }
            let slices: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
            match layout.encode(&slices) {
                Ok(other) if other != *honest => return other,
                _ => {}
            }
        }
    }

    /// What the challenger has chosen on the way to an opening.
    fn choices(&self, opening: Move) -> Vec<(ChoiceId, u8)> {
        let quarters = |search: Search, index: u64| {
            let rounds = search.rounds();
            (0..rounds)
                .map(move |round| (ChoiceId::of_round(search, round), (index >> (2 * (rounds - 1 - round)) & 3) as u8))
        };
        let node = |search, (access, level): (Access, usize)| {
            [(ChoiceId::Access, access as u8)].into_iter().chain(quarters(search, level as u64)).collect()
        };
        match opening {
            Move::Block => quarters(Search::History, self.j).collect(),
            Move::Step => quarters(Search::Trace, self.k).collect(),
            Move::ReadNode => node(Search::Read, self.nodes[0]),
            _ => node(Search::Write, self.nodes[1]),
        }
    }
}

/// The statements after a field of the step opening was signed wrongly, and the operator has opened a node of the access
/// that the challenger then names.
fn disputed(rng: &mut StdRng, honest: &Honest, wrong: &Said<'_>) -> Statements {
    let truth = &honest.step.opening;
    let mut opened = truth.clone();
    opened.step.words = wrong.words().unwrap();
    opened.step.leaf = wrong.digest(MessageId::StepLeaf).unwrap();
    let roots = &mut opened.step.roots;
    roots.written[..24].copy_from_slice(&wrong.bytes(MessageId::StepMiddle).unwrap());
    let access = disputed_access(&truth.step, &opened.step).unwrap();
    let mut said = CLAIMED.statements(honest.j);
    say_step(&mut said, honest.k, &opened.step);
    let full: Opening = with_bottom(truth, &opened, access);
    Liar::path(rng, truth, &full, access).play(&mut said, truth, access);
    said
}

/// The lane's trees, with what finds leaves in them.
struct Judge {
    lane: Lane,
    trees: BTreeMap<Tree, LaneTree>,
}

impl Judge {
    fn new() -> Self {
        let lane = lane(CLAIMED.constants());
        let trees = Tree::ALL.map(|tree| (tree, LaneTree::build(tree, &lane, &[]).unwrap()));
        Self { lane, trees: trees.into() }
    }

    /// The name of a leaf that what was said satisfies, in some tree, when Bitcoin Core has accepted its spend.
    fn disproves(&self, statements: &Statements, step: &Step) -> Option<String> {
        let said = Said { statements, constants: &self.lane.constants, preimage: Some(&step.preimage) };
        let (tree, found) =
            self.trees.values().find_map(|tree| tree.satisfied(&said).next().map(|found| (tree, found)))?;
        let script = script(found.leaf, &self.lane).unwrap();
        let transcript = signed(statements, found.leaf.reads());
        let (transaction, spent) = spend_leaf(tree, found.index, &script, |mine| {
            witness(found.leaf, found.hints.clone(), &transcript, &mine).unwrap()
        });
        assert!(is_valid(&transaction, &spent), "{}", found.leaf.name());
        Some(found.leaf.name())
    }
}

/// Whether the field says where the opening is, which the challenger has chosen.
fn is_chosen(opening: Move, (id, field): Field) -> bool {
    opening.index() == Some(id) && id.layout().fields[field].name != "direction"
}

#[test]
fn whichever_field_of_an_opening_is_wrong_bitcoin_core_accepts_a_disproof_or_refuses_the_opening() {
    let judge = Judge::new();
    let mut rng = rng(60);
    let (mut disproved, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..4 {
        let honest = Honest::random(&mut rng);
        assert_eq!(judge.disproves(&honest.said, &honest.step), None);
        for opening in openings() {
            for field in fields(opening) {
                let wrong = replaced(&honest.said, field.0, honest.corrupted(&mut rng, field));
                if is_chosen(opening, field) {
                    refuses(opening, &honest, &wrong);
                    refused.insert(field);
                    continue;
                }
                let mut leaf = judge.disproves(&wrong, &honest.step);
                if leaf.is_none() && opening == Move::Step {
                    let said = Said { statements: &wrong, constants: &judge.lane.constants, preimage: None };
                    leaf = judge.disproves(&disputed(&mut rng, &honest, &said), &honest.step);
                }
                assert!(leaf.is_some(), "{} {}: {wrong:?}", field.0, field.1);
                disproved.insert(field);
            }
        }
    }
    // j and k; access and level of a path that is read, and of one that is written.
    assert_eq!(refused.len(), 6);
    let all: BTreeSet<Field> = openings().into_iter().flat_map(fields).collect();
    assert_eq!(disproved.union(&refused).copied().collect::<BTreeSet<_>>(), all);
}

/// Asserts that Bitcoin Core accepts the honest opening, and not the one that says it is somewhere else.
fn refuses(opening: Move, honest: &Honest, wrong: &Statements) {
    let index = opening.index().unwrap();
    let mut script = opening.script(keys()).unwrap().into_bytes();
    script.push(OP_PUSHNUM_1.to_u8());
    let script = ScriptBuf::from(script);
    let mut transcript = signed(&honest.said, opening.messages().into_iter().chain([index]));
    let choices = honest.choices(opening);
    for (id, option) in choices.iter().copied() {
        transcript.choose(keys(), id, chosen(id, option)).unwrap();
    }
    let mut items = opening.witness(&transcript).unwrap();
    assert!(accepts(&script, &items), "{opening:?}");
    // The choices' secrets are deepest, above them the index.
    let pairs = sign(index, wrong.message(index).unwrap()).pairs();
    items.splice(choices.len()..choices.len() + pairs.len(), pairs);
    assert!(!accepts(&script, &items), "{opening:?}: {:?}", wrong.message(index));
}
