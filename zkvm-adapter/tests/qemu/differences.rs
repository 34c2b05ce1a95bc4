//! Every trap, and every difference between the two machines that the rules want (see the table above).

use std::os::unix::process::ExitStatusExt as _;

use trestle_zkvm_adapter::Trap;
use trestle_zkvm_adapter::instruction::Instruction;
use trestle_zkvm_adapter::layout::{INITIAL_SP, PC, TOP_PAGE};

use super::assembler::{
    CUSTOM_0, CUSTOM_1, branch, immediate, jal, load_constant, register, store, upper, write_and_exit,
};
use super::elf::Program;
use super::*;

const CODE: u32 = 0x0001_0000;
const DATA: u32 = 0x0010_0000;
/// Where the words that are tried are.
const TRIED: u32 = CODE + 16;
/// An address that no segment is near to.
const NOWHERE: u32 = 0x2000_0000;

const SIGILL: Option<i32> = Some(4);
const SIGTRAP: Option<i32> = Some(5);
const SIGSEGV: Option<i32> = Some(11);
/// All is well on qemu.
const FINE: Option<i32> = None;

/// Everything that this qemu has.
const ALL_EXTENSIONS: &str = "rv32";

/// A program that tries some words with x8 = `x8` and x9 = TRIED, then writes its data and exits.
fn trying(x8: u32, words: &[u32]) -> Vec<u8> {
    let data: Vec<u8> = (0..64).map(|byte| 0x80 + byte).collect();
    let code = [&load_constant(8, x8), &load_constant(9, TRIED), words, &write_and_exit(DATA, 64)].concat();
    Program { code_at: CODE, code, data_at: DATA, data }.to_elf()
}

/// That a program ends by that signal on qemu, if any, and in that way here. Returns what is left here.
fn ends(file: &[u8], cpu: &str, signal: Option<i32>, halt: Halt) -> MemoryTree {
    let theirs = qemu(file, cpu, &[]);
    let errors = String::from_utf8_lossy(&theirs.stderr);
    assert_eq!((theirs.status.signal(), theirs.status.success()), (signal, signal.is_none()), "qemu: {errors}");
    let ours = drive(file, &mut |_| ()).unwrap();
    assert_eq!(ours.halt, Some(halt));
    assert_eq!(ours.root(), halt.state());
    ours.memory
}

fn rejects(file: &[u8], signal: Option<i32>, why: Trap) -> MemoryTree {
    ends(file, rv32im(), signal, Halt::Reject(why))
}

#[test]
fn unhash_and_input_are_instructions_here_alone() {
    let input = |index: i32| CUSTOM_1 | 5 << 7 | (index as u32) << 20;
    let unhash = CUSTOM_0 | 5 << 7 | 8 << 15;
    ends(&trying(0, &[input(0)]), rv32im(), SIGILL, Halt::Accept);
    ends(&trying(0, &[input(37)]), rv32im(), SIGILL, Halt::Accept);
    rejects(&trying(0, &[input(38)]), SIGILL, Trap::InputIndex(38));
    rejects(&trying(0, &[input(-1)]), SIGILL, Trap::InputIndex(4095));
    rejects(&trying(24, &[unhash]), SIGILL, Trap::UnhashIndex(24));
    rejects(&trying(u32::MAX, &[unhash]), SIGILL, Trap::UnhashIndex(u32::MAX));
    let asked = drive(&trying(23, &[unhash]), &mut |_| ()).unwrap_err();
    assert!(asked.starts_with("UNHASH at pc 0x00010010: nobody knows what 0000"), "{asked}");
}

#[test]
fn any_other_field_of_unhash_and_input_makes_a_word_unknown() {
    for above in 0..1 << 22 {
        // Everything above the opcode but the three lowest bits, of which some follow.
        let word = above << 10;
        for low in [0, 0x80, 0x380] {
            let (unhash, input) = (CUSTOM_0 | word | low, CUSTOM_1 | word | low);
            let (rd, funct3, rs1) = (word >> 7 & 31 | low >> 7, word >> 12 & 7, word >> 15 & 31);
            let wanted = (funct3 == 0 && word >> 20 == 0).then_some(Instruction::Unhash { rd });
            assert_eq!(Instruction::decode(unhash), wanted, "{unhash:#010x}");
            let wanted = (funct3 == 0 && rs1 == 0).then_some(Instruction::Input { rd, index: word >> 20 });
            assert_eq!(Instruction::decode(input), wanted, "{input:#010x}");
        }
    }
    let unknown = CUSTOM_0 | 1 << 25;
    rejects(&trying(0, &[unknown]), SIGILL, Trap::Unknown(unknown));
}

