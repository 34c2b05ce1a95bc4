//! A Taproot tree of hundreds of leaves, some of a hundred kilobytes, of which only the hashes are kept.
//!
//! A lane's trees are committed to by every signer and spent by a challenger that needs one leaf of them. So a tree
//! is built from a function that writes the script of a leaf: each script is made, hashed, and dropped, on all cores;
//! whoever spends a leaf makes its script again and gets its control block from here. The shape is a function of
//! the number of leaves alone: neighbours are paired, and who is left over goes up one level.

use std::num::NonZero;
use std::thread;

use bitcoin::key::{Secp256k1, TapTweak, TweakedPublicKey};
use bitcoin::secp256k1::{Parity, Verification};
use bitcoin::taproot::{ControlBlock, LeafVersion, TapLeafHash, TapNodeHash, TaprootMerkleBranch};
use bitcoin::{Script, ScriptBuf, XOnlyPublicKey};

/// The hashes of a tree, level by level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafTree {
    /// The leaves first, the root alone last.
    levels: Vec<Vec<TapNodeHash>>,
}

/// Why there is no such tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeafTreeError {
    /// A tree has at least one leaf.
    #[error("a tree without leaves")]
    Empty,
    /// The tree has fewer leaves.
    #[error("there is no leaf {index}: the tree has {leaves}")]
    NoSuchLeaf {
        /// The leaf that was asked for.
        index: usize,
        /// How many there are.
        leaves: usize,
    },
}

impl LeafTree {
    /// Builds the tree over `leaves`, in their order, with the scripts that `script` makes of them.
    ///
    /// # Errors
    /// If there are no leaves.
    pub fn build<L: Sync>(leaves: &[L], script: impl Fn(&L) -> ScriptBuf + Sync) -> Result<Self, LeafTreeError> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let hash = |leaf: &L| TapNodeHash::from(leaf_hash(&script(leaf)));
        // Leaves differ in size by a factor of a hundred, and neighbours are alike: every core takes each nth.
        let shares: Vec<Vec<TapNodeHash>> = thread::scope(|scope| {
            let share = |first| leaves.iter().skip(first).step_by(cores).map(hash).collect();
            let workers: Vec<_> = (0..cores).map(|first| scope.spawn(move || share(first))).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let mut shares: Vec<_> = shares.into_iter().map(Vec::into_iter).collect();
        let hashes = (0..leaves.len()).filter_map(|index| shares.get_mut(index % cores)?.next()).collect();
        Self::from_hashes(hashes)
    }

    fn from_hashes(leaves: Vec<TapNodeHash>) -> Result<Self, LeafTreeError> {
        if leaves.is_empty() {
            return Err(LeafTreeError::Empty);
        }
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let parent = |pair: &[TapNodeHash]| match pair {
                [left, right] => Some(TapNodeHash::from_node_hashes(*left, *right)),
                alone => alone.first().copied(),
            };
            let above = level.chunks(2).filter_map(parent).collect();
            levels.push(above);
        }
        Ok(Self { levels })
    }

    /// The number of leaves.
    #[must_use]
    pub fn leaves(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// Where the leaf with this hash is.
    #[must_use]
    pub fn position(&self, leaf: TapLeafHash) -> Option<usize> {
        let leaf = TapNodeHash::from(leaf);
        self.levels.first()?.iter().position(|hash| *hash == leaf)
    }

    /// How many levels below the root a leaf is; 0 if there is no such leaf.
    #[must_use]
    pub fn depth(&self, index: usize) -> usize {
        self.beside(index).count()
    }

    /// How many levels below the root a leaf would be in a tree of so many: the shape is a function of their number alone.
    #[must_use]
    pub fn depth_among(index: usize, leaves: usize) -> usize {
        let levels = std::iter::successors(Some(leaves), |level| (*level > 1).then(|| level.div_ceil(2)));
        levels.enumerate().filter(|(height, level)| ((index >> height) ^ 1) < *level).count()
    }

    /// The hashes beside the way from a leaf to the root.
    fn beside(&self, index: usize) -> impl Iterator<Item = TapNodeHash> {
        let levels = self.levels.iter().enumerate();
        levels.filter_map(move |(height, level)| level.get((index >> height) ^ 1).copied())
    }

    /// The merkle root.
    #[must_use]
    pub fn root(&self) -> TapNodeHash {
        // `from_hashes` leaves no level without a node.
        self.levels
            .last()
            .and_then(|level| level.first().copied())
            .unwrap_or_else(|| TapNodeHash::assume_hidden([0; 32]))
    }

    /// The output key over `internal_key` and this tree, and its parity.
    #[must_use]
    pub fn output_key<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        internal_key: XOnlyPublicKey,
    ) -> (TweakedPublicKey, Parity) {
        internal_key.tap_tweak(secp, Some(self.root()))
    }

