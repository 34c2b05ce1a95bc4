//! Which addresses a block checks before it loads and stores.
//!
//! Addresses that differ by constants are checked at once, before the first of them is used: all are multiples of
//! their widths and below the register page if the lowest is a multiple of the largest width and not too high. If
//! they are not, compiled code is left earlier than it had to be, which is allowed anywhere.

use super::region::Block;
use crate::instruction::{Alu, Instruction, Width, rs1};

/// Bytes between accesses that are checked at once; fewer than on a page, so that they are on two pages at most.
const REACH: i64 = 1024;

/// What is checked before one access. Places are relative to its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// What the places where bytes begin must be multiples of.
    pub width: Width,
    /// Where bytes begin that must be below the register page, and how many.
    pub below: Option<(i32, u32)>,
    /// Where bytes begin that are stored to, and how many: their pages must be writable, which the register page is not.
    pub stored: Option<(i32, u32)>,
}

/// One access of a block.
#[derive(Clone, Copy, Debug)]
struct Access {
    /// The instruction's number.
    number: usize,
    /// What is added to the common base.
    offset: i64,
    width: Width,
    store: bool,
}

/// For each instruction before a block's last one, what it has to check.
pub fn checks(block: &Block) -> Vec<Option<Check>> {
    let mut checks = vec![None; block.body.len()];
    for mut accesses in by_base(block) {
        while !accesses.is_empty() {
            let (group, rest) = split(&accesses);
            plan(&group, &mut checks);
            accesses = rest;
        }
    }
    checks
}

/// The accesses of a block whose addresses differ by constants, and so on.
fn by_base(block: &Block) -> Vec<Vec<Access>> {
    // Each register as one of several bases and a constant; first, each is a base of its own, and x0 that of constants.
    let mut values: [(usize, u32); 32] = std::array::from_fn(|register| (register, 0));
    let mut accesses: Vec<Vec<Access>> = vec![Vec::new(); 32];
    for (number, (word, instruction)) in block.body.iter().enumerate() {
        let (base, constant) = values.get(rs1(*word) as usize).copied().unwrap_or_default();
        let (rd, value) = match *instruction {
            Instruction::Load { width, imm, .. } | Instruction::Store { width, imm } => {
                let store = matches!(instruction, Instruction::Store { .. });
                let offset = i64::from(constant.wrapping_add(imm) as i32);
                let access = Access { number, offset, width, store };
                accesses.get_mut(base).into_iter().for_each(|accesses| accesses.push(access));
                match *instruction {
                    Instruction::Load { rd, .. } => (rd, None),
                    _ => continue,
                }
            }
            Instruction::Immediate { alu: Alu::Add, rd, imm } => (rd, Some((base, constant.wrapping_add(imm)))),
            Instruction::Immediate { rd, .. } | Instruction::Register { rd, .. } => (rd, None),
            Instruction::Lui { rd, imm } => (rd, Some((0, imm))),
            Instruction::Auipc { rd, imm } => {
                (rd, Some((0, block.start.wrapping_add(4 * number as u32).wrapping_add(imm))))
            }
            _ => continue,
        };
        if rd != 0 {
            values.get_mut(rd as usize).into_iter().for_each(|to| *to = value.unwrap_or((accesses.len(), 0)));
            if value.is_none() {
                accesses.push(Vec::new());
            }
        }
    }
    accesses
}

/// Those that can be checked at once with the widest, and the others.
fn split(accesses: &[Access]) -> (Vec<Access>, Vec<Access>) {
    let widest = accesses.iter().max_by_key(|access| access.width.bytes());
    accesses.iter().partition(|access| {
        widest.is_some_and(|widest| {
            let distance = access.offset - widest.offset;
            distance % i64::from(access.width.bytes()) == 0 && distance.abs() <= REACH
        })
    })
}

/// Puts down what a group checks: before the first access, that all are allowed; before the first store, that all pages
/// are writable that are stored to.
fn plan(group: &[Access], checks: &mut [Option<Check>]) {
    let Some(widest) = group.iter().max_by_key(|access| access.width.bytes()) else { return };
    let width = i64::from(widest.width.bytes());
    // From where the widest might be on, with how many bytes.
    let bytes = |accesses: &mut dyn Iterator<Item = &Access>, first: &Access| {
        let (mut low, mut high) = (first.offset, first.offset);
        for access in accesses {
            low = low.min(access.offset);
            high = high.max(access.offset + i64::from(access.width.bytes()));
        }
        low -= (low - widest.offset).rem_euclid(width);
        ((low - first.offset) as i32, (high - low) as u32)
    };
    let Some(first) = group.first() else { return };
    let store = group.iter().find(|access| access.store);
    for access in [Some(first), store].into_iter().flatten() {
        let is_first = access.number == first.number;
        let is_store = store.is_some_and(|store| store.number == access.number);
        let only_stores = group.iter().all(|access| access.store);
        let check = Check {
            width: widest.width,
            below: (is_first && !only_stores).then(|| bytes(&mut group.iter(), access)),
            stored: is_store.then(|| bytes(&mut group.iter().filter(|access| access.store), access)),
        };
        checks.get_mut(access.number).into_iter().for_each(|to| *to = Some(check));
    }
}
