//! A script that is written on named items does what their names say.

use bitcoin::opcodes::all::*;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_taptree_trace::gadget::{Item, Stack, StackError};
use trestle_taptree_trace::interpreter::{Rules, Value, run};

use crate::compress::items;

/// What the items of a script under way are, as somebody knows who only follows the names.
struct Model {
    stack: Stack,
    values: std::collections::HashMap<Item, i64>,
    main: Vec<Item>,
    alt: Vec<Item>,
}

impl Model {
    fn put(&mut self, item: Item, value: i64) {
        self.values.insert(item, value);
        self.main.push(item);
    }

    /// One step of what a gadget does, chosen by a number.
    fn step(&mut self, random: &mut StdRng) {
        let some = self.main[random.gen_range(0..self.main.len())];
        match random.gen_range(0..9) {
            0 => {
                let number = random.gen_range(-300..300);
                let item = self.stack.push(number);
                self.put(item, number);
            }
            1 => {
                let item = self.stack.copy(some);
                self.put(item, self.values[&some]);
            }
            2 => {
                self.stack.take(some);
                self.main.retain(|item| *item != some);
                self.main.push(some);
            }
            3 if self.main.len() > 4 => {
                self.stack.to_alt();
                self.alt.extend(self.main.pop());
            }
            4 if !self.alt.is_empty() => {
                self.stack.from_alt();
                self.main.extend(self.alt.pop());
            }
            5 if self.main.len() > 4 => {
                let (b, a) = (self.main.pop().unwrap(), self.main.pop().unwrap());
                let sum = self.stack.add();
                let value = self.values[&a] + self.values[&b];
                self.put(sum, value);
            }
            6 => {
                let top = self.main.pop().unwrap();
                let number = random.gen_range(-3..20);
                let sum = self.stack.add_constant(number);
                let value = self.values[&top] + number;
                self.put(sum, value);
            }
            7 => {
                let top = self.main[self.main.len() - 1];
                let copy = self.stack.tuck();
                self.main.pop();
                self.main.insert(self.main.len() - 1, top);
                self.put(copy, self.values[&top]);
            }
            8 => {
                let count = self.stack.dup_many(random.gen_range(1..5));
                let from = self.main.len() - count;
                let copied: Vec<_> = self.main[from..].iter().map(|item| self.values[item]).collect();
                let mut shadow = self.stack.clone();
                for (depth, value) in copied.into_iter().enumerate() {
                    let names: [Item; 3] = shadow.top();
                    self.put(names[3 - count + depth], value);
                }
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn names_follow_the_items_wherever_they_go(seed: u64, steps in 1..80usize) {
        let mut random = StdRng::seed_from_u64(seed);
        let witness: Vec<i64> = (0..5).map(|_| random.gen_range(-1000..1000)).collect();
        let (stack, main) = Stack::new(witness.len());
        let values = main.iter().copied().zip(witness.iter().copied()).collect();
        let mut model = Model { stack, values, main, alt: Vec::new() };
        for _ in 0..steps {
            model.step(&mut random);
        }
        while model.alt.pop().is_some() {
            let item = model.stack.from_alt();
            model.main.push(item);
        }
        let expected: Vec<_> = model.main.iter().map(|item| Value::Number(model.values[item])).collect();
        prop_assert_eq!(model.stack.height(), expected.len());
        let bytes = model.stack.bytes();
        let gadget = model.stack.finish(&model.main).unwrap();
        prop_assert_eq!(bytes, gadget.script.len());
        let outcome = run(&gadget.script, &items(&witness), Rules::Standard).unwrap();
        prop_assert_eq!(outcome.stack, expected);
        prop_assert_eq!(outcome.peak, gadget.peak);
    }

    #[test]
    fn many_numbers_are_pushed_as_they_are_and_never_longer(numbers in prop::collection::vec(-20i64..20, 0..60)) {
        let numbers: Vec<_> = numbers.into_iter().map(|number| number * number * number).collect();
        let (mut stack, _) = Stack::new(0);
        let names = stack.push_all(&numbers);
        let (mut plain, _) = Stack::new(0);
        for number in &numbers {
            plain.push(*number);
        }
        prop_assert!(stack.bytes() <= plain.bytes());
        let gadget = stack.finish(&names).unwrap();
        let outcome = run(&gadget.script, &[[0u8; 0]; 0], Rules::Standard).unwrap();
        prop_assert_eq!(outcome.stack, numbers.into_iter().map(Value::Number).collect::<Vec<_>>());
    }
}

#[test]
fn an_item_keeps_its_name_through_a_conditional_if_both_branches_leave_it_in_its_place() {
    let (mut stack, items) = Stack::new(3);
    let [deep, a, condition] = items.try_into().unwrap();
    stack.take(condition);
    stack.if_else(
        |stack| {
            stack.take(deep);
            stack.add_constant(1);
        },
        |stack| {
            stack.push(7);
            stack.verify(OP_DROP, 1);
        },
    );
    // One branch leaves [a, deep + 1], the other [deep, a].
    let left: [Item; 2] = stack.top();
    assert!(left.iter().all(|item| ![deep, a].contains(item)));
    let gadget = stack.finish(&left).unwrap();
    let ends = |condition| run(&gadget.script, &self::items(&[10, 20, condition]), Rules::Standard).unwrap().stack;
    assert_eq!(ends(1), [Value::Number(20), Value::Number(11)]);
    assert_eq!(ends(0), [Value::Number(10), Value::Number(20)]);

    let (mut stack, items) = Stack::new(2);
    stack.if_true(|stack| {
        stack.double(3);
    });
    // What was on top is what the branch made of it, or not; there was only one item.
    let [top] = stack.top();
    assert_ne!(top, items[0]);
    assert_eq!(stack.finish(&[top]).unwrap().script.len(), 1 + 2 * 3 + 1);
}

#[test]
fn what_is_kept_ends_on_top_in_its_order_and_nothing_else_is_left() {
    let (mut stack, items) = Stack::new(7);
    let kept = [items[4], items[1], items[5]];
    stack.keep(&kept);
    let gadget = stack.finish(&kept).unwrap();
    let outcome = run(&gadget.script, &self::items(&[0, 1, 2, 3, 4, 5, 6]), Rules::Standard).unwrap();
    assert_eq!(outcome.stack, [4, 1, 5].map(Value::Number));
}

#[test]
fn mistakes_of_the_writer_are_told_at_the_end_the_first_one_first() {
    let mistake = |write: &dyn Fn(&mut Stack, &[Item])| {
        let (mut stack, items) = Stack::new(2);
        write(&mut stack, &items);
        let left: [Item; 1] = stack.top();
        stack.finish(&left).unwrap_err()
    };
    assert_eq!(mistake(&|_, _| ()), StackError::Left);
    assert_eq!(mistake(&|stack, _| stack.drop(3)), StackError::TooFewItems(OP_DROP));
    assert_eq!(
        mistake(&|stack, _| {
            stack.from_alt();
        }),
        StackError::TooFewItems(OP_FROMALTSTACK)
    );
    assert!(matches!(
        mistake(&|stack, items| {
            stack.to_alt();
            stack.copy(items[1]);
            stack.drop(9);
        }),
        StackError::Missing(_)
    ));
    assert_eq!(mistake(&|stack, _| stack.if_true(|stack| stack.to_alt())), StackError::Branches);
    assert_eq!(
        mistake(&|stack, _| {
            stack.push_all(&[1000; 999]);
        }),
        StackError::TooManyItems(1001)
    );
    assert_eq!(mistake(&|stack, _| stack.to_alt()), StackError::Left);
}
