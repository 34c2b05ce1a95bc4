//! A script that is being written, and what lies on its two stacks.

use std::collections::HashMap;

use bitcoin::opcodes::Opcode;
use bitcoin::opcodes::all::*;
use bitcoin::script::{Builder, ScriptBuf};

use crate::interpreter::MAX_ITEMS;

/// An item on one of the stacks of the [`Stack`] that made it. It keeps its name wherever it is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Item(usize);

/// What went wrong while a script was written. Always a fault of the writer, never of a witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StackError {
    /// An item is asked for that is not on the main stack (any more).
    #[error("item {0:?} is not on the main stack")]
    Missing(Item),
    /// An opcode takes more items than there are.
    #[error("{0} takes more items than there are")]
    TooFewItems(Opcode),
    /// The two branches of a conditional leave different stacks.
    #[error("two branches leave stacks of different heights")]
    Branches,
    /// The two stacks have more items together than Bitcoin allows.
    #[error("{0} items on the stacks")]
    TooManyItems(usize),
    /// A gadget needs the main stack for itself.
    #[error("the main stack is not empty")]
    NotEmpty,
    /// A gadget was given what it does not take.
    #[error("a gadget does not take these operands")]
    Operands,
    /// What is left is not what was announced.
    #[error("the script leaves other items than it says")]
    Left,
}

/// A script with the most items that its stacks have together, the witness included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gadget {
    /// The script.
    pub script: ScriptBuf,
    /// The most items on both stacks.
    pub peak: usize,
}

/// A script that is being written. Opcodes are appended at its end; items are found by name, so that no gadget counts
/// depths.
///
/// A mistake (an item that is not there, branches that do not fit) is kept until [`Stack::finish`]: what is written after it
/// does not matter.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    script: Builder,
    main: Vec<Item>,
    alt: Vec<Item>,
    names: usize,
    peak: usize,
    error: Option<StackError>,
}

impl Stack {
    /// A script that finds `items` items, and their names, the deepest first.
    #[must_use]
    pub fn new(items: usize) -> (Self, Vec<Item>) {
        let mut stack = Self::default();
        let items: Vec<_> = (0..items).map(|_| stack.put()).collect();
        (stack, items)
    }