#[test]
fn what_other_extensions_have_is_unknown() {
    let csr = |funct3: u32| 0x73 | 5 << 7 | funct3 << 12 | 0xc00 << 20;
    for (word, name) in [
        (csr(2), "csrrs x5, cycle, x0"),
        (csr(6), "csrrsi x5, cycle, 0"),
        (csr(7), "csrrci x5, cycle, 0"),
        (0x0000_100f, "fence.i"),
        (0x1004_22af, "lr.w x5, (x8)"),
        (0x0004_22af, "amoadd.w x5, x0, (x8)"),
        (0x0000_0053, "fadd.s f0, f0, f0"),
        (0x0200_0053, "fadd.d f0, f0, f0"),
        (0x0004_2007, "flw f0, 0(x8)"),
        (0x0001_0001, "c.nop, twice"),
    ] {
        eprintln!("{name}");
        let file = trying(DATA, &[word]);
        ends(&file, ALL_EXTENSIONS, FINE, Halt::Reject(Trap::Unknown(word)));
        rejects(&file, SIGILL, Trap::Unknown(word));
    }
}

#[test]
fn ebreak_rejects() {
    rejects(&trying(0, &[0x0010_0073]), SIGTRAP, Trap::Ebreak);
}

#[test]
fn misaligned_loads_and_stores_reject_and_change_nothing() {
    for (name, offsets) in
        [("lh", &[1, 3][..]), ("lhu", &[1, 3]), ("lw", &[1, 2, 3]), ("sh", &[1, 3]), ("sw", &[1, 2, 3])]
    {
        for offset in offsets.iter().copied() {
            let stores = name.starts_with('s');
            let word = if stores { store(name, 9, 8, offset) } else { immediate(name, 5, 8, offset) };
            let address = DATA + offset as u32;
            let memory = rejects(&trying(DATA, &[word]), FINE, Trap::Misaligned(address));
            let content = [DATA, DATA + 4, register_address(5)].map(|at| memory.word(at));
            assert_eq!(content, [0x8382_8180, 0x8786_8584, 0], "{name} at {offset}");
        }
    }
    // Bytes are never misaligned; and this comes before the top page.
    agree(&trying(DATA, &[immediate("lb", 5, 8, 3), store("sb", 5, 8, 1)]), &mut |_| ()).unwrap();
    rejects(&trying(u32::MAX, &[immediate("lw", 5, 8, 0)]), SIGSEGV, Trap::Misaligned(u32::MAX));
}

#[test]
fn a_jump_to_where_no_word_begins_is_made_and_then_rejected() {
    // Each is at TRIED, and leads two bytes ahead of the word after the next.
    let jumps = [
        vec![jal(5, 6)],
        vec![branch("beq", 0, 0, 6)],
        vec![immediate("jalr", 5, 9, 6)],
        // The lowest bit is cleared, the second is not.
        vec![immediate("jalr", 5, 9, 7)],
    ];
    for jump in jumps {
        let file = trying(0, &jump);
        assert!(!qemu(&file, rv32im(), &[]).status.success());
        let mut last = Vec::new();
        let ours = drive(&file, &mut |step| last.push(*step)).unwrap();
        let [.., jump, halt] = last.as_slice() else { panic!("two steps") };
        let Effect::Write { address, value, next_pc } = jump.effect else { panic!("{jump:?}") };
        assert_eq!(next_pc, TRIED + 6);
        if address == register_address(5) {
            assert_eq!(value, TRIED + 4);
        }
        assert_eq!(halt.effect, Effect::Halt(Halt::Reject(Trap::Fetch(TRIED + 6))));
        // The word in which pc lies is read all the same.
        assert_eq!((halt.pc, halt.instruction), (TRIED + 6, ours.memory.word(TRIED + 4)));
        assert_eq!(ours.memory.word(PC), TRIED + 6);
    }
    // Not taken, it leads nowhere.
    agree(&trying(0, &[branch("bne", 0, 0, 6)]), &mut |_| ()).unwrap();
}

