//! What a leaf's body is, and how it is written.

use bitcoin::Opcode;
use bitcoin::opcodes::all::*;
use bitcoin::script::{Builder, ScriptBuf};

use super::Frame;

/// The part of a leaf's script that judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// From the [`super::Frame`]: fails unless what was signed is the lie. The alternative stack is as before.
    pub script: ScriptBuf,
    /// How many items it leaves, whatever they are.
    pub left: usize,
}

/// Writes a body, counting the items on the stack, so that whatever is in the frame can be named by its position.
///
/// Every method states its stack effect in the words of `before → after`, the top to the right.
#[derive(Debug)]
pub struct Writer {
    script: Builder,
    height: usize,
}

impl Writer {
    /// A body that begins.
    #[must_use]
    pub fn new(frame: &Frame) -> Self {
        Self { script: Builder::new(), height: frame.height() }
    }

    /// How many items there are now.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// The body, done.
    #[must_use]
    pub fn finish(self) -> Body {
        Body { script: self.script.into_script(), left: self.height }
    }

    /// `→ number`
    pub fn push(&mut self, number: i64) -> &mut Self {
        self.write(|script| script.push_int(number), 0, 1)
    }

    /// `→ item`, the one at this position.
    pub fn copy(&mut self, position: usize) -> &mut Self {
        match self.height - 1 - position {
            0 => self.write(|script| script.push_opcode(OP_DUP), 0, 1),
            1 => self.write(|script| script.push_opcode(OP_OVER), 0, 1),
            depth => self.write(|script| script.push_int(depth as i64).push_opcode(OP_PICK), 0, 1),
        }
    }

    /// `offset → item`, the one so far above `position`. The caller has made sure of the offset's range.
    pub fn copy_at(&mut self, position: usize) -> &mut Self {
        // Under the offset there are height − 1 items, the item has position + offset under it.
        let depth = self.height as i64 - 2 - position as i64;
        self.push(depth).op(OP_SWAP, 2, 2).op(OP_SUB, 2, 1).op(OP_PICK, 1, 1)
    }

    /// An opcode that takes so many items and gives so many.
    pub fn op(&mut self, opcode: Opcode, takes: usize, gives: usize) -> &mut Self {
        self.write(|script| script.push_opcode(opcode), takes, gives)
    }

    /// A script with this stack effect.
    pub fn script(&mut self, part: &bitcoin::Script, takes: usize, gives: usize) -> &mut Self {
        let bytes = [self.script.as_bytes(), part.as_bytes()].concat();
        self.script = Builder::from(bytes);
        self.height = self.height - takes + gives;
        self
    }

    /// `a b → a + b`
    pub fn add(&mut self) -> &mut Self {
        self.op(OP_ADD, 2, 1)
    }

    /// `x → 2^times·x`
    pub fn double(&mut self, times: usize) -> &mut Self {
        (0..times).fold(self, |writer, _| writer.op(OP_DUP, 1, 2).add())
    }

    /// `x →`: fails unless x is the number.
    pub fn is(&mut self, number: i64) -> &mut Self {
        self.push(number).op(OP_NUMEQUALVERIFY, 2, 0)
    }

    /// `x → x`: fails unless 0 ≤ x < `end`.
    pub fn below(&mut self, end: i64) -> &mut Self {
        self.op(OP_DUP, 1, 2).push(0).push(end).op(OP_WITHIN, 3, 1).op(OP_VERIFY, 1, 0)
    }

    /// `condition → …`: both branches have the same stack effect.
    pub fn branch(&mut self, then: impl FnOnce(&mut Self), otherwise: impl FnOnce(&mut Self)) -> &mut Self {
        self.op(OP_IF, 1, 0);
        let before = self.height;
        then(self);
        let after = self.height;
        self.height = before;
        self.op(OP_ELSE, 0, 0);
        otherwise(self);
        debug_assert_eq!(self.height, after, "branches differ in height");
        self.op(OP_ENDIF, 0, 0)
    }

    fn write(&mut self, write: impl FnOnce(Builder) -> Builder, takes: usize, gives: usize) -> &mut Self {
        self.script = write(std::mem::take(&mut self.script));
        self.height = self.height - takes + gives;
        self
    }
}
