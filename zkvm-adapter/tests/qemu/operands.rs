//! Every arithmetic instruction on the cross product of edge operands: division by zero and overflow among them.

use super::assembler::{Format, branch, immediate, jal, load_constant, register, store, with_format, write_and_exit};
use super::elf::Program;
use super::*;

const CODE: u32 = 0x0001_0000;
const DATA: u32 = 0x0100_0000;

/// Powers of two, what is beside them, their negatives, and some without a pattern.
fn edges() -> Vec<u32> {
    let mut edges: Vec<u32> = (0..32)
        .flat_map(|bit| [(1u32 << bit).wrapping_sub(1), 1 << bit, (1 << bit) + 1])
        .flat_map(|value| [value, value.wrapping_neg()])
        .chain([0xaaaa_aaaa, 0x5555_5555, 0x1234_5678, 0xdead_beef, 46_340, 46_341, 65_537, 0xffff_0000])
        .collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// For each value in a table, `body` with the value in x10 (and, if there are two, one more in x11): it leaves its
/// results in x12, one after the other, by `sw x12, 0(x13); addi x13, x13, 4`.
fn for_each(values: &[u32], two: bool, body: &[u32]) -> Program {
    let results = body.iter().filter(|word| **word == store("sw", 12, 13, 0)).count();
    let table = 4 * values.len() as u32;
    let length = 4 * (results * values.len() * if two { values.len() } else { 1 }) as u32;

    let mut inner = vec![immediate("lw", 11, 6, 0)];
    inner.extend(body);
    inner.push(immediate("addi", 6, 6, 4));
    let back = 4 * inner.len() as i32;
    if two {
        // Too far for a branch back.
        inner.extend([branch("beq", 6, 7, 8), jal(0, -back - 4)]);
    }
    let mut code = [load_constant(13, DATA + table), load_constant(7, DATA + table), load_constant(5, DATA)].concat();
    let mut outer = vec![immediate("lw", 10, 5, 0)];
    outer.extend(load_constant(6, DATA));
    outer.extend(inner);
    outer.push(immediate("addi", 5, 5, 4));
    let back = 4 * outer.len() as i32;
    outer.extend([branch("beq", 5, 7, 8), jal(0, -back - 4)]);
    code.extend(outer);
    code.extend(write_and_exit(DATA + table, length));
    let mut data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    data.resize((table + length) as usize, 0);
    Program { code_at: CODE, code, data_at: DATA, data }
}

fn results(instructions: impl IntoIterator<Item = Vec<u32>>) -> Vec<u32> {
    let keep = [store("sw", 12, 13, 0), immediate("addi", 13, 13, 4)];
    instructions.into_iter().flat_map(|words| [words, keep.to_vec()].concat()).collect()
}

#[test]
fn register_instructions_give_the_same_on_all_pairs_of_edge_operands() {
    let all = with_format(Format::Register);
    assert_eq!(all.len(), 18);
    let body = results(all.iter().map(|form| vec![register(form.name, 12, 10, 11)]));
    let pairs = edges().len().pow(2);
    let written = agree(&for_each(&edges(), true, &body).to_elf(), &mut |_| ()).unwrap();
    assert_eq!(written.len(), 4 * 18 * pairs);
    // The ISA manual's table 7.1, by name.
    let at = |a: u32, b: u32, name: &str| {
        let place = |value| edges().iter().position(|edge| *edge == value).unwrap();
        let index = (place(a) * edges().len() + place(b)) * 18 + all.iter().position(|form| form.name == name).unwrap();
        u32::from_le_bytes(written[4 * index..][..4].try_into().unwrap())
    };
    let (minimum, minus_one) = (1 << 31, u32::MAX);
    for (name, by_zero, overflow) in
        [("div", minus_one, minimum), ("divu", minus_one, 0), ("rem", 0xdead_beef, 0), ("remu", 0xdead_beef, minimum)]
    {
        assert_eq!(at(0xdead_beef, 0, name), by_zero, "{name} by zero");
        assert_eq!(at(minimum, minus_one, name), overflow, "{name} overflowing");
    }
}

#[test]
fn branches_decide_the_same_on_all_pairs_of_edge_operands() {
    let all = with_format(Format::Branch);
    assert_eq!(all.len(), 6);
    let body = results(all.iter().map(|form| {
        let taken = immediate("addi", 12, 0, 1);
        vec![taken, branch(form.name, 10, 11, 8), immediate("addi", 12, 0, 0)]
    }));
    let written = agree(&for_each(&edges(), true, &body).to_elf(), &mut |_| ()).unwrap();
    assert_eq!(written.len(), 4 * 6 * edges().len().pow(2));
}

#[test]
fn immediate_instructions_give_the_same_on_edge_operands_and_all_shifts() {
    let not_alu = ["jalr", "lb", "lh", "lw", "lbu", "lhu"];
    let immediates = [0, 1, -1, 2, -2, 3, 7, 31, 32, 63, 127, 128, 255, 256, 1023, 1024, 2046, 2047, -2047, -2048];
    let alu = with_format(Format::Immediate).into_iter().filter(|form| !not_alu.contains(&form.name));
    let alu = alu.flat_map(|form| immediates.map(|imm| vec![immediate(form.name, 12, 10, imm)]));
    let shifts = with_format(Format::Shift).into_iter();
    let shifts = shifts.flat_map(|form| (0..32).map(|by| vec![immediate(form.name, 12, 10, by)]));
    let body = results(alu.chain(shifts));
    let written = agree(&for_each(&edges(), false, &body).to_elf(), &mut |_| ()).unwrap();
    assert_eq!(written.len(), 4 * (6 * immediates.len() + 3 * 32) * edges().len());
}

#[test]
fn shifts_by_a_register_take_its_lowest_five_bits() {
    let names = ["sll", "srl", "sra"];
    let body = results(
        (0..64).flat_map(|by| names.map(|name| vec![immediate("addi", 11, 0, by), register(name, 12, 10, 11)])),
    );
    let written = agree(&for_each(&edges(), false, &body).to_elf(), &mut |_| ()).unwrap();
    assert_eq!(written.len(), 4 * 64 * names.len() * edges().len());
    let words: Vec<&[u8]> = written.chunks(4).collect();
    for edge in words.chunks(64 * names.len()) {
        assert_eq!(edge[..32 * names.len()], edge[32 * names.len()..]);
    }
}
