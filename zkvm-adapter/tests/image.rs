//! Which files are programs of this machine, and that no other does any harm.

use std::sync::Arc;

use proptest::prelude::*;
use trestle_zkvm_adapter::layout::{INITIAL_SP, PC, TOP_PAGE, register_address};
use trestle_zkvm_adapter::step::ReadMemory as _;
use trestle_zkvm_adapter::{INPUT_WORDS, Image, Machine};

use crate::qemu::elf::{PT_LOAD, RW, RX, Segment, elf};

const CODE: u32 = 0x0001_0000;
const DATA: u32 = 0x0002_0000;
/// `addi x5, x5, 1`, `ecall`.
const INSTRUCTIONS: [u32; 2] = [0x0012_8293, 0x0000_0073];
/// Pages that programs here may take.
const LIMIT: usize = 64;

fn code() -> Segment {
    Segment::new(CODE, INSTRUCTIONS.map(u32::to_le_bytes).concat(), RX)
}

fn data() -> Segment {
    Segment::new(DATA, vec![1, 2, 3, 4, 5], RW)
}

fn refused(file: &[u8]) -> String {
    Image::from_elf(file, LIMIT).map(|image| image.code).unwrap_err().to_string()
}

/// A good file with other bytes somewhere in its header.
fn patched(at: usize, bytes: &[u8]) -> String {
    let mut file = elf(CODE, &[code(), data()]);
    file[at..at + bytes.len()].copy_from_slice(bytes);
    refused(&file)
}

#[test]
fn a_program_is_loaded_to_where_it_says() {
    let bss = Segment { size: 3 * 4096, ..data() };
    let image = Image::from_elf(&elf(CODE + 4, &[code(), bss]), LIMIT).unwrap();
    assert_eq!(image.code, CODE..CODE + 8);
    let words = [CODE, CODE + 4, CODE + 8, DATA, DATA + 4, DATA + 8, PC, register_address(2), 0];
    let content = [INSTRUCTIONS[0], INSTRUCTIONS[1], 0, 0x0403_0201, 5, 0, CODE + 4, INITIAL_SP, 0];
    assert_eq!(words.map(|at| image.memory.word(at)), content);
    // Up to the registers, whatever the order, and whole words of code.
    let top = Segment::new(TOP_PAGE - 3, vec![7; 3], RX);
    let image = Image::from_elf(&elf(TOP_PAGE - 4, &[data(), top]), LIMIT).unwrap();
    assert_eq!((image.code, image.memory.word(TOP_PAGE - 4)), (TOP_PAGE - 4..TOP_PAGE, 0x0707_0700));
    let half = Segment::new(CODE, vec![7; 6], RX);
    assert_eq!(Image::from_elf(&elf(CODE, &[half]), LIMIT).unwrap().code, CODE..CODE + 8);
}

#[test]
fn a_file_for_something_else_is_refused_and_says_why() {
    let machine = ": the machine runs static 32-bit little-endian RISC-V executables (RV32IM)";
    assert!(refused(b"").starts_with("not an ELF file: "));
    assert!(refused(b"#!/bin/sh\nexit 0\n").starts_with("not an ELF file: "));
    assert!(patched(5, &[2]).starts_with("not an ELF file: "), "big-endian");
    assert_eq!(patched(16, &[3, 0]), format!("not an executable with fixed addresses{machine}"));
    assert_eq!(patched(18, &[62, 0]), format!("not for RISC-V{machine}"));
    assert_eq!(patched(36, &[1, 0, 0, 0]), format!("compressed instructions{machine}"));
    assert_eq!(refused(&std::fs::read("/bin/sh").unwrap()), format!("not a 32-bit file{machine}"));
    for kind in [2, 3] {
        let dynamic = Segment { kind, ..data() };
        assert_eq!(refused(&elf(CODE, &[code(), dynamic])), format!("linked dynamically{machine}"));
    }
}

#[test]
fn there_is_one_segment_of_code_and_it_is_not_written() {
    assert_eq!(refused(&elf(CODE, &[])), "the program has 0 executable segments; it needs exactly one");
    assert_eq!(refused(&elf(CODE, &[data()])), "the program has 0 executable segments; it needs exactly one");
    let second = Segment { at: CODE + 4096, ..code() };
    assert_eq!(refused(&elf(CODE, &[code(), second])), "the program has 2 executable segments; it needs exactly one");
    let writable = Segment { flags: 7, ..code() };
    let why = refused(&elf(CODE, &[writable]));
    assert!(why.starts_with("the segment at 0x00010000 is both executable and writable"), "{why}");
    // Nothing is nothing, executable or not, and what is not loaded is none of the machine's.
    let empty = Segment { at: DATA, bytes: Vec::new(), size: 0, flags: RX, kind: PT_LOAD };
    let other = Segment { kind: 0x7000_0003, flags: 7, ..data() };
    assert_eq!(Image::from_elf(&elf(CODE, &[code(), empty, other]), LIMIT).unwrap().code, CODE..CODE + 8);
}

#[test]
fn a_program_starts_at_a_word_of_its_code() {
    for entry in [0, CODE - 4, CODE + 8, DATA, TOP_PAGE, CODE + 1, CODE + 2] {
        assert_eq!(
            refused(&elf(entry, &[code(), data()])),
            format!("the entry point {entry:#010x} is not in the code")
        );
    }
}