    /// What a spend of the leaf at `index` shows below its script.
    ///
    /// # Errors
    /// If there is no such leaf.
    pub fn control_block<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        internal_key: XOnlyPublicKey,
        index: usize,
    ) -> Result<ControlBlock, LeafTreeError> {
        let leaves = self.leaves();
        if index >= leaves {
            return Err(LeafTreeError::NoSuchLeaf { index, leaves });
        }
        let path: Vec<TapNodeHash> = self.beside(index).collect();
        let merkle_branch =
            TaprootMerkleBranch::try_from(path).map_err(|_| LeafTreeError::NoSuchLeaf { index, leaves })?;
        let (_, output_key_parity) = self.output_key(secp, internal_key);
        Ok(ControlBlock { leaf_version: LeafVersion::TapScript, output_key_parity, internal_key, merkle_branch })
    }
}

/// The hash of a leaf with this script.
fn leaf_hash(script: &Script) -> TapLeafHash {
    TapLeafHash::from_script(script, LeafVersion::TapScript)
}

#[cfg(test)]
mod tests {
    use bitcoin::script::Builder;

    use super::*;

    fn script(number: &i64) -> ScriptBuf {
        Builder::new().push_int(*number).into_script()
    }

    fn key() -> XOnlyPublicKey {
        "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0".parse().unwrap()
    }

    #[test]
    fn every_leaf_of_a_tree_of_any_size_can_be_spent_and_no_other_script_can() {
        let secp = Secp256k1::new();
        for count in (1..=33).chain([200, 257]) {
            let leaves: Vec<i64> = (0..count).collect();
            let tree = LeafTree::build(&leaves, script).unwrap();
            let (output, _) = tree.output_key(&secp, key());
            for (index, leaf) in leaves.iter().enumerate() {
                let control = tree.control_block(&secp, key(), index).unwrap();
                let depth = LeafTree::depth_among(index, leaves.len());
                assert_eq!((control.merkle_branch.len(), tree.depth(index)), (depth, depth));
                assert_eq!(tree.position(leaf_hash(&script(leaf))), Some(index));
                assert!(control.verify_taproot_commitment(&secp, output.to_x_only_public_key(), &script(leaf)));
                assert!(!control.verify_taproot_commitment(&secp, output.to_x_only_public_key(), &script(&(leaf + 1))));
            }
            let beyond = LeafTreeError::NoSuchLeaf { index: leaves.len(), leaves: leaves.len() };
            assert_eq!(tree.control_block(&secp, key(), leaves.len()).unwrap_err(), beyond);
        }
        assert_eq!(LeafTree::build(&[], script).unwrap_err(), LeafTreeError::Empty);
    }

    #[test]
    fn the_shape_is_pinned() {
        let tree = LeafTree::build(&(0..5).collect::<Vec<i64>>(), script).unwrap();
        let leaf = |number| TapNodeHash::from(leaf_hash(&script(&number)));
        let pair = TapNodeHash::from_node_hashes;
        assert_eq!(tree.root(), pair(pair(pair(leaf(0), leaf(1)), pair(leaf(2), leaf(3))), leaf(4)));
        assert_eq!(tree.root().to_string(), "42965f064f4ba8962663c2b3283b70dacca5a40b8b58eaedc6b87485dc181b23");
    }
}
