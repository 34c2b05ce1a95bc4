//! One step opened: what an operator signs about it (PROTOCOL §7), and the paths of its seven accesses.
//!
//! Every opening has the same form, so that whoever judges one needs no case for steps that are special:
//! - A step that halts writes what is there already, so its data write leaves the root and its pc write the word as
//!   they are. Only the last state is no root, but the constant.
//! - A halted state has no memory. Its steps are opened as ECALL or EBREAK would be, in a memory made up for that
//!   ([`Opening::of_halted`]); only the top of its paths does not lead to the state.

use std::ops::Range;

use trestle_rollup::Digest;

use crate::instruction::{rs1, rs2};
use crate::layout::{HALT_ACCEPT, HALT_REJECT, LEVELS, PAGE_BYTES, PC, register_address};
use crate::memory::{MemoryTree, PageBytes, Path, node};
use crate::step::{Effect, Leaf, ReadMemory, Step};

/// The positions of a path's rounds, 4^3: level 0 is the leaf, and from [`LEVELS`] on each stands for the root.
pub const PATH_LEVELS: usize = 64;

/// How much of a digest is signed in a round.
pub type Commitment = [u8; 24];

/// What is signed of a digest in a round: its first 24 bytes.
#[must_use]
pub fn commitment(digest: &Digest) -> Commitment {
    digest.first_chunk().copied().unwrap_or_default()
}

/// Whether a state is one of the two constants.
#[must_use]
pub fn is_halted(state: &Digest) -> bool {
    *state == HALT_ACCEPT || *state == HALT_REJECT
}

/// Message A: the states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roots {
    /// t, counted from 1.
    pub index: u64,
    /// `S_{t-1}`.
    pub before: Digest,
    /// The root after the data write, before pc is written.
    pub written: Digest,
    /// `S_t`.
    pub after: Digest,
}

/// Message B: the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// The program counter.
    pub pc: u32,
    /// The word at pc, its lowest two bits cleared.
    pub instruction: u32,
    /// Register `instruction[19:15]`.
    pub rs1: u32,
    /// Register `instruction[24:20]`.
    pub rs2: u32,
    /// Where memory is read.
    pub address: u32,
    /// The word written to [`Words::write_address`].
    pub value: u32,
    /// The word written to pc.
    pub next_pc: u32,
}

/// What an operator signs about one step: messages A, B and C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepOpening {
    /// Message A.
    pub roots: Roots,
    /// Message B.
    pub words: Words,
    /// Message C: the memory leaf in which [`Words::address`] lies.
    pub leaf: Leaf,
}

/// The accesses of a step, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// pc is read.
    Pc,
    /// The word at pc is read.
    Code,
    /// A register is read.
    Rs1,
    /// A register is read.
    Rs2,
    /// A leaf is read.
    Memory,
    /// A word is written, to a register or to memory.
    Write,
    /// pc is written.
    WritePc,
}

/// A node on the path of an access, with the one beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathNode {
    /// The node; at level 0 the leaf itself.
    pub child: Digest,
    /// For a write: the node that takes its place.
    pub new_child: Option<Digest>,
    /// The other child of the same parent.
    pub sibling: Digest,
    /// Whether the node is its parent's right child.
    pub right: bool,
}

/// What an operator signs about one node of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeOpening {
    /// Whose path.
    pub access: Access,
    /// The node's level, below [`PATH_LEVELS`].
    pub level: usize,
    /// The node.
    pub node: PathNode,
}

/// What stands at one level of a path: the digest that is read there, and for a write the one that takes its place.
pub type Standing<T> = (T, Option<T>);

/// A step as its operator can open it, down to every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What is signed at once.
    pub step: StepOpening,
    /// For each access, the nodes below the root, from the leaf on.
    pub paths: [[PathNode; LEVELS]; Access::ALL.len()],
}

impl Words {
    /// Where the step writes, by the opcode of the word at pc alone, so that a step that halts has a place, too: where it
    /// stores to; x0 for a branch or FENCE; else the register in bits 11..7, whatever they mean.
    #[must_use]
    pub fn write_address(&self) -> u32 {
        match self.instruction & 0x7f {
            0x23 => self.address & !3,
            0x63 | 0x0f => register_address(0),
            _ => register_address(self.instruction >> 7),
        }
    }
}

impl Access {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [Self::Pc, Self::Code, Self::Rs1, Self::Rs2, Self::Memory, Self::Write, Self::WritePc];

    /// Where the access is, by the words that were signed.
    #[must_use]
    pub fn address(self, words: &Words) -> u32 {
        match self {
            Self::Pc | Self::WritePc => PC,
            Self::Code => words.pc & !3,
            Self::Rs1 => register_address(rs1(words.instruction)),
            Self::Rs2 => register_address(rs2(words.instruction)),
            Self::Memory => words.address,
            Self::Write => words.write_address(),
        }
    }

    /// The states between which the access is: the one that is read, and for a write the one that it leaves.
    #[must_use]
    pub fn roots(self, roots: &Roots) -> Standing<Digest> {
        match self {
            Self::Pc | Self::Code | Self::Rs1 | Self::Rs2 | Self::Memory => (roots.before, None),
            Self::Write => (roots.before, Some(roots.written)),
            Self::WritePc => (roots.written, Some(roots.after)),
        }
    }
}