#[test]
fn no_segment_reaches_the_registers_or_around_the_end() {
    for (at, size) in [(TOP_PAGE, 5), (TOP_PAGE - 4, 5), (u32::MAX, 5), (TOP_PAGE - 1, u32::MAX), (u32::MAX - 4, 5)] {
        let segment = Segment { at, size, ..data() };
        let why = refused(&elf(CODE, &[code(), segment]));
        assert_eq!(why, format!("the segment at {at:#010x} reaches into the register page at 0xfffff000"));
    }
}

#[test]
fn a_program_takes_no_more_pages_than_allowed() {
    let sized = |size: u32| Segment { size, ..data() };
    assert!(Image::from_elf(&elf(CODE, &[code(), sized(63 << 12)]), LIMIT).is_ok());
    for size in [(63 << 12) + 1, 0x8000_0000, TOP_PAGE - DATA] {
        assert_eq!(refused(&elf(CODE, &[code(), sized(size)])), "the program takes more than 64 pages of 4096 bytes");
    }
}

#[test]
fn a_segment_has_its_bytes_in_the_file_and_room_for_them() {
    let short = Segment { size: 4, ..data() };
    assert!(refused(&elf(CODE, &[code(), short])).starts_with("a segment with more bytes in the file than in memory"));
    let whole = elf(CODE, &[code(), data()]);
    for length in [10, 51, 52, 60, 115, whole.len() - 1] {
        assert!(refused(&whole[..length]).starts_with("not an ELF file: "), "{length} bytes");
    }
}

#[test]
fn segments_do_not_overlap() {
    let at = |at: u32, size: u32| Segment { at, size, ..data() };
    for segment in [at(CODE - 4, 5), at(CODE + 7, 5), at(CODE - 4096, 8192), at(CODE + 2, 5)] {
        for order in [[code(), segment.clone()], [segment.clone(), code()]] {
            let why = refused(&elf(CODE, &order));
            assert!(why.starts_with("the segment at 0x") && why.ends_with(" overlaps another"), "{why}");
        }
    }
    assert!(Image::from_elf(&elf(CODE, &[code(), at(CODE + 8, 5)]), LIMIT).is_ok());
    assert!(Image::from_elf(&elf(CODE, &[at(CODE - 5, 5), code()]), LIMIT).is_ok());
}

#[test]
fn a_file_of_very_many_segments_is_refused_at_once() {
    // Were each of them loaded, this would be 17 GB to copy.
    let mut segments = vec![code()];
    segments.push(Segment::new(DATA, vec![9; 63 << 12], RW));
    segments.resize(3, Segment { at: DATA, bytes: Vec::new(), size: 0, flags: RW, kind: PT_LOAD });
    let mut file = elf(CODE, &segments);
    let header = file[52 + 32..52 + 64].to_vec();
    let headers = file.len() as u32;
    file.extend(file[52..52 + 32].to_vec());
    file.extend(std::iter::repeat_n(header, 65_000).flatten());
    file[28..32].copy_from_slice(&headers.to_le_bytes());
    file[44..46].copy_from_slice(&65_001_u16.to_le_bytes());
    assert_eq!(refused(&file), "the segment at 0x00020000 overlaps another");
}

/// Loads a file, and runs what it is, if it is something: whatever it is, nothing panics.
fn use_up(file: &[u8]) -> Option<Image> {
    let image = match Image::from_elf(file, LIMIT) {
        Ok(image) => image,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    let entry = image.memory.word(PC);
    assert!(image.code.contains(&entry) && entry.is_multiple_of(4) && image.code.end <= TOP_PAGE);
    assert!(image.memory.pages() <= LIMIT + 1);
    let mut machine = Machine::new(Arc::new(image.clone()), [0; INPUT_WORDS], 2 * LIMIT).unwrap();
    // It may run out of memory, or ask for a preimage that nobody has.
    let _ = machine.run(1000, &());
    assert_ne!(machine.snapshot().root(), [0; 32]);
    Some(image)
}

fn good() -> Vec<u8> {
    elf(CODE, &[code(), Segment { size: 9000, ..data() }, Segment::new(DATA + 0x3001, vec![6; 5000], 4)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_file_with_some_bytes_changed_is_a_program_or_refused(
        changes in prop::collection::vec((0usize..200, prop_oneof![any::<u8>(), Just(0), Just(0xff), Just(1)]), 0..6),
        length in prop_oneof![4 => Just(usize::MAX), 1 => 0usize..12_000],
    ) {
        let mut file = good();
        for (at, byte) in &changes {
            file[*at] = *byte;
        }
        file.truncate(length);
        let image = use_up(&file);
        prop_assert!(image.is_some() || !changes.is_empty() || length < 15_000);
    }

    #[test]
    fn a_file_with_words_of_its_headers_changed_is_a_program_or_refused(
        changes in prop::collection::vec(
            (0usize..37, prop_oneof![any::<u32>(), Just(0), Just(u32::MAX), CODE - 9000..DATA + 20_000, Just(TOP_PAGE - 4), 0u32..9]),
            1..4,
        ),
    ) {
        let mut file = good();
        for (word, value) in changes {
            file[4 * word..][..4].copy_from_slice(&value.to_le_bytes());
        }
        use_up(&file);
    }

    #[test]
    fn bytes_of_any_kind_behind_an_identification_are_a_program_or_refused(
        mut file in prop::collection::vec(any::<u8>(), 0..400),
        identified in any::<bool>(),
    ) {
        if identified {
            file.splice(0..0, *b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xf3\0\x01\0\0\0");
        }
        prop_assert!(use_up(&file).is_none());
    }
}
