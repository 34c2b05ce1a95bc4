//! The trees of a lane: which leaves hang on which output.
//!
//! Leaves are bound by what was signed, not by the transaction that carried it, so a leaf could hang anywhere. It hangs on
//! the output that the challenger has when the last message that it reads has been signed.

use bitcoin::ScriptBuf;

use super::{Bottom, Boundary, Disproof, Fork, Hash, LeafError, Link, Padding, Said, Twice, script, semantics};
use crate::lane::{Lane, MessageId};
use crate::tree::{LeafTree, LeafTreeError};

/// One of a lane's trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// After the block opening.
    Block,
    /// After the step opening.
    Step,
    /// After the opening of a node on a path that is read.
    ReadNode,
    /// After the opening of a node on a path that is written.
    WriteNode,
    /// After the last header of a fork.
    Fork,
}

impl Tree {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Block, Self::Step, Self::ReadNode, Self::WriteNode, Self::Fork];

    /// What figures and fixtures call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Step => "step",
            Self::ReadNode => "read",
            Self::WriteNode => "write",
            Self::Fork => "fork",
        }
    }

    /// Its leaves, in their order, in a lane with K = `confirmations`.
    #[must_use]
    pub fn leaves(self, confirmations: u16) -> Vec<Box<dyn Disproof>> {
        let mut leaves: Vec<Box<dyn Disproof>> = Vec::new();
        match self {
            Self::Block => {
                add(&mut leaves, Link::entries());
                add(&mut leaves, Boundary::BLOCK);
                add(&mut leaves, Hash::entries());
            }
            Self::Step => {
                add(&mut leaves, Link::states());
                add(&mut leaves, Boundary::STEP);
                add(&mut leaves, semantics::Semantics::all());
            }
            Self::ReadNode => {
                add(&mut leaves, Link::nodes_read());
                add(&mut leaves, Padding::read());
                add(&mut leaves, Bottom::read());
                add(&mut leaves, Hash::nodes_read());
            }
            Self::WriteNode => {
                add(&mut leaves, Link::nodes_written());
                add(&mut leaves, Padding::written());
                add(&mut leaves, Bottom::written());
                add(&mut leaves, Hash::nodes_written());
            }
            Self::Fork => {
                add(&mut leaves, Fork::all(confirmations));
                add(&mut leaves, Hash::headers(confirmations));
            }
        }
        add(&mut leaves, MessageId::all(confirmations).into_iter().filter(|id| self.signs(*id)).map(Twice));
        leaves
    }

    /// Whether a message is first signed in the moves before this tree's output.
    const fn signs(self, id: MessageId) -> bool {
        let tree = match id {
            MessageId::Claim
            | MessageId::History(_)
            | MessageId::BlockIndex
            | MessageId::BlockEntry(_)
            | MessageId::BlockHash(_)
            | MessageId::BlockRoot(_) => Self::Block,
            MessageId::Trace(_)
            | MessageId::StepIndex
            | MessageId::StepBefore
            | MessageId::StepMiddle
            | MessageId::StepAfter
            | MessageId::StepLog
            | MessageId::StepLeaf => Self::Step,
            MessageId::Read(_) | MessageId::ReadPosition | MessageId::ReadChild | MessageId::ReadSibling => {
                Self::ReadNode
            }
            MessageId::Write(..) | MessageId::WritePosition | MessageId::WriteChild(_) | MessageId::WriteSibling => {
                Self::WriteNode
            }
            MessageId::Header(..) => Self::Fork,
        };
        self as u8 == tree as u8
    }
}

fn add<L: Disproof + 'static>(leaves: &mut Vec<Box<dyn Disproof>>, more: impl IntoIterator<Item = L>) {
    leaves.extend(more.into_iter().map(|leaf| Box::new(leaf) as Box<dyn Disproof>));
}

/// A tree of a lane, of which only the hashes are kept.
#[derive(Debug)]
pub struct LaneTree {
    leaves: Vec<Box<dyn Disproof>>,
    /// Over the leaves, and after them the scripts that the caller has added.
    pub hashes: LeafTree,
}

/// Why a lane has no such tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaneTreeError {
    /// A leaf has no script.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// There are no leaves.
    #[error(transparent)]
    Tree(#[from] LeafTreeError),
}

/// A leaf that can be satisfied.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// Which of the tree's leaves.
    pub index: usize,
    /// The leaf.
    pub leaf: &'a dyn Disproof,
    /// Its unsigned items.
    pub hints: Vec<Vec<u8>>,
}

impl LaneTree {
    /// Makes and hashes every script. `more` are further leaves of the output, which the caller knows how to spend: what
    /// else can happen there than a disproof.
    ///
    /// # Errors
    /// If the keys are those of a lane with another K than the constants'.
    pub fn build(tree: Tree, lane: &Lane, more: &[ScriptBuf]) -> Result<Self, LaneTreeError> {
        let leaves = tree.leaves(lane.constants.confirmations);
        let keyed = |leaf: &dyn Disproof| leaf.reads().into_iter().find(|id| lane.keys.message(*id).is_none());
        if let Some(id) = leaves.iter().find_map(|leaf| keyed(leaf.as_ref())) {
            return Err(LeafError::NoKey(id).into());
        }
        let numbers: Vec<usize> = (0..leaves.len() + more.len()).collect();
        let hashes = LeafTree::build(&numbers, |number| match leaves.get(*number) {
            // There is a key for everything that it reads.
            Some(leaf) => script(leaf.as_ref(), lane).unwrap_or_default(),
            None => more.get(number - leaves.len()).cloned().unwrap_or_default(),
        })?;
        Ok(Self { leaves, hashes })
    }

    /// The disproof leaves, in their order; those that the caller has added follow them.
    #[must_use]
    pub fn leaves(&self) -> &[Box<dyn Disproof>] {
        &self.leaves
    }

    /// Every leaf that what was signed satisfies, the first in the tree first.
    pub fn satisfied<'a>(&'a self, said: &'a Said<'_>) -> impl Iterator<Item = Found<'a>> {
        let leaves = self.leaves.iter().map(Box::as_ref).enumerate();
        leaves.filter_map(|(index, leaf)| Some(Found { index, leaf, hints: leaf.refutes(said)? }))
    }
}
