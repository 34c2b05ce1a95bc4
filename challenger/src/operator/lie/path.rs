//! Lies about the paths of a false step.

use trestle_zkvm_adapter::layout::LEVELS;
use trestle_zkvm_adapter::{Access, Opening};

/// A lie about paths, told of all of a step's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathLie {
    /// The leaf has what the step says, and what follows from it follows up to this level. Above is the truth.
    Bottom(usize),
    /// The same up to the root, and the sibling of this level is another.
    Sibling(usize),
    /// The same up to this level, whose node is said to be on its parent's other side.
    Direction(usize),
    /// The same up to this level, whose node is another.
    Node(usize),
    /// The same up to the root, and of a write the other words of the leaf change, too.
    Others,
}

impl PathLie {
    /// Puts the lie into the opening of a step.
    pub fn tell(self, opening: &mut Opening) {
        for access in Access::ALL {
            self.tell_of(opening, access);
        }
    }

    fn tell_of(self, opening: &mut Opening, access: Access) {
        let words = opening.step.words;
        let at = access.address(&words) as usize & 28;
        let path = &mut opening.paths[access as usize];
        let bottom = &mut path[0];
        let put = |leaf: &mut [u8; 32], word: u32| leaf[at..at + 4].copy_from_slice(&word.to_le_bytes());
        match access {
            Access::Pc => put(&mut bottom.child, words.pc),
            Access::Code => put(&mut bottom.child, words.instruction),
            Access::Rs1 => put(&mut bottom.child, words.rs1),
            Access::Rs2 => put(&mut bottom.child, words.rs2),
            Access::Memory => bottom.child = opening.step.leaf,
            Access::Write => bottom.new_child.iter_mut().for_each(|leaf| put(leaf, words.value)),
            Access::WritePc => bottom.new_child.iter_mut().for_each(|leaf| put(leaf, words.next_pc)),
        }
        let until = match self {
            Self::Bottom(level) => level,
            Self::Sibling(level) => {
                path.get_mut(level).into_iter().for_each(|node| node.sibling[5] ^= 1);
                LEVELS
            }
            Self::Direction(level) => {
                path.get_mut(level).into_iter().for_each(|node| node.right ^= true);
                level
            }
            Self::Node(level) => {
                let changed = path.get_mut(level).map(|node| node.new_child.as_mut().unwrap_or(&mut node.child));
                changed.into_iter().for_each(|child| child[30] ^= 1);
                level
            }
            Self::Others => {
                let other = (at + 4) % 32;
                path[0].new_child.iter_mut().for_each(|leaf| leaf[other] ^= 8);
                LEVELS
            }
        };
        for level in 0..until.min(LEVELS - 1) {
            let below = path[level];
            (path[level + 1].child, path[level + 1].new_child) = below.parent();
        }
    }
}
