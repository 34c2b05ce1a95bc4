//! What operators sign, rightly and wrongly, and a lie for every leaf.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use rand::Rng;
use rand::rngs::StdRng;
use trestle_taptree_trace::lane::{End, HeaderPart, LaneConstants, MessageId, Side, Statements};
use trestle_taptree_trace::leaf::{Disproof, Said, Tree};
use trestle_taptree_trace::ots::Message;
use trestle_zkvm_adapter::layout::{HALT_ACCEPT, HALT_REJECT};
use trestle_zkvm_adapter::opening::Access;

use crate::world::{CONFIRMATIONS, History, STEPS, Step, corrupt, rng, say_node, say_step};

/// The claim of every case.
pub const CLAIMED: History = History { claimed: 300 };

/// What was said, and by whose rules it is a lie.
#[derive(Clone, Debug)]
pub struct Case {
    pub said: Statements,
    pub constants: LaneConstants,
    pub step: Step,
}

impl Case {
    /// An honest operator, at some step.
    pub fn honest(rng: &mut StdRng) -> Self {
        let history = CLAIMED;
        // Around the values that one of the rounds signs.
        let place =
            |rng: &mut StdRng, rounds| 4u64.pow(rng.gen_range(0..rounds)) * rng.gen_range(1..4) - rng.gen_range(0..2);
        let j = [0, 1, 299, 300, 301, 65535, rng.gen_range(0..300), place(rng, 8), place(rng, 8)][rng.gen_range(0..9)];
        let step = if rng.gen_ratio(1, 8) { Step::halted(rng) } else { Step::random(rng, &history.inputs(j)) };
        let mut constants = history.constants();
        let roots = step.opening.step.roots;
        let k = match rng.gen_range(0..5) {
            0 => 0,
            1 if roots.after == HALT_ACCEPT => STEPS - 1,
            2 | 3 => place(rng, 22).min(STEPS - 2),
            _ => rng.gen_range(1..STEPS - 1),
        };
        if k == 0 {
            constants.first_state = roots.before;
        }
        let mut said = history.statements(j);
        history.say_headers(&mut said, j);
        say_step(&mut said, k, &step.opening.step);
        let reads = [Access::Pc, Access::Code, Access::Rs1, Access::Rs2, Access::Memory];
        let level =
            |rng: &mut StdRng| [0, 0, 26, 27, 63, rng.gen_range(0..27), rng.gen_range(0..64)][rng.gen_range(0..7)];
        say_node(&mut said, &step.opening, reads[rng.gen_range(0..5)], level(rng));
        say_node(&mut said, &step.opening, [Access::Write, Access::WritePc][rng.gen_range(0..2)], level(rng));
        Self { said, constants, step }
    }

    /// The same with another message in one place.
    pub fn corrupted(&self, rng: &mut StdRng, id: MessageId) -> Self {
        Self { said: replaced(&self.said, id, self.other(rng, id)), ..self.clone() }
    }

    /// Another message than the one that was signed.
    fn other(&self, rng: &mut StdRng, id: MessageId) -> Message {
        let layout = id.layout();
        let message = self.said.message(id).unwrap();
        let mut fields: Vec<Vec<u8>> = (0..layout.fields.len()).map(|field| message.field(field)).collect();
        loop {
            // Of a position the opening's script binds all but the direction, the last.
            let position = matches!(id, MessageId::ReadPosition | MessageId::WritePosition);
            let at = if position { fields.len() - 1 } else { rng.gen_range(0..fields.len()) };
            let before = fields[at].clone();
            fields[at] = match (layout.fields[at].digits, rng.gen_range(0..4)) {
                (48, 0) => HALT_ACCEPT[..24].to_vec(),
                (48, 1) => HALT_REJECT[..24].to_vec(),
                (1, _) => vec![before[0] ^ 1],
                _ => corrupt(rng, &before),
            };
            let slices: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
            match layout.encode(&slices) {
                Ok(other) if other != *message => return other,
                _ => fields[at] = before,
            }
        }
    }

    pub fn said(&self) -> Said<'_> {
        Said { statements: &self.said, constants: &self.constants, preimage: Some(&self.step.preimage) }
    }
}

/// The same statements but for one.
pub fn replaced(said: &Statements, id: MessageId, other: Message) -> Statements {
    let mut all = Statements::default();
    for each in MessageId::all(CONFIRMATIONS).into_iter().filter(|each| *each != id) {
        said.message(each).into_iter().for_each(|message| all.add(each, message.clone()));
    }
    all.add(id, other);
    all
}

/// Every message of an opening that rounds and other openings bind. The rest of the step opening is bound by paths
/// ([`crate::disputes`]).
pub fn bound() -> Vec<MessageId> {
    let ends = [End::Previous, End::Next];
    let mut bound =
        vec![MessageId::StepBefore, MessageId::StepAfter, MessageId::ReadPosition, MessageId::WritePosition];
    bound.extend(ends.map(MessageId::BlockEntry));
    bound.extend(ends.map(MessageId::BlockHash));
    bound.extend(ends.map(MessageId::BlockRoot));
    bound.extend([MessageId::ReadChild, MessageId::ReadSibling, MessageId::WriteSibling]);
    bound.extend([Side::Old, Side::New].map(MessageId::WriteChild));
    bound.extend((0..=CONFIRMATIONS).flat_map(|number| HeaderPart::ALL.map(|part| MessageId::Header(number, part))));
    bound
}

/// A case for every leaf: a lie that satisfies it, of what it reads.
pub fn satisfying() -> &'static BTreeMap<String, Case> {
    static CASES: OnceLock<BTreeMap<String, Case>> = OnceLock::new();
    CASES.get_or_init(|| find_cases(&Tree::ALL))
}

fn find_cases(trees: &[Tree]) -> BTreeMap<String, Case> {
    let mut rng = rng(11);
    let mut found: BTreeMap<String, Case> = BTreeMap::new();
    let all: Vec<_> = trees.iter().flat_map(|tree| tree.leaves(CONFIRMATIONS)).collect();
    let mut missing: Vec<(&dyn Disproof, Vec<MessageId>)> =
        all.iter().map(|leaf| (leaf.as_ref(), leaf.reads())).collect();
    let twice = MessageId::all(CONFIRMATIONS);
    let mut step = vec![MessageId::StepLog; 8];
    step.extend([MessageId::StepAfter, MessageId::StepLeaf]);
    let ids = [bound(), step].concat();
    for round in 0.. {
        let Some((first, _)) = missing.first() else { break };
        assert!(round < 20_000, "{} is never satisfied", first.name());
        let honest = Case::honest(&mut rng);
        let double = twice[round % twice.len()];
        for (id, both) in ids.iter().map(|id| (*id, false)).chain([(double, true)]) {
            // What no missing leaf reads makes none satisfied, and no other message matters to those that read it.
            let reads: BTreeSet<MessageId> =
                missing.iter().filter(|(_, reads)| reads.contains(&id)).flat_map(|(_, reads)| reads).copied().collect();
            if reads.is_empty() {
                continue;
            }
            let mut said = Statements::default();
            for read in reads.into_iter().filter(|read| both || *read != id) {
                honest.said.message(read).into_iter().for_each(|message| said.add(read, message.clone()));
            }
            said.add(id, honest.other(&mut rng, id));
            let wrong = Said { statements: &said, ..honest.said() };
            missing.retain(|(leaf, reads)| {
                let satisfied = reads.contains(&id) && leaf.refutes(&wrong).is_some();
                if satisfied {
                    found.insert(leaf.name(), Case { said: said.clone(), ..honest.clone() });
                }
                !satisfied
            });
        }
    }
    found
}
