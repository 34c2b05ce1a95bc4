//! Leaves' bodies run alone, on the digits that the signatures would leave: fast enough to be run by the million.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bitcoin::ScriptBuf;
use trestle_taptree_trace::interpreter::{Rules, run};
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
        Self { leaf, reads, script: body.script, left: body.left }
    }

    /// Whether the body accepts what was said, with these unsigned items. `None` if something is not said.
    pub fn accepts(&self, said: &Statements, hints: &[Vec<u8>]) -> Option<bool> {
        let mut items = hints.to_vec();
        for (place, id) in self.reads.iter().enumerate() {
            let again = self.reads[..place].contains(id);
            let message = if again { said.twice(*id)?[1] } else { said.message(*id)? };
            items.extend(message.digits().iter().map(|digit| item(u64::from(*digit))));
        }
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
        _ => single.into_iter().map(|item| vec![item; count]).collect(),
    }
}

/// Asserts that script and mirror of every leaf agree on what was said, and gives the names of those that are satisfied.
/// `hard` tries unsigned items on those that are not.
pub fn satisfied(leaves: &[Arc<Compiled>], said: &Said<'_>, hard: bool) -> Vec<String> {
    let mut names = Vec::new();
    for compiled in leaves {
        let name = compiled.leaf.name();
        match compiled.leaf.refutes(said) {
            Some(hints) => {
                assert_eq!(compiled.accepts(said.statements, &hints), Some(true), "{name}: {hints:?}");
                names.push(name);
            }
            None => {
                let tried = if hard {
                    tries(compiled.leaf.hint_count())
                } else {
                    vec![vec![vec![]; compiled.leaf.hint_count()]]
                };
                for hints in tried {
                    assert_ne!(compiled.accepts(said.statements, &hints), Some(true), "{name}: {hints:?}");
                }
            }
        }
    }
    names
}
