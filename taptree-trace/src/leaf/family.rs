//! Leaves by families: those that differ in nothing but the place, the header or the message that they are about.

use super::{LaneTree, LaneTreeError, Size, Tree};
use crate::lane::Lane;

/// Leaves of one family, with the size of the largest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Their tree.
    pub tree: Tree,
    /// [`super::Disproof::family`].
    pub name: String,
    /// How many they are.
    pub leaves: usize,
    /// What the operator lied about.
    pub lie: String,
    /// The greatest of each of their sizes.
    pub size: Size,
}

impl Family {
    /// All families of a lane, in the order of its trees and leaves.
    ///
    /// # Errors
    /// If the lane's keys are for another K than its constants.
    pub fn all(lane: &Lane) -> Result<Vec<Self>, LaneTreeError> {
        let mut families: Vec<Self> = Vec::new();
        for tree in Tree::ALL {
            let built = LaneTree::build(tree, lane, &[])?;
            for (index, leaf) in built.leaves().iter().enumerate() {
                let size = Size::of(leaf.as_ref(), lane, built.hashes.depth(index))?;
                let name = leaf.family();
                match families.iter_mut().find(|family| family.tree == tree && family.name == name) {
                    Some(family) => {
                        family.leaves += 1;
                        family.size = family.size.max(size);
                    }
                    None => families.push(Self { tree, name, leaves: 1, lie: leaf.lie(), size }),
                }
            }
        }
        Ok(families)
    }

    /// The families as the table of docs/protocol.md.
    #[must_use]
    pub fn table(families: &[Self]) -> String {
        let mut table =
            "| tree | leaf | leaves | what the operator lied about | script bytes | witness weight | peak |\n"
                .to_string();
        table += "| --- | --- | --- | --- | --- | --- | --- |\n";
        for Self { tree, name, leaves, lie, size } in families {
            let Size { script, witness, peak, .. } = size;
            table += &format!("| {} | `{name}` | {leaves} | {lie} | {script} | {witness} | {peak} |\n", tree.name());
        }
        table
    }
}
