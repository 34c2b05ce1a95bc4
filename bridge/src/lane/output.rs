//! The output that waits for a turn: `tr(P, leaves)`, of which hashes are kept and no scripts.

use bitcoin::key::Secp256k1;
use bitcoin::{ScriptBuf, Sequence, TapLeafHash, TapNodeHash, XOnlyPublicKey};
use trestle_taptree_trace::lane::Lane;
use trestle_taptree_trace::leaf::{self, Disproof, LaneTree, Size};
use trestle_taptree_trace::tree::LeafTree;
use trestle_taptree_trace::turn::{Carried, Player, Turn};

use super::LaneGraphError;
use super::leaf::{longest_items, script, take_script};
use crate::connector::Leaf;

/// The output of a turn. Its leaves are, in this order: the disproofs of [`Turn::tree`], those of [`Turn::steps`], and, if the turn is
/// the operator's, the one by which the challenger takes the output after T_turn.
#[derive(Debug)]
pub(super) struct LaneOutput {
    /// The output's script.
    pub script_pubkey: ScriptBuf,
    /// What ends the turn but a disproof.
    pub steps: Vec<StepLeaves>,
    /// Weight of the heaviest disproof's witness; 0 if there is none.
    pub disproof_weight: usize,
    leaves: Leaves,
    internal_key: XOnlyPublicKey,
    turn: Turn,
    /// T_turn.
    sequence: Sequence,
}

/// The leaves of one step.
#[derive(Debug)]
pub(super) struct StepLeaves {
    /// What its transaction's output waits for.
    pub to: Turn,
    /// The leaves, and the hash of each.
    pub leaves: Vec<(Carried, TapLeafHash)>,
    /// Weight of the heaviest witness.
    pub weight: usize,
}

#[derive(Debug)]
enum Leaves {
    Steps(LeafTree),
    Disproofs(LaneTree),
}

/// What a leaf of an output is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A disproof: which.
    Disproof(usize),
    /// A step. Two steps that carry nothing have the same leaf.
    Step,
    /// The challenger takes what the operator has let pass.
    Take,
}

impl LaneOutput {
    /// The output of `turn`, in a bridge whose T_turn is `sequence`.
    pub fn new(
        turn: Turn,
        lane: &Lane,
        internal_key: XOnlyPublicKey,
        sequence: Sequence,
    ) -> Result<Self, LaneGraphError> {
        let steps = turn.steps(lane.constants.confirmations);
        let mut scripts = Vec::new();
        for carried in steps.iter().flat_map(|step| &step.leaves) {
            scripts.push(script(carried, lane, internal_key)?);
        }
        if turn.mover() == Player::Operator {
            scripts.push(take_script(lane.constants.challenger, sequence));
        }
        let leaves = match turn.tree() {
            Some(tree) => Leaves::Disproofs(LaneTree::build(tree, lane, &scripts)?),
            None => Leaves::Steps(LeafTree::build(&scripts, ScriptBuf::clone)?),
        };
        let (output_key, _) = leaves.hashes().output_key(&Secp256k1::verification_only(), internal_key);
        let mut output = Self {
            script_pubkey: ScriptBuf::new_p2tr_tweaked(output_key),
            steps: Vec::with_capacity(steps.len()),
            disproof_weight: 0,
            leaves,
            internal_key,
            turn,
            sequence,
        };
        let mut scripts = scripts.into_iter().enumerate();
        for step in steps {
            let mut own = StepLeaves { to: step.to, leaves: Vec::with_capacity(step.leaves.len()), weight: 0 };
            for (carried, (index, script)) in step.leaves.into_iter().zip(&mut scripts) {
                let leaf = output.leaf(output.disproofs().len() + index, script)?;
                own.weight = own.weight.max(leaf.witness_weight(longest_items(&carried)));
                own.leaves.push((carried, leaf.hash()));
            }
            output.steps.push(own);
        }
        let mut heaviest = 0;
        for (index, disproof) in output.disproofs().iter().enumerate() {
            let size = Size::of(disproof.as_ref(), lane, output.leaves.hashes().depth(index))?;
            heaviest = heaviest.max(size.witness);
        }
        Ok(Self { disproof_weight: heaviest, ..output })
    }

    /// The merkle root that tweaks the key path.
    pub fn merkle_root(&self) -> TapNodeHash {
        self.leaves.hashes().root()
    }

    /// Its disproofs.
    pub fn disproofs(&self) -> &[Box<dyn Disproof>] {
        match &self.leaves {
            Leaves::Steps(_) => &[],
            Leaves::Disproofs(tree) => tree.leaves(),
        }
    }

    /// The tree of its disproofs.
    pub fn tree(&self) -> Option<&LaneTree> {
        match &self.leaves {
            Leaves::Steps(_) => None,
            Leaves::Disproofs(tree) => Some(tree),
        }
    }

    /// A disproof's leaf, made again.
    pub fn disproof(&self, index: usize, lane: &Lane) -> Result<(&dyn Disproof, Leaf), LaneGraphError> {
        let leaves = self.disproofs().len();
        let disproof = self.disproofs().get(index);
        let disproof =
            disproof.ok_or(trestle_taptree_trace::tree::LeafTreeError::NoSuchLeaf { index, leaves })?.as_ref();
        Ok((disproof, self.leaf(index, leaf::script(disproof, lane)?)?))
    }

    /// A step's leaf, made again.
    pub fn step(&self, carried: &Carried, lane: &Lane) -> Result<Leaf, LaneGraphError> {
        let all = self.steps.iter().flat_map(|step| &step.leaves);
        let index = all.take_while(|(other, _)| other != carried).count();
        self.leaf(self.disproofs().len() + index, script(carried, lane, self.internal_key)?)
    }

    /// The leaf by which the challenger takes the output, made again; `None` if the turn is its own.
    pub fn take(&self, challenger: XOnlyPublicKey) -> Option<Leaf> {
        let last = self.leaves.hashes().leaves() - 1;
        let leaf = || self.leaf(last, take_script(challenger, self.sequence));
        (self.turn.mover() == Player::Operator).then(leaf)?.ok()
    }

    /// How many leaves it has.
    pub fn leaf_count(&self) -> usize {
        self.leaves.hashes().leaves()
    }

    /// What the leaf with this hash is for.
    pub fn purpose(&self, leaf: TapLeafHash) -> Option<Purpose> {
        let index = self.leaves.hashes().position(leaf)?;
        let steps: usize = self.steps.iter().map(|step| step.leaves.len()).sum();
        Some(match index.checked_sub(self.disproofs().len()) {
            None => Purpose::Disproof(index),
            Some(index) if index < steps => Purpose::Step,
            Some(_) => Purpose::Take,
        })
    }

    /// What the step to that turn carries in the leaf with this hash.
    pub fn carried(&self, to: Turn, leaf: TapLeafHash) -> Option<&Carried> {
        let step = self.steps.iter().find(|step| step.to == to)?;
        step.leaves.iter().find_map(|(carried, hash)| (*hash == leaf).then_some(carried))
    }

    fn leaf(&self, index: usize, script: ScriptBuf) -> Result<Leaf, LaneGraphError> {
        let control_block =
            self.leaves.hashes().control_block(&Secp256k1::verification_only(), self.internal_key, index)?;
        Ok(Leaf { script, control_block })
    }
}

impl Leaves {
    fn hashes(&self) -> &LeafTree {
        match self {
            Self::Steps(hashes) => hashes,
            Self::Disproofs(tree) => &tree.hashes,
        }
    }
}
