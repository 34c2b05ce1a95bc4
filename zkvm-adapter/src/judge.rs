//! What is false in an opening, by what was signed and one compression alone.
//!
//! Each [`Lie`] mirrors the disproof leaves of PROTOCOL §7 of its name, and each function takes what such a leaf takes:
//! messages that an operator signed, whatever they say, and what is constant in a lane. A leaf of Bitcoin Script can be
//! satisfied exactly if the function finds its lie, so the leaves are tested against this.

use std::cell::Cell;
use std::ops::Range;

use trestle_rollup::{Digest, compress};

use crate::inputs::InputWords;
use crate::instruction::{Alu, Condition, Instruction, Width};
use crate::layout::{HALT_ACCEPT, LEAF_BYTES, LEVELS, TRACE_STEPS};
use crate::opening::{
    Access, Commitment, NodeOpening, Opening, Roots, Standing, StepOpening, Words, commitment, is_halted,
};
use crate::step::{Constants, Effect, Halt, Leaf, Preimages, ReadMemory, step, word_of};

/// What a judge knows besides what was signed.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Where the program's code is.
    pub code: &'a Range<u32>,
    /// What INPUT reads.
    pub inputs: &'a InputWords,
    /// What UNHASH reads, if whoever disputes the step supplies it. It counts for nothing unless it is the key's.
    pub preimage: Option<&'a (Digest, [u8; 64])>,
}

/// The kinds of steps, by what is read at pc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of `Instruction`")]
pub enum Class {
    /// There is no code at pc.
    Fetch,
    /// The word is no instruction.
    Unknown,
    Lui,
    Auipc,
    Jal,
    Jalr,
    Branch(Condition),
    Load(Width, /** Whether the sign is extended. */ bool),
    Store(Width),
    Immediate(Alu),
    Register(Alu),
    Fence,
    Ecall,
    Ebreak,
    Unhash,
    Input,
}

/// A word of message B that a step decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// [`Words::address`].
    Address,
    /// [`Words::value`].
    Value,
    /// [`Words::next_pc`].
    NextPc,
}

/// What an operator has signed that is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// Step 1 starts elsewhere.
    #[error("S_0 is not the first state of the program")]
    FirstState,
    /// What is claimed of the last state.
    #[error("S_T is not HALT_ACCEPT")]
    LastState,
    /// The opening's `S_{t-1}` is another than the round's.
    #[error("S_(t-1) is not what was signed in its round")]
    Before,
    /// The opening's `S_t` is another than the round's.
    #[error("S_t is not what was signed in its round")]
    After,
    /// `S_{t-1}` is halted, and `S_t` is another.
    #[error("a halted state has moved")]
    HaltedMoved,
    /// `S_t` is halted, but steps of this class with these words go on.
    #[error("{0:?}: the state is halted, and the step does not halt")]
    Halted(Class),
    /// The step halts, and `S_t` is not the constant for how.
    #[error("{0:?}: the step halts, and the state is not the constant for it")]
    NotHalted(Class),
    /// The step halts, so writes nothing, and the root after the data write is another.
    #[error("{0:?}: the step halts, and the root has moved")]
    RootMoved(Class),
    /// The step does not do what its instruction says.
    #[error("{0:?}: the words do not give this {1:?}")]
    Semantics(Class, Field),
    /// INPUT gives another word.
    #[error("INPUT: word {0} is another")]
    Input(u32),
    /// UNHASH gives another word.
    #[error("UNHASH: word {0} of the preimage is another")]
    Unhash(u32),
    /// The leaf at the bottom does not say what the step opening says.
    #[error("{0:?}: the leaf has another word than the step")]
    Word(Access),
    /// The new leaf does not have the value written.
    #[error("{0:?}: the new leaf does not have the word that the step writes")]
    Written(Access),
    /// More of the leaf has changed than the word written.
    #[error("{0:?}: words of the leaf have changed that the step does not write")]
    OtherWords(Access),
    /// The opened node is another than the round's.
    #[error("{access:?}: the node at level {level} is not what was signed in its round")]
    Child {
        /// Whose path.
        access: Access,
        /// The node's level.
        level: usize,
    },
    /// The node is on the other side.
    #[error("{access:?}: the direction at level {level} is not the address's")]
    Direction {
        /// Whose path.
        access: Access,
        /// The node's level.
        level: usize,
    },
    /// `C(left, right)` is not the node above.
    #[error("{access:?}: the nodes at level {level} do not make the one above")]
    Node {
        /// Whose path.
        access: Access,
        /// The level of the two.
        level: usize,
    },
    /// Above the tree, where every level stands for the root, a level differs from the next.
    #[error("{access:?}: level {level}, above the tree, is not the one above it")]
    Padding {
        /// Whose path.
        access: Access,
        /// The lower level.
        level: usize,
    },
}