    /// The script, if it leaves exactly `left` on the main stack, the deepest first, and nothing on the other.
    ///
    /// # Errors
    /// The first mistake that was made.
    pub fn finish(self, left: &[Item]) -> Result<Gadget, StackError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.main != left || !self.alt.is_empty() {
            return Err(StackError::Left);
        }
        Ok(Gadget { script: self.script.into_script(), peak: self.peak })
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.script.as_bytes().len()
    }

    /// Items on the main stack.
    #[must_use]
    pub fn height(&self) -> usize {
        self.main.len()
    }

    /// The most items that both stacks had together so far.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.peak
    }

    /// How many items lie above this one.
    pub fn depth(&mut self, item: Item) -> usize {
        match self.main.iter().rev().position(|other| *other == item) {
            Some(depth) => depth,
            None => {
                self.fail(StackError::Missing(item));
                0
            }
        }
    }

    /// The items on top of the main stack, the deepest first.
    pub fn top<const N: usize>(&mut self) -> [Item; N] {
        match self.main.last_chunk() {
            Some(items) => *items,
            None => {
                self.fail(StackError::Left);
                [Item(usize::MAX); N]
            }
        }
    }

    /// `… → … number`.
    pub fn push(&mut self, number: i64) -> Item {
        self.script = std::mem::take(&mut self.script).push_int(number);
        self.put()
    }

    /// Copies an item to the top.
    pub fn copy(&mut self, item: Item) -> Item {
        match self.depth(item) {
            0 => self.write(OP_DUP),
            1 => self.write(OP_OVER),
            depth => {
                self.index(depth);
                self.write(OP_PICK);
            }
        }
        self.put()
    }

    /// Moves an item to the top.
    pub fn take(&mut self, item: Item) -> Item {
        let depth = self.depth(item);
        match depth {
            0 => {}
            1 => self.write(OP_SWAP),
            2 => self.write(OP_ROT),
            _ => {
                self.index(depth);
                self.write(OP_ROLL);
            }
        }
        if self.error.is_none() {
            let place = self.main.len() - 1 - depth;
            self.main.remove(place);
            self.main.push(item);
        }
        item
    }

    /// An opcode that takes items from the top of the main stack and leaves one.
    pub fn op(&mut self, opcode: Opcode, takes: usize) -> Item {
        self.verify(opcode, takes);
        self.put()
    }

    /// An opcode that takes items from the top of the main stack and leaves none.
    pub fn verify(&mut self, opcode: Opcode, takes: usize) {
        for _ in 0..takes {
            if self.main.pop().is_none() {
                self.fail(StackError::TooFewItems(opcode));
            }
        }
        self.write(opcode);
    }

    /// `a b → a+b`.
    pub fn add(&mut self) -> Item {
        self.op(OP_ADD, 2)
    }

    /// `a b → a−b`.
    pub fn sub(&mut self) -> Item {
        self.op(OP_SUB, 2)
    }

    /// `a → a+number`.
    pub fn add_constant(&mut self, number: i64) -> Item {
        match number {
            0 => self.top::<1>()[0],
            1 => self.op(OP_1ADD, 1),
            -1 => self.op(OP_1SUB, 1),
            _ => {
                self.push(number.abs());
                if number > 0 { self.add() } else { self.sub() }
            }
        }
    }

    /// `a → a·2^times`.
    pub fn double(&mut self, times: usize) -> Item {
        let [mut item] = self.top();
        for _ in 0..times {
            self.copy(item);
            item = self.add();
        }
        item
    }

    /// `x y → y x y`: puts a copy of the top below what is under it. The name of the top stays with the lower one; the
    /// new name is that of the upper.
    pub fn tuck(&mut self) -> Item {
        let [_, top] = self.top();
        self.main.pop();
        let place = self.main.len().saturating_sub(1);
        self.main.insert(place, top);
        self.write(OP_TUCK);
        self.put()
    }

    /// Copies at most three of the top items; says how many.
    pub fn dup_many(&mut self, most: usize) -> usize {
        let (count, opcode) = match most {
            0 => return 0,
            1 => (1, OP_DUP),
            2 => (2, OP_2DUP),
            _ => (3, OP_3DUP),
        };
        if self.main.len() < count {
            self.fail(StackError::TooFewItems(opcode));
        }
        self.write(opcode);
        for _ in 0..count {
            self.put();
        }
        count
    }

    /// `… → … numbers`: pushes many numbers, the first one deepest, copying equal ones where that is shorter.
    pub fn push_all(&mut self, numbers: &[i64]) -> Vec<Item> {
        let mut done = 0;
        while done < numbers.len() {
            let rest = &numbers[done..];
            let copies = |count: usize, depth: usize| {
                done >= depth && rest.len() >= count && rest[..count] == numbers[done - depth..done - depth + count]
            };
            let long = !(-1..=16).contains(&rest[0]);
            let copied = [(OP_3DUP, 3, 3), (OP_2DUP, 2, 2), (OP_2OVER, 2, 4), (OP_DUP, 1, 1), (OP_OVER, 1, 2)];
            match copied.into_iter().find(|(_, count, depth)| (long || *count > 1) && copies(*count, *depth)) {
                Some((opcode, count, _)) => {
                    self.write(opcode);
                    for _ in 0..count {
                        self.put();
                    }
                    done += count;
                }
                None => {
                    self.push(rest[0]);
                    done += 1;
                }
            }
        }
        self.main[self.main.len() - numbers.len()..].to_vec()
    }

    /// Moves the top of the main stack to the alternative one.
    pub fn to_alt(&mut self) {
        self.write(OP_TOALTSTACK);
        match self.main.pop() {
            Some(item) => self.alt.push(item),
            None => self.fail(StackError::TooFewItems(OP_TOALTSTACK)),
        }
    }

    /// Moves the top of the alternative stack to the main one.
    pub fn from_alt(&mut self) -> Item {
        match self.alt.pop() {
            Some(item) => self.main.push(item),
            None => self.fail(StackError::TooFewItems(OP_FROMALTSTACK)),
        }
        self.write(OP_FROMALTSTACK);
        self.top::<1>()[0]
    }

    /// Drops the top items of the main stack.
    pub fn drop(&mut self, mut count: usize) {
        while count > 1 {
            self.verify(OP_2DROP, 2);
            count -= 2;
        }
        if count == 1 {
            self.verify(OP_DROP, 1);
        }
    }

    /// Drops every item of the main stack that is not among these, which end on top in this order.
    pub fn keep(&mut self, items: &[Item]) {
        for item in items.iter().rev() {
            self.take(*item);
            self.to_alt();
        }
        self.drop(self.main.len());
        for _ in items {
            self.from_alt();
        }
    }

    /// `… condition → …`: runs one of two scripts. They see the same items, and must leave stacks of the same heights.
    ///
    /// An item that is at the same place after both keeps its name; the others get new ones ([`Stack::top`]).
    pub fn if_else(&mut self, then: impl FnOnce(&mut Self), otherwise: impl FnOnce(&mut Self)) {
        self.verify(OP_IF, 1);
        let (main, alt) = (self.main.clone(), self.alt.clone());
        then(self);
        let main_then = std::mem::replace(&mut self.main, main);
        let alt_then = std::mem::replace(&mut self.alt, alt);
        let before = self.script.clone();
        self.write(OP_ELSE);
        let begin = self.bytes();
        otherwise(self);
        if self.bytes() == begin {
            // An empty ELSE is left out.
            self.script = before;
        }
        self.write(OP_ENDIF);
        if (main_then.len(), alt_then.len()) != (self.main.len(), self.alt.len()) {
            return self.fail(StackError::Branches);
        }
        let mut renamed = HashMap::new();
        let names = &mut self.names;
        for (mine, other) in self.main.iter_mut().chain(&mut self.alt).zip(main_then.into_iter().chain(alt_then)) {
            if *mine != other {
                *mine = *renamed.entry((*mine, other)).or_insert_with(|| {
                    *names += 1;
                    Item(*names - 1)
                });
            }
        }
    }

    /// `… condition → …`: runs a script that leaves stacks of the same heights, or nothing.
    pub fn if_true(&mut self, then: impl FnOnce(&mut Self)) {
        self.if_else(then, |_| {});
    }

    /// Notes a mistake of the writer, unless there was one before.
    pub(super) fn require(&mut self, holds: bool, error: StackError) {
        if !holds {
            self.fail(error);
        }
    }

    /// The number that an index from the top is counted in: it is on the stack while PICK or ROLL reads it.
    fn index(&mut self, depth: usize) {
        self.script = std::mem::take(&mut self.script).push_int(depth as i64);
        self.peak = self.peak.max(self.main.len() + self.alt.len() + 1);
    }

    fn write(&mut self, opcode: Opcode) {
        self.script = std::mem::take(&mut self.script).push_opcode(opcode);
    }

    /// A new item on top.
    fn put(&mut self) -> Item {
        let item = Item(self.names);
        self.names += 1;
        self.main.push(item);
        self.peak = self.peak.max(self.main.len() + self.alt.len());
        if self.peak > MAX_ITEMS {
            self.fail(StackError::TooManyItems(self.peak));
        }
        item
    }

    fn fail(&mut self, error: StackError) {
        self.error.get_or_insert(error);
    }
}