impl PathNode {
    /// What `C` makes of the two children: the parent, and for a write the one that takes its place.
    #[must_use]
    pub fn parent(&self) -> Standing<Digest> {
        let with = |child: &Digest| if self.right { node(&self.sibling, child) } else { node(child, &self.sibling) };
        (with(&self.child), self.new_child.as_ref().map(with))
    }
}

impl Opening {
    /// A step made from the state of the given root, as its log says.
    #[must_use]
    pub fn of_step(index: u64, before: &MemoryTree, step: &Step) -> Self {
        let Step { pc, instruction, rs1, rs2, address, leaf, .. } = *step;
        let mut words = Words { pc, instruction, rs1, rs2, address, value: 0, next_pc: 0 };
        let halt = match step.effect {
            Effect::Write { value, next_pc, .. } => {
                (words.value, words.next_pc) = (value, next_pc);
                None
            }
            Effect::Halt(halt) => {
                (words.value, words.next_pc) = (before.word(words.write_address()), before.word(PC));
                Some(halt)
            }
        };
        let written = with_word(before, words.write_address(), words.value);
        let after = halt.map_or_else(|| with_word(&written, PC, words.next_pc).root(), |halt| halt.state());
        let roots = Roots { index, before: before.root(), written: written.root(), after };
        let paths = Access::ALL.map(|access| {
            let address = access.address(&words);
            match access {
                Access::Write => nodes(&before.path(address), address, Some(words.value)),
                Access::WritePc => nodes(&written.path(address), address, Some(words.next_pc)),
                _ => nodes(&before.path(address), address, None),
            }
        });
        Self { step: StepOpening { roots, words, leaf }, paths }
    }

    /// A step from a halted state, which is the state that it leads to: the opening of an ECALL if that accepts, else of
    /// an EBREAK, where the code begins, all other memory zero. Its paths lead to that memory's root, not to the state.
    #[must_use]
    pub fn of_halted(index: u64, state: Digest, code: &Range<u32>) -> Self {
        let instruction = if state == HALT_ACCEPT { 0x0000_0073 } else { 0x0010_0073 };
        let memory = with_word(&with_word(&MemoryTree::default(), PC, code.start), code.start, instruction);
        let words = Words { pc: code.start, instruction, rs1: 0, rs2: 0, address: 0, value: 0, next_pc: code.start };
        let paths = Access::ALL.map(|access| {
            let address = access.address(&words);
            let written = matches!(access, Access::Write | Access::WritePc).then(|| memory.word(address));
            nodes(&memory.path(address), address, written)
        });
        let roots = Roots { index, before: state, written: state, after: state };
        Self { step: StepOpening { roots, words, leaf: memory.leaf(0) }, paths }
    }

    /// What the operator signs about a node when it is asked for it.
    #[must_use]
    pub fn node(&self, access: Access, level: usize) -> NodeOpening {
        let node = self.path(access).get(level).copied().unwrap_or_else(|| {
            let (child, new_child) = self.standing(access, level);
            PathNode { child, new_child, sibling: [0; 32], right: false }
        });
        NodeOpening { access, level, node }
    }

    /// What stands at a level of a path, from 0, the leaf, to [`PATH_LEVELS`], the root; in a round its commitment is
    /// signed. Between, from [`LEVELS`] on, stands what the path leads to.
    #[must_use]
    pub fn standing(&self, access: Access, level: usize) -> Standing<Digest> {
        let path = self.path(access);
        match (path.get(level), path.last()) {
            (Some(node), _) => (node.child, node.new_child),
            (None, Some(top)) if level < PATH_LEVELS => top.parent(),
            _ => access.roots(&self.step.roots),
        }
    }

    fn path(&self, access: Access) -> &[PathNode] {
        self.paths.get(access as usize).map_or(&[], |path| path)
    }
}

/// The nodes of a path, and beside them those that stand there when a word at the bottom is written.
fn nodes(path: &Path, address: u32, written: Option<u32>) -> [PathNode; LEVELS] {
    let index = address as usize / size_of::<Leaf>();
    let (mut child, mut new_child) = (path.leaf, written.map(|value| leaf_with(path.leaf, address, value)));
    let mut level = 0;
    path.siblings.map(|sibling| {
        let node = PathNode { child, new_child, sibling, right: index >> level & 1 == 1 };
        (child, new_child) = node.parent();
        level += 1;
        node
    })
}

/// A leaf in which the word at the address is another.
fn leaf_with(mut leaf: Leaf, address: u32, value: u32) -> Leaf {
    let word = leaf.as_chunks_mut().0.get_mut(address as usize % size_of::<Leaf>() / 4);
    word.into_iter().for_each(|word| *word = value.to_le_bytes());
    leaf
}

/// A memory in which the word at the address is another.
pub(crate) fn with_word(memory: &MemoryTree, address: u32, value: u32) -> MemoryTree {
    if memory.word(address) == value {
        return memory.clone();
    }
    let number = address / PAGE_BYTES as u32;
    let mut page: Box<PageBytes> = Box::new(memory.page(number).copied().unwrap_or([0; PAGE_BYTES]));
    let word = page.as_chunks_mut().0.get_mut(address as usize % PAGE_BYTES / 4);
    word.into_iter().for_each(|word| *word = value.to_le_bytes());
    memory.with_pages(vec![(number, page)])
}
