//! Lookups: values that carry the distance to their table.

use std::collections::HashMap;

use bitcoin::opcodes::all::OP_PICK;

use super::super::stack::{Item, Stack};
use super::layout::{FIRST, ROUND_CONSTANT, SPREAD, Table, columns};
use super::spread::{ONES, Part};

/// Writes the rounds: a [`Stack`] that knows what each item has beyond what it means.
pub(super) struct Writer<'a> {
    /// The script.
    pub stack: &'a mut Stack,
    /// Of each item the number that is added to its meaning; [`FIRST`] for a digit, so only others are listed.
    offsets: HashMap<Item, i64>,
}

impl<'a> Writer<'a> {
    /// A writer on a stack at whose bottom the tables are.
    pub fn new(stack: &'a mut Stack) -> Self {
        Self { stack, offsets: HashMap::new() }
    }

    fn offset(&self, item: Item) -> i64 {
        self.offsets.get(&item).copied().unwrap_or(FIRST)
    }

    /// `… → … item`: copies it.
    pub fn copy(&mut self, item: Item) -> Item {
        let copy = self.stack.copy(item);
        self.offsets.insert(copy, self.offset(item));
        copy
    }

    /// `x → x x`.
    pub fn dup(&mut self) -> Item {
        let [top] = self.stack.top();
        self.copy(top)
    }

    /// `x y → y x y`.
    pub fn tuck(&mut self) -> Item {
        let [top] = self.stack.top();
        let copy = self.stack.tuck();
        self.offsets.insert(copy, self.offset(top));
        copy
    }

    /// `x y → y x`.
    pub fn swap(&mut self) {
        let [below, _] = self.stack.top();
        self.stack.take(below);
    }

    /// `x y z → y z x`.
    pub fn rot(&mut self) {
        let [below, _, _] = self.stack.top();
        self.stack.take(below);
    }

    /// `x y → x+y`.
    pub fn add(&mut self) -> Item {
        let [x, y] = self.stack.top();
        let offset = self.offset(x) + self.offset(y);
        let sum = self.stack.add();
        self.offsets.insert(sum, offset);
        sum
    }

    /// `x y → x−y`.
    pub fn sub(&mut self) -> Item {
        let [x, y] = self.stack.top();
        let offset = self.offset(x) - self.offset(y);
        let difference = self.stack.sub();
        self.offsets.insert(difference, offset);
        difference
    }

    /// `x → x + ADDEND·constant`.
    pub fn add_round_constant(&mut self, addend: i64) {
        let [top] = self.stack.top();
        let offset = self.offset(top) + ROUND_CONSTANT;
        let sum = self.stack.add_constant(addend + ROUND_CONSTANT);
        self.offsets.insert(sum, offset);
    }

    /// Pushes and drops items that only make the stack higher, so that digits find other columns.
    pub fn raise(&mut self, mut items: usize) {
        while items > 0 {
            items -= self.stack.dup_many(items);
        }
    }

    /// `digit → part`.
    pub fn part(&mut self, part: Part) -> Item {
        let height = self.stack.height() as i64;
        let [top] = self.stack.top();
        let offset = self.offset(top);
        let correction = |(row, _): &(i64, i64)| height - 2 - row - offset;
        let best = columns(part).min_by_key(|column| cost(correction(column)));
        let (row, offset) = best.unwrap_or_default();
        self.pick(correction(&(row, offset)), offset)
    }

    /// `sum → value`.
    pub fn look(&mut self, table: Table) -> Item {
        self.look_beyond(table, 0)
    }

    /// `g−e → conjunction of g and not e`, of spreads: g − e + 1 is 2 where g is 1 and e is 0.
    pub fn look_difference(&mut self) -> Item {
        self.look_beyond(Table::Conjunction, SPREAD * ONES)
    }

    /// A lookup in the row that lies so much beyond what the top of the stack says.
    fn look_beyond(&mut self, table: Table, more: i64) -> Item {
        let height = self.stack.height() as i64;
        let [top] = self.stack.top();
        self.pick(height - 2 - table.row() + more - self.offset(top), table.offset())
    }

    fn pick(&mut self, correction: i64, offset: i64) -> Item {
        self.stack.add_constant(correction);
        let value = self.stack.op(OP_PICK, 1);
        self.offsets.insert(value, offset);
        value
    }
}

/// Bytes that it takes to add a constant.
fn cost(constant: i64) -> usize {
    match constant.abs() {
        0 => 0,
        1 => 1,
        2..=16 => 2,
        17..=127 => 3,
        _ => 4,
    }
}