impl Class {
    /// The class of a step.
    #[must_use]
    pub fn of(pc: u32, word: u32, code: &Range<u32>) -> Self {
        if !pc.is_multiple_of(4) || !code.contains(&pc) {
            return Self::Fetch;
        }
        match Instruction::decode(word) {
            None => Self::Unknown,
            Some(Instruction::Lui { .. }) => Self::Lui,
            Some(Instruction::Auipc { .. }) => Self::Auipc,
            Some(Instruction::Jal { .. }) => Self::Jal,
            Some(Instruction::Jalr { .. }) => Self::Jalr,
            Some(Instruction::Branch { condition, .. }) => Self::Branch(condition),
            Some(Instruction::Load { width, signed, .. }) => Self::Load(width, signed),
            Some(Instruction::Store { width, .. }) => Self::Store(width),
            Some(Instruction::Immediate { alu, .. }) => Self::Immediate(alu),
            Some(Instruction::Register { alu, .. }) => Self::Register(alu),
            Some(Instruction::Fence) => Self::Fence,
            Some(Instruction::Ecall) => Self::Ecall,
            Some(Instruction::Ebreak) => Self::Ebreak,
            Some(Instruction::Unhash { .. }) => Self::Unhash,
            Some(Instruction::Input { .. }) => Self::Input,
        }
    }
}

/// Judges the ends of a trace by message A: a dispute is about whether the machine accepts, from the first state on.
///
/// # Errors
/// The lie.
pub fn judge_edges(roots: &Roots, first: &Digest) -> Result<(), Lie> {
    if roots.index == 1 && roots.before != *first {
        return Err(Lie::FirstState);
    }
    if roots.index == TRACE_STEPS && roots.after != HALT_ACCEPT { Err(Lie::LastState) } else { Ok(()) }
}

/// Judges message A by what was signed in the rounds at t−1 and t; `None` where nothing was, at the ends.
///
/// # Errors
/// The lie.
pub fn judge_rounds(roots: &Roots, before: Option<&Commitment>, after: Option<&Commitment>) -> Result<(), Lie> {
    let differs = |root, signed: Option<&Commitment>| signed.is_some_and(|signed| *signed != commitment(root));
    if differs(&roots.before, before) {
        return Err(Lie::Before);
    }
    if differs(&roots.after, after) { Err(Lie::After) } else { Ok(()) }
}

/// Judges a step opening by itself: whether, if it read what it says, it does what it says. Nothing is said of the roots
/// but which of them are halted, or must be the same.
///
/// # Errors
/// The lie.
pub fn judge_step(opening: &StepOpening, rules: &Rules<'_>) -> Result<(), Lie> {
    let StepOpening { roots, words, leaf } = opening;
    if is_halted(&roots.before) && roots.after != roots.before {
        return Err(Lie::HaltedMoved);
    }
    let class = Class::of(words.pc, words.instruction, rules.code);
    let preimages = Disclosed(rules.preimage);
    let constants = Constants { code: rules.code, inputs: rules.inputs, preimages: &preimages };
    // It has a preimage for everything, if not always the right one.
    let Ok(right) = step(&Said::new(opening), &constants) else { return Ok(()) };

    if words.address != right.address {
        return Err(Lie::Semantics(class, Field::Address));
    }
    let (address, value, next_pc) = match right.effect {
        Effect::Write { address, value, next_pc } => (address, value, next_pc),
        Effect::Halt(halt) => return judge_halt(roots, class, halt),
    };
    // What goes to x0 is zero, known or not.
    let judged = class != Class::Unhash || preimages.knows(leaf) || address == crate::layout::register_address(0);
    if words.value != value && judged {
        return Err(match (class, Instruction::decode(words.instruction)) {
            (Class::Unhash, _) => Lie::Unhash(words.rs1),
            (Class::Input, Some(Instruction::Input { index, .. })) => Lie::Input(index),
            _ => Lie::Semantics(class, Field::Value),
        });
    }
    if words.next_pc != next_pc {
        return Err(Lie::Semantics(class, Field::NextPc));
    }
    if is_halted(&roots.after) { Err(Lie::Halted(class)) } else { Ok(()) }
}

/// Judges the roots of a step that halts.
fn judge_halt(roots: &Roots, class: Class, halt: Halt) -> Result<(), Lie> {
    if roots.after != halt.state() {
        return Err(Lie::NotHalted(class));
    }
    if roots.written != roots.before { Err(Lie::RootMoved(class)) } else { Ok(()) }
}

