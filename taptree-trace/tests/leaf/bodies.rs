//! Leaves' bodies run alone, on the digits that the signatures would leave: fast enough to be run by the million.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bitcoin::ScriptBuf;
use bitcoin::opcodes::all::OP_DEPTH;
use trestle_taptree_trace::interpreter::{Failure, Rules, run};
use trestle_taptree_trace::lane::{LaneConstants, MessageId, Statements};
use trestle_taptree_trace::leaf::{Boundary, Disproof, Frame, Said, Tree, item};

/// A leaf with its body.
pub struct Compiled {
    pub leaf: Box<dyn Disproof>,
    pub reads: Vec<MessageId>,
    script: ScriptBuf,
    left: usize,
}

/// All leaves of some trees. Those that do not depend on the checkpoint or the first state, which is all that differs from
/// one test's constants to the next's, are written once.
pub fn compiled(trees: &[Tree], constants: &LaneConstants) -> Vec<Arc<Compiled>> {
    static WRITTEN: Mutex<BTreeMap<Tree, Vec<Arc<Compiled>>>> = Mutex::new(BTreeMap::new());
    let write = |tree: Tree| -> Vec<Arc<Compiled>> {
        let leaves = tree.leaves(constants.confirmations).into_iter();
        leaves.map(|leaf| Arc::new(Compiled::new(leaf, constants))).collect()
    };
    let mut written = WRITTEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut all: Vec<Arc<Compiled>> =
        trees.iter().flat_map(|tree| written.entry(*tree).or_insert_with(|| write(*tree)).clone()).collect();
    for compiled in &mut all {
        for own in [Boundary::FirstEntry, Boundary::FirstState] {
            if compiled.leaf.name() == own.name() {
                *compiled = Arc::new(Compiled::new(Box::new(own), constants));
            }
        }
    }
    all
}

impl Compiled {
    pub fn new(leaf: Box<dyn Disproof>, constants: &LaneConstants) -> Self {
        let reads = leaf.reads();
        let body = leaf.body(&Frame::new(leaf.hint_count(), &reads), constants);
        let counts = body.script.instructions().any(|instruction| instruction.unwrap().opcode() == Some(OP_DEPTH));
        assert!(!counts, "{}", leaf.name());
        Self { leaf, reads, script: body.script, left: body.left }
    }

    /// The digits of what was said, as the signatures leave them. `None` if something is not said.
    fn digits(&self, said: &Statements) -> Option<Vec<&'static [u8]>> {
        const ITEMS: [&[u8]; 16] =
            [&[], &[1], &[2], &[3], &[4], &[5], &[6], &[7], &[8], &[9], &[10], &[11], &[12], &[13], &[14], &[15]];
        let mut items = Vec::new();
        for (place, id) in self.reads.iter().enumerate() {
            let again = self.reads[..place].contains(id);
            let message = if again { said.twice(*id)?[1] } else { said.message(*id)? };
            items.extend(message.digits().iter().map(|digit| ITEMS[usize::from(*digit)]));
        }
        Some(items)
    }

    /// Whether the body refuses what was said before it has looked at any unsigned item, and so whatever they are.
    ///
    /// They lie at the bottom, and without OP_DEPTH an opcode cannot tell that nothing is there but by reaching for it.
    pub fn refuses_whatever_the_hints(&self, said: &Statements) -> Option<bool> {
        let outcome = run(&self.script, &self.digits(said)?, Rules::Consensus);
        Some(outcome.is_err_and(|failure| failure != Failure::TooFewItems))
    }

    /// Whether the body accepts what was said, with these unsigned items. `None` if something is not said.
    pub fn accepts(&self, said: &Statements, hints: &[Vec<u8>]) -> Option<bool> {
        let items: Vec<&[u8]> = hints.iter().map(Vec::as_slice).chain(self.digits(said)?).collect();
        Some(match run(&self.script, &items, Rules::Consensus) {
            Ok(outcome) => {
                assert_eq!((outcome.stack.len(), outcome.alt.len()), (self.left, 0), "{}", self.leaf.name());
                true
            }
            Err(_) => false,
        })
    }
}

/// Unsigned items that somebody might try on a leaf that takes so many.
pub fn tries(count: usize) -> Vec<Vec<Vec<u8>>> {
    let odd: [&[u8]; 8] =
        [&[0x80], &[0x81], &[1, 0], &[0xff, 0xff, 0xff, 0xff], &[0; 5], &[7; 20], &[0, 1], &[0xff; 4]];
    let single: Vec<Vec<u8>> = (0..=130).map(item).chain(odd.map(<[u8]>::to_vec)).collect();
    match count {
        0 => vec![Vec::new()],
        1 => single.into_iter().map(|item| vec![item]).collect(),
        // A byte of four, and a half of it.
        2 => {
            let (bytes, halves) = (single.iter().take(6), [0, 1, 2].map(item));
            let pairs = bytes.flat_map(|byte| halves.iter().map(|half| vec![byte.clone(), half.clone()]));
            pairs.chain(odd.map(|item| vec![item.to_vec(); 2])).collect()
        }
        // Where two rows differ, and where one of them differs from two constants, of which one place tells most often.
        3 => {
            let rows = || single.iter().filter(|item| !matches!(item[..], [65..=127 | 131..])).cloned();
            let places = (0..3).flat_map(|at| [0, 1].map(|other| (at, item(other))));
            let one = |(at, other): (usize, Vec<u8>)| {
                rows().map(move |item| (0..3).map(|n| if n == at { item.clone() } else { other.clone() }).collect())
            };
            rows().map(|item| vec![item; 3]).chain(places.flat_map(one)).collect()
        }
        _ => single.into_iter().map(|item| vec![item; count]).collect(),
    }
}

/// Asserts that script and mirror of every leaf agree on what was said, and gives the names of those that are satisfied.
/// `hard` tries unsigned items on those that are not and look at them.
pub fn satisfied(leaves: &[Arc<Compiled>], said: &Said<'_>, hard: bool) -> Vec<String> {
    let judged = leaves.iter().map(|compiled| (compiled, judge(compiled, said, hard)));
    judged.filter(|(_, satisfied)| *satisfied).map(|(compiled, _)| compiled.leaf.name()).collect()
}

/// The same, knowing that none was satisfied before `changed` was said in another way: who does not read it runs as before.
pub fn satisfied_since(leaves: &[Arc<Compiled>], said: &Said<'_>, changed: MessageId) -> Vec<String> {
    let concerned = |compiled: &&Arc<Compiled>| {
        let satisfied = compiled.leaf.refutes(said).is_some();
        let reads = compiled.reads.contains(&changed);
        assert!(reads || !satisfied, "{} is about {changed}, which it does not read", compiled.leaf.name());
        reads
    };
    let concerned: Vec<_> = leaves.iter().filter(concerned).cloned().collect();
    satisfied(&concerned, said, false)
}

fn judge(compiled: &Compiled, said: &Said<'_>, hard: bool) -> bool {
    let name = compiled.leaf.name();
    if let Some(hints) = compiled.leaf.refutes(said) {
        assert_eq!(compiled.accepts(said.statements, &hints), Some(true), "{name}: {hints:?}");
        return true;
    }
    let count = compiled.leaf.hint_count();
    if compiled.refuses_whatever_the_hints(said.statements) != Some(false) {
        return false;
    }
    let tried = if hard || count == 0 { tries(count) } else { vec![vec![vec![]; count]] };
    for hints in tried {
        assert_ne!(compiled.accepts(said.statements, &hints), Some(true), "{name}: {hints:?}");
    }
    false
}
