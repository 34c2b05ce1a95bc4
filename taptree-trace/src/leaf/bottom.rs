//! The bottom of a path, and its directions: where it is, and that the leaf there says what the step opening says.

use bitcoin::opcodes::all::*;
use trestle_zkvm_adapter::layout::{LEVELS, PC};

use super::address::Target;
use super::compare::{difference, digits_of, item};
use super::{Body, Disproof, Frame, Said, Writer};
use crate::lane::{LaneConstants, MessageId, Side};

/// A lie about where a path leads, or what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bottom {
    /// The opened node is on the other side of its parent than the address says.
    Direction(Target),
    /// The leaf has another word than the one that was read, or the new leaf another than the one that was written.
    Word(Target),
    /// The leaf is not the one of the step opening.
    Leaf,
    /// The new leaf differs from the old one in a word that is not written.
    Others(Target),
}

/// Digits of a word.
const WORD: usize = 8;
/// Digits of a leaf.
const LEAF: usize = 64;

impl Bottom {
    /// Those of paths that are read.
    pub fn read() -> impl Iterator<Item = Self> {
        let words = Target::READ.into_iter().filter(|target| *target != Target::Memory).map(Self::Word);
        Target::READ.into_iter().map(Self::Direction).chain(words).chain([Self::Leaf])
    }

    /// Those of paths that are written.
    pub fn written() -> impl Iterator<Item = Self> {
        let all = || Target::WRITTEN.into_iter();
        all().map(Self::Direction).chain(all().map(Self::Word)).chain(all().map(Self::Others))
    }

    const fn target(self) -> Target {
        match self {
            Self::Direction(target) | Self::Word(target) | Self::Others(target) => target,
            Self::Leaf => Target::Memory,
        }
    }

    /// The leaf that has, or should have, the word.
    const fn child(self) -> MessageId {
        match self.target().position() {
            MessageId::WritePosition => MessageId::WriteChild(Side::New),
            _ => MessageId::ReadChild,
        }
    }

    /// The word of the log that the leaf must have.
    const fn word(self) -> &'static str {
        match self.target() {
            Target::Pc => "pc",
            Target::Code => "instruction",
            Target::Rs1 => "rs1",
            Target::Rs2 => "rs2",
            Target::Memory => "address",
            Target::Store | Target::Zero | Target::Register => "value",
            Target::WritePc => "next_pc",
        }
    }
}

impl Disproof for Bottom {
    fn name(&self) -> String {
        let target = self.target().name();
        match self {
            Self::Direction(_) => format!("direction.{target}"),
            Self::Word(_) => format!("bottom.{target}"),
            Self::Leaf => format!("bottom.{target}"),
            Self::Others(_) => format!("bottom.{target}.others"),
        }
    }

    fn lie(&self) -> String {
        let target = self.target().name();
        let child = self.child();
        match self {
            Self::Direction(_) => {
                format!("The node is not on the side of its parent where the address of {target} is.")
            }
            Self::Word(_) => {
                format!("The word of {child} at the address of {target} is not the step's {}.", self.word())
            }
            Self::Leaf => format!("The leaf at the bottom, {child}, is not the step's memory leaf."),
            Self::Others(_) => format!("A word of the leaf changes that is not the one written, {target}."),
        }
    }

    fn reads(&self) -> Vec<MessageId> {
        let position = self.target().position();
        let log = MessageId::StepLog;
        match self {
            Self::Direction(Target::Pc | Target::WritePc) => vec![position],
            Self::Direction(_) => vec![log, position],
            Self::Word(_) => vec![self.child(), log, position],
            Self::Leaf => vec![self.child(), MessageId::StepLeaf, position],
            Self::Others(Target::WritePc) => vec![MessageId::WriteChild(Side::Old), self.child(), position],
            Self::Others(_) => vec![MessageId::WriteChild(Side::Old), self.child(), log, position],
        }
    }

    fn hint_count(&self) -> usize {
        match self {
            Self::Direction(_) => 0,
            Self::Word(_) => 2,
            Self::Leaf | Self::Others(_) => 1,
        }
    }