/// Judges a node opening by what was signed in the rounds at its level and at the next: `None` where nothing was, at the
/// bottom and at the top, where message A's roots stand.
///
/// # Errors
/// The lie.
pub fn judge_node(
    step: &StepOpening,
    opening: &NodeOpening,
    below: Option<&Standing<Commitment>>,
    above: Option<&Standing<Commitment>>,
) -> Result<(), Lie> {
    let NodeOpening { access, level, node } = *opening;
    let child = (node.child, node.new_child);
    if below.is_some_and(|signed| *signed != committed(&child)) {
        return Err(Lie::Child { access, level });
    }
    if level == 0 {
        judge_bottom(step, access, &node.child, node.new_child.as_ref())?;
    }
    let in_tree = level < LEVELS;
    let address = access.address(&step.words) as usize / LEAF_BYTES;
    if in_tree && node.right != (address >> level & 1 == 1) {
        return Err(Lie::Direction { access, level });
    }
    let parent = if in_tree { node.parent() } else { child };
    let differs = match above {
        Some(signed) => *signed != committed(&parent),
        None => differs_from_roots(step, access, &parent),
    };
    match (differs, in_tree) {
        (false, _) => Ok(()),
        (true, true) => Err(Lie::Node { access, level }),
        (true, false) => Err(Lie::Padding { access, level }),
    }
}

/// Whether the top of a path is not the root that it should be. No path leads to a halted state.
fn differs_from_roots(step: &StepOpening, access: Access, top: &Standing<Digest>) -> bool {
    let roots = &step.roots;
    if is_halted(&roots.before) {
        return false;
    }
    let (old, new) = access.roots(roots);
    let into_halt = access == Access::WritePc && is_halted(&roots.after);
    top.0 != old || !into_halt && top.1 != new
}

/// Judges the leaf, or the two, at the bottom of a path.
fn judge_bottom(step: &StepOpening, access: Access, leaf: &Leaf, new: Option<&Leaf>) -> Result<(), Lie> {
    let Words { pc, instruction, rs1, rs2, value, next_pc, .. } = step.words;
    let address = access.address(&step.words);
    let word = word_of(leaf, address);
    let (right, written) = match access {
        Access::Pc => (word == pc, None),
        Access::Code => (word == instruction, None),
        Access::Rs1 => (word == rs1, None),
        Access::Rs2 => (word == rs2, None),
        Access::Memory => (*leaf == step.leaf, None),
        Access::Write => (true, Some(value)),
        Access::WritePc => (true, Some(next_pc)),
    };
    if !right {
        return Err(Lie::Word(access));
    }
    let (Some(value), Some(new)) = (written, new) else { return Ok(()) };
    if word_of(new, address) != value {
        return Err(Lie::Written(access));
    }
    let position = address as usize % LEAF_BYTES / 4;
    let words = |leaf: &Leaf| leaf.as_chunks::<4>().0.iter().copied().enumerate().collect::<Vec<_>>();
    let changed = words(leaf).into_iter().zip(words(new)).any(|(old, new)| old.0 != position && old != new);
    if changed { Err(Lie::OtherWords(access)) } else { Ok(()) }
}

fn committed(standing: &Standing<Digest>) -> Standing<Commitment> {
    (commitment(&standing.0), standing.1.as_ref().map(commitment))
}

impl Opening {
    /// Judges the opening whole, all nodes of all paths included, by its own roots.
    ///
    /// # Errors
    /// The first lie: in the step, or in the order of accesses and from the bottom up.
    pub fn verify(&self, rules: &Rules<'_>) -> Result<(), Lie> {
        judge_step(&self.step, rules)?;
        for access in Access::ALL {
            for level in 0..LEVELS {
                let at = |level| committed(&self.standing(access, level));
                let above = (level + 1 < LEVELS).then(|| at(level + 1));
                judge_node(&self.step, &self.node(access, level), Some(&at(level)), above.as_ref())?;
            }
        }
        Ok(())
    }
}

/// What an operator says that a step has read, as a memory: it answers in the order in which [`step()`] reads, wherever
/// that is.
struct Said<'a> {
    words: [u32; 4],
    read: Cell<usize>,
    leaf: &'a Leaf,
}

impl<'a> Said<'a> {
    fn new(opening: &'a StepOpening) -> Self {
        let Words { pc, instruction, rs1, rs2, .. } = opening.words;
        Self { words: [pc, instruction, rs1, rs2], read: Cell::new(0), leaf: &opening.leaf }
    }
}

impl ReadMemory for Said<'_> {
    fn leaf(&self, _: u32) -> Leaf {
        *self.leaf
    }

    fn word(&self, _: u32) -> u32 {
        self.words.get(self.read.replace(self.read.get() + 1)).copied().unwrap_or_default()
    }
}

/// The preimage that somebody supplies; for any other key something that counts for nothing.
struct Disclosed<'a>(Option<&'a (Digest, [u8; 64])>);

impl Disclosed<'_> {
    fn knows(&self, key: &Digest) -> bool {
        self.0.is_some_and(|(m, block)| compress(m, block) == *key)
    }
}

impl Preimages for Disclosed<'_> {
    fn preimage(&self, key: &Digest) -> Option<(Digest, [u8; 64])> {
        self.0.filter(|_| self.knows(key)).copied().or(Some(([0; 32], [0; 64])))
    }
}