#[test]
fn memory_that_no_segment_has_is_zero_and_can_be_written() {
    let loaded = ends(&trying(NOWHERE, &[immediate("lw", 5, 8, 0)]), rv32im(), SIGSEGV, Halt::Accept);
    assert_eq!(loaded.word(register_address(5)), 0);
    let words = [store("sw", 9, 8, 0), immediate("lhu", 5, 8, 0)];
    let stored = ends(&trying(NOWHERE, &words), rv32im(), SIGSEGV, Halt::Accept);
    assert_eq!([NOWHERE, register_address(5)].map(|at| stored.word(at)), [TRIED, TRIED & 0xffff]);
}

#[test]
fn the_page_of_the_registers_is_neither_loaded_from_nor_stored_to() {
    for (address, offset) in [(TOP_PAGE, 0), (TOP_PAGE - 4, 4), (0xffff_f080, 0), (0xffff_ffff, -3), (0, -4), (4, -8)] {
        let at = address.wrapping_add_signed(offset);
        for word in [immediate("lw", 5, 8, offset), store("sw", 9, 8, offset), store("sb", 9, 8, offset)] {
            let memory = rejects(&trying(address, &[word]), SIGSEGV, Trap::TopPage(at));
            assert_eq!(memory.word(register_address(8)), address);
        }
    }
    // Just below and, around the end of the address space, just above it memory is ordinary.
    for (address, offset) in [(TOP_PAGE, -4), (0xffff_fffc, 4), (0, 0)] {
        let words = [store("sw", 9, 8, offset), immediate("lw", 5, 8, offset)];
        let memory = ends(&trying(address, &words), rv32im(), SIGSEGV, Halt::Accept);
        assert_eq!(memory.word(register_address(5)), TRIED);
    }
}

#[test]
fn code_is_loaded_from_and_not_stored_to() {
    let words = [immediate("lw", 5, 9, 0), immediate("lbu", 6, 9, 3), store("sw", 5, 8, 0), store("sb", 6, 8, 4)];
    agree(&trying(DATA, &words), &mut |_| ()).unwrap();
    let end = CODE + 4 * (5 + write_and_exit(DATA, 64).len() as u32);
    for (name, at) in [("sw", CODE), ("sb", CODE + 3), ("sh", TRIED), ("sw", end - 4), ("sb", end - 1)] {
        let file = trying(at, &[store(name, 0, 8, 0)]);
        let memory = rejects(&file, SIGSEGV, Trap::StoreToCode(at));
        assert_eq!(memory.word(CODE), load_constant(8, at)[0]);
    }
    // Behind the last word the page is no code. There is none on it in qemu's view either, but it cannot be written.
    ends(&trying(end, &[store("sw", 9, 8, 0)]), rv32im(), SIGSEGV, Halt::Accept);
    ends(&trying(CODE - 4, &[store("sw", 9, 8, 0)]), rv32im(), SIGSEGV, Halt::Accept);
}

#[test]
fn nothing_is_executed_outside_of_the_code() {
    for (to, word) in [(DATA, 0x8382_8180), (NOWHERE, 0), (0, 0), (CODE - 4, 0), (INITIAL_SP, 0)] {
        let file = trying(to, &[immediate("jalr", 5, 8, 0)]);
        let memory = rejects(&file, SIGSEGV, Trap::Fetch(to));
        let left = [PC, register_address(5)].map(|at| memory.word(at));
        assert_eq!((left, memory.word(to)), ([to, TRIED + 4], word));
    }
    // Off the end: on qemu, the page goes on with zeros.
    let code = vec![register("add", 5, 5, 5), upper("lui", 6, 0)];
    let file = Program { code_at: CODE, code, data_at: DATA, data: vec![0; 4] }.to_elf();
    rejects(&file, SIGILL, Trap::Fetch(CODE + 8));
}

#[test]
fn all_registers_are_zero_at_the_start_but_x2() {
    let file = trying(0, &[]);
    let image = Image::from_elf(&file, PAGES).unwrap();
    let registers = (0..32).map(|register| image.memory.word(register_address(register)));
    assert!(registers.enumerate().all(|(register, value)| value == if register == 2 { 0xffff_f000 } else { 0 }));
    assert_eq!(image.memory.word(PC), CODE);
}