    fn body(&self, frame: &Frame, _: &LaneConstants) -> Body {
        let mut writer = frame.writer();
        let target = self.target();
        let level = frame.field(target.position(), "level");
        writer.is_about(target, frame);
        match self {
            Self::Direction(_) => {
                writer.number(&level).is_right(target, frame);
                let direction = frame.field(target.position(), "direction").start;
                writer.copy(direction).op(OP_NUMNOTEQUAL, 2, 1).op(OP_VERIFY, 1, 0);
                return writer.finish();
            }
            Self::Word(_) => {
                writer.word_differs(
                    target,
                    frame,
                    frame.message(self.child()).start,
                    frame.field(MessageId::StepLog, self.word()).start,
                );
            }
            Self::Leaf => {
                writer.differ(&frame.message(self.child()), &frame.message(MessageId::StepLeaf), 0);
            }
            Self::Others(_) => {
                let [old, new] = [Side::Old, Side::New].map(|side| frame.message(MessageId::WriteChild(side)));
                // The place at which they differ is in none of the word's eight digits.
                writer.copy(0).word_index(target, frame).double(3).op(OP_SUB, 2, 1).push(0).push(WORD as i64);
                writer.op(OP_WITHIN, 3, 1).op(OP_NOT, 1, 1).op(OP_VERIFY, 1, 0).differ(&old, &new, 0);
            }
        }
        level.fold(&mut writer, |writer, digit| writer.copy(digit).is(0));
        writer.finish()
    }

    fn refutes(&self, said: &Said<'_>) -> Option<Vec<Vec<u8>>> {
        let target = self.target();
        let position = said.position(target.position())?;
        let about = match target {
            Target::Pc | Target::WritePc | Target::Memory => position.access == target.access() as u8,
            _ => target.is_signed(said)?,
        };
        // pc is where it is, whatever else was signed.
        let address = match target {
            Target::Pc | Target::WritePc => PC,
            _ if *self == Self::Leaf => 0,
            _ => target.address(&said.words()?),
        };
        if let Self::Direction(_) = self {
            let applies = about && position.level < LEVELS as u64;
            let right = address >> (5 + position.level.min(26)) & 1;
            return (applies && u32::from(position.direction) != right).then(Vec::new);
        }
        let child = said.digits(self.child())?;
        let word = address as usize / 4 % 8;
        let hints = match self {
            Self::Leaf => vec![difference(&child, &said.digits(MessageId::StepLeaf)?)?],
            Self::Others(_) => {
                let old = said.digits(MessageId::WriteChild(Side::Old))?;
                let place = (0..LEAF).find(|place| place / WORD != word && old.get(*place) != child.get(*place))?;
                vec![item(place as u64)]
            }
            _ => {
                let words = said.words()?;
                let said = match self.word() {
                    "pc" => words.pc,
                    "instruction" => words.instruction,
                    "rs1" => words.rs1,
                    "rs2" => words.rs2,
                    "value" => words.value,
                    _ => words.next_pc,
                };
                let there = child.chunks(WORD).nth(word)?;
                let place = digits_of(&said.to_le_bytes()).iter().zip(there).position(|(said, there)| said != there)?;
                vec![item(place as u64 / 2), item(place as u64 % 2)]
            }
        };
        (about && position.level == 0).then_some(hints)
    }
}

impl Writer {
    /// `→`: fails unless the word at the target's address, in the leaf whose digits begin at `leaf`, differs from the one
    /// whose digits begin at `word`: in the byte that item 0 names, counted from the lowest, and of that in the half
    /// that item 1 names.
    ///
    /// Words are little-endian in a leaf: byte b of a word is its digits 6 − 2·b and 7 − 2·b, and digits 2·b and 2·b + 1
    /// of the word's eight in the leaf.
    fn word_differs(&mut self, target: Target, frame: &Frame, leaf: usize, word: usize) -> &mut Self {
        let (byte, half) = (self.height(), self.height() + 1);
        self.copy(0).below(4).double(1).copy(1).below(2);
        self.word_index(target, frame).double(3).copy(byte).add().copy(half).add().copy_at(leaf);
        self.push(6).copy(byte).op(OP_SUB, 2, 1).copy(half).add().copy_at(word);
        self.op(OP_NUMNOTEQUAL, 2, 1).op(OP_VERIFY, 1, 0).op(OP_2DROP, 2, 0)
    }
}
