//! Programs: static RV32IM executables in ELF, and the state that they start in.

use std::collections::BTreeMap;
use std::ops::Range;

use elf::ElfBytes;
use elf::abi::{EM_RISCV, ET_EXEC, PF_W, PF_X, PT_DYNAMIC, PT_INTERP, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;
use trestle_rollup::Digest;

use crate::jit::Compiled;
use crate::layout::{INITIAL_SP, PAGE_BYTES, PC, TOP_PAGE, register_address};
use crate::memory::{MemoryTree, PageBytes};

/// A program in its first state.
#[derive(Clone, Debug)]
pub struct Image {
    /// The addresses at which code is, whole words.
    pub code: Range<u32>,
    /// The memory before the first step: the segments, pc at the entry, and x2 at [`INITIAL_SP`].
    pub memory: MemoryTree,
    /// What was compiled of it, for all machines that run it.
    pub(crate) compiled: Compiled,
}

/// The flag of an ELF header that says that there are 16-bit instructions.
const EF_RISCV_RVC: u32 = 1;

/// Why a file is no program of this machine.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file is no ELF file, or is broken.
    #[error("not an ELF file: {0}")]
    Elf(#[from] elf::ParseError),
    /// It is one for something else.
    #[error("{0}: the machine runs static 32-bit little-endian RISC-V executables (RV32IM)")]
    Unsuited(&'static str),
    /// A segment reaches where the registers are.
    #[error("the segment at {0:#010x} reaches into the register page at {TOP_PAGE:#010x}")]
    TopPage(u64),
    /// What would be there, the file does not say.
    #[error("the segment at {0:#010x} overlaps another")]
    Overlap(u64),
    /// There must be one segment with code in it.
    #[error("the program has {0} executable segments; it needs exactly one")]
    CodeSegments(usize),
    /// What is executed must not be written.
    #[error("the segment at {0:#010x} is both executable and writable (link with -z separate-code, and not with -N)")]
    WritableCode(u64),
    /// The program starts where there is no code.
    #[error("the entry point {0:#010x} is not in the code")]
    Entry(u64),
    /// The program is larger than allowed.
    #[error("the program takes more than {0} pages of {PAGE_BYTES} bytes")]
    TooLarge(usize),
}

impl Image {
    /// A program that is in memory already: code at these addresses, whole words, and all of the first state.
    #[must_use]
    pub fn new(code: Range<u32>, memory: MemoryTree) -> Self {
        Self { code, memory, compiled: Compiled::default() }
    }

    /// Reads an ELF file whose segments take no more than `limit` pages.
    ///
    /// # Errors
    /// If it is not a program of this machine.
    pub fn from_elf(file: &[u8], limit: usize) -> Result<Self, ImageError> {
        let parsed = ElfBytes::<LittleEndian>::minimal_parse(file)?;
        let header = parsed.ehdr;
        let suited = [
            (header.class == Class::ELF32, "not a 32-bit file"),
            (header.e_machine == EM_RISCV, "not for RISC-V"),
            (header.e_type == ET_EXEC, "not an executable with fixed addresses"),
            (header.e_flags & EF_RISCV_RVC == 0, "compressed instructions"),
        ];
        if let Some((_, why)) = suited.into_iter().find(|(suits, _)| !suits) {
            return Err(ImageError::Unsuited(why));
        }
        let segments: Vec<_> = parsed.segments().map(|segments| segments.iter().collect()).unwrap_or_default();
        if segments.iter().any(|segment| matches!(segment.p_type, PT_DYNAMIC | PT_INTERP)) {
            return Err(ImageError::Unsuited("linked dynamically"));
        }
        let mut segments: Vec<_> =
            segments.into_iter().filter(|segment| segment.p_type == PT_LOAD && segment.p_memsz > 0).collect();
        segments.sort_by_key(|segment| segment.p_vaddr);
        // Before anything is loaded: no byte is copied twice, however many segments there are.
        for (one, next) in segments.iter().zip(segments.iter().skip(1)) {
            if one.p_vaddr.saturating_add(one.p_memsz) > next.p_vaddr {
                return Err(ImageError::Overlap(next.p_vaddr));
            }
        }

        let mut pages = BTreeMap::new();
        for segment in &segments {
            load(&parsed, segment, &mut pages, limit)?;
        }
        let code = code_range(&segments)?;
        let entry = u32::try_from(header.e_entry).ok().filter(|entry| entry % 4 == 0 && code.contains(entry));
        let entry = entry.ok_or(ImageError::Entry(header.e_entry))?;
        write(&mut pages, PC, &entry.to_le_bytes());
        write(&mut pages, register_address(2), &INITIAL_SP.to_le_bytes());
        Ok(Self::new(code, MemoryTree::default().with_pages(pages.into_iter().collect())))
    }

    /// The root of the first state, S_0.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.memory.root()
    }
}

type Pages = BTreeMap<u32, Box<PageBytes>>;

/// Puts a segment where it belongs.
fn load(
    file: &ElfBytes<'_, LittleEndian>,
    segment: &ProgramHeader,
    pages: &mut Pages,
    limit: usize,
) -> Result<(), ImageError> {
    let end = segment.p_vaddr.checked_add(segment.p_memsz).filter(|end| *end <= u64::from(TOP_PAGE));
    let (Some(end), Ok(start)) = (end, u32::try_from(segment.p_vaddr)) else {
        return Err(ImageError::TopPage(segment.p_vaddr));
    };
    let bytes = file.segment_data(segment)?;
    if bytes.len() as u64 > segment.p_memsz {
        return Err(ImageError::Unsuited("a segment with more bytes in the file than in memory"));
    }
    let taken = end.div_ceil(PAGE_BYTES as u64) - segment.p_vaddr / PAGE_BYTES as u64;
    if taken + pages.len() as u64 > limit as u64 {
        return Err(ImageError::TooLarge(limit));
    }
    write(pages, start, bytes);
    Ok(())
}

/// Writes bytes that end before the end of the address space.
fn write(pages: &mut Pages, start: u32, bytes: &[u8]) {
    for (address, byte) in (start..).zip(bytes) {
        let page = pages.entry(address / PAGE_BYTES as u32).or_insert_with(|| Box::new([0; PAGE_BYTES]));
        page.get_mut(address as usize % PAGE_BYTES).into_iter().for_each(|to| *to = *byte);
    }
}

/// The words of the one executable segment.
fn code_range(segments: &[ProgramHeader]) -> Result<Range<u32>, ImageError> {
    let executable: Vec<_> = segments.iter().filter(|segment| segment.p_flags & PF_X != 0).collect();
    let [segment] = executable.as_slice() else {
        return Err(ImageError::CodeSegments(executable.len()));
    };
    if segment.p_flags & PF_W != 0 {
        return Err(ImageError::WritableCode(segment.p_vaddr));
    }
    // `load` has seen that it ends below the top page.
    let words = |address: u64| u32::try_from(address).unwrap_or(TOP_PAGE);
    Ok(words(segment.p_vaddr & !3)..words((segment.p_vaddr + segment.p_memsz).next_multiple_of(4)))
}
